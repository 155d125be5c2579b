"""Commands that keep an installation well: doctor, backup, restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dife_scanner.cli.session import Session, command


def register(app: typer.Typer) -> None:
    command(app, "doctor")(doctor)
    command(app, "backup")(backup)
    command(app, "restore")(restore)


def doctor(
    session: Session,
    offline: Annotated[
        bool, typer.Option("--offline", help="Without any request to the hub.")
    ] = False,
) -> int:
    """Look whether all that is needed is there: environment, settings, store, hub, channels, disk, clock.

    Nothing is sent to a channel. Ends with 0 where nothing is a problem, else with 1.
    """
    from dife_gui.opening import check

    from dife_scanner.app.doctor import examine
    from dife_scanner.reports.doctor import render

    document = examine(session.home, check, offline=offline)
    session.show(document, lambda: render(document))
    return 1 if document.problems else 0


def backup(
    session: Session,
    file: Annotated[Path, typer.Argument(help="The file to write, a zip; it must not exist yet.")],
) -> None:
    """Back this home up while it is in use: database, evidence, references, calibration; no secrets, no caches."""
    from dife_scanner.app.backup import make
    from dife_scanner.reports import backup as page

    document = make(session.settings(), file)
    session.show(document, lambda: page.render(document))


def restore(
    session: Session,
    file: Annotated[Path, typer.Argument(help="A file that `dife backup` wrote.")],
) -> None:
    """Make a new home (--home) of a backup, after a check of every hash in it; never over one that is there."""
    from dife_scanner.app import restore as restoring
    from dife_scanner.reports import backup as page

    settings = session.settings()
    document = restoring.restore(file, settings.home, settings.limits)
    session.show(document, lambda: page.render(document))
