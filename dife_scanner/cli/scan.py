"""Commands that do the work: scan, watch, work."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli.output import Format, Output
from dife_scanner.cli.session import Session, command, error_line
from dife_scanner.errors import DifeError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dife_scanner.progress import Progress
    from dife_scanner.queue.watch import Event
    from dife_scanner.queue.work import Work
    from dife_scanner.records import Job
    from dife_scanner.reports.as_json import PlanDocument, ScanDocument, TargetResult
    from dife_scanner.reports.study import Study
    from dife_scanner.settings import Settings
    from dife_scanner.store.db import Store

NOTHING, FLAGGED, NO_VERDICT, FAILED = 0, 1, 2, 3


class BudgetOption(StrEnum):
    """The values of `records.Budget`; loading all records would slow down every `--help`."""

    QUICK = "quick"
    DEFAULT = "default"
    DEEP = "deep"


PicturesOption = Annotated[
    str, typer.Option(help="Labelled pictures of your own: a folder, CIFAR-10, parquet, or a data set id.")
]
CaptionsOption = Annotated[
    str, typer.Option(help="Captioned pictures of your own: COCO captions, parquet, or a data set id.")
]


def register(app: typer.Typer) -> None:
    command(app, "scan")(scan)
    command(app, "watch")(watch)
    command(app, "work")(work)


EndpointOption = Annotated[str | None, typer.Option(help="The hub's address; huggingface.co by default.")]
TriggersOption = Annotated[list[Path] | None, typer.Option(help="Trigger file (docs/triggers.md); repeatable.")]
ExtendOption = Annotated[
    list[Path] | None,
    typer.Option(help="Python file of your own with a trigger kind or an interface (docs/extending.md); repeatable."),
]


def scan(
    session: Session,
    targets: Annotated[
        list[str], typer.Argument(metavar="TARGET…", help="`org/name[@revision]`, a folder, or a `.safetensors` file.")
    ],
    reference: Annotated[str, typer.Option(help="Compare with this reference; chosen by architecture otherwise.")] = "",
    triggers: TriggersOption = None,
    no_signatures: Annotated[bool, typer.Option("--no-signatures", help="Only the given trigger files.")] = False,
    no_discovery: Annotated[
        bool, typer.Option("--no-discovery", help="Do not search for triggers nobody described.")
    ] = False,
    budget: Annotated[
        BudgetOption | None, typer.Option(help="Pictures per drawing and length of searches; the settings' otherwise.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.")] = 0,
    endpoint: EndpointOption = None,
    fail_on: Annotated[list[str] | None, typer.Option(help="`inherited` also counts as flagged.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be fetched, and stop.")] = False,
    own_triggers: Annotated[
        bool, typer.Option("--own-triggers", help="Take the triggers.toml beside each local checkpoint.")
    ] = False,
    extend: ExtendOption = None,
    pictures: PicturesOption = "",
    captions: CaptionsOption = "",
    format: Annotated[Format | None, typer.Option(help="How to print the result; table by default.")] = None,
    output: Annotated[Path | None, typer.Option(help="Print into this file.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Draw the figures into this folder, as PNG and SVG.")] = None,
    as_seeds: Annotated[
        bool, typer.Option("--as-seeds", help="The checkpoints are seeds of one attack: add mean ± sd.")
    ] = False,
) -> int:
    """Audit checkpoints now, and say which are flagged, through which interface, and why.

    Beside trying signatures, each checkpoint is searched for triggers that nobody described (docs/discovery.md).

    Trigger files in which every trigger names its target (a text trigger its source too) make a known-trigger audit:
    each is measured by itself and the signature library stays out (docs/known-triggers.md).

    Exit code: 0 every target has a verdict and nothing needs attention, 1 something flagged or refused, 2 something
    has no verdict or is inconclusive, 3 the command failed, 64 wrong usage.
    """
    from dife_scanner.app import planning, scanning
    from dife_scanner.app.references import check_reference
    from dife_scanner.cli import known
    from dife_scanner.records import Budget

    if unknown := set(fail_on or ()) - {"inherited"}:
        raise UsageError(f"--fail-on does not know {', '.join(sorted(unknown))}", "it takes `inherited`")
    where = Output.asked(session, format, output, figures)
    settings = session.settings(endpoint=endpoint)
    asked_budget = Budget(budget or settings.budget)
    if plan:
        return _show_plan(session, planning.plan_targets(settings, targets, asked_budget))
    data = scanning.data(settings, extend or [], pictures, captions)
    pairs = known.asked(targets, triggers or [], own=own_triggers, alone=as_seeds)
    if as_seeds:
        known.check_seeds(pairs)
    make = partial(scanning.scan_work, settings, reference=reference, budget=asked_budget, seed=seed, data=data)
    if pairs:
        asked = [(one.target, make((one.trigger,))) for one in pairs]
    else:
        blind = settings.discover and not no_discovery
        tried = scanning.signatures(triggers or [], settings, with_library=not no_signatures, blind=blind)
        searched = make(tried, blind=blind)
        asked = [(target, searched) for target in targets]
    with session.store(settings) as store, session.progress() as progress:
        check_reference(store, reference)
        results, errors = _scan_all(store, asked, progress)
    extensions = scanning.digests(data)
    made = known.study(results, errors, extensions, seeds=as_seeds)
    document = _document(results, frozenset(fail_on or ()), made if pairs or extensions else None)
    if errors and not results:
        return _only_errors([error for _, error in errors])
    where.show(session, document, made, lambda: _shown(settings, document, made if pairs else None))
    _print_errors([error for _, error in errors])
    return max_code(document, bool(errors))


def _scan_all(
    store: Store, asked: Sequence[tuple[str, Work]], progress: Progress
) -> tuple[list[TargetResult], list[tuple[str, DifeError]]]:
    """One after the other; a target that cannot be asked for keeps no other from being audited."""
    from dife_scanner.app import scanning

    done: list[tuple[str, Job]] = []
    errors: dict[str, tuple[str, DifeError]] = {}
    for target, work in asked:
        try:
            done.append((target, scanning.scan(store, work, target, progress)))
        except DifeError as error:
            errors.setdefault(f"{target} {error.what}", (target, error))
    scanning.end_batch(store, [job for _, job in done])
    return [_result(store, target, job) for target, job in done], list(errors.values())


def _only_errors(errors: Sequence[DifeError]) -> int:
    if len(errors) == 1:
        raise errors[0]
    _print_errors(errors)
    return FAILED


def max_code(document: ScanDocument, with_errors: bool = False) -> int:
    """Flagged or refused wins over missing verdicts (contract's exit codes)."""
    if document.flagged or document.refused:
        return FLAGGED
    return NO_VERDICT if document.without_verdict or with_errors else NOTHING


def _print_errors(errors: Sequence[DifeError]) -> None:
    for error in errors:
        for line in error_line(error):
            print(line, file=sys.stderr)


def _document(results: Sequence[TargetResult], fail_on: frozenset[str], study: Study | None = None) -> ScanDocument:
    from dife_scanner.records import FindingKind, JobState, TriageState, Verdict
    from dife_scanner.reports import words
    from dife_scanner.reports.as_json import KnownTriggers, ScanDocument

    accepted = {TriageState.ACCEPTED_RISK, TriageState.FALSE_POSITIVE}
    suppressed = [r for r in results if r.finding and r.finding.triage in accepted]
    counted = [r for r in results if r not in suppressed]
    alarming = {Verdict.FLAGGED} | ({Verdict.INHERITED} if "inherited" in fail_on else set())
    refused = [r for r in counted if r.job.state is JobState.REFUSED]
    missing = [r for r in counted if r not in refused and r.verdict in (None, Verdict.INCONCLUSIVE)]
    anomalous = sum(1 for r in counted if r.finding and r.finding.kind == FindingKind.ANOMALOUS)
    return ScanDocument(
        flagged=sum(1 for r in counted if r.verdict in alarming),
        refused=len(refused),
        without_verdict=len(missing),
        suppressed=len(suppressed),
        targets=tuple(results),
        tally=words.tally([r.audit for r in results if r.audit], anomalous),
        known=KnownTriggers.of(study) if study else None,
    )


def _result(store: Store, target: str, job: Job) -> TargetResult:
    from dife_scanner.reports.as_json import TargetResult
    from dife_scanner.store import audits, findings, models

    row = models.model_row(store, job.id)
    audit = audits.audit(store, job.audit_id) if job.audit_id else None
    finding = findings.find(store, row.finding) if row.finding else None
    return TargetResult(target, job, row.verdict, finding, audit)


def _shown(settings: Settings, document: ScanDocument, study: Study | None) -> RenderableType:
    from dife_scanner.reports import matrix, table

    if study is not None:
        return matrix.render(study)
    if len(document.targets) == 1 and (audit := document.targets[0].audit):
        return table.audit(audit, document.targets[0].finding, settings.home)
    return _table(settings, document)


def _show_plan(session: Session, document: PlanDocument) -> int:
    from dife_scanner.reports import table

    session.show(document, lambda: table.plan(document))
    return NOTHING


def watch(
    session: Session,
    once: Annotated[bool, typer.Option("--once", help="One complete pass and everything it finds, then end.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what a pass would cost, and stop.")] = False,
    interval: Annotated[float | None, typer.Option(min=1, help="Seconds between passes.")] = None,
    endpoint: EndpointOption = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Audits at a time.")] = None,
) -> int:
    """Watch a hub: poll, audit what is new, keep every finding, send alerts.

    With --once the exit code is that of `scan`, over the revisions found in this pass.
    """
    from dife_scanner.app import planning, scanning, watching

    settings = session.settings(endpoint=endpoint, interval_seconds=interval, workers=workers)
    if plan:
        return _show_plan(session, planning.plan_pass(settings))
    with session.progress() as progress:
        summary = watching.watch(settings, once=once, on_event=Events(session, progress))
    if not once:
        return NOTHING
    if summary.error is not None:
        raise summary.error
    with session.store(settings) as store:
        scanning.end_batch(store)
        document = _document([_result(store, str(job.ref), job) for job in summary.jobs], frozenset())
    if not session.as_json:
        session.show(document, lambda: _table(settings, document))
    return max_code(document)


class Events:
    """What a watcher tells, as JSON Lines on stdout or as talk on stderr."""

    def __init__(self, session: Session, progress: Progress) -> None:
        self._session, self._progress = session, progress
        self._console = session.err()

    def __call__(self, event: Event) -> None:
        if event.kind == "progress":
            self._progress("working", note=event.text)
            return
        if self._session.as_json:
            from dife_scanner.reports import as_json

            print(as_json.render(as_json.EventDocument(event.kind, event.at, event.text, event.job)), flush=True)
            return
        from rich.text import Text

        from dife_scanner.core.plain import plain
        from dife_scanner.reports import words

        reason = f" — {event.job.reason}" if event.job and event.job.state.is_final else ""
        self._console.print(Text(plain(f"{words.time_text(event.at)}  {event.text}{reason}", 240)))


def _table(settings: Settings, document: ScanDocument) -> RenderableType:
    from rich.console import Group

    from dife_scanner.reports import table
    from dife_scanner.store import models
    from dife_scanner.store.db import open_store

    with open_store(settings.home, read_only=True) as store:
        rows = [models.model_row(store, result.job.id) for result in document.targets]
    return Group(table.models(rows), table.reasons(rows), table.tally(document.tally))


def work(
    session: Session,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End when no job is due.")] = False,
) -> int:
    """Be one worker: take queued jobs, audit them, save. A watcher starts its own."""
    from dife_scanner.app import watching

    settings = session.settings()
    with session.store(settings):
        pass
    with session.progress() as progress:
        watching.work(settings, until_idle=until_idle, progress=progress)
    return NOTHING
