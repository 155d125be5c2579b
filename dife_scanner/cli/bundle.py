"""Commands that hand over proof: `bundle attest` and `bundle verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dife_scanner.cli.export import OutOption, write
from dife_scanner.cli.session import Session, add_group, command


def register(app: typer.Typer) -> None:
    bundle = add_group(app, "bundle", "Proof of an audit, for others.")
    command(bundle, "attest")(attest)
    command(bundle, "verify")(verify)


def attest(
    session: Session,
    folder: Annotated[Path, typer.Argument(help="The model's files, which were audited here.")],
    sign: Annotated[Path, typer.Option("--sign", help="Private Ed25519 key in PEM.")],
    out: OutOption = None,
) -> None:
    """Sign what the latest audit of these files says, bound to their digest (in-toto, DSSE); it holds no trigger."""
    from dife_scanner.app import attesting

    settings = session.settings()
    with session.reading(settings) as store:
        text = attesting.attest(store, folder, sign, settings.limits)
    write(session, text, out)


def verify(
    session: Session,
    file: Annotated[Path, typer.Argument(help="What `dife bundle attest` wrote.")],
    key: Annotated[Path, typer.Option(help="Public Ed25519 key in PEM.")],
    model: Annotated[
        Path | None, typer.Option(help="The model's folder: whether it is about these files.")
    ] = None,
) -> None:
    """Check signature, kind and, with --model, the files; then print what is attested."""
    from dife_scanner.app import attesting

    statement = attesting.verify(file, key, model)
    subject, audit = statement["subject"][0], statement["predicate"]["audit"]
    session.done(
        "verified",
        model=str(subject.get("name", "")),
        digest=str(subject["digest"]["sha256"]),
        verdict=str(audit["verdict"]),
        audit=str(audit.get("id", "")),
        files="equal" if model is not None else "not compared",
    )
