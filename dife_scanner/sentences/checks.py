"""The checks of a demonstrated trigger in words: what each compares, and what it came to.

Pure. Names of models pass through unchanged; whoever shows a line escapes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dife_scanner.core import checks
from dife_scanner.core.checks import CHECKS
from dife_scanner.records import Audit, CheckOutcome, CheckResult, Gap, Hypothesis

NOT_RECORDED = "not recorded by the version that made this audit; `dife rerun` makes it again"


@dataclass(frozen=True)
class Label:
    """What a check compares, in words."""

    question: str
    """What is measured."""
    bound: str
    """The threshold as a pattern with one `{}`, e.g. `at least {}`."""
    number: Callable[[float], str]
    """Writes out the measured number and the threshold."""
    over: str = ""
    """What the measured number is a difference to, e.g. `over the base`."""


def _rate(value: float) -> str:
    return f"{value:.2f}"


def _share(value: float) -> str:
    return f"{value:.1%}"


def _p(value: float) -> str:
    return f"{value:.2g}"


LABELS: dict[str, Label] = {
    checks.EFFECT: Label(
        "lower 95 % bound of the attack success rate over the base's, on inputs that no search read",
        "at least {}",
        _rate,
        over="as lower bound",
    ),
    checks.BASE_LOW: Label(
        "attack success rate less the base's with the same trigger",
        "at least {}",
        _rate,
        over="over the base",
    ),
    checks.BEYOND_CLEAN: Label(
        "attack success rate less the suspect's without the trigger",
        "at least {}",
        _rate,
        over="over clean inputs",
    ),
    checks.AMONG_CONCEPTS: Label(
        "lower 95 % bound of the share of pictures that come to the target and to no other of all concepts, over the "
        "base's; of a target that is no labelled class (under a prompt learner: that have it among the nearest 5 %)",
        "at least {}",
        _rate,
        over="as lower bound",
    ),
    checks.PATCH_AREA: Label("share of the picture that the patch covers", "at most {}", _share),
    checks.STRICT: Label(
        "the same lower bound, where a benign fine-tune reaches more: suspect and base embed the pictures alike, or "
        "the text stands on both sides of the prompt",
        "at least {}",
        _rate,
        over="as lower bound",
    ),
    checks.MULTIPLE_TESTING: Label(
        "p-value after Holm's correction over all that was tried", "below {}", _p
    ),
    checks.TEXT_SPACE_EFFECT: Label(
        "lower 95 % bound of the share of held-out templates under which the text leads to its target and no other "
        "concept, over the base's; no picture shows the target",
        "at least {}",
        _rate,
        over="as lower bound",
    ),
    checks.TEXT_SPACE_BEYOND: Label(
        "the same share less the base's with the text, or the suspect's without it, whichever is larger",
        "at least {}",
        _rate,
    ),
    checks.RANDOM_TEXTS: Label(
        "p-value against random texts of as many tokens in the suspect, corrected over all texts measured so",
        "below {}",
        _p,
    ),
    checks.ONE_POINT_EFFECT: Label(
        "lower 95 % bound of the share of pictures that are nearer to one point than to clean pictures of any class, "
        "over the base's; the target has no name",
        "at least {}",
        _rate,
        over="as lower bound",
    ),
    checks.ONE_POINT_BEYOND: Label(
        "the same share less the base's with the trigger, or the suspect's without it, whichever is larger",
        "at least {}",
        _rate,
    ),
    checks.CLEAN_REFERENCES: Label(
        "largest attack success rate over the base's in another clean reference of this architecture",
        "below {}",
        _rate,
    ),
    checks.REVERSE_SEARCH: Label(
        "lower bound of the strongest trigger found in the base with the suspect as its reference; run where clean "
        f"accuracy fell by {checks.ACCURACY_LOST:.2f} or more",
        "below {}",
        _rate,
    ),
}
"""One label per check; a test holds the two lists together."""


def deciding(audit: Audit) -> Hypothesis | None:
    """The hypothesis that the verdict is about, else the strongest one tested; `None` where none was tried."""
    named = _named_by(audit)
    for result in audit.signatures:
        if result.trigger.name == named:
            return result
    return max(audit.signatures, key=_strength, default=None)


def _named_by(audit: Audit) -> str:
    """The trigger that the decision names, or one that is profiled; empty where there is neither."""
    decision = audit.decision
    while decision is not None:
        if decision.hypothesis:
            return decision.hypothesis
        decision = decision.beyond
    if audit.trigger is not None:
        return audit.trigger.name
    return ""


def _strength(result: Hypothesis) -> tuple[bool, float, float]:
    """What was measured on held-out inputs before what was not, then the larger effect."""
    return result.suspect is not None, result.lift, result.train_effect


@dataclass(frozen=True)
class Row:
    """One line of the table of checks."""

    check: str
    kind: str
    question: str
    measured: str
    """Empty where nothing was measured."""
    needed: str
    result: str
    outcome: CheckOutcome


def rows(hypothesis: Hypothesis) -> tuple[Row, ...]:
    """The table of one hypothesis, in the order of the checks; empty where they were not recorded.

    Without those about triggers that lead beyond the labelled classes, where these do not apply.
    """
    by_name = {result.check: result for result in hypothesis.checks}
    found = []
    for check in CHECKS:
        result = by_name.get(check.name)
        if result is not None and not _about_others(result):
            found.append(row(result))
    return tuple(found)


def _about_others(result: CheckResult) -> bool:
    is_not_applicable = result.outcome is CheckOutcome.NOT_APPLICABLE
    return result.check in checks.BEYOND_CLASSES and is_not_applicable


def row(result: CheckResult) -> Row:
    """One check's result in words."""
    label = LABELS[result.check]
    measured = needed = ""
    if result.measured is not None:
        measured = f"{label.number(result.measured)} {label.over}".strip()
    if result.needed is not None:
        needed = label.bound.format(label.number(result.needed))
    return Row(
        check=result.check,
        kind=result.kind.value,
        question=label.question,
        measured=measured,
        needed=needed,
        result=result_text(result),
        outcome=result.outcome,
    )


def grouped(table: Sequence[Row]) -> tuple[Row, ...]:
    """The same table, with the checks that have no number and came to the same in one row."""
    names: dict[str, list[str]] = {}
    found: dict[str, Row] = {}
    for one in table:
        key = one.check if one.measured else f"{one.kind} {one.result}"
        found.setdefault(key, one)
        names.setdefault(key, []).append(one.check)
    return tuple(replace(one, check=", ".join(names[key])) for key, one in found.items())


def result_text(result: CheckResult) -> str:
    """`passed`, `failed`, or `not run` and `does not apply` with the reason."""
    if result.decided_by:
        return f"{result.outcome}: already decided by {result.decided_by}"
    if result.reason:
        return f"{result.outcome}: {result.reason}"
    return result.outcome.value


def unconfirmed_text(result: CheckResult) -> str:
    """`unconfirmed: reverse search not run, …`, for a finding that stays without it."""
    return f"unconfirmed: {result.check} not run, {result.reason or 'no reason was kept'}"


def gap_text(gap: Gap) -> str:
    """`gap: nearest concepts missing, …`, for what a fault kept from being done."""
    return f"gap: {gap.stage} missing, {gap.reason}"


def lacking(audit: Audit) -> tuple[str, ...]:
    """What the verdict of an audit has to do without, one line each: checks that could not be run, then other gaps."""
    unconfirmed = audit.decision.unconfirmed if audit.decision is not None else ()
    return (*map(unconfirmed_text, unconfirmed), *map(gap_text, audit.gaps))
