"""Rows on disk. They are committed, weights never.

`benchmarks/rows/<kind>.jsonl`, one JSON object per line. A later line about the same model replaces an earlier one.
Rows of models that were made of the second base lie in `rows-rn`, and those about any concept in `rows-open…`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from dife_scanner.errors import DifeError
from dife_scanner.lab.bench.rows.records import Code, Row
from dife_scanner.store import codec

T = TypeVar("T")


class RowsDamaged(DifeError):
    """A file of rows holds something that is no row."""


def folder_of(data: Path, base: str, *, any_concept: bool = False) -> Path:
    """Where the rows of a base lie: a kind of bundled base, and whether they are about any concept."""
    name = "rows-open" if any_concept else "rows"
    return data / (name if base == "vit" else f"{name}-{base}")


def append(folder: Path, row: Row) -> None:
    """Add one row to its kind's file."""
    append_line(folder / f"{row.kind.replace(' ', '-')}.jsonl", row)


def read(folder: Path) -> tuple[Row, ...]:
    """Every model's last row, by model and budget. Raises `RowsDamaged` naming file and line."""
    found: dict[tuple[str, str], Row] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for row in lines(path, Row, what="row", advice="remove the line; its model is made again"):
            found[row.model, row.code.budget] = row
    return tuple(found[key] for key in sorted(found))


def append_line(path: Path, record: object) -> None:
    """Add one record to a file of JSON lines, which is created where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(codec.to_json(record) + "\n")


def lines(path: Path, kind: type[T], *, what: str, advice: str = "remove the line") -> Iterator[T]:
    """Every record of a file of JSON lines; none where there is no file. Raises `RowsDamaged` naming the line."""
    if not path.exists():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            record = codec.from_json(kind, line)
        except ValueError as error:
            raise RowsDamaged(f"{path.name}:{number} is no {what}: {error}", advice) from error
        yield record


def made(rows: Iterable[Row], code: Code, *, renew: bool = False) -> dict[str, dict[str, Any]]:
    """Models and their recipes that were made by this zoo, version of the discovery, budget and detectors.

    With `renew` the source files have to be the same too. A model whose recipe is another by now needs a new row.
    """
    found = {}
    for row in rows:
        same_code = row.code.digest == code.digest or not renew
        if same_code and comparable(row.code, code):
            found[row.model] = row.recipe
    return found


def comparable(old: Code, code: Code) -> bool:
    """Whether both say the same zoo, version of the discovery, budget and detectors; source files may differ."""
    return replace(old, digest=code.digest) == code


def today() -> str:
    """The date as rows have it, `2026-11-23`."""
    return date.today().isoformat()
