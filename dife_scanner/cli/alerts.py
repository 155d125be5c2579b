"""Commands about alerts: what waits and what was sent, tests of channels, silences."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli.options import ActorOption
from dife_scanner.cli.session import Session, add_group, command
from dife_scanner.errors import AlertFailed, DifeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dife_scanner.records import Silence

LONGEST_SILENCE_SECONDS = 366 * 86_400


def register(app: typer.Typer) -> None:
    alerts = add_group(app, "alerts", "What is told, to whom, and what is not.")
    command(alerts, "list")(alerts_list)
    command(alerts, "test")(alerts_test)
    command(alerts, "retry")(alerts_retry)
    command(alerts, "silence")(alerts_silence)
    command(alerts, "silences")(alerts_silences)
    command(alerts, "unsilence")(alerts_unsilence)


def alerts_list(session: Session) -> None:
    """List the outbox: what waits, what was sent, what a channel never took, what was silenced."""
    from dife_scanner.reports import as_json, table
    from dife_scanner.store import outbox

    with session.reading(session.settings()) as store:
        rows = outbox.alerts(store)
    session.show(as_json.AlertsDocument(tuple(rows)), lambda: table.alerts(rows))


def alerts_test(session: Session) -> None:
    """Send a test message through every channel, and say of each whether it was taken."""
    from dife_scanner.alerts.deliver import test_message
    from dife_scanner.app import wiring

    channels = wiring.channels(session.settings())
    if not channels:
        raise UsageError(
            "no alert channel is configured", "fill in [alerts] in config.toml: `dife config init`"
        )
    taken = []
    failures = []
    for channel in channels:
        try:
            test_message(channel)
        except DifeError as error:
            failures.append(error)
            if len(channels) > 1:
                session.say(f"{channel.name}: {error.what}; {error.advice}")
        else:
            taken.append(channel.name)
    if failures:
        raise _not_taken(failures, taken)
    session.done("sent", channels=", ".join(taken))


def _not_taken(failures: Sequence[DifeError], taken: Sequence[str]) -> DifeError:
    """The one failure as it is; of several channels how many failed."""
    if len(failures) == 1 and not taken:
        return failures[0]
    count = len(failures)
    return AlertFailed(
        f"{count} of {count + len(taken)} channels did not take the test message",
        "see above for each; the others did",
    )


def alerts_retry(
    session: Session,
    id: Annotated[
        int | None,
        typer.Argument(
            help="An alert's number, from `dife alerts list`, whatever became of it; all that failed if left out."
        ),
    ] = None,
) -> None:
    """Put alerts that were given up on back into the outbox."""
    from dife_scanner.store import outbox

    with session.store(session.settings()) as store:
        count = outbox.revive(store, id)
    session.done("revived", alerts=str(count))


# --- silences ---------------------------------------------------------------------------------------------------


def alerts_silence(
    session: Session,
    filter: Annotated[
        list[str],
        typer.Argument(help="Which findings, e.g. `'repo:~acme target:dog'`; see docs/filters.md."),
    ],
    length: Annotated[str, typer.Option("--for", help="How long: 12h, 7d, 2w; a year at most.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the silence.")],
    actor: ActorOption = "",
) -> None:
    """Tell nobody of some findings for some time. They stay findings, and stand in every list."""
    from dife_scanner.durable.clock import later
    from dife_scanner.store import silences

    seconds = _seconds(length)
    if not reason.strip():
        raise UsageError("a silence needs a reason", "give --reason")
    with session.store(session.settings()) as store:
        made = silences.add(
            store,
            " ".join(filter),
            until=later(seconds),
            reason=reason,
            actor=actor or getpass.getuser(),
        )
    _show(session, [made])


def _seconds(length: str) -> float:
    from dife_scanner.store.fields import seconds_of
    from dife_scanner.store.query import shown

    seconds = seconds_of(length)
    if not seconds or seconds > LONGEST_SILENCE_SECONDS:
        raise UsageError(
            f"{shown(length)} is no length of a silence", "e.g. 12h, 7d or 2w; 366d at most"
        )
    return seconds


def alerts_silences(
    session: Session,
    all: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
) -> None:
    """List silences that are in force: what they cover, by whom, why, and until when."""
    from dife_scanner.durable.clock import now
    from dife_scanner.store import silences

    with session.reading(session.settings()) as store:
        rows = silences.silences(store, at="" if all else now())
    _show(session, rows)


def alerts_unsilence(
    session: Session,
    id: Annotated[int, typer.Argument(help="A silence's number, from `dife alerts silences`.")],
) -> None:
    """End a silence now. What it covered meanwhile is not told."""
    from dife_scanner.store import silences

    with session.store(session.settings()) as store:
        ended = silences.end(store, id)
    _show(session, [ended])


def _show(session: Session, rows: Sequence[Silence]) -> None:
    from dife_scanner.reports import as_json, table

    session.show(as_json.SilencesDocument(tuple(rows)), lambda: table.silences(rows))
