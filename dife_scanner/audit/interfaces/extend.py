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
    before = {card.interface for card in registry.cards()}
    try:
        kinds = load(path)
    except DifeError:
        for card in registry.cards():
            if card.interface not in before:
                registry.forget(card.interface)
        raise
    return Extended(kinds, tuple(card.interface for card in registry.cards() if card.interface not in before))
