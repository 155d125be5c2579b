"""Commands that read what was found, and record what people decide: findings, audits, show, queue, status, triage."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli.session import Session, command
from dife_scanner.errors import NotFound, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType


FilterArgument = Annotated[
    list[str] | None, typer.Argument(help="e.g. `verdict:flagged footprint:textual repo:~clip !channel:image`")
]


def register(app: typer.Typer) -> None:
    for name, function in (
        ("findings", findings),
        ("audits", audits),
        ("show", show),
        ("queue", queue),
        ("status", status),
        ("triage", triage),
        ("retry", retry),
    ):
        command(app, name)(function)


def findings(session: Session, filter: FilterArgument = None) -> None:
    """List findings, newest first."""
    from rich.console import Group

    from dife_scanner.reports import as_json, table
    from dife_scanner.store import audits as stored
    from dife_scanner.store import findings as kept

    text = " ".join(filter or [])
    with session.store(session.settings()) as store:
        rows, tally = kept.findings(store, filter=text), stored.tally(store)
    document = as_json.FindingsDocument(text, tuple(rows), tally)
    session.show(document, lambda: Group(table.findings(rows), table.tally(tally)))


def audits(session: Session, filter: FilterArgument = None) -> None:
    """List completed audits, newest first."""
    from rich.console import Group

    from dife_scanner.reports import as_json, table
    from dife_scanner.store import audits as stored

    text = " ".join(filter or [])
    with session.store(session.settings()) as store:
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
) -> None:
    """Show one audit in full: exposure profile, branch swap, hypotheses, evidence, limits."""
    from dife_scanner.reports import as_json, table
    from dife_scanner.store import audits as stored
    from dife_scanner.store import findings as kept
    from dife_scanner.store import jobs, lookup, models

    settings = session.settings()
    with session.store(settings) as store:
        found = lookup.find(store, id)
        job = jobs.job(store, int(found.id)) if found.kind is lookup.Kind.JOB else None
        finding = kept.finding(store, found.id) if found.kind is lookup.Kind.FINDING else None
        audit_id = found.id if found.kind is lookup.Kind.AUDIT else None
        if job is not None:
            audit_id = job.audit_id
        elif finding is not None:
            audit_id = finding.audit_id
        audit = stored.audit(store, audit_id) if audit_id else None
        if audit and finding is None:
            same = [f for f in kept.findings(store) if f.audit_id == audit.id]
            finding = same[0] if same else None
        rows = [models.model_row(store, job.id)] if job else []

    def shown() -> RenderableType:
        from rich.console import Group

        if audit is not None:
            return table.audit(audit, finding, settings.home)
        if finding is not None:
            return table.findings([finding])
        return Group(table.models(rows), table.reasons(rows))

    session.show(as_json.ShowDocument(audit, finding, job), shown)


def queue(session: Session) -> None:
    """List every discovered revision and where it stands."""
    from dife_scanner.reports import as_json, table
    from dife_scanner.store import jobs

    with session.store(session.settings()) as store:
        rows = jobs.jobs(store)
        counts = jobs.counts(store)
    session.show(as_json.QueueDocument(counts, tuple(rows)), lambda: table.queue(rows))


def status(session: Session) -> None:
    """Say whether a watcher runs, what it does, and what waits."""
    from dife_scanner.records import AlertState
    from dife_scanner.reports import as_json
    from dife_scanner.store import jobs, outbox, polls

    settings = session.settings()
    with session.store(settings) as store:
        beats = polls.beats(store)
        passes = [one for one in polls.passes(store) if one.complete]
        counts = jobs.counts(store)
        waiting = len(outbox.alerts(store, state=AlertState.PENDING))
        dead = len(outbox.alerts(store, state=AlertState.DEAD))
    alive = tuple(beat for beat in beats if _runs(beat.pid))
    document = as_json.StatusDocument(
        watching=any(sign.role == "watcher" for sign in alive),
        processes=alive,
        counts=counts,
        last_pass_at=passes[0].at if passes else None,
        alerts_pending=waiting,
        alerts_dead=dead,
    )

    def shown() -> RenderableType:
        from rich.text import Text

        from dife_scanner.core.plain import plain
        from dife_scanner.reports import words

        lines = ["watching" if document.watching else "not watching; start with `dife watch`"]
        lines += [f"  {sign.role} (process {sign.pid}): {sign.note}, {words.time_text(sign.at)}" for sign in alive]
        lines.append(
            f"last complete poll: {words.time_text(document.last_pass_at) if document.last_pass_at else 'never'}"
        )
        lines.append(
            ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no model discovered yet"
        )
        lines.append(f"alerts: {waiting} waiting, {dead} given up on")
        return Text("\n".join(plain(line, 300) for line in lines))

    session.show(document, shown)


def _runs(pid: int) -> bool:
    import psutil

    return bool(psutil.pid_exists(pid))


def triage(
    session: Session,
    id: Annotated[str, typer.Argument(help="Finding (fp1:…).")],
    state: Annotated[str, typer.Argument(help="triaging, confirmed, false-positive, accepted-risk, …")],
    note: Annotated[str, typer.Option(help="Why.")] = "",
    actor: Annotated[str, typer.Option(help="Who; the login name by default.")] = "",
) -> None:
    """Record a decision about a finding. Nothing decided before is changed."""
    from dife_scanner.records import TriageState
    from dife_scanner.reports import as_json, table
    from dife_scanner.store import findings as kept

    try:
        wanted = TriageState(state)
    except ValueError:
        raise UsageError(
            f"`{state}` is not a triage state", f"one of: {', '.join(s.value for s in sorted(kept.SET_BY_HAND))}"
        ) from None
    with session.store(session.settings()) as store:
        found = kept.triage(store, id, wanted, actor=actor or getpass.getuser(), note=note)
    session.show(as_json.FindingsDocument(id, (found,)), lambda: table.findings([found]))


def retry(session: Session, job: Annotated[int, typer.Argument(help="Job number, from `dife queue`.")]) -> None:
    """Put a job back in the queue, whatever it ended as."""
    from dife_scanner.reports import as_json, table
    from dife_scanner.store import jobs

    with session.store(session.settings()) as store:
        again = jobs.requeue(store, job)
    if again.id != job:
        raise NotFound(f"job {job} was replaced by {again.id}", f"see `dife show {again.id}`")
    session.show(as_json.QueueDocument({again.state.value: 1}, (again,)), lambda: table.queue([again]))
