"""`dife triage`: record what people decide about findings, one or many at once, and take the last of it back."""

from __future__ import annotations

from dataclasses import dataclass
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
    deadline: Annotated[
        str,
        typer.Option(help="The last day for an answer to a disputed one, like 2027-01-31, or 30d."),
    ] = "",
    answer: Annotated[
        str, typer.Option(help="What the supplier said to a disputed one; then it is not overdue.")
    ] = "",
    assign: Annotated[
        str | None,
        typer.Option(help="Who shall look at it; '' for nobody. Without STATE it stays as it is."),
    ] = None,
    actor: ActorOption = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Record a decision about findings. Nothing decided before is changed; more than one is asked about once."""
    given = list(words or [])
    who = actor or session.settings().who
    if undo or redo:
        if given or filter or note or expires or deadline or answer or assign or (undo and redo):
            raise UsageError("--undo and --redo are about what was decided last", "give one alone")
        _take_back(session, who, yes, again=redo)
    else:
        wish = _wish(given, filter, note, expires, deadline, answer, assign)
        _decide(session, wish, filter, who, yes)


@dataclass(frozen=True)
class _Wish:
    """What is to be decided about the findings of `ids`, or of a filter."""

    ids: list[str]
    state: TriageState | None
    note: str
    day: str
    assignee: str | None
    answer: str


def _wish(
    given: list[str],
    filter: str,
    note: str,
    expires: str,
    deadline: str,
    answer: str,
    assign: str | None,
) -> _Wish:
    from dife_scanner.records import TriageState
    from dife_scanner.store import triage as acts

    only_assigns = assign is not None and (not given or given[-1].startswith("fp1:"))
    ids = given if only_assigns else given[:-1]
    if bool(filter) == bool(ids) or not (given or only_assigns):
        raise UsageError(
            "a decision needs findings and a state",
            "dife triage ID… STATE, or dife triage STATE --filter '…'",
        )
    state = None if only_assigns else _state(given[-1])
    if (expires and state is TriageState.DISPUTED) or (
        deadline and state is not TriageState.DISPUTED
    ):
        raise UsageError(
            "that day does not go with this state",
            "--expires is of accepted-risk, --deadline of disputed",
        )
    acts.check(state, note, expires or deadline, assign, answer)
    return _Wish(ids, state, note, expires or deadline, assign, answer)


def _decide(session: Session, wish: _Wish, filter: str, who: str, yes: bool) -> None:
    from dife_scanner.store import triage as acts

    with session.store(session.settings()) as store:
        about = acts.of_filter(store, filter) if filter else _named(store, wish.ids)
        if len(about) > 1 and not _agreed(session, yes, _question(store, wish, about)):
            session.say("nothing was decided")
            return
        acts.decide(
            store,
            wish.state,
            about,
            actor=who,
            note=wish.note,
            expires=wish.day,
            assignee=wish.assignee,
            answer=wish.answer,
        )
        _show(session, store, about, filter or " ".join(wish.ids))


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


def _question(store: Store, wish: _Wish, about: Seen) -> str:
    from dife_scanner.sentences.triage import counts_text
    from dife_scanner.store import triage as acts

    many = f"{len(about):,} findings ({counts_text(acts.by_state(store, about))})"
    if wish.state is None:
        return f"assign {many} to {wish.assignee or 'nobody'}?"
    return f"set {many} to {wish.state}?"


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
