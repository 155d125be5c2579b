"""Alerts: what a message says of a finding, and where the message stands."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.records.checkpoints import ModelRef
from dife_scanner.records.vocabulary import (
    AlertEvent,
    AlertState,
    Confidence,
    FindingKind,
    Severity,
)


@dataclass(frozen=True)
class Notice:
    """What an alert says of a finding.

    There is no field for a trigger, for what it works on, or for a sentence that may quote it. So whatever a channel
    makes of a notice, nobody can set the trigger off with it.
    """

    fingerprint: str
    ref: ModelRef
    kind: FindingKind
    severity: Severity
    confidence: Confidence
    carrier: str
    """A `Carrier`; empty where no footprint was diagnosed."""
    channel: str
    """Where the trigger enters, a `Channel`; empty where there is none."""
    target: str
    """What the trigger leads to; empty where that has no name."""
    interfaces: tuple[str, ...]
    """Exposed ones."""
    audit_id: str | None
    created_at: str
    exposure: float | None = None
    """Largest measured difference over the reference; `None` where nothing was measured."""
    decision: str = ""
    """A `TriageState`, where the alert is about that."""
    files: str = ""
    """What is wrong with the files, in words; only of a finding that is about files and knows no trigger."""


@dataclass(frozen=True)
class News:
    """What an alert says that is about no finding: about the scanner itself, or about a model in use."""

    title: str
    text: str
    facts: tuple[tuple[str, str], ...]
    """At most nine pairs of label and value."""
    command: str
    """Shows more."""


@dataclass(frozen=True)
class Thread:
    """Where a channel keeps all that it is told about one model."""

    reference: str
    """Of its first message, as the channel names it."""
    place: str
    fingerprint: str
    """Of the finding that its first message is about."""


@dataclass(frozen=True)
class Alert:
    """One message to one channel; lives in the outbox until that channel took it."""

    key: str
    """Idempotency key: fingerprint (or what the news are), event and channel."""
    channel: str
    event: AlertEvent
    about: Notice | News
    id: int = 0
    attempts: int = 0
    due_at: str = ""
    last_error: str = ""
    state: AlertState = AlertState.PENDING
    batch: str = ""
    """What it is sent together with; empty until it was planned."""
    taken: tuple[str, ...] = ()
    """Those of its channel's recipients that have it, while others were refused."""

    @property
    def fingerprint(self) -> str:
        """Of the finding that it is about; empty where it is about none."""
        return self.about.fingerprint if isinstance(self.about, Notice) else ""

    @property
    def subject(self) -> str:
        """The model that it is about, or the title of the news."""
        return str(self.about.ref) if isinstance(self.about, Notice) else self.about.title


@dataclass(frozen=True)
class Silence:
    """What is not told for some time, by whose decision and why."""

    id: int
    filter: str
    """Over findings, in the grammar of `docs/filters.md`."""
    reason: str
    actor: str
    created_at: str
    until: str
