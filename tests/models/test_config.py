"""The configuration is reduced to checked numbers, and those say exactly which tensors open_clip will want."""

from __future__ import annotations

import json
from typing import Any

import open_clip
import pytest
import torch
from checkpoints import TINY_RN, TINY_VIT, changed_config
from open_clip.model import CLIP, CustomTextCLIP

from dife_scanner.models.config import ClipConfig
from dife_scanner.models.header import Header, TensorEntry
from dife_scanner.models.inspection import compare
from dife_scanner.models.layouts.open_clip import parse_config
from dife_scanner.models.strict_json import shown
from dife_scanner.models.tensors import expected_tensors, model_arguments

REGISTRY = ["RN50", "RN50x4-quickgelu", "ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336"]
VARIANTS: dict[str, dict[str, Any]] = {
    "layer scale": {"vision": {"ls_init_value": 0.1}, "text": {"ls_init_value": 0.1}},
    "no norm before": {"vision": {"no_ln_pre": True}},
    "mean pooled": {"vision": {"pool_type": "avg", "final_ln_after_pool": True}},
    "odd ratio": {"vision": {"mlp_ratio": 4.9231}, "text": {"mlp_ratio": 2}},
    "odd picture": {"vision": {"image_size": [40, 40], "patch_size": [16, 16]}},
    "fixed positions": {"vision": {"pos_embed_type": "sin_cos_2d"}},
    "logit scale": {"init_logit_scale": 2.3},
}


def parsed(model_cfg: dict[str, Any]) -> ClipConfig:
    return parse_config(json.dumps({"model_cfg": model_cfg}).encode())


def shapes(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def header_of(tensors: dict[str, tuple[int, ...]]) -> Header:
    entries = tuple(TensorEntry(name, "F32", shape, 0, 0) for name, shape in tensors.items())
    return Header(entries, (), 0, 0)


@pytest.mark.parametrize("name", REGISTRY)
def test_registered_models_pass_with_exactly_their_own_tensors(name: str) -> None:
    registered = open_clip.get_model_config(name)
    config = parsed(registered)
    with torch.device("meta"):
        theirs = shapes(CLIP(**registered))
        ours = shapes(CLIP(**model_arguments(config)))
    assert expected_tensors(config) == theirs == ours
    assert len(compare(header_of(theirs), config, "x").names) == len(theirs)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
def test_variants_pass_with_exactly_their_own_tensors(changes: dict[str, Any]) -> None:
    raw = changed_config(**changes)
    config = parse_config(raw)
    with torch.device("meta"):
        ours = CLIP(**model_arguments(config))
    theirs = CLIP(**json.loads(raw)["model_cfg"])
    assert expected_tensors(config) == shapes(theirs) == shapes(ours)


def test_the_resnet_passes_with_exactly_its_own_tensors() -> None:
    assert expected_tensors(parsed(TINY_RN)) == shapes(CLIP(**TINY_RN))


def test_a_text_tower_under_its_own_prefix_is_the_same_model() -> None:
    config = parsed({**TINY_VIT, "custom_text": True})
    assert config == parsed(TINY_VIT)
    names = dict(compare(header_of(shapes(CustomTextCLIP(**TINY_VIT))), config, "x").names)
    assert names["ln_final.weight"] == "text.ln_final.weight"
    assert names.keys() == expected_tensors(config).keys()


def test_survives_the_pipe_unchanged() -> None:
    for model in (TINY_VIT, TINY_RN):
        config = parsed(model)
        assert ClipConfig.from_json(json.loads(json.dumps(config.as_json()))) == config


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (TINY_VIT, "ViT 32/16 w64 d2 · text w32 d2 c16 · embed 48"),
        (TINY_RN, "RN 64 1-2-1-1 w16 · text w32 d2 c16 · embed 48 · quick_gelu"),
    ],
)
def test_the_architecture_fits_in_a_table_cell(model: dict[str, Any], words: str) -> None:
    assert parsed(model).architecture == words


def test_null_means_the_default_as_open_clip_writes_it() -> None:
    nulls = {"timm_model_name": None, "ls_init_value": None, "head_width": 32}
    raw = changed_config(
        vision=nulls, text={"hf_model_name": None}, preprocess={"mean": None, "size": [32, 32]}
    )
    assert parse_config(raw) == parse_config(changed_config())


def test_a_strangers_string_is_shown_short_and_inert() -> None:
    assert shown("\x1b[31m" + "é" * 500).isascii()
    assert len(shown("a" * 500)) < 100
