"""What an audit child leaves in its job's work folder, and how the worker reads it back.

The child may have been taken over by what it loaded: everything is JSON or bytes with a limit, checked on reading.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dife_scanner import errors
from dife_scanner.durable.crash import crash_point
from dife_scanner.durable.disk import disk_errors, disk_full, raise_where_full, says_full
from dife_scanner.errors import AuditError, DifeError, HomeUnwritable
from dife_scanner.models import device_faults
from dife_scanner.records import Audit, EvidenceFile, Finding, Gap, Verdict
from dife_scanner.sentences.checks import gap_text
from dife_scanner.store import evidence
from dife_scanner.store.codec import from_json, to_json

if TYPE_CHECKING:
    from dife_scanner.audit.pipeline import Outcome

MOST_RECORD_BYTES = 64 * 1024**2
MOST_FILE_BYTES = 64 * 1024**2
MOST_FILES = 1000

_SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "text/plain": ".txt",
    "application/json": ".json",
}
_RECORD = "outcome.json"
AFTER_DEMONSTRATION = "footprint and interfaces"
"""What is not measured where an audit ends early."""
_PROVISIONAL = "provisional.json"


@dataclass(frozen=True)
class Received:
    """An outcome read back: records, and the content of each evidence file."""

    audit: Audit
    finding: Finding | None
    files: tuple[tuple[EvidenceFile, bytes], ...]


class ChildBug(Exception):
    """The audit ended in an exception that is not one of ours; the text is for the log and the job's reason."""


# --- files that were lost on the way --------------------------------------------------------------------------


@dataclass(frozen=True)
class Lost:
    """An evidence file that could not be written or read, and why."""

    file: EvidenceFile
    why: str


Made = TypeVar("Made", "Outcome", Received)


def without(made: Made, lost: Sequence[Lost]) -> Made:
    """The same audit without these evidence files, each of which is a gap."""
    gone = {one.file.sha256 for one in lost}
    gaps = tuple(Gap(f"evidence file “{one.file.caption}”", one.why) for one in lost)
    files = tuple(pair for pair in made.files if pair[0].sha256 not in gone)
    audit = replace(made.audit, evidence=tuple(file for file, _ in files))
    return with_gaps(replace(made, audit=audit, files=files), gaps)


def with_gaps(made: Made, gaps: Sequence[Gap]) -> Made:
    """The same audit with further gaps; where it is a finding, its reason names them."""
    audit = replace(made.audit, gaps=(*made.audit.gaps, *gaps))
    if made.finding is None:
        return replace(made, audit=audit)
    reason = "; ".join([made.finding.reason, *[gap_text(gap) for gap in gaps]])
    audit = replace(audit, reason=reason)
    return replace(made, audit=audit, finding=replace(made.finding, reason=reason))


def in_place_of(made: Received, before: Audit) -> Received:
    """The same audit under the id of the one that it takes the place of, and from where that one went on."""
    plan = made.audit.plan
    if plan and plan.work and plan.work.after == before.id:
        after = before.plan.work.after if before.plan and before.plan.work else ""
        plan = replace(plan, work=replace(plan.work, after=after))
    audit = replace(made.audit, id=before.id, plan=plan)
    if made.finding is None:
        return replace(made, audit=audit)
    return replace(made, audit=audit, finding=replace(made.finding, audit_id=before.id))


# --- the child's side -----------------------------------------------------------------------------------------


def keep_provisional(folder: Path, outcome: Outcome) -> None:
    """Leave a demonstrated trigger before its footprint and interfaces are measured, in case the process never ends."""
    _write_outcome(folder, outcome, _PROVISIONAL)


def write(folder: Path, outcome: Made) -> None:
    """Leave what the audit made. Files come first, the record last and by rename: where the record is, all is.

    A file that cannot be written is left out, which is a gap. Raises `DiskFull`.
    """
    lost = []
    for file, content in outcome.files:
        try:
            (folder / file.sha256).write_bytes(content)
        except OSError as error:
            raise_where_full(error)
            lost.append(Lost(file, str(error)))
    _write_outcome(folder, without(outcome, lost), _RECORD)


