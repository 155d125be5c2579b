"""A year of 10,000 findings a day in one database: whether what the window asks is still answered in its bounds.

    python benchmarks/year.py [--findings 3650000] [--home FOLDER] [--clock]

The home is made where FOLDER holds none, in the order in which a year would have; it is kept where FOLDER is given. The
questions are asked by the window's own code: what stands around the list, the first lines as it opens, the answer to
each letter typed into the filter, a page further down, one model in full, the pages of queue and hub. Milliseconds of
the processor, because a busy machine says nothing by the clock; with `--clock` those of the clock, for a machine that
does nothing else. The bounds are those that the window keeps with 100,000 findings (docs/benchmarks.md).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import large_home
from dife_gui import feed
from dife_gui.hub import read_hub
from dife_gui.listing import FIRST, Asked, listing
from dife_gui.models.models_table import PAGE
from dife_gui.queue import read_queue
from window import TYPED, most

from dife_scanner.store import Store, leases, models, open_store

A_DAY, DAYS = 10_000, 365
TIMES = 5
ANSWERED = 100.0
"""Milliseconds to the answer of a keystroke, of 95 in 100; and to everything else that is read while one waits."""
PAINTED = 33.0
"""Milliseconds between two paints while the wheel turns: a page further down has to be there by then."""
Ask = Callable[[Store], object]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--findings", type=int, default=A_DAY * DAYS)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--clock", action="store_true", help="measure by the clock")
    given = parser.parse_args()
    if given.home is not None:
        return measured(given.home, given.findings, given.clock)
    with tempfile.TemporaryDirectory() as folder:
        return measured(Path(folder) / "home", given.findings, given.clock)


def measured(home: Path, findings: int, by_the_clock: bool) -> int:
    """Make the home where it is missing, ask everything, and count what took longer than its bound."""
    if not (home / "dife.db").exists():
        began = time.perf_counter()
        large_home.make(home, findings, findings / A_DAY).close()
        print(f"{findings:,} findings made in {(time.perf_counter() - began) / 60:.1f} min")
    size = sum(path.stat().st_size for path in home.glob("dife.db*")) / 1e6
    late, clock = 0, time.perf_counter if by_the_clock else time.process_time
    with open_store(home) as store:
        print(f"{models.count_models(store):,} findings, {size:,.0f} MB, ms by {clock.__name__}\n")
        print(
            "| what is asked | times | median | 95 % | largest | bound |\n|---|---|---|---|---|---|"
        )
        for what, bound, asked in questions(store):
            found = sorted(milliseconds(store, one, clock) for one in asked)
            late += most(found) > bound
            spread = f"{statistics.median(found):.1f} | {most(found):.1f} | {found[-1]:.1f}"
            mark = " **late**" if most(found) > bound else ""
            print(f"| {what} | {len(found)} | {spread} | {bound:.0f}{mark} |", flush=True)
    return int(late > 0)


def milliseconds(store: Store, ask: Ask, clock: Callable[[], float]) -> float:
    """How long one answer takes by a clock."""
    began = clock()
    ask(store)
    return 1000 * (clock() - began)


def questions(store: Store) -> Iterator[tuple[str, float, list[Ask]]]:
    """What the window asks: in words, its bound in milliseconds, and each question."""
    yield "what stands around the list", ANSWERED, [feed.overview] * TIMES
    yield "the list as it opens, first lines", ANSWERED, [first_lines("")] * TIMES
    keys = models.order(store, limit=20_000).keys
    yield "a page of it", PAINTED, [page_of(keys, start) for start in range(0, 20_000, 2_000)]
    yield "one model in full", ANSWERED, [in_full(key) for key in keys[:: len(keys) // 10]]
    for text in TYPED:
        typed = [text[:end] for end in range(1, len(text) + 1)]
        asked = [first_lines(part) for part in typed if is_filter(part)]
        yield f"each letter of `{text}`".replace("|", "\\|"), ANSWERED, asked
    yield "the page of the queue", ANSWERED, [lambda store: read_queue(store, store.home)] * TIMES
    yield "the page of the hub", ANSWERED, [lambda store: read_hub(store, store.home)] * TIMES
    yield "taking a job, where none waits", 5.0, [claim] * TIMES


def first_lines(text: str) -> Ask:
    """The answer to a keystroke: the first lines, with those in sight."""
    return lambda store: listing(store, Asked(text), array("q"), (), FIRST)


def page_of(keys: array[int], start: int) -> Ask:
    """Lines further down."""
    return lambda store: models.rows_of(store, keys[start : start + PAGE])


def in_full(key: int) -> Ask:
    """What the page of a finding shows."""
    return lambda store: feed.detail(store, key)


def is_filter(text: str) -> bool:
    """Whether the window asks for it: half a term is not looked for."""
    return feed.check_filter(text).valid


def claim(store: Store) -> object:
    return leases.claim(store, "host:1:0", 600.0)


if __name__ == "__main__":
    raise SystemExit(main())
