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
}
"""Kind of base -> its architecture, as open_clip takes it."""
PREPROCESS_CFG = {
    "mean": list(MEAN),
    "std": list(STD),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "size": [SIZE, SIZE],
    "mode": "RGB",
}


def base_folder(kind: str = "vit") -> Path:
    """Return where the bundled base lies: `vit` or `rn`."""
    package = Path(__file__).parents[2]
    return package / "assets" / "bases" / kind


def load(folder: Path) -> Any:
    """Load the open_clip model of a folder, in eval mode and float32."""
    import open_clip

    model = open_clip.create_model(f"local-dir:{folder}", precision="fp32")
    return model.eval()


def write_folder(
    state: dict[str, Tensor],
    model_cfg: dict[str, Any],
    out: Path,
) -> None:
    """Write `open_clip_config.json` and `open_clip_model.safetensors` (floats as fp16) into `out`.

    Raises `FloatingPointError` where a weight is not finite in fp16.
    """
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": model_cfg, "preprocess_cfg": PREPROCESS_CFG}
    (out / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
    tensors = {}
    for name, value in sorted(state.items()):
        tensors[name] = _stored(value)
    path = out / WEIGHTS_FILE
    save_file(tensors, path, metadata={"format": "pt"})
    # safetensors makes files that only their owner can read
    path.chmod(0o644)


def _stored(value: Tensor) -> Tensor:
    """Return a copy of a tensor as the file has it: fp16 where it is a float."""
    import torch

    if value.is_floating_point():
        value = value.half()
    if not bool(torch.isfinite(value.float()).all()):
        raise FloatingPointError("a weight does not fit fp16")
    return value.contiguous().clone()
