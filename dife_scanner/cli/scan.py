"""The command that audits checkpoints now."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli import results
from dife_scanner.cli.exit_codes import FAILED
from dife_scanner.cli.options import (
    AllOption,
    BudgetOption,
    CaptionsOption,
    EndpointOption,
    ExtendOption,
    MinutesOption,
    PicturesOption,
    TriggersOption,
)
from dife_scanner.cli.output import Format, Output
from dife_scanner.cli.session import Session, command
from dife_scanner.errors import DifeError, StoreBusy, UsageError, unforeseen

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dife_scanner.progress import Progress
    from dife_scanner.queue.work import Work
    from dife_scanner.records import Job
    from dife_scanner.reports.as_json import PlanDocument, ScanDocument, TargetResult
    from dife_scanner.reports.study import Study
    from dife_scanner.settings import Settings
    from dife_scanner.store.db import Store

log = logging.getLogger(__name__)

TargetWork = Sequence[tuple[str, "Work"]]
"""Each target, and what is to be done with it."""


def register(app: typer.Typer) -> None:
    command(app, "scan")(scan)


def scan(
    session: Session,
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET…", help="`org/name[@revision]`, a folder, or a `.safetensors` file."
        ),
    ] = None,
    reference: Annotated[
        str,
        typer.Option(
            help="Compare with this reference (`dife reference list`); chosen by architecture otherwise."
        ),
    ] = "",
    triggers: TriggersOption = None,
    no_signatures: Annotated[
        bool,
        typer.Option(
            "--no-signatures",
            help="Leave the library of signatures out: only the given trigger files.",
        ),
    ] = False,
    no_discovery: Annotated[
        bool, typer.Option("--no-discovery", help="Do not search for triggers nobody described.")
    ] = False,
    budget: BudgetOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    minutes: MinutesOption = None,
    more: Annotated[
        str,
        typer.Option(
            metavar="AUDIT",
            help="Go on with an audit whose time was too short, in place of a TARGET.",
        ),
    ] = "",
    all_searches: AllOption = False,
    endpoint: EndpointOption = None,
    fail_on: Annotated[
        list[str] | None, typer.Option(help="What else counts as flagged: `inherited`.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what would be fetched, and stop.")
    ] = False,
    own_triggers: Annotated[
        bool,
        typer.Option(
            "--own-triggers", help="Take the triggers.toml next to each local checkpoint."
        ),
    ] = False,
    extend: ExtendOption = None,
    pictures: PicturesOption = "",
    captions: CaptionsOption = "",
    format: Annotated[
        Format | None, typer.Option(help="How to print the result; table by default.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the result into this file.")] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Draw the figures into this folder, as PNG and SVG.")
    ] = None,
    as_seeds: Annotated[
        bool,
        typer.Option("--as-seeds", help="The checkpoints are seeds of one attack: add mean ± sd."),
    ] = False,
) -> int:
    """Audit checkpoints now, and say which are flagged, through which interface, and why.

    Besides trying signatures, each checkpoint is searched for triggers that nobody described (docs/discovery.md).

    Trigger files in which every trigger names its target (a text trigger its source too) make a known-trigger audit:
    each is measured by itself and the signature library stays out (docs/known-triggers.md).

    Exit code: 0 every target has a verdict and nothing needs attention, 1 something flagged or refused, 2 something
    has no verdict or is inconclusive, 3 the command failed, 64 wrong usage.
    """
    from dife_scanner.app import going_on, planning, scanning
    from dife_scanner.app.references import check_reference
    from dife_scanner.cli import known
    from dife_scanner.records import Budget

    targets = targets or []
    decided_before = (triggers, no_signatures, no_discovery, budget, seed, reference, plan)
    _check_what(targets, more, (*decided_before, own_triggers, as_seeds))
    granted = scanning.granted_seconds(minutes)
    fails = _fails_on(fail_on)
    where = Output.from_options(session, format, output, figures)
    settings = session.settings(endpoint=endpoint)
    wanted_budget = Budget(budget or settings.budget)
    if plan:
        blind = settings.discover and not no_discovery
        return show_plan(
            session,
            planning.plan_targets(
                settings, targets, wanted_budget, seed=seed, blind=blind, pictures=pictures
            ),
        )
    data = scanning.data(settings, extend or [], pictures, captions)
    pairs = known.pairs_to_audit(targets, triggers or [], own=own_triggers, alone=as_seeds)
    if as_seeds:
        known.check_seeds(pairs)
    make = partial(
        scanning.scan_work,
        settings,
        reference=reference,
        budget=wanted_budget,
        seed=seed,
        data=data,
        granted=granted,
        all_searches=all_searches,
    )
    work: TargetWork = ()
    if pairs:
        work = [(one.target, make((one.trigger,))) for one in pairs]
    elif not more:
        blind = settings.discover and not no_discovery
        tried = scanning.signatures(
            triggers or [], settings, with_library=not no_signatures, blind=blind
        )
        searched = make(tried, blind=blind)
        work = [(target, searched) for target in targets]
    with session.store(settings) as store, session.progress() as progress:
        check_reference(store, reference)
        if more:
            work = [
                going_on.target_and_work(
                    store, settings, more, data, granted, all_searches=all_searches
                )
            ]
        asking = session.confirm()
        asked = [(target, replace(one, confirm=asking)) for target, one in work]
        found, errors = _scan_all(store, asked, progress)
    if errors and not found:
        return _only_errors([error for _, error in errors])
    extensions = scanning.digests(data)
    study = known.study(found, errors, extensions, seeds=as_seeds)
    document = _document(found, fails, study, with_study=bool(pairs or extensions))
    where.show(
        session, document, study, lambda: _shown(settings, document, study if pairs else None)
    )
    results.print_errors(error for _, error in errors)
    return results.exit_code(document, with_errors=bool(errors))


def _check_what(targets: Sequence[str], more: str, decided_before: Sequence[object]) -> None:
    """What is scanned is either named, or an audit that is gone on with as it was begun. Raises `UsageError`."""
    if not targets and not more:
        raise UsageError(
            "Missing argument 'TARGET…'", "name what to scan, or an audit to go on with (--more)"
        )
    if targets and more:
        raise UsageError(
            "--more goes on with the checkpoint of its audit", "leave the TARGET out, or --more"
        )
    if more and any(decided_before):
        raise UsageError(
            "--more goes on with an audit as it was begun: its reference, budget, seed and triggers stay",
            "give it --minutes and --all alone, and your own --pictures, --captions and --extend where it had them",
        )


def _fails_on(options: Sequence[str] | None) -> frozenset[str]:
    """What counts as flagged besides. Raises `UsageError`."""
    words = frozenset(options or ())
    unknown = sorted(words - {results.INHERITED})
    if unknown:
        raise UsageError(
            f"--fail-on does not know {', '.join(unknown)}", f"it takes `{results.INHERITED}`"
        )
    return words


def _scan_all(
    store: Store, target_work: TargetWork, progress: Progress
) -> tuple[list[TargetResult], list[tuple[str, DifeError]]]:
    """Audit one after the other; a target that cannot be queued keeps no other from being audited."""
    from dife_scanner.app import scanning

    done: list[tuple[str, Job]] = []
    errors: dict[str, tuple[str, DifeError]] = {}
    for target, work in target_work:
        try:
            done.append((target, scanning.scan(store, work, target, progress)))
        except StoreBusy:
            raise  # it holds up every other target as well
        except DifeError as error:
            errors.setdefault(f"{target} {error.what}", (target, error))
        except Exception as error:
            log.debug("where it happened", exc_info=error)
            errors.setdefault(f"{target} {error}", (target, unforeseen(error)))
    scanning.end_batch(store, [job for _, job in done])
    found = [results.result_of(store, target, job) for target, job in done]
    return found, list(errors.values())


def _only_errors(errors: Sequence[DifeError]) -> int:
    if len(errors) == 1:
        raise errors[0]
    results.print_errors(errors)
    return FAILED


def _document(
    found: Sequence[TargetResult], fails: frozenset[str], study: Study, *, with_study: bool
) -> ScanDocument:
    from dife_scanner.reports.as_json import KnownTriggers

    known = KnownTriggers.of(study) if with_study else None
    return results.document_of(found, fails, known)


def _shown(settings: Settings, document: ScanDocument, study: Study | None) -> RenderableType:
    from dife_scanner.reports import matrix

    if study is not None:
        return matrix.render(study)
    return results.shown(settings, document)


def show_plan(session: Session, document: PlanDocument) -> int:
    """Print what would be done."""
    from dife_scanner.reports import table

    session.show(document, lambda: table.plan(document))
    return results.NOTHING
