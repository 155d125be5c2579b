"""The command that goes on by itself: watch a hub."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli import first_start, results
from dife_scanner.cli.options import EndpointOption, Scope
from dife_scanner.cli.scan import show_plan
from dife_scanner.cli.session import Session, command
from dife_scanner.errors import HubError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dife_scanner.progress import Progress
    from dife_scanner.queue.watch import Event, Summary
    from dife_scanner.reports.as_json import ScanDocument
    from dife_scanner.settings import Settings


class Executor(StrEnum):
    """Where audits run."""

    LOCAL = "local"
    RAY = "ray"


_LONGEST_LINE = 1000
"""Characters of an event."""


def register(app: typer.Typer) -> None:
    command(app, "watch")(watch)


def watch(
    session: Session,
    once: Annotated[
        bool, typer.Option("--once", help="One complete pass and everything it finds, then end.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what a pass would cost, and stop.")
    ] = False,
    interval: Annotated[float | None, typer.Option(min=1, help="Seconds between passes.")] = None,
    endpoint: EndpointOption = None,
    workers: Annotated[
        int | None, typer.Option(min=0, max=64, help="Audits at a time; 0: one for each device.")
    ] = None,
    executor: Annotated[
        Executor | None,
        typer.Option(help="Where audits run: here, or on the nodes of a Ray cluster."),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option("--ray-address", help="The cluster's head, host:port (docs/cluster.md)."),
    ] = None,
    scope: Annotated[
        Scope | None,
        typer.Option(
            help="How much is watched: models in use, also fine-tunes of these and their bases, or everything; kept."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Back to when the listings are read: `30 days`, `2025-01-31` or `all`; kept."
        ),
    ] = None,
    in_use: Annotated[
        list[Path] | None,
        typer.Option(
            "--list",
            help="Where models in use are named: a text file, a CycloneDX document, a cache of the hub, a source "
            "tree; repeatable, kept, and first in the queue.",
        ),
    ] = None,
) -> int:
    """Watch a hub: poll, audit what is new, keep every finding, send alerts.

    The first start asks how much is to be watched, and says what each answer takes (docs/watching.md).

    With --once the exit code is that of `scan`, over the revisions found in this pass. It is 2 where the pass could not
    read every listing to its end, unless something is flagged.
    """
    from dife_scanner.app import planning, scanning, watching

    given: dict[str, object] = {
        "endpoint": endpoint,
        "interval_seconds": interval,
        "workers": workers,
        "cluster": _cluster(executor, ray_address),
    }
    chosen = first_start.given(scope, since, in_use)
    settings = session.settings(**given, watch=chosen or None)
    if not plan and first_start.choose(session, settings, chosen):
        settings = session.settings(**given, watch=chosen or None)
    if plan:
        return show_plan(session, planning.plan_pass(settings))
    with session.progress() as progress:
        summary = watching.watch(settings, once=once, on_event=Events(session, progress))
    if not once:
        return results.NOTHING
    if summary.error is not None:
        raise summary.error
    with session.store(settings) as store:
        scanning.end_batch(store)
        found = [results.result_of(store, str(job.ref), job) for job in summary.jobs]
    document = results.document_of(found)
    if not session.as_json:  # as JSON every event was a line already
        session.show(document, lambda: _shown(settings, document, summary))
    if summary.shortfall:
        what = f"the pass is not complete: {summary.shortfall}"
        results.print_errors([HubError(what, "run it again: what it has read is kept")])
    return results.exit_code(document, with_errors=bool(summary.shortfall))


def _cluster(executor: Executor | None, address: str | None) -> dict[str, str] | None:
    """What the command line says of the cluster. An address alone asks for one."""
    found: dict[str, str] = {}
    if address:
        found = {"executor": Executor.RAY.value, "address": address}
    if executor:
        found["executor"] = executor.value
    return found or None


def _shown(settings: Settings, document: ScanDocument, summary: Summary) -> RenderableType:
    """A line per revision that the pass did something about, or how many models it saw that had nothing new."""
    from dife_scanner.reports.layout import safe

    if summary.seen and not document.targets:
        return safe(f"Nothing new: {summary.seen:,} models seen, none at a new revision.")
    return results.as_table(settings, document)


class Events:
    """Events of a watcher, as JSON Lines on stdout or as text on stderr."""

    def __init__(self, session: Session, progress: Progress) -> None:
        self._session = session
        self._progress = progress
        self._console = session.err()

    def __call__(self, event: Event) -> None:
        if event.kind == "progress":
            self._progress("working", note=event.text)
        elif self._session.as_json:
            self._print_document(event)
        else:
            self._print_line(event)

    def _print_document(self, event: Event) -> None:
        from dife_scanner.reports import as_json

        document = as_json.EventDocument(event.kind, event.at, event.text, event.job)
        print(as_json.render(document), flush=True)

    def _print_line(self, event: Event) -> None:
        from dife_scanner.reports.layout import safe
        from dife_scanner.sentences.times import time_text

        line = f"{time_text(event.at)}  {event.text}"
        if event.job is not None and event.job.state.is_final:
            line = f"{line} — {event.job.reason}"
        self._console.print(safe(line, _LONGEST_LINE))
