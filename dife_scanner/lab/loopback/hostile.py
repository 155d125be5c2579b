"""Files that try something: contents for repositories that a scanner has to survive. Nothing here runs code."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

_TYPE_NAMES = {"float32": "F32", "float16": "F16", "int64": "I64"}
"""Of the format, by those of numpy."""


def safetensors(
    tensors: dict[str, np.ndarray[Any, Any]],
    *,
    metadata: dict[str, str] | None = None,
) -> bytes:
    """A well-formed file, written without the library so that the variants below differ from it in one thing."""
    header: dict[str, Any] = {}
    if metadata:
        header["__metadata__"] = metadata
    data = b""
    for name, array in tensors.items():
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": _TYPE_NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    return with_header(json.dumps(header).encode(), data)


def with_header(
    header: bytes,
    data: bytes = b"",
    *,
    length: int | None = None,
) -> bytes:
    """A safetensors file with this header text; `length` is the value of the length field, and may be wrong."""
    if length is None:
        length = len(header)
    return struct.pack("<Q", length) + header + data


def huge_header_length() -> bytes:
    """The length field says 2^63: reading or allocating it is the bug."""
    return with_header(b"{}", length=2**63)


def duplicate_key() -> bytes:
    """One tensor name twice with different offsets: parsers disagree on which one counts."""
    entry = '"visual.proj":{"dtype":"F32","shape":[1],"data_offsets":[%d,%d]}'
    first = entry % (0, 4)
    second = entry % (4, 8)
    return with_header(f"{{{first},{second}}}".encode(), bytes(8))


def huge_card() -> bytes:
    """Eight megabytes of front matter that expands a hundredfold when aliases are followed."""
    lines = ["---", "l0: &l0 [x]"]
    for level in range(1, 9):
        aliases = ", ".join([f"*l{level - 1}"] * 9)
        lines.append(f"l{level}: &l{level} [{aliases}]")
    padding = "x" * (8 << 20)
    lines += [f"pad: {padding}", "---", "# Model", ""]
    return "\n".join(lines).encode()


def binary_card() -> bytes:
    """A README that is no text: NUL, invalid UTF-8, terminal escapes and a bidi override."""
    lines = [
        b"---",
        b"license: \xff\xfe\x00\x01",
        b"\x1b]0;owned\x07\x1b[2J\xe2\x80\xae",
        b"---",
        bytes(range(256)) * 16,
    ]
    return b"\n".join(lines)


def config_naming_another_repository(repo_id: str = "evil/other") -> bytes:
    """An `open_clip_config.json` whose text tower is to be fetched from elsewhere."""
    config = {
        "model_cfg": {
            "embed_dim": 64,
            "vision_cfg": {"timm_model_name": f"hf-hub:{repo_id}", "image_size": 64},
            "text_cfg": {
                "hf_model_name": repo_id,
                "hf_tokenizer_name": repo_id,
                "hf_proj_type": "mlp",
            },
        },
        "preprocess_cfg": {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]},
    }
    return json.dumps(config).encode()


def config_with_a_million_layers() -> bytes:
    """Building this model would take all memory there is."""
    vision = {
        "image_size": 64,
        "layers": 10**6,
        "width": 192,
        "patch_size": 16,
    }
    text = {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 128,
        "heads": 2,
        "layers": 10**6,
    }
    model = {"embed_dim": 128, "vision_cfg": vision, "text_cfg": text}
    return json.dumps({"model_cfg": model}).encode()
