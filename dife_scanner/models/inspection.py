"""A header against a configuration: the same tensors, of the same shapes, before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Collection, Set
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from dife_scanner.errors import Unsupported
from dife_scanner.models.config import ClipConfig
from dife_scanner.models.header import Header, ParseLimits, TensorEntry, parse_header
from dife_scanner.models.layouts import open_clip
from dife_scanner.models.shapes import Shapes
from dife_scanner.models.strict_json import shown
from dife_scanner.models.tensors import INTERPOLATED, expected_tensors

FLOATS = frozenset({"F16", "BF16", "F32", "F64"})
QUANTISED = frozenset({"I8", "U8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3", "F6_E3M2"})
STEP_COUNTER = ".num_batches_tracked"
"""Ending of the one kind of tensor that no inference reads: a training step counter of batch normalisation."""
_ADVICE = "open_clip does not load it as it is either; correct the configuration, or save the weights again"
_AXES_SHOWN = 8
_SCALE = "logit_scale"


@dataclass(frozen=True)
class Inspection:
    """A checkpoint whose header and configuration passed every check that needs no weights."""

    config: ClipConfig
    names: tuple[tuple[str, str], ...]
    """Of every tensor in the file that an audit reads: its name in open_clip's `CLIP` and its name in the file."""
    parameters: int
    interpolated: str = ""
    """Which position embeddings have to be brought to the size that the configuration asks for, in words."""

    def as_json(self) -> dict[str, Any]:
        return {
            "config": self.config.as_json(),
            "names": list(self.names),
            "parameters": self.parameters,
            "interpolated": self.interpolated,
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Inspection:
        names = tuple((str(ours), str(theirs)) for ours, theirs in body["names"])
        config = ClipConfig.from_json(body["config"])
        return cls(config, names, int(body["parameters"]), str(body["interpolated"]))


def inspect(
    config: BinaryIO,
    weights: BinaryIO,
    weights_file: str,
    limits: ParseLimits,
    *,
    total: int | None = None,
) -> Inspection:
    """Parse both files and compare them; no tensor data is read.

    `total` is the size of the weights in bytes where `weights` holds only their beginning.

    Raises `Refused`, `Unreadable`, `Unsupported` or `LimitExceeded`, each naming the file and the field or tensor.
    """
    checked = read_config(config, limits)
    header = parse_header(weights, weights_file, limits, total=total)
    return compare(header, checked, weights_file)


def read_config(config: BinaryIO, limits: ParseLimits) -> ClipConfig:
    """The checked configuration in `config`. Raises what `open_clip.parse_config` does."""
    return open_clip.parse_config(config.read(limits.config_bytes + 1), limits)


def compare(
    header: Header, config: ClipConfig, file: str, lacking: Collection[str] = ()
) -> Inspection:
    """Match the tensors of `header` with those `config` makes, but for those `lacking`.

    Raises `Unsupported` for a tensor too many or too few, another shape, or an element type that weights cannot have;
    the message names the first. A tensor without values and a buffer that no loader reads may be there, one that
    open_clip makes up where it is missing may not.
    """
    stored = {entry.name: entry for entry in header.tensors}
    expected = expected_tensors(config)
    held = [name for name in expected if name not in lacking]
    names = open_clip.stored_names(held, stored)
    for name in tuple(names):
        if name.endswith(STEP_COUNTER) and names[name] not in stored:
            del names[name]  # torch makes one up
    _check_names(set(names.values()), header, file)
    for name, theirs in names.items():
        _check_tensor(name, stored[theirs], expected[name], file)
    positions = [
        _positions(name, stored[names[name]], expected[name], file)
        for name in sorted(INTERPOLATED & names.keys())
    ]
    return Inspection(
        config,
        tuple(sorted(names.items())),
        _parameters(expected),
        "; ".join(filter(None, positions)),
    )


def _check_tensor(name: str, entry: TensorEntry, shape: tuple[int, ...], file: str) -> None:
    _check_shape(name, entry, shape, file)
    _check_type(name, entry, file)


def _parameters(shapes: Shapes) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


def _check_names(wanted: Set[str], header: Header, file: str) -> None:
    stored = {entry.name for entry in header.tensors}
    # a logit scale alone shows nothing: other layouts have one of that name as well
    if not stored & (wanted - {_SCALE}):
        _other_layout(header, file)
    names = open_clip.unwrapped(entry.name for entry in header.tensors)
    read = {entry.name for entry in header.tensors if _holds_weights(entry, names[entry.name])}
    # Of two tensors that come to one name open_clip takes one; the other changes nothing.
    twice = {name for name in read - wanted if names[name] in {names[one] for one in wanted & read}}
    _none_of("unexpected", read - wanted - twice, file)
    _none_of("missing", wanted - stored, file)


def _holds_weights(entry: TensorEntry, name: str) -> bool:
    """Whether the tensor that open_clip calls `name` can change what a model computes: a loader reads values of it."""
    return entry.end > entry.start and not open_clip.is_no_weight(name)


def _other_layout(header: Header, file: str) -> NoReturn:
    what = "holds no tensor"
    if header.tensors:
        what = f"holds tensors of another layout (the first is {shown(header.tensors[0].name)})"
    raise Unsupported(f"{file} {what}", "only CLIP checkpoints can be audited, see docs/layouts.md")


def _none_of(kind: str, names: Set[str], file: str) -> None:
    if names:
        first = shown(min(names))
        raise Unsupported(
            f"{file} does not match its configuration: {len(names)} {kind} tensors, the first is {first}",
            _ADVICE,
        )


def _check_shape(name: str, entry: TensorEntry, shape: tuple[int, ...], file: str) -> None:
    if _fits(name, entry, shape) or _is_interpolated(name, entry, shape):
        return
    raise Unsupported(
        f"{file} does not match its configuration: {shown(name)} has the shape {_shape(entry)} instead of "
        f"{list(shape)}",
        _ADVICE,
    )


def _shape(entry: TensorEntry) -> str:
    """The shape in words; that of a file may have a million axes."""
    words = ", ".join(str(side) for side in entry.shape[:_AXES_SHOWN])
    more = ", ..." if len(entry.shape) > _AXES_SHOWN else ""
    return f"[{words}{more}]"


def _positions(name: str, entry: TensorEntry, shape: tuple[int, ...], file: str) -> str:
    """How many positions a file has where the configuration asks for others, in words."""
    if entry.shape == shape:
        return ""
    return (
        f"{file}: {shown(name)} has {entry.shape[0]} positions, the configuration {shape[0]}; "
        "open_clip interpolates them"
    )


def _fits(name: str, entry: TensorEntry, shape: tuple[int, ...]) -> bool:
    # some versions of open_clip write scalars as one value in a row; it takes any number of axes for them
    return entry.shape == shape or (name == _SCALE and math.prod(entry.shape) == 1)


def _is_interpolated(name: str, entry: TensorEntry, shape: tuple[int, ...]) -> bool:
    """Whether these are position embeddings of the right width for a picture or a context of another size.

    Those of a picture are one and a square grid, as open_clip takes them.
    """
    if name not in INTERPOLATED or len(entry.shape) != 2 or entry.shape[1] != shape[1]:
        return False
    count = entry.shape[0]
    if not name.startswith("visual."):
        return count > 0
    return count > 1 and math.isqrt(count - 1) ** 2 == count - 1


def _check_type(name: str, entry: TensorEntry, file: str) -> None:
    if name.endswith(STEP_COUNTER):
        return  # its value is not read
    if entry.dtype in QUANTISED:
        raise Unsupported(
            f"{file}: {shown(name)} is quantised ({entry.dtype}), which this version does not read",
            "",
        )
    if entry.dtype not in FLOATS:
        raise Unsupported(
            f"{file}: {shown(name)} has the dtype {entry.dtype}, which no weight is read from",
            "save it as F32 or F16",
        )
