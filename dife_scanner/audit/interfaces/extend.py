"""One file of a researcher's own that registers interfaces, trigger kinds, or both (docs/extending.md)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dife_scanner.audit.interfaces import registry
from dife_scanner.errors import DifeError
from dife_scanner.triggers.extend import extend as load


@dataclass(frozen=True)
class Extended:
    """What a file brought."""

    kinds: tuple[str, ...]
    """Trigger kinds."""
    interfaces: tuple[str, ...]


def extend(path: Path) -> Extended:
    """Import the researcher's own file; the one loader is that of `triggers.extend`, with its errors.

    Where the file fails nothing that it registered stays. A file that was imported before brings nothing.
    """
    before = _registered()
    try:
        kinds = load(path)
    except DifeError:
        for name in _added_since(before):
            registry.forget(name)
        raise
    return Extended(kinds, _added_since(before))


def _registered() -> tuple[str, ...]:
    return tuple(card.interface for card in registry.cards())


def _added_since(before: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in _registered() if name not in before)
