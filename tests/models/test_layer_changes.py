"""How far each layer is from the base's, held against numpy on the bundled base with some weights changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dife_scanner.lab.bases import base_folder
from dife_scanner.models.layer_changes import layer_changes
from dife_scanner.models.load import load
from dife_scanner.records import LayerChange


@pytest.fixture(scope="module")
def base() -> dict[str, torch.Tensor]:
    return load(base_folder("vit")).model.state_dict()


def test_layers_stand_from_the_input_to_the_end_and_equal_ones_are_zero(base) -> None:
    found = layer_changes(base, base)
    image = [one.layer for one in found if one.tower == "image"]
    text = [one.layer for one in found if one.tower == "text"]
    assert image[4:9] == [f"transformer.resblocks.{number}" for number in range(5)]
    assert set(image[:4]) == {"class_embedding", "positional_embedding", "conv1", "ln_pre"}
    assert set(image[9:]) == {"ln_post", "proj"}
    assert set(text[:2]) == {"positional_embedding", "token_embedding"}
    assert set(text[-2:]) == {"ln_final", "text_projection"}
    assert {one.change for one in found} == {0.0}


def test_what_changed_is_measured_over_all_weights_of_its_layer(base) -> None:
    name = "transformer.resblocks.1.mlp.c_fc.weight"
    changed = dict(base) | {name: base[name] + 0.01}
    found = {(one.tower, one.layer): one.change for one in layer_changes(changed, base)}
    block = [
        values.numpy().astype(np.float64).ravel()
        for key, values in base.items()
        if key.startswith("transformer.resblocks.1.")
    ]
    expected = np.sqrt(base[name].numel() * 0.01**2) / np.linalg.norm(np.concatenate(block))
    assert found.pop(("text", "transformer.resblocks.1")) == pytest.approx(expected, rel=1e-3)
    assert set(found.values()) == {0.0}


def test_what_is_no_number_is_none_and_what_one_lacks_is_left_out(base) -> None:
    rows = base["token_embedding.weight"].clone()
    rows[7] = float("nan")
    without = {key: value for key, value in base.items() if key != "ln_final.weight"}
    other = without | {"token_embedding.weight": rows, "text_projection": torch.zeros(3, 3)}
    found = layer_changes(other, base)
    assert LayerChange("text", "token_embedding", None) in found
    assert "text_projection" not in {one.layer for one in found}
    assert len(found) == len(layer_changes(base, base)) - 1


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("visual.trunk.blocks.3.attn.qkv.weight", "trunk.blocks.3"),
        ("visual.trunk.patch_embed.proj.weight", "trunk.patch_embed"),
        ("visual.layer2.1.conv1.weight", "layer2.1"),
    ],
)
def test_layers_of_other_towers_are_told_apart(name: str, layer: str) -> None:
    weights = {name: torch.ones(4, 4)}
    assert layer_changes({name: torch.full((4, 4), 1.5)}, weights) == (
        LayerChange("image", layer, 0.5),
    )


def test_portions_add_up_to_the_whole(base, monkeypatch) -> None:
    noise = torch.Generator().manual_seed(0)
    changed = {
        key: value + torch.randn(value.shape, generator=noise) for key, value in base.items()
    }
    whole = layer_changes(changed, base)
    monkeypatch.setattr("dife_scanner.models.layer_changes.AT_ONCE", 1000)
    again = layer_changes(changed, base)
    assert [one.layer for one in again] == [one.layer for one in whole]
    expected = [one.change for one in whole]
    assert [one.change for one in again] == pytest.approx(expected, rel=1e-3)
