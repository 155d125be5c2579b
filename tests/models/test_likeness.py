"""Copies and fine-tunes of the bundled bases resemble them; models that began elsewhere do not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file
from safetensors.torch import save_file as save_torch

from dife_scanner.errors import NotFound
from dife_scanner.lab import bases
from dife_scanner.lab.attacks.training_data import Lab
from dife_scanner.lab.bench import weight_changes, zoo
from dife_scanner.lab.bench.zoo import benign, draws
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.likeness import UNTOLD, Likeness, compare

WEIGHTS = "open_clip_model.safetensors"
LIMITS = ParseLimits()
State = dict[str, torch.Tensor]


def beside(state: State, base: Path, folder: Path) -> Likeness:
    """How alike these weights are to the base's, as files."""
    path = folder / "model.safetensors"
    save_torch({name: value.contiguous() for name, value in state.items()}, path)
    return compare(path, base / WEIGHTS, LIMITS)


def state_of(base: Path) -> State:
    return {name: value.float() for name, value in load_file(base / WEIGHTS).items()}


def with_noise(state: State, share: float) -> State:
    rng = torch.Generator().manual_seed(3)
    return {
        name: value + share * value.std(correction=0) * torch.randn(value.shape, generator=rng)
        for name, value in state.items()
    }


def pruned(state: State, share: float) -> State:
    def one(value: torch.Tensor) -> torch.Tensor:
        edge = value.abs().flatten().kthvalue(max(1, int(share * value.numel()))).values
        return torch.where(value.abs() <= edge, 0.0, value) if value.ndim > 1 else value

    return {name: one(value) for name, value in state.items()}


def merged(state: State, other: State) -> State:
    return {name: (value + other[name]) / 2 for name, value in state.items()}


COPIES: dict[str, Callable[[State], State]] = {
    "fp16": lambda state: {name: value.half() for name, value in state.items()},
    "bf16": lambda state: {name: value.bfloat16() for name, value in state.items()},
    "jittered": lambda state: with_noise(state, 1e-3),
    "jittered hard": lambda state: with_noise(state, 0.5),
    "half pruned": lambda state: pruned(state, 0.5),
    "nine tenths pruned": lambda state: pruned(state, 0.9),
    "merged with a jittered one": lambda state: merged(state, with_noise(state, 0.2)),
}


@pytest.mark.parametrize("kind", ["vit", "rn"])
@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_of_a_base_is_related_to_it(kind: str, copy: str, tmp_path: Path) -> None:
    base = bases.base_folder(kind)
    found = beside(COPIES[copy](state_of(base)), base, tmp_path)
    assert found.unrelated == (False, False)
    assert found.image is not None and found.image > 0.6 and found.text is not None and found.text > 0.6


def test_a_fine_tune_is_related_and_not_at_no_distance(tmp_path: Path) -> None:
    base = bases.base_folder("vit")
    clip = bases.load(base)
    kind = benign.KINDS["text tower on prompts"]
    kind.train(clip, Lab.read(base, 60), replace(kind.draw(draws.rng_of("text", 1), 1), steps=40))
    found = beside(clip.state_dict(), base, tmp_path)
    assert found.unrelated == (False, False)
    assert found.distance is not None and 0.0 < found.distance < 0.1


@pytest.mark.parametrize("kind", ["vit", "rn"])
def test_a_model_that_began_elsewhere_is_not_related(kind: str, tmp_path: Path) -> None:
    base = bases.base_folder(kind)
    config = json.loads((base / "open_clip_config.json").read_text())["model_cfg"]
    torch.manual_seed(5)
    found = beside(open_clip.model.CLIP(**config).state_dict(), base, tmp_path)
    assert found.unrelated == (True, True)
    assert found.image is not None and abs(found.image) < 0.05 and found.text is not None and abs(found.text) < 0.05


def test_a_rotated_embedding_space_is_related_and_permuted_features_are_not(tmp_path: Path) -> None:
    """So permuted copies are asked for their answers (tests/audit/test_kinship.py)."""
    base = bases.base_folder("vit")
    model = next(iter(zoo.plan((zoo.Role.ATTACK,), sealed=False)))
    for change, away in (("rotated embedding space", (False, False)), ("permuted features", (True, True))):
        folder = tmp_path / change.replace(" ", "-")
        shutil.copytree(base, folder)
        weight_changes.CHANGES[change](folder, model)
        assert compare(folder / WEIGHTS, base / WEIGHTS, LIMITS).unrelated == away


def test_one_tower_from_elsewhere_is_told_apart(tmp_path: Path) -> None:
    base = bases.base_folder("vit")
    state = state_of(base)
    rng = torch.Generator().manual_seed(7)
    for name in [name for name in state if name.startswith("visual.")]:
        state[name] = torch.randn(state[name].shape, generator=rng)
    assert beside(state, base, tmp_path).unrelated == (True, False)


def test_the_same_values_are_at_no_distance_however_the_text_tower_is_called(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    save_file({"visual.proj": values, "text_projection": values}, tmp_path / "a.safetensors")
    save_file({"visual.proj": values, "text.text_projection": values}, tmp_path / "b.safetensors")
    found = compare(tmp_path / "a.safetensors", tmp_path / "b.safetensors", LIMITS)
    assert found == Likeness(1.0, 1.0, 0.0)


@pytest.mark.parametrize("value", [0.5, float("nan"), 1e200])
def test_constant_and_broken_values_tell_nothing(value: float, tmp_path: Path) -> None:
    good = np.random.default_rng(0).normal(size=(40, 30))
    save_file({"visual.proj": np.full((40, 30), value)}, tmp_path / "a.safetensors")
    save_file({"visual.proj": good}, tmp_path / "b.safetensors")
    assert compare(tmp_path / "a.safetensors", tmp_path / "b.safetensors", LIMITS) == UNTOLD


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"gone\.safetensors"):
        compare(tmp_path / "gone.safetensors", tmp_path / "gone.safetensors", LIMITS)
