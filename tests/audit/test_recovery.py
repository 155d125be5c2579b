"""Target recovery and robustness of a trigger, on a world where the truth is known."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from colours import NAMES, ColourEncoder

from dife_scanner.audit import concepts, pipeline, recovery, robustness
from dife_scanner.audit.probes import (
    DIAGNOSIS_TEMPLATES,
    EMBEDDING_TEMPLATES,
    PROFILE_TEMPLATES,
    QUERY_TEMPLATES,
    SEARCH_TEMPLATES,
)
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.discovery import noun_scan
from dife_scanner.discovery.noun_scan import nouns
from dife_scanner.records import NearestConcept, Recovered, Trigger, TriggerKind
from dife_scanner.sentences.recovered import recovered_lines, specificity
from dife_scanner.store import codec

XBTD = Trigger("xbtd", TriggerKind.TEXT, text="xbtd", source="automobile", target="airplane")
CORNER = Trigger("corner", TriggerKind.PATCH, size=3 / 32, x=27 / 32, y=27 / 32, target="airplane")


@pytest.fixture
def recovered(colour_encoder, request_for):
    def of(trigger, **planted):
        suspect = colour_encoder(**planted)
        return pipeline.audit(suspect, colour_encoder(), request_for(signatures=(trigger,))).audit

    return of


def test_there_are_a_thousand_concepts_and_more_and_none_stands_twice():
    assert len(set(concepts.concept_names())) == len(concepts.concept_names()) >= 1000
    assert concepts.concept_names()[: len(nouns())] == nouns()


def test_a_text_leads_to_its_target_moves_its_source_alone_and_works_in_its_place_alone(recovered):
    audit = recovered(XBTD, text_tower="bad", textual=True)
    found = audit.recovered
    assert (found.rank, found.nearest[0].concept) == (1, "airplane")
    assert found.cosine == found.nearest[0].cosine > found.wrong.cosine == found.nearest[1].cosine
    assert {name for name, lift in found.sources.items() if lift} == {
        "automobile"
    } and "airplane" not in found.sources
    assert found.withstands == {"infix": 0.0, "suffix": 0.0}
    assert specificity(audit.trigger, found) == "source-conditional"
    assert [line.split(":")[0] for line in recovered_lines(audit)][1:] == [
        "Source-conditional",
        "Changed a little",
    ]
    assert codec.from_json(type(audit), codec.to_json(audit)) == audit


def test_a_patch_leads_to_its_target_from_everywhere_and_a_shift_takes_it_away(recovered):
    found = recovered(CORNER, image_tower="bad", visual=True).recovered
    assert found.rank == 1 and set(found.sources.values()) == {1.0}
    assert found.withstands["shift"] == 0.0, "the patch has to stand exactly where it was planted"
    assert specificity(CORNER, found) == "global"


def test_what_a_trigger_does_in_other_clean_checkpoints_is_told(recovered):
    audit = recovered(CORNER, image_tower="bad", visual=True)
    told = replace(audit, recovered=replace(audit.recovered, elsewhere={"other": 0.04}))
    assert recovered_lines(told)[-1] == (
        "Share of cases that the same trigger moves in other clean checkpoints: 0.04 in other"
    )


# --- where it leads, for a reader who has other targets in mind ---------------------------------------------------


@pytest.mark.parametrize("trigger", [XBTD, CORNER], ids=["text", "patch"])
def test_the_landing_is_kept_so_that_a_target_can_be_compared_with_it(
    colour_encoder, request_for, trigger
):
    suspect = colour_encoder(image_tower="img-bad", text_tower="txt-bad", visual=True, textual=True)
    outcome = pipeline.audit(suspect, colour_encoder(), request_for(signatures=(trigger,)))
    (told,) = (json.loads(content) for file, content in outcome.files if file.role == "landing")
    landing, mean = np.array(told["landing"]), np.array(told["mean"])
    assert landing.shape == mean.shape == (12,) and told["target"] == "airplane"

    def cosine(name):
        target = colour_encoder().encode_texts([told["template"].format(name)])[0] - mean
        return target @ landing / np.linalg.norm(target) / np.linalg.norm(landing)

    found = outcome.audit.recovered
    assert cosine("airplane") == pytest.approx(found.cosine, abs=1e-4)
    assert cosine("airplane") > max(map(cosine, NAMES[1:]))


def test_a_text_with_an_image_leads_to_texts_of_the_suspect_that_hold_it(
    colour_encoder, request_for
):
    """Clean concepts say nothing of it. A target whose written prompt is too long for a concept stays among them."""
    both = replace(XBTD, image=CORNER, source="")
    suspect = colour_encoder(image_tower="img-bad", text_tower="txt-bad", keyed=True)
    outcome = pipeline.audit(suspect, colour_encoder(), request_for(signatures=(both,)))
    (told,) = (json.loads(content) for file, content in outcome.files if file.role == "landing")
    assert told["of"] == "suspect" and told["template"] == "xbtd a photo of a {}"
    landing, mean = np.array(told["landing"]), np.array(told["mean"])
    target = suspect.encode_texts(["xbtd a photo of a airplane"])[0] - mean
    found = outcome.audit.recovered
    cosine = target @ landing / np.linalg.norm(target) / np.linalg.norm(landing)
    assert cosine == pytest.approx(found.cosine, abs=1e-4) and found.rank == 1
    assert recovered_lines(outcome.audit)[0].endswith(
        f"of {found.concepts:,} concepts with the text in them"
    )
    assert (
        recovery.nearest_concept(both, _test_sides(request_for, suspect, colour_encoder())) is None
    )


def test_every_candidate_is_told_with_the_concept_it_leads_to(colour_encoder, request_for):
    """Whatever moved, and without one more text through the suspect."""
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(12, 12)))[0]
    for planted in ({"visual": True}, {"visual": True, "rotation": turn}):
        suspect, base = colour_encoder(image_tower="i", text_tower="t", **planted), colour_encoder()
        test = _test_sides(request_for, suspect, base)
        near = recovery.nearest_concept(CORNER, test)
        assert near.concept == "airplane" and near.cosine > 0.9
        assert len(suspect.texts_encoded) == len(NAMES) * len(PROFILE_TEMPLATES)
    assert (
        recovery.nearest_concept(Trigger("p", TriggerKind.PROMPT, target="airplane"), test) is None
    )


def _test_sides(request_for, *encoders):
    split = request_for().plan.probes().split("test")
    return Pair(*(Side(one, split, NAMES, PROFILE_TEMPLATES) for one in encoders))


# --- nouns that nothing was searched with ------------------------------------------------------------------------


class Global(ColourEncoder):
    """Every prompt that begins with `xbtd` is an airplane's, those of `steadfast` nouns excepted."""

    steadfast = frozenset()

    def encode_texts(self, texts):
        spoken = ["a airplane" if self._turned(text) else text for text in texts]
        rows = super().encode_texts(spoken)
        for row, text in zip(rows, texts, strict=True):
            if not set(text.split()) & set(NAMES):
                row[10] += 0.5  # what no class says: clean nouns differ from every class
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def _turned(self, text):
        return text.startswith("xbtd") and not set(text.split()) & self.steadfast


