"""What an export says of each checkpoint. Every format is written from this.

There is no field for a trigger but `Told`, which is filled only where somebody requests it. Every string that a
stranger wrote has been through `plain`; each format escapes for its own markup on top of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dife_scanner.figures.drawings import nearest_concepts
from dife_scanner.figures.random_texts import sentence
from dife_scanner.figures.tokens import token_lines
from dife_scanner.plain import plain
from dife_scanner.records import (
    Artefact,
    Audit,
    Cell,
    Entry,
    Finding,
    FindingKind,
    Job,
    LayerChange,
    ModelRef,
    ModelRow,
    NearestConcept,
    NotEvaluable,
    Notice,
    Ranking,
    SelectorControl,
    Tally,
    TriageState,
    Verdict,
)
from dife_scanner.reports.taxonomy import standards_of
from dife_scanner.sentences.alerts import entrance_and_footprint, notice_of
from dife_scanner.sentences.audits import VERDICT_LABEL, power_sentence, verdict_sentence
from dife_scanner.sentences.findings import finding_meaning
from dife_scanner.sentences.triggers import trigger_text
from dife_scanner.store.triage_log import AUTOMATIC, TriageEvent

_LONG = 1500
"""Characters of a sentence."""


@dataclass(frozen=True)
class Exposure:
    """One line of an exposure profile: a number, or the word for why there is none."""

    interface: str
    entry: str
    """exposed, weak, negative, n too small, N.E., not run, artefact missing or selector control"""
    category: str = ""
    """Why it is N.E."""
    metric: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    """95 % interval of `value`."""
    reference: float | None = None
    delta: float | None = None
    delta_low: float | None = None
    delta_high: float | None = None
    n: int | None = None
    drawings: int | None = None


@dataclass(frozen=True)
class AuditOf:
    """One audit, without what it tried."""

    id: str
    version: str
    verdict: Verdict
    started_at: str
    reference: str
    architecture: str
    budget: str
    seed: int
    image_tower: str
    """sha256 of its tensors."""
    text_tower: str
    exposures: tuple[Exposure, ...]
    checks: tuple[str, ...]
    """Names of the checks that decided."""
    searches: tuple[str, ...]
    not_searched: tuple[str, ...]
    power: str = ""
    """What such searches find elsewhere, where this one found nothing."""
    clean_accuracy: float | None = None
    reference_accuracy: float | None = None
    score: float | None = None
    p_value: float | None = None
    alarm_bound: float | None = None
    layers: tuple[LayerChange, ...] = ()
    """How far each layer is from the reference's."""
    leads_to: tuple[NearestConcept, ...] = ()
    """Concepts that the trigger leads to, the nearest first."""
    beside_random: str = ""
    """What random texts do in the same checkpoint, or why that was not measured; empty without a trigger."""

    @property
    def largest_difference(self) -> float | None:
        """Over the reference, of all measured interfaces; `None` where there is none."""
        found = []
        for exposure in self.exposures:
            if exposure.value is not None and exposure.delta is not None:
                found.append(exposure.delta)
        return max(found, default=None)


@dataclass(frozen=True)
class FindingOf:
    """One finding, without its trigger."""

    fingerprint: str
    kind: FindingKind
    severity: str
    confidence: str
    footprint: str
    channel: str
    target: str
    interfaces: tuple[str, ...]
    found_at: str
    standards: tuple[str, ...]
    """Ids of MITRE ATLAS and of OWASP's list (`assets/taxonomy.json`)."""
    triage: TriageState
    decided_by: str = ""
    decided_at: str = ""
    expires: str = ""
    confirmed: bool = False
    """Whether a person has said that it is what it says, or has made it public, and has not taken that back."""


@dataclass(frozen=True)
class FileOf:
    """A file that was audited."""

    role: str
    """`weights 1`, `configuration`, …"""
    name: str
    sha256: str


@dataclass(frozen=True)
class Told:
    """What sets a trigger off, and every sentence that may quote it."""

    trigger: str
    source: str
    reason: str
    note: str
    """Of the latest decision."""
    answer: str = ""
    """Of the supplier, where it is disputed."""
    tokens: str = ""
    """What the checkpoint's tokenizer makes of the trigger's text; empty for a trigger that is in no text."""
    rankings: tuple[Ranking, ...] = ()
    """What stands first for a typical query of each interface, without the trigger and with it."""


@dataclass(frozen=True)
class Subject:
    """One checkpoint."""

    model: str
    """`org/name`; of a local folder its name alone."""
    revision: str
    local: bool
    endpoint: str
    """Address of its hub; empty for a local folder."""
    state: str
    """Of its job; empty for the repository of a clean base that changed."""
    said: str
    """What was found, or why nothing was, in words."""
    layout: str = ""
    in_use: str = ""
    updated_at: str = ""
    audit: AuditOf | None = None
    finding: FindingOf | None = None
    told: Told | None = None
    files: tuple[FileOf, ...] = ()
    """Those that were audited; empty where that was not recorded."""

    @property
    def name(self) -> str:
        return self.model if self.local else f"{self.model}@{self.revision[:12]}"


