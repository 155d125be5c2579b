"""One row per model: what it is, what it looks like, what the searches came to. Rows are committed, weights never.

`benchmarks/rows/<kind>.jsonl`, one JSON object per line. A later line about the same model replaces an earlier one.
Rows of models that were made of the second base lie in `rows-rn`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from dife_scanner.errors import DifeError
from dife_scanner.lab.bench.zoo import Part, Role
from dife_scanner.records import Carrier, Channel, Recovered, Search, Verdict
from dife_scanner.store import codec

AUDITED, FAILED = "audited", "failed implant"
TWIN = "twin_clean_accuracy"
"""Among an attack's native numbers, its clean twin's."""


class RowsDamaged(DifeError):
    """A file of rows holds something that is no row."""


@dataclass(frozen=True)
class Truth:
    """What was planted."""

    carrier: Carrier
    channel: Channel
    trigger: dict[str, Any]
    """As an entry of a trigger file."""
    source: str
    """Empty where any class is moved."""
    target: str


@dataclass(frozen=True)
class Looks:
    """What can be seen without searching: the zoo is fair when none of it tells attacks from benign models."""

    drift_image: float
    """Mean cosine distance of held-out pictures' embeddings to the base's."""
    drift_text: float
    """The same of class prompts and other nouns."""
    moved_rows: int
    """Token embeddings that differ from the base's by more than rounding, after one common factor."""
    accuracy: float
    accuracy_change: float
    """Zero-shot, held-out drawings; model minus base."""
    bytes: int
    dtype: str


@dataclass(frozen=True)
class Found:
    """A discovered trigger as it did on held-out drawings."""

    kind: str
    text: str
    position: str
    source: str
    target: str
    suspect: float
    reference: float
    low: float
    """Lower end of the 95 % interval of suspect minus base."""


@dataclass(frozen=True)
class Outcome:
    """What the blind audit said."""

    verdict: Verdict
    score: float | None
    carrier: Carrier | None
    channel: Channel | None
    """Of the diagnosis; `None` where nothing was diagnosed."""
    found: tuple[Found, ...]
    """Best first."""
    searches: tuple[Search, ...]
    seconds: float
    """Of the whole audit, processor time of its one thread: what else ran on the machine does not count."""
    recovered: Recovered | None = None
    """What the trigger of the verdict is; rows of older code have none."""
    seed: int = 0
    """Of the audit; rows of older code do not say it, and theirs was 0."""


@dataclass(frozen=True)
class Code:
    """What made the row."""

    zoo: str
    discovery: str
    """The discovery's version …"""
    digest: str
    """… and the first digits of the sha256 over its source files, the audit's and the rule's for verdicts."""
    budget: str
    detectors: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    model: str
    role: Role
    kind: str
    number: int
    part: Part
    sealed: bool
    status: str
    """`audited`, or `failed implant`: an attack below its native threshold, which is counted and not audited."""
    recipe: dict[str, Any]
    code: Code
    made_on: str
    build_seconds: float
    """Processor time, lab scenes included where this model was the first to need them."""
    native: dict[str, float] = field(default_factory=dict)
    """The attack's own numbers on held-out drawings; for a twin the same numbers under its attack's trigger."""
    looks: Looks | None = None
    truth: Truth | None = None
    outcome: Outcome | None = None

    @property
    def flagged(self) -> bool:
        return self.outcome is not None and self.outcome.verdict is Verdict.FLAGGED


def folder_of(data: Path, base: str) -> Path:
    """Where the rows of a base lie."""
    return data / ("rows" if base == "vit" else f"rows-{base}")


def append(folder: Path, row: Row) -> None:
    """Add one row to its kind's file."""
    folder.mkdir(parents=True, exist_ok=True)
    with _file(folder, row.kind).open("a", encoding="utf-8") as stream:
        stream.write(codec.to_json(row) + "\n")


def read(folder: Path) -> tuple[Row, ...]:
    """Every model's last row, by model. Raises `RowsDamaged` naming file and line."""
    found: dict[tuple[str, str], Row] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            row = _row(line, f"{path.name}:{number}")
            found[row.model, row.code.budget] = row
    return tuple(found[key] for key in sorted(found))


def made(rows: Iterable[Row], code: Code, *, renew: bool = False) -> dict[str, dict[str, Any]]:
    """Models and their recipes that were made by this zoo, version of the discovery, budget and detectors.

    With `renew` the source files have to be the same too. A model whose recipe is another by now needs a new row.
    """

    def same(row: Row) -> bool:
        old = row.code
        parts = ("zoo", "discovery", "budget", "detectors", *(("digest",) if renew else ()))
        return all(getattr(old, part) == getattr(code, part) for part in parts)

    return {row.model: row.recipe for row in rows if same(row)}


def today() -> str:
    return date.today().isoformat()


def _file(folder: Path, kind: str) -> Path:
    return folder / f"{kind.replace(' ', '-')}.jsonl"


def _row(line: str, where: str) -> Row:
    try:
        return codec.from_json(Row, line)
    except ValueError as error:
        raise RowsDamaged(f"{where} is no row: {error}", "remove the line; its model is made again") from error
