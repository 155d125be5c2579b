"""The command itself: a live screen on a terminal, one printed look everywhere else."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli.session import Session, command

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dife_scanner.cli.top.desk import Desk


def register(app: typer.Typer) -> None:
    command(app, "top")(top)


def top(
    session: Session,
    filter: Annotated[
        list[str] | None,
        typer.Argument(help="Which findings to begin with, as in `dife findings`."),
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Print one look and end; the same where there is no terminal."),
    ] = False,
) -> int:
    """Live in the terminal: overview, queue, findings, one finding in full, triage. `?` shows the keys."""
    from dife_scanner.baselines.home import open_for_reading
    from dife_scanner.cli.top.desk import Desk

    text = " ".join(filter or [])
    settings = session.settings()
    with contextlib.closing(Desk(open_for_reading(settings), settings)) as desk:
        desk.findings(text)  # a filter that cannot be read is told before the screen is taken
        if once or session.as_json or not _is_live():
            _print_once(session, desk, text)
            return 0
        from dife_scanner.cli.top.live import run

        return run(desk, text, no_color=session.no_color)


def _is_live() -> bool:
    """Whether there is a terminal to draw on and to read keys from."""
    if find_spec("termios") is None:  # Windows
        return False
    dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown", "")
    return sys.stdin.isatty() and sys.stdout.isatty() and not dumb


def _print_once(session: Session, desk: Desk, filter: str) -> None:
    from dife_scanner.reports import as_json

    status, upcoming, findings = desk.overview().status, desk.queue(), desk.findings(filter)
    document = as_json.TopDocument(
        filter=filter,
        status=status,
        working=upcoming.working,
        waiting=tuple(one.job for one in upcoming.waiting),
        stuck=upcoming.stuck,
        findings=findings.rows,
        count=findings.count,
    )
    session.show(document, lambda: _page(desk, filter))


def _page(desk: Desk, filter: str) -> RenderableType:
    from rich.console import Group

    from dife_scanner.cli.top import drawing
    from dife_scanner.reports.layout import heading

    return Group(
        drawing.overview(desk.overview()),
        heading("Queue"),
        drawing.queue(desk.queue(), desk.pace()),
        heading("Findings that fit" if filter else "All findings"),
        drawing.findings(desk.findings(filter)),
    )
