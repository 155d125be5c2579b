"""Searches may read texts in bfloat16. What is measured stays as it is to the bit, and a rerun does the same again."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
import torch
from open_clip.transformer import Transformer
from test_trained_specimens import IMAGE, TEXT

from dife_scanner.audit import precision as deciding
from dife_scanner.audit.pipeline import Plan, Request, run
from dife_scanner.audit.plan import SAME_WORK
from dife_scanner.audit.request import Grant
from dife_scanner.baselines.calibration import NO_P_VALUE, with_calibration
from dife_scanner.baselines.home import bundled_references
from dife_scanner.discovery import precision
from dife_scanner.discovery.effort import (
    OPEN_SCAN_EFFORTS,
    PATCH_EFFORTS,
    TEXT_EFFORTS,
    InversionEffort,
    LostNounEffort,
    OpenScanEffort,
    TextEffort,
)
from dife_scanner.discovery.embedding_cache import EmbeddingCache
from dife_scanner.lab import bases
from dife_scanner.lab.demo import build_specimens
from dife_scanner.models import beginnings
from dife_scanner.models.activations import WayBack
from dife_scanner.models.bfloat16 import InBfloat16, Near
from dife_scanner.models.gradient import Towers
from dife_scanner.models.load import default_limits, load
from dife_scanner.records import Budget, Channel, MemoryUse, ModelRef, Verdict
from dife_scanner.reports.rerun import compare
from dife_scanner.sentences.searches import budget_lines
from dife_scanner.sentences.work_plan import as_far_text, precision_text
from dife_scanner.store.codec import from_json, to_json

BOTH = ("texts", "pictures")
LITTLE = (
    (TEXT_EFFORTS, TextEffort(scan_texts=500, foci=1, single_tokens=50, rounds=1, branching=4)),
    (PATCH_EFFORTS, InversionEffort(1, 25, pictures=12, report_smallest=False)),
    (
        OPEN_SCAN_EFFORTS,
        OpenScanEffort(
            LostNounEffort(nouns=4, contexts=1, tokens=2, grown=1, grown_nouns=2),
            sources=8,
            tokens=2,
            runs=1,
            looked_at=1,
            paired_tokens=2,
            pairs=1,
            single_tokens=4,
            rounds=1,
        ),
    ),
)
"""Under which what was planted is found all the same. At `quick`: `make test-slow`."""


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


def audit(request, efforts=LITTLE, **changes):
    with pytest.MonkeyPatch.context() as patch:
        for of_detector, effort in efforts:
            patch.setitem(of_detector, Budget.QUICK, effort)
        return run(replace(request, **changes)).audit


def strongest(found):
    """What the strongest trigger of an audit comes to."""
    (row,) = [one for one in found.signatures if one.trigger.name == found.trigger.name]
    return row


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    return request_for("badtexttower", tmp_path_factory.mktemp("precision"))


@pytest.fixture(scope="module")
def near(asked):
    """An audit that was to search in bfloat16."""
    return audit(asked, limits=limits("bfloat16"))


@pytest.fixture
def read_in_bfloat16(monkeypatch):
    """The batches that a copy in bfloat16 read."""
    read = []
    halves = InBfloat16.forward

    def forward(layers, states, attn_mask=None):
        read.append(states.shape)
        return halves(layers, states, attn_mask)

    through = beginnings.through

    def shared(layers, states, of_texts):
        if isinstance(layers, InBfloat16):
            read.append(states.shape)
        return through(layers, states, of_texts)

    monkeypatch.setattr(InBfloat16, "forward", forward)
    monkeypatch.setattr(beginnings, "through", shared)
    return read


@TEXT
def test_the_trigger_is_found_in_bfloat16(near):
    assert near.verdict is Verdict.FLAGGED, near.reason
    assert (near.trigger.source, near.trigger.target) == ("automobile", "airplane")
    assert near.plan.bfloat16 == BOTH
    assert precision_text(BOTH) in budget_lines(near)
    assert '"bfloat16":["texts","pictures"]' in to_json(near).replace(" ", "")
    assert from_json(type(near), to_json(near)) == near


@pytest.mark.parametrize(
    "efforts",
    [pytest.param(LITTLE, id="little"), pytest.param((), id="quick", marks=pytest.mark.slow)],
)
@IMAGE
def test_a_planted_patch_is_found_in_bfloat16(tmp_path, read_in_bfloat16, efforts):
    request = request_for("badencoder", tmp_path)
    found = audit(request, efforts, limits=limits("bfloat16"))
    assert found.verdict is Verdict.FLAGGED, found.reason
    assert (found.trigger.target, found.trigger.channel) == ("airplane", Channel.IMAGE)
    assert read_in_bfloat16
    told = strongest(found)
    assert told.suspect >= 0.8 and told.reference <= 0.2


@TEXT
def test_what_is_measured_equals_that_of_an_audit_in_float32(asked, near, read_in_bfloat16):
    """Of what was found, and of the checkpoint itself: success, footprint, and every interface, with its pictures."""
    named = replace(asked.plan, signatures=(near.trigger,), detectors=(), bfloat16=())
    exact = audit(asked, plan=named, cache=None)
    assert not read_in_bfloat16 and exact.trigger == near.trigger
    for one in ("clean_accuracy", "reference_accuracy", "prompt_drift", "picture_drift"):
        assert getattr(exact, one) == getattr(near, one)
    for one in ("suspect", "reference", "lift"):
        assert getattr(strongest(exact), one) == getattr(strongest(near), one)
    assert exact.profile == near.profile and exact.diagnosis == near.diagnosis


@TEXT
def test_it_is_made_again_to_the_bit_by_its_plan_alone(asked, near, read_in_bfloat16):
    again = audit(asked, plan=replace(asked.plan, bfloat16=BOTH), replays=True, cache=None)
    assert read_in_bfloat16
    found = compare(near, again)
    assert found.identical and found.compared > 50, found.differences
    assert (again.identity, again.plan) == (near.identity, near.plan)


@TEXT
def test_it_is_part_of_the_identity_only_where_it_is_not_float32(asked, near):
    assert near.identity == asked.with_bfloat16(BOTH).identity != asked.identity
    assert near.identity[:SAME_WORK] == asked.identity[:SAME_WORK]
    assert "bfloat16" not in to_json(asked.plan.as_stored())
    assert as_far_text(near) == f"audit {near.id} searched the same in bfloat16"


@TEXT
def test_a_small_model_is_not_probed_and_its_audit_is_what_it_was(asked, monkeypatch):
    monkeypatch.setattr(precision, "_is_quicker", lambda *probed: True)
    suspect = load(asked.folder)
    assert deciding.with_precision(replace(asked, cache=None), suspect, None).plan == asked.plan
    assert suspect.near == Near()


@TEXT
def test_no_pack_in_float32_speaks_of_it(asked, near, tmp_path):
    """Nor of the same audit as if it were of float32, which packs could speak of."""

    def reason(operations):
        plan = replace(asked.plan, bfloat16=operations)
        searched = replace(near, plan=plan.as_stored())
        calibration = with_calibration(searched, asked.reference, plan, tmp_path).calibration
        assert calibration.p_value is None
        return calibration.reason

    assert reason(BOTH).startswith(NO_P_VALUE) and not reason(()).startswith(NO_P_VALUE)


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
        (0.01, 0.05, ()),  # hopeless
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
    assert clock.rounds <= 2 * (2 + 3 + 1)


@pytest.mark.parametrize(("bfloat16", "hopeless"), [(0.29, False), (0.31, True)])
def test_a_precision_that_is_hopeless_is_tried_with_a_few_tokens_only(
    encoder, picture, monkeypatch, bfloat16, hopeless
):
    monkeypatch.setattr(precision, "LEAST_WIDTH", 1)
    read = []
    halves = InBfloat16.forward

    def forward(layers, states, attn_mask=None):
        read.append(states.shape[0] * states.shape[1])
        return halves(layers, states, attn_mask)

    monkeypatch.setattr(InBfloat16, "forward", forward)
    assert precision.probed(encoder, TEXTS, picture, Turned(monkeypatch, 0.1, bfloat16)) == ()
    few = [tokens for tokens in read if tokens <= precision.TRIED_TOKENS]
    assert len(few) == 2 * len(BOTH)
    assert (len(few) == len(read)) is hopeless


def test_a_tower_that_bfloat16_changes_is_searched_in_float32(encoder, picture, monkeypatch):
    monkeypatch.setattr(precision, "LEAST_WIDTH", 1)
    monkeypatch.setattr(precision, "LEAST_COSINE", 1.1)
    assert precision.probed(encoder, TEXTS, picture, Turned(monkeypatch, 0.1, 0.01)) == ()


def test_all_layers_of_both_towers_are_compared_of_few_tokens(encoder, picture, monkeypatch):
    monkeypatch.setattr(precision, "LEAST_WIDTH", 1)
    monkeypatch.setattr(precision, "TOKENS_THAT_AGREE", 5)
    towers = Towers(encoder)
    rows = [encoder.tokenizer.encode(text) for text in TEXTS[:2]]
    read = []
    halves = InBfloat16.forward

    def forward(layers, states, attn_mask=None):
        read.append((states.shape[1], len(layers.layers.resblocks)))
        return halves(layers, states, attn_mask)

    through = beginnings.through

    def shared(layers, states, of_texts):
        if isinstance(layers, InBfloat16):
            read.append((of_texts.of_texts.shape[1], len(layers.layers.resblocks)))
        return through(layers, states, of_texts)

    monkeypatch.setattr(InBfloat16, "forward", forward)
    monkeypatch.setattr(beginnings, "through", shared)
    assert precision._agrees(encoder, "pictures", towers, picture)
    assert precision._agrees(encoder, "texts", towers, rows)
    layers = encoder.config.vision.layers, encoder.config.text.layers
    tokens = 5, towers.packed(rows)[0].shape[1]
    assert read == [*zip(tokens, layers, strict=True)] and encoder.near == Near()


def test_a_last_layer_that_bfloat16_changes_is_noticed(encoder, picture):
    """Which the timed layer, the first, does not show: next to large values bfloat16 rounds small ones away."""
    assert precision._agrees(encoder, "pictures", Towers(encoder), picture)
    with torch.no_grad():
        encoder.model.visual.transformer.resblocks[-1].mlp.c_proj.bias += 1e4
    assert not precision._agrees(encoder, "pictures", Towers(encoder), picture)


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
