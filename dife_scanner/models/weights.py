"""The tensors of a checked safetensors file, every one accounted for, and the hashes of the two towers they make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from open_clip.tokenizer import default_bpe
from safetensors import SafetensorError, safe_open

from dife_scanner.core.plain import plain
from dife_scanner.errors import Unreadable
from dife_scanner.models.config import ClipConfig
from dife_scanner.models.inspection import STEP_COUNTER, Inspection
from dife_scanner.models.strict_json import shown
from dife_scanner.models.tensors import expected_tensors

IMAGE_PREFIX = "visual."
SHARED = frozenset({"logit_scale", "logit_bias"})
"""Tensors that belong to neither tower."""
_HASH_START = b"dife tower 1\n"
"""What a hash is of, and its version."""

Weights = dict[str, torch.Tensor]


def read_weights(path: Path, inspection: Inspection) -> Weights:
    """Every tensor under its open_clip name, as float32 copies; step counters become zero, as a missing bias does.

    Raises `Unreadable` naming the first tensor with a value that float32 does not hold as a finite number, and where
    the safetensors library does not read the file.
    """
    tensors = _made_up(inspection.config)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            for ours, theirs in inspection.names:
                if not ours.endswith(STEP_COUNTER):
                    tensors[ours] = _float32(file.get_tensor(theirs), theirs, path)
    except SafetensorError as error:
        raise Unreadable(
            f"{path.name} is not read by the safetensors library: {plain(str(error), 200)}",
            "save it again",
        ) from error
    for name in SHARED & tensors.keys():
        tensors[name] = tensors[name].reshape(())
    _check_scale(tensors["logit_scale"], path)
    return tensors


def _made_up(config: ClipConfig) -> Weights:
    """The tensors whose value open_clip and torch make up where a file lacks them: counters, and a logit bias."""
    tensors: Weights = {}
    for name in expected_tensors(config):
        if name.endswith(STEP_COUNTER):
            tensors[name] = torch.zeros((), dtype=torch.long)
        elif name == "logit_bias":
            tensors[name] = torch.zeros(())
    return tensors


def _float32(stored: torch.Tensor, name: str, path: Path) -> torch.Tensor:
    """A copy that no longer depends on the file."""
    tensor = stored.to(torch.float32, copy=True)
    _check_finite(tensor, name, path)
    return tensor


def _check_finite(tensor: torch.Tensor, name: str, path: Path) -> None:
    if not bool(torch.isfinite(tensor).all()):
        raise Unreadable(
            f"{path.name}: tensor {shown(name)} holds NaN or infinite values",
            "no model computes with them; save it again before they arose",
        )


def _check_scale(logarithm: torch.Tensor, path: Path) -> None:
    scale = float(logarithm.exp())
    if not 0 < scale < float("inf"):
        raise Unreadable(f"{path.name}: 'logit_scale' is beyond any usable value", "save it again")


def tower_hashes(tensors: Weights, config: ClipConfig) -> tuple[str, str]:
    """sha256 of the image tower and of the text tower.

    Equal where float32 values, architecture and input side (preprocessing; tokenizer and context) are equal, whatever
    the precision or naming they were stored in. Step counters and the logit scale belong to neither.
    """
    parts = config.as_json()
    shared = {"quick_gelu": config.quick_gelu, "embed_dim": config.embed_dim}
    image = {
        **shared,
        "vision": parts["vision"],
        "preprocessing": parts["preprocessing"],
    }
    text = {**shared, "text": parts["text"], "tokenizer": _tokenizer_hash()}
    image_names, text_names = _names_by_tower(tensors)
    return _tower_hash(image, image_names, tensors), _tower_hash(text, text_names, tensors)


def _names_by_tower(tensors: Weights) -> tuple[list[str], list[str]]:
    """Names in sorted order: (of the image tower, of the text tower)."""
    image: list[str] = []
    text: list[str] = []
    for name in sorted(tensors):
        if not _is_in_a_tower(name):
            continue
        if name.startswith(IMAGE_PREFIX):
            image.append(name)
        else:
            text.append(name)
    return image, text


def _is_in_a_tower(name: str) -> bool:
    return name not in SHARED and not name.endswith(STEP_COUNTER)


def _tower_hash(description: dict[str, Any], names: Sequence[str], tensors: Weights) -> str:
    words = json.dumps(description, sort_keys=True)
    digest = hashlib.sha256(_HASH_START + words.encode())
    for name in names:
        tensor = tensors[name].contiguous()
        values = tensor.numpy().astype("<f4", copy=False)
        digest.update(f"\n{name} {list(tensor.shape)}\n".encode())
        digest.update(values.reshape(-1).data)
    return digest.hexdigest()


@cache
def _tokenizer_hash() -> str:
    return hashlib.sha256(Path(default_bpe()).read_bytes()).hexdigest()
