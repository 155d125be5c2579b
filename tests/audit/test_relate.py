"""Weights in another order are no escape: what answers as the reference does is compared with it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from colours import ColourEncoder

from dife_scanner.audit.pipeline import Plan, Request, audit, run
from dife_scanner.baselines.home import bundled_references
from dife_scanner.core import metrics
from dife_scanner.lab import bases
from dife_scanner.lab.bench import weight_changes, zoo
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.likeness import Likeness, compare
from dife_scanner.records import ModelRef, Verdict

STRANGER = Likeness(0.0, 0.01, 1.4)
WEIGHTS = "open_clip_model.safetensors"


class Elsewhere(ColourEncoder):
    """Answers that have nothing to do with those of a `ColourEncoder`: every input its own random vector."""

    def encode_images(self, pixels):
        return self._drawn([one.tobytes() for one in pixels])

    def encode_texts(self, texts):
        return self._drawn([text.encode() for text in texts])

    def _drawn(self, rows):
        seeds = [int.from_bytes(sha256(row).digest()[:4]) for row in rows]
        drawn = np.stack([np.random.default_rng(seed).normal(size=12) for seed in seeds])
        return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def test_relation_is_blind_to_turned_spaces_and_sees_other_answers():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 12))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    turned = rows @ np.linalg.qr(rng.normal(size=(12, 12)))[0]
    assert metrics.relation(turned, rows) == pytest.approx(1.0, abs=1e-6)
    assert abs(metrics.relation(np.roll(rows, 1, axis=0), rows)) < 0.2
    assert metrics.relation(np.repeat(rows[:1], 60, axis=0), rows) == 0.0
    assert metrics.relation(rows[:1], rows[:1]) == 0.0, "one input has nothing to be compared with"


def test_weights_in_another_order_are_compared_where_the_answers_agree(request_for):
    request = replace(request_for(), likeness=STRANGER)
    suspect = ColourEncoder(image_tower="img-x", text_tower="txt-x", visual=True)
    outcome = audit(suspect, ColourEncoder(), request)
    assert (outcome.audit.verdict, outcome.audit.reference) == (Verdict.FLAGGED, "colour-base")
    assert not outcome.audit.image_tower_unknown and not outcome.audit.text_tower_unknown
    assert outcome.audit.identity == replace(request, likeness=Likeness()).identity
    assert "a rewritten copy of colour-base: it embeds as colour-base does" in outcome.audit.reason
    assert outcome.finding is not None and outcome.audit.notes[0] in outcome.finding.reason


def test_a_stranger_in_weights_and_answers_is_of_an_unknown_base(request_for):
    request = replace(request_for(), likeness=STRANGER)
    outcome = audit(Elsewhere("img-x", "txt-x"), ColourEncoder(), request)
    record = outcome.audit
    assert (record.verdict, record.reference, record.score) == (Verdict.INCONCLUSIVE, "", None)
    assert record.image_tower_unknown and record.text_tower_unknown and outcome.finding is None
    assert record.reason.startswith("unknown base") and record.reason.endswith(record.notes[0])
    assert "colour-base has the same architecture and is not its base" in record.notes[0]
    assert "image tower: weights 0.00, answers" in record.notes[0]
    assert (
        record.identity == replace(request, reference=None, turned_down=request.reference).identity
    )
    assert record.identity != replace(request, reference=None).identity, (
        "a reference that comes later may fit"
    )
    assert record.turned_down == "colour-base"


def test_a_named_reference_is_compared_with_whatever_the_likeness(request_for):
    request = replace(request_for(), likeness=STRANGER, named=True)
    record = audit(Elsewhere("img-x", "txt-x"), ColourEncoder(), request).audit
    assert (
        record.reference == "colour-base"
        and record.image_tower_unknown
        and record.text_tower_unknown
    )
    assert "compared with it only because that was asked for" in record.reason


def test_one_tower_of_an_unknown_base_is_told_and_the_audit_goes_on(request_for):
    request = replace(request_for(), likeness=Likeness(1.0, 0.0, 0.9))

    class Half(Elsewhere):
        encode_images = ColourEncoder.encode_images

    record = audit(Half("img-clean", "txt-x"), ColourEncoder(), request).audit
    assert record.reference == "colour-base" and record.image_tower_same
    assert (record.image_tower_unknown, record.text_tower_unknown) == (False, True)
    assert "the text tower is of an unknown base" in record.reason


def asked(folder, base):
    """An audit of a folder against the bundled ViT, with nothing searched."""
    weights = folder / WEIGHTS
    return Request(
        ref=ModelRef(f"lab/{folder.name}", "0" * 40),
        folder=folder,
        weights_sha256=sha256(weights.read_bytes()).hexdigest(),
        config_digest="",
        reference=base,
        known=(base,),
        plan=Plan((), "quick"),
        likeness=compare(weights, bases.base_folder("vit") / WEIGHTS, ParseLimits()),
    )


def test_permuted_features_of_a_real_base_are_compared_and_a_fresh_model_is_not(tmp_path):
    import open_clip
    import torch

    (base,) = (one for one in bundled_references() if "vit" in one.name)
    permuted, fresh = tmp_path / "permuted", tmp_path / "fresh"
    shutil.copytree(bases.base_folder("vit"), permuted)
    weight_changes.CHANGES["permuted features"](
        permuted, next(iter(zoo.plan((zoo.Role.ATTACK,), sealed=False)))
    )
    torch.manual_seed(5)
    config = json.loads((permuted / "open_clip_config.json").read_text())["model_cfg"]
    bases.write_folder(open_clip.model.CLIP(**config).state_dict(), config, fresh)
    copy, stranger = run(asked(permuted, base)).audit, run(asked(fresh, base)).audit
    assert (copy.reference, copy.verdict) == (base.name, Verdict.NOTHING_FOUND)
    assert "a rewritten copy" in copy.reason and not copy.image_tower_unknown
    assert any(one.change for one in copy.layers) and len(copy.layers) == 18
    assert (stranger.reference, stranger.verdict) == ("", Verdict.INCONCLUSIVE)
    assert stranger.layers == ()
    assert stranger.image_tower_unknown and stranger.text_tower_unknown
