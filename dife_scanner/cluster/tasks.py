"""What goes to another machine, and what decides there which audit it makes: a task, and the conditions it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from dife_scanner.audit.plan import AUDIT_VERSION, identity
from dife_scanner.core import canonical
from dife_scanner.durable.atomic import atomic_write
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import DifeError, UsageError
from dife_scanner.queue.work import Work
from dife_scanner.records import JobState, Manifest, ModelRef
from dife_scanner.store import Store, references
from dife_scanner.store.codec import from_json, to_json

RESULT_SUFFIX = ".result"
RECORD = "result.json"
"""In the folder of a result; written last, so where it is, all is."""
MOST_BYTES = 1024**2

T = TypeVar("T")


class UnfitNode(DifeError):
    """This machine would make another audit than the one that the task asks for."""


@dataclass(frozen=True)
class Conditions:
    """What decides an audit besides the checkpoint; by hash, nothing of it travels."""

    version: str
    plan: str
    """Of signatures, budget, detectors, pictures and limits."""
    references: dict[str, str]
    """By name, a hash of weights and towers; tokenizer and preprocessing are part of what names a tower."""


@dataclass(frozen=True)
class Task:
    """One job as it was handed out."""

    job_id: int
    token: str
    """Names this lease and no other: a result is committed only while the job is held under it."""
    endpoint: str
    ref: ModelRef
    conditions: Conditions


@dataclass(frozen=True)
class Result:
    """How a task ended; audit, finding and evidence files lie beside it where there are any."""

    job_id: int
    token: str
    key: str
    """Of the weights as the hub announced them there, the version and the plan: `key_of`."""
    state: JobState
    reason: str
    has_audit: bool = False
    files: tuple[str, ...] = ()
    """What the hub announced there: `files_of`."""
    error: str = ""
    """Name of the error for which the job waits, where it does."""


def conditions_here(store: Store, work: Work) -> Conditions:
    """The conditions of this home with this work."""
    parts = (
        identity("", "", None, work.plan),
        work.settings.limits.model_dump_json(),
        work.reference,
        str(work.ends_early),
    )
    known = {}
    for one in references.references(store):
        pieces = (one.weights_sha256, one.image_tower, one.text_tower)
        known[one.name] = sha256("\x1f".join(pieces).encode()).hexdigest()
    return Conditions(AUDIT_VERSION, sha256("\x1f".join(parts).encode()).hexdigest(), known)


def check_conditions(wanted: Conditions, here: Conditions) -> None:
    """Raises `UnfitNode` with what differs and what to do."""
    if wanted.version != here.version:
        raise UnfitNode(
            f"the task is of audit version {wanted.version}, this machine has {here.version}",
            "install the same version of dife-scanner on both",
        )
    for name, digest in sorted(wanted.references.items()):
        if here.references.get(name) != digest:
            raise UnfitNode(
                f"this machine does not have the reference {name} as the task's ({digest[:12]})",
                "add the same reference to the home of this machine: dife reference add",
            )
    further = sorted(set(here.references) - set(wanted.references))
    if further:
        raise UnfitNode(
            f"this machine has the reference {further[0]}, which the task does not know",
            "add it to the home that handed the task out too (dife reference add), and hand out again",
        )
    if wanted.plan != here.plan:
        raise UnfitNode(
            "the settings of this machine lead to another audit than the task asks for",
            "give both the same config.toml, signatures and limits",
        )


def files_of(manifest: Manifest | None) -> tuple[str, ...]:
    """The files of a revision with their announced hashes; none where nobody looked at it yet."""
    if manifest is None:
        return ()
    return tuple(sorted(canonical.text(file) for file in manifest.files))


def key_of(endpoint: str, ref: ModelRef, files: Sequence[str], conditions: Conditions) -> str:
    """The key of a job: revision, announced hashes of its files, and the conditions."""
    pieces = sorted(f"{name}={digest}" for name, digest in conditions.references.items())
    parts = (endpoint, str(ref), *files, conditions.version, conditions.plan, *pieces)
    return sha256("\x1f".join(parts).encode()).hexdigest()


def write_record(path: Path, record: Task | Result) -> None:
    """Write completely or not at all. Raises `DiskFull` and `HomeUnwritable`."""
    with disk_errors(path.parent), atomic_write(path) as stream:
        stream.write(to_json(record).encode())


def read_task(path: Path) -> Task:
    """Raises `UsageError` for what is no task."""
    return _read(Task, path)


def read_result(folder: Path) -> Result | None:
    """The record of a result; `None` where the folder is not complete. Raises `UsageError` for what is none."""
    path = folder / RECORD
    if not path.exists():
        return None
    return _read(Result, path)


def _read(kind: type[T], path: Path) -> T:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES} bytes")
        return from_json(kind, path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} is no {kind.__name__.lower()} of this version: {error}",
            "hand it out again: dife hand-out FOLDER",
        ) from error
