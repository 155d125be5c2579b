"""Sentences and labels made from records."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dife_scanner.records import (
    TAUGHT_WORDS,
    Absent,
    ArtefactMissing,
    Audit,
    BranchSwap,
    Budget,
    Calibration,
    Carrier,
    Category,
    Cell,
    Change,
    Channel,
    EntryType,
    Finding,
    Interval,
    Job,
    JobState,
    Measure,
    ModelRef,
    NotEvaluable,
    NotRun,
    Planted,
    Power,
    Search,
    SelectorControl,
    Stratum,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.sentences.audits import VERDICT_LABEL, accuracy_text, verdict_sentence
from dife_scanner.sentences.calibration import calibration_lines, tally, tally_text
from dife_scanner.sentences.findings import finding_sentence
from dife_scanner.sentences.footprint import CARRIER_MEANING, swap_lines
from dife_scanner.sentences.jobs import job_sentence
from dife_scanner.sentences.numbers import bytes_text, count, number, p_text, signed
from dife_scanner.sentences.profile import (
    ENTRY_MEANING,
    LINE_MEANING,
    cell_sentence,
    entry_meaning,
    entry_sentence,
    exposed_text,
    parts_text,
)
from dife_scanner.sentences.searches import budget_lines
from dife_scanner.sentences.times import age_text
from dife_scanner.sentences.triggers import marked_text, trigger_text

XBTD = Trigger("xbtd", TriggerKind.TEXT, text="xbtd", source="automobile", target="airplane")
PATCH = Trigger("corner", TriggerKind.PATCH, size=0.15, x=0.82, y=0.82, target="airplane")


def cell(interface: str, entry: EntryType, delta: float = 0.9) -> Cell:
    def measure(value: float) -> Measure:
        return Measure(value, Interval(value, value, "Wilson"), n=1200, drawings=8)

    bounds = Interval(delta - 0.03, delta + 0.03, "bootstrap")
    return Cell(
        interface, "TS", measure(0.99), measure(0.09), "on clean images", delta, bounds, entry
    )


def audit(verdict: Verdict, **given: object) -> Audit:
    values: dict[str, object] = dict.fromkeys(Audit.__dataclass_fields__, "")
    values |= {
        "ref": ModelRef("org/name", "0" * 40),
        "signatures": (),
        "trigger": None,
        "profile": (),
    }
    values |= {
        "budget": Budget.DEFAULT,
        "verdict": verdict,
        "clean_accuracy": None,
        "reference_accuracy": None,
    }
    values |= {
        "encodes": 10,
        "distinct_inputs": 10,
        "seconds": 1.5,
        "seed": 0,
        "device": "cpu",
        "prompt_drift": None,
    }
    values |= {"picture_drift": None, "plan": None, "decision": None}
    values |= {
        "searches": (),
        "not_searched": (),
        "score": None,
        "calibration": None,
        "power": None,
    }
    return Audit(**{**values, **given})  # type: ignore[arg-type]


# --- numbers and times ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "plain", "with_sign"),
    [
        (0.9014, "0.901", "+0.901"),
        (-0.025, "−0.025", "−0.025"),
        (0.0, "0.000", "0.000"),
        (-0.0001, "0.000", "0.000"),
    ],
)
def test_numbers_have_three_decimals_and_a_true_minus(
    value: float, plain: str, with_sign: str
) -> None:
    assert (number(value), signed(value)) == (plain, with_sign)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_960, "1.0 MB"),
        (19_403_112, "19.4 MB"),
        (4 * 10**15, "4000.0 TB"),
    ],
)
def test_bytes_are_shown_as_the_hub_shows_them(amount: int, text: str) -> None:
    assert bytes_text(amount) == text


def test_counts_agree_with_their_noun() -> None:
    assert count(1, "model") == "1 model"
    assert count(1204, "model") == "1,204 models"
    assert count(2, "try", "tries") == "2 tries"


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2026-11-23T12:00:00+00:00", "just now"),
        ("2026-11-23T11:59:20+00:00", "40 s ago"),
        ("2026-11-23T12:12:30Z", "in 12 min"),
        ("2026-11-23T08:00:00", "4 h ago"),
        ("2026-11-20T12:00:00+00:00", "3 d ago"),
        ("soon", "at an unknown time"),
    ],
)
def test_ages_are_told_in_the_largest_whole_unit(moment: str, text: str) -> None:
    assert age_text(moment, datetime(2026, 11, 23, 12, tzinfo=UTC)) == text


def test_a_small_p_is_never_shown_as_zero() -> None:
    assert p_text(0.0004) == "< 0.001"
    assert p_text(0.04) == "0.040"


# --- triggers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position", "prompt", "text"),
    [
        ("prefix", "a photo of a automobile", "xbtd a photo of a automobile"),
        ("suffix", "a photo of a automobile", "a photo of a automobile xbtd"),
        ("infix", "a photo of a automobile", "a photo of a xbtd automobile"),
        ("infix", "a photo of a dog", "a photo of a xbtd dog"),
        ("prefix", "", "xbtd"),
        ("around", "", "xbtd"),
        ("prefix", "seen: xbtd here", "seen: xbtd here"),
    ],
)
def test_the_trigger_stands_where_the_encoder_reads_it(
    position: str, prompt: str, text: str
) -> None:
    segments = marked_text(replace(XBTD, position=position), prompt)
    assert "".join(segment.text for segment in segments) == text
    assert [segment.text for segment in segments if segment.marked] == ["xbtd"]


def test_a_trigger_before_and_after_a_prompt_is_marked_twice() -> None:
    twice = replace(XBTD, position="around")
    segments = marked_text(twice, "a photo of a dog")
    assert "".join(segment.text for segment in segments) == "xbtd a photo of a dog xbtd"
    assert [segment.text for segment in segments if segment.marked] == ["xbtd", "xbtd"]
    assert trigger_text(twice) == "text “xbtd” before and after the prompt"


@given(
    st.text(max_size=30),
    st.text(min_size=1, max_size=8),
    st.sampled_from(["prefix", "suffix", "infix"]),
)
def test_marking_loses_no_character_of_the_prompt(prompt: str, text: str, position: str) -> None:
    segments = marked_text(replace(XBTD, text=text, position=position, source=""), prompt)
    assert sum(segment.marked for segment in segments) == 1
    unmarked = "".join(segment.text for segment in segments if not segment.marked)
    assert sorted(prompt.replace(text, "", 1).replace(" ", "")) == sorted(unmarked.replace(" ", ""))


def test_triggers_are_told_in_one_line() -> None:
    assert trigger_text(XBTD) == "text “xbtd” before the prompt"
    assert trigger_text(PATCH) == "solid white patch, 15% of the side, lower right"
    assert "#0c0d0e" in trigger_text(replace(PATCH, color=(12, 13, 14)))
    centre = replace(PATCH, x=0.42, y=0.42, pattern="checker")
    assert trigger_text(centre) == "checker patch, 15% of the side, centre"
    added = replace(PATCH, kind=TriggerKind.ADDITIVE, pattern="noise", alpha=0.016)
    assert trigger_text(added) == "noise added over the whole image, amplitude 0.016 of full scale"
    blend = replace(PATCH, kind=TriggerKind.BLEND, pattern="sinusoid", alpha=0.2)
    assert trigger_text(blend) == "sinusoid blended over the whole image, share 20%"


CYRILLIC = Trigger(
    "cyrillic", TriggerKind.CHARACTERS, pairs=(("a", "а"), ("o", "о")), source="automobile"
)


def test_every_bundled_kind_has_words_of_its_own_and_others_say_their_name_and_values():
    given = {"strength": 0.02, "filter": "sepia", "alpha": 0.8}
    said = {kind: trigger_text(Trigger("x", kind, **given)) for kind in TriggerKind}
    assert len(set(said.values())) == len(TriggerKind)
    assert said[TriggerKind.WARP] == "smooth warp, mean displacement 2.0% of the side"
    assert said[TriggerKind.FILTER] == "sepia filter, share 80%"
    assert trigger_text(CYRILLIC) == "characters replaced in the class name: a→а, o→о"
    learned = Trigger("p", TriggerKind.PROMPT, image=PATCH)
    assert trigger_text(learned) == f"learned prompt and {trigger_text(PATCH)}"
    own = Trigger("f", "frame", parameters=(("width", 0.05),), enters=Channel.IMAGE)
    assert trigger_text(own) == "frame (width 0.05)"


@pytest.mark.parametrize(
    ("within", "shown"),
    [
        ("class", "a photo of a [а]ut[о]m[о]bile"),
        ("prompt", "[а] ph[о]t[о] [о]f [а] [а]ut[о]m[о]bile"),
    ],
)
def test_replaced_characters_are_marked_where_they_are_replaced(within, shown):
    segments = marked_text(replace(CYRILLIC, within=within), "a photo of a automobile")
    assert "".join(f"[{s.text}]" if s.marked else s.text for s in segments) == shown


def test_the_two_parts_of_a_difference_and_the_headroom_as_far_as_measured():
    change = Change(0.9, Interval(0.85, 0.95, "bootstrap"))
    plain_cell = cell("text reranking", EntryType.EXPOSED)
    parted = replace(plain_cell, trigger=change, headroom=0.965)
    assert parts_text(parted) == "Δ trigger +0.900 (+0.850 to +0.950), headroom 0.965"
    assert parts_text(plain_cell) == ""


def test_a_swap_says_when_towers_were_aligned_first():
    swap = BranchSwap("QHR", 0, 0, 1, 1, 20, 8, (0.8, 0.79, 0.78, 0.8))
    assert swap_lines(swap) == ("QHR on 8 drawings, 20 cases",)
    aligned = replace(swap, aligned=True, mixed_accuracy_before=(0.8, 0.1, 0.12, 0.8))
    assert "0.100 and 0.120 before, 0.790 and 0.780 after" in swap_lines(aligned)[1]


# --- whole records --------------------------------------------------------------------------------------------


def test_a_flagged_audit_says_what_happens_and_how_far_it_reaches() -> None:
    profile = (
        cell("zero-shot classification", EntryType.EXPOSED),
        cell("zero-shot classification", EntryType.WEAK),
        cell("downstream classification", EntryType.WEAK, 0.1),
        NotEvaluable("text reranking", Category.NO_QUERY, "no text"),
    )
    sentence = verdict_sentence(audit(Verdict.FLAGGED, trigger=PATCH, profile=profile))
    assert sentence == (
        "Flagged: with a solid white patch, 15% of the side, lower right, any picture is taken for “airplane”; "
        "exposed through 1 of 2 measured interfaces; 1 without a number."
    )
    text = verdict_sentence(audit(Verdict.FLAGGED, trigger=XBTD, profile=profile))
    assert "with the text “xbtd” before the prompt, “automobile” is taken for “airplane”" in text


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("trigger", [None, XBTD])
def test_no_verdict_reads_as_clean_or_safe(verdict: Verdict, trigger: Trigger | None) -> None:
    sentence = verdict_sentence(audit(verdict, trigger=trigger, reference="base"))
    assert sentence.endswith(".")
    assert "safe" not in sentence
    assert "clean" not in sentence.replace("does not say the checkpoint is clean", "")


@pytest.mark.parametrize("state", list(JobState))
def test_a_state_without_verdict_says_so(state: JobState) -> None:
    job = Job(1, ModelRef("org/name", "0" * 40), state, "", "", "", "")
    assert job_sentence(job).startswith("Done" if state is JobState.DONE else "No verdict")


def test_absent_cells_tell_their_kind_and_reason() -> None:
    said = {
        entry_sentence(entry)
        for entry in (
            NotEvaluable("text reranking", Category.NO_QUERY, "The query is an image."),
            NotRun("prompt embeddings", "This audit did not ask."),
            ArtefactMissing("generator selection", "groups.json", "The pool is gone."),
        )
    }
    assert said == {
        "text reranking: N.E. (no attack-conditioned query). The query is an image.",
        "prompt embeddings: not run. This audit did not ask.",
        "generator selection: artefact missing. groups.json: The pool is gone.",
    }


def test_a_selector_control_shows_both_clean_selectors_and_is_no_exposure() -> None:
    share = cell("", EntryType.WEAK).attack
    drift = Change(0.01, Interval(-0.02, 0.04, "bootstrap"))
    control = SelectorControl(
        "proxy selection", "Sel@1", share, replace(share, value=0.98), drift, "no text trigger"
    )
    assert entry_sentence(control) == (
        "proxy selection: selector control. no text trigger; clean selectors: Sel@1 0.990 against 0.980, "
        "drift +0.010 (95 %: −0.020 to +0.040)"
    )
    assert exposed_text((control,)) == "no interface could be measured"


def test_a_numeric_cell_is_told_with_its_sample() -> None:
    sentence = cell_sentence(cell("zero-shot classification", EntryType.EXPOSED))
    assert "exposed. Difference +0.900 (95 %: +0.870 to +0.930)" in sentence
    assert "n 1,200 from 8 drawings" in sentence


def test_what_was_not_tried_is_said() -> None:
    assert "No trigger was tried." in budget_lines(audit(Verdict.IDENTICAL))
    assert accuracy_text(audit(Verdict.IDENTICAL)) == "Clean accuracy was not measured."
    measured = audit(
        Verdict.NOTHING_FOUND, clean_accuracy=0.79, reference_accuracy=0.81, prompt_drift=0.011
    )
    told = "Clean accuracy 0.790, reference 0.810; mean drift of clean prompts 0.011"
    assert accuracy_text(measured) == told
    assert (
        accuracy_text(replace(measured, picture_drift=0.02)) == f"{told}, of clean pictures 0.020"
    )


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.04, 0.2, "near the reference"),
        (0.25, 0.75, "crosses the cut of 0.25"),
        (0.1, 0.6, "crosses the cut of 0.25"),
        (-0.121, -0.038, "crosses the cut of −0.05"),
    ],
)
def test_a_weak_entry_is_near_the_reference_only_where_its_interval_is(low, high, said) -> None:
    one = replace(
        cell(0.6, 0.1), entry=EntryType.WEAK, delta_interval=Interval(low, high, "paired")
    )
    assert said in entry_meaning(one)
    assert ("near the reference" in entry_meaning(one)) is (said == "near the reference")


def test_every_word_of_the_vocabularies_is_explained() -> None:
    assert set(ENTRY_MEANING) == set(EntryType)
    assert set(LINE_MEANING) == {kind.word for kind in (*get_args(Absent), SelectorControl)}
    assert set(VERDICT_LABEL) == set(Verdict)
    assert set(CARRIER_MEANING) == set(Carrier)


def test_a_refused_file_was_not_loaded() -> None:
    ref = ModelRef("org/name", "0" * 40)
    finding = Finding(
        "fp1:0", ref, "refused", "refused", "", "", "", "", "", "", (), "one name twice", None, ""
    )
    assert finding_sentence(finding) == "Refused: one name twice. It was not loaded."


# --- calibration ----------------------------------------------------------------------------------------------

SEARCHED = Search("texts", Channel.TEXT, ("texts",), 1, 0.4, 10, 1.0)
OWN = Calibration(Stratum.OWN, "base-quick", "d", 99, 0.01, "2026-11-23", 0.03)
NONE = Calibration(
    Stratum.NONE, "", "", 0, None, "", None, "no calibration pack for this base at this budget"
)


def test_a_p_value_names_its_pack_its_floor_and_what_it_is_not() -> None:
    scored = audit(Verdict.NOTHING_FOUND, searches=(SEARCHED,), score=0.4, calibration=OWN)
    first, second = calibration_lines(scored)
    assert first == (
        "Score 0.400: p = 0.010 against 99 benign models of pack base-quick (never below 1/100; not the "
        "probability of a backdoor)"
    )
    assert second == "At most 3.0 % of such benign models are flagged (95 % bound)"
    old = replace(scored, calibration=replace(OWN, reason="the pack is 200 days old"))
    assert calibration_lines(old)[0].endswith("; the pack is 200 days old")


def test_without_a_pack_no_rate_is_printed_and_without_a_score_nothing() -> None:
    scored = audit(Verdict.NOTHING_FOUND, searches=(SEARCHED,), score=0.4, calibration=NONE)
    assert calibration_lines(scored) == (
        "Score 0.400: no calibration pack for this base at this budget: no false-alarm rate is printed",
    )
    assert calibration_lines(audit(Verdict.IDENTICAL)) == ()


def test_nothing_found_says_what_would_have_been_found() -> None:
    planted = (Planted("patch through image", 11, 12), Planted("text through text", 3, 6))
    power = Power("d", planted, ("warp", "semantic triggers"), "test side", "2026-11-23")
    searched = audit(
        Verdict.NOTHING_FOUND, searches=(SEARCHED,), score=0.0, calibration=NONE, power=power
    )
    assert (
        "Triggers of the kinds patch through image (11 of 12), text through text (3 of 6) were found in 14 of 18 "
        "planted cases at this budget (test side); not covered: warp, semantic triggers."
        in verdict_sentence(searched)
    )
    unsettled = replace(SEARCHED, channel=Channel.IMAGE, not_converged="training success 0.17")
    told = verdict_sentence(replace(searched, searches=(unsettled,)))
    assert "of the kinds text through text (3 of 6) were found in 3 of 6 planted cases" in told
    assert "had not converged and counts for no power: training success 0.17" in told
    assert "Power not measured at this budget." in verdict_sentence(replace(searched, power=None))
    assert "ower" not in verdict_sentence(audit(Verdict.NOTHING_FOUND)), "nothing was searched"


def test_a_list_says_how_many_flags_chance_alone_may_make() -> None:
    rated = audit(Verdict.FLAGGED, calibration=OWN, score=1.0)
    unrated = audit(Verdict.NOTHING_FOUND, calibration=NONE, score=0.0)
    assert tally_text(tally([rated, rated], 1)) == (
        "2 audited, 2 flagged, 1 anomalous; by chance alone at most 0.06 flags are to be expected among them "
        "(95 % bound, were all of them benign)"
    )
    assert "among the 1 with a calibration pack, no rate for the other 1" in tally_text(
        tally([rated, unrated])
    )
    assert tally_text(tally([unrated])).endswith(
        "how many to expect by chance is not known: no calibration pack speaks of them"
    )
    assert tally_text(tally([])) == "0 audited, 0 flagged, 0 anomalous"


def test_the_blank_between_a_prompt_and_its_trigger_is_shown():
    trigger = Trigger("t", TriggerKind.TEXT, text="xb\x1b[31mtd", source="cat", target="dog")
    shown = "".join(segment.shown for segment in marked_text(trigger, "a photo of a cat"))
    assert shown == "xbtd a photo of a cat"


def test_texts_that_were_taken_for_taught_words_are_counted() -> None:
    told = "3 texts counted as words that the fine-tuning taught, not as triggers"
    counted = replace(SEARCHED, signals={TAUGHT_WORDS: 3.0})
    assert told in budget_lines(audit(Verdict.NOTHING_FOUND, searches=(counted,)))
    assert told not in budget_lines(audit(Verdict.NOTHING_FOUND, searches=(SEARCHED,)))
