"""Deployment profiles from a TOML file or from options, checked before they are kept."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dife_scanner.core import cards
from dife_scanner.errors import UsageError
from dife_scanner.plain import plain
from dife_scanner.records import DeploymentProfile, OwnData
from dife_scanner.settings import Settings

MOST_BYTES = 1_000_000
"""Of a profile's file."""
MOST_TEXTS = 2_000
"""Templates, classes or queries of one profile."""
MOST_K = 1_000
LONGEST_TEXT = 300
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PLACE = "{}"
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
    _check(made)
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


# --- what can be a profile --------------------------------------------------------------------------------------


def _check(profile: DeploymentProfile) -> None:
    if not _NAME.fullmatch(profile.name):
        raise UsageError(
            f"`{plain(profile.name, 80)}` is no name for a deployment",
            "lower-case letters, digits, `.`, `_` and `-`, at most 64, not beginning with a sign",
        )
    if not profile.interfaces:
        raise UsageError("a deployment needs an interface", "`dife cards` names them")
    for interface in profile.interfaces:
        cards.by_name(interface)
    if not (profile.classes or profile.queries):
        raise UsageError(
            "a deployment needs class names or queries", "give --class or --query, or a file"
        )
    if not 1 <= profile.k <= MOST_K:
        raise UsageError(f"K is {profile.k}", f"it is a number from 1 to {MOST_K}")
    for what in ("interfaces", "templates", "classes", "queries"):
        _check_texts(what, getattr(profile, what))
    for template in profile.templates:
        _check_template(template)


def _check_texts(what: str, texts: Sequence[str]) -> None:
    if len(texts) > MOST_TEXTS:
        raise UsageError(f"{len(texts)} {what}", f"at most {MOST_TEXTS}")
    if len(set(texts)) < len(texts):
        raise UsageError(f"the {what} name one of them twice", "leave one of the two out")
    for text in texts:
        # an invisible character in a class name would be another class than the one that is read
        if not text or plain(text, LONGEST_TEXT) != text:
            raise UsageError(
                f"`{plain(text, 80)}` cannot stand among the {what}",
                f"one line of visible characters, at most {LONGEST_TEXT}, without spaces at either end",
            )


def _check_template(template: str) -> None:
    if template.count(_PLACE) != 1 or set(template.replace(_PLACE, "")) & {"{", "}"}:
        raise UsageError(
            f"`{plain(template, 80)}` is no template", "it has one `{}`, where the class name goes"
        )
