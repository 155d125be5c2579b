"""Which entries of MITRE ATLAS and of OWASP's list for machine learning a finding stands for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from dife_scanner.records import Confidence, FindingKind

_POISONED = ("AML.T0018.000", "AML.T0010.003")
_BY_KIND: Mapping[FindingKind, tuple[str, ...]] = {
    FindingKind.FLAGGED: (*_POISONED, "AML.T0058", "ML06:2023", "ML07:2023", "ML10:2023"),
    FindingKind.INHERITED: (*_POISONED, "ML06:2023", "ML07:2023", "ML10:2023"),
    FindingKind.ANOMALOUS: ("AML.T0018.000", "ML10:2023"),
    FindingKind.REFUSED: ("AML.T0011.000", "AML.T0018.002", "AML.T0010.003", "ML06:2023"),
    FindingKind.CHANGED: ("AML.T0109", "ML06:2023"),
}
_TRIGGER_FOUND = "AML.T0043.004"


@dataclass(frozen=True)
class Taxonomy:
    """One published list, as far as findings stand for its entries."""

    name: str
    version: str
    address: str
    entries: Mapping[str, str]
    """Names by id."""


@cache
def taxonomies() -> tuple[Taxonomy, ...]:
    """Both lists, in the versions that the ids are of."""
    text = (files("dife_scanner") / "assets" / "taxonomy.json").read_text(encoding="utf-8")
    return tuple(Taxonomy(**one) for one in json.loads(text).values())


def standards_of(kind: FindingKind, confidence: Confidence) -> tuple[str, ...]:
    """Ids for a finding of this kind; a flag without a demonstrated trigger stands for what an anomaly does."""
    if kind is FindingKind.FLAGGED and confidence is not Confidence.DEMONSTRATED:
        kind = FindingKind.ANOMALOUS
    found = _BY_KIND[kind]
    if confidence is Confidence.DEMONSTRATED and kind is FindingKind.FLAGGED:
        return (_TRIGGER_FOUND, *found)
    return found


def named(id: str) -> str:
    """`AML.T0018.000 Manipulate AI Model: Poison AI Model`."""
    for taxonomy in taxonomies():
        if id in taxonomy.entries:
            return f"{id} {taxonomy.entries[id]}"
    raise KeyError(id)
