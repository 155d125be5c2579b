"""The checks as data: what each compares, in which order nothing changes, and what a missing result means."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dife_scanner.core import checks
from dife_scanner.core.checks import CHECKS, Circumstances
from dife_scanner.records import (
    Channel,
    CheckKind,
    CheckOutcome,
    CheckResult,
    Hypothesis,
    InCleanReference,
    Interval,
    Origin,
    Position,
    ReverseSearch,
    Trigger,
    TriggerKind,
)
from dife_scanner.sentences import checks as sentences

PATCH = Trigger("found-patch-1", TriggerKind.PATCH, size=0.1, target="ship")
FOUND = Hypothesis(
    PATCH,
    0.9,
    1.0,
    0.0,
    1e-5,
    1e-4,
    90,
    Origin.DISCOVERED,
    Interval(0.9, 1.0, "paired bootstrap"),
    clean=0.0,
    area=0.02,
)
RATES = st.sampled_from((None, 0.0, 0.1, 0.24, 0.25, 0.49, 0.5, 0.6, 0.74, 0.75, 0.9, 1.0))
BOUNDS = st.sampled_from((0.0, 0.3, 0.49, 0.5, 0.6, 0.74, 0.75, 0.8, 1.0))
TEXT = Trigger("t", TriggerKind.TEXT, text="xbtd", source="cat", target="ship")


@st.composite
def hypotheses(draw):
    """Any hypothesis that an audit could hold, near and on every threshold."""
    trigger = draw(
        st.sampled_from(
            (
                PATCH,
                TEXT,
                replace(TEXT, position=Position.AROUND),
                replace(TEXT, image=PATCH, source=""),
            )
        )
    )
    near = draw(
        st.lists(
            st.builds(InCleanReference, st.just("ref"), st.just(0.1), st.just(0.9), BOUNDS),
            max_size=2,
        )
    )
    reverse = draw(
        st.none()
        | st.builds(
            lambda low, yes: ReverseSearch(10, 1.0, base=0.9, low=low, demonstrated=yes),
            BOUNDS,
            st.booleans(),
        )
    )
    bound = draw(st.none() | BOUNDS)
    origin = draw(st.sampled_from(Origin))
    some = RATES.filter(lambda rate: rate is not None)
    suspect = draw(
        some if origin is Origin.KNOWN else RATES
    )  # what somebody named is always measured
    measured = suspect is not None  # what is measured on the suspect is measured on the base
    return Hypothesis(
        trigger=trigger,
        train_effect=0.5,
        suspect=suspect,
        reference=draw(some) if measured else None,
        p_holm=draw(st.sampled_from((0.0, 0.049, 0.05, 0.2, 1.0))),
        origin=origin,
        effect=None if bound is None else Interval(bound, 1.0, ""),
        clean=draw(RATES),
        area=draw(st.sampled_from((None, 0.02, 0.1, 0.11, 0.5))),
        read_alike=draw(st.booleans()),
        near=tuple(near),
        exchanged=reverse if trigger.channel in (Channel.IMAGE, Channel.TEXT) else None,
    )


def _rule_of_dife_8(result: Hypothesis) -> bool:
    """Whether a hypothesis may decide a verdict, as audit version dife-8 has it: one boolean over fields."""
    if result.origin is Origin.KNOWN:
        return True
    moves = result.effect is not None and min(result.effect.low, result.lift) >= 0.5
    small = result.area is None or result.area <= 0.1
    around = result.trigger.channel is Channel.TEXT and result.trigger.position == "around"
    easy = result.read_alike or around
    strong = not easy or (result.effect is not None and result.effect.low >= 0.75)
    common = any(one.lift >= 0.5 for one in result.near)
    there = result.exchanged
    torn = (
        there is not None
        and result.effect is not None
        and there.demonstrated
        and there.low >= result.effect.low - 0.1
    )
    if result.origin is Origin.SIGNATURE:
        return result.suspect is not None and moves and not common and not torn
    return moves and small and strong and not common and not torn


@settings(max_examples=600)
@given(hypotheses())
def test_the_checks_decide_as_the_rule_that_they_took_the_place_of(result):
    if (
        result.exchanged is not None
        and result.effect is not None
        and 0.5 > result.exchanged.low > 0
    ):
        result = replace(
            result, exchanged=replace(result.exchanged, demonstrated=False)
        )  # below .5 nothing is
    results = checks.run_all(result)
    assert checks.open_but_for_drawings(results) == _rule_of_dife_8(result)
    assert checks.demonstrated(results) == (_rule_of_dife_8(result) and result.p_holm < 0.05)


@settings(max_examples=200)
@given(
    hypotheses(),
    st.randoms(use_true_random=False),
    st.sets(st.sampled_from([check.name for check in CHECKS])),
)
def test_a_decision_follows_from_the_set_of_results_and_a_missing_one_never_helps(
    result, rng, without
):
    results = list(checks.run_all(result))
    decided = checks.demonstrated(results), checks.not_passed(results), checks.unconfirmed(results)
    rng.shuffle(results)
    assert (
        checks.demonstrated(results),
        checks.not_passed(results),
        checks.unconfirmed(results),
    ) == decided
    left = [one for one in results if one.check not in without]
    missing_required = any(
        one.kind is CheckKind.REQUIRED and one.check in without for one in results
    )
    if missing_required:
        assert not checks.demonstrated(left)
    elif checks.demonstrated(left):
        gone = {one.check for one in results if one.check in without}
        assert gone <= {one.check for one in checks.unconfirmed(left)}


def test_what_was_demonstrated_before_a_check_was_there_stays_demonstrated():
    """Checks that came later are about what no audit found then."""
    results = [
        result for result in checks.run_all(FOUND) if result.check not in checks.BEYOND_CLASSES
    ]
    assert not checks.demonstrated(results)
    assert checks.demonstrated(checks.completed(results))
    assert checks.completed(checks.run_all(FOUND)) == checks.run_all(FOUND)
    assert checks.completed(()) == ()


def test_no_result_at_all_demonstrates_nothing():
    assert not checks.demonstrated(())
    required = tuple(check.name for check in CHECKS if check.kind is CheckKind.REQUIRED)
    assert checks.not_passed(()) == required


def test_every_check_has_a_result_whatever_failed():
    for result in (
        FOUND,
        replace(FOUND, suspect=None),
        replace(FOUND, effect=None),
        replace(FOUND, area=0.9),
    ):
        assert [one.check for one in checks.run_all(result)] == [check.name for check in CHECKS]


def test_without_a_base_nothing_is_compared_with_it():
    alone = replace(FOUND, reference=None, effect=None, p_holm=1.0)
    by_name = {one.check: one for one in checks.run_all(alone)}
    for name in (checks.EFFECT, checks.BASE_LOW, checks.MULTIPLE_TESTING):
        assert by_name[name].outcome is CheckOutcome.NOT_RUN
    assert by_name[checks.EFFECT].reason == "there is nothing to compare with"
    assert by_name[checks.BEYOND_CLEAN].outcome is CheckOutcome.PASSED


def test_what_a_failed_check_decided_already_is_not_run_and_says_so():
    known = Circumstances(clean_references=True, accuracy_lost=0.2)
    by_name = {one.check: one for one in checks.run_all(replace(FOUND, area=0.5), known)}
    assert by_name[checks.PATCH_AREA].outcome is CheckOutcome.FAILED
    for name in (checks.CLEAN_REFERENCES, checks.REVERSE_SEARCH):
        assert (
            by_name[name].outcome is CheckOutcome.NOT_RUN
            and by_name[name].decided_by == checks.PATCH_AREA
        )
        assert sentences.result_text(by_name[name]) == "not run: already decided by patch area"


def test_more_drawings_may_mend_multiple_testing_so_it_decides_no_other_check():
    by_name = {
        one.check: one for one in checks.run_all(replace(FOUND, p_holm=0.3), Circumstances(True))
    }
    assert by_name[checks.CLEAN_REFERENCES].decided_by == ""


def test_a_corroborating_check_that_could_not_run_leaves_the_finding_and_is_named():
    known = Circumstances(
        clean_references=True, unavailable={checks.CLEAN_REFERENCES: "b32: its file is gone"}
    )
    results = checks.run_all(FOUND, known)
    assert checks.demonstrated(results)
    (open_one,) = checks.unconfirmed(results)
    text = sentences.unconfirmed_text(open_one)
    assert text == "unconfirmed: other clean references not run, b32: its file is gone"


@pytest.mark.parametrize("kind", CheckKind)
def test_not_run_takes_a_demonstration_only_from_a_required_check(kind):
    results = list(checks.run_all(FOUND, Circumstances(True, 0.2)))
    for number, one in enumerate(results):
        if one.kind is kind:
            results[number] = CheckResult(
                one.check, one.kind, CheckOutcome.NOT_RUN, reason="the disk was full"
            )
    assert checks.demonstrated(results) is (kind is CheckKind.CORROBORATING)


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({"effect": Interval(0.49, 1.0, "")}, checks.EFFECT),
        ({"reference": 0.51}, checks.BASE_LOW),
        ({"clean": 0.51}, checks.BEYOND_CLEAN),
        ({"beyond_classes": True}, checks.AMONG_CONCEPTS),
        (
            {"beyond_classes": True, "among_concepts": Interval(0.49, 1.0, "")},
            checks.AMONG_CONCEPTS,
        ),
        ({"area": 0.11}, checks.PATCH_AREA),
        ({"read_alike": True, "effect": Interval(0.74, 1.0, "")}, checks.STRICT),
        ({"p_holm": 0.05}, checks.MULTIPLE_TESTING),
        (
            {"near": (InCleanReference("a", 0.1, 0.6, 0.1), InCleanReference("b", 0.2, 0.9, 0.5))},
            checks.CLEAN_REFERENCES,
        ),
        ({"exchanged": ReverseSearch(1, 1.0, low=0.8, demonstrated=True)}, checks.REVERSE_SEARCH),
    ],
)
def test_each_check_fails_for_its_own_reason_alone(change, failed):
    results = checks.run_all(replace(FOUND, **change))
    assert checks.not_passed(results) == (failed,)
    assert not checks.demonstrated(results)


def test_the_order_in_which_results_come_is_the_order_of_the_list():
    shuffled = list(checks.run_all(replace(FOUND, area=0.5, p_holm=1.0)))
    random.Random(0).shuffle(shuffled)
    assert checks.not_passed(shuffled) == (checks.PATCH_AREA, checks.MULTIPLE_TESTING)


def test_every_check_has_a_sentence_and_no_sentence_is_left_over():
    assert list(sentences.LABELS) == [check.name for check in CHECKS]
    for row in sentences.rows(replace(FOUND, checks=checks.run_all(FOUND))):
        assert row.question and row.result
    assert sentences.rows(FOUND) == (), "an audit from before checks were recorded has no table"


def test_a_row_says_what_was_measured_and_what_was_needed():
    rows = {row.check: row for row in sentences.rows(replace(FOUND, checks=checks.run_all(FOUND)))}
    assert (rows["patch area"].measured, rows["patch area"].needed) == ("2.0%", "at most 10.0%")
    assert rows["multiple testing"].needed == "below 0.05"
    assert rows["other clean references"].result == "does not apply"
