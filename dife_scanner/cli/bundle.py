"""Commands that hand over proof: `bundle attest`, `bundle make` and `bundle verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dife_scanner.cli.export import OutOption, write, write_file
from dife_scanner.cli.session import Session, add_group, command
from dife_scanner.errors import UsageError


def register(app: typer.Typer) -> None:
    bundle = add_group(app, "bundle", "Proof of an audit, for others.")
    command(bundle, "attest")(attest)
    command(bundle, "make")(make)
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


def make(
    session: Session,
    finding: Annotated[str, typer.Argument(help="A finding, or the beginning of it.")],
    out: Annotated[Path, typer.Option("--out", help="The zip to write.")],
    with_triggers: Annotated[
        bool,
        typer.Option(
            "--with-triggers",
            help="Also what sets the trigger off, and what reproduces it; keep such a file.",
        ),
    ] = False,
    model: Annotated[
        Path | None,
        typer.Option(help="Where the audited files lie, of another layout than open_clip's."),
    ] = None,
) -> None:
    """Pack a finding's evidence with a manifest of hashes, and with --with-triggers a script that shows it again."""
    from dife_scanner.app import bundling

    settings = session.settings()
    with session.reading(settings) as store:
        content = bundling.make(
            store, finding, settings.limits, with_triggers=with_triggers, folder=model
        )
    write_file(session, content, out)


def verify(
    session: Session,
    file: Annotated[
        Path, typer.Argument(help="What `dife bundle attest` or `dife bundle make` wrote.")
    ],
    key: Annotated[
        Path | None, typer.Option(help="Public Ed25519 key in PEM, for an attestation.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="The model's folder: whether it is about these files.")
    ] = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="Measure the claim of a bundle again, on the files of --model."
        ),
    ] = False,
) -> None:
    """Check signature or hashes and, with --model, the files; then print what it is about."""
    from dife_scanner.app import bundle_check

    if measure and model is None:
        raise UsageError("--measure needs the files to measure", "give --model FOLDER")
    if bundle_check.is_bundle(file):
        _verify_bundle(session, file, key, model, measure=measure)
    elif measure:
        raise UsageError(
            f"{file} is no bundle, and holds nothing to measure", "leave --measure out"
        )
    else:
        _verify_attestation(session, file, key, model)


def _verify_attestation(session: Session, file: Path, key: Path | None, model: Path | None) -> None:
    from dife_scanner.app import attesting

    if key is None:
        raise UsageError(f"{file} is no bundle, and an attestation needs a key", "give --key")
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


def _verify_bundle(
    session: Session, file: Path, key: Path | None, model: Path | None, *, measure: bool
) -> None:
    from dife_scanner.app import bundle_check

    if key is not None:
        raise UsageError(f"{file} is an evidence bundle, which nobody signs", "leave --key out")
    settings = session.settings()
    found = bundle_check.verify(file, model, settings.limits)
    claim = found.claim
    if measure and model is not None:
        from dife_scanner.app import remeasuring

        with session.progress() as progress:
            claim = remeasuring.measure(found, model, settings, progress)
    session.done(
        "verified",
        edition=found.edition,
        finding=found.finding,
        audit=found.audit,
        model=found.model,
        members=f"{found.members} equal to the manifest",
        files=found.files,
        signature="none: who made it is not checked",
        claim=claim,
    )
