"""What was found survives the way into the store: what is lost of it is a named gap, and a full disk is waited for."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from queue_kit import audit, checkpoint_folder, probes_folder, work_for

from dife_scanner.audit.pipeline import Keep, Outcome, Request, forget
from dife_scanner.durable.clock import now
from dife_scanner.progress import Progress
from dife_scanner.queue import outcome, targets, worker
from dife_scanner.records import EvidenceFile, EvidenceRole, Job, JobState, Verdict
from dife_scanner.store import Store, audits, evidence, findings, jobs, outbox

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def scan(store: Store, tmp_path: Path) -> Callable[..., Job]:
    """Have a checkpoint audited that the audit double flags; again on the next call."""
    folder = checkpoint_folder(tmp_path / "clip-bad")
    probes_folder(tmp_path / "probes")

    def run(**changes: Any) -> Job:
        work = work_for(store.home, start="fork", channels=("email",), **changes)
        job = targets.enqueue(store, str(folder), work.settings.limits, lambda: None)  # type: ignore[arg-type, return-value]
        return worker.process(store, job, work)

    return run


def raises(error: Exception) -> Callable[..., Any]:
    def stage(*args: object, **kwargs: object) -> None:
        raise error

    return stage


def flagged(store: Store, job: Job) -> str:
    """The reason of the flagged audit and its finding, of which there has to be an alert."""
    assert job.state is JobState.DONE, job.reason
    record = audits.audit(store, job.audit_id or "")
    (found,) = findings.findings(store)
    assert record.verdict is Verdict.FLAGGED and found.reason == record.reason == job.reason
    assert [alert.about.audit_id for alert in outbox.pending(store, now())] == [record.id]
    assert record.gaps, "also as data"
    return record.reason


def no_picture(error: Exception) -> Callable[..., str]:
    """As `evidence.put`, for anything but pictures."""
    put = evidence.put

    def some(home: Path, content: bytes, suffix: str) -> str:
        if suffix == ".png":
            raise error
        return put(home, content, suffix)

    return some


# --- evidence that is lost ------------------------------------------------------------------------------------


def test_evidence_that_cannot_be_kept_is_a_gap_of_the_finding(
    store: Store, scan: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "put", no_picture(PermissionError(13, "Permission denied")))
    job = scan()
    assert "gap: evidence file “a picture” missing, [Errno 13] Permission denied" in flagged(
        store, job
    )
    assert audits.audit(store, job.audit_id or "").evidence == ()


def unwritable(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    """An audit one of whose files has no place on the disk."""
    made = audit(request, progress)
    odd = EvidenceFile("no/such/folder", "image/png", EvidenceRole.TRIGGER, "odd")
    record = replace(made.audit, evidence=(*made.audit.evidence, odd))
    return replace(made, audit=record, files=(*made.files, (odd, b"")))


def test_evidence_that_the_audit_could_not_write_is_a_gap_of_the_finding(
    store: Store, scan: Callable[..., Job]
) -> None:
    job = scan(audit=f"{__name__}:unwritable")
    assert "gap: evidence file “odd” missing, [Errno 2]" in flagged(store, job)
    (kept,) = audits.audit(store, job.audit_id or "").evidence
    assert evidence.read(store.home, kept.sha256).startswith(b"picture of")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (Path.unlink, "No such file"),
        (lambda path: path.write_bytes(b"other"), "differs from the one"),
        (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
    ],
)
def test_evidence_that_cannot_be_read_back_is_a_gap(
    store: Store,
    scan: Callable[..., Job],
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], object],
    told: str,
) -> None:
    read = outcome.read

    def damaged(folder: Path) -> outcome.Received | None:
        for path in folder.iterdir():
            if path.is_file() and path.name == sha256(path.read_bytes()).hexdigest():
                damage(path)
        return read(folder)

    monkeypatch.setattr(outcome, "read", damaged)
    assert told in flagged(store, scan())


def test_packs_that_cannot_be_read_are_a_gap(
    store: Store, scan: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "dife_scanner.baselines.calibration.with_calibration", raises(RuntimeError("odd pack"))
    )
    assert "gap: calibration of the score missing, internal error: RuntimeError" in flagged(
        store, scan()
    )


# --- a full disk ----------------------------------------------------------------------------------------------


def full(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    """An audit that finds the disk full, which a library told in words of its own."""
    try:
        raise FULL
    except OSError as error:
        raise RuntimeError("I/O error while writing") from error


def sqlite_full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


FILLS: dict[str, tuple[str, Any]] = {
    "the audit": ("queue_kit.audit", full),
    "its files": ("pathlib.Path.write_bytes", raises(FULL)),
    "its record": ("dife_scanner.queue.outcome._write_record", raises(FULL)),
    "its temporary folder": ("tempfile.mkdtemp", raises(FULL)),
    "evidence": ("dife_scanner.store.evidence.put", no_picture(FULL)),
    "the stored record": ("dife_scanner.store.audits.keep_record", raises(FULL)),
    "the store": ("dife_scanner.store.audits.insert_audit", raises(sqlite_full())),
}


@pytest.mark.parametrize("place", FILLS)
def test_a_full_disk_is_waited_for_and_nothing_is_lost(
    store: Store, scan: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(*FILLS[place])
        job = scan()
    assert job.state is JobState.PAUSED and "is full" in job.reason
    assert (job.deaths, job.attempts) == (0, 0) and job.next_check_at
    assert findings.findings(store) == [] and audits.audits(store) == []
    assert scan().state is JobState.DONE
    assert len(findings.findings(store)) == 1
    assert jobs.job(store, job.id).audit_id


# --- an audit that never ends ---------------------------------------------------------------------------------


def demonstrates_and_dies(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    """An audit that crashes while interfaces are measured."""
    made = audit(request, progress)
    keep(replace(made, audit=replace(made.audit, evidence=()), files=()))
    os.kill(os.getpid(), signal.SIGKILL)
    return made


def demonstrates_and_hangs(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    made = audit(request, progress)
    keep(replace(made, audit=replace(made.audit, evidence=()), files=()))
    time.sleep(60)
    return made


def demonstrates_and_fails(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    made = audit(request, progress)
    keep(replace(made, audit=replace(made.audit, evidence=()), files=()))
    raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("demonstrates_and_dies", "killed by SIGKILL"),
        ("demonstrates_and_hangs", "the audit took longer than 3 seconds"),
        ("demonstrates_and_fails", "ZeroDivisionError: division by zero"),
    ],
)
def test_however_a_process_ends_what_it_demonstrated_is_kept(
    store: Store, scan: Callable[..., Job], entry: str, why: str
) -> None:
    job = scan(audit=f"{__name__}:{entry}", limits={"audit_seconds": 1.5})
    assert f"gap: footprint and interfaces missing, {why}" in flagged(store, job)
