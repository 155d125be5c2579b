"""What the window knows: one read-only handle, one timer, one `changed` signal, and functions that hand out records."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from dife_gui.escape import explained
from dife_scanner.errors import DifeError
from dife_scanner.figures.drawings import Drawings, drawings
from dife_scanner.figures.rankings import SideBySide, side_by_side
from dife_scanner.records import (
    Alert,
    AlertState,
    Audit,
    Deployment,
    Finding,
    FindingKind,
    HubScan,
    Job,
    JobState,
    Manifest,
    ModelRow,
    Movement,
    Opinion,
    Precedent,
    Standing,
    Tally,
    TriageState,
)
from dife_scanner.store import (
    artefacts,
    audits,
    conditions,
    decisions,
    deployments,
    evidence,
    findings,
    jobs,
    models,
    opinions,
    outbox,
    polls,
    query,
    revisions,
    triage_log,
)
from dife_scanner.store.completion import Completion, complete
from dife_scanner.store.db import Patience, Store, open_store
from dife_scanner.store.polls import Beat
from dife_scanner.store.triage_log import TriageEvent

log = logging.getLogger(__name__)
POLL_MILLISECONDS = 500
"""Between two looks: soon enough for a person who waits, and a look costs next to nothing."""
_NO_PATIENCE = Patience(0)
"""The next look comes soon enough, and the window must not stand still."""
WATCHER = "watcher"
POLLER = "poller"
"""Roles under which a watcher leaves its heartbeats and the outcome of each pass over the hub."""
FAILED = "failed: "
"""How the note of a pass begins that did not come to its end."""


class Feed(QObject):
    """Emits `changed` when anybody committed something; `failed` when the store cannot be read, once per reason."""

    changed = Signal()
    replaced = Signal()
    """The open handles no longer show what the database holds (a restore, say): they must be opened again."""
    looked = Signal()
    """Every look that succeeded: time has passed, even where nothing changed."""
    failed = Signal(object)

    def __init__(
        self,
        home: Path,
        parent: QObject | None = None,
        *,
        milliseconds: int = POLL_MILLISECONDS,
    ) -> None:
        super().__init__(parent)
        self._home = home
        self._store: Store | None = None
        self._version: int | None = None
        """SQLite's counter of other connections' commits; `None` before the first look."""
        self._failure = ""
        """What was reported last about a store that cannot be read."""
        self._timer = QTimer(self)
        self._timer.setInterval(milliseconds)
        self._timer.timeout.connect(self.tick)

    def start(self) -> None:
        """Look now, and then at each tick of the timer."""
        self._timer.start()
        self.tick()

    def close(self) -> None:
        """Stop looking and let go of the database."""
        self._timer.stop()
        self._forget()

    def refresh(self) -> None:
        """Say `changed` at the next look, whether or not something did."""
        self._version = None
        self.tick()

    def tick(self) -> None:
        """One look: costs a `stat` and a pragma."""
        try:
            version = self._look()
        except DifeError as error:
            self._forget()
            # Twice a second the same words would hide everything else that is reported.
            if self._failure != error.what:
                self._failure = error.what
                self.failed.emit(error)
            return
        self._failure = ""
        if version != self._version:
            self._version = version
            self.changed.emit()
        self.looked.emit()

    def _look(self) -> int:
        """The counter of commits, of a handle that is opened where there is none."""
        if self._store is not None and self._store.outdated:
            self._forget()
            self.replaced.emit()
        if self._store is None:
            self._store = open_store(self._home, read_only=True, patience=_NO_PATIENCE)
        return self._store.data_version()

    def _forget(self) -> None:
        self._version = None
        if self._store is not None:
            self._store.close()
            self._store = None


# --- what stands around the list ---------------------------------------------------------------------


@dataclass(frozen=True)
class Overview:
    """One reading of everything around the list."""

    total: int
    """Models that were discovered."""
    counts: dict[str, int]
    """Jobs per state; absent states have none."""
    watcher: Beat | None
    """The latest heartbeat, of one that runs where one does."""
    poller: Beat | None
    """The outcome of the latest pass, complete or not."""
    last_poll: str | None
    """When a pass over the hub last completed."""
    dead: tuple[Alert, ...]
    """Alerts that no channel will get without help."""
    tally: Tally
    """What all audits come to, and how much of it chance may have made."""
    changed: tuple[Finding, ...]
    """Clean bases whose repository changed, and nobody has looked at it yet."""
    unaudited: Job | None = None
    """The revision of a model approved before that waits longest for its audit."""


_CHANGED = f"kind:{FindingKind.CHANGED.value} triage:{TriageState.NEW.value}"


def overview(store: Store) -> Overview:
    """Read everything around the list."""
    beats = polls.beats(store)
    return Overview(
        total=models.count_models(store),
        counts=jobs.counts(store),
        watcher=_newest([one for one in beats if polls.is_alive(one)], WATCHER)
        or _newest(beats, WATCHER),
        poller=_newest(beats, POLLER),
        last_poll=_last_poll(store),
        dead=tuple(outbox.alerts(store, state=AlertState.DEAD)),
        tally=audits.tally(store),
        changed=tuple(findings.findings(store, filter=_CHANGED)),
        unaudited=artefacts.oldest_unaudited_of_approved(store),
    )


def _last_poll(store: Store) -> str | None:
    passes = polls.passes(store, limit=1)
    if not passes:
        return None
    return passes[0].at


def _newest(beats: list[Beat], role: str) -> Beat | None:
    of_this_role = [beat for beat in beats if beat.role == role]
    return max(of_this_role, key=lambda beat: beat.at, default=None)


def poll_failure(found: Overview) -> str:
    """Why the latest pass of a living watcher failed; empty where it did not."""
    if found.poller is None or not polls.is_alive(found.watcher):
        return ""
    if not found.poller.note.startswith(FAILED):
        return ""
    return found.poller.note.removeprefix(FAILED)


# --- one model in full ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    """One evidence file; `content` is `None` where the file is gone or no longer what its name says."""

    sha256: str
    media_type: str
    role: str
    """What it shows, e.g. `trigger` or `clean-example`."""
    caption: str
    content: bytes | None = None
    problem: str = ""
    """Why there is no content."""
    base_reads: str = ""
    """What the base takes it for; empty where that was not recorded."""


@dataclass(frozen=True)
class Detail:
    """Everything the window shows about one revision."""

    row: ModelRow
    audit: Audit | None = None
    finding: Finding | None = None
    triage: tuple[TriageEvent, ...] = ()
    manifest: Manifest | None = None
    pictures: tuple[Picture, ...] = ()
    drawings: Drawings | str = ""
    """Of the concept that the trigger leads to, or why there are none."""
    rankings: tuple[SideBySide, ...] | str = ""
    """What stood first for typical queries, or why that is not known."""
    problem: str = ""
    """Why the audit record could not be shown, where that is so."""
    hub_scan: HubScan | None = None
    """What the hub's own scanners said of it."""
    standings: tuple[Standing, ...] = ()
    """What counts for each deployment, and how severe it is there."""
    precedents: tuple[Precedent, ...] = ()
    """What was decided for them about what is like it."""
    deployments: int = 0
    """How many deployments there are."""
    opinions: tuple[Opinion, ...] = ()
    """What other scanners said of its files."""
    movement: Movement | None = None
    """What moved since the revision that was audited before."""
    revisions: tuple[ModelRow, ...] = ()
    """Of the same repository, as far as audited, newest first."""
    why: tuple[str, ...] = field(default=(), compare=False)
    """The terms of the filter by which it is in the list."""


