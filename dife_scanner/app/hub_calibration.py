"""A calibration pack from a hub: fine-tunes of one base by distinct authors, presumed benign, audited like any other.

One row per repository is kept, so that a run that is killed goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from dife_scanner.baselines import calibration
from dife_scanner.core.calibration import Benign, Pack, Searched
from dife_scanner.core.metrics import ROUNDED
from dife_scanner.core.plain import plain
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import CalibrationDamaged, UsageError
from dife_scanner.hub.client import Hub
from dife_scanner.hub.listing import MalformedError, repo_id
from dife_scanner.hub.manifest import manifest
from dife_scanner.hub.poll import Plan as Cost
from dife_scanner.hub.poll import PollResult
from dife_scanner.hub.poll import plan as cost_of
from dife_scanner.progress import SILENT, Progress
from dife_scanner.queue import batch, targets, worker
from dife_scanner.queue.worker import Work
from dife_scanner.records import Audit, HubModel, Job, JobState, Reference, Verdict
from dife_scanner.store import Store, findings
from dife_scanner.store.codec import from_json, to_json

KIND = "fine-tune on the hub"
Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """What a pack is asked to be."""

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
        return f"{self.reference.name}-{self.work.plan.budget}-hub"

    @property
    def rows(self) -> Path:
        return calibration.own_folder(self.work.home) / "rows" / f"{self.name}.jsonl"

    @property
    def searched(self) -> Searched:
        return calibration.searched(self.reference, self.work.plan)


@dataclass(frozen=True)
class Drawn:
    """What came of one repository."""

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
    """The reference called `wanted`, or as the repository is called.

    `UsageError` where there is none, and for a `base` that is no repository's name.
    """
    try:
        repo_id(base)
    except MalformedError as error:
        raise UsageError(f"{plain(base, 100)} is not the name of a repository", "write organisation/name") from error
    names = (wanted,) if wanted else (base, base.rsplit("/", 1)[-1])
    for one in known:
        if one.name in names:
            return one
    raise UsageError(
        f"no reference here is called {plain(names[-1], 100)}",
        "add the base with `dife reference add FOLDER --name NAME`, and give --reference NAME",
    )


def cost(store: Store, asked: Asked, hub: Hub) -> Cost:
    """Bytes and hours of what is left, sizes from a sample; an audit takes what it took in rows, or else in this home.

    Raises the hub's errors.
    """
    done = read(asked)
    left = max(0, asked.n - len(scored(asked, done)))
    models = tuple(islice(_candidates(asked, hub, done), left))
    spent = [row.seconds for row in scored(asked, done)]
    seconds = sum(spent) / len(spent) if spent else findings.usual_seconds(store, asked.work.plan.budget)
    found = PollResult(models, {}, 0, 0, len(models), True)
    return cost_of(hub, found, audit_seconds=seconds or 0.0)


def run(store: Store, asked: Asked, hub: Hub, say: Say, progress: Progress = SILENT) -> Path | None:
    """Audit until `n` models have a score, the listing ends or time is up; where the pack lies, `None` without any.

    Raises the hub's errors where it cannot be listed. A repository that cannot be audited just now is left for the
    next run.
    """
    began, ended = time.monotonic(), []
    done = read(asked)
    counted = len(scored(asked, done))
    for model in _candidates(asked, hub, done):
        if counted >= asked.n or (asked.minutes is not None and time.monotonic() - began > 60 * asked.minutes):
            break
        job = _audited(store, asked, model, hub, progress)
        say(f"{job.ref}: {job.state.value}, {job.reason}")
        if not job.state.is_final:
            continue
        ended.append(job)
        row = _row(store, asked, model, job)
        append(asked.rows, row)
        counted += row.score is not None and not row.copied
        say(f"{counted} of {asked.n} scored")
    batch.settle(store, [job.audit_id for job in ended if job.audit_id])
    return write(asked)


def write(asked: Asked) -> Path | None:
    """The pack of the rows there are."""
    mine = scored(asked, read(asked))[: asked.n]
    if not mine:
        return None
    pack = Pack(
        asked.name,
        asked.reference.name,
        asked.searched,
        asked.searched.discovery,
        max(row.made_on for row in mine),
        tuple(Benign(KIND, row.score or 0.0) for row in mine),
        len(mine),
        sum(row.flagged for row in mine),
        presumed=True,
    )
    return calibration.write(pack, calibration.own_folder(asked.work.home) / f"{asked.name}.json")


def read(asked: Asked) -> tuple[Drawn, ...]:
    """The rows there are. Raises `CalibrationDamaged`."""
    return rows_of(Drawn, asked.rows)


def rows_of(kind: type[T], path: Path) -> tuple[T, ...]:
    """The rows of a file; a last line that a kill has cut is made again. Raises `CalibrationDamaged` for any other."""
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
    """Add a row, whole or not at all as far as `rows_of` is concerned."""
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = path.read_bytes() if path.exists() else b""
        with path.open("r+b" if path.exists() else "wb") as stream:
            stream.truncate(kept.rfind(b"\n") + 1)  # of a line that a kill has cut nothing can be used
            stream.seek(0, 2)
            stream.write(to_json(row).encode("ascii") + b"\n")


def scored(asked: Asked, rows: Sequence[Drawn]) -> list[Drawn]:
    """Those that count: searched as it is done now."""
    return [row for row in rows if row.score is not None and row.searched == asked.searched and not row.copied]


def _candidates(asked: Asked, hub: Hub, done: Sequence[Drawn]) -> Iterator[HubModel]:
    """Fine-tunes that may be audited, newest first, one per author; without those that have a row."""
    mine = [row for row in done if row.searched == asked.searched]
    seen = {row.repo_id for row in mine}
    authors = {row.author for row in scored(asked, mine)}
    for page in hub.pages(f"filter=base_model:finetune:{asked.base}"):
        for model in page.models:
            author = model.repo_id.split("/", 1)[0]
            open_here = manifest(model, {}, may_open=hub.has_token).state is JobState.QUEUED
            if open_here and author not in authors and model.repo_id not in seen:
                seen.add(model.repo_id)
                authors.add(author)
                yield model


def _audited(store: Store, asked: Asked, model: HubModel, hub: Hub, progress: Progress) -> Job:
    limits = asked.work.settings.limits
    job = targets.enqueue(store, f"{model.repo_id}@{model.sha}", limits, lambda: hub)
    return worker.run_to_end(store, job, asked.work, progress)


def _row(store: Store, asked: Asked, model: HubModel, job: Job) -> Drawn:
    audit = findings.audit(store, job.audit_id) if job.audit_id else None
    return Drawn(
        model.repo_id,
        model.sha,
        model.repo_id.split("/", 1)[0],
        job.state,
        job.reason[:500],
        asked.searched,
        calibration.today().isoformat(),
        audit.score if audit else None,
        audit.verdict is Verdict.FLAGGED if audit else False,
        audit.seconds if audit else 0.0,
        _drift(audit),
    )


def _drift(audit: Audit | None) -> float | None:
    if audit is None or audit.prompt_drift is None or audit.picture_drift is None:
        return None
    return max(audit.prompt_drift, audit.picture_drift)
