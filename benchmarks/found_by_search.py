"""How many attacks of the benchmark each search finds where it runs, and what that takes: the source of
`audit/time_plan.py`'s table.

    python benchmarks/found_by_search.py

A search has found an attack where the model is flagged and one of its own candidates has the effect that a
demonstration needs.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from dife_scanner import discovery
from dife_scanner.core.checks import DEMONSTRATED_EFFECT
from dife_scanner.lab.bench.rows import files
from dife_scanner.lab.bench.rows.records import AUDITED, Row
from dife_scanner.lab.bench.zoo import Role

ROWS = Path(__file__).parent / "rows"


@dataclass
class Tally:
    """Of one search, over the attacks in which it ran."""

    attacks: int = 0
    found: int = 0
    alone: int = 0
    """Found by no other search of the same channel."""
    seconds: float = 0.0
    passes: int = 0


def tallied(rows: list[Row]) -> dict[str, Tally]:
    """By search, of the attacks that all searches of a budget were asked to find."""
    found: dict[str, Tally] = defaultdict(Tally)
    for row in rows:
        if row.role is not Role.ATTACK or row.outcome is None or row.status != AUDITED:
            continue
        if len(row.code.detectors) < len(discovery.names(row.code.budget)):
            continue
        strong = {one.detector for one in row.outcome.searches if one.best >= DEMONSTRATED_EFFECT}
        for one in row.outcome.searches:
            mine = found[one.detector]
            mine.attacks += 1
            mine.seconds += one.seconds
            mine.passes += one.passes
            others = {
                other.detector
                for other in row.outcome.searches
                if other.channel is one.channel and other.detector != one.detector
            }
            if row.flagged and one.detector in strong:
                mine.found += 1
                mine.alone += not (strong & others)
    return found


def main() -> None:
    """Print a line per search."""
    print("search            attacks  found  by it alone  seconds each  found per 1,000 s")
    for name, one in sorted(tallied(list(files.read(ROWS))).items()):
        per = 1000 * one.found / one.seconds
        each = one.seconds / one.attacks
        print(
            f"{name:16}  {one.attacks:7}  {one.found:5}  {one.alone:11}  {each:12.1f}  {per:17.1f}"
        )


if __name__ == "__main__":
    main()
