"""Where a trigger leads, whom it moves and what it withstands, on a world where the truth is known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dife_scanner.audit import pipeline, recovery
from dife_scanner.audit.cache import Memory
from dife_scanner.audit.sides import Pair
from dife_scanner.records import Nearest, Recovered, Reference, Trigger, TriggerKind
from dife_scanner.reports.trigger_words import recovered_lines, specificity
from dife_scanner.store import codec
from dife_scanner.triggers.discovery.concepts import nouns

XBTD = Trigger("xbtd", TriggerKind.TEXT, text="xbtd", source="automobile", target="airplane")
CORNER = Trigger("corner", TriggerKind.PATCH, size=3 / 32, x=27 / 32, y=27 / 32, target="airplane")


@pytest.fixture
def recovered(colour_encoder, request_for):
    def of(trigger, **planted):
        suspect = colour_encoder(**planted)
        return pipeline.audit(suspect, colour_encoder(), request_for(signatures=(trigger,))).audit

    return of


def test_there_are_a_thousand_concepts_and_more_and_none_stands_twice():
    assert len(set(recovery.names())) == len(recovery.names()) >= 1000
    assert recovery.names()[: len(nouns())] == nouns()


def test_a_text_leads_to_its_target_moves_its_source_alone_and_works_in_its_place_alone(recovered):
    audit = recovered(XBTD, text_tower="bad", textual=True)
    found = audit.recovered
    assert (found.rank, found.nearest[0].concept) == (1, "airplane")
    assert found.cosine == found.nearest[0].cosine > found.wrong.cosine == found.nearest[1].cosine
    assert {name for name, lift in found.sources.items() if lift} == {"automobile"} and "airplane" not in found.sources
    assert found.withstands == {"infix": 0.0, "suffix": 0.0}
    assert specificity(audit.trigger, found) == "source-conditional"
    assert [line.split(":")[0] for line in recovered_lines(audit)][1:] == ["Source-conditional", "Changed a little"]
    assert codec.from_json(type(audit), codec.to_json(audit)) == audit


def test_a_patch_leads_to_its_target_from_everywhere_and_a_shift_takes_it_away(recovered):
    found = recovered(CORNER, image_tower="bad", visual=True).recovered
    assert found.rank == 1 and set(found.sources.values()) == {1.0}
    assert found.withstands["shift"] == 0.0, "the patch has to stand exactly where it was planted"
    assert specificity(CORNER, found) == "global"


def test_what_a_trigger_does_in_other_clean_checkpoints_is_told(recovered):
    audit = recovered(CORNER, image_tower="bad", visual=True)
    told = replace(audit, recovered=replace(audit.recovered, elsewhere={"other": 0.04}))
    assert recovered_lines(told)[-1] == "In other clean checkpoints: 0.04 in other"


def test_a_reference_that_is_gone_takes_nothing_from_an_audit(request_for, caplog):
    gone = Reference("gone", "/nowhere", "i", "t", "w", "tiny", "2026-01-01")
    there = pipeline._elsewhere(CORNER, replace(request_for(), known=(gone,)), request_for().plan.probes(), Memory())
    assert there == {} and "not tried on gone" in caplog.text


def test_the_rank_of_a_target_that_is_not_near_is_told(recovered):
    found = Recovered(
        "airplane", 1000, (Nearest("jet", 0.9),), 7, 0.4, Nearest("jet", 0.9), {"cat": 0.7, "dog": 0.1}, {}
    )
    trigger = Trigger("t", TriggerKind.PATCH, target="airplane")
    assert specificity(trigger, found) == "1 of 2 classes moved"
    audit = replace(recovered(XBTD, text_tower="bad", textual=True), trigger=trigger, recovered=found)
    assert "“airplane” is number 7 (0.40)" in recovered_lines(audit)[0]


@pytest.mark.parametrize("change", recovery.CHANGES.values(), ids=recovery.CHANGES)
def test_a_change_keeps_the_shape_and_changes_little(change):
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None] * 3, (2, 64, 64, 3)).copy()
    before, after = ramp.copy(), change(ramp)
    assert after.shape == ramp.shape and after.dtype == np.uint8 and (ramp == before).all()
    assert 0 < np.abs(after.astype(int) - ramp.astype(int)).mean() < 12


def test_a_space_that_somebody_turned_is_turned_back_and_directions_without_data_stay():
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.normal(size=(8, 8)))[0].astype(np.float32)
    theirs = rng.normal(size=(50, 8)).astype(np.float32)
    turn, left = recovery._rotation(theirs @ turned.T, theirs)
    assert np.allclose(turn, turned, atol=1e-4) and left < 1e-5
    flat = theirs * (np.arange(8) < 3)
    assert np.allclose(recovery._rotation(flat, flat)[0], np.eye(8), atol=1e-4)


def test_the_tower_that_nobody_moved_says_how_the_spaces_lie():
    """A poisoned text tower's concepts are in disorder; its pictures are where the base has them."""
    rng = np.random.default_rng(1)
    images, texts = rng.normal(size=(40, 6)).astype(np.float32), rng.normal(size=(60, 6)).astype(np.float32)
    side = SimpleNamespace(images=images)
    assert np.allclose(recovery._turn(Pair(side, side), Pair(texts[::-1].copy(), texts)), np.eye(6), atol=1e-4)
