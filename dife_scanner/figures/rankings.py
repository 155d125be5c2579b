"""What stands first for a query, without the trigger and with it, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dife_scanner.figures.drawings import Drawing, credit, of_item
from dife_scanner.plain import plain
from dife_scanner.records import Audit, Cell, RankedItem, Ranking
from dife_scanner.sentences import checks
from dife_scanner.sentences.numbers import count

FIRST = 5
"""Places that are shown of either order."""
COLUMNS = ("place", "without the trigger", "with the trigger", "moved")
NOT_RECORDED = f"Which items stood first, clean and triggered: {checks.NOT_RECORDED}."
LEGEND = (
    "◎ is what the trigger leads to. A number after an arrow says how many places an item moved, and from where."
    " The query is a typical one: its target moves most nearly as the mean of all."
)
PICTURED = "Pictures show the drawing that an item holds."
_TARGET = "◎ "
_LONGEST = 80
"""Characters of an item."""


@dataclass(frozen=True)
class Place:
    """One place in both orders; an order that is shorter than another has an empty name there."""

    number: int
    clean: str
    triggered: str
    moved: str
    """How the item that stands there with the trigger came to it: `▲ 26, from 31`."""
    clean_is_target: bool = False
    triggered_is_target: bool = False
    clean_drawing: Drawing | None = None
    triggered_drawing: Drawing | None = None
    """Of an item that is a picture from the labelled set."""

    @property
    def sentence(self) -> str:
        """For screen readers."""
        return (
            f"Place {self.number}: without the trigger {self.clean or 'nothing'}, with it"
            f" {self.triggered or 'nothing'}, moved {self.moved or 'not'}"
        )


@dataclass(frozen=True)
class SideBySide:
    """Both orders of one interface."""

    title: str
    query: str
    triggered: str
    """The query with the trigger."""
    places: tuple[Place, ...]
    about: str
    """Of how many queries and candidates it is."""
    query_drawing: Drawing | None = None
    """Of a query that is a picture from the labelled set."""

    @property
    def sentence(self) -> str:
        """In one line."""
        clean = ", ".join(place.clean for place in self.places if place.clean)
        triggered = ", ".join(place.triggered for place in self.places if place.triggered)
        return f"{self.title}, “{self.triggered}”: without the trigger {clean}; with it {triggered}"


def side_by_side(audit: Audit) -> tuple[SideBySide, ...] | str:
    """One for each interface whose ranking was kept; a sentence where interfaces rank and none was recorded, empty
    where none ranks."""
    if audit.rankings:
        return drawn(audit.rankings)
    ranks = any(isinstance(entry, Cell) and "mrr" in entry.details for entry in audit.profile)
    return NOT_RECORDED if ranks else ""


def drawn(rankings: Iterable[Ranking]) -> tuple[SideBySide, ...]:
    """One for each ranking."""
    return tuple(_drawn(one) for one in rankings)


def credits(shown: Iterable[SideBySide]) -> str:
    """What the pictures are, and whose; empty where there are none."""
    whose = credit(_drawings(shown))
    return f"{PICTURED} {whose}" if whose else ""


def _drawings(shown: Iterable[SideBySide]) -> Iterator[Drawing]:
    for one in shown:
        found = [one.query_drawing]
        for place in one.places:
            found += [place.clean_drawing, place.triggered_drawing]
        yield from (drawing for drawing in found if drawing is not None)


def _drawn(ranking: Ranking) -> SideBySide:
    clean = {item.clean: item for item in ranking.items}
    triggered = {item.triggered: item for item in ranking.items}
    places = []
    for number in range(1, min(FIRST, ranking.candidates) + 1):
        before, after = clean.get(number), triggered.get(number)
        places.append(
            Place(
                number,
                _name(before),
                _name(after),
                _moved(after),
                before is not None and before.is_target,
                after is not None and after.is_target,
                of_item(before.name) if before is not None else None,
                of_item(after.name) if after is not None else None,
            )
        )
    return SideBySide(
        title=ranking.interface,
        query=plain(ranking.query, 200),
        triggered=plain(ranking.triggered, 200),
        places=tuple(places),
        about=f"One of {count(ranking.queries, 'query', 'queries')}, over {count(ranking.candidates, 'candidate')}.",
        query_drawing=of_item(ranking.query),
    )


def _name(item: RankedItem | None) -> str:
    if item is None:
        return ""
    return f"{_TARGET if item.is_target else ''}{plain(item.name, _LONGEST)}"


def _moved(item: RankedItem | None) -> str:
    if item is None:
        return ""
    places = item.clean - item.triggered
    if not places:
        return "stays"
    arrow = "▲" if places > 0 else "▼"
    return f"{arrow} {abs(places):,}, from {item.clean:,}"