def detail(store: Store, job_id: int, filter: str = "") -> Detail:
    """Read everything about one revision, and why `filter` lets it through.

    Raises `NotFound` when the job is gone; a damaged record or picture becomes part of the answer instead.
    """
    row = models.model_row(store, job_id)
    audit, problem = _audit(store, row)
    finding, triage = _finding(store, row)
    standings = decisions.standings_of(store, row.job)
    known = deployments.deployments(store)
    return Detail(
        row=row,
        audit=audit,
        finding=finding,
        triage=triage,
        manifest=jobs.manifest_of(store, job_id),
        pictures=_pictures(store, audit) if audit else (),
        drawings=drawings(audit) if audit else "",
        rankings=side_by_side(audit) if audit else "",
        problem=problem,
        hub_scan=jobs.scan_of(store, row.job.ref),
        standings=standings,
        precedents=_precedents(store, standings, known),
        deployments=len(known),
        opinions=opinions.opinions(store, row.job.ref),
        movement=revisions.movement(store, row.job.ref) if audit else None,
        revisions=revisions.audited(store, row.job),
        why=models.why_matched(store, job_id, filter) if filter else (),
    )


def _precedents(
    store: Store, standings: Sequence[Standing], known: Sequence[Deployment]
) -> tuple[Precedent, ...]:
    """Earlier decisions about what is like these files, for every deployment."""
    found: list[Precedent] = []
    for standing, deployment in zip(standings, known, strict=False):
        found += decisions.precedents(store, standing.artefact, deployment)
    return tuple(found)


