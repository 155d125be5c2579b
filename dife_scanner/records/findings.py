"""Findings, and the rows that terminal and window list."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.records.checkpoints import ModelRef
from dife_scanner.records.jobs import Job
from dife_scanner.records.vocabulary import (
    Confidence,
    FindingKind,
    Severity,
    TriageState,
    Verdict,
)


@dataclass(frozen=True)
class Finding:
    """A flagged, inherited, anomalous or refused checkpoint, or a clean base's repository that changed."""

    fingerprint: str
    """`fp1:` and 16 hex digits; equal for the same effect in the same repository."""
    ref: ModelRef
    kind: FindingKind
    severity: Severity
    confidence: Confidence
    carrier: str
    """A `Carrier`; empty where no footprint was diagnosed."""
    channel: str
    trigger: str
    source: str
    target: str
    interfaces: tuple[str, ...]
    """Exposed ones."""
    reason: str
    audit_id: str | None
    created_at: str
    triage: TriageState = TriageState.NEW
    decided_for: str = ""
    """Name of the checkpoint that the latest decision was made for; the finding may have another by now."""
    answer: str = ""
    """What its supplier answered, where it is disputed."""


@dataclass(frozen=True)
class Tally:
    """What some audits come to together, and how much of it chance alone may have made."""

    audited: int
    flagged: int
    anomalous: int
    """Those in the review queue because their score stands out in its batch."""
    rated: int
    """Audits with a calibration pack of their own stratum."""
    expected: float
    """Flags to expect by chance among those at most, were all of them benign: the sum of their packs' bounds."""


@dataclass(frozen=True)
class ModelRow:
    """One line of the models table, for terminal and window."""

    job: Job
    verdict: Verdict | None
    carrier: str
    channel: str
    trigger: str
    target: str
    interfaces: tuple[str, ...]
    reference: str
    layout: str
    finding: str | None
    """Fingerprint, where there is one."""
    last_modified: str = ""
    severity: str = ""
    """A `Severity`, `Confidence` and `TriageState` of its finding; empty without one."""
    confidence: str = ""
    triage: str = ""
    author: str = ""
    downloads: int | None = None
    """As its hub counts them; `None` where nobody said."""
    exposure: float | None = None
    """Largest measured difference over the reference; `None` where nothing was measured or kept."""
    tags: tuple[str, ...] = ()
    """The first 20 that its hub shows."""
    comment: str = ""
    """The latest note of a decision about its finding."""
    assignee: str = ""
    """Who shall look at its finding."""
    deadline: str = ""
    """Until when a dispute waits for an answer, in the clock's form; empty for no such day."""
    answer: str = ""
    """What the supplier answered to a dispute."""
