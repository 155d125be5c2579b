"""Commands that set things up: config, info."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from dife_scanner.cli.session import Session, add_group, command
from dife_scanner.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dife_scanner.reports.as_json import InfoDocument


def register(app: typer.Typer) -> None:
    config = add_group(app, "config", "Write or check the settings file.")
    command(config, "init")(config_init)
    command(config, "check")(config_check)
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
    session.done("written", path=str(path))


def config_check(session: Session) -> None:
    """Read the settings and say everything that is wrong with them: the key, its line, and what to do."""
    from dife_scanner import settings
    from dife_scanner.app.config_check import errors

    found = errors(session.home)
    if len(found) == 1:
        raise found[0]
    for error in found:
        session.say(f"{error.what}; {error.advice}")
    if found:
        raise SettingsError(f"{len(found)} settings are not valid", "correct each; they are above")
    read = session.settings()
    session.done("the settings are valid", path=str(settings.config_path(read.home)))


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
            "workers": str(read.workers or "one for each device"),
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
