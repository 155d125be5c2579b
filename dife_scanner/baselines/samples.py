"""A few values of a checkpoint's weights, at places that nobody outside this installation knows.

They pick which base is worth a download. They prove nothing: somebody could publish a file that has a base's values at
some places and others elsewhere. That two checkpoints are the same is for the hashes of whole towers to show.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dife_scanner.durable.atomic import atomic_write
from dife_scanner.durable.disk import disk_errors
from dife_scanner.models.header import LENGTH_BYTES, ParseLimits, TensorEntry, parse_header
from dife_scanner.models.layouts.open_clip import TEXT_PREFIX, unwrapped
from dife_scanner.models.likeness import DTYPES, FEWEST, Likeness, Values, decoded, of_pairs

RUN = 2048
"""Values read of one matrix: the correlation of unrelated ones stays within .1."""
PER_TOWER = 3
"""Matrices read of each tower."""
FIRST_BYTES = 128 * 1024
"""Of a file to begin with: most headers are shorter."""
HEADER_BYTES = 4 * 1024**2
"""The longest header that is read for a comparison; the largest CLIP's has a twentieth of that."""
_BYTES = {dtype: int(code[-1]) for dtype, code in DTYPES.items()}
_IMAGE = "visual."
_SEED_BYTES = 16

_BLOCK = r"(?:transformer\.resblocks|encoder\.layers|trunk\.blocks)\.(\d+)\."
_PARTS = (
    (r"mlp\.(?:c_fc|fc1)\.weight", "up"),
    (r"mlp\.(?:c_proj|fc2)\.weight", "down"),
    (r"(?:attn\.out_proj|self_attn\.out_proj|attn\.proj)\.weight", "out"),
)
_TOWERS = ((r"(?:visual|vision_model)\.", _IMAGE), (r"(?:text_model\.)?", ""))
_COMMON = [
    (re.compile(tower + _BLOCK + part), prefix + r"\1." + word)
    for tower, prefix in _TOWERS
    for part, word in _PARTS
]
"""Matrices that open_clip, timm and transformers store alike, without a turn or a join, by what they are."""

_ALONE = {
    "embeddings.patch_embedding.weight": "vision_model.",
    "patch_embed.proj.weight": "visual.trunk.",
}
"""Tensors by which an image tower that transformers or timm saved by itself is told, and what stands before its names
in a whole model."""

Read = Callable[[int, int], bytes]
"""(start, length) to the bytes of a file; fewer where they could not be had."""


@dataclass(frozen=True)
class Matrix:
    """Where the values of one matrix stand in a file."""

    shape: tuple[int, ...]
    dtype: str
    start: int
    """Of its first byte in the file."""

    @property
    def values(self) -> int:
        """How many it has."""
        return math.prod(self.shape)


Matrices = Mapping[str, Matrix]
Shapes = Mapping[str, tuple[int, ...]]
Sample = dict[str, Values]
"""Values by the name of their matrix."""


def own_seed(home: Path) -> str:
    """What decides the places in this installation; made up once and kept in its home."""
    path = home / "references" / ".places"
    if not path.exists():
        with disk_errors(home):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with atomic_write(path) as stream:
                stream.write(secrets.token_hex(_SEED_BYTES).encode())
    return path.read_text(encoding="ascii")


# --- what there is --------------------------------------------------------------------------------------------


def of_file(weights: Path) -> tuple[Matrices, Read]:
    """The matrices of a checked safetensors file on disk, and how its bytes are read. Raises what `matrices` raises."""

    def read(start: int, length: int) -> bytes:
        with weights.open("rb") as stream:
            stream.seek(start)
            return stream.read(length)

    return matrices(read, weights.stat().st_size, weights.name), read


def matrices(read: Read, total: int, name: str) -> Matrices:
    """The matrices of a safetensors file of `total` bytes by names that several layouts share; none without a header.

    Raises what `parse_header` raises.
    """
    start = read(0, min(FIRST_BYTES, total))
    ends = LENGTH_BYTES + int.from_bytes(start[:LENGTH_BYTES], "little")
    if ends > min(total, LENGTH_BYTES + HEADER_BYTES):
        return {}
    if ends > len(start):
        start = read(0, ends)
    if len(start) < max(ends, LENGTH_BYTES):
        return {}
    limits = ParseLimits(header_bytes=HEADER_BYTES)
    header = parse_header(io.BytesIO(start), name, limits, total=total)
    names = _in_its_tower(unwrapped(entry.name for entry in header.tensors))
    found = {}
    for entry in header.tensors:
        if _is_compared(entry):
            place = Matrix(entry.shape, entry.dtype, ends + entry.start)
            found[common_name(names[entry.name])] = place
    return found


def _in_its_tower(names: Mapping[str, str]) -> dict[str, str]:
    """Names with the image tower's before them, where a file holds that tower alone and does not name it."""
    every = set(names.values())
    for mark, tower in _ALONE.items():
        if mark in every:
            return {stored: tower + name for stored, name in names.items()}
    return dict(names)


def common_name(stored: str) -> str:
    """What a matrix is called whatever layout it stands in; its own name where only one layout has it.

    >>> common_name("visual.transformer.resblocks.3.mlp.c_fc.weight")
    'visual.3.up'
    >>> common_name("vision_model.encoder.layers.3.mlp.fc1.weight")
    'visual.3.up'
    """
    name = stored.removeprefix(TEXT_PREFIX)
    for pattern, common in _COMMON:
        found = pattern.fullmatch(name)
        if found:
            return found.expand(common)
    return name


def _is_compared(entry: TensorEntry) -> bool:
    return len(entry.shape) > 1 and math.prod(entry.shape) >= FEWEST and entry.dtype in DTYPES


# --- where it is looked at ------------------------------------------------------------------------------------


def chosen(available: Matrices, seed: str) -> Shapes:
    """The matrices that are read, of each tower some; with the same seed always the same.

    Those that every layout has go first.
    """
    towers: tuple[list[str], list[str]] = ([], [])
    for name in available:
        towers[0 if name.startswith(_IMAGE) else 1].append(name)
    names = []
    for tower in towers:
        tower.sort(key=lambda name: (not _is_common(name), _drawn(seed, name)))
        names += tower[:PER_TOWER]
    return {name: available[name].shape for name in names}


def _is_common(name: str) -> bool:
    return name.rpartition(".")[2] in {word for _, word in _PARTS}


def take(available: Matrices, read: Read, wanted: Shapes, seed: str) -> Sample:
    """Read a run of each wanted matrix, at a place that seed, name and size decide.

    What is not there in that shape, or cannot be had, is missing.
    """
    sample = {}
    for name, shape in wanted.items():
        matrix = available.get(name)
        if matrix is None or matrix.shape != shape:
            continue
        count = min(RUN, matrix.values)
        first = _drawn(seed, f"{name} {matrix.values}") % (matrix.values - count + 1)
        width = _BYTES[matrix.dtype]
        raw = read(matrix.start + first * width, count * width)
        if len(raw) == count * width:
            sample[name] = decoded(raw, matrix.dtype)
    return sample


def _drawn(seed: str, what: str) -> int:
    """A number that nobody can tell without the seed."""
    return int.from_bytes(hashlib.sha256(f"{seed} {what}".encode()).digest(), "big")


def likeness(ours: Sample, theirs: Sample) -> Likeness:
    """How alike two samples of the same places are; nothing is told where they share no place."""
    pairs = {}
    for name, values in ours.items():
        other = theirs.get(name)
        if other is not None and other.shape == values.shape:
            pairs[name] = (values, other)
    return of_pairs(pairs)
