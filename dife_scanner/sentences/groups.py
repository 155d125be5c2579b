"""A profile in groups, as the cards have them, so that fifteen entries can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dife_scanner.core.cards import CARDS, Group
from dife_scanner.records import Cell, Entry, EntryType, SelectorControl
from dife_scanner.sentences.numbers import count

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
            return f"{count(len(self.entries), 'clean selector')} compared with the reference's: drift, no exposure"
        absent = Counter(entry.word for entry in self.entries if not isinstance(entry, Cell))
        measured = len(self.entries) - absent.total()
        parts = [f"{amount} {word}" for word, amount in absent.items()]
        if measured:
            parts.insert(0, f"{self.exposed} of {measured} exposed")
        return ", ".join(parts)

    @property
    def exposed(self) -> int:
        """How many cells are exposed."""
        return sum(
            isinstance(entry, Cell) and entry.entry is EntryType.EXPOSED for entry in self.entries
        )


def shelves(profile: Sequence[Entry]) -> tuple[Shelf, ...]:
    """Every entry once: by group of its card, selector controls apart at the end, empty shelves left out."""
    controls = []
    by_group: dict[Group | None, list[Entry]] = {group: [] for group in TITLES}
    for entry in profile:
        if isinstance(entry, SelectorControl):
            controls.append(entry)
        else:
            by_group[_GROUP.get(entry.interface)].append(entry)
    found = [Shelf(TITLES[group], tuple(entries)) for group, entries in by_group.items()]
    found.append(Shelf(_CONTROLS, tuple(controls), controls=True))
    return tuple(shelf for shelf in found if shelf.entries)
