"""A search holds less at once where memory is short: layers are recomputed to the same bits, steps go in parts."""

from __future__ import annotations

import pytest
import torch
from checkpoints import TINY_RN, write_checkpoint
from test_discovery_pictures import short, task, tiny

from dife_scanner.discovery.backing_off import backing_off
from dife_scanner.discovery.pictures import FAINT, PATCH
from dife_scanner.models import activations, timm_models
from dife_scanner.models.activations import WAYS, WayBack, held_mib
from dife_scanner.models.config import (
    ATTENTION_POOLED,
    CONVNEXT,
    ClipConfig,
    Preprocessing,
    TextConfig,
    VisionConfig,
)
from dife_scanner.models.gradient import Towers
from dife_scanner.models.load import load

__all__ = ["task", "tiny"]
STEPS = 8
WIDE = {
    "embed_dim": 64,
    "vision_cfg": {
        "image_size": 64,
        "layers": 6,
        "width": 256,
        "head_width": 64,
        "patch_size": 16,
    },
    "text_cfg": {
        "context_length": 32,
        "vocab_size": 49408,
        "width": 64,
        "heads": 2,
        "layers": 2,
    },
}


@pytest.fixture
def set_ways(task):
    """Sets how both checkpoints take gradients, and puts that back."""
    encoders = (task.suspect, task.reference)

    def put(suspect: WayBack, base: WayBack) -> None:
        for one, way in zip(encoders, (suspect, base), strict=True):
            one.way_back = way

    yield put
    put(WayBack(), WayBack())


@pytest.mark.parametrize("detector", [PATCH, FAINT])
@pytest.mark.parametrize("ways", WAYS[1:3])
def test_a_search_that_recomputes_layers_finds_the_same_to_the_bit(task, set_ways, detector, ways):
    search = short(detector, STEPS)
    kept = search.search(task)
    set_ways(ways.suspect, ways.base)
    assert search.search(task) == kept


def test_a_search_in_parts_goes_the_same_way(tiny):
    """Gradients of a batch and of its parts, up to the last bits of sums."""
    towers = Towers(tiny)
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(7, 3, tiny.image_size, tiny.image_size, generator=generator)
    texts = [[number] * 3 for number in range(300, 340)]
    ids, ends = towers.packed(texts)
    whole, parts = [], []
    try:
        for found, way in ((whole, WayBack()), (parts, WayBack(recomputes=True, at_once=2))):
            tiny.way_back = way
            pixels = pictures.clone().requires_grad_()
            vectors = towers.token_rows[ids].requires_grad_()
            score = (towers.images(pixels).sum(0) ** 2).sum()
            score = score + (towers.texts(vectors, ends).sum(0) ** 2).sum()
            found += torch.autograd.grad(score, (pixels, vectors))
    finally:
        tiny.way_back = WayBack()
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_way_back_holds_about_what_was_estimated(tmp_path):
    """What autograd keeps of a step is weighed, tensor by tensor, without weights and the pictures themselves."""
    encoder = load(write_checkpoint(tmp_path, WIDE))
    towers = Towers(encoder)
    held = {}
    for ways in (WAYS[0], WAYS[2]):
        encoder.way_back = ways.suspect
        held[ways] = _held_bytes(towers, activations.PICTURES)
        layers = list(activations._layers(encoder.config.vision))
        estimated = 4 * activations.PICTURES * activations._kept(layers, WayBack())
        if ways.suspect.recomputes:
            assert held[ways] < 0.25 * held[WAYS[0]]
        else:
            assert 1 / 1.25 < held[ways] / estimated < 1.25


