"""Revisions of one repository beside each other: marks of their tensors, and what moved from one to the next."""

from __future__ import annotations

import array
import json
import math
import zlib
from collections.abc import Iterable, Sequence

from dife_scanner.durable.clock import now
from dife_scanner.records import (
    Audit,
    Cell,
    ExposureChange,
    Job,
    JobState,
    ModelRef,
    ModelRow,
    MovedTensor,
    Movement,
    TensorMark,
)
from dife_scanner.store import audits, models
from dife_scanner.store.db import Store
from dife_scanner.store.rows import to_job

LARGEST = 5
"""Tensors that are named."""
_DIGEST_BYTES = 32


# --- keeping --------------------------------------------------------------------------------------------------


def keep_marks(store: Store, identity: str, marks: Sequence[TensorMark]) -> None:
    """Keep the marks of the tensors that are audited under `identity`."""
    with store.atomic("revisions.keep_marks"):
        store.write(
            "INSERT OR REPLACE INTO tensor_marks (identity, marks, added_at) VALUES (?, ?, ?)",
            (identity, _packed(marks), now()),
        )


def marks_of(store: Store, identity: str) -> list[TensorMark]:
    """The marks kept under `identity`; none where an audit was made before they were kept."""
    rows = store.read("SELECT marks FROM tensor_marks WHERE identity = ?", (identity,))
    return _unpacked(rows[0]["marks"]) if rows else []


def _packed(marks: Sequence[TensorMark]) -> bytes:
    """A line of JSON with names and number of values, then digest and values of each; a tenth of it all as JSON."""
    lengths = [[mark.name, len(mark.sample)] for mark in marks]
    parts = [zlib.compress(json.dumps(lengths).encode())]
    for mark in marks:
        parts += [bytes.fromhex(mark.sha256), array.array("f", mark.sample).tobytes()]
    return len(parts[0]).to_bytes(4, "little") + b"".join(parts)


def _unpacked(packed: bytes) -> list[TensorMark]:
    at = 4 + int.from_bytes(packed[:4], "little")
    marks = []
    for name, length in json.loads(zlib.decompress(packed[4:at])):
        digest = packed[at : at + _DIGEST_BYTES].hex()
        at += _DIGEST_BYTES
        sample = array.array("f")
        sample.frombytes(packed[at : at + length * sample.itemsize])
        at += length * sample.itemsize
        marks.append(TensorMark(name, digest, tuple(sample)))
    return marks


# --- comparing ------------------------------------------------------------------------------------------------


def movement(store: Store, ref: ModelRef) -> Movement | None:
    """What moved since the revision of the same repository that was audited before this one.

    `None` where there is none, or where the tensors of one of the two were not kept.
    """
    job = _audited(store, ref)
    earlier = audited_before(store, job) if job else None
    if job is None or earlier is None:
        return None
    after = audits.audit(store, job.audit_id or "")
    before = audits.audit(store, earlier.audit_id or "")
    marks = marks_of(store, before.identity), marks_of(store, after.identity)
    if not all(marks):
        return None
    return _compared(earlier.ref, before, after, *marks)


def _audited(store: Store, ref: ModelRef) -> Job | None:
    rows = store.read(
        "SELECT * FROM jobs WHERE repo_id = ? AND revision = ? AND state = ? AND audit_id IS NOT NULL"
        " ORDER BY id DESC LIMIT 1",
        (ref.repo_id, ref.revision, JobState.DONE.value),
    )
    return to_job(rows[0]) if rows else None


def audit_before(store: Store, ref: ModelRef) -> Audit | None:
    """The audit of the revision that was audited before this one; `None` where there is none."""
    job = _audited(store, ref)
    earlier = audited_before(store, job) if job else None
    return audits.audit(store, earlier.audit_id or "") if earlier else None


def audited_before(store: Store, job: Job) -> Job | None:
    """The newest audited revision of the same repository among those that are older."""
    rows = store.read(
        "SELECT j.* FROM jobs AS j, jobs AS this WHERE this.id = ? AND j.id != this.id AND j.endpoint = this.endpoint"
        " AND j.repo_id = this.repo_id AND j.state = ? AND j.audit_id IS NOT NULL"
        " AND (j.last_modified, j.id) < (this.last_modified, this.id) ORDER BY j.last_modified DESC, j.id DESC LIMIT 1",
        (job.id, JobState.DONE.value),
    )
    return to_job(rows[0]) if rows else None


MOST_REVISIONS = 12


def audited(store: Store, job: Job) -> tuple[ModelRow, ...]:
    """The last audited revisions of the same repository, newest first; a folder has no revisions."""
    if job.ref.local:
        return ()
    rows = store.read(
        "SELECT id FROM jobs WHERE endpoint = ? AND repo_id = ? AND state = ? AND audit_id IS NOT NULL"
        " ORDER BY last_modified DESC, id DESC LIMIT ?",
        (job.endpoint, job.ref.repo_id, JobState.DONE.value, MOST_REVISIONS),
    )
    order = [row["id"] for row in rows]
    found = {one.job.id: one for one in models.rows_of(store, order)}
    return tuple(found[key] for key in order if key in found)


def _compared(
    since: ModelRef,
    before: Audit,
    after: Audit,
    earlier: Sequence[TensorMark],
    later: Sequence[TensorMark],
) -> Movement:
    """Two audited revisions, by the marks of their tensors."""
    old = {mark.name: mark for mark in earlier}
    new = {mark.name: mark for mark in later}
    shared = [(old[name], new[name]) for name in sorted(old.keys() & new.keys())]
    moved = [pair for pair in shared if pair[0].sha256 != pair[1].sha256]
    named = [MovedTensor(one.name, _distance([(one, other)])) for one, other in moved]
    named.sort(key=lambda one: -math.inf if one.distance is None else one.distance, reverse=True)
    return Movement(
        since=since,
        audit_id=before.id,
        before=before.verdict,
        after=after.verdict,
        tensors=len(old.keys() | new.keys()),
        moved=len(moved) + len(old.keys() ^ new.keys()),
        distance=_distance(shared),
        largest=tuple(named[:LARGEST]),
        exposures=_exposures(before, after),
    )


def _distance(pairs: Iterable[tuple[TensorMark, TensorMark]]) -> float | None:
    """Length of the difference of the kept values over that of the earlier ones; `None` where that is no number."""
    difference = length = 0.0
    for old, new in pairs:
        for before, after in zip(old.sample, new.sample, strict=False):
            difference += (after - before) ** 2
            length += before**2
    if not length or not math.isfinite(difference) or not math.isfinite(length):
        return None
    return math.sqrt(difference / length)


def _exposures(before: Audit, after: Audit) -> tuple[ExposureChange, ...]:
    old, new = _values(before), _values(after)
    changes = [
        ExposureChange(
            interface, metric, old.get((interface, metric)), new.get((interface, metric))
        )
        for interface, metric in {**new, **old}
    ]
    return tuple(changes)


def _values(audit: Audit) -> dict[tuple[str, str], float]:
    cells = [entry for entry in audit.profile if isinstance(entry, Cell)]
    return {(cell.interface, cell.metric): cell.attack.value for cell in cells}
