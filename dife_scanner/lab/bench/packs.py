"""What committed rows say to audits elsewhere: a calibration pack, and a table of what was found among the planted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dife_scanner.audit.plan import Plan
from dife_scanner.baselines import calibration
from dife_scanner.core.calibration import Benign, Pack, PowerTable, Searched
from dife_scanner.errors import UsageError
from dife_scanner.lab.bench.results import benign_kind, counted_benign, score
from dife_scanner.lab.bench.rows import Code, Row
from dife_scanner.lab.bench.zoo import Part, Role
from dife_scanner.records import Budget, Channel, Planted, Reference, TriggerKind

OUT_OF_REACH = (
    "dormant and semantic triggers",
    "natural words that mean what they do",
    "patterns that pictures of one class alone obey",
    "texts of more than four tokens",
    "patterns on pictures that a text tower alone answers, for less than three quarters of them",
)
"""What no search is made for, whatever was planted (docs/discovery.md)."""
_HALVES = frozenset({TriggerKind.OVERLAY, TriggerKind.PROMPT})
"""Kinds that nobody plants in a checkpoint: a search hands over what it found as the one; the other is a file that may
come along, and has a detector of its own, of which this table does not speak."""


def searched(base: Reference, code: Code) -> Searched:
    """What the scores of rows by this code depend on."""
    plan = Plan((), Budget(code.budget), detectors=code.detectors)
    return replace(calibration.searched(base, plan), discovery=code.discovery)


def alike(rows: Sequence[Row], code: Code) -> list[Row]:
    """Rows of the same zoo, budget, version of the discovery and detectors; the source files may have changed."""
    return [
        row
        for row in rows
        if (row.code.zoo, row.code.budget, row.code.discovery, row.code.detectors)
        == (code.zoo, code.budget, code.discovery, code.detectors)
    ]


def pack_of(rows: Sequence[Row], base: Reference, code: Code) -> Pack:
    """The pack of the calibration side, its rate of false alarms bounded on the test side.

    `UsageError` where no row that this code made is on the calibration side.
    """
    benign = alike(counted_benign(rows), code)
    mine = [row for row in benign if row.part is Part.CALIBRATE]
    test = [row for row in benign if row.part is Part.TEST]
    if not mine:
        raise UsageError(
            f"no benign row calibrates the budget {code.budget} with the detectors {', '.join(code.detectors)}",
            "make rows with `dife lab bench` first",
        )
    return pack(f"{base.name}-{code.budget}", base, code, mine, test)


def pack(name: str, base: Reference, code: Code, models: Sequence[Row], tested: Sequence[Row]) -> Pack:
    """The scores of `models`; `tested` bound the rate of false alarms."""
    return Pack(
        name,
        base.name,
        searched(base, code),
        "+".join(sorted({row.code.digest for row in models})),
        max(row.made_on for row in models),
        tuple(Benign(benign_kind(row), score(row)) for row in models),
        len(tested),
        sum(row.flagged for row in tested),
    )


def power_of(rows: Sequence[Row], base: Reference, code: Code) -> PowerTable | None:
    """How many validly planted triggers of the test side were flagged, by kind and channel; `None` without any.

    Leave rows of sealed families out beforehand.
    """
    mine = [
        row
        for row in alike(rows, code)
        if row.role is Role.ATTACK and row.part is Part.TEST and row.truth is not None and row.outcome is not None
        if row.truth.channel is not Channel.PROMPT
    ]
    if not mine:
        return None
    kinds: dict[str, list[Row]] = {}
    for row in mine:
        kinds.setdefault(planted_kind(row), []).append(row)
    planted = tuple(Planted(kind, sum(r.flagged for r in some), len(some)) for kind, some in sorted(kinds.items()))
    there = {str(row.truth.trigger["kind"]) for row in mine if row.truth is not None}
    lacking = tuple(kind.value for kind in TriggerKind if kind.value not in there and kind not in _HALVES)
    return PowerTable(
        base.name,
        searched(base, code),
        max(row.made_on for row in mine),
        "test side of the benchmark, implants that work",
        planted,
        (*lacking, *OUT_OF_REACH),
    )


def planted_kind(row: Row) -> str:
    """`patch through image`, or `text with a patch`."""
    assert row.truth is not None
    trigger = row.truth.trigger
    if "image" in trigger:
        return f"{trigger['kind']} with a {trigger['image']['kind']}"
    return f"{trigger['kind']} through {row.truth.channel}"
