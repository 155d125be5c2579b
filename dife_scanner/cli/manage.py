"""Commands that set things up: config, alerts, info."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli.session import Session, add_group, command
from dife_scanner.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dife_scanner.reports.as_json import InfoDocument


def register(app: typer.Typer) -> None:
    config = add_group(app, "config", "Write or check the settings file.")
    command(config, "init")(config_init)
    command(config, "check")(config_check)
    alerts = add_group(app, "alerts", "The alert outbox and its channels.")
    command(alerts, "list")(alerts_list)
    command(alerts, "test")(alerts_test)
    command(alerts, "retry")(alerts_retry)
    command(app, "info")(info)


def config_init(session: Session) -> None:
    """Write a commented config.toml with every setting at its default."""
    from dife_scanner import settings
    from dife_scanner.store.db import open_store

    read = session.settings()
    path = settings.config_path(read.home)
    if path.exists():
        raise UsageError(f"{path} exists already", "edit it, or move it away first")
    open_store(read.home).close()  # makes the directory, or says why it cannot
    path.write_text(settings.template(), encoding="utf-8")
    _done(session, "written", path=str(path))


def config_check(session: Session) -> None:
    """Read the settings and say what is wrong with them, if anything."""
    from dife_scanner import settings

    read = session.settings()
    _done(session, "the settings are valid", path=str(settings.config_path(read.home)))


def alerts_list(session: Session) -> None:
    """List the outbox: what waits, what was sent, what a channel never took."""
    from dife_scanner.reports import as_json, table
    from dife_scanner.store import outbox

    with session.reading(session.settings()) as store:
        rows = outbox.alerts(store)
    session.show(as_json.AlertsDocument(tuple(rows)), lambda: table.alerts(rows))


def alerts_test(session: Session) -> None:
    """Send a test message through every configured channel."""
    from dife_scanner.alerts.deliver import test_message
    from dife_scanner.app import wiring

    channels = wiring.channels(session.settings())
    if not channels:
        raise UsageError(
            "no alert channel is configured", "fill in [alerts] in config.toml: `dife config init`"
        )
    for channel in channels:
        test_message(channel)
    _done(session, "sent", channels=", ".join(channel.name for channel in channels))


def alerts_retry(
    session: Session,
    id: Annotated[
        int | None,
        typer.Argument(
            help="An alert's number, from `dife alerts list`; all that were given up on if left out."
        ),
    ] = None,
) -> None:
    """Put alerts that were given up on back into the outbox."""
    from dife_scanner.store import outbox

    with session.store(session.settings()) as store:
        count = outbox.revive(store, id)
    _done(session, "revived", alerts=str(count))


def info(session: Session) -> None:
    """Show every path, version and device, and where each secret comes from."""
    from dife_scanner import __version__, secrets
    from dife_scanner.app.info import children, device, paths, scanners, secret_source, versions
    from dife_scanner.reports import as_json
    from dife_scanner.sentences.watching import scope_text
    from dife_scanner.store import trigrams

    read = session.settings()
    document = as_json.InfoDocument(
        version=__version__,
        paths=paths(read),
        device=device(read),
        versions=versions(),
        secrets={name: secret_source(name, read) for name in secrets.SECRETS},
        settings={
            "endpoint": read.endpoint,
            "workers": str(read.workers),
            "interval": f"{read.interval_seconds:g} s",
            "watched": scope_text(read.watch.in_force, read.watch.since),
            "words found": trigrams.described(),
            "watch-lists": ", ".join(str(path) for path in read.watch.list) or "none",
        },
        children=children(),
        scanners=scanners(read),
    )

    session.show(document, lambda: _info(document))


def _info(document: InfoDocument) -> RenderableType:
    from rich.text import Text

    lines = [f"dife-scanner {document.version}"]
    for group in (
        document.paths,
        {"device": document.device},
        document.children,
        document.scanners,
        document.versions,
        document.secrets,
        document.settings,
    ):
        for key, value in group.items():
            lines.append(f"{key:<18} {value}")
    return Text("\n".join(lines))


def _done(session: Session, what: str, **details: str) -> None:
    from dife_scanner.reports import as_json
    from dife_scanner.reports.layout import safe

    text = ", ".join(f"{key} {value}" for key, value in details.items())
    session.show(as_json.DoneDocument(what, details), lambda: safe(f"{what}: {text}", 400))
