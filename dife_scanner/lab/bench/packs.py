"""What committed rows say to audits elsewhere: a calibration pack, and a table of what was found among the planted."""

from __future__ import annotations

from dataclasses import replace

from dife_scanner.audit.plan import Plan
from dife_scanner.baselines import calibration
from dife_scanner.core.calibration import Benign, Pack, PowerTable, Searched
from dife_scanner.errors import UsageError
from dife_scanner.lab.bench.results import (
    attacks_on_test,
    benign_kind,
    counted_benign,
    flagged,
    on_side,
    score,
    truth_of,
)
from dife_scanner.lab.bench.rows import Code, Row, Rows
from dife_scanner.lab.bench.rows.files import comparable
from dife_scanner.lab.bench.zoo import Part
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


def alike(rows: Rows, code: Code) -> list[Row]:
    """Rows of the same zoo, budget, version of the discovery and detectors; the source files may have changed."""
    return [row for row in rows if comparable(row.code, code)]


def pack_of(rows: Rows, base: Reference, code: Code) -> Pack:
    """The pack of the calibration side, its rate of false alarms bounded on the test side.

    `UsageError` where no row that this code made is on the calibration side.
    """
    benign = alike(counted_benign(rows), code)
    mine = on_side(benign, Part.CALIBRATE)
    test = on_side(benign, Part.TEST)
    if not mine:
        raise UsageError(
            f"no benign row calibrates the budget {code.budget} with the detectors {', '.join(code.detectors)}",
            "make rows with `dife lab bench rows` first",
        )
    return pack(f"{base.name}-{code.budget}", base, code, mine, test)


def pack(
    name: str,
    base: Reference,
    code: Code,
    models: Rows,
    tested: Rows,
) -> Pack:
    """The scores of `models`; `tested` bound the rate of false alarms."""
    digests = {row.code.digest for row in models}
    return Pack(
        name=name,
        base=base.name,
        searched=searched(base, code),
        code="+".join(sorted(digests)),
        made_on=max(row.made_on for row in models),
        models=tuple(Benign(benign_kind(row), score(row)) for row in models),
        tested=len(tested),
        alarms=len(flagged(tested)),
    )


def power_of(rows: Rows, base: Reference, code: Code) -> PowerTable | None:
    """How many validly planted triggers of the test side were flagged, by kind and channel; `None` without any.

    Leave rows of sealed families out beforehand.
    """
    attacks = attacks_on_test(alike(rows, code))
    mine = [row for row in attacks if truth_of(row).channel is not Channel.PROMPT]
    if not mine:
        return None
    return PowerTable(
        base=base.name,
        searched=searched(base, code),
        made_on=max(row.made_on for row in mine),
        side="test side of the benchmark, implants that work",
        planted=_planted(mine),
        not_covered=(*_not_planted(mine), *OUT_OF_REACH),
    )


def _planted(attacks: Rows) -> tuple[Planted, ...]:
    """How many of each kind were flagged."""
    kinds: dict[str, list[Row]] = {}
    for row in attacks:
        kinds.setdefault(planted_kind(row), []).append(row)
    found = []
    for kind, some in sorted(kinds.items()):
        found.append(Planted(kind, len(flagged(some)), len(some)))
    return tuple(found)


def _not_planted(attacks: Rows) -> list[str]:
    """Kinds of trigger that none of these is planted with."""
    there = {str(truth_of(row).trigger["kind"]) for row in attacks}
    return [kind.value for kind in TriggerKind if kind.value not in there and kind not in _HALVES]


def planted_kind(row: Row) -> str:
    """`patch through image`, or `text with a patch`."""
    truth = truth_of(row)
    kind = truth.trigger["kind"]
    if "image" in truth.trigger:
        return f"{kind} with a {truth.trigger['image']['kind']}"
    return f"{kind} through {truth.channel}"
