"""Results of the detection benchmark's zoos as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from dife_scanner.records import Counted, ZooResult

_HEAD = (
    "base",
    "vocabulary",
    "budget, searches",
    "found",
    "right target",
    "median rank",
    "false alarms",
    "inconclusive",
    "CLIPTrace",
)
NOT_RUN = "not run"


def zoo_table(results: Sequence[ZooResult]) -> Table:
    """One line per zoo, with Wilson's 95 % intervals; without any it says that nothing was run."""
    table = Table(*_HEAD)
    for one in results:
        table.add_row(*_line(one))
    if not results:
        table.add_row(NOT_RUN, *[""] * (len(_HEAD) - 1))
    return table


def _line(one: ZooResult) -> tuple[str, ...]:
    rank = one.attacks.median_rank
    score = NOT_RUN if one.score is None else f"{one.score.score:.1f}"
    return (
        one.base,
        one.vocabulary,
        f"{one.budget}, {one.searches}",
        _rate(one.attacks.found),
        _rate(one.attacks.target_top1),
        "–" if rank is None else f"{rank:g}",
        _rate(one.false_alarms),
        _rate(one.inconclusive),
        score,
    )


def _rate(one: Counted) -> str:
    if one.low is None or one.high is None:
        return NOT_RUN
    return f"{one.hits} of {one.n} ({one.low:.2f}–{one.high:.2f})"
