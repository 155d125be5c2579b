"""What a filter lets through, read from the store for an export. The same state gives the same export."""

from __future__ import annotations

from collections.abc import Iterator

from dife_scanner import __version__
from dife_scanner.progress import SILENT, Progress
from dife_scanner.records import Audit, FindingKind, ModelRow
from dife_scanner.reports.export import Export, Subject, name_of, of_base, of_row
from dife_scanner.reports.study import Row, Study
from dife_scanner.store import Store, artefacts, audits, findings, models, triage_log
from dife_scanner.store.models import Sort

PAGE = 1000
"""Lines that are read at a time; an export of more tells how far it is."""
_NEWEST_FIRST = Sort("job", descending=True)


def export(
    store: Store, filter: str, *, with_triggers: bool, progress: Progress = SILENT
) -> Export:
    """Every discovered revision that the filter (docs/filters.md) lets through, the newest first.

    Without a filter also clean bases whose repository changed. Raises `QueryError`.
    """
    subjects = [_subject(store, row, with_triggers) for row in _rows(store, filter, progress)]
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
        if audit is not None and audit.profile:
            rows.append(Row(name_of(row.job.ref), audit))
        if len(rows) == most:
            break
    return Study(tuple(rows))


def _rows(store: Store, filter: str, progress: Progress = SILENT) -> Iterator[ModelRow]:
    """Page by page, so that of a long list only the numbers of its jobs are held at once."""
    keys = models.order(store, filter=filter, sort=_NEWEST_FIRST).keys
    for start in range(0, len(keys), PAGE):
        if start:
            progress("reading", start, len(keys))
        found = models.rows_of(store, keys[start : start + PAGE])
        yield from sorted(found, key=lambda row: row.job.id, reverse=True)


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
