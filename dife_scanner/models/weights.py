"""The tensors of a checked safetensors file, every one accounted for, and the hashes of the two towers they make."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from dife_scanner.errors import Unreadable
from dife_scanner.models.config import ClipConfig
from dife_scanner.models.inspection import STEP_COUNTER, Inspection
from dife_scanner.models.strict_json import shown
from dife_scanner.models.tensors import expected_tensors
from dife_scanner.models.tokenizers import Tokenizer, clips_own
from dife_scanner.plain import plain
from dife_scanner.records import CastTowers

IMAGE_PREFIX = "visual."
SCALE = "logit_scale"
"""Logarithm of what scores are multiplied by; it belongs to neither tower, and no embedding depends on it."""
NEW_SCALE = math.log(1 / 0.07)
"""Its value before training."""
READ_AT_ONCE = 32 << 20
"""Values after which the file is opened anew: what was read of it counts as held by the process until it is closed."""
_TOKENS = "token_embedding.weight"
_HASH_START = b"dife tower 1\n"
"""What a hash is of, and its version."""
_SHORTER = {"float16": torch.float16, "bfloat16": torch.bfloat16}
"""Types in which copies of a checkpoint are saved."""

Weights = dict[str, torch.Tensor]


def read_weights(path: Path, inspection: Inspection, tokenizer: Tokenizer | None = None) -> Weights:
    """Every tensor under its open_clip name, as float32 copies; step counters become zero.

    What no embedding depends on may be anything: an unusable scale becomes that of a new model, and rows of the token
    table stay as they are, but for those that every text reads.

    Raises `Unreadable` naming the first other tensor with a value that float32 does not hold as a finite number, and
    where the safetensors library does not read the file.
    """
    tensors = _counters(inspection.config)
    in_every_text = _in_every_text(tokenizer or clips_own())
    try:
        for names in _in_portions(inspection):
            with safe_open(path, framework="pt", device="cpu") as file:
                for ours, theirs in names:
                    # a copy no longer depends on the file
                    tensors[ours] = file.get_tensor(theirs).to(torch.float32, copy=True)
                    _check_finite(ours, tensors[ours], theirs, path, in_every_text)
    except SafetensorError as error:
        raise Unreadable(
            f"{path.name} is not read by the safetensors library: {plain(str(error), 200)}",
            "save it again",
        ) from error
    tensors[SCALE] = _usable_scale(tensors[SCALE].reshape(()))
    return tensors


def _in_portions(inspection: Inspection) -> Iterator[list[tuple[str, str]]]:
    """(our name, name in the file) of all tensors but step counters, as many at a time as `READ_AT_ONCE`."""
    shapes = expected_tensors(inspection.config)
    names: list[tuple[str, str]] = []
    values = 0
    for ours, theirs in inspection.names:
        if ours.endswith(STEP_COUNTER):
            continue
        names.append((ours, theirs))
        values += math.prod(shapes.get(ours, ()))
        if values >= READ_AT_ONCE:
            yield names
            names, values = [], 0
    if names:
        yield names


def _counters(config: ClipConfig) -> Weights:
    """The step counters, whose value no inference reads and torch makes up where a file lacks them."""
    tensors: Weights = {}
    for name in expected_tensors(config):
        if name.endswith(STEP_COUNTER):
            tensors[name] = torch.zeros((), dtype=torch.long)
    return tensors


def _in_every_text(tokenizer: Tokenizer) -> list[int]:
    """Rows of the token table that every text reads: what stands around a text, and what fills the places behind it."""
    return sorted({tokenizer.pad, *tokenizer.frame((), 0)})


def _check_finite(
    ours: str, tensor: torch.Tensor, theirs: str, path: Path, in_every_text: list[int]
) -> None:
    if ours == SCALE:
        return
    if ours == _TOKENS:
        tensor = tensor[[row for row in in_every_text if row < len(tensor)]]
    if not bool(torch.isfinite(tensor).all()):
        raise Unreadable(
            f"{path.name}: tensor {shown(theirs)} holds NaN or infinite values",
            "no model computes with them; save it again before they arose",
        )


def _usable_scale(logarithm: torch.Tensor) -> torch.Tensor:
    if 0 < float(logarithm.exp()) < float("inf"):
        return logarithm
    return torch.tensor(NEW_SCALE)


def tower_hashes(
    tensors: Weights,
    config: ClipConfig,
    tokenizer: Tokenizer | None = None,
    cast: torch.dtype = torch.float32,
) -> tuple[str, str]:
    """sha256 of the image tower and of the text tower; without a `tokenizer` texts are cut by CLIP's own.

    With a `cast`, of the values that a copy saved in that type has.

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
    text = {**shared, "text": parts["text"], "tokenizer": (tokenizer or clips_own()).digest}
    image_names, text_names = _names_by_tower(tensors)
    return (
        _tower_hash(image, image_names, tensors, cast),
        _tower_hash(text, text_names, tensors, cast),
    )


def cast_towers(
    tensors: Weights, config: ClipConfig, tokenizer: Tokenizer | None = None
) -> tuple[CastTowers, ...]:
    """The `tower_hashes` of copies that were saved in each shorter type."""
    found = []
    for precision, dtype in _SHORTER.items():
        image, text = tower_hashes(tensors, config, tokenizer, dtype)
        found.append(CastTowers(precision, image, text))
    return tuple(found)


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
    return name != SCALE and not name.endswith(STEP_COUNTER)


def _tower_hash(
    description: dict[str, Any], names: Sequence[str], tensors: Weights, cast: torch.dtype
) -> str:
    words = json.dumps(description, sort_keys=True)
    digest = hashlib.sha256(_HASH_START + words.encode())
    for name in names:
        tensor = tensors[name].to("cpu", cast).to(torch.float32).contiguous()
        values = tensor.numpy().astype("<f4", copy=False)
        digest.update(f"\n{name} {list(tensor.shape)}\n".encode())
        digest.update(values.reshape(-1).data)
    return digest.hexdigest()
