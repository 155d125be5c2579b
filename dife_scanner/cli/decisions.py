"""Commands about what a checkpoint may be used for: decide, decisions, gate, handover."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli.options import ActorOption
from dife_scanner.cli.session import Session, add_group, command
from dife_scanner.errors import UsageError

if TYPE_CHECKING:
    from dife_scanner.app.gate import Terms
    from dife_scanner.records import GateAnswer


def register(app: typer.Typer) -> None:
    command(app, "decide")(decide)
    log = add_group(app, "decisions", "What was decided about checkpoints, and what counts now.")
    command(log, "list")(decisions_list)
    command(log, "show")(decisions_show)
    command(log, "take-over")(decisions_take_over)
    command(log, "export")(decisions_export)
    command(log, "import")(decisions_import)
    command(log, "policy")(decisions_policy)
    command(app, "gate")(gate)
    command(app, "handover")(handover)


IdArgument = Annotated[
    str,
    typer.Argument(
        help="A folder, whose files are hashed; org/name[@revision]; an audit, a finding or a job."
    ),
]
DeploymentOption = Annotated[str, typer.Option(help="What it is to be used for.")]
SignOption = Annotated[
    Path | None, typer.Option("--sign", help="Private key in PEM; signs into FILE.sig.")
]


# --- decisions --------------------------------------------------------------------------------------------------


def decide(
    session: Session,
    id: IdArgument,
    state: Annotated[str, typer.Argument(help="approved, conditions, refused or pending")],
    deployment: DeploymentOption,
    reason: Annotated[str, typer.Option(help="Why; kept with the decision.")],
    conditions: Annotated[
        str, typer.Option(help="What has to be kept; with the decision `conditions`.")
    ] = "",
    owner: Annotated[
        str, typer.Option(help="Who answers for it; whoever decides by default.")
    ] = "",
    expires: Annotated[
        str, typer.Option(help="The last day on which it counts, like 2027-01-31, or 90d.")
    ] = "",
    actor: ActorOption = "",
    despite_refusal: Annotated[
        bool, typer.Option("--despite-refusal", help="Approve what was refused before.")
    ] = False,
) -> None:
    """Decide whether a checkpoint may be used for a deployment. Nothing decided before is changed."""
    from dife_scanner.app import files
    from dife_scanner.records import DecisionState
    from dife_scanner.reports import as_json, decisions
    from dife_scanner.store import deciding

    try:
        wanted = DecisionState(state)
    except ValueError:
        choices = ", ".join(DecisionState)
        raise UsageError(f"`{state}` is no decision", f"one of: {choices}") from None
    asked = deciding.Asked(
        wanted,
        reason,
        actor or session.settings().who,
        conditions=conditions,
        owner=owner,
        expires=expires,
        despite_refusal=despite_refusal,
    )
    settings = session.settings()
    with session.store(settings) as store:
        found = files.decided_about(store, id, settings.limits)
        subject = deciding.Subject(found.id, found.model)
        now = deciding.decide(store, [subject], deployment, asked)
    session.show(as_json.DecisionsDocument(id, tuple(now)), lambda: decisions.standings(now))


def decisions_list(
    session: Session,
    filter: Annotated[
        list[str] | None,
        typer.Argument(
            help="What to list, e.g. `'deployment:shop decision:refused age<30d'`; see docs/filters.md."
        ),
    ] = None,
    log: Annotated[
        bool, typer.Option("--log", help="Every decision as it was made, not what counts now.")
    ] = False,
) -> None:
    """List what counts now about everything that was decided, newest decision first."""
    from dife_scanner.reports import as_json
    from dife_scanner.reports import decisions as shown
    from dife_scanner.store import decisions

    text = " ".join(filter or [])
    with session.reading(session.settings()) as store:
        if log:
            events = decisions.log(store, filter=text)
            document = as_json.DecisionsDocument(text, log=tuple(events))
            session.show(document, lambda: shown.log(events))
            return
        rows = decisions.standings(store, filter=text)
    session.show(as_json.DecisionsDocument(text, tuple(rows)), lambda: shown.standings(rows))


def decisions_show(session: Session, id: IdArgument) -> None:
    """Show one checkpoint: what counts for every deployment, earlier decisions on what is like it, and its log."""
    from dife_scanner.app import precedents
    from dife_scanner.reports import decisions

    settings = session.settings()
    with session.reading(settings) as store:
        document = precedents.about(store, id, settings.limits)
    session.show(document, lambda: decisions.about(document))


def decisions_take_over(
    session: Session,
    ids: Annotated[
        list[str], typer.Argument(metavar="ID…", help="Checkpoints, as `dife decide` takes them.")
    ],
    deployment: DeploymentOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    actor: ActorOption = "",
) -> None:
    """Decide about checkpoints as was decided before, where the tower that carries it is equal and does the same.

    What somebody has decided about is left alone. It is asked once, with the count.
    """
    from dife_scanner.app import precedents
    from dife_scanner.reports import as_json, decisions

    settings = session.settings()
    with session.store(settings) as store:
        made, passed = precedents.proposals(store, ids, deployment, settings.limits)
        for one in passed:
            session.say(f"{one.target}: {one.why}")
        done = precedents.take_over(
            store, made, deployment, actor or session.settings().who, _agreed(session, yes)
        )
    document = as_json.DecisionsDocument(" ".join(ids), tuple(done))
    session.show(document, lambda: decisions.standings(done))


def _agreed(session: Session, yes: bool) -> Callable[[int], bool]:
    """Whether whoever sits at the terminal agrees; nobody who is not asked does."""
    ask = session.confirm()

    def agreed(count: int) -> bool:
        return yes or (ask is not None and ask(f"take over {count} decisions?"))

    return agreed


def decisions_export(
    session: Session,
    file: Annotated[Path, typer.Argument(help="Where to write the log, as JSON Lines.")],
    sign: SignOption = None,
) -> None:
    """Write everything that was decided at this desk, for other desks."""
    from dife_scanner.app import desk_log

    settings = session.settings()
    with session.reading(settings) as store:
        desk = desk_log.desk_name(settings)
        count = desk_log.write(store, desk, file, sign)
    session.done("written", file=str(file), desk=desk, decisions=str(count))


def decisions_import(
    session: Session,
    file: Annotated[Path, typer.Argument(help="What another desk exported.")],
    key: Annotated[
        Path | None,
        typer.Option(help="That desk's public key in PEM: only with its signature in FILE.sig."),
    ] = None,
) -> None:
    """Append what another desk decided. It can close the gate and never opens it; conflicts are shown."""
    from rich.console import Group

    from dife_scanner.app import desk_log
    from dife_scanner.reports import as_json, decisions
    from dife_scanner.reports.layout import safe

    settings = session.settings()
    with session.store(settings) as store:
        found = desk_log.take(store, file, desk_log.desk_name(settings), key)
    document = as_json.ImportDocument(found.desk, found.events, found.new, found.standings)
    line = f"desk {found.desk}: {found.events} decisions, {found.new} of them new"
    session.show(document, lambda: Group(safe(line, 200), decisions.standings(found.standings)))


def decisions_policy(
    session: Session,
    file: Annotated[Path, typer.Argument(help="Where to write the policy.")],
    deployment: Annotated[
        list[str] | None, typer.Option(help="Only these; all by default; repeatable.")
    ] = None,
    sign: SignOption = None,
) -> None:
    """Write what counts now into one file, for `dife gate --policy` on a machine without this home."""
    from dife_scanner.app import desk_log, policy

    settings = session.settings()
    with session.reading(settings) as store:
        made = policy.made(store, desk_log.desk_name(settings), tuple(deployment or ()))
    digest = policy.write(made, file, sign)
    session.done("written", file=str(file), entries=str(len(made.entries)), digest=digest)


# --- gate -------------------------------------------------------------------------------------------------------


def gate(
    session: Session,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A folder or a file of weights, which is hashed, or `org/name[@revision]`, which is looked up.",
        ),
    ],
    deployment: DeploymentOption,
    policy: Annotated[
        Path | None,
        typer.Option(help="Ask this file in the place of the home; needs --digest or --key."),
    ] = None,
    digest: Annotated[str, typer.Option(help="sha256:… that the policy has.")] = "",
    key: Annotated[
        Path | None, typer.Option(help="Public key in PEM that signed the policy.")
    ] = None,
    max_age: Annotated[
        float, typer.Option(min=0, help="Days after which a policy is stale.")
    ] = 30.0,
    max_audit_age: Annotated[
        float | None,
        typer.Option(min=0, help="Days after which an audit is stale; never by default."),
    ] = None,
    accept_conditions: Annotated[
        bool, typer.Option("--accept-conditions", help="The conditions of an approval are kept.")
    ] = False,
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="Weights beside those that were audited that may be there; repeatable."),
    ] = None,
) -> int:
    """Say whether a checkpoint may be used for a deployment.

    Exit code: 0 approved, 1 refused, 2 anything else (pending, expired, stale, not audited, conditions that nobody
    accepted, other weights beside), 3 the command failed, 64 wrong usage.
    """
    from dife_scanner.app.gate import Terms, exit_code
    from dife_scanner.reports import as_json, decisions

    terms = Terms(accept_conditions, frozenset(ignore or ()), max_audit_age, max_age)
    if policy is None:
        if digest or key:
            raise UsageError("--digest and --key are of a policy", "give it with --policy")
        answer = _from_store(session, target, deployment, terms)
    else:
        answer = _from_policy(session, target, deployment, policy, digest, key, terms)
    session.show(as_json.GateDocument((answer,)), lambda: decisions.gate([answer]))
    return exit_code(answer)


def _from_store(session: Session, target: str, deployment: str, terms: Terms) -> GateAnswer:
    from dife_scanner.app import files, gate
    from dife_scanner.checkpoints import is_local

    settings = session.settings()
    found = files.lying_here(target, settings.limits) if is_local(target) else None
    with session.reading(settings) as store:
        known = found or files.of_repository(store, target)
        return gate.ask_store(store, known, deployment, terms)


def _from_policy(
    session: Session,
    target: str,
    deployment: str,
    file: Path,
    digest: str,
    key: Path | None,
    terms: Terms,
) -> GateAnswer:
    from dife_scanner.app import files, gate
    from dife_scanner.app import policy as policies
    from dife_scanner.checkpoints import is_local

    read, proven = policies.read(file, digest, key)
    if not is_local(target):
        raise UsageError(
            "a policy knows files, and no repositories",
            "give the folder or file that is to be used",
        )
    found = files.lying_here(target, session.settings().limits)
    return gate.ask_policy(read, proven, found, deployment, terms)


# --- handover ---------------------------------------------------------------------------------------------------


def handover(
    session: Session,
    days: Annotated[
        float, typer.Option(min=0, max=3650, help="Name decisions that expire within so many days.")
    ] = 14.0,
) -> None:
    """Say what the next shift has to know: open, disputed, to be decided, about to expire, quarantined, silenced."""
    from dife_scanner.app import handover as shifts
    from dife_scanner.reports import decisions

    with session.reading(session.settings()) as store:
        document = shifts.handover(store, days)
    session.show(document, lambda: decisions.handover(document))
