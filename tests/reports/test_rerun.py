"""Two audits compared: the same bits are identical, the last bit is not, and what may lie behind it is said."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
import study_factories as factories
from rich.console import Console

from dife_scanner.core.checks import run_all
from dife_scanner.records import (
    Basis,
    Change,
    Decision,
    EvidenceFile,
    Hypothesis,
    Interval,
    LayerChange,
    RankedItem,
    Ranking,
    ReverseSearch,
    StoredPlan,
    TextSpace,
    Token,
    Tokens,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.reports import rerun

PLAN = StoredPlan(
    "default", 0, (Trigger("word", TriggerKind.TEXT, text="cf"),), ("texts",), "p", "q", ("e",)
)


@pytest.fixture(scope="module")
def stored():
    manifest = EvidenceFile("aa" * 32, "application/json", "pool-manifest", "captions")
    picture = EvidenceFile("bb" * 32, "image/png", "trigger", "white square")
    return factories.audit(evidence=(manifest, picture), plan=PLAN)


def said(stored, found):
    console = Console(file=io.StringIO(), width=160, no_color=True)
    console.print(rerun.render(stored, found))
    return console.file.getvalue()


def with_cell(audit, place, **changes):
    profile = list(audit.profile)
    profile[place] = replace(profile[place], **changes)
    return replace(audit, profile=tuple(profile))


def test_another_run_of_the_same_is_identical(stored):
    again = replace(
        stored, id="other", started_at="2027", seconds=99.0, encodes=0, device="cuda:0", versions={}
    )
    found = rerun.compare(stored, again)
    assert found.identical and found.reasons == ()
    assert found.compared > 15 * 8
    assert "identical" in said(stored, found) and "bit for bit" in said(stored, found)


def test_what_an_exchange_came_to_is_compared_and_the_time_it_took_is_not(stored):
    def exchanged(**values):
        patch = Trigger("found-patch-1", TriggerKind.PATCH, target="ship")
        row = Hypothesis(
            patch, 0.9, exchanged=ReverseSearch(**{"passes": 9, "seconds": 1.0, **values})
        )
        return replace(stored, signatures=(row,))

    assert rerun.compare(exchanged(), exchanged(seconds=2.0)).identical
    (one,) = rerun.compare(exchanged(), exchanged(low=0.4)).differences
    assert one.where.endswith("exchanged · low")


def test_one_bit_in_one_cell_is_found_and_named(stored):
    cell = stored.profile[3]
    moved = replace(cell.attack, value=math.nextafter(cell.attack.value, 1.0))
    found = rerun.compare(stored, with_cell(stored, 3, attack=moved))
    (one,) = found.differences
    assert one.where == f"profile · {cell.interface} {cell.metric} · attack · value"
    assert (float(one.stored), float(one.again)) == (cell.attack.value, moved.value)
    assert one.where in said(stored, found)


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        (lambda a: replace(a, branch_swap=replace(a.branch_swap, a10=0.5)), "branch_swap · a10"),
        (
            lambda a: with_cell(a, 0, drift=Change(0.02, Interval(0, 0.1, "x"))),
            "profile · zero-shot classification TS · drift",
        ),
        (
            lambda a: replace(a, evidence=(replace(a.evidence[0], sha256="cc" * 32),)),
            "pools · captions · sha256",
        ),
        (lambda a: replace(a, verdict=Verdict.INCONCLUSIVE), "verdict"),
        (lambda a: replace(a, clean_accuracy=None), "clean_accuracy"),
    ],
)
def test_whatever_was_measured_counts(stored, changed, where):
    found = rerun.compare(stored, changed(stored))
    assert not found.identical
    assert all(one.where.startswith(where) for one in found.differences)


def test_a_picture_is_no_measurement(stored):
    assert rerun.compare(stored, replace(stored, evidence=stored.evidence[:1])).identical


def test_other_words_for_the_same_values_are_no_difference(stored):
    reworded = replace(stored, reason="other words", agreement="other words", notes=("more",))
    assert rerun.compare(stored, reworded).identical


def test_of_an_audit_without_checks_they_are_not_compared(stored):
    assert stored.decision is None
    decided = Decision(stored.verdict, Basis.EXPOSED_FOOTPRINT)
    checked = tuple(replace(one, checks=run_all(one)) for one in stored.signatures)
    again = replace(stored, decision=decided, signatures=checked)
    found = rerun.compare(stored, again)
    assert found.identical and rerun.NO_CHECKS in found.notes
    assert not rerun.compare(again, replace(again, decision=None)).identical


def test_what_is_shown_beside_is_compared_where_both_recorded_it(stored):
    """An audit from before does not differ for what was not kept then; one that has it differs where it changes."""
    space = TextSpace(1.0, 0.0, 0.0, Interval(1.0, 1.0, ""), 22, 9, 200, 0, 1 / 201)
    measured = Hypothesis(stored.trigger, 1.0, text_space=space)
    old = replace(stored, signatures=(measured,))
    chance = replace(measured, text_space=replace(space, by_chance=(200, *[0] * 22)))
    new = replace(
        old,
        signatures=(chance,),
        trigger_tokens=Tokens("xbtd", 1, (Token(7, "xbtd "),)),
        layers=(LayerChange("text", "ln_final", 0.5),),
        rankings=(Ranking("targeted retrieval", "a", "x a", 1, 2, (RankedItem("b", True, 2, 1),)),),
    )
    found = rerun.compare(old, new)
    assert found.identical and rerun.NOT_SHOWN in found.notes
    assert rerun.compare(new, new).notes == rerun.compare(stored, stored).notes
    other = replace(new, layers=(LayerChange("text", "ln_final", 0.25),))
    (difference,) = rerun.compare(new, other).differences
    assert "layers" in difference.where


def test_a_missing_cell_is_one_difference_and_shifts_no_other(stored):
    gone = stored.profile[2]
    less = replace(stored, profile=stored.profile[:2] + stored.profile[3:])
    name = f"profile · {gone.interface} {gone.metric}"
    assert rerun.compare(stored, less).differences == (rerun.Difference(name, "there", "absent"),)
    assert rerun.compare(less, stored).differences == (rerun.Difference(name, "absent", "there"),)


def test_reasons_name_what_is_not_as_it_was(stored):
    other = replace(
        stored,
        reason="x",
        device="cuda:0",
        versions={"torch": "2.11.0"},
        audit_version="dife-3",
        identity="ee" * 32,
    )
    found = rerun.compare(stored, other)
    assert found.reasons[0] == (
        "the stored audit was made by audit version dife-2 and this program is dife-3: "
        "differences are expected to follow from its rules too"
    )
    assert f"may be because {found.reasons[0]}" in said(stored, found).splitlines()
    reasons = " ".join(found.reasons)
    assert "cuda:0" in reasons and "torch was 2.10.0, now 2.11.0" in reasons
    assert "identity" in " ".join(
        rerun.compare(stored, replace(stored, identity="ee" * 32)).reasons
    )
    changed = replace(stored, clean_accuracy=0.5)
    cached = " ".join(rerun.compare(stored, replace(changed, encodes=900)).reasons)
    assert "cache of earlier audits" in cached and "900" in cached
    assert "number of threads" in rerun.compare(stored, changed).reasons[0]


def test_a_long_list_is_cut_and_says_so(stored):
    other = replace(stored, profile=factories.profile(stored.condition, 0.5, 0.1))
    found = rerun.compare(stored, other)
    assert len(found.differences) > rerun.SHOWN
    assert f"and {len(found.differences) - rerun.SHOWN} more" in said(stored, found)


def test_of_an_audit_without_a_plan_it_is_said_that_it_was_reconstructed(stored):
    older = replace(stored, plan=None)
    assert rerun.compare(stored, stored).notes == ()
    for again in (stored, replace(stored, clean_accuracy=0.5)):
        found = rerun.compare(older, again)
        assert found.identical is (again is stored), "a plan that came later is no difference"
        assert found.notes == ("the plan was not stored with this audit; it was reconstructed",)
        assert found.notes[0] in said(older, found)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pictures": "x"}, "the request differs from the stored one in the labelled pictures"),
        (
            {"seed": 1, "pools": "x", "extensions": ()},
            "differs from the stored one in the seed, what the pools are drawn from and an extension",
        ),
        ({}, "the reference or a file next to the weights has changed"),
    ],
)
def test_what_of_the_plan_has_changed_is_named(stored, changes, told):
    again = replace(stored, identity="ee" * 32, plan=replace(PLAN, **changes))
    assert told in " ".join(rerun.compare(stored, again).reasons)
    unknown = rerun.compare(replace(stored, plan=None), again).reasons
    assert "probe set, pools or an extension are not what they were" in " ".join(unknown)
