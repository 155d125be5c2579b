"""The command that makes a stored audit again and compares."""

from __future__ import annotations

from typing import Annotated

import typer

from dife_scanner.cli.options import CaptionsOption, EndpointOption, ExtendOption, PicturesOption
from dife_scanner.cli.session import Session, command
from dife_scanner.errors import NotFound, UsageError

IDENTICAL = 0
DIFFERENT = 1


def register(app: typer.Typer) -> None:
    command(app, "rerun")(rerun)


def rerun(
    session: Session,
    audit: Annotated[str, typer.Argument(help="An audit's id, or a unique beginning of it.")],
    extend: ExtendOption = None,
    pictures: PicturesOption = "",
    captions: CaptionsOption = "",
    endpoint: EndpointOption = None,
) -> int:
    """Make a stored audit again, from the same weights, reference, plan and pools, and compare every value.

    An audit of your own data or with an extension needs the same files again. Nothing that is stored changes.

    Exit code: 0 identical bit for bit, 1 something differs, 3 it could not be made again.
    """
    from dife_scanner.app import scanning
    from dife_scanner.app.rerun import rerun_audit
    from dife_scanner.reports import as_json
    from dife_scanner.reports import rerun as report
    from dife_scanner.store import audits

    settings = session.settings(endpoint=endpoint)
    data = scanning.data(settings, extend or [], pictures, captions)
    with session.store(settings) as store, session.progress() as progress:
        stored = audits.audit(store, audit)
        try:
            again = rerun_audit(store, settings, stored, data, progress)
        except UsageError as error:  # nothing is wrong with the command: what the audit needs is not there
            raise NotFound(error.what, error.advice) from error
    found = report.compare(stored, again)
    document = as_json.RerunDocument(
        audit=stored.id,
        ref=stored.ref,
        identical=found.identical,
        compared=found.compared,
        differences=found.differences,
        reasons=found.reasons,
        device=again.device,
        versions=again.versions,
        extensions=scanning.digests(data),
        notes=found.notes,
    )
    session.show(document, lambda: report.render(stored, found))
    if found.identical:
        return IDENTICAL
    return DIFFERENT
