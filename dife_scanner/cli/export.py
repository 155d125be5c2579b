"""The command that hands over what was found: `export`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli import streams
from dife_scanner.cli.review import FilterArgument
from dife_scanner.cli.session import Session, command
from dife_scanner.errors import UsageError

if TYPE_CHECKING:
    from dife_scanner.reports.export import Export
    from dife_scanner.store.db import Store

_MOST_IN_PICTURE = 40
"""Checkpoints in the exposure matrix of a page."""


class Format(StrEnum):
    HTML = "html"
    JSON = "json"
    CSV = "csv"
    MD = "md"
    SARIF = "sarif"
    CYCLONEDX = "cyclonedx"
    CYCLONEDX_1_7 = "cyclonedx-1.7"
    AVID = "avid"
    STIX = "stix"


_FOR_THE_PUBLIC = (Format.CYCLONEDX, Format.CYCLONEDX_1_7, Format.AVID, Format.STIX)
"""Formats that tell of other people's models only what a person has confirmed."""


OutOption = Annotated[
    Path | None, typer.Option("--out", help="Where to write it; stdout if left out.")
]


def register(app: typer.Typer) -> None:
    command(app, "export")(export)


def export(
    session: Session,
    filter: FilterArgument = None,
    format: Annotated[Format | None, typer.Option(help="json by default.")] = None,
    out: OutOption = None,
    with_triggers: Annotated[
        bool,
        typer.Option("--with-triggers", help="Also what sets the triggers off; keep such a file."),
    ] = False,
) -> None:
    """Write checkpoints and findings as a file for others. It holds no trigger unless you ask for it.

    The same state gives the same bytes. docs/reports.md says what each format holds.
    """
    from dife_scanner.app import exporting

    wanted = chosen(session, format)
    text = " ".join(filter or [])
    with session.reading(session.settings()) as store:
        with session.progress() as progress:
            document = exporting.export(store, text, with_triggers=with_triggers, progress=progress)
        content = _rendered(wanted, document, store, text)
    write(session, content, out)
    if wanted in _FOR_THE_PUBLIC:
        _say_what_is_withheld(session, document)


def chosen(session: Session, format: Format | None) -> Format:
    """The format, which `--json` names too. Raises `UsageError` where the two contradict."""
    if session.as_json and format not in (None, Format.JSON):
        raise UsageError(
            f"--json and --format {format} contradict each other", "give one of the two"
        )
    return format or Format.JSON


def write(session: Session, content: str, out: Path | None) -> None:
    """To stdout, or completely to a file. Raises `UsageError`."""
    if out is None:
        with streams.for_whoever_reads():
            sys.stdout.write(content)
        return
    write_file(session, content.encode("utf-8"), out)


def write_file(session: Session, content: bytes, out: Path) -> None:
    """Completely to a file, or not at all. Raises `UsageError`."""
    from dife_scanner.durable.atomic import atomic_write

    try:
        with atomic_write(out) as stream:
            stream.write(content)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror or error}",
            "give --out a place you can write",
        ) from error
    session.say(f"written to {out}")


def _rendered(wanted: Format, document: Export, store: Store, filter: str) -> str:
    from dife_scanner.reports import as_json, avid, cyclonedx, export_csv, sarif, stix

    if wanted is Format.HTML:
        return _page(document, store, filter)
    if wanted is Format.MD:
        return _markdown(document)
    if wanted is Format.CSV:
        return export_csv.render(document)
    if wanted is Format.SARIF:
        return sarif.render(document)
    if wanted is Format.CYCLONEDX:
        return cyclonedx.render(document)
    if wanted is Format.CYCLONEDX_1_7:
        return cyclonedx.render(document, "1.7")
    if wanted is Format.AVID:
        return avid.render(document)
    if wanted is Format.STIX:
        return stix.render(document)
    return as_json.render(document) + "\n"


def _markdown(document: Export) -> str:
    from dife_scanner.reports import export_sheets, markdown

    return markdown.document(
        export_sheets.TITLE, export_sheets.summary(document), export_sheets.sheets(document)
    )


def _page(document: Export, store: Store, filter: str) -> str:
    from dife_scanner.app import exporting
    from dife_scanner.reports import export_sheets, figures, page

    png = figures.matrix_png(exporting.exposed(store, filter, _MOST_IN_PICTURE))
    picture = (png, "Exposure over the clean base, by interface") if png else None
    return page.render(
        export_sheets.TITLE,
        export_sheets.summary(document),
        export_sheets.sheets(document, pictured=True),
        picture,
    )


def _say_what_is_withheld(session: Session, document: Export) -> None:
    from dife_scanner.reports.export import withheld
    from dife_scanner.sentences.numbers import count

    left_out = withheld(document)
    if left_out:
        what = count(left_out, "finding")
        session.say(f"{what} about other people's models left out: nobody has confirmed them yet")