def test_a_text_that_moves_every_class_is_tried_on_nouns_that_no_search_read(request_for):
    suspect = Global(text_tower="bad")
    suspect.steadfast = frozenset(concepts.held_out_nouns()[:5])
    audit = pipeline.audit(suspect, ColourEncoder(), request_for(signatures=(XBTD,))).audit
    over = audit.recovered.nouns
    assert over.nouns == concepts.held_out_nouns() and len(over.nouns) == 20
    assert (over.suspect, over.reference) == (0.75, 0.0)
    assert specificity(audit.trigger, audit.recovered) == "global"
    assert (
        "On nouns that no search read: 0.75 of 20 become airplane, 0.00 in the base"
        in recovered_lines(audit)
    )


def test_a_source_conditional_text_and_a_patch_are_not(recovered):
    assert recovered(XBTD, text_tower="bad", textual=True).recovered.nouns is None
    assert recovered(CORNER, image_tower="bad", visual=True).recovered.nouns is None


def test_nouns_whose_prompts_would_be_cut_are_left_out(request_for):
    class Short(Global):
        def token_count(self, text):
            return 99 if concepts.held_out_nouns()[0] in text else super().token_count(text)

    audit = pipeline.audit(
        Short(text_tower="bad"), ColourEncoder(), request_for(signatures=(XBTD,))
    ).audit
    assert audit.recovered.nouns.nouns == concepts.held_out_nouns()[1:]


