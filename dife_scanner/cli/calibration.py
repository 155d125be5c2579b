"""Commands about calibration: which packs there are, and whether they are what was written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli.session import Session, command

if TYPE_CHECKING:
    from dife_scanner.reports.as_json import CalibrationDocument
    from dife_scanner.settings import Settings

WHOLE, DAMAGED = 0, 3


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Benign models that scores are read beside (docs/calibration.md).", no_args_is_help=True)
    command(group, "list")(list_packs)
    command(group, "verify")(verify)
    app.add_typer(group, name="calibration")


def list_packs(session: Session) -> None:
    """List calibration packs and power tables: shipped ones and your own, what each speaks of, and how old it is."""
    from dife_scanner.reports import table

    document = _document(session, session.settings(), ())
    session.show(document, lambda: table.calibration(document.files))


def verify(
    session: Session,
    files: Annotated[list[Path] | None, typer.Argument(help="Calibration files; all there are if left out.")] = None,
) -> int:
    """Check that every calibration file still has the content it was written with.

    Exit code: 0 all of them, 3 one is damaged; a damaged file is never used.
    """
    from dife_scanner.reports import table

    document = _document(session, session.settings(), files or ())
    session.show(document, lambda: table.calibration(document.files))
    return DAMAGED if any(file.state == "damaged" for file in document.files) else WHOLE


def _document(session: Session, settings: Settings, files: list[Path] | tuple[Path, ...]) -> CalibrationDocument:
    from dife_scanner import app
    from dife_scanner.reports.as_json import CalibrationDocument

    with session.store(settings) as store:
        return CalibrationDocument(app.calibration_files(store, settings, files))
