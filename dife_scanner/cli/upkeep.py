"""Commands that keep an installation well: doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from dife_scanner.cli.session import Session, command


def register(app: typer.Typer) -> None:
    command(app, "doctor")(doctor)


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
