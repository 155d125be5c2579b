"""How the tensors of any layout become those of open_clip's `CLIP`: planned from names and shapes, no data is read.

    small files -> what they say of the architecture \
                                                      > one configuration, and a source for each of its tensors
    tensor tables of the weights -> where each belongs /

`canonical` carries a plan out. Standard library only: this runs in the limited child.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any

from dife_scanner.errors import Unsupported
from dife_scanner.models.config import ClipConfig
from dife_scanner.models.header import DTYPE_BITS, Header, ParseLimits, TensorEntry
from dife_scanner.models.inspection import FLOATS, compare
from dife_scanner.models.layouts import peft_lora
from dife_scanner.models.layouts.choice import Chosen, choose
from dife_scanner.models.layouts.json_section import read_object
from dife_scanner.models.layouts.open_clip import WRAPPER_LENGTH, is_no_weight, parse_config
from dife_scanner.models.layouts.places import NewValue, Place, Placing
from dife_scanner.models.layouts.written import written
from dife_scanner.models.shapes import Shapes
from dife_scanner.models.stored import StoredTensor, WeightsFile, read_all
from dife_scanner.models.strict_json import shown
from dife_scanner.models.tensors import SCALE, expected_tensors, is_of_image

_IMAGE_MARKS = frozenset(
    {
        "visual.conv1.weight",
        "visual.trunk.patch_embed.proj.weight",
        "visual.trunk.stem.0.weight",
    }
)
_LONGEST_TAIL = 200
"""Characters of a name that may be one of a model's."""
_NAMED = 3
"""Tensors left out that are named."""
_TEXT_MARK = "token_embedding.weight"
"""A tower is there where its first tensor is."""
PROJECTIONS = frozenset(
    {
        "visual.proj",
        "visual.head.proj.weight",
        "visual.head.proj.bias",
        "text_projection",
        "text_projection.weight",
        "text_projection.bias",
    }
)


@dataclass(frozen=True)
class Addend:
    """A product of two matrices that is added to a tensor, or to its rows that belong to one of several parts."""

    up: StoredTensor
    down: StoredTensor
    scale: float
    slot: int = 0
    of: int = 1
    transposed: bool = False


