"""Calibration files on disk, and what they say about an audit that has just ended.

A file is `{"format", "kind", "sha256", "content"}`; the hash is over the content as canonical JSON. Packs that ship
with the package and those of the user's own, under `HOME/calibration`, are read alike.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from dife_scanner import discovery
from dife_scanner.audit.plan import DISCOVERY_VERSIONS, Plan
from dife_scanner.core.calibration import Kept, Pack, PowerTable, Searched, calibrate, outdated
from dife_scanner.durable.atomic import atomic_write
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import CalibrationDamaged, DifeError
from dife_scanner.records import Audit, Budget, Power, Reference
from dife_scanner.store.codec import from_json, to_json

FORMAT = 1
PACK = "pack"
POWER = "power"
MOST_BYTES = 16 * 1024**2

T = TypeVar("T", Pack, PowerTable)
_KINDS: dict[type, str] = {Pack: PACK, PowerTable: POWER}
_KEYS = {"format", "kind", "sha256", "content"}


@dataclass(frozen=True)
class File:
    """One calibration file: what it holds, or why it cannot be used."""

    path: Path
    shipped: bool
    digest: str = ""
    content: Pack | PowerTable | None = None
    error: DifeError | None = None


def shipped_folder() -> Path:
    """The folder of the files that ship with the package."""
    return Path(str(files("dife_scanner") / "assets" / "calibration"))


def own_folder(home: Path) -> Path:
    """The folder of the user's own files."""
    return home / "calibration"


def today() -> date:
    """The date in UTC."""
    return datetime.now(UTC).date()


# --- files -----------------------------------------------------------------------------------------------------


def write(content: Pack | PowerTable, path: Path) -> Path:
    """Write one file completely or not at all: temporary file, fsync, rename. `DiskFull` and `HomeUnwritable` as the store has them."""
    plain = json.loads(to_json(content))
    document = {
        "format": FORMAT,
        "kind": _KINDS[type(content)],
        "sha256": _digest(plain),
        "content": plain,
    }
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as stream:
            stream.write(text.encode("ascii"))
        path.chmod(0o644)
    return path


def read(path: Path) -> tuple[Pack | PowerTable, str]:
    """Read a file's content and its sha256. Raises `CalibrationDamaged` naming the file."""
    document = _checked_document(path)
    kind = _record_of(document["kind"])
    if kind is None:
        raise _damaged(path, f"holds {document['kind']!r}, which this version does not know")
    try:
        content: Pack | PowerTable = from_json(kind, json.dumps(document["content"]))
        _check(content)
    except ValueError as error:
        raise _damaged(path, f"does not hold what its kind has to: {error}") from error
    return content, str(document["sha256"])


def _checked_document(path: Path) -> dict[str, Any]:
    """The JSON of a file, of this format and with the hash it was written with. Raises `CalibrationDamaged`."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _damaged(path, f"is larger than {MOST_BYTES} bytes")
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(path, "cannot be read as JSON") from error
    if not isinstance(document, dict) or not _KEYS <= set(document):
        raise _damaged(path, "is not a calibration file")
    if document["format"] != FORMAT:
        raise _damaged(path, f"has format {document['format']!r}, this version reads {FORMAT}")
    if _digest(document["content"]) != document["sha256"]:
        raise _damaged(path, "has been changed: its content does not have the hash it was written with")
    return document


def _record_of(name: object) -> Any:
    """The record that a kind of file holds; `None` for an unknown kind."""
    for record, known_name in _KINDS.items():
        if known_name == name:
            return record
    return None


def _check(content: Pack | PowerTable) -> None:
    """`ValueError` for values that no calibration can have."""
    date.fromisoformat(content.made_on)
    if content.searched.budget not in tuple(Budget):
        raise ValueError("there is no such budget")
    if isinstance(content, Pack):
        if not all(0 <= model.score <= 1 for model in content.models):
            raise ValueError("a score lies between 0 and 1")
        if not 0 <= content.alarms <= content.tested:
            raise ValueError("more alarms than models")
    elif not all(0 <= one.found <= one.planted for one in content.planted):
        raise ValueError("more found than planted")


def found(home: Path | None) -> tuple[File, ...]:
    """Every calibration file, those of the user's own first; a damaged one with its error."""
    own = sorted(own_folder(home).glob("*.json")) if home else []
    shipped = sorted(shipped_folder().glob("*.json"))
    return tuple(file_at(path) for path in own) + tuple(file_at(path, shipped=True) for path in shipped)