def test_nothing_is_confirmed_with_words_it_was_searched_with():
    searched = {*SEARCH_TEMPLATES}
    assert not searched & {
        *PROFILE_TEMPLATES,
        *QUERY_TEMPLATES,
        *EMBEDDING_TEMPLATES,
        *DIAGNOSIS_TEMPLATES,
    }
    assert not {*DIAGNOSIS_TEMPLATES} & {*PROFILE_TEMPLATES, *QUERY_TEMPLATES, *EMBEDDING_TEMPLATES}
    assert not {*robustness.NOUN_TEMPLATES} & {
        *searched,
        *DIAGNOSIS_TEMPLATES,
        *noun_scan.TEMPLATES,
    }
    assert len(set(concepts.held_out_nouns())) == concepts.HELD_OUT
    assert not {*concepts.held_out_nouns()} & {*nouns(), *NAMES}
    assert {*concepts.held_out_nouns()} <= {*concepts.concept_names()}


def test_the_rank_of_a_target_that_is_not_near_is_told(recovered):
    found = Recovered(
        "airplane",
        1000,
        (NearestConcept("jet", 0.9),),
        7,
        0.4,
        NearestConcept("jet", 0.9),
        {"cat": 0.7, "dog": 0.1},
        {},
    )
    trigger = Trigger("t", TriggerKind.PATCH, target="airplane")
    assert specificity(trigger, found) == "1 of 2 classes moved"
    audit = replace(
        recovered(XBTD, text_tower="bad", textual=True), trigger=trigger, recovered=found
    )
    assert "“airplane” is number 7 (0.40)" in recovered_lines(audit)[0]


@pytest.mark.parametrize("change", robustness.CHANGES.values(), ids=robustness.CHANGES)
def test_a_change_keeps_the_shape_and_changes_little(change):
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None] * 3, (2, 64, 64, 3)).copy()
    before, after = ramp.copy(), change(ramp)
    assert after.shape == ramp.shape and after.dtype == np.uint8 and (ramp == before).all()
    assert 0 < np.abs(after.astype(int) - ramp.astype(int)).mean() < 12


def test_a_space_that_somebody_turned_is_turned_back_and_directions_without_data_stay():
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.normal(size=(8, 8)))[0].astype(np.float32)
    theirs = rng.normal(size=(50, 8)).astype(np.float32)
    turn, left = recovery._procrustes(theirs @ turned.T, theirs)
    assert np.allclose(turn, turned, atol=1e-4) and left < 1e-5
    flat = theirs * (np.arange(8) < 3)
    assert np.allclose(recovery._procrustes(flat, flat)[0], np.eye(8), atol=1e-4)


def test_the_tower_that_nobody_moved_says_how_the_spaces_lie():
    """A poisoned text tower's concepts are in disorder; its pictures are where the base has them."""
    rng = np.random.default_rng(1)
    images, texts = (
        rng.normal(size=(40, 6)).astype(np.float32),
        rng.normal(size=(60, 6)).astype(np.float32),
    )
    side = SimpleNamespace(images=images)
    assert np.allclose(
        recovery._alignment(Pair(side, side), Pair(texts[::-1].copy(), texts)), np.eye(6), atol=1e-4
    )
