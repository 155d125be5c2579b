"""The log of decisions as a file: what this desk decided, written down, and what other desks did, read as untrusted."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from dife_scanner.app import signing
from dife_scanner.durable.clock import later, now
from dife_scanner.errors import NotTrusted
from dife_scanner.models import strict_json
from dife_scanner.plain import plain
from dife_scanner.records import DecisionState, DeploymentDecision, Standing
from dife_scanner.settings import Settings
from dife_scanner.store import Store, decisions, deployments
from dife_scanner.store.deciding import LONGEST_NAME, LONGEST_TEXT
from dife_scanner.store.standings import decision_id

MOST_EVENTS = 100_000
MOST_LINE_BYTES = 64 * 1024
_IMPORTED = "imported "
"""Before the name of a desk that calls itself as this one does."""
_NO_NAME = re.compile(r"[^A-Za-z0-9 ._-]+")
_CLOCKS_APART_SECONDS = 600

Short = Annotated[str, StringConstraints(max_length=LONGEST_NAME)]
Long = Annotated[str, StringConstraints(max_length=LONGEST_TEXT)]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Head(BaseModel):
    """The first line."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["dife/decision-log-1"] = "dife/decision-log-1"
    desk: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")]
    made_at: Short
    events: Annotated[int, Field(ge=0, le=MOST_EVENTS)]


class _Event(BaseModel):
    """Every other line: the fields of a decision."""

    model_config = ConfigDict(extra="forbid")

    id: Hash
    artefact: Annotated[str, StringConstraints(pattern=r"^art1:[0-9a-f]{64}$")]
    deployment: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    profile: Hash
    state: DecisionState
    reason: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT)]
    owner: Short
    actor: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)]
    at: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)]
    model: Short
    conditions: Long = ""
    expires: Short = ""
    verdict: Short = ""
    effect: Long = ""
    audit: Short = ""


@dataclass(frozen=True)
class Imported:
    """What became of an import."""

    desk: str
    """As it is called here."""
    events: int
    new: int
    standings: tuple[Standing, ...]
    """What counts now about everything that is new, of the deployments that there are here."""


def desk_name(settings: Settings) -> str:
    """What other desks call this one."""
    name = _NO_NAME.sub("-", settings.desk or platform.node())[:64].lstrip(" ._-")
    return name or "desk"


# --- out --------------------------------------------------------------------------------------------------------


def write(store: Store, desk: str, path: Path, key: Path | None) -> int:
    """Write the decisions of this desk, and with a private key a signature beside them; gives their number.

    Raises `UsageError` where that is no key or no place to write.
    """
    own = decisions.own(store)
    head = _Head(desk=desk, made_at=now(), events=len(own))
    lines = [_line(head.model_dump()), *(_line(_plain(one)) for one in own)]
    content = "".join(lines).encode("ascii")
    signing.write(content, path, key)
    return len(own)


def _plain(one: DeploymentDecision) -> dict[str, Any]:
    fields = asdict(one)
    del fields["desk"]
    return fields


def _line(fields: dict[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")) + "\n"


# --- in ---------------------------------------------------------------------------------------------------------


def take(store: Store, path: Path, here: str, key: Path | None) -> Imported:
    """Append what another desk decided; all of the file or nothing of it.

    `key`: the public key of that desk, if its file has to be signed. Raises `NotTrusted` for anything wrong with the
    file, and `UsageError` where it cannot be read.
    """
    content = signing.read(path)
    if key is not None:
        signing.check(content, signing.signature_file(path), key)
    desk, made = _parsed(content, path, here)
    new = decisions.append(store, made)
    known = {one.profile.name: one for one in deployments.deployments(store)}
    touched = dict.fromkeys((one.artefact, one.deployment) for one in new)
    standings = [
        decisions.standing(store, artefact, known[name])
        for artefact, name in touched
        if name in known
    ]
    return Imported(desk, len(made), len(new), tuple(standings))


def _parsed(content: bytes, path: Path, here: str) -> tuple[str, list[DeploymentDecision]]:
    """The desk as it is called here, and its decisions. Raises `NotTrusted` naming the line."""
    number = 0
    try:
        lines = _lines(content)
        number, first = next(lines, (1, b""))
        head = _Head.model_validate(strict_json.read(first))
        desk = _IMPORTED + head.desk if head.desk == here else head.desk
        made = []
        for at, line in lines:
            number = at  # for the error
            made.append(_decision(line, desk))
        if len(made) != head.events:
            raise ValueError(f"{len(made)} decisions, and its first line says {head.events}")
    except ValidationError as error:
        one = error.errors()[0]
        where = plain(".".join(str(part) for part in one["loc"]), 80)
        raise _wrong(path, number, f"{where}: {one['msg']}") from None
    except ValueError as error:
        raise _wrong(path, number, plain(str(error), 200)) from None
    return desk, made


def _wrong(path: Path, number: int, what: str) -> NotTrusted:
    return NotTrusted(
        f"{path}, line {number}: {what}",
        "nothing of it was imported; get it again from the desk that exported it",
    )


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers, from 1. Raises `ValueError` for too many and too long ones."""
    for number, line in enumerate(content.splitlines(), 1):
        if number > MOST_EVENTS + 1:
            raise ValueError(f"more than {MOST_EVENTS} decisions")
        if len(line) > MOST_LINE_BYTES:
            raise ValueError(f"{len(line)} bytes, at most {MOST_LINE_BYTES}")
        yield number, line


def _decision(line: bytes, desk: str) -> DeploymentDecision:
    """One decision of another desk. Raises `ValueError`."""
    event = _Event.model_validate(strict_json.read(line))
    made = DeploymentDecision(**event.model_dump(), desk=desk)
    for name, value in event.model_dump().items():
        if plain(value, LONGEST_TEXT) != value:
            raise ValueError(f"{name} has characters that are not shown")
    _check_moments(made)
    if (made.state is DecisionState.CONDITIONS) != bool(made.conditions):
        raise ValueError("conditions belong to the decision `conditions`, and to no other")
    if decision_id(made) != made.id:
        raise ValueError("its id is not the sha256 of what it says")
    return made


def _check_moments(made: DeploymentDecision) -> None:
    for moment in filter(None, (made.at, made.expires)):
        read = datetime.fromisoformat(moment)
        if read.tzinfo is None or read.isoformat(timespec="microseconds") != moment:
            raise ValueError("a moment that is not written as this program writes it")
        if not moment.endswith("+00:00"):
            raise ValueError("a moment that is not in UTC")
    if made.at > later(_CLOCKS_APART_SECONDS):
        raise ValueError("it was decided at a time still to come")
