"""The models table without Qt: columns, their texts and order, and the difference between two readings."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dife_scanner.records import JobState, ModelRow, Verdict
from dife_scanner.sentences.audits import VERDICT_LABEL
from dife_scanner.sentences.times import time_text
from dife_scanner.sentences.watching import reason_text

Key = int
"""Job id: what stays the same while everything else about a row changes."""


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    title: str
    text: Callable[[ModelRow], str]
    order: Callable[[ModelRow], Any]
    """Sort key; equal keys fall back to the most recently changed first."""
    width: float
    """In lines of text; the reason column takes what is left."""
    explain: str
    """Shown when the pointer rests on the title."""


def verdict_text(row: ModelRow) -> str:
    """Empty without a verdict: the state column says where the revision stands."""
    if row.verdict is None:
        return ""
    return VERDICT_LABEL[row.verdict]


# One order for verdicts, for states without one, and for what lies between them; smaller is more urgent.
_BY_VERDICT = {
    Verdict.FLAGGED: 0,
    Verdict.INHERITED: 2,
    Verdict.INCONCLUSIVE: 3,
    Verdict.NOTHING_FOUND: 6,
    Verdict.IDENTICAL: 7,
}
_BY_STATE = {
    JobState.REFUSED: 1,
    JobState.QUARANTINED: 1,
    JobState.FAILED: 4,
    JobState.LIMIT_EXCEEDED: 4,
}
_ANOMALOUS = 3
_IN_WORK = 5
_NO_VERDICT = 8


def needs_attention(row: ModelRow) -> int:
    """Order of the table as it opens, smaller is more urgent: flagged and refused, doubtful, anomalous and failed, in
    work, without a finding, and last what cannot be audited."""
    if row.verdict is Verdict.NOTHING_FOUND and row.finding:
        return _ANOMALOUS
    if row.verdict is not None:
        return _BY_VERDICT[row.verdict]
    if not row.job.state.is_final:
        return _IN_WORK
    return _BY_STATE.get(row.job.state, _NO_VERDICT)


COLUMNS: tuple[Column, ...] = (
    Column(
        "Model",
        lambda row: row.job.ref.repo_id,
        lambda row: row.job.ref.repo_id.casefold(),
        14,
        "Repository or folder",
    ),
    Column(
        "Revision",
        lambda row: row.job.ref.revision[:8],
        lambda row: row.job.ref.revision,
        5,
        "Commit of the repository",
    ),
    Column(
        "Verdict",
        verdict_text,
        needs_attention,
        8.5,
        "What a completed audit says; never that a model is clean",
    ),
    Column(
        "Footprint",
        lambda row: row.carrier,
        lambda row: row.carrier,
        5.5,
        "Component that carries the exposure",
    ),
    Column(
        "Channel",
        lambda row: row.channel,
        lambda row: row.channel,
        4.5,
        "Where the trigger enters",
    ),
    Column(
        "Trigger",
        lambda row: row.trigger,
        lambda row: row.trigger.casefold(),
        7,
        "What makes the model misbehave",
    ),
    Column(
        "Target",
        lambda row: row.target,
        lambda row: row.target.casefold(),
        5,
        "What the attacker wants",
    ),
    Column(
        "Exposed interfaces",
        lambda row: ", ".join(row.interfaces),
        lambda row: (-len(row.interfaces), row.interfaces),
        9,
        "Deployment interfaces through which the effect is reachable",
    ),
    Column(
        "State",
        lambda row: row.job.state.value,
        lambda row: row.job.state.value,
        6.5,
        "Where the revision stands",
    ),
    Column(
        "Reason",
        lambda row: reason_text(row.job),
        lambda row: reason_text(row.job).casefold(),
        12,
        "Why it is in that state",
    ),
    Column(
        "Updated",
        lambda row: time_text(row.job.updated_at),
        lambda row: row.job.updated_at,
        8.5,
        "Local time",
    ),
)
_TITLES = [column.title for column in COLUMNS]
VERDICT = _TITLES.index("Verdict")
STATE = _TITLES.index("State")
REASON = _TITLES.index("Reason")


@dataclass(frozen=True)
class Changes:
    """What turns one reading into the next."""

    removed: tuple[Key, ...] = ()
    updated: tuple[ModelRow, ...] = ()
    added: tuple[ModelRow, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.removed or self.updated or self.added)


def changes(old: Mapping[Key, ModelRow], new: Iterable[ModelRow]) -> Changes:
    """Compare by job id; a job that comes twice counts once, the first time."""
    fresh: dict[Key, ModelRow] = {}
    for row in new:
        fresh.setdefault(row.job.id, row)
    updated: list[ModelRow] = []
    added: list[ModelRow] = []
    for key, row in fresh.items():
        if key not in old:
            added.append(row)
        elif old[key] != row:
            updated.append(row)
    removed = [key for key in old if key not in fresh]
    return Changes(tuple(removed), tuple(updated), tuple(added))


class SortedRows:
    """Rows in order, found by key; each edit says where it happened so that a view can follow."""

    def __init__(self) -> None:
        self._rows: list[ModelRow] = []
        self._keys: list[tuple[Any, ...]] = []
        """The sort key of each row, for finding a place by halving."""
        self._by_key: dict[Key, ModelRow] = {}
        self._column = VERDICT
        self._descending = False

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> ModelRow:
        return self._rows[index]

    @property
    def by_key(self) -> Mapping[Key, ModelRow]:
        """Every row by its job id."""
        return self._by_key

    def sort_key(self, row: ModelRow) -> tuple[Any, ...]:
        """By the chosen column, then the latest change first; the job id makes every key different from all others."""
        first = COLUMNS[self._column].order(row)
        if self._descending:
            first = _Reversed(first)
        return first, _Reversed(row.job.updated_at), row.job.id

    def sort(self, column: int, *, descending: bool) -> list[int]:
        """Reorder; the result at `i` is where row `i` is now."""
        self._column = column
        self._descending = descending
        keys = [self.sort_key(row) for row in self._rows]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        new_place = [0] * len(order)
        for new, old in enumerate(order):
            new_place[old] = new
        self._rows = [self._rows[old] for old in order]
        self._keys = [keys[old] for old in order]
        return new_place

    def index(self, key: Key) -> int | None:
        """Where the row of a job is; `None` where it is not among these."""
        row = self._by_key.get(key)
        if row is None:
            return None
        return self.place(row)

    def place(self, row: ModelRow) -> int:
        """Where a row belongs among the present ones."""
        return bisect_left(self._keys, self.sort_key(row))

    def remove(self, index: int) -> None:
        """Take out the row at `index`."""
        row = self._rows.pop(index)
        del self._keys[index]
        del self._by_key[row.job.id]

    def insert(self, index: int, rows: Sequence[ModelRow]) -> None:
        """Rows that are in order and belong, all of them, at `index`."""
        self._rows[index:index] = rows
        self._keys[index:index] = [self.sort_key(row) for row in rows]
        for row in rows:
            self._by_key[row.job.id] = row

    def runs(self, rows: Iterable[ModelRow]) -> list[tuple[int, list[ModelRow]]]:
        """New rows grouped by where they belong, last place first, so that earlier places stay true."""
        placed: dict[int, list[ModelRow]] = {}
        for row in sorted(rows, key=self.sort_key):
            placed.setdefault(self.place(row), []).append(row)
        return sorted(placed.items(), reverse=True)


class _Reversed:
    """Sorts the other way round; text has no minus sign."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and bool(self.value == other.value)

    __hash__ = None  # type: ignore[assignment]
