"""Commands that read what was found: findings, audits, show, queue, status; and retry, which queues a job again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli.session import Session, command
from dife_scanner.errors import NotFound

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dife_scanner.records import (
        Audit,
        Finding,
        HubScan,
        Job,
        ModelRef,
        ModelRow,
        Movement,
        Opinion,
    )
    from dife_scanner.reports.as_json import StatusDocument
    from dife_scanner.settings import Settings
    from dife_scanner.store.db import Store
    from dife_scanner.store.lookup import Match


FilterArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help="What to list, e.g. `'verdict:flagged (repo:~clip | score>0.5) !channel:image'`; see docs/filters.md."
    ),
]


def register(app: typer.Typer) -> None:
    command(app, "findings")(findings)
    command(app, "audits")(audits)
    command(app, "show")(show)
    command(app, "queue")(queue)
    command(app, "status")(status)
    command(app, "retry")(retry)


def findings(session: Session, filter: FilterArgument = None) -> None:
    """List findings, newest first."""
    from rich.console import Group

    from dife_scanner.reports import as_json, table
    from dife_scanner.store import audits as stored
    from dife_scanner.store import findings as kept

    text = " ".join(filter or [])
    with session.reading(session.settings()) as store:
        rows, tally = kept.findings(store, filter=text), stored.tally(store)
    document = as_json.FindingsDocument(text, tuple(rows), tally)
    session.show(document, lambda: Group(table.findings(rows), table.tally(tally)))


def audits(session: Session, filter: FilterArgument = None) -> None:
    """List completed audits, newest first."""
    from rich.console import Group

    from dife_scanner.reports import as_json, table
    from dife_scanner.store import audits as stored

    text = " ".join(filter or [])
    with session.reading(session.settings()) as store:
        rows, tally = stored.audits(store, filter=text), stored.tally(store, filter=text)
    document = as_json.AuditsDocument(text, tuple(rows), tally)
    session.show(document, lambda: Group(table.audits(rows), table.tally(tally)))


def show(
    session: Session,
    id: Annotated[
        str,
        typer.Argument(
            help="An audit's id or a finding's (fp1:…), or a unique beginning of it; org/name[@revision]; "
            "a scanned folder; a job's number."
        ),
    ],
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Print every number: hypotheses, all their checks, intervals, limits, files.",
        ),
    ] = False,
) -> None:
    """Show one audit on one screen: verdict and why, what would change it, checks, exposure profile, footprint."""
    from dife_scanner.reports import as_json
    from dife_scanner.store import lookup

    settings = session.settings()
    with session.reading(settings) as store:
        found = _found(store, lookup.find(store, id))
    session.show(
        as_json.ShowDocument(
            found.audit, found.finding, found.job, found.opinions, found.movement, found.scan
        ),
        lambda: _shown(settings, found, full),
    )


@dataclass(frozen=True)
class _Found:
    """What the store keeps about the requested thing."""

    job: Job | None
    row: ModelRow | None
    finding: Finding | None
    audit: Audit | None
    ref: ModelRef
    """The checkpoint that was asked for; its audit may be one of the same weights under another name."""
    scan: HubScan | None
    """What the hub's own scanners said of it."""
    opinions: tuple[Opinion, ...] = ()
    """What other scanners said of its files."""
    movement: Movement | None = None

    @property
    def refused(self) -> bool:
        """Whether we refused its files, rather than read them."""
        from dife_scanner.records import FindingKind

        return self.finding is not None and self.finding.kind is FindingKind.REFUSED


def _found(store: Store, match: Match) -> _Found:
    """Job, finding and audit that belong together."""
    from dife_scanner.store import audits, jobs, models, opinions, revisions
    from dife_scanner.store import findings as kept
    from dife_scanner.store.lookup import Kind

    job = row = finding = audit = None
    audit_id: str | None = None
    if match.kind is Kind.JOB:
        job = jobs.job(store, int(match.id))
        row = models.model_row(store, job.id)
        audit_id = job.audit_id
        finding = kept.find(store, row.finding) if row.finding else None
    elif match.kind is Kind.FINDING:
        finding = kept.finding(store, match.id)
        audit_id = finding.audit_id
    else:
        audit_id = match.id
    if audit_id:
        audit = audits.audit(store, audit_id)
    if audit is not None and finding is None and job is None:
        finding = _finding_of(store, audit)
    scan = jobs.scan_of(store, match.ref)
    said = opinions.opinions(store, match.ref)
    moved = revisions.movement(store, match.ref) if audit is not None else None
    return _Found(job, row, finding, audit, match.ref, scan, said, moved)


def _finding_of(store: Store, audit: Audit) -> Finding | None:
    from dife_scanner.store import findings as kept

    found = [finding for finding in kept.findings(store) if finding.audit_id == audit.id]
    own = [finding for finding in found if finding.ref == audit.ref]
    for finding in [*own, *found]:
        return finding
    return None


