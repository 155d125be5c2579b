"""What a configuration of transformers says counts, and what cannot be read of it is called by its name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from layout_kit import SMALL, as_canonical, assert_same, drawn, saved
from safetensors.torch import load_file, save_file

from dife_scanner.errors import NeedsBase, Unreadable, Unsupported

pytestmark = [pytest.mark.xdist_group("transformers"), pytest.mark.usefixtures("read_here")]
"""The library is slow to import: one worker does it."""


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(lambda: drawn(hidden_act="gelu"), id="exact GELU"),
        pytest.param(lambda: drawn(hidden_act="gelu_new"), id="GELU by a tanh"),
        pytest.param(lambda: drawn(layer_norm_eps=1e-3), id="another epsilon"),
    ],
)
def test_embeds_as_transformers_does(model: Callable[[], Any], tmp_path: Path) -> None:
    made = model()
    assert_same(as_canonical(saved(made, tmp_path / "saved"), tmp_path / "ours"), made)


@pytest.fixture(scope="module")
def drawn_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(drawn(), tmp_path_factory.mktemp("drawn") / "saved")


@pytest.fixture
def folder(drawn_once: Path, tmp_path: Path) -> Path:
    """A small model, saved, in a folder of one's own."""
    return shutil.copytree(drawn_once, tmp_path / "saved")


def changed(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> Path:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save_file(change(tensors) or tensors, path)
    return folder


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vision_model.post_layernorm.weight", "either may be loaded"),
        ("another.vision_model.post_layernorm.weight", "either may be loaded"),
        ("clip.visual.ln_post.weight", "unexpected"),
    ],
)
def test_no_second_tensor_takes_the_place_of_one_that_a_loader_reads(
    name: str, words: str, folder: Path, tmp_path: Path
) -> None:
    """transformers reads `clip.…` as well as the bare names, and makes up a norm that is not there."""

    def doubled(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        found = {f"clip.{name}": values for name, values in tensors.items()}
        found[name] = found["clip.vision_model.post_layernorm.weight"] + 1
        if "visual" in name:
            del found["clip.vision_model.post_layernorm.weight"]
        return found

    changed(folder, doubled)
    with pytest.raises(Unsupported, match=words):
        as_canonical(folder, tmp_path / "ours")


def test_of_queries_keys_and_values_none_is_made_up_alone(folder: Path, tmp_path: Path) -> None:
    def without(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["text_model.encoder.layers.0.self_attn.k_proj.bias"]

    changed(folder, without)
    with pytest.raises(Unsupported, match=r"1 missing tensors.*in_proj_bias"):
        as_canonical(folder, tmp_path / "ours")


def test_an_older_file_says_more_under_another_name(tmp_path: Path) -> None:
    made = drawn(hidden_act="gelu")
    folder = saved(made, tmp_path / "saved")
    document = json.loads((folder / "config.json").read_text())
    for tower in ("text_config", "vision_config"):
        document[f"{tower}_dict"] = document[tower]
        document[tower] = {"hidden_size": 8}
    (folder / "config.json").write_text(json.dumps(document))
    assert_same(as_canonical(folder, tmp_path / "ours"), made)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("CLIPVisionModelWithProjection", "an image tower"),
        ("CLIPTextModelWithProjection", "a text tower"),
    ],
)
def test_a_tower_alone_needs_a_base(kind: str, words: str, tmp_path: Path) -> None:
    folder = saved(drawn(kind), tmp_path / "saved")
    with pytest.raises(NeedsBase, match=words):
        as_canonical(folder, tmp_path / "ours")


@pytest.mark.parametrize(
    ("document", "error", "words"),
    [
        ({"model_type": "siglip9"}, Unsupported, "model_type"),
        ({"projection_dim": 40}, Unsupported, "shape"),
        ({"projection_dim": "48"}, Unreadable, "whole number"),
        ({"text_config": SMALL["text_config"] | {"vocab_size": 32100}}, Unsupported, "32100"),
        ({"text_config": SMALL["text_config"] | {"eos_token_id": 320}}, Unsupported, "end token"),
        ({"vision_config": SMALL["vision_config"] | {"num_channels": 4}}, Unsupported, "channels"),
        ({"vision_config": SMALL["vision_config"] | {"hidden_act": "gelu"}}, Unsupported, "activ"),
        ({"vision_config": SMALL["vision_config"] | {"hidden_act": "relu"}}, Unsupported, "relu"),
        ({"quantization_config": {"bits": 4}}, Unsupported, "quantization_config"),
        ({"text_config": 7}, Unreadable, "text_config"),
    ],
)
def test_a_configuration_of_something_else_is_no_clip_of_ours(
    document: dict[str, Any], error: type[Exception], words: str, folder: Path, tmp_path: Path
) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | document))
    with pytest.raises(error, match=words):
        as_canonical(folder, tmp_path / "ours")


def test_other_tensors_under_the_type_clip_are_called_by_their_name(
    folder: Path, tmp_path: Path
) -> None:
    changed(
        folder,
        lambda _: {"text_model.encoder.layer.0.attention.self.query.weight": torch.ones(4, 4)},
    )
    with pytest.raises(Unsupported, match="BERT family"):
        as_canonical(folder, tmp_path / "ours")
