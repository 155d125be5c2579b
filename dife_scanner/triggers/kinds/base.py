"""What a trigger kind is: its keys in a trigger file and what it does to an input, under one name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from dife_scanner.errors import DifeError, TriggerFileError
from dife_scanner.records import Channel, Trigger, TriggerFile, TriggerKind
from dife_scanner.triggers import files
from dife_scanner.triggers.learner import names_class

Pixels = NDArray[np.uint8]
Stamp = Callable[[Pixels, Trigger], Pixels]
Write = Callable[[str, Trigger, str], str]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Byte = Annotated[int, Field(ge=0, le=255)]

FEWEST_TEMPLATES = 4
"""Prompts are the unit of the intervals of text interfaces; one or two would make an interval of no width."""
MOST_TEMPLATES = 64
_LONGEST_TEMPLATE = 200


def _checked(template: str) -> str:
    if not names_class(template):
        raise ValueError(f"{template!r} has not exactly one {{}} for the class name")
    return template


Template = Annotated[str, Field(max_length=_LONGEST_TEMPLATE), AfterValidator(_checked)]


@dataclass(frozen=True)
class Around:
    """What an entry may refer to."""

    folder: Path
    """Files lie here or below."""
    above: Mapping[str, Trigger] = field(default_factory=dict)
    """Triggers that stand before it in the same file, by name."""


class EntryError(ValueError):
    """One value of one entry is not allowed; `key` is empty where the entry as a whole is meant."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}" if key else message)
        self.key = key
        self.message = message


def around(info: ValidationInfo) -> Around:
    """What the entry under validation may refer to; for validators of a kind's own keys."""
    if not isinstance(info.context, Around):
        raise TypeError("trigger entries are read through parse()")
    return info.context


def _find_file(value: object, info: ValidationInfo) -> TriggerFile:
    if not isinstance(value, str) or not value:
        raise ValueError("a path relative to the trigger file is needed")
    try:
        return files.in_folder(around(info).folder, value)
    except DifeError as error:
        raise ValueError(error.what) from error


FileBeside = Annotated[TriggerFile, BeforeValidator(_find_file)]
"""A key that holds a path relative to the trigger file; the value is a `TriggerFile` of an existing file."""


class Fields(BaseModel):
    """The keys of every entry. A kind's own model adds its keys as pydantic fields, and checks across them as pydantic
    validators.

    A key with the name of a `Trigger` attribute ends up there, any other in `Trigger.parameters`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1, max_length=80, pattern=r"^[a-z0-9][a-z0-9-]*$")
    kind: str
    description: str = Field("", max_length=400)
    source: str = Field("", max_length=80)
    target: str = Field("", max_length=80)
    templates: tuple[Template, ...] = Field((), max_length=MOST_TEMPLATES)

    @field_validator("templates")
    @classmethod
    def _enough_to_measure(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        if templates and len(templates) < FEWEST_TEMPLATES:
            raise ValueError(
                f"{len(templates)} are too few: give {FEWEST_TEMPLATES} or more, or none"
            )
        if len(set(templates)) < len(templates):
            raise ValueError("one of them stands twice")
        return templates

    def values(self) -> dict[str, Any]:
        """What the trigger is made of; a kind overrides it where keys and attributes differ."""
        return dict(self)


class PatternFields(Fields):
    """Keys of kinds that put a pattern on a picture: drawn, or from a file."""

    pattern: Literal["solid", "checker", "noise", "stripes", "sinusoid"] = "solid"
    color: tuple[Byte, Byte, Byte] = (255, 255, 255)
    alpha: float = Field(1.0, gt=0.0, le=1.0)
    cycles: float = Field(0.0, ge=0.0, le=200.0)
    seed: int = Field(0, ge=0)
    file: FileBeside | None = None
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")

    @model_validator(mode="after")
    def _drawn_or_from_a_file(self) -> PatternFields:
        if self.pattern in ("stripes", "sinusoid") and self.cycles <= 0:
            raise ValueError(f"`{self.pattern}` needs `cycles`, its periods across the image")
        if self.file and self.model_fields_set & {
            "pattern",
            "color",
            "cycles",
            "seed",
        }:
            raise ValueError(
                "`file` is the pattern; `pattern`, `color`, `cycles` and `seed` draw one"
            )
        check_file(self.file, self.sha256, self.read_file)
        return self

    def read_file(self, file: TriggerFile) -> None:
        """Read the file as the stamp will, so that a bad one is refused with the entry."""
        files.pixels(file, 1)

    def values(self) -> dict[str, Any]:
        return values_of_file(super().values())


def _find_image_trigger(value: object, info: ValidationInfo) -> Trigger:
    where = around(info)
    if isinstance(value, Mapping):
        own_name = info.data.get("name", "trigger")
        found = parse({"name": f"{own_name}-image"} | dict(value), where)
    elif isinstance(value, str) and value in where.above:
        found = where.above[value]
    else:
        raise ValueError(
            "the name of an image trigger that stands above it in this file is needed, or one as a table"
        )
    if found.channel is not Channel.IMAGE:
        raise ValueError(f"`{found.name}` is of kind `{found.kind}`, not an image trigger")
    return found


ImageTrigger = Annotated[Trigger, BeforeValidator(_find_image_trigger)]
"""A key that holds another trigger of an image kind: by the name of one above, or as a table."""


class WrittenFields(Fields):
    """Keys of kinds that enter through a text: a known one conditions a query on its source.

    One that acts only together with an `image` trigger needs no source: it stands in every prompt.
    """

    image: ImageTrigger | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> WrittenFields:
        source_alone = self.source and not self.target
        target_alone = self.target and not self.source and not self.image
        if source_alone or target_alone:
            raise ValueError("a known text trigger names both source and target")
        return self


def check_file(
    file: TriggerFile | None, expected: str, read: Callable[[TriggerFile], object]
) -> None:
    """`ValueError` where the file at `file` is not the one announced, or cannot be read as the stamp will read it."""
    check_sha256("file", file, expected)
    if file is None:
        return
    try:
        read(file)
    except DifeError as error:
        raise ValueError(f"`file`: {error.what}") from error


def check_sha256(key: str, file: TriggerFile | None, expected: str) -> None:
    """`ValueError` where an entry announces a hash that its file does not have."""
    if not expected:
        return
    if file is None or file.sha256 != expected:
        raise ValueError(f"`sha256` is not that of `{key}`")


def values_of_file(values: dict[str, Any]) -> dict[str, Any]:
    """Values of an entry with `file` and `sha256` as a trigger keeps them: the hash is the file's own, and the pattern
    of a trigger with a file is `file`.
    """
    kept = {key: value for key, value in values.items() if key != "sha256"}
    if kept["file"]:
        kept["pattern"] = "file"
    return kept


# --- kinds ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A trigger kind: exactly one of `stamp` and `write`.

    `stamp(pixels, trigger)` takes uint8 [n, s, s, 3] at the model's own resolution and returns a new array of the
    same shape and type. `write(prompt, trigger, class_name)` returns the prompt with the trigger in it.
    """

    name: str
    keys: type[Fields]
    stamp: Stamp | None = None
    write: Write | None = None
    mechanism: bool = False
    """The trigger works only together with a prescribed prompt mechanism."""

    def __post_init__(self) -> None:
        if (self.stamp is None) == (self.write is None):
            raise ValueError(f"the trigger kind `{self.name}` needs exactly one of stamp and write")

    @property
    def enters(self) -> Channel:
        """Through what a trigger of this kind enters."""
        if self.mechanism:
            return Channel.PROMPT
        if self.stamp is None:
            return Channel.TEXT
        return Channel.IMAGE


