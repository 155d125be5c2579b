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


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal[1]
    trigger: list[dict[str, Any]] = Field(min_length=1, max_length=MAX_TRIGGERS)


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
    triggers: list[Trigger] = []
    for index, entry in enumerate(entries):
        triggers.append(_one(entry, index, path, triggers))
    return _distinct(triggers, str(path))


def _one(entry: dict[str, Any], index: int, path: Path, above: list[Trigger]) -> Trigger:
    try:
        return parse(entry, Around(path.parent, {trigger.name: trigger for trigger in above}))
    except EntryError as error:
        where = f"trigger.{index}.{error.key}" if error.key else f"trigger.{index}"
        name = f" (`{str(entry['name'])[:80]}`)" if "name" in entry else ""
        raise TriggerFileError(
            f"{path}: {where}{name}: {error.message}", "see docs/triggers.md for the format"
        ) from error


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
