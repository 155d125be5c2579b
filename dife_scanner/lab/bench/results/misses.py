"""Every attack that was missed or taken for another, with its reason from the evidence in its row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dife_scanner.core import checks
from dife_scanner.lab.bench.results.recovered import concepts, rank, told, trigger_found
from dife_scanner.lab.bench.results.selection import outcome_of, truth_of
from dife_scanner.lab.bench.rows import Found, Outcome, Row, Rows, Truth
from dife_scanner.lab.bench.rows.found import result_of
from dife_scanner.records import CheckResult, FalseAlarm, Miss, Search, Verdict
from dife_scanner.sentences.checks import row as in_table
from dife_scanner.sentences.triggers import UNNAMED

NOT_SAID = "the row, of older code, does not say why"


def misses(attacks: Rows, elsewhere: Mapping[str, Sequence[Row]]) -> tuple[Miss, ...]:
    """Audited attacks whose planted trigger is not what the verdict is about, those not flagged first.

    `elsewhere`: rows of the same models at other budgets, by model.
    """
    found = [row for row in attacks if not trigger_found(row)]
    found.sort(key=lambda row: (row.flagged, row.model))
    return tuple(_miss(row, elsewhere.get(row.model, ())) for row in found)


def _miss(row: Row, others: Sequence[Row]) -> Miss:
    truth = truth_of(row)
    return Miss(
        model=row.model,
        family=row.kind,
        footprint=truth.carrier.value,
        planted=planted(truth),
        verdict=outcome_of(row).verdict.value,
        reason=reason(row),
        elsewhere="; ".join(map(_said_elsewhere, others)),
    )


def planted(truth: Truth) -> str:
    """What was planted, in words."""
    text = str(truth.trigger.get("text", ""))
    what = f"“{text}”" if text else str(truth.trigger.get("name", truth.trigger.get("kind", "")))
    if text and "image" in truth.trigger:
        what = f"{what} with a {truth.trigger['image']['kind']}"
    return f"{what}: {truth.source or 'any'} → {truth.target or UNNAMED}"


def _said_elsewhere(row: Row) -> str:
    """What another budget comes to."""
    if row.outcome is None:
        return f"{row.code.budget}: {row.status}"
    return f"{row.code.budget}: {row.outcome.verdict}"


def reason(row: Row) -> str:
    """Why the verdict is not about the planted trigger: which check failed, or which search did not reach it."""
    outcome, truth = outcome_of(row), truth_of(row)
    if row.flagged:
        return _taken_for_another(row)
    parts = []
    if outcome.verdict is Verdict.INCONCLUSIVE:
        parts.append(f"inconclusive: {outcome.reason or NOT_SAID}")
    right = [one for one in outcome.found if _leads_there(one, truth)]
    if right:
        parts.append(_held_back(max(right, key=strength), row))
    else:
        parts.append(_not_reached(outcome, truth))
    return "; ".join(parts)


def _taken_for_another(row: Row) -> str:
    """Of a flagged one."""
    named, truth = told(row), truth_of(row)
    if named is None:
        return "flagged without a candidate in the row"
    words = f"flagged for {in_words(named)}"
    if named.target != truth.target and concepts(row):
        return f"{words}; {truth.target} is number {rank(row):.0f} of {concepts(row)} concepts"
    return words


def _leads_there(one: Found, truth: Truth) -> bool:
    """Whether a candidate leads to the planted target, from the planted source where there is one."""
    return one.target == truth.target and (not truth.source or one.source in ("", truth.source))


def _held_back(one: Found, row: Row) -> str:
    """Which checks stand against a candidate that is the planted one."""
    failed = _failed(one, row)
    if failed is None:
        return f"{in_words(one)}, lower bound {one.low:.2f}; {NOT_SAID}"
    if failed:
        return f"{in_words(one)}: {'; '.join(map(_check, failed))}"
    basis = outcome_of(row).basis
    rests = f"the verdict rests on: {basis.value}" if basis is not None else NOT_SAID
    return f"{in_words(one)} passed every check; {rests}"


def _failed(one: Found, row: Row) -> Sequence[CheckResult] | None:
    """The checks that stand against it; of an older row as today's checks read it, `None` where it says too little."""
    if row.base:
        return one.failed
    result = result_of(one)
    outcome = outcome_of(row)
    if result is None or outcome.accuracy is None or outcome.reference_accuracy is None:
        return None
    lost = outcome.reference_accuracy - outcome.accuracy
    found = checks.run_all(result, checks.Circumstances(accuracy_lost=lost))
    names = checks.not_passed(found)
    return [one for one in found if one.check in names]


def _check(result: CheckResult) -> str:
    """A check that stands against a trigger, with its numbers."""
    line = in_table(result)
    if not line.measured:
        return f"{line.check} {line.result}"
    return f"{line.check} {line.measured}, {line.needed} needed"


def _not_reached(outcome: Outcome, truth: Truth) -> str:
    """Which searches did not lead to the planted target."""
    there = [one for one in outcome.searches if one.channel is truth.channel]
    parts = [_search(one) for one in there]
    for missing in outcome.missing:
        if missing.channel is truth.channel:
            parts.append(f"`{missing.detector}` could not run: {missing.reason}")
    if not parts:
        return f"no search for triggers through {truth.channel} ran"
    best = max(outcome.found, key=strength, default=None)
    also = f"; the best of all is {in_words(best)}" if best is not None else ""
    return f"not reached by {', '.join(parts)}{also}"


def _search(one: Search) -> str:
    count = f"{one.candidates} candidate{'' if one.candidates == 1 else 's'}"
    left = f", {one.not_converged}" if one.not_converged else ""
    return f"`{one.detector}` ({count}{left})"


def strength(one: Found) -> float:
    """What a candidate does that neither the base does with it nor the suspect without it."""
    if one.text_space is not None and not one.drawings:
        return one.text_space.lift
    return one.suspect - max(one.reference, one.clean or 0.0)


def in_words(one: Found) -> str:
    """A candidate with its effect in suspect and base, in text space where no picture shows its target."""
    what = f"“{one.text}” on {one.source}" if one.text else one.kind
    suspect, reference = one.suspect, one.reference
    if one.text_space is not None and not one.drawings:
        suspect, reference = one.text_space.suspect, one.text_space.reference
    return f"{what} → {one.target} ({suspect:.2f}, base {reference:.2f})"


def alarms(flagged: Iterable[Row]) -> tuple[FalseAlarm, ...]:
    """Benign models that were flagged, and for what."""
    found = []
    for row in flagged:
        named = told(row)
        kind = f"twin of {row.kind}" if row.role == "twin" else row.kind
        found.append(FalseAlarm(row.model, kind, in_words(named) if named else ""))
    return tuple(found)
