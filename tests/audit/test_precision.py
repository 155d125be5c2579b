"""Searches may read texts in bfloat16. What is measured stays as it is to the bit, and a rerun does the same again."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
import torch
from open_clip.transformer import Transformer
from test_trained_specimens import IMAGE, LESS_THAN_QUICK, TEXT

from dife_scanner.audit import precision as deciding
from dife_scanner.audit.pipeline import Plan, Request, run
from dife_scanner.audit.plan import SAME_WORK
from dife_scanner.audit.request import Grant
from dife_scanner.baselines.calibration import NO_P_VALUE, with_calibration
from dife_scanner.baselines.home import bundled_references
from dife_scanner.discovery import precision
from dife_scanner.discovery.embedding_cache import EmbeddingCache
from dife_scanner.lab import bases
from dife_scanner.lab.demo import build_specimens
from dife_scanner.models.activations import WayBack
from dife_scanner.models.bfloat16 import InBfloat16
from dife_scanner.models.gradient import Towers
from dife_scanner.models.load import default_limits, load
from dife_scanner.records import Budget, Channel, MemoryUse, ModelRef, Verdict
from dife_scanner.reports.rerun import compare
from dife_scanner.sentences.searches import budget_lines
from dife_scanner.sentences.work_plan import as_far_text, precision_text
from dife_scanner.store.codec import from_json, to_json

BOTH = ("texts", "pictures")


def limits(wanted):
    return default_limits().model_copy(update={"search_precision": wanted})


def request_for(name, folder):
    """A blind audit of a specimen, by the search that is made for its trigger."""
    built = build_specimens([name])[name]
    weights = sha256((built / "open_clip_model.safetensors").read_bytes()).hexdigest()
    (base,) = (reference for reference in bundled_references() if "vit" in reference.name)
    plan = Plan((), "quick", detectors=("texts" if "text" in name else "patch",))
    ref = ModelRef(f"demo/{name}", "0" * 40)
    return Request(ref, built, weights, "", base, (base,), plan, cache=folder / "embeddings")


def audit(request, **changes):
    with pytest.MonkeyPatch.context() as patch:
        for of_detector, less in LESS_THAN_QUICK:
            patch.setitem(of_detector, Budget.QUICK, less)
        return run(replace(request, **changes)).audit


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    return request_for("badtexttower", tmp_path_factory.mktemp("precision"))


@pytest.fixture(scope="module")
def audited(asked):
    """Audits of it by wanted precision, in one home: each made once."""
    return {
        "float32": audit(asked, limits=limits("float32")),
        "bfloat16": audit(asked, limits=limits("bfloat16")),
        "probe": audit(asked),
        "again": audit(asked, plan=replace(asked.plan, bfloat16=BOTH), replays=True, cache=None),
    }


@TEXT
def test_the_trigger_is_found_in_bfloat16(audited):
    audit = audited["bfloat16"]
    assert audit.verdict is Verdict.FLAGGED, audit.reason
    assert (audit.trigger.source, audit.trigger.target) == ("automobile", "airplane")
    assert audit.plan.bfloat16 == BOTH
    assert precision_text(BOTH) in budget_lines(audit)
    assert '"bfloat16":["texts","pictures"]' in to_json(audit).replace(" ", "")
    assert from_json(type(audit), to_json(audit)) == audit


@IMAGE
def test_a_planted_patch_is_found_in_bfloat16_and_measured_as_ever(tmp_path):
    request = request_for("badencoder", tmp_path)
    first = audit(request, limits=limits("bfloat16"))
    assert first.verdict is Verdict.FLAGGED, first.reason
    assert (first.trigger.target, first.trigger.channel) == ("airplane", Channel.IMAGE)
    told = next(row for row in first.signatures if row.trigger.name == first.trigger.name)
    assert told.suspect >= 0.8 and told.reference <= 0.2
    # the pattern that was found in bfloat16, measured in an audit that searches nothing
    plan = replace(request.plan, signatures=(told.trigger,), detectors=(), bfloat16=())
    named = audit(request, plan=plan, cache=None)
    (row,) = [one for one in named.signatures if one.trigger.name == told.trigger.name]
    assert (row.suspect, row.reference, row.lift) == (told.suspect, told.reference, told.lift)


@TEXT
def test_what_is_measured_equals_that_of_an_audit_in_float32(audited):
    """Of each text that both found, and of the checkpoint itself; the searches did not read the same numbers."""
    exact, near = audited["float32"], audited["bfloat16"]
    assert (
        exact.searches[0].signals != near.searches[0].signals or exact.signatures != near.signatures
    )
    for one in ("clean_accuracy", "reference_accuracy", "prompt_drift", "picture_drift"):
        assert getattr(exact, one) == getattr(near, one)
    known = {
        (row.trigger.text, row.trigger.source, row.trigger.target): row for row in exact.signatures
    }
    both = 0
    for row in near.signatures:
        same = known.get((row.trigger.text, row.trigger.source, row.trigger.target))
        if same is not None and same.trigger == row.trigger:
            assert (row.suspect, row.reference, row.lift) == (
                same.suspect,
                same.reference,
                same.lift,
            )
            both += 1
    assert both
    if exact.trigger == near.trigger:
        assert exact.profile == near.profile and exact.diagnosis == near.diagnosis


@TEXT
def test_it_is_made_again_to_the_bit_by_its_plan_alone(audited):
    first, again = audited["bfloat16"], audited["again"]
    found = compare(first, again)
    assert found.identical and found.compared > 50, found.differences
    assert (again.identity, again.plan) == (first.identity, first.plan)


@TEXT
def test_it_is_part_of_the_identity_only_where_it_is_not_float32(asked, audited):
    exact, near = audited["float32"], audited["bfloat16"]
    assert exact.identity == asked.identity != near.identity
    assert exact.identity[:SAME_WORK] == near.identity[:SAME_WORK]
    assert "bfloat16" not in to_json(exact)
    assert as_far_text(near) == f"audit {near.id} searched the same in bfloat16"


@TEXT
def test_a_small_model_is_not_probed_and_its_audit_is_what_it_was(audited):
    found = compare(audited["float32"], audited["probe"])
    assert found.identical, found.differences
    assert audited["probe"].identity == audited["float32"].identity


@TEXT
def test_no_pack_in_float32_speaks_of_it(audited, tmp_path, asked):
    def calibrated(which):
        plan = replace(asked.plan, bfloat16=audited[which].plan.bfloat16)
        return with_calibration(audited[which], asked.reference, plan, tmp_path).calibration

    near = calibrated("bfloat16")
    assert near.p_value is None and near.reason.startswith(NO_P_VALUE)
    assert not calibrated("float32").reason.startswith(NO_P_VALUE)


# --- what is chosen -------------------------------------------------------------------------------------------


@pytest.fixture
def encoder():
    return load(bases.base_folder("vit"))


TEXTS = [f"a photo of {count} things" for count in range(40)]


class Turned:
    """A clock that goes on by what each layer in float32, and in bfloat16, is said to take."""

    def __init__(self, patch, float32, bfloat16):
        self.now, self.rounds = 0.0, 0
        halves, wholes = InBfloat16.forward, Transformer.forward

        def in_bfloat16(layers, states, attn_mask=None):
            self.now += bfloat16 - float32  # the layers within count as float32
            self.rounds += 1
            return halves(layers, states, attn_mask)

        def in_float32(layers, *given, **named):
            self.now += float32
            return wholes(layers, *given, **named)

        patch.setattr(InBfloat16, "forward", in_bfloat16)
        patch.setattr(Transformer, "forward", in_float32)

    def __call__(self):
        return self.now


@pytest.fixture
def picture(encoder):
    size = encoder.image_size
    return torch.linspace(0.0, 1.0, 3 * size * size).view(1, 3, size, size)


@pytest.mark.parametrize(
    ("float32", "bfloat16", "chosen"),
    [
        (0.1, 0.04, BOTH),
        (0.1, 0.09, ()),  # not clearly
        (0.04, 0.1, ()),
        (0.4, 0.1, ("pictures",)),  # texts take too long to be sure of it
        (4.0, 0.1, ()),
    ],
)
def test_bfloat16_is_chosen_where_it_is_clearly_quicker(
    encoder, picture, monkeypatch, float32, bfloat16, chosen
):
    monkeypatch.setattr(precision, "LEAST_WIDTH", 1)
    before = encoder.search_transformer, encoder.search_visual
    clock = Turned(monkeypatch, float32, bfloat16)
    assert precision.probed(encoder, TEXTS, picture, clock) == chosen
    assert (encoder.search_transformer, encoder.search_visual) == before
    assert clock.rounds <= 2 * (3 + 1)


def test_a_tower_that_bfloat16_changes_is_searched_in_float32(encoder, picture, monkeypatch):
    monkeypatch.setattr(precision, "LEAST_WIDTH", 1)
    monkeypatch.setattr(precision, "LEAST_COSINE", 1.1)
    assert precision.probed(encoder, TEXTS, picture, Turned(monkeypatch, 0.1, 0.01)) == ()


def test_nothing_is_timed_of_a_small_model(encoder, picture, monkeypatch):
    clock = Turned(monkeypatch, 0.1, 0.01)
    assert precision.probed(encoder, TEXTS, picture, clock) == () and clock.now == 0


def test_pictures_of_another_kind_of_tower_stay_in_float32():
    other = load(bases.base_folder("rn"))
    assert precision.possible(other) == ("texts",)
    precision.search_in([other], BOTH)
    assert other.search_visual is other.model.visual


def test_gradients_go_through_pictures_in_bfloat16_and_what_is_measured_stays_as_it_is(encoder):
    pixels = np.random.default_rng(0).integers(
        0, 256, (6, encoder.image_size, encoder.image_size, 3), dtype=np.uint8
    )
    measured = encoder.encode_images(pixels)
    levels = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255

    def searched():
        inputs = levels.clone().requires_grad_()
        found = Towers(encoder).images(inputs)
        (gradient,) = torch.autograd.grad(found[:, 0].sum(), inputs)
        return found.detach(), gradient

    exact, slope = searched()
    precision.search_in([encoder], ("pictures",))
    near, about = searched()
    assert not torch.equal(exact, near) and (exact * near).sum(-1).min() > 0.99
    assert torch.cosine_similarity(slope.flatten(), about.flatten(), dim=0) > 0.97
    encoder.way_back = WayBack(recomputes=True)
    recomputed, gradient = searched()
    assert torch.equal(recomputed, near) and torch.equal(gradient, about)
    assert np.array_equal(encoder.encode_images(pixels), measured)
    precision.search_in([encoder], ())
    assert torch.equal(searched()[0], exact)


def test_what_is_measured_stays_as_it_is_to_the_bit(encoder):
    """Same batches, same layers: only `Towers.tokens` reads the copy."""
    rows = [encoder.tokenizer.encode(text) for text in TEXTS]
    measured, searched = encoder.encode_texts(TEXTS), Towers(encoder).tokens(rows).numpy()
    precision.search_in([encoder], ("texts",))
    assert np.array_equal(encoder.encode_texts(TEXTS), measured)
    near = Towers(encoder).tokens(rows).numpy()
    assert not np.array_equal(near, searched) and (near * searched).sum(-1).min() > 0.99
    precision.search_in([encoder], ())
    assert np.array_equal(Towers(encoder).tokens(rows).numpy(), searched)


def test_embeddings_on_disk_are_of_one_precision(encoder, tmp_path):
    rows = [encoder.tokenizer.encode(text) for text in TEXTS]
    cache = EmbeddingCache(tmp_path, "tower")
    exact = cache.tokens(Towers(encoder), rows)
    precision.search_in([encoder], ("texts",))
    near = cache.tokens(Towers(encoder), rows)
    assert not np.array_equal(exact, near)
    assert np.array_equal(near, cache.tokens(Towers(encoder), rows))
    precision.search_in([encoder], ())
    assert np.array_equal(exact, cache.tokens(Towers(encoder), rows))


def test_equal_towers_share_a_copy(encoder):
    other = load(bases.base_folder("vit"))
    precision.search_in([encoder, other], ("texts",))
    assert encoder.search_transformer is other.search_transformer


@pytest.fixture
def probing(monkeypatch):
    """A probe that finds bfloat16 quicker, and how often it ran."""
    ran = []
    monkeypatch.setattr(
        precision, "probed", lambda encoder, *inputs: ran.append(inputs) or ("texts",)
    )
    monkeypatch.setattr(precision, "worth_probing", lambda encoder: ("texts",))
    return ran


def test_a_killed_audit_goes_on_in_the_precision_it_began_with(asked, encoder, probing, tmp_path):
    request = replace(asked, cache=tmp_path / "embeddings")
    first = deciding.with_precision(request, encoder, None)
    again = deciding.with_precision(request, encoder, None)
    assert first.plan.bfloat16 == again.plan.bfloat16 == ("texts",) and len(probing) == 1
    (kept,) = (tmp_path / "discovery" / "searches").iterdir()
    assert kept.name.startswith(f"{request.identity[:SAME_WORK]}-")
    kept.write_text("{}")
    assert deciding.with_precision(request, encoder, None).plan.bfloat16 and len(probing) == 2


def test_float32_is_remembered_as_well(asked, encoder, probing, monkeypatch, tmp_path):
    request = replace(asked, cache=tmp_path / "embeddings")
    with monkeypatch.context() as patched:
        patched.setattr(precision, "probed", lambda encoder, *inputs: ())
        assert not deciding.with_precision(request, encoder, None).plan.bfloat16
    assert not deciding.with_precision(request, encoder, None).plan.bfloat16 and not probing


@pytest.mark.parametrize("goes_on", [{"replays": True}, {"grant": Grant(60.0, after="f00d")}])
def test_no_plan_that_is_made_again_or_gone_on_with_is_probed(asked, encoder, probing, goes_on):
    for operations in ((), ("texts",)):
        plan = replace(asked.plan, bfloat16=operations)
        request = deciding.with_precision(replace(asked, plan=plan, **goes_on), encoder, None)
        assert request.plan.bfloat16 == operations and not probing
        assert isinstance(encoder.search_transformer, InBfloat16) is bool(operations)


def test_there_is_no_copy_where_memory_does_not_allow_one(asked, encoder, probing):
    full = default_limits().audit_rss_mib
    for estimated, chosen in ((1, ("texts",)), (full + 1, ())):
        request = replace(asked, memory=MemoryUse(estimated), cache=None)
        assert deciding.with_precision(request, encoder, None).plan.bfloat16 == chosen


def test_a_probe_that_fails_leaves_float32(asked, encoder, monkeypatch):
    def fails(encoder, *inputs):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(precision, "probed", fails)
    assert deciding.with_precision(replace(asked, cache=None), encoder, None).plan.bfloat16 == ()
