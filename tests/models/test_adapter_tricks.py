"""An adapter is read as PEFT loads it, or not at all: no tensor counts here that counts nothing there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dife_scanner.errors import Unsupported
from dife_scanner.models.layouts import peft_lora
from dife_scanner.models.layouts.open_clip import parse_config
from dife_scanner.models.stored import StoredTensor

TOWER = {"width": 64, "layers": 1}
BASE = parse_config(
    json.dumps(
        {"model_cfg": {"embed_dim": 64, "vision_cfg": TOWER, "text_cfg": TOWER | {"heads": 1}}}
    ).encode()
)
LAYER = "base_model.model.text_model.encoder.layers.0"
FC1 = f"{LAYER}.mlp.fc1"
SETTINGS = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}


def table(*modules: str, whole: tuple[str, ...] = ()) -> list[StoredTensor]:
    """The factors of some modules, and tensors saved whole."""
    named = {}
    for module in modules:
        named[f"{module}.lora_A.weight"] = (2, 8)
        named[f"{module}.lora_B.weight"] = (8, 2)
    return [
        StoredTensor(name, "F32", shape, 0, 0, 64)
        for name, shape in (named | dict.fromkeys(whole, (8, 8))).items()
    ]


def read(stored: list[StoredTensor], **settings: Any) -> peft_lora.Adapter:
    return peft_lora.read({**SETTINGS, **settings}, stored, BASE, "adapter_model.safetensors")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"target_modules": ["fc2"]}, "target_modules"),
        ({"target_modules": r".*\.layers\.1\.mlp\.fc1"}, "target_modules"),
        ({"target_modules": ["fc1"], "exclude_modules": ["mlp.fc1"]}, "exclude_modules"),
        ({"target_modules": ["fc1"], "layers_to_transform": [1, 2]}, "layers_to_transform"),
        ({"target_modules": ["fc1"], "layers_pattern": "blocks"}, "layers_pattern"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights"),
        ({"init_lora_weights": "olora"}, "init_lora_weights"),
        ({"target_parameters": ["mlp.fc1.weight"]}, "target_parameters"),
    ],
)
def test_factors_that_peft_does_not_add_to_the_base_as_they_are(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(Unsupported, match=said):
        read(table(FC1), **settings)


@pytest.mark.parametrize(
    "stored",
    [
        table(FC1, whole=(f"{FC1}.weight",)),
        table(FC1, f"{FC1}.default"),
        table(FC1, FC1.removeprefix("base_model.model.")),
        table(FC1, whole=(f"{LAYER}.mlp.fc2.modules_to_save.weight",)),
        table(FC1, whole=(f"{FC1}.base_layer.bias",)),
        [*table(FC1), StoredTensor(f"{FC1}.lora_A.default.weight", "F32", (2, 8), 0, 0, 64)],
    ],
    ids=["both ways", "named twice", "no prefix", "inner name", "under the factors", "default"],
)
def test_a_second_tensor_for_one_place_hides_nothing(stored: list[StoredTensor]) -> None:
    with pytest.raises(Unsupported):
        read(stored)


@pytest.mark.parametrize(
    "pattern", ["fc1", "mlp.fc1", "mlp.f.1", "text_model.encoder.layers.0.mlp.fc1"]
)
def test_a_pattern_matches_where_it_does_in_peft(pattern: str) -> None:
    """There it is a regular expression for the end of a path (peft 0.21, `get_pattern_key`)."""
    (change,) = read(table(FC1), alpha_pattern={pattern: 100}).changes
    assert change.scale == 50


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["fc1"], "layers_to_transform": 0},
        {"target_modules": r".*text_model.*\.(fc1|fc2)", "exclude_modules": ["fc2"]},
        {"target_parameters": [], "layers_to_transform": [], "layers_pattern": []},
        {"target_modules": "all-linear", "init_lora_weights": "gaussian"},
    ],
)
def test_factors_that_peft_loads_are_read(settings: dict[str, Any]) -> None:
    assert len(read(table(FC1), **settings).changes) == 1