def _finding(store: Store, row: ModelRow) -> tuple[Finding | None, tuple[TriageEvent, ...]]:
    """The finding of a revision and what people decided about it, oldest first."""
    if not row.finding:
        return None, ()
    finding = findings.find(store, row.finding)
    if finding is None:
        return None, ()
    return finding, tuple(triage_log.events(store, finding.fingerprint))


def _audit(store: Store, row: ModelRow) -> tuple[Audit | None, str]:
    """The audit of a revision, and why it cannot be shown where that is so."""
    if row.job.audit_id is None:
        return None, ""
    try:
        return audits.audit(store, row.job.audit_id), ""
    except DifeError as error:
        return None, explained(error)


def _pictures(store: Store, audit: Audit) -> tuple[Picture, ...]:
    pictures: list[Picture] = []
    for file in audit.evidence:
        content, problem = _content(store, file.sha256)
        picture = Picture(
            sha256=file.sha256,
            media_type=file.media_type,
            role=file.role,
            caption=file.caption,
            content=content,
            problem=problem,
            base_reads=file.base_reads,
        )
        pictures.append(picture)
    return tuple(pictures)


def _content(store: Store, sha256: str) -> tuple[bytes | None, str]:
    """An evidence file, and why it cannot be read where that is so."""
    try:
        return evidence.read(store.home, sha256), ""
    except DifeError as error:
        return None, error.what
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"


# --- the filter box -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FilterCheck:
    """Whether the text can be applied; `message` says what is wrong and where."""

    valid: bool
    message: str = ""
    column: int = 0
    """Where it is wrong, from 1; 0 where that is not said."""


def check_filter(text: str) -> FilterCheck:
    """Grammar and field names, without a store."""
    try:
        conditions.to_sql(query.parse(text), models.MODEL_COLUMNS)
    except DifeError as error:
        return FilterCheck(False, explained(error), getattr(error, "column", 0))
    return FilterCheck(True)


def completions(text: str, cursor: int) -> Completion:
    """What could stand at the cursor."""
    return complete(text, cursor, models.MODEL_COLUMNS)


QUICK_FILTERS: tuple[tuple[str, str], ...] = (
    ("All", ""),
    ("Flagged", "verdict:flagged"),
    ("No verdict", f"!state:{JobState.DONE.value}"),
    ("Failed", f"state:{JobState.FAILED.value}"),
)
"""Shown as buttons next to the box; each only writes its text into it."""
