"""Commands about what checkpoints are used for: deployments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dife_scanner.cli.options import ActorOption
from dife_scanner.cli.session import Session, add_group, command
from dife_scanner.errors import UsageError

if TYPE_CHECKING:
    from dife_scanner.records import Deployment, DeploymentProfile
    from dife_scanner.settings import Settings


def register(app: typer.Typer) -> None:
    group = add_group(app, "deployments", "What checkpoints are used for (docs/decisions.md).")
    command(group, "add")(add)
    command(group, "list")(listed)
    command(group, "show")(show)
    command(group, "edit")(edit)
    command(group, "remove")(remove)
    command(group, "measure")(measure)


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The deployment's name.")]
ProfileOption = Annotated[
    Path | None, typer.Option("--file", help="A profile in TOML; replaces all it said before.")
]
InterfaceOption = Annotated[
    list[str] | None, typer.Option("--interface", help="From `dife cards`; repeatable.")
]
TemplateOption = Annotated[
    list[str] | None, typer.Option("--template", help="A prompt with one `{}`; repeatable.")
]
ClassOption = Annotated[list[str] | None, typer.Option("--class", help="A class name; repeatable.")]
QueryOption = Annotated[
    list[str] | None, typer.Option("--query", help="A text to look for pictures with; repeatable.")
]
KOption = Annotated[
    int | None, typer.Option("--k", help="How many results of a retrieval are looked at.")
]
PicturesOption = Annotated[
    str | None, typer.Option(help="Labelled pictures of your own; empty for none.")
]
PoolOption = Annotated[
    str | None, typer.Option(help="Captioned pictures of your own; empty for none.")
]
PlanOption = Annotated[
    bool,
    typer.Option("--plan", help="Say what would be kept, own pictures read, and keep nothing."),
]


def add(
    session: Session,
    name: NameArgument,
    file: ProfileOption = None,
    interface: InterfaceOption = None,
    template: TemplateOption = None,
    class_: ClassOption = None,
    query: QueryOption = None,
    k: KOption = None,
    pictures: PicturesOption = None,
    pool: PoolOption = None,
    plan: PlanOption = False,
    actor: ActorOption = "",
) -> None:
    """Say what checkpoints are used for: interfaces, class names or queries, K, pictures of your own."""
    from dife_scanner.records import DeploymentProfile
    from dife_scanner.store import deployments

    settings = session.settings()
    given = _given(interface, template, class_, query, k, pictures, pool)
    profile = _profile(DeploymentProfile(name, ()), file, given, settings)
    if plan:
        return _show_plan(session, profile, actor)
    with session.store(settings) as store:
        added = deployments.add(store, profile, actor or settings.who)
    return _show(session, added)


def edit(
    session: Session,
    name: NameArgument,
    file: ProfileOption = None,
    interface: InterfaceOption = None,
    template: TemplateOption = None,
    class_: ClassOption = None,
    query: QueryOption = None,
    k: KOption = None,
    pictures: PicturesOption = None,
    pool: PoolOption = None,
    plan: PlanOption = False,
    actor: ActorOption = "",
) -> None:
    """Change what is given, and keep the rest. Own pictures are read anew. Decisions about it become pending."""
    from dife_scanner.store import deployments

    settings = session.settings()
    given = _given(interface, template, class_, query, k, pictures, pool)
    with session.reading(settings) as reading:
        before = deployments.deployment(reading, name)
    profile = _profile(before.profile, file, given, settings)  # own pictures may take a while
    if plan:
        return _show_plan(session, profile, actor)
    with session.store(settings) as store:
        after = deployments.edit(store, profile, actor or settings.who, seen=before.version)
    if after.version == before.version:
        session.say("it says so already: no new version")
    return _show(session, after)


def _given(
    interface: list[str] | None,
    template: list[str] | None,
    class_: list[str] | None,
    query: list[str] | None,
    k: int | None,
    pictures: str | None,
    pool: str | None,
) -> dict[str, Any]:
    """The options that were typed, as the fields of a profile."""
    fields = {
        "interfaces": interface,
        "templates": template,
        "classes": class_,
        "queries": query,
        "k": k,
        "pictures": pictures,
        "pool": pool,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _profile(
    before: DeploymentProfile, file: Path | None, given: dict[str, Any], settings: Settings
) -> DeploymentProfile:
    from dife_scanner.app import deployments

    if file is None:
        return deployments.changed(before, given, settings)
    if given:
        raise UsageError(
            "a profile is described by --file or by options", "leave one of the two out"
        )
    return deployments.from_file(before.name, file, settings)


def listed(session: Session) -> None:
    """List the deployments that there are."""
    from dife_scanner.reports import as_json, decisions
    from dife_scanner.store import deployments

    with session.reading(session.settings()) as store:
        rows = deployments.deployments(store)
    session.show(as_json.DeploymentsDocument(tuple(rows)), lambda: decisions.deployments(rows))


def show(session: Session, name: NameArgument) -> None:
    """Show everything that a deployment's profile says; with --json every version of it."""
    from dife_scanner.reports import as_json, decisions
    from dife_scanner.store import deployments

    with session.reading(session.settings()) as store:
        versions = deployments.history(store, name)
        newest = versions[-1] if versions else deployments.deployment(store, name)
    session.show(as_json.DeploymentsDocument(tuple(versions)), lambda: decisions.deployment(newest))


def remove(session: Session, name: NameArgument, actor: ActorOption = "") -> None:
    """Say that a deployment is used no longer. Its versions and the decisions about it stay in the log."""
    from dife_scanner.store import deployments

    with session.store(session.settings()) as store:
        removed = deployments.remove(store, name, actor or session.settings().who)
    _show(session, removed)


def measure(
    session: Session,
    name: NameArgument,
    ids: Annotated[
        list[str],
        typer.Argument(
            metavar="ID…", help="Audits, findings or models, as `dife show` takes them."
        ),
    ],
) -> None:
    """Measure what audits found with a deployment's own classes, prompts, queries, pictures, pool and K.

    Nothing is searched, and the audits stay as they are. `dife show` and `dife gate` tell the result.
    """
    from dife_scanner.app import measuring
    from dife_scanner.cli import shown
    from dife_scanner.reports import as_json, decisions

    settings = session.settings()
    made = []
    with session.store(settings) as store, session.progress() as progress:
        for one in ids:
            audit = shown.audit_of(store, one)
            made.append(measuring.measure(store, settings, audit.id, name, progress))
    document = as_json.MeasurementsDocument(tuple(made))
    session.show(document, lambda: decisions.measurements(made))


def _show_plan(session: Session, profile: DeploymentProfile, actor: str) -> None:
    """What keeping it would make."""
    from dife_scanner.store import deployments

    settings = session.settings()
    with session.reading(settings) as store:
        _show(session, deployments.planned(store, profile, actor or settings.who))


def _show(session: Session, deployment: Deployment) -> None:
    from dife_scanner.reports import as_json, decisions

    document = as_json.DeploymentsDocument((deployment,))
    session.show(document, lambda: decisions.deployment(deployment))