@dataclass(frozen=True)
class Source:
    """What one tensor of the canonical form is made of."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    parts: tuple[StoredTensor, ...]
    """Joined along their first axis; none for a tensor that the file lacks and that has a value of its own."""
    transposed: bool = False
    value: float = 0.0
    """Of every element, where there are no parts."""
    added: tuple[Addend, ...] = ()
    """What is added to the parts, in float32."""

    @property
    def bytes(self) -> int:
        """Of its values, as they are written."""
        return math.prod(self.shape) * DTYPE_BITS[self.dtype] // 8


@dataclass(frozen=True)
class Conversion:
    """A checkpoint of any layout as open_clip's `CLIP`."""

    config: ClipConfig
    sources: tuple[Source, ...]
    """By name."""
    lacking: tuple[str, ...] = ()
    """Tensors that have to come from the base: those of the other tower, and a projection."""
    interpolated: str = ""
    """As in `Inspection`."""
    changes: tuple[tuple[str, Addend], ...] = ()
    """What an adapter adds to tensors that are lacking, by their names."""
    left_out: tuple[str, ...] = ()
    """Tensors that belong to no tower, such as a classifier's head, by their names in the file; the first few."""

    def as_json(self) -> dict[str, Any]:
        return {
            "config": self.config.as_json(),
            "sources": [asdict(source) for source in self.sources],
            "lacking": list(self.lacking),
            "interpolated": self.interpolated,
            "changes": [[name, asdict(addend)] for name, addend in self.changes],
            "left_out": list(self.left_out),
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Conversion:
        return cls(
            config=ClipConfig.from_json(body["config"]),
            sources=tuple(_source(one) for one in body["sources"]),
            lacking=tuple(body["lacking"]),
            interpolated=str(body["interpolated"]),
            changes=tuple((str(name), _addend(one)) for name, one in body["changes"]),
            left_out=tuple(body["left_out"]),
        )


def _source(body: dict[str, Any]) -> Source:
    parts = tuple(_stored(part) for part in body["parts"])
    return Source(**body | {"shape": tuple(body["shape"]), "parts": parts, "added": ()})


def _addend(body: dict[str, Any]) -> Addend:
    return Addend(**body | {"up": _stored(body["up"]), "down": _stored(body["down"])})


def _stored(body: dict[str, Any]) -> StoredTensor:
    strides = body["strides"]
    shape = tuple(body["shape"])
    return StoredTensor(**body | {"shape": shape, "strides": strides and tuple(strides)})


def plan(
    small: Mapping[str, bytes],
    files: Sequence[WeightsFile],
    limits: ParseLimits,
    base: ClipConfig | None = None,
) -> Conversion:
    """Plan the conversion of a checkpoint with these `small` files, by name, and these weights.

    `base` is the configuration of a clean base, for what the checkpoint does not hold or say itself.

    Raises `Unsupported` where names or shapes are not those of a CLIP, `NeedsBase` where part of it is missing and
    there is no base, and what reading the files raises.
    """
    stored = read_all(files, limits)
    file = files[0].name
    if peft_lora.CONFIG_FILE in small:
        return _of_adapter(small[peft_lora.CONFIG_FILE], stored, base, file, limits)
    layout = choose(small, [tensor.name for tensor in stored], file, limits)
    sources = _sources(stored, layout.place, file)
    shapes = {name: source.shape for name, source in sources.items()}
    has_image = not shapes.keys().isdisjoint(_IMAGE_MARKS)
    has_text = _TEXT_MARK in shapes
    said = layout.describe(shapes).only(image=has_image, text=has_text)
    config = _checked(said.completed(base, f"{file} holds {_parts(has_image, has_text)}"), limits)
    expected = expected_tensors(config)
    lacking = _lacking(expected, shapes, has_image, has_text)
    _check_outside(stored, layout, expected, file)
    if layout.naming.new_value is not None:
        there = _placed(stored, layout.place) | set(lacking)
        sources |= _made_up(expected, there, layout.naming.new_value)
    inspected = compare(_header(sources), config, file, lacking)
    ordered = tuple(sources[name] for name in sorted(sources))
    left_out = _left_out(stored, layout.place)
    return Conversion(config, ordered, lacking, inspected.interpolated, left_out=left_out)


def _of_adapter(
    raw: bytes,
    stored: Sequence[StoredTensor],
    base: ClipConfig | None,
    file: str,
    limits: ParseLimits,
) -> Conversion:
    """An adapter on its base, from which every other tensor comes."""
    document = read_object(raw, peft_lora.CONFIG_FILE, limits)
    adapter = peft_lora.read(document, stored, base, file)
    assert base is not None  # nothing is read without
    expected = expected_tensors(base)
    changes = []
    for change in adapter.changes:
        _check_change(change, expected, file)
        place = change.place
        addend = Addend(
            change.up, change.down, change.scale, place.slot, place.of, place.transposed
        )
        changes.append((place.name, addend))
    sources = {}
    for place, tensor in adapter.whole:
        if place.of == 1:
            part = _part(tensor, place, file)
            sources[place.name] = _joined(place.name, (part,), place.transposed, file)
        else:
            raise Unsupported(
                f"{file} replaces a part of {shown(place.name)}, which is not read", ""
            )
    lacking = tuple(sorted(expected.keys() - sources.keys()))
    if sources:
        compare(_header(sources), base, file, lacking)
    ordered = tuple(sources[name] for name in sorted(sources))
    return Conversion(
        base, ordered, lacking, changes=tuple(changes), left_out=adapter.left_out[:_NAMED]
    )


def _check_change(change: peft_lora.Change, expected: Shapes, file: str) -> None:
    """Raise `Unsupported` where a change has not the shape of what it is added to."""
    place = change.place
    product = (change.up.shape[0], change.down.shape[1])
    if place.transposed:
        product = product[::-1]
    shape = expected.get(place.name, ())
    if len(shape) == 2:
        shape = (shape[0] // place.of, shape[1])
    if product != shape:
        raise Unsupported(
            f"{file} changes {shown(place.name)}, which its base does not have in that shape", ""
        )


def _checked(config: ClipConfig, limits: ParseLimits) -> ClipConfig:
    """The configuration after every check that one from a file passes: what was made of shapes has passed none."""
    return parse_config(written(config), limits)


# --- tensors --------------------------------------------------------------------------------------------------


def _sources(stored: Sequence[StoredTensor], place: Placing, file: str) -> dict[str, Source]:
    """A source for each tensor of open_clip's `CLIP` whose parts are all there, by name."""
    placed: dict[str, list[tuple[Place, StoredTensor]]] = {}
    for tensor in stored:
        if tensor.end == tensor.start or is_no_weight(tensor.name):
            continue
        for where in place(tensor.name):
            placed.setdefault(where.name, []).append((where, _part(tensor, where, file)))
    found = {}
    for name, parts in placed.items():
        parts.sort(key=lambda part: part[0].slot)
        slots = [where.slot for where, _ in parts]
        if len(set(slots)) < len(slots):
            raise Unsupported(
                f"{file} holds two tensors that are both {shown(name)} to open_clip, one is {shown(parts[0][1].name)}",
                "remove one of them",
            )
        if len(slots) == parts[0][0].of:
            tensors = tuple(tensor for _, tensor in parts)
            found[name] = _joined(name, tensors, parts[0][0].transposed, file)
    return found


def _left_out(stored: Sequence[StoredTensor], place: Placing) -> tuple[str, ...]:
    """The first tensors with values that belong nowhere."""
    names = []
    for tensor in stored:
        if tensor.end > tensor.start and not is_no_weight(tensor.name) and not place(tensor.name):
            names.append(tensor.name)
    return tuple(names[:_NAMED])


def _check_outside(
    stored: Sequence[StoredTensor], layout: Chosen, expected: Shapes, file: str
) -> None:
    """Raise `Unsupported` where a tensor outside of the model's wrapper has a name that a loader may take for one of
    the model's: transformers puts a prefix before names, or takes it away, as the model that it loads asks for.
    """
    for tensor in stored:
        if tensor.end == tensor.start or tensor.name.startswith(layout.wrapper):
            continue
        for tail in _tails(tensor.name):
            places = {place.name for place in layout.naming.place(tail)}
            if places & (expected.keys() - {SCALE}):
                raise Unsupported(
                    f"{file} holds {shown(tensor.name)} outside of the model behind {shown(layout.wrapper)}: "
                    "either may be loaded",
                    "save them in files of their own",
                )


def _tails(name: str) -> Iterator[str]:
    """A name, and what is left of it without its first parts, or without the characters that open_clip cuts off."""
    yield name[WRAPPER_LENGTH:]
    tail = name[-_LONGEST_TAIL:]
    while tail:
        yield tail
        _, _, tail = tail.partition(".")


def _part(tensor: StoredTensor, where: Place, file: str) -> StoredTensor:
    """What of a tensor belongs to a place."""
    first, last = where.thirds
    if last - first < 3:
        rows = tensor.shape[0] if tensor.shape else 0
        if rows % 3:
            raise Unsupported(f"{file}: {shown(tensor.name)} is not made of three equal parts", "")
        tensor = tensor.rows(rows // 3 * first, rows // 3 * last)
    if where.kernel:
        tensor = tensor.as_kernel()
    return tensor.with_axes(where.axes) if where.axes else tensor


def _joined(name: str, parts: tuple[StoredTensor, ...], transposed: bool, file: str) -> Source:
    first = parts[0]
    shape = first.shape
    if len(parts) > 1:
        if any(not part.shape or part.shape[1:] != shape[1:] for part in parts):
            raise Unsupported(
                f"{file}: {shown(first.name)} and its neighbours have shapes that cannot be joined",
                "",
            )
        shape = (sum(part.shape[0] for part in parts), *shape[1:])
    if transposed:
        shape = shape[::-1]
    return Source(name, _common_type(parts), shape, parts, transposed)


def _common_type(parts: Sequence[StoredTensor]) -> str:
    """The type of all parts, or one that holds the values of each."""
    types = {part.dtype for part in parts}
    if len(types) == 1 or not types <= FLOATS:
        return parts[0].dtype
    return "F64" if "F64" in types else "F32"


def _lacking(
    expected: Shapes, shapes: Mapping[str, object], has_image: bool, has_text: bool
) -> tuple[str, ...]:
    """What one tower alone does not hold: the other tower, and what belongs to no tower."""
    if has_image and has_text:
        return ()
    missing = []
    for name in expected:
        of_other_tower = not (has_image if is_of_image(name) else has_text)
        if name not in shapes and (of_other_tower or name == SCALE or name in PROJECTIONS):
            missing.append(name)
    return tuple(sorted(missing))


def _placed(stored: Sequence[StoredTensor], place: Placing) -> set[str]:
    """The tensors of open_clip's `CLIP` of which a file has a part at least."""
    return {where.name for tensor in stored for where in place(tensor.name)}


def _made_up(expected: Shapes, there: Set[str], new_value: NewValue) -> dict[str, Source]:
    """What the library of a layout gives tensors of which a file has nothing: the value of a new model."""
    found = {}
    for name, shape in expected.items():
        value = new_value(name)
        if name not in there and value is not None:
            found[name] = Source(name, "F32", shape, (), value=value)
    return found


def _header(sources: Mapping[str, Source]) -> Header:
    """The header that a file of these tensors would have."""
    entries = []
    for source in sources.values():
        entries.append(TensorEntry(source.name, source.dtype, source.shape, 0, 1))
    return Header(tuple(entries), (), 0, 0)


def _parts(has_image: bool, has_text: bool) -> str:
    """What a file holds of a CLIP, in words."""
    if has_image and has_text:
        return "two towers without their projections"
    return "an image tower alone" if has_image else "a text tower alone"