_KINDS: dict[str, Kind] = {}


def register(kind: Kind) -> Kind:
    """Make a kind known under its name. Raises `ValueError` for a name that is taken."""
    if kind.name in _KINDS:
        raise ValueError(f"there is already a trigger kind `{kind.name}`")
    _KINDS[kind.name] = kind
    return kind


def names() -> tuple[str, ...]:
    """All kinds, in the order they became known."""
    return tuple(_KINDS)


def keep_only(kept: tuple[str, ...]) -> None:
    """Forget every kind that is not in `kept`."""
    for name in set(_KINDS) - set(kept):
        del _KINDS[name]


def find(name: object) -> Kind:
    """The kind of this name. Raises `TriggerFileError` for one that is not known."""
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise TriggerFileError(
            f"there is no trigger kind {name!r}; known: {', '.join(_KINDS)}",
            "correct it, or give the file that registers it (docs/extending.md)",
        )
    return kind


# --- entries --------------------------------------------------------------------------------------------------


def parse(entry: Mapping[str, Any], around: Around) -> Trigger:
    """One entry of a trigger file as a `Trigger`. Raises `EntryError` naming the key."""
    try:
        kind = find(entry.get("kind"))
    except TriggerFileError as error:
        raise EntryError("kind", f"{error.what}; {error.advice}") from error
    try:
        found = kind.keys.model_validate(dict(entry), context=around)
    except ValidationError as error:
        raise _first(error, kind) from error
    return _trigger(kind, found.values())


def _first(error: ValidationError, kind: Kind) -> EntryError:
    """The first of the errors that pydantic found, in words."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return EntryError(where, f"a trigger of kind `{kind.name}` has no such key")
    # a ValueError of our own validators, whose words pydantic would put its own before
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ValueError):
        return EntryError(where, str(cause))
    return EntryError(where, first["msg"])


_ATTRIBUTES = frozenset(attribute.name for attribute in fields(Trigger)) - {
    "enters",
    "parameters",
}
_BUNDLED = frozenset(TriggerKind)


def _trigger(kind: Kind, values: dict[str, Any]) -> Trigger:
    attributes: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for key, value in sorted(values.items()):
        if key in _ATTRIBUTES:
            attributes[key] = value
        else:
            _check_storable(key, value, kind)
            own[key] = value
    # the bundled kinds say it themselves
    enters = None if kind.name in _BUNDLED else kind.enters
    return Trigger(**attributes, parameters=tuple(own.items()), enters=enters)


def _check_storable(key: str, value: object, kind: Kind) -> None:
    if not isinstance(value, bool | int | float | str):
        raise EntryError(
            key,
            f"kind `{kind.name}` may keep numbers, texts and yes or no, not {type(value).__name__}",
        )
