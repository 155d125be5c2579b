"""Deployment profiles from a TOML file or from options, checked before they are kept."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dife_scanner.core import deployments as rules
from dife_scanner.errors import UsageError
from dife_scanner.records import DeploymentProfile, OwnData
from dife_scanner.settings import Settings

MOST_BYTES = 1_000_000
"""Of a profile's file."""
_ADVICE = "docs/decisions.md has an example"


class _File(BaseModel):
    """What a profile's file may say; what it leaves out is at its default."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[1]
    interfaces: list[str] = Field(default_factory=list)
    templates: list[str] = Field(default_factory=list)
    classes: list[str] = Field(default_factory=list)
    queries: list[str] = Field(default_factory=list)
    k: int = 1
    pictures: str = ""
    pool: str = ""


def from_file(name: str, path: Path, settings: Settings) -> DeploymentProfile:
    """The profile that a file describes; own pictures are read. Raises `UsageError` and what reading them raises."""
    try:
        read = _File.model_validate(_toml(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: {where}: {first['msg']}", _ADVICE) from error
    given = read.model_dump(exclude={"format"})
    for key in ("pictures", "pool"):
        if given[key]:
            given[key] = str(path.parent / Path(given[key]).expanduser())
    return changed(DeploymentProfile(name, ()), given, settings)


def _toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)  # what is no file may have no end
        if len(content) > MOST_BYTES:
            raise UsageError(f"{path} is larger than {MOST_BYTES} bytes", _ADVICE)
        return tomllib.loads(content.decode())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}", _ADVICE) from error


def changed(
    profile: DeploymentProfile, given: Mapping[str, Any], settings: Settings
) -> DeploymentProfile:
    """A profile with what is `given` in the place of what it said; its own pictures are read anew.

    Raises `UsageError` for what cannot be a profile, and what reading the pictures raises.
    """
    values: dict[str, Any] = {}
    for key in ("interfaces", "templates", "classes", "queries"):
        values[key] = tuple(given.get(key, getattr(profile, key)))
    values["k"] = given.get("k", profile.k)
    made = replace(profile, **values)
    rules.check(made)
    return replace(
        made,
        pictures=_own_data(given.get("pictures", _path(profile.pictures)), "labelled", settings),
        pool=_own_data(given.get("pool", _path(profile.pool)), "captions", settings),
    )


def _path(data: OwnData | None) -> str:
    return data.path if data else ""


def _own_data(
    path: str, kind: Literal["labelled", "captions"], settings: Settings
) -> OwnData | None:
    """Pictures of somebody's own by what they hold now; an empty path is none."""
    from dife_scanner.audit import populations

    if not path:
        return None
    where = Path(path).expanduser().resolve()
    if kind == "captions":
        return OwnData(str(where), populations.read(where, "captions").digest)
    own = populations.read(where, "labelled")
    own.check_classes(settings.limits.picture_classes)
    return OwnData(str(where), own.digest)