def _write_outcome(folder: Path, outcome: Outcome | Received, name: str) -> None:
    finding = None
    if outcome.finding:
        finding = json.loads(to_json(outcome.finding))
    audit = json.loads(to_json(outcome.audit))
    _write_record(folder, {"audit": audit, "finding": finding}, name)


def write_error(folder: Path, error: Exception) -> None:
    """Leave the error that the audit ended in; of the disk or the device as what it is, whatever it came as."""
    if says_full(error):
        error = disk_full(folder)
    error = device_faults.as_ours(error) or error
    document = {"error": "", "what": f"{type(error).__name__}: {error}", "advice": ""}
    if isinstance(error, DifeError):
        document = {"error": public_name(error), "what": error.what, "advice": error.advice}
    _write_record(folder, document)


def public_name(error: DifeError) -> str:
    """Name the nearest class of `errors`: other modules have kinds of those, which the worker need not know."""
    for kind in type(error).__mro__:
        if hasattr(errors, kind.__name__):
            return kind.__name__
    return DifeError.__name__


def _write_record(folder: Path, document: dict[str, Any], name: str = _RECORD) -> None:
    part = folder / "outcome.part"
    with disk_errors(folder):
        with part.open("w", encoding="ascii") as file:
            json.dump(document, file, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / name)
    crash_point("child.outcome")


# --- the worker's side ----------------------------------------------------------------------------------------


def read(folder: Path) -> Received | None:
    """Read what a child left; `None` where it died before it was done. Raises the child's own error, or `ChildBug`."""
    document = _document(folder / _RECORD)
    if document is None:
        return None
    if "error" in document:
        raise _error(document)
    return _received(folder, document)


def provisional(folder: Path, why: str) -> Received | None:
    """What a child left before it ended for the reason `why`, which is a gap; `None` unless that was a flag."""
    document = _document(folder / _PROVISIONAL)
    if document is None or document["audit"]["verdict"] != Verdict.FLAGGED.value:
        return None
    return with_gaps(_received(folder, document), (Gap(AFTER_DEMONSTRATION, why),))


def _document(path: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(_bytes(path, MOST_RECORD_BYTES))
    except FileNotFoundError:
        return None
    return document


def _received(folder: Path, document: dict[str, Any]) -> Received:
    audit = from_json(Audit, json.dumps(document["audit"]))
    finding = None
    if document["finding"]:
        finding = from_json(Finding, json.dumps(document["finding"]))
    files, lost = _files(folder, audit)
    return without(Received(audit, finding, files), lost)


def keep(home: Path, received: Received) -> Received:
    """Put the evidence files where the store expects them, and return what is kept.

    A file that cannot be written is left out, which is a gap. Raises `DiskFull`.
    """
    lost = []
    for file, content in received.files:
        try:
            evidence.put(home, content, _SUFFIXES.get(file.media_type, ".bin"))
        except (OSError, HomeUnwritable) as error:
            raise_where_full(error)
            lost.append(Lost(file, str(error)))
    return without(received, lost)


def _files(folder: Path, audit: Audit) -> tuple[tuple[tuple[EvidenceFile, bytes], ...], list[Lost]]:
    """The files that can be read and are what the record says, and the others."""
    if len(audit.evidence) > MOST_FILES:
        raise AuditError(f"the audit process left more than {MOST_FILES} evidence files")
    found = []
    lost = []
    for file in audit.evidence:
        try:
            found.append((file, _content(folder, file)))
        except (OSError, AuditError) as error:
            lost.append(Lost(file, str(error)))
    return tuple(found), lost


def _content(folder: Path, file: EvidenceFile) -> bytes:
    name = Path(file.sha256).name
    content = _bytes(folder / name, MOST_FILE_BYTES)
    if hashlib.sha256(content).hexdigest() != name:
        raise AuditError(
            f"evidence file {name[:64]} differs from the one that the audit process reported"
        )
    return content


def _bytes(path: Path, most: int) -> bytes:
    # no link out of the folder, and no pipe that would block for ever; not every system has these flags
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise AuditError(f"the audit process left more than {most} bytes in {path.name[:64]}")
    return content


def _error(document: dict[str, Any]) -> Exception:
    kind = getattr(errors, str(document["error"]), None)
    if isinstance(kind, type) and issubclass(kind, DifeError):
        return kind(str(document["what"]), str(document["advice"]))
    return ChildBug(str(document["what"]))
