"""What would change a verdict: something to do for every basis, and nothing invented for audits from before."""

from __future__ import annotations

from dataclasses import replace

import pytest
import study_factories as factories

from dife_scanner.core.verdict import drawings_needed
from dife_scanner.records import Basis, Channel, Decision, NotSearched, Origin, SignatureResult, Verdict
from dife_scanner.sentences.basis import CHANGES, why, would_change
from dife_scanner.sentences.checks import NOT_RECORDED

FOUND = SignatureResult(factories.PATCH, 0.9, 0.9, 0.1, 0.25, 0.5, 2, Origin.DISCOVERED, area=0.02)
FAINT = NotSearched("faint", Channel.IMAGE, ("a faint pattern",), "one half has 0 pictures; 2 are needed")


def audit(basis: Basis, verdict: Verdict = Verdict.INCONCLUSIVE, **given):
    decision = Decision(verdict, basis, given.pop("hypothesis", ""), beyond=given.pop("beyond", None))
    return factories.audit(signatures=(FOUND,), verdict=verdict, decision=decision, **given)


@pytest.mark.parametrize("basis", list(Basis))
def test_every_basis_says_what_it_rests_on_and_what_would_change_it(basis):
    record = audit(basis, not_searched=(FAINT,))
    assert why(record).lower().startswith(basis.value.lower())
    assert would_change(record) and not would_change(record).endswith(".")
    assert set(CHANGES) == set(Basis)


def test_too_few_drawings_says_how_many_more_it_takes():
    record = audit(Basis.TOO_FEW_DRAWINGS, hypothesis="white-square")
    lacking = drawings_needed(FOUND.lift, 1) - 2
    assert f"about {lacking} more drawings: `dife scan … --pictures`" in would_change(record)


@pytest.mark.parametrize(("budget", "deeper"), [("quick", "default"), ("default", "deep")])
def test_nothing_found_asks_for_the_next_budget(budget, deeper):
    text = would_change(audit(Basis.NOTHING, Verdict.NOTHING_FOUND, budget=budget))
    assert f"`dife scan … --budget {deeper}`" in text


def test_at_the_deepest_budget_only_a_trigger_of_your_own_is_left():
    text = would_change(audit(Basis.NOTHING, Verdict.NOTHING_FOUND, budget="deep"))
    assert text == "a trigger file of your own (`dife scan … --triggers`)"


def test_what_could_not_be_searched_is_named():
    assert "one half has 0 pictures" in would_change(audit(Basis.SEARCHES_MISSING, not_searched=(FAINT,)))


def test_an_inherited_trigger_tells_what_is_beyond_it():
    beyond = Decision(Verdict.NOTHING_FOUND, Basis.NOTHING)
    record = audit(Basis.INHERITED, Verdict.INHERITED, hypothesis="white-square", beyond=beyond)
    assert "beyond that, no hypothesis that passed every check" in why(record)
    assert "beyond that, a deeper budget" in would_change(record)


def test_of_an_audit_from_before_nothing_is_made_up():
    record = replace(audit(Basis.NOTHING), decision=None, reason="because")
    assert (why(record), would_change(record)) == ("because", NOT_RECORDED)