def file_at(path: Path, *, shipped: bool = False) -> File:
    """One file, read; a damaged one with its error."""
    try:
        content, digest = read(path)
    except CalibrationDamaged as error:
        return File(path, shipped, error=error)
    return File(path, shipped, digest, content)


def packs(found: Sequence[File]) -> tuple[Kept, ...]:
    """The packs among them that can be used."""
    return tuple(Kept(one.content, one.digest) for one in found if isinstance(one.content, Pack))


def _digest(plain: Any) -> str:
    return sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def _damaged(path: Path, what: str) -> CalibrationDamaged:
    return CalibrationDamaged(f"the calibration file {path} {what}", "remove it, and build or fetch it again")


# --- audits ----------------------------------------------------------------------------------------------------


def searched(reference: Reference, plan: Plan) -> Searched:
    """What scores of this plan against this reference depend on."""
    return Searched(
        reference.image_tower,
        reference.text_tower,
        reference.architecture,
        plan.budget,
        DISCOVERY_VERSIONS[plan.budget],
        tuple(sorted(plan.detectors)),
        plan.probes().digest,
    )


def unused(one: File, known: Sequence[Reference]) -> str:
    """Why no audit against these references is read beside a file, in words; empty where one is."""
    if one.content is None:
        return one.error.what if one.error else ""
    then = one.content.searched
    budget = Budget(then.budget)
    plan = Plan((), budget, detectors=discovery.names(budget))
    mine = [searched(base, plan) for base in known]
    if then in mine:
        return ""
    here = next((place for place in mine if place.same_place(then)), None)
    return outdated(here, then) if here else f"no reference here has the towers and pictures of {one.content.base}"


def calibrated(audit: Audit, reference: Reference | None, plan: Plan, home: Path) -> Audit:
    """The audit with what packs and power tables say about it; one without a score is returned as it is.

    A damaged file is never used; where no other pack speaks of the audit, the reason names it.
    """
    if audit.score is None or reference is None:
        return audit
    mine, there = searched(reference, plan), found(home)
    came_along = {search.detector for search in audit.searches} - set(plan.detectors)  # a prompt learner's, say
    mine = replace(mine, detectors=tuple(sorted({*mine.detectors, *came_along})))
    said = calibrate(audit.score, mine, packs(there), today())
    damaged = [one.error.what for one in there if one.error is not None]
    if said.p_value is None and damaged:
        said = replace(said, reason="; ".join([said.reason, *damaged]))
    return replace(audit, calibration=said, power=_power(mine, there))


def renewed(audit: Audit, reference: Reference | None, plan: Plan, home: Path) -> Audit:
    """A stored audit with what is known beside it now; itself where packs and power tables are those of then."""
    now = calibrated(audit, reference, plan, home)
    return audit if _sources(now) == _sources(audit) else now


def _sources(audit: Audit) -> tuple[str, ...] | None:
    said, power = audit.calibration, audit.power
    return (said.stratum, said.digest, power.digest if power else "") if said else None


def _power(mine: Searched, there: Sequence[File]) -> Power | None:
    for one in there:
        if isinstance(one.content, PowerTable) and one.content.searched == mine:
            table = one.content
            return Power(one.digest, table.planted, table.not_covered, table.side, table.made_on)
    return None
