"""Families and benign kinds by name, whatever concepts they are about."""

from __future__ import annotations

from dife_scanner.lab.bench.zoo import benign, open_benign
from dife_scanner.lab.bench.zoo.families import FAMILIES, Family
from dife_scanner.lab.bench.zoo.fine_tuning import Kind
from dife_scanner.lab.bench.zoo.open_families import OPEN_FAMILIES


def family_of(name: str) -> Family:
    """The attack family of this name. Raises `KeyError`."""
    return OPEN_FAMILIES[name] if name in OPEN_FAMILIES else FAMILIES[name]


def kind_of(name: str) -> Kind:
    """The benign kind of this name. Raises `KeyError`."""
    return open_benign.KINDS[name] if name in open_benign.KINDS else benign.KINDS[name]
