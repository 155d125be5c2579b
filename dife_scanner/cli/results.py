"""Results of the targets of a scan or of a watcher's pass: one document, its exit code, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dife_scanner.cli import streams
from dife_scanner.cli.session import error_line
from dife_scanner.errors import DifeError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dife_scanner.records import Job
    from dife_scanner.reports.as_json import KnownTriggers, ScanDocument, TargetResult
    from dife_scanner.settings import Settings
    from dife_scanner.store.db import Store

NOTHING = 0
FLAGGED = 1
NO_VERDICT = 2
INHERITED = "inherited"
"""What `--fail-on` takes."""


def result_of(store: Store, target: str, job: Job) -> TargetResult:
    """The result of one target."""
    from dife_scanner.reports.as_json import TargetResult
    from dife_scanner.store import audits, findings, models

    row = models.model_row(store, job.id)
    audit = audits.audit(store, job.audit_id) if job.audit_id else None
    finding = findings.find(store, row.finding) if row.finding else None
    return TargetResult(target, job, row.verdict, finding, audit)


def document_of(
    results: Sequence[TargetResult],
    fail_on: Iterable[str] = (),
    known: KnownTriggers | None = None,
) -> ScanDocument:
    """All targets together; what people accepted is counted as suppressed and as nothing else."""
    from dife_scanner.records import FindingKind, JobState, Verdict
    from dife_scanner.reports.as_json import ScanDocument
    from dife_scanner.sentences.calibration import tally

    alarming = {Verdict.FLAGGED}
    if INHERITED in fail_on:
        alarming.add(Verdict.INHERITED)
    flagged = refused = without_verdict = suppressed = anomalous = 0
    for result in results:
        if _accepted(result):
            suppressed += 1
            continue
        if result.verdict in alarming:
            flagged += 1
        if result.job.state is JobState.REFUSED:
            refused += 1
        elif result.verdict in (None, Verdict.INCONCLUSIVE):
            without_verdict += 1
        if result.finding is not None and result.finding.kind == FindingKind.ANOMALOUS:
            anomalous += 1
    audits = [result.audit for result in results if result.audit is not None]
    return ScanDocument(
        flagged=flagged,
        refused=refused,
        without_verdict=without_verdict,
        suppressed=suppressed,
        targets=tuple(results),
        tally=tally(audits, anomalous),
        known=known,
    )


def _accepted(result: TargetResult) -> bool:
    """Whether somebody decided that its finding is lived with, or is none."""
    from dife_scanner.records import TriageState

    accepted = (TriageState.ACCEPTED_RISK, TriageState.FALSE_POSITIVE)
    return result.finding is not None and result.finding.triage in accepted


def exit_code(document: ScanDocument, *, with_errors: bool = False) -> int:
    """Flagged or refused wins over missing verdicts (contract's exit codes)."""
    if document.flagged or document.refused:
        return FLAGGED
    if document.without_verdict or with_errors:
        return NO_VERDICT
    return NOTHING


def print_errors(errors: Iterable[DifeError]) -> None:
    """Each on stderr: what happened, and what to do next."""
    for error in errors:
        streams.say(*error_line(error))


def shown(settings: Settings, document: ScanDocument) -> RenderableType:
    """One audit on one screen, several targets as a table with the reasons below."""
    from dife_scanner.reports import screen

    if len(document.targets) == 1:
        only = document.targets[0]
        if only.audit is not None:
            return screen.render(only.audit, only.finding, only.job.ref)
    return as_table(settings, document)


def as_table(settings: Settings, document: ScanDocument) -> RenderableType:
    """One line per target, and why those that need an eye do."""
    from rich.console import Group

    from dife_scanner.baselines.home import open_for_reading
    from dife_scanner.reports import table
    from dife_scanner.store import models

    with open_for_reading(settings) as store:
        rows = [models.model_row(store, result.job.id) for result in document.targets]
    return Group(table.models(rows), table.reasons(rows), table.tally(document.tally))
