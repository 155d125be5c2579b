"""Everything the store keeps about one finding, audit or job, and how a terminal shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from dife_scanner.records import (
        Audit,
        Finding,
        HubScan,
        Job,
        ModelRef,
        ModelRow,
        Movement,
        Opinion,
        Standing,
    )
    from dife_scanner.store.db import Store
    from dife_scanner.store.lookup import Match


@dataclass(frozen=True)
class Found:
    """What the store keeps about the requested thing."""

    job: Job | None
    row: ModelRow | None
    finding: Finding | None
    audit: Audit | None
    ref: ModelRef
    """The checkpoint that was asked for; its audit may be one of the same weights under another name."""
    scan: HubScan | None
    """What the hub's own scanners said of it."""
    opinions: tuple[Opinion, ...] = ()
    """What other scanners said of its files."""
    movement: Movement | None = None
    standings: tuple[Standing, ...] = ()
    """What counts for each deployment."""

    @property
    def refused(self) -> bool:
        """Whether we refused its files, rather than read them."""
        from dife_scanner.records import FindingKind

        return self.finding is not None and self.finding.kind is FindingKind.REFUSED


def found(store: Store, match: Match) -> Found:
    """Read job, finding and audit that belong together."""
    from dife_scanner.store import artefacts, audits, decisions, jobs, models, opinions, revisions
    from dife_scanner.store import findings as kept
    from dife_scanner.store.lookup import Kind

    job = row = finding = audit = None
    audit_id: str | None = None
    if match.kind is Kind.JOB:
        job = jobs.job(store, int(match.id))
        row = models.model_row(store, job.id)
        audit_id = job.audit_id
        finding = kept.find(store, row.finding) if row.finding else None
    elif match.kind is Kind.FINDING:
        finding = kept.finding(store, match.id)
        audit_id = finding.audit_id
    else:
        audit_id = match.id
    if audit_id:
        audit = audits.audit(store, audit_id)
    if audit is not None and finding is None and job is None:
        finding = kept.about_audit(store, audit.id, audit.ref)
    scan = jobs.scan_of(store, match.ref)
    said = opinions.opinions(store, match.ref)
    moved = revisions.movement(store, match.ref) if audit is not None else None
    about = job or artefacts.job_of(store, match.ref)
    standings = decisions.standings_of(store, about) if about is not None else ()
    return Found(job, row, finding, audit, match.ref, scan, said, moved, standings)


def audit_of(store: Store, name: str) -> Audit:
    """The audit that a name stands for. Raises `NotFound` where there is none."""
    from dife_scanner.errors import NotFound
    from dife_scanner.store import lookup

    audit = found(store, lookup.find(store, name)).audit
    if audit is None:
        raise NotFound(f"{name} has no audit here", "`dife audits` lists them")
    return audit


def render(home: Path, found: Found, *, full: bool = False) -> RenderableType:
    """The audit on one screen, or with every number; whatever of it there is."""
    from rich.console import Group

    from dife_scanner.reports import decisions, in_full
    from dife_scanner.reports.layout import safe
    from dife_scanner.sentences.opinions import opinion_lines
    from dife_scanner.sentences.watching import scan_text

    parts = [_in_short(found)]
    if full:
        if found.audit is not None:
            parts = [in_full.render(found.audit, found.finding, home, found.ref, found.movement)]
        lines = opinion_lines(found.opinions, refused=found.refused)
        parts += in_full.opinions(lines)
    parts += decisions.for_deployments(found.standings, full=full)
    if not found.ref.local:
        parts.append(safe(scan_text(found.scan), 400))
    return Group(*parts)


def _in_short(found: Found) -> RenderableType:
    from rich.console import Group

    from dife_scanner.reports import screen, table
    from dife_scanner.reports.layout import safe
    from dife_scanner.sentences.findings import finding_sentence

    if found.audit is not None:
        return screen.render(found.audit, found.finding, found.ref, found.movement)
    if found.finding is not None:
        sentence = finding_sentence(found.finding)
        return Group(table.findings([found.finding]), safe(sentence, 1500))
    rows = [found.row] if found.row else []
    return Group(table.models(rows), table.reasons(rows))
