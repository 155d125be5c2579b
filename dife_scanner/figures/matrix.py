"""The exposure matrix: one box for each entry of a profile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from dife_scanner.core.cards import CARDS
from dife_scanner.figures.colours import Scheme, heat
from dife_scanner.records import Cell, Entry, EntryType, SelectorControl
from dife_scanner.sentences.numbers import number, signed
from dife_scanner.sentences.profile import LINE_MEANING, entry_meaning, entry_sentence

MARKS = {
    EntryType.EXPOSED: "▲",
    EntryType.WEAK: "",
    EntryType.NEGATIVE: "▼",
    EntryType.N_TOO_SMALL: "?",
}
"""What stands before a number: colour is never the only signal."""
TITLE = "Exposure matrix (▲ exposed, ▼ negative, ? n too small; hatched: no number)"
SCALE = "Δ over the reference"


class Ground(StrEnum):
    """What is under the text of a box."""

    HEAT = "heat"
    """The colour of its difference."""
    DASHED = "dashed"
    """A dashed frame: two clean selectors side by side, which is no exposure."""
    HATCHED = "hatched"
    """Hatched: there is no number, and nothing here can be taken for a zero."""


@dataclass(frozen=True)
class Box:
    """One entry as every figure draws it."""

    interface: str
    ground: Ground
    headline: str
    """`▲ +0.901`, or the word of an entry without an exposure."""
    word: str
    """The entry type; empty where the headline is a word."""
    measured: str
    """`TS 0.999`, or the drift of a control: for figures without a line of text beside the box."""
    sentence: str
    """What it says in full: for screen readers and tooltips, with the reason where there is no number."""
    meaning: str
    """What its word means."""
    entry: EntryType | None = None
    delta: float | None = None

    def fill(self, scheme: Scheme) -> str | None:
        """`#rrggbb` of its ground; `None` where it has that of the page."""
        if self.entry is None or self.delta is None:
            return None
        return heat(self.entry, self.delta, scheme)


def box(entry: Entry) -> Box:
    """What is drawn of one entry."""
    sentence = entry_sentence(entry)
    if isinstance(entry, Cell):
        return _of_cell(entry, sentence)
    is_control = isinstance(entry, SelectorControl)
    return Box(
        interface=entry.interface,
        ground=Ground.DASHED if is_control else Ground.HATCHED,
        headline=entry.word,
        word="",
        measured=f"drift {signed(entry.drift.value)}" if isinstance(entry, SelectorControl) else "",
        sentence=sentence,
        meaning=LINE_MEANING[entry.word],
    )


def _of_cell(cell: Cell, sentence: str) -> Box:
    """A metric that is itself a difference is named alone: its value is the headline."""
    measured = cell.metric
    if not cell.metric.startswith("Δ"):
        measured = f"{cell.metric} {number(cell.attack.value)}"
    return Box(
        interface=cell.interface,
        ground=Ground.HEAT,
        headline=f"{MARKS[cell.entry]} {signed(cell.delta)}".strip(),
        word=cell.entry.value,
        measured=measured,
        sentence=sentence,
        meaning=f"{cell.entry.value}: {entry_meaning(cell)}",
        entry=cell.entry,
        delta=cell.delta,
    )


def interfaces(profiles: Iterable[Sequence[Entry]]) -> list[str]:
    """Those any profile speaks of, cards first in their own order."""
    found: dict[str, None] = {}
    for profile in profiles:
        for entry in profile:
            found[entry.interface] = None
    order = {card.interface: place for place, card in enumerate(CARDS)}
    return sorted(found, key=lambda name: order.get(name, len(order)))


def group_ends(names: Sequence[str]) -> list[int]:
    """Places after which another group of cards begins."""
    groups = {card.interface: card.group for card in CARDS}
    ends = []
    for place, (name, following) in enumerate(pairwise(names)):
        if groups.get(name) is not groups.get(following):
            ends.append(place)
    return ends
