"""Marks of tensors: what they depend on, and what not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dife_scanner.models import digests
from dife_scanner.models.digests import SAMPLE, tensor_digests, tensor_marks

WEIGHTS = {
    "a.weight": torch.linspace(-2, 2, 35).to(torch.bfloat16).reshape(5, 7),
    "b.bias": torch.tensor([0.5, -0.25, 3.0]),
    "scalar": torch.tensor(4.0),
    "empty": torch.zeros(0, 3),
    "steps": torch.tensor(7),
}


def saved(path: Path, **changes: torch.Tensor) -> Path:
    tensors = {name: changes.get(name.replace(".", "_"), value) for name, value in WEIGHTS.items()}
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    return path


def test_a_digest_is_of_shape_and_float32_values_whatever_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tensor_digests(saved(tmp_path / "a.safetensors"))
    assert sorted(found) == ["a.weight", "b.bias", "empty", "scalar"]
    for name, digest in found.items():
        values = WEIGHTS[name].to(torch.float32).numpy()
        by_hand = hashlib.sha256(f"{list(values.shape)}\n".encode() + values.tobytes())
        assert digest == by_hand.hexdigest()
    monkeypatch.setattr(digests, "_BLOCK", 4)
    assert tensor_digests(tmp_path / "a.safetensors") == found


@pytest.mark.parametrize("kind", [torch.float16, torch.float32, torch.float64, torch.bfloat16])
def test_a_precision_that_holds_the_values_changes_no_digest(
    kind: torch.dtype, tmp_path: Path
) -> None:
    before = tensor_digests(saved(tmp_path / "a.safetensors"))
    cast = saved(tmp_path / "b.safetensors", b_bias=WEIGHTS["b.bias"].to(kind))
    assert tensor_digests(cast) == before


def test_one_value_or_another_shape_changes_the_digest_of_that_tensor_alone(tmp_path: Path) -> None:
    before = tensor_digests(saved(tmp_path / "a.safetensors"))
    nudged = WEIGHTS["a.weight"].clone()
    nudged[2, 3] += 1
    for other in (nudged, WEIGHTS["a.weight"].reshape(7, 5)):
        after = tensor_digests(saved(tmp_path / "b.safetensors", a_weight=other))
        assert {name for name in before if before[name] != after[name]} == {"a.weight"}


def test_a_sample_is_evenly_spaced_and_as_short_as_the_tensor_asks(tmp_path: Path) -> None:
    marks = {mark.name: mark.sample for mark in tensor_marks(saved(tmp_path / "a.safetensors"))}
    values = WEIGHTS["a.weight"].to(torch.float32).numpy().reshape(-1)
    assert marks["a.weight"] == tuple(values[np.linspace(0, 34, SAMPLE).astype(int)])
    assert marks["scalar"] == (4.0,) * SAMPLE and marks["empty"] == ()
