"""`dife triage`: record what people decide about findings, one or many at once, and take the last of it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli.options import ActorOption
from dife_scanner.cli.session import Session, command
from dife_scanner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dife_scanner.records import TriageState
    from dife_scanner.store.db import Store
    from dife_scanner.store.triage import Seen


def register(app: typer.Typer) -> None:
    command(app, "triage")(triage)


def triage(
    session: Session,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID]… STATE",
            help="Fingerprints (fp1:…) from `dife findings`, and the state: triaging, confirmed, false-positive, "
            "accepted-risk, disputed, disclosed, out-of-scope, fixed-upstream.",
            show_default=False,
        ),
    ] = None,
    filter: Annotated[
        str,
        typer.Option(help="In place of IDs: every finding that fits, as in `dife findings`."),
    ] = "",
    undo: Annotated[
        bool,
        typer.Option("--undo", help="Take back your last decision, all of it; no ID or STATE."),
    ] = False,
    redo: Annotated[
        bool,
        typer.Option("--redo", help="Decide again what you took back last; no ID or STATE."),
    ] = False,
    note: Annotated[str, typer.Option(help="Why you decided so; kept with the decision.")] = "",
    expires: Annotated[
        str,
        typer.Option(
            help="The last day on which an accepted-risk counts, like 2027-01-31, or 90d."
        ),
    ] = "",
    actor: ActorOption = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Record a decision about findings. Nothing decided before is changed; more than one is asked about once."""
    given = list(words or [])
    who = actor or session.settings().who
    if undo or redo:
        if given or filter or note or expires or (undo and redo):
            raise UsageError("--undo and --redo are about what was decided last", "give one alone")
        _take_back(session, who, yes, again=redo)
    else:
        _decide(session, given, filter, note, expires, who, yes)


def _decide(
    session: Session, given: list[str], filter: str, note: str, expires: str, who: str, yes: bool
) -> None:
    from dife_scanner.store import triage as acts

    if bool(filter) == (len(given) != 1) or not given:
        raise UsageError(
            "a decision needs findings and a state",
            "dife triage ID… STATE, or dife triage STATE --filter '…'",
        )
    state = _state(given[-1])
    acts.check(state, note, expires)
    with session.store(session.settings()) as store:
        about = acts.of_filter(store, filter) if filter else _named(store, given[:-1])
        if len(about) > 1 and not _agreed(session, yes, _question(store, state, about)):
            session.say("nothing was decided")
            return
        acts.decide(store, state, about, actor=who, note=note, expires=expires)
        _show(session, store, about, filter or " ".join(given[:-1]))


def _state(word: str) -> TriageState:
    from dife_scanner.records import TriageState
    from dife_scanner.store.triage import SET_BY_HAND

    try:
        return TriageState(word)
    except ValueError:
        choices = ", ".join(sorted(SET_BY_HAND))
        raise UsageError(f"`{word}` is not a triage state", f"one of: {choices}") from None


def _named(store: Store, ids: list[str]) -> Seen:
    """How the findings stand that these fingerprints name, or unique beginnings of them."""
    from dife_scanner.store import findings
    from dife_scanner.store import triage as acts

    return acts.seen(store, [findings.finding(store, one).fingerprint for one in ids])


def _question(store: Store, state: TriageState, about: Seen) -> str:
    from dife_scanner.sentences.triage import counts_text
    from dife_scanner.store import triage as acts

    return f"set {len(about):,} findings ({counts_text(acts.by_state(store, about))}) to {state}?"


def _agreed(session: Session, yes: bool, question: str) -> bool:
    """Ask once; raises `UsageError` where nobody can be asked."""
    if yes:
        return True
    ask = session.confirm()
    if ask is None:
        raise UsageError(f"{question} Nobody is here to answer", "give --yes")
    return ask(question)


def _take_back(session: Session, who: str, yes: bool, *, again: bool) -> None:
    """Take back what somebody decided last; `again`: decide again what they took back last."""
    from dife_scanner.sentences.triage import act_text, redone_text, undone_text
    from dife_scanner.store import triage as acts

    with session.store(session.settings()) as store:
        events = acts.last_undone_by(store, who) if again else acts.last_of(store, who)
        what = "decide again" if again else "take back"
        if len(events) > 1 and not _agreed(session, yes, f"{what}: {act_text(events)}?"):
            session.say("nothing was changed")
            return
        change = acts.redo if again else acts.undo
        done = change(store, events[0].act, actor=who)
        session.say(redone_text(done) if again else undone_text(done))
        _show(session, store, done.fingerprints, "")


def _show(session: Session, store: Store, fingerprints: Iterable[str], filter: str) -> None:
    """The findings as they stand now."""
    from dife_scanner.reports import as_json, table
    from dife_scanner.store import findings

    rows = [findings.finding(store, one) for one in fingerprints]
    session.show(as_json.FindingsDocument(filter, tuple(rows)), lambda: table.findings(rows))
