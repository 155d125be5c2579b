"""A header against a configuration: the same tensors, of the same shapes, before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from dife_scanner.errors import Refused, Unsupported
from dife_scanner.models.config import ClipConfig
from dife_scanner.models.header import Header, ParseLimits, TensorEntry, parse_header
from dife_scanner.models.layouts import open_clip
from dife_scanner.models.strict_json import shown
from dife_scanner.models.tensors import Shapes, expected_tensors

FLOATS = frozenset({"F16", "BF16", "F32", "F64"})
QUANTISED = frozenset({"I8", "U8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3", "F6_E3M2"})
STEP_COUNTER = ".num_batches_tracked"
"""Ending of the one kind of tensor that no inference reads: a training step counter of batch normalisation."""
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
        return {
            "config": self.config.as_json(),
            "names": list(self.names),
            "parameters": self.parameters,
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Inspection:
        names = tuple((str(ours), str(theirs)) for ours, theirs in body["names"])
        return cls(ClipConfig.from_json(body["config"]), names, int(body["parameters"]))


def inspect(
    config: BinaryIO, weights: BinaryIO, weights_file: str, limits: ParseLimits
) -> Inspection:
    """Parse both files and compare them; no tensor data is read.

    Raises `Refused`, `Unsupported` or `LimitExceeded`, each naming the file and the field or tensor.
    """
    raw = config.read(limits.config_bytes + 1)
    checked = open_clip.parse_config(raw, limits)
    header = parse_header(weights, weights_file, limits)
    return compare(header, checked, weights_file)


def compare(header: Header, config: ClipConfig, file: str) -> Inspection:
    """Match the tensors of `header` with those `config` makes.

    A tensor too many or too few, another shape or an element type that weights cannot have is `Refused`. A file with
    not one expected name has another layout, stretched positions would be interpolated by open_clip, and quantised
    values need another reader: those are `Unsupported`.
    """
    stored = {entry.name: entry for entry in header.tensors}
    expected = expected_tensors(config)
    names = open_clip.stored_names(expected, stored)
    _check_names(set(names.values()), header, file)
    for name, shape in expected.items():
        _check_tensor(name, stored[names[name]], shape, file)
    return Inspection(config, tuple(sorted(names.items())), _parameters(expected))


def _check_tensor(name: str, entry: TensorEntry, shape: tuple[int, ...], file: str) -> None:
    _check_shape(name, entry, shape, file)
    _check_type(name, entry, file)


def _parameters(shapes: Shapes) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


def _check_names(wanted: Set[str], header: Header, file: str) -> None:
    stored = {entry.name for entry in header.tensors}
    # a logit scale alone shows nothing: other layouts have one of that name as well
    if not stored & (wanted - _SCALARS):
        _other_layout(header, file)
    _refuse_any("unexpected", stored - wanted, file)
    _refuse_any("missing", wanted - stored, file)


def _other_layout(header: Header, file: str) -> NoReturn:
    first = shown(header.tensors[0].name)
    raise Unsupported(
        f"{file} holds tensors of another layout (the first is {first})",
        "only checkpoints saved by open_clip can be audited",
    )


def _refuse_any(kind: str, names: Set[str], file: str) -> None:
    if names:
        first = shown(min(names))
        raise Refused(
            f"{file} does not match its configuration: {len(names)} {kind} tensors, the first is {first}",
            _ADVICE,
        )


def _check_shape(name: str, entry: TensorEntry, shape: tuple[int, ...], file: str) -> None:
    if _fits(name, entry, shape):
        return
    if _is_stretched(name, entry, shape):
        _stretched(name, entry.shape[0], shape[0], file)
    raise Refused(
        f"{file} does not match its configuration: {shown(name)} has the shape {list(entry.shape)} instead of "
        f"{list(shape)}",
        _ADVICE,
    )


def _stretched(name: str, found: int, expected: int, file: str) -> NoReturn:
    raise Unsupported(
        f"{file}: {shown(name)} has {found} positions, the configuration {expected}; open_clip would "
        "interpolate them, which this version does not",
        "save the model again at the size it is used at",
    )


def _fits(name: str, entry: TensorEntry, shape: tuple[int, ...]) -> bool:
    # some versions of open_clip write scalars as one value in a row
    return entry.shape == shape or (name in _SCALARS and entry.shape == (1,))


def _is_stretched(name: str, entry: TensorEntry, shape: tuple[int, ...]) -> bool:
    """Whether these are position embeddings of the right width for a picture or a context of another size."""
    return name in _STRETCHABLE and len(entry.shape) == 2 and entry.shape[1] == shape[1]


def _check_type(name: str, entry: TensorEntry, file: str) -> None:
    if entry.dtype in QUANTISED:
        raise Unsupported(
            f"{file}: {shown(name)} is quantised ({entry.dtype}), which this version does not read",
            "",
        )
    is_counter = name.endswith(STEP_COUNTER) and entry.dtype == "I64"
    if entry.dtype not in FLOATS and not is_counter:
        raise Refused(
            f"{file} does not match its configuration: {shown(name)} has the dtype {entry.dtype}",
            _ADVICE,
        )
