"""What an audit and its searches measure is encoded once; what is kept and what is held stays within bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from checkpoints import TINY_VIT, write_config

from dife_scanner.audit import cache, memory, pipeline
from dife_scanner.audit.cache import CachedEncoder, Memory
from dife_scanner.errors import LimitExceeded
from dife_scanner.models.activations import WayBack
from dife_scanner.records import Encoded, MemoryUse
from dife_scanner.settings import Limits

VIT_H = {
    "embed_dim": 1024,
    "vision_cfg": {
        "image_size": 224,
        "layers": 32,
        "width": 1280,
        "head_width": 80,
        "patch_size": 14,
    },
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 1024,
        "heads": 16,
        "layers": 24,
    },
}
VIT_B_32 = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 512,
        "heads": 8,
        "layers": 12,
    },
}
TEXTS = [f"a photo of a {name}" for name in ("cat", "dog", "frog", "ship")]


def test_what_a_search_measured_is_not_encoded_again_and_counts_as_its_passes(colour_encoder):
    encoder, memory = colour_encoder(), Memory()
    searched = CachedEncoder(encoder, memory, counted=False)
    first = searched.encode_texts(TEXTS[:2])
    assert memory.performed == memory.distinct == 0
    whole = CachedEncoder(encoder, memory).encode_texts(TEXTS)
    assert np.array_equal(whole[:2], first)
    assert encoder.texts_encoded == TEXTS
    assert memory.performed == memory.distinct == len(TEXTS) - 2


def test_checkpoints_that_share_a_tower_measure_once_in_a_search(colour_encoder):
    """A text attack leaves the image tower alone: what a search stamps on pictures is embedded for both."""
    suspect, base = colour_encoder(text_tower="txt-bad"), colour_encoder()
    memory = Memory()
    side = base.image_size
    pictures = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    for one in (suspect, base):
        CachedEncoder(one, memory, counted=False).encode_images(pictures)
    assert sum(suspect.images_encoded) == len(pictures) and base.images_encoded == []


@pytest.fixture
def room_for_three(colour_encoder, monkeypatch):
    (row,) = colour_encoder().encode_texts(TEXTS[:1])
    monkeypatch.setattr(cache, "MOST_BYTES", 3 * (row.nbytes + cache._DIGEST_BYTES))


def test_what_was_not_asked_for_the_longest_goes_first(colour_encoder, tmp_path, room_for_three):
    encoder = colour_encoder()
    memory = Memory(tmp_path)
    kept = CachedEncoder(encoder, memory)
    kept.encode_texts(TEXTS)
    kept.encode_texts(TEXTS[:1])
    memory.save([encoder.text_tower])
    again = colour_encoder()
    CachedEncoder(again, Memory(tmp_path)).encode_texts(TEXTS)
    assert again.texts_encoded == TEXTS[1:2]


def test_what_went_through_towers_is_counted_and_what_did_not_have_to(colour_encoder, tmp_path):
    encoder, memory = colour_encoder(), Memory(tmp_path)
    kept = CachedEncoder(encoder, memory)
    kept.encode_texts(TEXTS)
    kept.encode_texts(TEXTS[:1])
    memory.save([encoder.text_tower])
    assert memory.encoded == Encoded(texts=len(TEXTS), remembered=1)
    later = Memory(tmp_path)
    search = CachedEncoder(encoder, later, counted=False)
    search.encode_texts(TEXTS)
    search.encode_images(np.zeros((2, 64, 64, 3), np.uint8))
    assert later.encoded == Encoded(pictures=1, remembered=1 + len(TEXTS))
    assert later.performed == 0


def test_a_model_that_memory_cannot_hold_does_not_start(request_for, tmp_path):
    """A ViT-H has 986 million values: with its base, 7.3 GiB."""
    write_config(tmp_path, {"model_cfg": VIT_H, "preprocess_cfg": {}})
    request = request_for()
    base = replace(request.reference, path=str(tmp_path))
    limits = Limits.model_validate({"audit_rss_mib": 4096})
    request = replace(request, folder=tmp_path, reference=base, limits=limits)
    with pytest.raises(
        LimitExceeded, match=r"it and its base take 7,\d+ MiB .* 4,096 MiB"
    ) as error:
        pipeline.run(request)
    assert "limits.audit_rss_mib" in error.value.advice


def test_a_machine_with_less_memory_than_the_setting_counts(request_for, tmp_path, monkeypatch):
    write_config(tmp_path, {"model_cfg": VIT_H, "preprocess_cfg": {}})
    request = replace(request_for(), folder=tmp_path, reference=None)
    memory.planned(request)
    monkeypatch.setattr(memory, "machine_mib", lambda: 2048)
    with pytest.raises(LimitExceeded, match="of it take 3,"):
        memory.planned(request)


# --- what searches hold for the way back ------------------------------------------------------------------------


@pytest.fixture
def searched(request_for, tmp_path):
    """Asks for a search of a model of some shape against a base of the same, with so many MiB."""

    def ask(shape: dict, mib: int = 16_384):
        write_config(tmp_path, {"model_cfg": shape, "preprocess_cfg": {}})
        request = request_for()
        return replace(
            request,
            folder=tmp_path,
            reference=replace(request.reference, path=str(tmp_path)),
            limits=Limits.model_validate({"audit_rss_mib": mib}),
            plan=replace(request.plan, detectors=("patch",)),
        )

    return ask


def test_a_small_model_keeps_all_that_layers_make(searched):
    used = memory.planned(searched(TINY_VIT)).memory
    assert used.recomputed == () and used.at_once == 0
    assert memory.PROGRAM_MIB < used.estimated_mib < memory.AIM_MIB


def test_a_b32_stays_within_three_gigabytes_though_more_is_allowed(searched):
    used = memory.planned(searched(VIT_B_32)).memory
    assert used.recomputed == ("base",) and used.at_once == 0
    assert used.estimated_mib <= memory.AIM_MIB


def test_less_memory_makes_more_be_recomputed_then_parts_then_a_refusal(searched, monkeypatch):
    monkeypatch.setattr(memory, "machine_mib", lambda: 64_000)
    ways = []
    for mib in (30_000, 16_384, 11_000, 9_100):
        used = memory.planned(searched(VIT_H, mib)).memory
        assert used.estimated_mib <= mib
        ways.append((used.recomputed, used.at_once))
    both = ("suspect", "base")
    assert ways == [(("base",), 0), (both, 0), (both, 12), (both, 3)]
    with pytest.raises(LimitExceeded, match=r"takes 8,\d+ MiB with one picture at a time.* 8,500"):
        memory.planned(searched(VIT_H, 8_500))


def test_an_audit_that_is_made_again_goes_in_the_parts_of_the_first(searched):
    request = replace(searched(VIT_B_32), at_once=3)
    assert memory.planned(request).memory.at_once == 3
    whole = replace(searched(VIT_B_32, 2_000), at_once=0)
    again = memory.planned(whole).memory
    assert again.at_once == 0 and again.recomputed == ("suspect", "base")


def test_nothing_is_said_of_gradients_where_nothing_is_searched(request_for, tmp_path):
    write_config(tmp_path, {"model_cfg": TINY_VIT, "preprocess_cfg": {}})
    assert memory.planned(replace(request_for(), folder=tmp_path, reference=None)).memory is None


def test_estimate_and_measured_peak_stand_beside_each_other_in_the_audit():
    use = MemoryUse(900, recomputed=("base",))
    held = memory.held(
        use, WayBack(recomputes=True, at_once=6), WayBack(recomputes=True, at_once=6), "cpu"
    )
    assert held.estimated_mib == 900 and held.peak_mib > 50
    assert held.recomputed == ("suspect", "base") and held.at_once == 6, "as it ended"
