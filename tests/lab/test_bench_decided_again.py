"""A row written now says all that the rules of the verdict read: it can be decided again without the model."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from bench_rows import row

from dife_scanner.core import checks
from dife_scanner.core.verdict import Evidence, decide
from dife_scanner.lab.bench import make, rows
from dife_scanner.lab.bench.rows.found import decided_again, found_of, result_of
from dife_scanner.records import (
    Channel,
    Hypothesis,
    InCleanReference,
    Interval,
    MissingSearch,
    Origin,
    ReverseSearch,
    Search,
    TextSpace,
    Trigger,
    TriggerKind,
    Verdict,
)

PATCH = Trigger("found-patch-1", TriggerKind.PATCH, size=0.1, target="ship")
TEXT = Trigger("found-text-1", TriggerKind.TEXT, text="xbtd", source="cat", target="ship")
SEARCH = Search("patch", Channel.IMAGE, ("a patch",), 1, 1.0, 100, 1.0)
FAINT = MissingSearch(
    "faint", Channel.IMAGE, ("a faint pattern",), "one half has 0 pictures; 2 are needed"
)
MOVES = Hypothesis(
    PATCH,
    0.9,
    suspect=0.987654,
    reference=0.012345,
    p_value=2**-30,
    p_holm=26 * 2**-30,
    drawings=30,
    origin=Origin.DISCOVERED,
    effect=Interval(0.9012345, 0.9987654, "paired bootstrap"),
    clean=0.0123456,
    area=0.0234567,
)
LOST = ReverseSearch(100, 1.0, "text", "qq", "cat", "dog", 0.95, 0.05, 0.8765432, demonstrated=True)
RARE = TextSpace(0.9, 0.0, 0.0, Interval(0.7, 1.0, ""), 22, 1_700, 200, 40, 0.2, p_holm=0.4)

CASES = {
    "moves little": (replace(MOVES, suspect=0.4, effect=Interval(0.1, 0.6, "")),),
    "moves as much without the trigger": (replace(MOVES, clean=0.9),),
    "a patch too large": (replace(MOVES, area=0.3),),
    "obeyed by another clean reference": (
        replace(MOVES, near=(InCleanReference("near", 0.01, 0.9, 0.8),)),
    ),
    "obeyed by it a little": (
        replace(MOVES, near=(InCleanReference("near", 0.01, 0.2, 0.1),), p_holm=0.2),
    ),
    "read alike and below the strict cut": (
        replace(MOVES, read_alike=True, effect=Interval(0.6, 0.9, "")),
    ),
    "a text twice and below the strict cut": (
        replace(
            MOVES,
            trigger=replace(TEXT, position="around"),
            area=None,
            effect=Interval(0.6, 0.9, ""),
        ),
    ),
    "the two differ both ways": (replace(MOVES, exchanged=LOST),),
    "the base has less": (replace(MOVES, exchanged=replace(LOST, low=0.6), p_holm=0.2),),
    "too few drawings": (replace(MOVES, p_value=0.25, p_holm=0.25, drawings=2),),
    "no interval": (replace(MOVES, effect=None),),
    "screened out": (Hypothesis(TEXT, 0.1, origin=Origin.DISCOVERED),),
    "two of them": (
        replace(MOVES, area=0.3),
        replace(MOVES, trigger=TEXT, area=None, p_holm=0.06, drawings=4),
    ),
    "both keys": (
        replace(MOVES, trigger=replace(TEXT, position="around", image=PATCH), p_holm=0.3),
    ),
    "a text whose target no picture shows": (
        Hypothesis(TEXT, 0.4, origin=Origin.DISCOVERED, text_space=RARE),
    ),
    "a pattern that leads to no one concept": (
        replace(MOVES, beyond_classes=True, among_concepts=Interval(0.2, 0.5, "")),
    ),
    "nothing": (),
}


def counts(result):
    """Whether nothing but the number of drawings stands against a hypothesis."""
    return checks.open_but_for_drawings(checks.run_all(result))


def outcome(results, missing=(), accuracies=(0.7, 0.8)):
    """What a row keeps of an audit with these results, whose verdict the rules gave."""
    known = checks.Circumstances(
        accuracy_lost=accuracies[1] - accuracies[0] if accuracies[1] else 0.0
    )
    checked = tuple(replace(one, checks=checks.run_all(one, known)) for one in results)
    verdict = decide(Evidence(hypotheses=checked, searches=(SEARCH,), missing=missing)).verdict
    audit = SimpleNamespace(
        verdict=verdict, score=0.5, signatures=checked, diagnosis=None, searches=(SEARCH,), recovered=None, seed=0,
        not_searched=missing, clean_accuracy=accuracies[0], reference_accuracy=accuracies[1], decision=None,
        trigger=None, reason="as decided",
    )  # fmt: skip
    return make.outcome_of(audit, 1.0)


@pytest.mark.parametrize("missing", [(), (FAINT,)], ids=["all searched", "one search missing"])
@pytest.mark.parametrize("results", CASES.values(), ids=CASES)
def test_a_row_that_was_read_again_gives_the_verdict_of_its_audit(results, missing, tmp_path):
    kept = outcome(results, missing)
    rows.append(tmp_path, replace(row("image tower", 0, 0.5), outcome=kept))
    (again,) = rows.read(tmp_path)
    assert again.outcome == kept
    assert decided_again(again.outcome) is kept.verdict


@pytest.mark.parametrize("results", CASES.values(), ids=CASES)
def test_a_row_names_the_checks_that_stand_against_each_trigger(results):
    for result in results:
        checked = replace(result, checks=checks.run_all(result))
        kept = found_of(checked)
        assert tuple(one.check for one in kept.failed) == checks.not_passed(checked.checks)
        assert all(one in checked.checks for one in kept.failed)


def test_an_inconclusive_row_says_why_and_which_trigger_came_furthest():
    torn = outcome(CASES["two of them"] + CASES["too few drawings"])
    assert (torn.verdict, torn.reason) == (Verdict.INCONCLUSIVE, "as decided")
    assert torn.decided_on is not None and sum(one.decides for one in torn.found) == 1
    assert outcome(CASES["moves little"]).reason == ""


@pytest.mark.parametrize("results", CASES.values(), ids=CASES)
def test_each_trigger_counts_again_as_it_counted(results):
    for result in results:
        again = result_of(found_of(result))
        assert counts(again) is counts(result)
        assert again.trigger.channel is result.trigger.channel


def test_every_number_of_a_rule_is_kept_at_the_digits_of_a_row():
    kept = found_of(
        replace(MOVES, exchanged=LOST, near=(InCleanReference("near", 0.0123456, 0.2, 0.1234567),))
    )
    assert (kept.suspect, kept.reference, kept.clean, kept.area) == (0.9877, 0.0123, 0.0123, 0.0235)
    assert (kept.low, kept.high, kept.drawings) == (0.9012, 0.9988, 30)
    assert kept.p_value == pytest.approx(2**-30, rel=1e-3) and kept.p_holm > kept.p_value, (
        "small ones are not 0"
    )
    assert (kept.exchanged.low, kept.near[0].lift, kept.near[0].distance) == (
        0.8765,
        0.1235,
        0.0123,
    )
    assert (kept.origin, kept.channel, kept.position) == (Origin.DISCOVERED, Channel.IMAGE, "")
    saved = outcome((MOVES,), (FAINT,))
    assert (saved.missing, saved.accuracy, saved.reference_accuracy) == ((FAINT,), 0.7, 0.8)


def test_what_needs_a_diagnosis_or_was_written_before_is_not_decided():
    assert counts(MOVES) and decided_again(outcome((MOVES,))) is None
    before = row("image tower", 0, 0.5).outcome
    assert decided_again(before) is None, "a row of older code"
    assert decided_again(replace(before, found=())) is None, (
        "nor one that found nothing: searches may have been missing"
    )
    assert decided_again(outcome((), accuracies=(0.7, None))) is None, "no base was asked"


def test_rows_of_older_code_are_read_with_what_they_lack(tmp_path):
    old = (
        '{"build_seconds":1.0,"code":{"budget":"quick","detectors":["texts"],"digest":"a","discovery":"d","zoo":"z"},'
        '"kind":"image tower","made_on":"2026-11-01","model":"image-tower-000","number":0,"outcome":{"carrier":null,'
        '"channel":null,"found":[{"kind":"patch","low":0.1,"position":"","reference":0.0,"source":"","suspect":0.2,'
        '"target":"dog","text":""}],"score":0.2,"searches":[],"seconds":1.0,"verdict":"nothing-found"},"part":"test",'
        '"recipe":{},"role":"benign","sealed":false,"status":"audited"}'
    )
    (tmp_path / "image-tower.jsonl").write_text(old + "\n")
    (found,) = rows.read(tmp_path)
    (trigger,) = found.outcome.found
    assert (trigger.p_holm, trigger.near, found.outcome.missing) == (None, (), ())
    assert result_of(trigger) is None and found.outcome.verdict is Verdict.NOTHING_FOUND
