"""Broken inputs for parsers: sound ones with a few bytes, keys or values replaced by odd ones."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Any

from dife_scanner.lab.hostile import containers, forms, headers, tensors
from dife_scanner.lab.hostile.archives import honest, torch_archive
from dife_scanner.lab.hostile.assembler import call, number, pickled, state, tensor, text

_LONGEST_INPUT = 2**20
_ODD_NUMBERS = (
    0,
    1,
    127,
    128,
    255,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
)
_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**200, 0.0, -0.5, 1e308, "", "x" * 300, "../../x", "\x1b[31m", "\u202e",
    [], {}, [[]], [1, 2], {"a": {"a": {}}}, "2026-01-01T00:00:00.000Z", "a" * 40,
)  # fmt: skip
_OPCODES = b"(.012FGIJKLMNPQRSTUVXabcdeghijlopqrstu]})\x80\x81" + bytes(range(0x85, 0x96))
_CONFIG = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32, "head_width": 64, "mlp_ratio": 4.0},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12},
    "quick_gelu": True,
}  # fmt: skip
_TOWER = {
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
_TRANSFORMERS = {
    "model_type": "clip",
    "architectures": ["CLIPModel"],
    "projection_dim": 32,
    "text_config": _TOWER | {"vocab_size": 49408, "max_position_embeddings": 77, "hidden_act": "quick_gelu"},
    "vision_config": _TOWER | {"image_size": 32, "patch_size": 8, "num_channels": 3, "layer_norm_eps": 1e-5},
}  # fmt: skip
_FILE = {
    "rfilename": "open_clip_model.safetensors",
    "size": 3,
    "blobId": "0" * 40,
    "lfs": {"sha256": "0" * 64, "size": 3, "pointerSize": 9},
}
_ITEM = {
    "id": "org/name",
    "sha": "0" * 40,
    "lastModified": "2026-10-01T00:59:00.000Z",
    "createdAt": "2026-10-01T00:59:00.000Z",
    "author": "org",
    "library_name": "open_clip",
    "pipeline_tag": "zero-shot-image-classification",
    "tags": ["clip", "base_model:a/b"],
    "private": False,
    "gated": "auto",
    "downloads": 3,
    "siblings": [_FILE],
}
_HEADER = {
    "__metadata__": {"format": "pt"},
    "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "F16", "shape": [4], "data_offsets": [24, 32]},
}


def mutated(rng: random.Random, raw: bytes) -> bytes:
    """`raw` with a few bytes changed, removed, repeated, or replaced by odd numbers."""
    made = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(made) + 1)
        count = rng.choice((0, 1, 1, 2, 4, 8, 64))
        made[at : at + count] = _filling(rng, bytes(made))
    return bytes(made[:_LONGEST_INPUT])


def _filling(rng: random.Random, raw: bytes) -> bytes:
    kind = rng.randrange(5)
    if kind == 0:
        return b""
    if kind == 1:
        return rng.randbytes(rng.choice((1, 1, 2, 4)))
    if kind == 2:
        return rng.choice(_ODD_NUMBERS).to_bytes(8, "little")[: rng.choice((1, 2, 4, 8))]
    if kind == 3:
        return bytes(rng.choices(_OPCODES, k=rng.choice((1, 2, 8))))
    at = rng.randrange(len(raw) + 1)
    return raw[at : at + rng.choice((4, 16, 256))] * rng.choice((1, 1, 2, 50))


def changed(rng: random.Random, document: Any) -> Any:
    """A JSON document with some values and keys replaced by odd ones."""
    if rng.random() < 0.06:
        return rng.choice(_ODD_VALUES)
    if isinstance(document, dict):
        made = {key: changed(rng, value) for key, value in document.items() if rng.random() > 0.04}
        if rng.random() < 0.1:
            made[str(rng.choice(_ODD_VALUES))[:50]] = rng.choice(_ODD_VALUES)
        return made
    if isinstance(document, list):
        return [changed(rng, value) for value in document * rng.choice((1, 1, 1, 2, 30))]
    return document


def _json(rng: random.Random, document: Any) -> bytes:
    raw = json.dumps(changed(rng, document), allow_nan=True).encode()
    return mutated(rng, raw) if rng.random() < 0.3 else raw


@cache
def _torch_seeds() -> tuple[bytes, ...]:
    small = [honest(), containers.legacy()]
    small += [build() for _, build in containers.ODD.values()]
    small += [build() for build in (*containers.HIDING.values(), *containers.DIFFERING.values())]
    return tuple(raw for raw in small if raw)


@cache
def _pickle_seeds() -> tuple[bytes, ...]:
    whole = [*forms.RUNNING.values(), *forms.CARRIED.values(), *forms.CHANGING.values()]
    whole += [pickled(state(weight=body, other=tensor())) for body in tensors.LYING.values()]
    beside = call("collections.OrderedDict") + text("epoch") + number(3) + b"s"
    sound = [pickled(state(a=tensor(), b=tensor(shape=(6,), strides=(1,)), c=beside))] * 60
    return tuple(raw for raw in whole if len(raw) < 5000) + tuple(sound)


def torch_input(rng: random.Random) -> bytes:
    """A torch file with damage in its container, or a sound one around a damaged or random pickle."""
    kind = rng.randrange(4)
    if kind == 0:
        return mutated(rng, rng.choice(_torch_seeds()))
    pickle = mutated(rng, rng.choice(_pickle_seeds()))
    if kind == 1:
        pickle = b"\x80\x04" + bytes(rng.choices(_OPCODES, k=rng.randrange(200))) + b"."
    return torch_archive(pickle) if rng.random() < 0.8 else containers.legacy(pickle)


def header_input(rng: random.Random) -> bytes:
    """A safetensors file with an odd or a damaged header."""
    if rng.random() < 0.2:
        name = rng.choice([one for one in headers.LYING if one not in headers.BOMBS])
        return mutated(rng, headers.LYING[name]()[:_LONGEST_INPUT])
    raw = headers.safetensors(_json(rng, _HEADER), bytes(32))
    return mutated(rng, raw) if rng.random() < 0.3 else raw


def config_input(rng: random.Random) -> bytes:
    """A configuration of one of the layouts with odd values."""
    whole = {
        "model_cfg": _CONFIG,
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    }
    return _json(rng, rng.choice((whole, _TRANSFORMERS, _TRANSFORMERS | {"model_type": "siglip"})))


def listing_input(rng: random.Random) -> bytes:
    """A page of a hub's listing with odd values."""
    return _json(rng, [_ITEM, _ITEM])
