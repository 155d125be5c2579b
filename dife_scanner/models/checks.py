"""A header against a configuration: the same tensors, of the same shapes, before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass
from typing import Any, BinaryIO

from dife_scanner.errors import Refused, Unsupported
from dife_scanner.models.config import ClipConfig, expected_tensors, parse_config
from dife_scanner.models.header import Header, ParseLimits, TensorEntry, parse_header
from dife_scanner.models.strict_json import shown

FLOATS = frozenset({"F16", "BF16", "F32", "F64"})
QUANTISED = frozenset({"I8", "U8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3", "F6_E3M2"})
STEP_COUNTER = ".num_batches_tracked"
"""Ending of the one kind of tensor that no inference reads: a training step counter of batch normalisation."""
_TEXT_PREFIX = "text."
_ADVICE = "do not load it; report it to its author"
_SCALARS = frozenset({"logit_scale", "logit_bias"})
_STRETCHABLE = frozenset({"visual.positional_embedding", "positional_embedding"})


@dataclass(frozen=True)
class Inspection:
    """A checkpoint whose header and configuration passed every check that needs no weights."""

    config: ClipConfig
    names: tuple[tuple[str, str], ...]
    """Of every tensor: its name in open_clip's `CLIP` and its name in the file."""
    parameters: int

    def as_json(self) -> dict[str, Any]:
        return {"config": self.config.as_json(), "names": list(self.names), "parameters": self.parameters}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Inspection:
        names = tuple((str(ours), str(theirs)) for ours, theirs in body["names"])
        return cls(ClipConfig.from_json(body["config"]), names, int(body["parameters"]))


def inspect(config: BinaryIO, weights: BinaryIO, weights_file: str, limits: ParseLimits) -> Inspection:
    """Parse both files and compare them; no tensor data is read.

    Raises `Refused`, `Unsupported` or `LimitExceeded`, each naming the file and the field or tensor.
    """
    checked = parse_config(config.read(limits.config_bytes + 1), limits)
    return compare(parse_header(weights, weights_file, limits), checked, weights_file)


def compare(header: Header, config: ClipConfig, file: str) -> Inspection:
    """Match the tensors of `header` with those `config` makes.

    Accepts the two namings open_clip writes (text tower at the top, or under `text.`). A tensor too many or too few,
    another shape or an element type that weights cannot have is `Refused`. A file with not one expected name has
    another layout, stretched positions would be interpolated by open_clip, and quantised values need another reader:
    those are `Unsupported`.
    """
    entries = {entry.name: entry for entry in header.tensors}
    expected = expected_tensors(config)
    prefix = _TEXT_PREFIX if any(name.startswith(_TEXT_PREFIX) for name in entries) else ""
    names = {name: name if name in _SCALARS or name.startswith("visual.") else prefix + name for name in expected}
    wanted = set(names.values())
    if not entries.keys() & (wanted - _SCALARS):
        raise Unsupported(
            f"{file} holds tensors of another layout (the first is {shown(header.tensors[0].name)})",
            "only checkpoints saved by open_clip can be audited",
        )
    _compare_names("unexpected", entries.keys() - wanted, file)
    _compare_names("missing", wanted - entries.keys(), file)
    for name, shape in expected.items():
        _compare_one(name, entries[names[name]], shape, file)
    return Inspection(config, tuple(sorted(names.items())), sum(math.prod(shape) for shape in expected.values()))


def _compare_names(kind: str, names: Set[str], file: str) -> None:
    if names:
        first = shown(min(names))
        raise Refused(
            f"{file} does not match its configuration: {len(names)} {kind} tensors, the first is {first}", _ADVICE
        )


def _compare_one(name: str, entry: TensorEntry, shape: tuple[int, ...], file: str) -> None:
    fits = entry.shape == shape or (name in _SCALARS and entry.shape == (1,))
    if not fits and name in _STRETCHABLE and len(entry.shape) == 2 and entry.shape[1] == shape[1]:
        raise Unsupported(
            f"{file}: {shown(name)} has {entry.shape[0]} positions, the configuration {shape[0]}; open_clip would "
            "interpolate them, which this version does not",
            "save the model again at the size it is used at",
        )
    if not fits:
        raise Refused(
            f"{file} does not match its configuration: {shown(name)} has the shape {list(entry.shape)} instead of "
            f"{list(shape)}",
            _ADVICE,
        )
    if entry.dtype in QUANTISED:
        raise Unsupported(f"{file}: {shown(name)} is quantised ({entry.dtype}), which this version does not read", "")
    if entry.dtype not in FLOATS and not (name.endswith(STEP_COUNTER) and entry.dtype == "I64"):
        raise Refused(f"{file} does not match its configuration: {shown(name)} has the dtype {entry.dtype}", _ADVICE)
