"""`dife reference`: the clean checkpoints that suspects are compared with."""

from __future__ import annotations

from typing import Annotated

import typer

from dife_scanner.cli.exit_codes import FAILED
from dife_scanner.cli.options import EndpointOption
from dife_scanner.cli.session import Session, add_group, command


def register(app: typer.Typer) -> None:
    group = add_group(app, "reference", "The clean checkpoints that suspects are compared with.")
    command(group, "add")(reference_add)
    command(group, "list")(reference_list)
    command(group, "qualify")(reference_qualify)
    command(group, "verify")(reference_verify)
    command(group, "pin")(reference_pin)


NameOption = Annotated[
    str, typer.Option(help="How to call it; the folder's or repository's name by default.")
]


def reference_add(
    session: Session,
    target: Annotated[
        str,
        typer.Argument(
            help="A known base (`dife reference list --registry`), a folder, or org/name[@revision]."
        ),
    ],
    name: NameOption = "",
    endpoint: EndpointOption = None,
) -> None:
    """Declare a checkpoint clean: suspects of its architecture are compared with it."""
    from dife_scanner.app.references import add_reference, qualified
    from dife_scanner.records import Trust
    from dife_scanner.reports import as_json, bases
    from dife_scanner.store import findings

    settings = session.settings(endpoint=endpoint)
    with session.store(settings) as store, session.progress() as progress:
        added = add_reference(store, settings, target, name, progress)
        against = findings.demonstrated_in(store, added.image_tower, added.text_tower)
        known = qualified(store, [added])
    if against:
        session.say(
            f"audit {against[0].id} found a trigger in this very checkpoint: it is tried on all that is compared with "
            f"{added.name}, and whatever responds to it is reported as inherited"
        )
    if added.trust is Trust.FIRST_USE:
        session.say(
            f"trusted on first use: commit {added.revision[:12]} of {added.repository}; "
            f"`dife reference pin {added.name}` makes it the only one that counts"
        )
    document = as_json.ReferencesDocument((added,), qualified=known)
    session.show(document, lambda: bases.references(document))


def reference_list(
    session: Session,
    registry: Annotated[
        bool, typer.Option("--registry", help="Every base that is known by name, here or not.")
    ] = False,
    concepts: Annotated[
        bool,
        typer.Option("--concepts", help="Name the concepts and styles that each does not know."),
    ] = False,
) -> None:
    """List the clean checkpoints, bundled ones included, how far each is trusted, and what it knows."""
    from dife_scanner.app.references import known_bases, listed
    from dife_scanner.reports import bases

    settings = session.settings()
    with session.store(settings) as store:
        if registry:
            known = known_bases(store, settings)
            session.show(known, lambda: bases.registry(known))
            return
        here = listed(store)
    shown = bases.unknown if concepts else bases.references
    session.show(here, lambda: shown(here))


def reference_qualify(
    session: Session,
    name: Annotated[
        str, typer.Argument(help="One of them; all where it is left out.", show_default=False)
    ] = "",
) -> None:
    """Measure now which concepts a base recognises; else the first audit that searches against it does, once."""
    from dife_scanner.app.references import qualify
    from dife_scanner.reports import bases

    settings = session.settings()
    with session.store(settings) as store, session.progress() as progress:
        document = qualify(store, settings, name, progress)
    session.show(document, lambda: bases.unknown(document))


def reference_verify(
    session: Session,
    name: Annotated[
        str, typer.Argument(help="One of them; all where it is left out.", show_default=False)
    ] = "",
    endpoint: EndpointOption = None,
) -> int:
    """Hash the files again, and ask the hub whether it still announces the same ones. Exit code 3 where one differs."""
    from dife_scanner.app.references import verified
    from dife_scanner.reports import bases

    settings = session.settings(endpoint=endpoint)
    with session.store(settings) as store, session.progress() as progress:
        document = verified(store, settings, name, progress)
    session.show(document, lambda: bases.checks(document))
    failed = any(False in (check.intact, check.on_hub) for check in document.checks)
    return FAILED if failed else 0


def reference_pin(
    session: Session,
    name: Annotated[
        str, typer.Argument(help="A reference, a known base, or the repository it is fetched from.")
    ],
    revision: Annotated[
        str, typer.Option(help="The commit, 40 digits; the one that is here by default.")
    ] = "",
    sha256: Annotated[str, typer.Option(help="Of the weights, 64 digits.")] = "",
) -> None:
    """Make one commit of a base the only one that counts: from now on no other is fetched."""
    from dife_scanner.app.references import pin
    from dife_scanner.reports import as_json
    from dife_scanner.reports.layout import safe

    settings = session.settings()
    with session.store(settings) as store:
        record = pin(store, settings, name, revision, sha256)
    details = {"repository": record.repository, "revision": record.revision}
    text = f"pinned: {record.repository} at commit {record.revision}"
    session.show(as_json.DoneDocument("pinned", details), lambda: safe(text, 300))
