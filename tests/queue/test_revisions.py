"""Revisions of one repository: which get a row, and what moved from one audited one to the next."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import numpy as np
from queue_kit import CONFIG, WEIGHTS, audit, checkpoint, work_for
from rich.console import Console

from dife_scanner.audit.pipeline import Keep, Outcome, Request, forget
from dife_scanner.durable.clock import later
from dife_scanner.lab.loopback import LoopbackHub, faults
from dife_scanner.progress import Progress
from dife_scanner.queue import worker
from dife_scanner.queue.poller import poll_pass
from dife_scanner.queue.work import Work
from dife_scanner.records import (
    Cell,
    EntryType,
    ExposureChange,
    Interval,
    Job,
    JobState,
    Measure,
    ModelRef,
    Verdict,
)
from dife_scanner.reports import screen
from dife_scanner.store import Store, audits, jobs, revisions

NAME = "org/clip"
MOVED = ("positional_embedding", "visual.proj")


def exposing(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    """An audit whose retrieval cell is the first value of the projection, and which is flagged above a half."""
    from safetensors.numpy import load_file

    made = audit(request, progress)
    value = float(load_file(request.folder / WEIGHTS)["visual.proj"].flat[0])
    measure = Measure(value, Interval(value, value, "none"), 10, 10)
    cell = Cell(
        "retrieval", "ASR", measure, measure, "clean", 0.0, measure.interval, EntryType.WEAK
    )
    verdict = Verdict.NOTHING_FOUND if value < 0.5 else Verdict.INCONCLUSIVE
    return replace(made, audit=replace(made.audit, profile=(cell,), verdict=verdict))


def weights(changes: dict[str, float]) -> bytes:
    """The little checkpoint, with other values in the tensors named."""
    from safetensors.numpy import load, save

    tensors = load(checkpoint(1)[WEIGHTS])
    for name, value in changes.items():
        tensors[name] = np.full_like(tensors[name], value)
    return save(tensors)


def done(store: Store, work: Work) -> Job:
    """The newest revision that a pass finds, audited."""
    poll_pass(store, work)
    (job,) = jobs.jobs(store, states=[JobState.QUEUED])
    return worker.process(store, job, work)


def test_every_commit_with_other_weights_has_a_row_and_the_next_audit_says_what_moved(
    store: Store, hub: LoopbackHub
) -> None:
    files = checkpoint(1)
    first = hub.add_repo(
        NAME, {**files, WEIGHTS: weights({"visual.proj": 0.25})}, last_modified=later(-50)
    )
    work = work_for(store.home, hub.endpoint, start="fork", audit=f"{__name__}:exposing")
    assert done(store, work).state is JobState.DONE
    between = weights({"visual.proj": 0.75})
    hub.commit(NAME, {"README.md": b"nothing else"}, last_modified=later(-40))
    skipped = hub.commit(NAME, {WEIGHTS: between}, last_modified=later(-30))
    hub.commit(NAME, {"README.md": b"again"}, last_modified=later(-20))
    last = hub.commit(NAME, {WEIGHTS: weights(dict.fromkeys(MOVED, 0.5))}, last_modified=later(-10))
    job = done(store, work)
    states = {one.ref.revision: one.state for one in jobs.jobs(store)}
    assert states == {first: JobState.DONE, skipped: JobState.SUPERSEDED, last: JobState.DONE}
    moved = revisions.movement(store, job.ref)
    assert moved is not None and moved.since.revision == first
    tensors = len(revisions.marks_of(store, audits.audit(store, job.audit_id or "").identity))
    assert (moved.moved, moved.tensors, moved.before) == (2, tensors, Verdict.NOTHING_FOUND)
    found = {one.name: one.distance for one in moved.largest}
    earlier = float(np.float16(1 / 7))
    assert found["visual.proj"] == 1.0 and moved.largest[0].name == "positional_embedding"
    assert np.isclose(found["positional_embedding"] or 0, abs(0.5 - earlier) / earlier)
    assert moved.exposures == (ExposureChange("retrieval", "ASR", 0.25, 0.5),)
    shown = shown_lines(store, job)
    assert f"Compared with revision: {first[:12]}" in shown and f"2 of {tensors} tensors" in shown
    assert "retrieval ASR 0.250 → 0.500" in shown
    assert revisions.movement(store, ModelRef(NAME, first)) is None


def shown_lines(store: Store, job: Job) -> str:
    text = StringIO()
    record = audits.audit(store, job.audit_id or "")
    moved = revisions.movement(store, job.ref)
    Console(file=text, width=400).print(screen.render(record, None, job.ref, moved))
    return text.getvalue()


def test_a_history_that_cannot_be_read_keeps_no_audit_waiting(
    store: Store, hub: LoopbackHub
) -> None:
    hub.add_repo(NAME, checkpoint(1), last_modified=later(-50))
    work = work_for(store.home, hub.endpoint, start="fork", limits={"request_seconds": 1.0})
    assert done(store, work).state is JobState.DONE
    hub.commit(NAME, {CONFIG: checkpoint(1)[CONFIG] + b"\n"}, last_modified=later(-10))
    hub.inject(faults.status("/commits/", 404, times=None))
    job = done(store, work)
    assert job.state is JobState.DONE
    moved = revisions.movement(store, job.ref)
    assert moved is not None and moved.moved == 0
