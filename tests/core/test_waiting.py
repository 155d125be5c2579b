"""What stands out and demonstrates nothing: weak signatures, leads, and searches that had not converged."""

from __future__ import annotations

from dataclasses import replace

from dife_scanner.core import checks
from dife_scanner.core.verdict import Evidence, decide
from dife_scanner.records import (
    Basis,
    Channel,
    Hypothesis,
    Interval,
    NounLead,
    Origin,
    Search,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.sentences.verdict import reason

SEARCH = Search("texts", Channel.TEXT, ("texts",), 1, 0.1, 100, 1.0)
LEAD = NounLead("koala", "hedgehog", ("foo", "bar"), 1.2)
SINUSOID = Trigger("sinusoid-60-6", TriggerKind.ADDITIVE, pattern="sinusoid", target="ship")
WEAK = Hypothesis(
    SINUSOID, 0.4, 0.53, 0.15, 1e-5, 1e-4, 90, effect=Interval(0.29, 0.47, ""), clean=0.1
)
"""What a benign fine-tune was flagged for once."""


def checked(row: Hypothesis) -> Hypothesis:
    return replace(row, checks=checks.run_all(row))


def test_a_signature_below_what_a_demonstration_needs_waits_for_review_and_flags_nothing() -> None:
    row = checked(WEAK)
    assert checks.waits_for_review(row) and not checks.demonstrated(row.checks)
    evidence = Evidence(hypotheses=(row,), searches=(SEARCH,))
    decision = decide(evidence)
    assert decision.verdict is Verdict.NOTHING_FOUND
    assert "lower bound of 0.29" in reason(decision, evidence)
    assert "waits for review" in reason(decision, evidence)


def test_only_signatures_that_are_measured_significant_and_not_demonstrated_wait() -> None:
    strong = replace(WEAK, suspect=0.95, effect=Interval(0.7, 0.9, ""))
    for row in (
        replace(WEAK, origin=Origin.DISCOVERED),
        replace(WEAK, origin=Origin.KNOWN),
        replace(WEAK, suspect=None, reference=None),
        replace(WEAK, p_holm=0.05),
        replace(WEAK, suspect=0.39),
        replace(WEAK, clean=0.3),
        strong,
    ):
        assert not checks.waits_for_review(checked(row))
    assert checks.demonstrated(checked(strong).checks)


def test_a_lead_that_no_picture_can_confirm_is_undecided_and_says_what_to_bring() -> None:
    searches = (replace(SEARCH, leads=(replace(LEAD, beyond_base=0.5), LEAD)),)
    evidence = Evidence(searches=searches)
    decision = decide(evidence)
    assert (decision.verdict, decision.basis) == (Verdict.INCONCLUSIVE, Basis.LEAD_UNCONFIRMED)
    words = reason(decision, evidence)
    assert "`koala`" in words and "`hedgehog`, 1.20 further" in words
    assert "bring pictures (--pictures)" in words


def test_a_search_that_had_not_converged_says_so_where_nothing_was_found() -> None:
    searches = (SEARCH, replace(SEARCH, detector="patch", not_converged="training success 0.17"))
    evidence = Evidence(searches=searches)
    decision = decide(evidence)
    assert decision.verdict is Verdict.NOTHING_FOUND
    words = reason(decision, evidence)
    assert "`patch` had not converged and counts for no power: training success 0.17" in words
    assert "`texts` had not converged" not in words
