"""The files of a base: its architecture, where the bundled ones lie, loading and writing.

A base has CLIP's full vocabulary (49,408 rows) but small towers. On disk it is fp16; the base *is* those
values upcast.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 64
"""Pixels per side of the pictures that a base sees."""
VOCABULARY = 49408
"""Token rows, start and end included."""
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's own pixel statistics, per channel."""
_PLACEHOLDER = {"image_size": 16, "patch_size": 16, "width": 64, "layers": 1}
"""An image tower that is built to be replaced at once."""
CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"

_TEXT = {
    "context_length": 32,
    "vocab_size": VOCABULARY,
    "width": 128,
    "heads": 4,
    "layers": 3,
}
MODEL_CFG: dict[str, dict[str, Any]] = {
    "vit": {
        "embed_dim": 128,
        "vision_cfg": {
            "image_size": SIZE,
            "layers": 5,
            "width": 128,
            "head_width": 32,
            "patch_size": 16,
            "pool_type": "avg",
        },
        "text_cfg": _TEXT,
    },
    "rn": {
        "embed_dim": 128,
        "vision_cfg": {
            "image_size": SIZE,
            "layers": [1, 1, 1, 1],
            "width": 20,
            "head_width": 64,
        },
        "text_cfg": _TEXT,
    },
    "wide": {
        "embed_dim": 192,
        "vision_cfg": {
            "image_size": SIZE,
            "layers": 6,
            "width": 192,
            "head_width": 32,
            "patch_size": 16,
            "pool_type": "avg",
        },
        "text_cfg": {**_TEXT, "width": 192, "heads": 6},
    },
    "sealed": {
        "embed_dim": 160,
        "vision_cfg": {
            "timm_trunk": {
                "family": "siglip",
                "image_size": SIZE,
                "layers": 6,
                "width": 160,
                "head_width": 32,
                "patch_size": 16,
                "mlp_ratio": 4.0,
                "gelu_tanh": True,
            },
        },
        "text_cfg": {
            "context_length": 16,
            "vocab_size": VOCABULARY,
            "width": 160,
            "heads": 5,
            "layers": 3,
            "no_causal_mask": True,
            "pool_type": "last",
            "proj_bias": True,
        },
    },
}
"""Kind of base -> its architecture, as open_clip takes it; a trunk of timm as this program writes one."""
for _name in ("wide", "sealed"):
    MODEL_CFG[f"{_name}-teacher"] = {
        **MODEL_CFG[_name],
        "vision_cfg": {
            "image_size": SIZE,
            "layers": [1, 1, 1, 1],
            "width": 24,
            "head_width": 64,
        },
    }
PREPROCESS_CFG = {
    "mean": list(MEAN),
    "std": list(STD),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "size": [SIZE, SIZE],
    "mode": "RGB",
}


def base_folder(kind: str = "vit") -> Path:
    """Return where the bundled base lies: `vit`, `rn` or `wide`."""
    package = Path(__file__).parents[2]
    return package / "assets" / "bases" / kind


def new_model(config: dict[str, Any]) -> Any:
    """Return a model of this architecture with random weights."""
    from dife_scanner.models.open_clip_alone import CLIP

    if not has_trunk(config):
        return CLIP(**config)
    from dife_scanner.models import timm_models
    from dife_scanner.models.layouts.open_clip import parse_config

    document = json.dumps({"model_cfg": config, "preprocess_cfg": PREPROCESS_CFG})
    checked = parse_config(document.encode())
    model: Any = CLIP(**{**config, "vision_cfg": _PLACEHOLDER})
    model.visual = timm_models.build(checked.vision, checked.embed_dim)
    return model


def load(folder: Path) -> Any:
    """Load the open_clip model of a folder, in eval mode and float32."""
    import open_clip
    from safetensors.torch import load_file

    config = json.loads((folder / CONFIG_FILE).read_text())["model_cfg"]
    if not has_trunk(config):
        model = open_clip.create_model(f"local-dir:{folder}", precision="fp32")
        return model.eval()
    model = new_model(config)
    model.load_state_dict(load_file(folder / WEIGHTS_FILE))
    return model.float().eval()


def has_trunk(config: dict[str, Any]) -> bool:
    """Tell whether the image tower is one of timm's."""
    return "timm_trunk" in config["vision_cfg"]


def write_folder(
    state: dict[str, Tensor],
    model_cfg: dict[str, Any],
    out: Path,
    *,
    half: bool = True,
) -> None:
    """Write `open_clip_config.json` and `open_clip_model.safetensors` (floats as fp16, or as they are) into `out`.

    Raises `FloatingPointError` where a weight is not finite in what is written.
    """
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    side = picture_side(model_cfg)
    preprocess_cfg = {**PREPROCESS_CFG, "size": [side, side]}
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg}
    (out / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
    tensors = {}
    for name, value in sorted(state.items()):
        tensors[name] = _stored(value, half=half)
    path = out / WEIGHTS_FILE
    save_file(tensors, path, metadata={"format": "pt"})
    # safetensors makes files that only their owner can read
    path.chmod(0o644)


def picture_side(config: dict[str, Any]) -> int:
    """Return the pixels per side that a model of this architecture sees."""
    vision = config["vision_cfg"]
    side: int = vision.get("timm_trunk", vision)["image_size"]
    return side


def _stored(value: Tensor, *, half: bool) -> Tensor:
    """Return a copy of a tensor as the file has it: a float is fp16 where that is asked."""
    import torch

    if half and value.is_floating_point():
        value = value.half()
    if not bool(torch.isfinite(value.float()).all()):
        raise FloatingPointError("a weight does not fit what it is stored as")
    return value.contiguous().clone()
