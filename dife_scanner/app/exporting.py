"""What a filter lets through, read from the store for an export. The same state gives the same export."""

from __future__ import annotations

from dife_scanner import __version__
from dife_scanner.records import Audit, FindingKind, ModelRow
from dife_scanner.reports.export import Export, Subject, name_of, of_base, of_row
from dife_scanner.reports.study import Row, Study
from dife_scanner.store import Store, artefacts, audits, findings, models, triage_log


def export(store: Store, filter: str, *, with_triggers: bool) -> Export:
    """Every discovered revision that the filter (docs/filters.md) lets through, the newest first.

    Without a filter also clean bases whose repository changed. Raises `QueryError`.
    """
    subjects = [_subject(store, row, with_triggers) for row in _rows(store, filter)]
    if not filter.strip():
        subjects += _changed_bases(store, with_triggers)
    told = filter if with_triggers else ""
    return Export(told, tuple(subjects), audits.tally(store), __version__, with_triggers)


def subject_of(store: Store, fingerprint: str, *, with_triggers: bool) -> Subject:
    """The checkpoint of one finding, by its fingerprint or the beginning of it. Raises `NotFound`, `UsageError`."""
    finding = findings.finding(store, fingerprint)
    for row in _rows(store, f"finding:{finding.fingerprint}"):
        return _subject(store, row, with_triggers)
    events = triage_log.standing(store, finding.fingerprint)
    return of_base(finding, events, with_triggers=with_triggers)


def exposed(store: Store, filter: str, most: int) -> Study:
    """The audits behind the exposure matrix of an export: those with a profile, `most` of them at most."""
    rows: list[Row] = []
    for row in _rows(store, filter):
        audit = _audit_of(store, row)
        if audit is not None and audit.profile and len(rows) < most:
            rows.append(Row(name_of(row.job.ref), audit))
    return Study(tuple(rows))


def _rows(store: Store, filter: str) -> list[ModelRow]:
    return models.model_rows(store, filter=filter)


def _audit_of(store: Store, row: ModelRow) -> Audit | None:
    return audits.audit(store, row.job.audit_id) if row.job.audit_id else None


def _subject(store: Store, row: ModelRow, with_triggers: bool) -> Subject:
    finding = findings.find(store, row.finding) if row.finding else None
    events = triage_log.standing(store, finding.fingerprint) if finding else []
    audit = _audit_of(store, row)
    artefact = artefacts.of_job(store, row.job)
    return of_row(row, audit, finding, events, artefact, with_triggers=with_triggers)


def _changed_bases(store: Store, with_triggers: bool) -> list[Subject]:
    found = []
    for finding in findings.findings(store, filter=f"kind:{FindingKind.CHANGED.value}"):
        events = triage_log.standing(store, finding.fingerprint)
        found.append(of_base(finding, events, with_triggers=with_triggers))
    return sorted(found, key=lambda one: (one.model, one.revision))