class Kept(torch.autograd.graph.saved_tensors_hooks):
    """Weighs what autograd keeps in it, apart from storages that it is told of."""

    def __init__(self, own=()) -> None:
        self._own = {one.untyped_storage().data_ptr() for one in own}
        self._storages: dict[int, int] = {}
        super().__init__(self._pack, lambda tensor: tensor)

    def _pack(self, tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._own:
            self._storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    @property
    def bytes(self) -> int:
        return sum(self._storages.values())


def _held_bytes(towers, count):
    side = towers._encoder.image_size
    pixels = torch.zeros(count, 3, side, side, requires_grad=True)
    kept = Kept(towers._model.state_dict().values())
    with kept:
        embedded = towers.images(pixels)
    assert embedded.requires_grad
    return kept.bytes


SIGLIP = VisionConfig(32, width=64, head_width=32, layers=3, patch_size=16, trunk=ATTENTION_POOLED)
CONVNEXT_TOWER = VisionConfig(
    64, width=16, head_width=1, stages=(1, 1, 2, 1), trunk=CONVNEXT, head="mlp"
)


@pytest.mark.parametrize("vision", [SIGLIP, CONVNEXT_TOWER], ids=["siglip", "convnext"])
def test_towers_of_timm_are_recomputed_to_the_same_bits(vision):
    torch.manual_seed(0)
    tower = timm_models.build(vision, 64).eval().requires_grad_(False)
    pictures = torch.rand(3, 3, vision.image_size, vision.image_size)
    gradients, held = [], []
    for recomputed in (False, True):
        tower.set_grad_checkpointing(recomputed)
        pixels = pictures.clone().requires_grad_()
        kept = Kept()
        with kept:
            embedded = tower(pixels)
        held.append(kept.bytes)
        gradients += torch.autograd.grad(embedded.square().sum(), pixels)
    assert torch.equal(*gradients)
    assert held[1] < held[0], "something is recomputed"


def test_a_modified_resnet_which_is_not_recomputed_goes_in_parts(tmp_path):
    encoder = load(write_checkpoint(tmp_path, TINY_RN))
    towers = Towers(encoder)
    pictures = torch.rand(4, 3, encoder.image_size, encoder.image_size)
    gradients = []
    for way in (WayBack(), WayBack(recomputes=True), WayBack(recomputes=True, at_once=1)):
        encoder.way_back = way
        pixels = pictures.clone().requires_grad_()
        gradients += torch.autograd.grad(towers.images(pixels)[:, 0].sum(), pixels)
    assert torch.equal(gradients[0], gradients[1])
    torch.testing.assert_close(gradients[0], gradients[2], rtol=1e-4, atol=1e-6)


def test_each_way_holds_less_than_those_before_it():
    mib = [held_mib(_b32(), _b32(), ways, 64) for ways in WAYS]
    assert mib == sorted(mib, reverse=True) and len({*mib}) == len(mib)
    assert held_mib(_b32(), None, WAYS[0], 64) < mib[0]


def _b32():
    vision = VisionConfig(image_size=224, width=768, head_width=64, layers=12, patch_size=32)
    text = TextConfig(context_length=77, width=512, heads=8, layers=12)
    return ClipConfig(512, vision, text, Preprocessing())


def test_a_step_without_memory_is_made_again_and_the_search_comes_to_the_same_bits(
    task, set_ways, short_of_memory
):
    """The first thing to go is what layers keep, which changes no number: neither drawn pictures nor passes do."""
    search = short(PATCH, STEPS)
    undisturbed = search.search(task)
    short_of_memory(1)
    assert search.search(task) == undisturbed
    assert task.suspect.way_back == WayBack(recomputes=True)


def test_a_step_goes_in_halves_until_it_fits(task, set_ways, short_of_memory):
    search = short(PATCH, STEPS)
    undisturbed = search.search(task)
    short_of_memory(2)
    found = search.search(task)
    assert task.suspect.way_back == WayBack(recomputes=True, at_once=3), "of six"
    assert found.passes == undisturbed.passes


def test_one_picture_at_a_time_that_does_not_fit_ends_as_it_did(task, set_ways, short_of_memory):
    short_of_memory(10**6)
    with pytest.raises(RuntimeError, match="allocate memory"):
        short(PATCH, STEPS).search(task)
    assert task.suspect.way_back.at_once == 1


def test_another_fault_is_not_tried_again(tiny):
    tries = []

    def fails():
        tries.append(1)
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="multiplied"):
        backing_off([Towers(tiny)], 24, fails)
    assert len(tries) == 1 and tiny.way_back == WayBack()


def test_python_and_a_gpu_without_memory_are_met_alike(tiny):
    raised = [MemoryError(), torch.cuda.OutOfMemoryError("CUDA out of memory.")]

    def step():
        if raised:
            raise raised.pop()
        return 7

    try:
        assert backing_off([Towers(tiny)], 24, step) == 7
        assert tiny.way_back == WayBack(True, 12)
    finally:
        tiny.way_back = WayBack()
