"""Commands about calibration: which packs there are, whether they are what was written, and making one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli.options import Budget, EndpointOption
from dife_scanner.cli.session import Session, add_group, command

if TYPE_CHECKING:
    from dife_scanner import records
    from dife_scanner.reports.as_json import CalibrationDocument
    from dife_scanner.settings import Settings

WHOLE = 0
DAMAGED = 3


def register(app: typer.Typer) -> None:
    group = add_group(
        app, "calibration", "Calibration sets of benign models, for p-values (docs/calibration.md)."
    )
    command(group, "list")(list_packs)
    command(group, "verify")(verify)
    command(group, "build")(build)
    command(group, "from-hub")(from_hub)


def list_packs(session: Session) -> None:
    """List calibration packs and power tables: shipped ones and your own, what each speaks of, and how old it is."""
    _show(session, [])


def verify(
    session: Session,
    files: Annotated[
        list[Path] | None, typer.Argument(help="Calibration files; all there are if left out.")
    ] = None,
) -> int:
    """Check that every calibration file still has the content it was written with.

    Exit code: 0 all of them, 3 one is damaged; a damaged file is never used.
    """
    from dife_scanner.reports import table

    document = _document(session, session.settings(), files or ())
    session.show(document, lambda: table.calibration(document.files))
    damaged = any(file.state == "damaged" for file in document.files)
    if damaged:
        return DAMAGED
    return WHOLE


def build(
    session: Session,
    base: Annotated[str, typer.Option(help="A reference: `dife reference list`.")],
    n: Annotated[
        int, typer.Option(min=1, max=2000, help="Benign models; no p-value gets below 1/(n + 1).")
    ] = 99,
    minutes: Annotated[
        float | None, typer.Option(min=0.0, help="Begin no model after so many minutes.")
    ] = None,
    budget: Annotated[
        Budget | None, typer.Option(help="Budget of the searches; what the settings say otherwise.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Time one model, say how long all take, and stop.")
    ] = False,
) -> None:
    """Make benign fine-tunes of a reference on this machine, audit each blind, and write your own pack. Resumes.

    One model is timed first and the total hours are printed. Each finished model is kept as a row and not made again.
    """
    from rich.text import Text

    from dife_scanner.lab.bench import own_pack as own
    from dife_scanner.reports import as_json
    from dife_scanner.store import references

    settings = session.settings()
    with session.store(settings) as store:
        reference = references.reference(store, base)
    chosen = _budget(budget, settings)
    options = own.PackOptions(reference, settings.home, n, minutes, chosen, settings.device)
    left = own.time_one(options, session.say)
    seconds, hours = f"{left.seconds:.0f}", f"{left.hours:.2f}"
    summary = f"{left.left} of {n} models left, {seconds} s each: about {hours} core hours"
    session.say(summary)
    if plan:
        details = {"models": str(left.left), "seconds each": seconds, "hours": hours}
        session.show(as_json.DoneDocument("planned", details), lambda: Text(summary))
        return
    _show_made(session, own.run(options, session.say))


def from_hub(
    session: Session,
    base: Annotated[str, typer.Argument(help="The base's repository, `org/name`.")],
    n: Annotated[int, typer.Option(min=1, max=2000, help="Fine-tunes, one per author.")] = 300,
    reference: Annotated[
        str, typer.Option(help="What the base is called here; its own name otherwise.")
    ] = "",
    minutes: Annotated[
        float | None, typer.Option(min=0.0, help="Begin no model after so many minutes.")
    ] = None,
    budget: Annotated[
        Budget | None, typer.Option(help="Budget of the searches; what the settings say otherwise.")
    ] = None,
    endpoint: EndpointOption = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say how many bytes and hours it takes, and stop.")
    ] = False,
) -> None:
    """Audit a hub's fine-tunes of a base, presumed benign, and write your own pack from their scores. Resumes.

    Each is fetched, checked and audited blind like any other checkpoint; one that is flagged is a finding, counts
    as a false alarm of the pack, and stays in it.
    """
    from dife_scanner.app import hub_calibration, wiring
    from dife_scanner.app.calibration import hub_calibration_request, plan_hub_calibration
    from dife_scanner.reports import table

    settings = session.settings(endpoint=endpoint)
    chosen = _budget(budget, settings)
    with session.store(settings) as store:
        request = hub_calibration_request(store, settings, base, reference, chosen, n, minutes)
        if plan:
            document = plan_hub_calibration(store, request)
            session.show(document, lambda: table.plan(document))
            return
        with session.progress() as progress:
            path = hub_calibration.run(store, request, wiring.hub(settings), session.say, progress)
    _show_made(session, path)


def _budget(option: Budget | None, settings: Settings) -> records.Budget:
    """The budget given on the command line, else that of the settings."""
    from dife_scanner import records

    return records.Budget(option or settings.budget)


def _show_made(session: Session, pack: Path | None) -> None:
    """The pack that was written; all there are where none was."""
    _show(session, [pack] if pack else [])


def _show(session: Session, files: list[Path]) -> None:
    from dife_scanner.reports import table

    document = _document(session, session.settings(), files)
    session.show(document, lambda: table.calibration(document.files))


def _document(
    session: Session, settings: Settings, files: list[Path] | tuple[Path, ...]
) -> CalibrationDocument:
    from dife_scanner.app.calibration import calibration_files
    from dife_scanner.reports.as_json import CalibrationDocument

    with session.store(settings) as store:
        return CalibrationDocument(calibration_files(store, settings, files))
