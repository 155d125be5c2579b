"""From committed rows of every base and vocabulary to results, and to the page of them."""

from __future__ import annotations

from pathlib import Path

from dife_scanner.lab.bench import results, rows
from dife_scanner.lab.bench.make import BASES, base_reference
from dife_scanner.lab.bench.page import by_zoo
from dife_scanner.lab.bench.results.by_zoo import Side, Zoo, results_of
from dife_scanner.lab.bench.rows import Row, Vocabulary, ledger
from dife_scanner.records import ZooResult

PAGE = "detection-by-base.md"


def zoos(data: Path, *, unsealed: bool) -> tuple[Zoo, ...]:
    """Every base and vocabulary that has a row."""
    found = []
    for kind in BASES:
        for vocabulary in Vocabulary:
            folder = rows.folder_of(data, kind, any_concept=vocabulary is Vocabulary.ANY)
            mine = results.open_rows(rows.read(folder), unsealed=unsealed)
            if mine:
                found.append(Zoo(base_reference(kind).name, vocabulary, mine))
    return tuple(found)


def read(data: Path, side: Side, *, unsealed: bool) -> tuple[ZooResult, ...]:
    """What the rows of one side come to. A look at test rows is written into the ledger before."""
    there = zoos(data, unsealed=unsealed)
    if side is Side.TEST:
        every: list[Row] = [row for zoo in there for row in zoo.rows]
        if every:
            ledger.look(data, every, what="zoos", unsealed=unsealed)
    found: list[ZooResult] = []
    for zoo in there:
        found += results_of(zoo, side)
    return tuple(found)


def write(data: Path, docs: Path, test: tuple[ZooResult, ...], *, unsealed: bool) -> Path:
    """Write the page of the test side's results and the development side's; where it lies."""
    development = read(data, Side.DEVELOPMENT, unsealed=unsealed)
    docs.mkdir(parents=True, exist_ok=True)
    path = docs / PAGE
    path.write_text(by_zoo.page(test, development), encoding="utf-8")
    return path
