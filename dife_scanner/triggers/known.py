"""The trigger file: TOML in, `Trigger`s out. The format is documented in `docs/triggers.md`.

A trigger without source and target is a *signature*; with both it is a *known* trigger.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dife_scanner.errors import TriggerFileError
from dife_scanner.records import Trigger, TriggerKind

FORMAT = 1
MAX_BYTES = 1_000_000
MAX_TRIGGERS = 500

_Share = Annotated[float, Field(ge=0.0, le=1.0)]
_Byte = Annotated[int, Field(ge=0, le=255)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=80, pattern=r"^[a-z0-9][a-z0-9-]*$")
    kind: TriggerKind
    description: str = Field("", max_length=400)
    size: _Share = 0.0
    x: _Share = 0.0
    y: _Share = 0.0
    pattern: Literal["solid", "checker", "noise", "stripes", "sinusoid"] = "solid"
    color: tuple[_Byte, _Byte, _Byte] = (255, 255, 255)
    alpha: float = Field(1.0, gt=0.0, le=1.0)
    cycles: float = Field(0.0, ge=0.0, le=200.0)
    seed: int = Field(0, ge=0)
    text: str = Field("", max_length=200)
    position: Literal["prefix", "suffix", "infix"] = "prefix"
    source: str = Field("", max_length=80)
    target: str = Field("", max_length=80)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> _Entry:
        if self.kind is TriggerKind.TEXT and not self.text.strip():
            raise ValueError("a text trigger needs `text`")
        if self.kind is not TriggerKind.TEXT and self.text:
            raise ValueError("`text` belongs to text triggers only")
        if self.kind is TriggerKind.PATCH and self.size <= 0:
            raise ValueError("a patch needs `size`, its side as a fraction of the image side")
        if self.pattern in ("stripes", "sinusoid") and self.cycles <= 0:
            raise ValueError(f"`{self.pattern}` needs `cycles`, its periods across the image")
        if self.kind is TriggerKind.TEXT and bool(self.source) != bool(self.target):
            raise ValueError("a known text trigger names both source and target")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal[1]
    trigger: list[_Entry] = Field(min_length=1, max_length=MAX_TRIGGERS)


def read(path: Path) -> tuple[Trigger, ...]:
    """The triggers of one file. Raises `TriggerFileError` naming the entry and the key."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TriggerFileError(f"{path} is larger than {MAX_BYTES} bytes", "split it into several files")
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TriggerFileError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TriggerFileError(f"{path} is not valid TOML: {error}", "see docs/triggers.md for the format") from error
    try:
        entries = _File.model_validate(content).trigger
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise TriggerFileError(f"{path}: {where}: {first['msg']}", "see docs/triggers.md for the format") from error
    return _distinct((Trigger(**entry.model_dump()) for entry in entries), str(path))


def library() -> tuple[Trigger, ...]:
    """The bundled signatures."""
    return read(Path(str(files("dife_scanner") / "assets" / "signatures" / "library.toml")))


def gather(paths: Iterable[Path], *, with_library: bool) -> tuple[Trigger, ...]:
    """The bundled library (unless switched off) and every given file, names distinct over all of them."""
    found = list(library()) if with_library else []
    for path in paths:
        found.extend(read(path))
    if not found:
        raise TriggerFileError("no triggers to try: the library is off and no file was given", "give --triggers PATH")
    return _distinct(found, "the given trigger files together")


def _distinct(triggers: Iterable[Trigger], where: str) -> tuple[Trigger, ...]:
    seen: dict[str, Trigger] = {}
    for trigger in triggers:
        if trigger.name in seen:
            raise TriggerFileError(
                f"{where}: the name `{trigger.name}` is used twice", "give each trigger its own name"
            )
        seen[trigger.name] = trigger
    return tuple(seen.values())
