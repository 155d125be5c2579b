"""Small real checkpoints in the open_clip layout, and raw safetensors bytes for the ones that are not real."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"

_TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
TINY_VIT: dict[str, Any] = {
    "embed_dim": 48,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": _TEXT,
}
TINY_RN: dict[str, Any] = {
    "embed_dim": 48,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": [1, 2, 1, 1], "width": 16, "patch_size": None},
    "text_cfg": _TEXT,
}


def write_checkpoint(
    folder: Path, model_cfg: Mapping[str, Any], *, seed: int = 0, preprocess: Any = None
) -> Path:
    import torch
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    model = CLIP(**copy.deepcopy(dict(model_cfg)))
    save_file(model.state_dict(), folder / WEIGHTS)
    write_config(folder, {"model_cfg": model_cfg, "preprocess_cfg": preprocess or {}})
    return folder


def write_config(folder: Path, document: Any) -> None:
    (folder / CONFIG).write_text(json.dumps(document))


def changed_config(**changes: Any) -> bytes:
    """The tiny ViT's configuration with values replaced, e.g. `embed_dim=7, vision={"width": 8}, preprocess={}`."""
    model = copy.deepcopy(TINY_VIT)
    model["vision_cfg"] |= changes.pop("vision", {})
    model["text_cfg"] |= changes.pop("text", {})
    preprocess = changes.pop("preprocess", {})
    return json.dumps({"model_cfg": model | changes, "preprocess_cfg": preprocess}).encode()


def with_header(header: Any, data: bytes) -> bytes:
    """Raw safetensors bytes from any header, valid or not; `header` may be ready-made bytes."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


def split(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and data of a valid safetensors file."""
    end = 8 + int.from_bytes(raw[:8], "little")
    return json.loads(raw[8:end]), raw[end:]
