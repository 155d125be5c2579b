"""Commands that read what was found: findings, audits, show, queue, status; and retry, which queues a job again."""

from __future__ import annotations

from typing import Annotated, TypeVar

import typer

from dife_scanner.cli import shown
from dife_scanner.cli.options import ActorOption, LimitOption
from dife_scanner.cli.session import Session, command
from dife_scanner.errors import NotFound, UsageError

T = TypeVar("T")

FilterArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help="What to list, e.g. `'verdict:flagged (repo:~clip | score>0.5) !channel:image'`; see docs/filters.md."
    ),
]

MOST_COMPARED = 3
MOST_LISTED = 500
"""Lines of a table, where nobody says how many: more than anybody reads, and few enough whatever a home holds."""


def register(app: typer.Typer) -> None:
    command(app, "findings")(findings)
    command(app, "audits")(audits)
    command(app, "show")(show)
    command(app, "compare")(compare)
    command(app, "queue")(queue)
    command(app, "status")(status)
    command(app, "retry")(retry)


class _Listed:
    """How much of a list is read and shown."""

    def __init__(self, session: Session, limit: int | None) -> None:
        if limit is None:
            limit = 0 if session.as_json else MOST_LISTED
        self._session = session
        self._most = limit

    @property
    def read(self) -> int | None:
        """Rows to read: one more tells whether there are more."""
        return self._most + 1 if self._most else None

    def first(self, rows: list[T]) -> list[T]:
        """Those to show; that there are more is said to whoever sits there."""
        if not self._most or len(rows) <= self._most:
            return rows
        self._session.say(
            f"the newest {self._most:,} are listed, and there are more; --limit 0 lists all"
        )
        return rows[: self._most]


def findings(session: Session, filter: FilterArgument = None, limit: LimitOption = None) -> None:
    """List findings, newest first."""
    from rich.console import Group

    from dife_scanner.reports import as_json, table
    from dife_scanner.store import audits as stored
    from dife_scanner.store import findings as kept

    text, listed = " ".join(filter or []), _Listed(session, limit)
    with session.reading(session.settings()) as store:
        rows = listed.first(kept.findings(store, filter=text, limit=listed.read))
        tally = stored.tally(store)
    document = as_json.FindingsDocument(text, tuple(rows), tally)
    session.show(document, lambda: Group(table.findings(rows), table.tally(tally)))


def audits(session: Session, filter: FilterArgument = None, limit: LimitOption = None) -> None:
    """List completed audits, newest first."""
    from rich.console import Group

    from dife_scanner.reports import as_json, table
    from dife_scanner.store import audits as stored

    text, listed = " ".join(filter or []), _Listed(session, limit)
    with session.reading(session.settings()) as store:
        rows = listed.first(stored.audits(store, filter=text, limit=listed.read))
        tally = stored.tally(store, filter=text)
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
        found = shown.found(store, lookup.find(store, id))
    session.show(
        as_json.ShowDocument(
            found.audit,
            found.finding,
            found.job,
            found.opinions,
            found.movement,
            found.scan,
            found.standings,
        ),
        lambda: shown.render(settings.home, found, full=full),
    )


def compare(
    session: Session,
    ids: Annotated[
        list[str],
        typer.Argument(
            metavar="ID…",
            help="One: it, its base, and the revision audited before. Two or three: these, named as for `dife show`.",
        ),
    ],
) -> None:
    """Show up to three audits side by side, and mark what differs."""
    from dife_scanner.reports import as_json
    from dife_scanner.reports import compare as page
    from dife_scanner.sentences import compare as lines
    from dife_scanner.store import revisions

    if len(ids) > MOST_COMPARED:
        raise UsageError(f"{len(ids)} cannot stand side by side", f"name at most {MOST_COMPARED}")
    with session.reading(session.settings()) as store:
        audits = [shown.audit_of(store, name) for name in ids]
        columns = tuple(lines.Column(str(one.ref), one) for one in audits)
        if len(audits) == 1:
            columns = lines.columns_of(audits[0], revisions.audit_before(store, audits[0].ref))
    titles = tuple(one.title for one in columns)
    of = tuple(one.audit.id for one in columns)
    document = as_json.CompareDocument(titles, of, lines.compare(columns))
    session.show(document, lambda: page.render(columns))


def queue(
    session: Session,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[pause | resume | front JOB | retry JOB | cancel JOB]",
            help="What to ask of the watcher first; audits in work are finished.",
            show_default=False,
        ),
    ] = None,
    actor: ActorOption = "",
    limit: LimitOption = None,
) -> None:
    """List every discovered revision and where it stands, and below what is taken next and why; pause the queue; let a
    job go first or again, or stop it.
    """
    from rich.console import Group

    from dife_scanner.durable import clock
    from dife_scanner.reports import as_json, table
    from dife_scanner.reports.layout import safe
    from dife_scanner.sentences.jobs import backlog_text, waiting_text
    from dife_scanner.store import jobs
    from dife_scanner.store.throughput import throughput
    from dife_scanner.store.upcoming import upcoming

    if words:
        _ask_of_queue(session, words, actor or session.settings().who)
    listed = _Listed(session, limit)
    with session.reading(session.settings()) as store:
        rows = listed.first(jobs.jobs(store, limit=listed.read))
        counts = jobs.counts(store)
        found, hours_left = upcoming(store), throughput(store).hours_left
    now = clock.moment()
    coming = []
    for one in found.waiting:
        reason = waiting_text(one, now)
        coming.append(as_json.NextJob(one.job.id, one.job.ref, one.due, reason))
    document = as_json.QueueDocument(counts, tuple(rows), tuple(coming), hours_left)
    backlog = safe(backlog_text(found, hours_left), 300)
    session.show(document, lambda: Group(table.queue(rows), table.coming(coming), backlog))


def _ask_of_queue(session: Session, words: list[str], who: str) -> None:
    """Leave a request for the watcher."""
    from dife_scanner.store import jobs, requests

    kinds = {kind.value: kind for kind in requests.OF_QUEUE}
    kind = kinds.get(words[0])
    of_a_job = kind in requests.OF_A_JOB
    number = words[1] if len(words) > 1 and words[1].isdecimal() else ""
    if kind is None or len(words) != 1 + of_a_job or of_a_job != bool(number):
        raise UsageError(
            "this is nothing that can be asked of the queue",
            "pause, resume, front JOB, retry JOB or cancel JOB",
        )
    with session.store(session.settings()) as store:
        job = jobs.job(store, int(number)).id if of_a_job else None
        requests.request_queue(store, kind, job, actor=who)
    session.say("asked; the watcher does it, once one runs")


def status(session: Session) -> None:
    """Say whether a watcher runs, what it watches, what waits, and what fetched weights take of the disk."""
    from dife_scanner.app import status as standing
    from dife_scanner.reports import status as page

    settings = session.settings()
    with session.reading(settings) as store:
        document = standing.status(store, settings)
    session.show(document, lambda: page.render(document))


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
