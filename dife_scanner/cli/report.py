"""The command that sums up: `report`, a period on one page or the letter about one finding."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli.export import OutOption, write
from dife_scanner.cli.session import Session, command
from dife_scanner.errors import UsageError

if TYPE_CHECKING:
    from dife_scanner.reports.as_json import ReportDocument

_LONGEST_SECONDS = 366 * 86_400


class Format(StrEnum):
    TABLE = "table"
    HTML = "html"
    MD = "md"
    JSON = "json"
    DISCLOSURE = "disclosure"


def register(app: typer.Typer) -> None:
    command(app, "report")(report)


def report(
    session: Session,
    finding: Annotated[
        str, typer.Argument(help="Only for the letter: a finding's fingerprint, or its beginning.")
    ] = "",
    since: Annotated[str, typer.Option(help="The period, back from now: 24h, 7d, 4w.")] = "7d",
    format: Annotated[
        Format | None,
        typer.Option(
            help="table by default, md with --out; disclosure is a letter to a supplier, as Markdown."
        ),
    ] = None,
    out: OutOption = None,
    with_triggers: Annotated[
        bool, typer.Option("--with-triggers", help="The letter holds the trigger itself.")
    ] = False,
) -> None:
    """Sum up a period on one page: what is in use, what was found and decided, what expires, what nobody can see."""
    wanted = _chosen(session, format, out)
    if wanted is Format.DISCLOSURE:
        write(session, _letter(session, finding, with_triggers=with_triggers), out)
        return
    if finding or with_triggers:
        raise UsageError(
            "a finding and its trigger are for the letter",
            "add --format disclosure, or leave them out",
        )
    document = _document(session, since)
    if wanted is Format.TABLE:
        from dife_scanner.reports import matrix, summary

        shown = (summary.title(document), *summary.lines(document))
        session.show(document, lambda: matrix.document(shown, summary.sheets(document)))
        return
    write(session, _rendered(wanted, document), out)


def _chosen(session: Session, format: Format | None, out: Path | None) -> Format:
    """The format; Markdown for a file where none is named. Raises `UsageError` where options contradict each other."""
    if session.as_json and format not in (None, Format.JSON):
        raise UsageError(
            f"--json and --format {format} contradict each other", "give one of the two"
        )
    if session.as_json:
        return Format.JSON
    if format is Format.TABLE and out is not None:
        raise UsageError("a table is for the terminal", "give --format html, md or json with --out")
    return format or (Format.MD if out is not None else Format.TABLE)


def _document(session: Session, since: str) -> ReportDocument:
    from dife_scanner.app import reporting
    from dife_scanner.durable.clock import now
    from dife_scanner.store.fields import seconds_of
    from dife_scanner.store.query import shown

    seconds = seconds_of(since)
    if not seconds or seconds > _LONGEST_SECONDS:
        raise UsageError(f"{shown(since)} is no period", "e.g. 24h, 7d or 4w; 366d at most")
    settings = session.settings()
    with session.reading(settings) as store:
        return reporting.report(store, settings, seconds, now())


def _rendered(wanted: Format, document: ReportDocument) -> str:
    from dife_scanner.reports import as_json, markdown, page, summary

    if wanted is Format.JSON:
        return as_json.render(document) + "\n"
    if wanted is Format.HTML:
        title, lines = summary.title(document), summary.lines(document)
        return page.render(title, lines, summary.sheets(document), None)
    return markdown.document(
        summary.title(document), summary.lines(document), summary.sheets(document)
    )


def _letter(session: Session, finding: str, *, with_triggers: bool) -> str:
    from dife_scanner import __version__
    from dife_scanner.app import exporting
    from dife_scanner.reports import disclosure

    if not finding:
        raise UsageError("a letter is about one finding", "name it; `dife findings` lists them")
    with session.reading(session.settings()) as store:
        subject = exporting.subject_of(store, finding, with_triggers=with_triggers)
    text = disclosure.render(subject, __version__)
    if subject.finding is not None and not subject.finding.confirmed:
        session.say("nobody has confirmed this finding yet: the letter is marked as a draft")
    return text
