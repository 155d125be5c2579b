"""The trigger file: TOML in, `Trigger`s out. The format is documented in `docs/triggers.md`.

A trigger without source and target is a *signature*; with both it is a *known* trigger.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dife_scanner.errors import TriggerFileError
from dife_scanner.records import Trigger
from dife_scanner.triggers.kinds.base import Around, EntryError, parse

MAX_BYTES = 1_000_000
MAX_TRIGGERS = 500
_LONGEST_NAME = 80
_ADVICE = "see docs/triggers.md for the format"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal[1]
    trigger: list[dict[str, Any]] = Field(min_length=1, max_length=MAX_TRIGGERS)


def read(path: Path) -> tuple[Trigger, ...]:
    """The triggers of one file. Raises `TriggerFileError` naming the entry and the key."""
    triggers: list[Trigger] = []
    above: dict[str, Trigger] = {}
    for index, entry in enumerate(_entries(path)):
        trigger = _one(entry, index, path, above)
        triggers.append(trigger)
        above[trigger.name] = trigger
    return _distinct(triggers, str(path))


def _toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)  # what is no file may have no end
        if len(content) > MAX_BYTES:
            raise TriggerFileError(
                f"{path} is larger than {MAX_BYTES} bytes",
                "split it into several files",
            )
        return tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise TriggerFileError(
            f"{path} cannot be read: {error.strerror}", "check the path"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TriggerFileError(f"{path} is not valid TOML: {error}", _ADVICE) from error


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        return _File.model_validate(_toml(path)).trigger
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise TriggerFileError(f"{path}: {where}: {first['msg']}", _ADVICE) from error


def _one(entry: dict[str, Any], index: int, path: Path, above: dict[str, Trigger]) -> Trigger:
    try:
        return parse(entry, Around(path.parent, above))
    except EntryError as error:
        where = _where(entry, index, error.key)
        raise TriggerFileError(f"{path}: {where}: {error.message}", _ADVICE) from error


def _where(entry: dict[str, Any], index: int, key: str) -> str:
    """E.g. ``trigger.0.width (`red-frame`)``."""
    where = f"trigger.{index}.{key}" if key else f"trigger.{index}"
    if "name" not in entry:
        return where
    name = str(entry["name"])[:_LONGEST_NAME]
    return f"{where} (`{name}`)"


def library() -> tuple[Trigger, ...]:
    """The bundled signatures."""
    return read(Path(str(files("dife_scanner") / "assets" / "signatures" / "library.toml")))


def gather(paths: Iterable[Path], *, with_library: bool) -> tuple[Trigger, ...]:
    """The bundled library (unless switched off) and every given file, names distinct over all of them."""
    found = list(library()) if with_library else []
    for path in paths:
        found.extend(read(path))
    if not found:
        raise TriggerFileError(
            "no triggers to try: the library is off and no file was given",
            "give --triggers PATH",
        )
    return _distinct(found, "the given trigger files together")


def _distinct(triggers: Iterable[Trigger], where: str) -> tuple[Trigger, ...]:
    seen: dict[str, Trigger] = {}
    for trigger in triggers:
        if trigger.name in seen:
            raise TriggerFileError(
                f"{where}: the name `{trigger.name}` is used twice",
                "give each trigger its own name",
            )
        seen[trigger.name] = trigger
    return tuple(seen.values())
