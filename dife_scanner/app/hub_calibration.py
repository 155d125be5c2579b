"""A calibration pack from a hub: fine-tunes of one base by distinct authors, presumed benign, audited like any other.

One row per repository is kept, so that a run that is killed goes on where it was.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from dife_scanner.baselines import calibration
from dife_scanner.core.calibration import Benign, Pack, Searched
from dife_scanner.core.metrics import ROUNDED
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import CalibrationDamaged, UsageError
from dife_scanner.hub.client import Hub
from dife_scanner.hub.listing import MalformedError, repo_id
from dife_scanner.hub.manifest import manifest
from dife_scanner.hub.poll import Plan as Cost
from dife_scanner.hub.poll import plan as cost_of
from dife_scanner.plain import plain
from dife_scanner.progress import SILENT, Progress
from dife_scanner.queue import batch, targets, worker
from dife_scanner.queue.work import Work
from dife_scanner.records import Audit, HubModel, Job, JobState, Reference, Verdict
from dife_scanner.store import Store, audits
from dife_scanner.store.codec import from_json, to_json

KIND = "fine-tune on the hub"
Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class HubPack:
    """A pack that is wanted: from which base, how each model is audited, and how many."""

    base: str
    """Repository on the hub that the fine-tunes name as their base."""
    reference: Reference
    """The same base here: what they are compared with."""
    work: Work
    """How each is audited; its plan searches blind."""
    n: int = 300
    minutes: float | None = None
    """No model is begun after this."""

    @property
    def name(self) -> str:
        """What the pack is called."""
        return f"{self.reference.name}-{self.work.plan.budget}-hub"

    @property
    def rows(self) -> Path:
        """Where the row of each repository is kept."""
        return calibration.own_folder(self.work.home) / "rows" / f"{self.name}.jsonl"

    @property
    def searched(self) -> Searched:
        """What its scores depend on."""
        return calibration.searched(self.reference, self.work.plan)


@dataclass(frozen=True)
class RepositoryRow:
    """The result of one repository."""

    repo_id: str
    revision: str
    author: str
    state: JobState
    reason: str
    searched: Searched
    made_on: str
    score: float | None = None
    """`None` where nothing was searched: no audit, or towers that did not move."""
    flagged: bool = False
    seconds: float = 0.0
    drift: float | None = None
    """The larger mean drift of clean pictures and prompts from the base."""

    @property
    def copied(self) -> bool:
        """Whether it is the base in other numbers: nothing was trained, so it says nothing of what was."""
        return self.drift is not None and self.drift < ROUNDED


def reference_for(base: str, known: Sequence[Reference], wanted: str = "") -> Reference:
    """Find the reference called `wanted`, or as the repository is called.

    `UsageError` where there is none, and for a `base` that is no repository's name.
    """
    try:
        repo_id(base)
    except MalformedError as error:
        raise UsageError(
            f"{plain(base, 100)} is not the name of a repository", "write organisation/name"
        ) from error
    names = (wanted,) if wanted else (base, base.rsplit("/", 1)[-1])
    for one in known:
        if one.name in names:
            return one
    raise UsageError(
        f"no reference here is called {plain(names[-1], 100)}",
        "add the base with `dife reference add FOLDER --name NAME`, and give --reference NAME",
    )


def cost(store: Store, wanted: HubPack, hub: Hub) -> Cost:
    """Say how many bytes and hours are left: sizes from a sample, times from rows or else from audits in this home.

    Raises the hub's errors.
    """
    rows = read(wanted)
    counted = scored(wanted, rows)
    left = max(0, wanted.n - len(counted))
    models = tuple(islice(_candidates(wanted, hub, rows), left))
    return cost_of(hub, models, audit_seconds=_audit_seconds(store, wanted, counted))


def _audit_seconds(store: Store, wanted: HubPack, rows: Sequence[RepositoryRow]) -> float:
    """What one audit takes; 0 where nobody knows."""
    if not rows:
        return audits.usual_seconds(store, wanted.work.plan.budget) or 0.0
    return sum(row.seconds for row in rows) / len(rows)


def run(
    store: Store, wanted: HubPack, hub: Hub, say: Say, progress: Progress = SILENT
) -> Path | None:
    """Audit until `n` models have a score, the listing ends or time is up; where the pack lies, `None` without any.

    Raises the hub's errors where it cannot be listed. A repository that cannot be audited just now is left for the
    next run.
    """
    end = math.inf
    if wanted.minutes is not None:
        end = time.monotonic() + 60 * wanted.minutes
    audit_ids = []
    rows = read(wanted)
    counted = len(scored(wanted, rows))
    for model in _candidates(wanted, hub, rows):
        if counted >= wanted.n or time.monotonic() > end:
            break
        job = _audited(store, wanted, model, hub, progress)
        say(f"{job.ref}: {job.state.value}, {job.reason}")
        if not job.state.is_final:
            continue
        if job.audit_id:
            audit_ids.append(job.audit_id)
        row = _row(store, wanted, model, job)
        append(wanted.rows, row)
        if row.score is not None and not row.copied:
            counted += 1
        say(f"{counted} of {wanted.n} scored")
    batch.correct(store, audit_ids)
    return write(wanted)


def write(wanted: HubPack) -> Path | None:
    """Write the pack of the rows there are; `None` without any."""
    rows = scored(wanted, read(wanted))[: wanted.n]
    if not rows:
        return None
    pack = Pack(
        wanted.name,
        wanted.reference.name,
        wanted.searched,
        wanted.searched.discovery,
        max(row.made_on for row in rows),
        tuple(Benign(KIND, row.score or 0.0) for row in rows),
        len(rows),
        sum(row.flagged for row in rows),
        presumed=True,
    )
    return calibration.write(pack, calibration.own_folder(wanted.work.home) / f"{wanted.name}.json")


def read(wanted: HubPack) -> tuple[RepositoryRow, ...]:
    """Read the rows there are. Raises `CalibrationDamaged`."""
    return rows_of(RepositoryRow, wanted.rows)


def rows_of(kind: type[T], path: Path) -> tuple[T, ...]:
    """Read the rows of a file. A last line that a kill has cut is made again; `CalibrationDamaged` for any other."""
    if not path.exists():
        return ()
    lines = path.read_text(encoding="utf-8").split("\n")
    found = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            found.append(from_json(kind, line))
        except ValueError as error:
            raise CalibrationDamaged(
                f"{path}:{number} is no row", "remove the line; its repository is audited again"
            ) from error
    return tuple(found)


def append(path: Path, row: object) -> None:
    """Add a row to a file; `rows_of` sees all of it or nothing."""
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        complete = path.read_bytes().rfind(b"\n") + 1
        with path.open("r+b") as stream:
            stream.truncate(complete)  # of a line that a kill has cut nothing can be used
            stream.seek(0, os.SEEK_END)
            stream.write(to_json(row).encode("ascii") + b"\n")


def scored(wanted: HubPack, rows: Sequence[RepositoryRow]) -> list[RepositoryRow]:
    """Pick those that count: searched as it is done now."""
    searched = wanted.searched
    return [
        row for row in rows if row.score is not None and row.searched == searched and not row.copied
    ]


def _candidates(wanted: HubPack, hub: Hub, done: Sequence[RepositoryRow]) -> Iterator[HubModel]:
    """Fine-tunes that may be audited, newest first, one per author; without those that have a row."""
    mine = [row for row in done if row.searched == wanted.searched]
    seen = {row.repo_id for row in mine}
    authors = {row.author for row in scored(wanted, mine)}
    for page in hub.pages(f"filter=base_model:finetune:{wanted.base}"):
        for model in page.models:
            author = model.repo_id.split("/", 1)[0]
            is_new = author not in authors and model.repo_id not in seen
            found = manifest(model, {}, may_open=hub.has_token)
            if is_new and found.state is JobState.QUEUED:
                seen.add(model.repo_id)
                authors.add(author)
                yield model


def _audited(store: Store, wanted: HubPack, model: HubModel, hub: Hub, progress: Progress) -> Job:
    limits = wanted.work.settings.limits
    job = targets.enqueue(store, f"{model.repo_id}@{model.sha}", limits, lambda: hub)
    in_float32 = limits.model_copy(update={"search_precision": "float32"})
    settings = wanted.work.settings.model_copy(update={"limits": in_float32})
    # scores of a pack are of all searches, in the precision that is the same everywhere
    work = replace(wanted.work, settings=settings, ends_early=False)
    return worker.run_to_end(store, job, work, progress)


def _row(store: Store, wanted: HubPack, model: HubModel, job: Job) -> RepositoryRow:
    row = RepositoryRow(
        repo_id=model.repo_id,
        revision=model.sha,
        author=model.repo_id.split("/", 1)[0],
        state=job.state,
        reason=job.reason[:500],
        searched=wanted.searched,
        made_on=calibration.today().isoformat(),
    )
    if not job.audit_id:
        return row
    audit = audits.audit(store, job.audit_id)
    return replace(
        row,
        score=audit.score,
        flagged=audit.verdict is Verdict.FLAGGED,
        seconds=audit.seconds,
        drift=_drift(audit),
    )


def _drift(audit: Audit) -> float | None:
    if audit.prompt_drift is None or audit.picture_drift is None:
        return None
    return max(audit.prompt_drift, audit.picture_drift)
