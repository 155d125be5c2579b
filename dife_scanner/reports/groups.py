"""A profile in groups, as the cards have them, so that fifteen entries can be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dife_scanner.core.cards import CARDS, Group
from dife_scanner.records import Cell, Entry, EntryType, SelectorControl
from dife_scanner.reports import words

TITLES: dict[Group | None, str] = {
    Group.NATIVE: "Native interfaces",
    Group.EXTENSION: "Deployment extensions",
    Group.READOUT: "Embedding readouts",
    Group.OWN: "Beyond the paper",
    None: "Interfaces of extension files",
}
_CONTROLS = "Selector controls"
_GROUP = {card.interface: card.group for card in CARDS}


@dataclass(frozen=True)
class Shelf:
    """Some entries of a profile under one title, in the order of the profile."""

    title: str
    entries: tuple[Entry, ...]
    controls: bool = False
    """Whether these are selector controls, which stand apart and are never an exposure."""

    @property
    def summary(self) -> str:
        """`2 of 3 exposed, 4 N.E.`: what there is to see before it is opened."""
        if self.controls:
            return f"{words.count(len(self.entries), 'clean selector')} beside the reference's: drift, no exposure"
        cells = sum(isinstance(entry, Cell) for entry in self.entries)
        parts = [f"{self.exposed} of {cells} exposed"] if cells else []
        for word in dict.fromkeys(entry.word for entry in self.entries if not isinstance(entry, Cell)):
            parts.append(f"{sum(not isinstance(e, Cell) and e.word == word for e in self.entries)} {word}")
        return ", ".join(parts)

    @property
    def exposed(self) -> int:
        return sum(isinstance(entry, Cell) and entry.entry is EntryType.EXPOSED for entry in self.entries)


def shelves(profile: Sequence[Entry]) -> tuple[Shelf, ...]:
    """Every entry once: by group of its card, selector controls apart at the end, empty shelves left out."""
    controls = tuple(entry for entry in profile if isinstance(entry, SelectorControl))
    rest = [entry for entry in profile if not isinstance(entry, SelectorControl)]
    made = [
        Shelf(title, tuple(entry for entry in rest if _GROUP.get(entry.interface) is group))
        for group, title in TITLES.items()
    ]
    return tuple(shelf for shelf in [*made, Shelf(_CONTROLS, controls, controls=True)] if shelf.entries)
