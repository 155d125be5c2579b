"""Calibration files on disk, and what they say about an audit that has just ended.

A file is `{"format", "kind", "sha256", "content"}`; the hash is over the content as canonical JSON. Packs that ship
with the package and those of the user's own, under `HOME/calibration`, are read alike.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from dife_scanner import discovery
from dife_scanner.audit.plan import DISCOVERY_VERSIONS, Plan
from dife_scanner.core.calibration import (
    DigestedPack,
    Pack,
    PowerTable,
    Searched,
    calibrate,
    outdated,
)
from dife_scanner.durable import clock
from dife_scanner.durable.atomic import atomic_write
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import CalibrationDamaged, DifeError
from dife_scanner.records import Audit, Budget, Power, Reference, SettingsOf
from dife_scanner.store.codec import from_json, to_json

FORMAT = 1
PACK = "pack"
POWER = "power"
MOST_BYTES = 16 * 1024**2

OWN_SEARCH = {
    "patch through image": "patch",
    "additive through image": "faint",
    "blend through image": "faint",
    "text through text": "texts",
    "text with a patch": "joint",
}
"""Of each kind that power tables count, the search that is made for it. Another may find it too, which claims nothing
where only some of the searches ran."""
NO_P_VALUE = "no p-value at this depth"
"""What is said of a score of fewer searches than any pack was made by."""

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
    return clock.moment().date()


# --- files -----------------------------------------------------------------------------------------------------


def write(content: Pack | PowerTable, path: Path) -> Path:
    """Write one file completely or not at all: temporary file, fsync, rename. Raises `DiskFull` or `HomeUnwritable`."""
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
    if not isinstance(document, dict) or not set(document) >= _KEYS:
        raise _damaged(path, "is not a calibration file")
    if document["format"] != FORMAT:
        raise _damaged(path, f"has format {document['format']!r}, this version reads {FORMAT}")
    if _digest(document["content"]) != document["sha256"]:
        raise _damaged(
            path, "has been changed: its content does not have the hash it was written with"
        )
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


def all_files(home: Path | None) -> tuple[File, ...]:
    """List every calibration file, those of the user's own first; a damaged one with its error."""
    found = []
    if home:
        for path in sorted(own_folder(home).glob("*.json")):
            found.append(file_at(path))
    for path in sorted(shipped_folder().glob("*.json")):
        found.append(file_at(path, shipped=True))
    return tuple(found)


def file_at(path: Path, *, shipped: bool = False) -> File:
    """Read one file; a damaged one comes with its error."""
    try:
        content, digest = read(path)
    except CalibrationDamaged as error:
        return File(path, shipped, error=error)
    return File(path, shipped, digest, content)


def packs(files: Sequence[File]) -> tuple[DigestedPack, ...]:
    """Pick the packs among files that can be used."""
    found = []
    for file in files:
        if isinstance(file.content, Pack):
            found.append(DigestedPack(file.content, file.digest))
    return tuple(found)


def _digest(plain: Any) -> str:
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode("ascii")).hexdigest()


def _damaged(path: Path, what: str) -> CalibrationDamaged:
    return CalibrationDamaged(
        f"the calibration file {path} {what}", "remove it, and build or fetch it again"
    )


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


def reason_unused(file: File, known: Sequence[Reference]) -> str:
    """Say why no audit against these references is compared with a file; empty where one is."""
    if file.content is None:
        return file.error.what if file.error else ""
    wanted = file.content.searched
    budget = Budget(wanted.budget)
    plan = Plan((), budget, detectors=discovery.names(budget))
    possible = [searched(reference, plan) for reference in known]
    if wanted in possible:
        return ""
    for one in possible:
        if one.same_place(wanted):
            return outdated(one, wanted)
    return f"no reference here has the towers and pictures of {file.content.base}"


def with_calibration(audit: Audit, reference: Reference | None, plan: Plan, home: Path) -> Audit:
    """The audit with what packs and power tables say about it; one without a score is returned as it is.

    A damaged file is never used; where no other pack speaks of the audit, the reason names it.
    """
    if audit.score is None or reference is None:
        return audit
    # a detector that the plan does not name ran for what is part of the checkpoint, a prompt learner's for instance
    detectors = {*plan.detectors, *(search.detector for search in audit.searches)}
    whole = replace(searched(reference, plan), detectors=tuple(sorted(detectors)))
    if audit.deviations and audit.settings is SettingsOf.SUSPECT:
        whole = _under_other_settings(whole)
    unreached = {one.detector for one in audit.not_searched if one.left_out}
    lowered = {f"{one.detector} as at {one.effort}" for one in audit.not_searched if one.effort}
    mine = replace(whole, detectors=tuple(sorted((detectors - unreached) | lowered)))
    in_bfloat16 = audit.plan is not None and bool(audit.plan.bfloat16)
    if in_bfloat16:  # packs are made in float32
        mine = replace(mine, discovery=f"{mine.discovery} in bfloat16")
    files = all_files(home)
    calibration = calibrate(audit.score, mine, packs(files), today())
    if (unreached or in_bfloat16) and calibration.p_value is None:
        calibration = replace(calibration, reason=f"{NO_P_VALUE}: {calibration.reason}")
    damaged = [file.error.what for file in files if file.error is not None]
    if calibration.p_value is None and damaged:
        reason = "; ".join([calibration.reason, *damaged])
        calibration = replace(calibration, reason=reason)
    power = _power(whole, files)
    if power is not None and unreached:
        power = _of_what_ran(power, unreached)
    return replace(audit, calibration=calibration, power=power)


def _under_other_settings(mine: Searched) -> Searched:
    """Where the base ran under the suspect's settings it computes something else than what packs are made of."""
    return replace(
        mine,
        image_tower=f"{mine.image_tower} under other settings",
        text_tower=f"{mine.text_tower} under other settings",
    )


def with_current_calibration(
    audit: Audit, reference: Reference | None, plan: Plan, home: Path
) -> Audit:
    """A stored audit with what packs and power tables say now; itself where these have not changed."""
    now = with_calibration(audit, reference, plan, home)
    if _sources(now) == _sources(audit):
        return audit
    return now


def _sources(audit: Audit) -> tuple[str, ...] | None:
    """Which pack and power table an audit is compared with."""
    if audit.calibration is None:
        return None
    power_digest = audit.power.digest if audit.power else ""
    return audit.calibration.stratum, audit.calibration.digest, power_digest


def _of_what_ran(power: Power, unreached: Collection[str]) -> Power:
    """The same, where it counts for kinds alone whose own search ran."""
    ran = []
    not_reached = []
    for one in power.planted:
        search = OWN_SEARCH.get(one.kind)
        if search is None or search in unreached:
            not_reached.append(one)
        else:
            ran.append(one)
    return replace(power, planted=tuple(ran), not_reached=tuple(not_reached))


def _power(mine: Searched, files: Sequence[File]) -> Power | None:
    """What searches like these find, from the first table about them."""
    for file in files:
        table = file.content
        if isinstance(table, PowerTable) and table.searched == mine:
            return Power(file.digest, table.planted, table.not_covered, table.side, table.made_on)
    return None