def _shown(settings: Settings, found: _Found, full: bool) -> RenderableType:
    from rich.console import Group

    from dife_scanner.reports import in_full
    from dife_scanner.reports.layout import safe
    from dife_scanner.sentences.opinions import opinion_lines
    from dife_scanner.sentences.watching import scan_text

    parts = [_in_short(found)]
    if full:
        if found.audit is not None:
            parts = [
                in_full.render(found.audit, found.finding, settings.home, found.ref, found.movement)
            ]
        lines = opinion_lines(found.opinions, refused=found.refused)
        parts += in_full.opinions(lines)
    if not found.ref.local:
        parts.append(safe(scan_text(found.scan), 400))
    return Group(*parts)


def _in_short(found: _Found) -> RenderableType:
    from rich.console import Group

    from dife_scanner.reports import screen, table
    from dife_scanner.reports.layout import safe
    from dife_scanner.sentences.findings import finding_sentence

    if found.audit is not None:
        return screen.render(found.audit, found.finding, found.ref, found.movement)
    if found.finding is not None:
        sentence = finding_sentence(found.finding)
        return Group(table.findings([found.finding]), safe(sentence, 1500))
    rows = [found.row] if found.row else []
    return Group(table.models(rows), table.reasons(rows))


def queue(session: Session) -> None:
    """List every discovered revision and where it stands."""
    from dife_scanner.reports import as_json, table
    from dife_scanner.store import jobs

    with session.reading(session.settings()) as store:
        rows = jobs.jobs(store)
        counts = jobs.counts(store)
    session.show(as_json.QueueDocument(counts, tuple(rows)), lambda: table.queue(rows))


def status(session: Session) -> None:
    """Say whether a watcher runs, what it watches, what waits, and what fetched weights take of the disk."""
    from dife_scanner.app import watching
    from dife_scanner.durable.fetched import disk_use
    from dife_scanner.records import AlertState
    from dife_scanner.reports import as_json
    from dife_scanner.store import jobs, outbox, polls, watchlist

    settings = session.settings()
    with session.reading(settings) as store:
        beats = polls.beats(store)
        passes = [one for one in polls.passes(store) if one.complete]
        counts = jobs.counts(store)
        waiting = len(outbox.alerts(store, state=AlertState.PENDING))
        dead = len(outbox.alerts(store, state=AlertState.DEAD))
        unread = watching.unread(store, settings)
        watched = tuple(watchlist.watched(store, settings.endpoint))
    alive = tuple(beat for beat in beats if _runs(beat.pid))
    document = as_json.StatusDocument(
        watching=any(beat.role == "watcher" for beat in alive),
        processes=alive,
        counts=counts,
        last_pass_at=passes[0].at if passes else None,
        alerts_pending=waiting,
        alerts_dead=dead,
        disk=disk_use(settings.home, settings.disk.quota_bytes, settings.disk.free_bytes),
        scope=settings.watch.in_force.value,
        since=settings.watch.since,
        unread=unread,
        in_use=watched,
    )
    session.show(document, lambda: _status(document))


def _status(document: StatusDocument) -> RenderableType:
    from rich.console import Group

    from dife_scanner.records import Scope
    from dife_scanner.reports.layout import safe
    from dife_scanner.sentences.jobs import disk_text
    from dife_scanner.sentences.times import time_text
    from dife_scanner.sentences.watching import reading_text, scope_text, watched_lines

    lines = ["watching" if document.watching else "not watching; start with `dife watch`"]
    for beat in document.processes:
        lines.append(f"  {beat.role} (process {beat.pid}): {beat.note}, {time_text(beat.at)}")
    lines.append(f"scope: {scope_text(Scope(document.scope), document.since)}")
    lines += [text for text in (reading_text(document.unread),) if text]
    last = time_text(document.last_pass_at) if document.last_pass_at else "never"
    lines.append(f"last complete poll: {last}")
    states = [f"{count} {state}" for state, count in document.counts.items() if count]
    lines.append(", ".join(states) or "no model discovered yet")
    lines.append(f"alerts: {document.alerts_pending} waiting, {document.alerts_dead} given up on")
    lines.append(disk_text(document.disk))
    lines += watched_lines(document.in_use)
    return Group(*(safe(line, 300) for line in lines))


def _runs(pid: int) -> bool:
    import psutil

    return bool(psutil.pid_exists(pid))


def retry(
    session: Session, job: Annotated[int, typer.Argument(help="Job number, from `dife queue`.")]
) -> None:
    """Put a job back in the queue, whatever it ended as."""
    from dife_scanner.reports import as_json, table
    from dife_scanner.store import jobs

    with session.store(session.settings()) as store:
        again = jobs.requeue(store, job)
    if again.id != job:
        raise NotFound(f"job {job} was replaced by {again.id}", f"see `dife show {again.id}`")
    session.show(
        as_json.QueueDocument({again.state.value: 1}, (again,)), lambda: table.queue([again])
    )
