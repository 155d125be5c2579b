"""The first start of a watcher: how much is to be watched, and back to when."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dife_scanner.cli.options import Scope
from dife_scanner.cli.session import Session
from dife_scanner.errors import HubError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dife_scanner.app.scopes import Choice
    from dife_scanner.settings import Settings

Ask = Callable[[str, str], str]
"""Gets the question and the answer that an empty line stands for."""


def given(scope: Scope | None, since: str | None, lists: Sequence[Path] | None) -> dict[str, Any]:
    """The options of the command line as keys of the settings' section; empty where none was given."""
    chosen: dict[str, Any] = {}
    if scope is not None:
        chosen["scope"] = scope.value
    if since is not None:
        chosen["since"] = since
    if lists:
        chosen["list"] = [str(path.expanduser().absolute()) for path in lists]
    return chosen


def choose(session: Session, settings: Settings, chosen: dict[str, Any]) -> bool:
    """Keep what was given, or ask a person who starts a watcher for the first time; whether anything was kept.

    Where nobody can be asked, one line says what is watched.
    """
    from dife_scanner.app import scopes

    if chosen:
        _keep(settings, chosen, checked=settings.watch.since)
        return True
    if not scopes.is_fresh(settings):
        return False
    if not _can_ask(session):
        session.say(
            f"watching everything that changed since {settings.watch.since}; "
            "`dife watch --scope … --since … --list …` changes it (docs/watching.md)"
        )
        return False
    answers = ask(session, settings, _prompt)
    _keep(settings, answers, checked=answers["since"])
    return True


def _keep(settings: Settings, chosen: dict[str, Any], *, checked: str) -> None:
    """Write the choice into the settings file; a watch-list that cannot be read is not kept."""
    from dife_scanner.app import scopes
    from dife_scanner.hub import in_use
    from dife_scanner.store.db import open_store

    in_use.read([Path(path) for path in chosen.get("list", ())])
    open_store(settings.home).close()  # makes the home, or says why it cannot
    if "since" in chosen:
        chosen = {**chosen, "since": checked}
    scopes.remember(settings.home, chosen)


def _can_ask(session: Session) -> bool:
    talks = not session.quiet and not session.as_json
    return talks and sys.stdin.isatty() and sys.stderr.isatty()


def _prompt(question: str, default: str) -> str:
    return str(typer.prompt(question, default=default, err=True))


def ask(session: Session, settings: Settings, prompt: Ask) -> dict[str, str]:
    """Show what each choice takes, and ask for one: the scope, then back to when."""
    from dife_scanner.app import scopes

    console = session.err()
    console.print("How much of the hub is to be watched? It can be changed later.")
    console.print("Counting what each answer takes …")
    try:
        console.print(table(scopes.choices(settings)))
    except HubError as error:
        session.say(f"no numbers: {error.what}")
    scope = _one_of(prompt, list(Scope), "scope: in-use, fine-tunes or everything", "everything")
    since = settings.watch.since
    if scope != Scope.IN_USE:
        since = _time(prompt, since)
    return {"scope": scope, "since": since}


def _one_of(prompt: Ask, allowed: Sequence[str], question: str, default: str) -> str:
    while True:
        answer = prompt(question, default).strip().lower()
        if answer in allowed:
            return str(answer)


def _time(prompt: Ask, default: str) -> str:
    from pydantic import ValidationError

    from dife_scanner.settings import Watch

    while True:
        answer = prompt("back to when: a number of days, a date (2025-01-31) or all", default)
        try:
            return Watch(since=answer).since
        except ValidationError:
            continue


def table(choices: Sequence[Choice]) -> RenderableType:
    """What each choice takes the first time."""
    from dife_scanner.reports.layout import columns
    from dife_scanner.sentences.numbers import bytes_text

    shown = columns("scope", "back to", "models", "requests", "bytes", "hours")
    for one in choices:
        about = "" if one.exact else "about "
        since = "" if one.scope.value == Scope.IN_USE.value else one.since
        shown.add_row(
            one.scope.value,
            since,
            f"{about}{one.models:,}",
            f"about {one.requests:,}",
            f"about {bytes_text(one.bytes)}",
            f"about {one.hours:.1f}",
        )
    return shown
