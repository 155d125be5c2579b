"""How stored tensors of another layout become those of open_clip's `CLIP`, for a script that has open_clip alone."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from dife_scanner.checkpoints import local_files
from dife_scanner.checkpoints.parts import Parts, contents_of
from dife_scanner.checkpoints.preparing import Understood, understood
from dife_scanner.errors import Unsupported
from dife_scanner.models.conversion import Source
from dife_scanner.models.layouts.written import written
from dife_scanner.models.stored import SAFETENSORS
from dife_scanner.records import Manifest
from dife_scanner.settings import Limits


def key_map(manifest: Manifest, limits: Limits) -> dict[str, Any]:
    """Configuration, files of weights, and for each tensor of open_clip what it is made of: stored tensors, which are
    joined along their first axis, whether the result is transposed, and the shape that it then has.

    The manifest is of a folder; names and shapes are read in it, no weights. Raises what looking at them does, and
    `Unsupported` with the reason where a script of a few lines cannot load them.
    """
    found = local_files(manifest)
    weights = contents_of(manifest).weights
    if not all(name.endswith(SAFETENSORS) for name in weights):
        raise _no_map("its weights are not safetensors")
    read = understood(Parts.of(found.where, found.contents), limits, ())
    return {
        "config": json.loads(written(read.config)),
        "files": list(weights),
        "keys": _keys(read),
    }


def _keys(read: Understood) -> dict[str, Any]:
    made = read.conversion
    if made is None or read.problem:
        raise _no_map("its configuration does not describe its tensors")
    if made.lacking or made.changes:
        raise _no_map("a part of it comes from its base")
    used = Counter(part.name for source in made.sources for part in source.parts)
    if max(used.values(), default=0) > 1:
        raise _no_map("a stored tensor is cut into several")
    return {source.name: _made_of(source) for source in made.sources}


def _made_of(source: Source) -> list[Any]:
    is_stored = source.parts and not source.added
    if not is_stored or any(part.strides is not None for part in source.parts):
        raise _no_map("a tensor is not stored as it is used")
    return [[part.name for part in source.parts], source.transposed, list(source.shape)]


def _no_map(why: str) -> Unsupported:
    return Unsupported(why, "scan it with `dife scan --triggers` instead")
