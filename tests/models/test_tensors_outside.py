"""Tensors beside a model behind a prefix: those of a training count nothing, a second model's are refused."""

from __future__ import annotations

import io
import json
import math

import pytest

from dife_scanner.errors import Unsupported
from dife_scanner.models.conversion import Conversion, plan
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.layouts.open_clip import CONFIG_FILE, parse_config
from dife_scanner.models.layouts.transformers_clip import describe
from dife_scanner.models.layouts.transformers_siglip import describe as describe_siglip
from dife_scanner.models.stored import WeightsFile
from dife_scanner.models.tensors import expected_tensors

TOWER = {"width": 64, "layers": 1}
CONFIG = json.dumps(
    {"model_cfg": {"embed_dim": 64, "vision_cfg": TOWER, "text_cfg": TOWER | {"heads": 1}}}
).encode()


def planned(*outside: str) -> Conversion:
    """A model behind `clip.`, and further tensors of one value."""
    shapes = {
        f"clip.{name}": shape for name, shape in expected_tensors(parse_config(CONFIG)).items()
    }
    table = {}
    reached = 0
    for name, shape in (shapes | dict.fromkeys(outside, (1,))).items():
        size = math.prod(shape) * 4
        table[name] = {"dtype": "F32", "shape": shape, "data_offsets": [reached, reached + size]}
        reached += size
    words = json.dumps(table).encode()
    header = len(words).to_bytes(8, "little") + words
    file = WeightsFile(io.BytesIO(header), "model.safetensors", len(header) + reached)
    return plan({CONFIG_FILE: CONFIG}, [file], ParseLimits())


@pytest.mark.parametrize(
    "outside",
    [
        "transformer.resblocks.0.mlp.c_proj.weight",
        "visual.proj",
        "model.text.transformer.resblocks.0.mlp.c_proj.weight",
    ],
)
def test_a_second_value_of_a_tensor_outside_of_the_wrapper_is_refused(outside: str) -> None:
    with pytest.raises(Unsupported, match="either may be loaded"):
        planned(outside)


def test_what_a_training_leaves_beside_its_model_is_left_out() -> None:
    found = planned("logit_scale", "head.weight", "loss.queue")
    assert set(found.left_out) == {"logit_scale", "head.weight", "loss.queue"}


def test_the_older_name_of_a_towers_settings_counts_alone_as_in_transformers() -> None:
    """`CLIPConfig` fills what it lacks with defaults; `SiglipConfig` does not read it (transformers 5.24)."""
    newer = {"hidden_act": "gelu", "num_hidden_layers": 3}
    document = {"vision_config": newer, "vision_config_dict": {"patch_size": 16}}
    vision = describe(dict(document), None).vision
    assert vision is not None and (vision.layers, vision.patch_size) == (12, 16)
    vision = describe_siglip(dict(document, model_type="siglip"), None).vision
    assert vision is not None and vision.layers == 3
