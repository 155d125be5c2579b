"""Every setting that changes what a checkpoint computes and no tensor's shape can be told from the base's."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, fields, replace
from typing import Any

import pytest

from dife_scanner.lab.specimens.settings import EDITS, edited
from dife_scanner.models.config import (
    ClipConfig,
    Preprocessing,
    TextConfig,
    VisionConfig,
    deviations,
)
from dife_scanner.models.layouts.open_clip import parse_config
from dife_scanner.models.tensors import expected_tensors, same_shapes

BASE: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 48,
        "vision_cfg": {
            "image_size": 32,
            "layers": 1,
            "width": 64,
            "head_width": 32,
            "patch_size": 16,
        },
        "text_cfg": {"context_length": 16, "width": 32, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {},
}
SHAPES = {
    "embed_dim": 32,
    "vision.width": 128,
    "vision.layers": 2,
    "vision.patch_size": 8,
    "vision.stages": (1, 1, 1, 1),
    "vision.mlp_ratio": 2.0,
    "vision.layer_scale": True,
    "vision.no_ln_pre": True,
    "text.context_length": 8,
    "text.width": 64,
    "text.layers": 2,
    "text.mlp_ratio": 2.0,
    "text.layer_scale": True,
    "text.vocabulary": 64,
    "text.projection": "none",
    "vision.trunk": "siglip",
}
"""Settings that the tensors show, with another value."""
OF_TIMM = {"vision.head": "mlp", "vision.head_bias": True}
"""The same of a tower of timm, the first of which has a linear head without a bias."""

OF_THE_TOKENIZER = "text.strip_sep"
"""Not read together with CLIP's own tokenizer, which has no separator."""


def parsed(body: dict[str, Any]) -> ClipConfig:
    return parse_config(json.dumps(body).encode())


def test_every_setting_is_known_here() -> None:
    """A field that is added to the configuration has to be put in one of the lists."""
    names = [field.name for field in fields(ClipConfig)]
    parts = {"vision": VisionConfig, "text": TextConfig, "preprocessing": Preprocessing}
    settings = {name for name in names if name not in parts}
    for part, kind in parts.items():
        settings |= {f"{part}.{field.name}" for field in fields(kind)}
    assert settings == {*EDITS, *SHAPES, *OF_TIMM, OF_THE_TOKENIZER}


@pytest.mark.parametrize("setting", EDITS)
def test_a_setting_that_no_tensor_shows_is_a_deviation_and_no_obstacle(setting: str) -> None:
    base = parsed(BASE)
    changed = parsed(edited(BASE, setting))
    assert same_shapes(changed, base)
    (found,) = deviations(changed, base)
    assert found.setting == setting and found.suspect != found.base
    assert ClipConfig.from_json(json.loads(json.dumps(changed.as_json()))) == changed


@pytest.mark.parametrize("setting", OF_TIMM)
def test_the_head_of_a_timm_tower_is_shown_by_its_tensors(setting: str) -> None:
    config = parsed(BASE)
    base = replace(config, vision=replace(config.vision, trunk="siglip", head="linear"))
    field = setting.removeprefix("vision.")
    changed = replace(base, vision=replace(base.vision, **{field: OF_TIMM[setting]}))
    assert not same_shapes(changed, base)


@pytest.mark.parametrize("setting", SHAPES)
def test_a_setting_that_the_tensors_show_makes_another_architecture(setting: str) -> None:
    body = asdict(parsed(BASE))
    section = body
    *path, name = setting.split(".")
    for key in path:
        section = section[key]
    section[name] = SHAPES[setting]
    changed = ClipConfig.from_json(body)
    assert expected_tensors(changed) != expected_tensors(parsed(BASE))
    assert same_shapes(changed, parsed(BASE)) == (setting == "text.context_length")


def test_what_is_at_its_default_is_hashed_as_before() -> None:
    """Hashes of towers that are stored somewhere stay what they were when a field is added."""
    body = parsed(BASE).as_json()
    assert "norm_eps" not in body["vision"] and "gelu_tanh" not in body["text"]
    body = parsed(edited(BASE, "vision.norm_eps")).as_json()
    assert body["vision"]["norm_eps"] == 0.01


def test_another_picture_size_is_a_deviation_and_no_obstacle() -> None:
    """As another context is: open_clip interpolates the positions of both."""
    body = copy.deepcopy(BASE)
    body["model_cfg"]["vision_cfg"]["image_size"] = 48
    assert same_shapes(parsed(body), parsed(BASE))
    (found,) = deviations(parsed(body), parsed(BASE))
    assert (found.setting, found.suspect, found.base) == ("vision.image_size", "48", "32")
