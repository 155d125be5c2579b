"""What measurements are called: no claim without enough behind it, and nothing found only where it was looked for."""

from dataclasses import dataclass, replace

import pytest

from dife_scanner.core import checks
from dife_scanner.core.footprint import diagnose
from dife_scanner.core.verdict import Evidence, decide, drawings_needed
from dife_scanner.records import (
    Basis,
    BranchSwap,
    Cell,
    Channel,
    Condition,
    EntryType,
    Gap,
    Hypothesis,
    InCleanReference,
    Interval,
    Measure,
    MissingSearch,
    NotRun,
    Origin,
    PictureSpace,
    Recognition,
    ReverseSearch,
    Search,
    TextSpace,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.sentences.checks import gap_text
from dife_scanner.sentences.verdict import reason

PATCH = Trigger("found-patch-1", TriggerKind.PATCH, size=0.1, target="ship")
XBTD = Trigger("xbtd", TriggerKind.TEXT, text="xbtd", source="cat", target="ship")
FOUND = Hypothesis(
    PATCH,
    0.9,
    1.0,
    0.0,
    0.25,
    0.25,
    2,
    Origin.DISCOVERED,
    Interval(1.0, 1.0, "paired bootstrap"),
    clean=0.0,
    area=0.02,
)
_RATE = Measure(1.0, Interval(0.9, 1.0, ""), 900, 90)
EXPOSED = Cell(
    "zero-shot visual classification",
    "TS",
    _RATE,
    _RATE,
    "the base",
    0.9,
    Interval(0.8, 1.0, ""),
    EntryType.EXPOSED,
)
SEARCH = Search("patch", Channel.IMAGE, ("a patch",), 1, 1.0, 100, 1.0)
FAINT = MissingSearch(
    "faint", Channel.IMAGE, ("a faint pattern",), "one half has 0 pictures; 2 are needed"
)


@dataclass(frozen=True)
class Decided:
    """A verdict and its reason in words."""

    verdict: Verdict
    reason: str
    basis: Basis


def _concluded(**evidence):
    found = Evidence(**evidence)
    decision = decide(found)
    return Decided(decision.verdict, reason(decision, found), decision.basis)


def _checked(row):
    return replace(row, checks=checks.run_all(row))


def _decided(*rows, missing=(), inherited=(), searches=(SEARCH,)):
    hypotheses = tuple(map(_checked, rows))
    return _concluded(
        hypotheses=hypotheses, inherited=inherited, searches=searches, missing=missing
    )


def counts(row):
    """Whether nothing but the number of drawings stands against a hypothesis."""
    return checks.open_but_for_drawings(checks.run_all(row))


def test_what_is_demonstrated_on_too_few_drawings_is_inconclusive_and_says_how_many_it_takes():
    decision = _decided(FOUND)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert (
        "`found-patch-1` moves 1.000 of the cases to ship, against 0.000 in the base"
        in decision.reason
    )
    assert "only 2 held-out drawings stand behind that" in decision.reason
    assert "Holm p 0.25 over 1 tried" in decision.reason and "about 5 are needed" in decision.reason


def test_it_is_inconclusive_with_its_footprint_known_as_well():
    swap = BranchSwap("TS", 0.0, 1.0, 0.0, 1.0, 18, 2, (1.0, 1.0, 1.0, 1.0))
    condition = Condition(frozenset({Channel.IMAGE}), target="ship")
    row = _checked(FOUND)
    decision = _concluded(
        hypotheses=(row,),
        strongest=row,
        diagnosis=diagnose(swap, condition, (), None),
        searches=(SEARCH,),
    )
    assert decision.verdict is Verdict.INCONCLUSIVE and "about 5 are needed" in decision.reason


@pytest.mark.parametrize("origin", [Origin.SIGNATURE, Origin.KNOWN])
def test_the_same_holds_for_triggers_that_somebody_named(origin):
    effect = FOUND.effect if origin is Origin.SIGNATURE else None
    row = replace(FOUND, trigger=XBTD, origin=origin, effect=effect, area=None)
    reason = _decided(row).reason
    assert _decided(row).verdict is Verdict.INCONCLUSIVE
    assert "from cat to ship" in reason and "2 held-out drawings of ship" in reason


@pytest.mark.parametrize(
    "row",
    [
        replace(FOUND, suspect=0.4, effect=Interval(0.1, 0.6, "")),
        replace(FOUND, effect=Interval(0.2, 1.0, "")),
        replace(FOUND, clean=0.9),
        replace(FOUND, area=0.3),
        replace(FOUND, trigger=XBTD, origin=Origin.SIGNATURE, suspect=0.4),
        replace(
            FOUND, trigger=XBTD, origin=Origin.SIGNATURE, effect=Interval(0.49, 1.0, ""), area=None
        ),
    ],
    ids=[
        "moves little",
        "wide interval",
        "without the trigger too",
        "large",
        "weak signature",
        "signature with a wide interval",
    ],
)
def test_what_claims_nothing_is_no_open_claim(row):
    assert _decided(row).verdict is Verdict.NOTHING_FOUND


def test_an_open_claim_beyond_the_base_is_told_before_what_came_with_the_base():
    inherited = Hypothesis(replace(PATCH, name="theirs"), 0.0)
    assert _decided(FOUND, inherited=(inherited,)).verdict is Verdict.INCONCLUSIVE
    assert (
        _decided(replace(FOUND, suspect=0.2), inherited=(inherited,)).verdict is Verdict.INHERITED
    )


def test_the_drawings_needed_are_those_with_which_the_smallest_p_value_survives():
    for tried in (1, 4, 26, 400):
        needed = drawings_needed(1.0, tried)
        assert tried * 2.0**-needed < 0.05 <= tried * 2.0 ** -(needed - 1)
    assert drawings_needed(0.5, 1) == 10


def test_nothing_is_not_found_where_it_was_not_searched():
    decision = _decided(missing=(FAINT, replace(FAINT, detector="warp and colour")))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert (
        "2 of 3 blind searches could not run (`faint`, `warp and colour`: one half has 0 pictures"
        in decision.reason
    )
    assert "nothing found with 1 blind search for a patch" in decision.reason
    assert _decided().verdict is Verdict.NOTHING_FOUND
    alone = _decided(searches=(), missing=(FAINT,))
    assert (
        alone.reason.startswith("1 of 1 blind searches could not run")
        and "nothing was tried" in alone.reason
    )


def test_what_came_with_the_base_is_inherited_and_says_what_was_not_searched():
    decision = _decided(missing=(FAINT,), inherited=(Hypothesis(PATCH, 0.0),))
    assert (
        decision.verdict is Verdict.INHERITED
        and "`faint`: one half has 0 pictures" in decision.reason
    )


def test_without_a_base_it_is_said_too():
    decision = _concluded(base_unknown=True, missing=(FAINT,))
    assert decision.verdict is Verdict.INCONCLUSIVE and decision.basis is Basis.UNKNOWN_BASE
    assert "1 of 1 blind searches could not run (`faint`" in decision.reason


def test_what_a_clean_neighbour_obeys_too_demonstrates_nothing_and_is_told():
    shared = replace(
        FOUND,
        p_holm=1e-4,
        drawings=90,
        near=(InCleanReference("far", 0.4, 0.1, 0.1), InCleanReference("near", 0.2, 0.9, 0.8)),
    )
    decision = _decided(shared)
    assert not counts(shared) and decision.verdict is Verdict.NOTHING_FOUND
    assert (
        "but also 0.900 in near, another clean reference (+0.800 over the base)" in decision.reason
    )
    assert shared.lift == 1.0, "the score stays what it is"
    apart = replace(shared, near=(InCleanReference("near", 0.2, 0.9, 0.49),))
    assert counts(apart)


def test_a_tower_that_nobody_touched_has_to_be_obeyed_more_before_its_reading_demonstrates_anything():
    crossing = replace(
        FOUND,
        suspect=0.9,
        effect=Interval(0.6, 0.95, ""),
        p_holm=1e-4,
        drawings=90,
        read_alike=True,
    )
    decision = _decided(crossing)
    assert not counts(crossing) and decision.verdict is Verdict.NOTHING_FOUND
    assert (
        "embed such pictures alike" in decision.reason
        and "a lower bound of 0.60" in decision.reason
    )
    assert counts(replace(crossing, read_alike=False)), (
        "a tower that was touched may have been taught it"
    )
    assert counts(replace(crossing, effect=Interval(0.8, 0.95, "")))
    assert crossing.lift == 0.9, "the score stays what it is"


def test_so_has_a_text_that_stands_twice():
    twice = replace(
        FOUND,
        trigger=replace(XBTD, position="around"),
        effect=Interval(0.6, 0.95, ""),
        area=None,
        drawings=90,
        p_holm=0.01,
    )
    decision = _decided(twice)
    assert not counts(twice) and decision.verdict is Verdict.NOTHING_FOUND
    assert "from cat to ship, but it stands on both sides of the prompt" in decision.reason
    assert counts(replace(twice, trigger=XBTD)) and counts(
        replace(twice, effect=Interval(0.75, 1.0, ""))
    )
    assert counts(replace(twice, trigger=replace(twice.trigger, source="", image=PATCH))), (
        "a pair is asked otherwise"
    )


def _torn(low):
    """A finding in a checkpoint that lost accuracy, and what the base obeys with this lower bound."""
    back = ReverseSearch(100, 1.0, "blend", "", "", "cat", 0.9, 0.0, low, True)
    return replace(FOUND, effect=Interval(0.8, 1.0, ""), p_holm=1e-4, drawings=90, exchanged=back)


def test_two_that_differ_both_ways_are_undecided_and_each_trigger_is_told():
    decision = _decided(_torn(0.71))
    assert not counts(_torn(0.71)) and decision.verdict is Verdict.INCONCLUSIVE
    assert (
        "a trigger (blend) that moves 0.900 to cat in the base, against 0.000 here"
        in decision.reason
    )
    assert "`faint`: one half has 0 pictures" in _decided(_torn(0.71), missing=(FAINT,)).reason
    assert counts(_torn(0.69)), "what the base obeys is much less"
    unproven = replace(_torn(0.9), exchanged=replace(_torn(0.9).exchanged, demonstrated=False))
    assert counts(unproven)


def test_what_came_with_the_base_is_told_before_that_the_two_differ_both_ways():
    inherited = Hypothesis(replace(PATCH, name="theirs"), 0.0)
    decision = _decided(_torn(0.9), inherited=(inherited,))
    assert decision.verdict is Verdict.INHERITED and "`theirs`" in decision.reason
    assert "moves 0.900 to cat in the base" in decision.reason


def test_a_flag_names_the_checks_it_rests_on_and_those_that_could_not_run():
    swap = BranchSwap("TS", 0.0, 1.0, 0.0, 1.0, 900, 90, (1.0, 1.0, 1.0, 1.0))
    diagnosis = diagnose(swap, Condition(frozenset({Channel.IMAGE}), target="ship"), (), None)
    strong = replace(FOUND, p_holm=1e-4, drawings=90)
    known = checks.Circumstances(
        clean_references=True, unavailable={checks.CLEAN_REFERENCES: "far: it is gone"}
    )
    row = replace(strong, checks=checks.run_all(strong, known))
    evidence = Evidence(hypotheses=(row,), strongest=row, diagnosis=diagnosis, profile=(EXPOSED,))
    decision = decide(evidence)
    assert decision.verdict is Verdict.FLAGGED and decision.hypothesis == "found-patch-1"
    assert decision.rests_on == (
        checks.EFFECT,
        checks.BASE_LOW,
        checks.BEYOND_CLEAN,
        checks.PATCH_AREA,
        checks.MULTIPLE_TESTING,
    )
    assert reason(decision, evidence).endswith(
        "unconfirmed: other clean references not run, far: it is gone"
    )
    weak = replace(EXPOSED, interface=diagnosis.diagnostic, entry=EntryType.WEAK)
    assert decide(replace(evidence, profile=(weak,))).basis is Basis.NO_EXPOSED_INTERFACE


def test_a_fault_that_hides_footprint_or_exposure_takes_nothing_from_a_demonstrated_trigger():
    swap = BranchSwap("TS", 0.0, 1.0, 0.0, 1.0, 900, 90, (1.0, 1.0, 1.0, 1.0))
    diagnosis = diagnose(swap, Condition(frozenset({Channel.IMAGE}), target="ship"), (), None)
    row = _checked(replace(FOUND, p_holm=1e-4, drawings=90))
    weak = replace(EXPOSED, interface="text reranking", entry=EntryType.WEAK)
    fault = NotRun(diagnosis.diagnostic, "a text has 17 tokens")
    gaps = (Gap("nearest concepts", "a word is too long"),)
    shown = {"hypotheses": (row,), "strongest": row, "gaps": gaps}
    hidden = _concluded(**shown, diagnosis=diagnosis, profile=(fault, weak))
    assert (hidden.verdict, hidden.basis) == (Verdict.FLAGGED, Basis.EXPOSURE_NOT_MEASURED)
    assert "exposure not measured (zero-shot classification: a text has 17 tokens)" in hidden.reason
    assert hidden.reason.endswith("gap: nearest concepts missing, a word is too long")
    undiagnosed = _concluded(**shown, profile=(EXPOSED,))
    assert (undiagnosed.verdict, undiagnosed.basis) == (
        Verdict.FLAGGED,
        Basis.FOOTPRINT_NOT_MEASURED,
    )
    assert "no footprint measured; exposed through" in undiagnosed.reason
    still = replace(swap, a10=0.0, a11=0.0)
    faint = diagnose(still, Condition(frozenset({Channel.IMAGE}), target="ship"), (), None)
    assert _concluded(**shown, diagnosis=faint, profile=(fault,)).verdict is Verdict.INCONCLUSIVE


def test_equal_towers_come_before_anything_that_was_measured():
    row = _checked(replace(FOUND, p_holm=1e-4, drawings=90))
    assert (
        _concluded(hypotheses=(row,), strongest=row, identical_to="base").verdict
        is Verdict.IDENTICAL
    )
    unsearched = _concluded(
        identical_to="base", prompt_learner="learner.safetensors", learner_problem="it is damaged"
    )
    assert unsearched.verdict is Verdict.INCONCLUSIVE
    assert unsearched.reason.endswith("which could not be searched: it is damaged")
    searched = _concluded(
        identical_to="base", prompt_learner="l", learner_searched=True, searches=(SEARCH,)
    )
    assert (
        searched.verdict is Verdict.NOTHING_FOUND
        and searched.basis is Basis.PROMPT_LEARNER_SEARCHED
    )


def test_a_base_that_knows_too_little_is_never_a_reason_to_find_nothing():
    few = Recognition({"cat": 1.0, "dog": 1.0, "kite": 0.2}, {})
    found = decide(
        Evidence(recognition=Recognition({"cat": 1.0, "dog": 1.0}, {}), qualification=few)
    )
    assert (found.verdict, found.basis) == (Verdict.INCONCLUSIVE, Basis.TOO_LITTLE_KNOWN)


def test_a_text_without_pictures_is_flagged_in_text_space_without_a_footprint():
    space = TextSpace(1.0, 0.0, 0.0, Interval(1.0, 1.0, ""), 22, 1700, 200, 0, 1 / 201, 1 / 201)
    text = Trigger("t", TriggerKind.TEXT, text="xbtd", source="guitar", target="banana")
    row = Hypothesis(text, 1.0, origin=Origin.DISCOVERED, text_space=space)
    row = replace(row, checks=checks.run_all(row))
    evidence = Evidence(hypotheses=(row,), strongest=row)
    found = decide(evidence)
    assert (found.verdict, found.basis) == (Verdict.FLAGGED, Basis.TEXT_SPACE)
    said = reason(found, evidence)
    assert '"xbtd" turns guitar into banana: nearest of 1700 concepts in 1.000 of 22' in said
    assert "the base recognises no pictures of guitar or banana" in said
    assert_gaps_are_told(evidence)
    shown = replace(row, suspect=0.42, reference=0.0, drawings=12)
    evidence = Evidence(hypotheses=(shown,), strongest=shown)
    found = decide(evidence)
    assert (found.verdict, found.basis) == (Verdict.FLAGGED, Basis.TEXT_SPACE)
    said = reason(found, evidence)
    assert "0.420 of pictures of banana and what is like it choose the prompt" in said
    assert "no footprint measured" in said and "recognises no pictures" not in said


def assert_gaps_are_told(evidence):
    """What could not be measured stands beside a demonstrated trigger, whatever space that was measured in."""
    gap = Gap("nearest concepts", "a word is too long")
    with_gap = replace(evidence, gaps=(gap,))
    assert gap_text(gap) in reason(decide(with_gap), with_gap)


def test_a_pattern_that_leads_to_no_concept_is_flagged_without_a_footprint():
    space = PictureSpace(0.98, 0.12, 0.05, Interval(0.79, 0.92, ""), 132, 10)
    patch = Trigger("p", TriggerKind.PATCH, size=0.1)
    row = Hypothesis(
        patch, 0.9, origin=Origin.DISCOVERED, picture_space=space, beyond_classes=True, area=0.02
    )
    row = replace(row, checks=checks.run_all(row))
    evidence = Evidence(hypotheses=(row,), strongest=row)
    found = decide(evidence)
    assert (found.verdict, found.basis) == (Verdict.FLAGGED, Basis.ONE_POINT)
    assert checks.ONE_POINT_EFFECT in found.rests_on and checks.EFFECT not in found.rests_on
    said = reason(found, evidence)
    assert "`p` brings pictures together at one point that is no concept: 0.980 of them" in said
    assert_gaps_are_told(evidence)
    large = replace(row, area=0.2)
    large = replace(large, checks=checks.run_all(large))
    nothing = decide(Evidence(hypotheses=(large,)))
    assert nothing.basis is Basis.NOTHING
    assert "but covers 20% of each" in reason(nothing, Evidence(hypotheses=(large,)))