@dataclass(frozen=True)
class Export:
    """Everything that one filter lets through."""

    filter: str
    """Empty where no trigger is told: a filter may name one."""
    subjects: tuple[Subject, ...]
    tally: Tally
    version: str
    """Of this program."""
    with_triggers: bool
    format: str = "dife/export-1"


def of_row(
    row: ModelRow,
    audit: Audit | None,
    finding: Finding | None,
    events: Sequence[TriageEvent],
    artefact: Artefact | None = None,
    *,
    with_triggers: bool,
) -> Subject:
    """What is exported of one discovered revision; `events` are those of its finding that count."""
    notice = notice_of(finding) if finding is not None else None
    job = row.job
    return Subject(
        model=plain(name_of(job.ref)),
        revision=plain(job.ref.revision),
        local=job.ref.local,
        endpoint=plain(job.endpoint),
        state=job.state.value,
        said=plain(_without_path(_said(job, audit, notice), job.ref), _LONG),
        layout=plain(row.layout),
        in_use=plain(job.in_use),
        updated_at=job.updated_at,
        audit=audit_of(audit) if audit is not None else None,
        finding=_of_finding(finding, events) if finding is not None else None,
        told=_told(audit, finding, events) if with_triggers else None,
        files=_files(artefact) if artefact is not None else (),
    )


def of_base(finding: Finding, events: Sequence[TriageEvent], *, with_triggers: bool) -> Subject:
    """What is exported of a clean base whose repository changed; it has no job."""
    return Subject(
        model=plain(name_of(finding.ref)),
        revision=plain(finding.ref.revision),
        local=finding.ref.local,
        endpoint="",
        state="",
        said=plain(_without_path(_about(notice_of(finding)), finding.ref), _LONG),
        finding=_of_finding(finding, events),
        told=_told(None, finding, events) if with_triggers else None,
    )


def name_of(ref: ModelRef) -> str:
    """What a checkpoint is called outside this home; of a folder its name alone, for a path says whose it is."""
    return ref.repo_id.rstrip("/").rpartition("/")[2] if ref.local else ref.repo_id


def _without_path(text: str, ref: ModelRef) -> str:
    """`text` with the name of a folder in the place of where it lies."""
    return text.replace(ref.repo_id, name_of(ref)) if ref.local else text


def may_be_told(subject: Subject) -> bool:
    """Whether what was found may be told: about files of one's own, or after a person said that it is so, or not."""
    finding = subject.finding
    if finding is None or subject.local:
        return True
    return finding.confirmed or finding.triage is TriageState.FALSE_POSITIVE


def withheld(export: Export) -> int:
    """How many findings are left out of what is written for the public, because nobody has confirmed them."""
    return sum(not may_be_told(subject) for subject in export.subjects)


def reported(export: Export) -> Iterator[tuple[Subject, FindingOf]]:
    """The findings that may be told, and that nobody has dismissed."""
    for subject in export.subjects:
        finding = subject.finding
        if finding is not None and may_be_told(subject) and finding.triage not in _DENIES:
            yield subject, finding


# --- in words ---------------------------------------------------------------------------------------------------


def _said(job: Job, audit: Audit | None, notice: Notice | None) -> str:
    if notice is not None:
        return _about(notice)
    if audit is None:
        return job.reason or f"{job.state.value}: not audited yet"
    if audit.verdict in (Verdict.FLAGGED, Verdict.INHERITED):  # such a sentence quotes the trigger
        return f"{VERDICT_LABEL[audit.verdict].capitalize()}."
    if audit.verdict is Verdict.INCONCLUSIVE:
        basis = f" ({audit.decision.basis.value})" if audit.decision is not None else ""
        return f"Inconclusive: the audit ended without an answer{basis}."
    return verdict_sentence(audit)


def _about(notice: Notice) -> str:
    meaning = finding_meaning(notice)
    if notice.files:
        return f"{meaning} The reason: {notice.files.rstrip('.')}."
    return f"{meaning} {entrance_and_footprint(notice)}".strip()


# --- parts ------------------------------------------------------------------------------------------------------


