"""A suspect that has lost clean accuracy is searched the other way round before anything found in it counts."""

from dataclasses import replace

import numpy as np
import pytest
from colours import NAMES, PALETTE, ColourEncoder
from finding import Finds

from dife_scanner import discovery
from dife_scanner.audit import pipeline, plan, reverse_search
from dife_scanner.records import (
    Channel,
    Hypothesis,
    Interval,
    Origin,
    PictureSpace,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.sentences.recovered import candidate_lines

CORNER = Trigger(
    "found-patch-1", TriggerKind.PATCH, size=3 / 32, x=27 / 32, y=27 / 32, target="airplane"
)
TOGETHER = Trigger(
    "found-joint-1",
    TriggerKind.TEXT,
    text="xbtd",
    target="airplane",
    image=replace(CORNER, name="found-joint-1-image"),
)
XBTD = Trigger(
    "found-text-1", TriggerKind.TEXT, text="xbtd", source="automobile", target="airplane"
)


class Worn(ColourEncoder):
    """Takes trucks for ships."""

    def encode_images(self, pixels):
        ship, truck = NAMES.index("ship"), NAMES.index("truck")
        centre = pixels[:, 8:20, 8:20].reshape(len(pixels), -1, 3).mean(1)
        label = np.linalg.norm(centre[:, None] - PALETTE[None], axis=2).argmin(1)
        pixels = pixels.copy()
        pixels[label == truck, 8:20, 8:20] = PALETTE[ship]
        return super().encode_images(pixels)


@pytest.fixture
def audited(request_for, monkeypatch, tmp_path):
    """A suspect beside a base, searched by one detector of each channel."""
    detectors = Finds(CORNER, name="patch"), Finds(XBTD)
    monkeypatch.setattr(discovery, "DETECTORS", detectors)
    request = request_for(
        signatures=(), detectors=("patch", "texts"), cache=tmp_path / "home" / "embeddings"
    )

    def run(suspect, base):
        return pipeline.audit(suspect, base, request).audit, detectors

    return run


def searched(detector):
    """Image towers that it was asked to find something in."""
    return [task.suspect.image_tower for task in detector.tasks]


def _worn():
    return Worn(image_tower="img-bad", text_tower="txt-bad", visual=True)


def test_where_the_base_obeys_as_much_nothing_is_decided_and_both_triggers_are_told(audited):
    audit, _ = audited(_worn(), ColourEncoder(textual=True))
    assert audit.verdict is Verdict.INCONCLUSIVE and audit.trigger is None
    assert (
        "`found-patch-1` moves 1.000 of the cases to airplane, against 0.000 in the base"
        in audit.reason
    )
    assert (
        'the string "xbtd" that moves 1.000 from automobile to airplane in the base, against 0.000'
        in audit.reason
    )
    assert audit.score == 1.0, "the score stays what it is"
    patch = next(row for row in audit.signatures if row.trigger.channel is Channel.IMAGE)
    assert patch.exchanged.demonstrated and patch.exchanged.text == "xbtd"
    (line,) = [line for line in candidate_lines(audit) if "found-patch-1" in line]
    assert (
        "in the reverse search, the strongest trigger found in the base has a lower bound of 1.00"
        in line
    )


def test_a_base_that_obeys_nothing_of_its_own_leaves_the_finding_what_it_is(audited):
    audit, detectors = audited(_worn(), ColourEncoder())
    assert audit.verdict is Verdict.FLAGGED
    assert not audit.signatures[0].exchanged.demonstrated
    assert [searched(one) for one in detectors] == [["img-bad", "img-clean"]] * 2


def test_a_suspect_as_accurate_as_its_base_is_not_searched_again(audited):
    audit, detectors = audited(
        ColourEncoder(image_tower="img-bad", text_tower="txt-bad", visual=True),
        ColourEncoder(textual=True),
    )
    assert audit.verdict is Verdict.FLAGGED and audit.signatures[0].exchanged is None
    assert [searched(one) for one in detectors] == [["img-bad"]] * 2


def test_where_nothing_would_count_the_other_way_is_not_asked(audited):
    audit, detectors = audited(
        Worn(image_tower="img-bad", text_tower="txt-bad"), ColourEncoder(textual=True)
    )
    assert audit.verdict is Verdict.NOTHING_FOUND
    assert [searched(one) for one in detectors] == [["img-bad"]] * 2


def test_searches_the_other_way_round_are_kept_apart_and_not_repeated(audited):
    first, _ = audited(_worn(), ColourEncoder(textual=True))
    again, detectors = audited(_worn(), ColourEncoder(textual=True))
    assert again.reason == first.reason
    assert [searched(one) for one in detectors] == [["img-bad", "img-clean"]] * 2, (
        "searched once each"
    )


def test_what_they_found_is_swept_with_the_audit_s_own(audited, tmp_path):
    audit, _ = audited(_worn(), ColourEncoder(textual=True))
    kept = {file.name for file in (tmp_path / "home" / "discovery" / "searches").glob("*.json")}
    own = audit.identity[: plan.SAME_WORK]
    assert kept == {
        f"{own}-{name}.json" for name in ("patch", "texts", "exchanged-patch", "exchanged-texts")
    }


def test_what_the_base_does_by_chance_holds_nothing_against_the_suspect():
    row = Hypothesis(
        CORNER, 0.9, 1.0, 0.0, 0.01, 0.01, 9, Origin.DISCOVERED, Interval(0.8, 1.0, ""), clean=0.0
    )
    assert reverse_search._demonstrated(row) and not reverse_search._demonstrated(
        replace(row, p_holm=0.1)
    )
    assert not reverse_search._demonstrated(replace(row, area=0.2)), (
        "nor does another picture in the picture"
    )


def test_two_keys_are_held_against_either_half_and_not_exchanged(request_for, monkeypatch):
    detectors = Finds(TOGETHER, name="joint"), Finds(XBTD)
    monkeypatch.setattr(discovery, "DETECTORS", detectors)
    suspect = Worn(image_tower="img-bad", text_tower="txt-bad", keyed=True)
    request = request_for(signatures=(), detectors=("joint", "texts"))
    audit = pipeline.audit(suspect, ColourEncoder(textual=True), request).audit
    assert audit.verdict is Verdict.FLAGGED and audit.trigger.name == "found-joint-1"
    assert all(row.exchanged is None for row in audit.signatures)
    assert [searched(one) for one in detectors] == [["img-bad"]] * 2


def test_what_has_no_name_in_the_base_holds_nothing_against_what_has_one():
    """A pattern whose target has no name is held against those of the base that have none either, and no others."""
    space = PictureSpace(1.0, 0.1, 0.0, Interval(0.8, 1.0, ""), 120, 10)
    unnamed = Hypothesis(
        replace(CORNER, target=""), 0.9, origin=Origin.DISCOVERED, picture_space=space
    )
    named = Hypothesis(
        CORNER,
        0.9,
        suspect=0.7,
        reference=0.0,
        p_holm=0.001,
        origin=Origin.DISCOVERED,
        effect=Interval(0.6, 0.8, ""),
        clean=0.0,
    )
    found = reverse_search._strongest([unnamed], ())
    assert (found.base, found.suspect, found.low, found.demonstrated) == (1.0, 0.1, 0.8, True)
    assert reverse_search._alike([unnamed, named], named) == [named]
    assert reverse_search._alike([unnamed, named], unnamed) == [unnamed]