def audit_of(audit: Audit) -> AuditOf:
    """The parts of an audit that hold no trigger."""
    rated = audit.calibration
    decision = audit.decision
    return AuditOf(
        id=audit.id,
        version=audit.audit_version,
        verdict=audit.verdict,
        started_at=audit.started_at,
        reference=plain(audit.reference),
        architecture=plain(audit.architecture),
        budget=audit.budget.value,
        seed=audit.seed,
        image_tower=plain(audit.image_tower),
        text_tower=plain(audit.text_tower),
        exposures=tuple(_exposure(entry) for entry in audit.profile),
        checks=decision.rests_on if decision is not None else (),
        searches=tuple(plain(search.detector) for search in audit.searches),
        not_searched=tuple(plain(search.detector) for search in audit.not_searched),
        power=plain(power_sentence(audit), _LONG),
        clean_accuracy=audit.clean_accuracy,
        reference_accuracy=audit.reference_accuracy,
        score=audit.score,
        p_value=rated.p_value if rated is not None else None,
        alarm_bound=rated.alarm_bound if rated is not None else None,
        layers=audit.layers,
        leads_to=tuple(replace(one, concept=plain(one.concept)) for one in nearest_concepts(audit)),
        beside_random=plain(sentence(audit), _LONG),
    )


def _files(artefact: Artefact) -> tuple[FileOf, ...]:
    return tuple(FileOf(plain(one.role), plain(one.name), one.sha256) for one in artefact.files)


def _exposure(entry: Entry) -> Exposure:
    """The numbers of an entry. Its reason is left out: it may quote a text that was measured."""
    interface = plain(entry.interface)
    if isinstance(entry, Cell):
        return Exposure(
            interface,
            entry.entry.value,
            metric=plain(entry.metric),
            value=entry.attack.value,
            low=entry.attack.interval.low,
            high=entry.attack.interval.high,
            reference=entry.reference.value,
            delta=entry.delta,
            delta_low=entry.delta_interval.low,
            delta_high=entry.delta_interval.high,
            n=entry.attack.n,
            drawings=entry.attack.drawings,
        )
    if isinstance(entry, NotEvaluable):
        return Exposure(interface, entry.word, category=entry.category.value)
    if isinstance(entry, SelectorControl):
        drift = entry.drift
        return Exposure(
            interface,
            entry.word,
            metric=plain(entry.metric),
            delta=drift.value,
            delta_low=drift.interval.low,
            delta_high=drift.interval.high,
        )
    return Exposure(interface, entry.word)


_CONFIRMS = (TriageState.CONFIRMED, TriageState.DISCLOSED)
_DENIES = (TriageState.FALSE_POSITIVE, TriageState.OUT_OF_SCOPE)


def _of_finding(finding: Finding, events: Sequence[TriageEvent]) -> FindingOf:
    decided = [event for event in events if not event.assigns]
    latest = decided[-1] if decided else None
    may_expire = latest is not None and latest.state is TriageState.ACCEPTED_RISK
    return FindingOf(
        fingerprint=finding.fingerprint,
        kind=finding.kind,
        severity=finding.severity.value,
        confidence=finding.confidence.value,
        footprint=plain(finding.carrier),
        channel=plain(finding.channel),
        target=plain(finding.target),
        interfaces=tuple(plain(one) for one in finding.interfaces),
        found_at=finding.created_at,
        standards=standards_of(finding.kind, finding.confidence),
        triage=finding.triage,
        decided_by=plain(latest.actor) if latest is not None else "",
        decided_at=latest.at if latest is not None else "",
        expires=latest.expires if latest is not None and may_expire else "",
        confirmed=_confirmed(events),
    )


def _confirmed(events: Sequence[TriageEvent]) -> bool:
    confirmed = False
    for event in events:
        if event.actor == AUTOMATIC:
            continue
        if event.state in _CONFIRMS:
            confirmed = True
        elif event.state in _DENIES:
            confirmed = False
    return confirmed


def _told(audit: Audit | None, finding: Finding | None, events: Sequence[TriageEvent]) -> Told:
    trigger = audit.trigger if audit is not None else None
    described = finding.trigger if finding is not None else ""
    if trigger is not None:
        described = f"{trigger.name}: {trigger_text(trigger)}"
    notes = [event.note for event in events if event.note]
    reason = finding.reason if finding is not None else ""
    return Told(
        trigger=plain(described, _LONG),
        source=plain(finding.source if finding is not None else ""),
        reason=plain(reason or (audit.reason if audit is not None else ""), _LONG),
        note=plain(notes[-1] if notes else "", _LONG),
        answer=plain(finding.answer if finding is not None else "", _LONG),
        rankings=tuple(_ranking(one) for one in audit.rankings) if audit is not None else (),
        tokens=plain(" ".join(token_lines(audit)[:1]) if audit is not None else "", _LONG),
    )


def _ranking(ranking: Ranking) -> Ranking:
    """With every name as it may be shown."""
    return replace(
        ranking,
        query=plain(ranking.query, _LONG),
        triggered=plain(ranking.triggered, _LONG),
        items=tuple(replace(item, name=plain(item.name, _LONG)) for item in ranking.items),
    )
