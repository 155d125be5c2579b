"""One JSON document per command, each with a schema that ships in `assets/schemas/`.

`python -m dife_scanner.reports.as_json` writes the schemas anew; a test fails where a committed one is stale.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from dife_scanner.core.agreement import Accounting
from dife_scanner.core.cards import Card
from dife_scanner.records import (
    Alert,
    Audit,
    Deployment,
    DeploymentDecision,
    DeploymentMeasurement,
    DiskUse,
    Finding,
    GateAnswer,
    HubScan,
    Job,
    JobState,
    ModelRef,
    Movement,
    Opinion,
    Precedent,
    Qualification,
    Reach,
    Reference,
    ReferenceCheck,
    Silence,
    Standing,
    Tally,
    TrustRecord,
    Verdict,
    WatchedModel,
    ZooResult,
)
from dife_scanner.reports.export import Export
from dife_scanner.reports.rerun import Difference
from dife_scanner.reports.seeds import spreads
from dife_scanner.reports.study import Extension, Study
from dife_scanner.reports.study_sheets import accounting
from dife_scanner.sentences.compare import Compared
from dife_scanner.store.audits import AuditRow
from dife_scanner.store.polls import Beat
from dife_scanner.store.throughput import Throughput


@dataclass(frozen=True)
class TargetResult:
    """The result of one target of `scan` (or one revision of `watch --once`)."""

    target: str
    job: Job
    verdict: Verdict | None
    finding: Finding | None
    audit: Audit | None


@dataclass(frozen=True)
class Spread:
    """One number over the seeds of an attack."""

    number: str
    mean: float
    sd: float | None
    """Sample standard deviation; `None` for a single value."""
    seeds: int
    """How many of the checkpoints had the number."""


@dataclass(frozen=True)
class KnownTriggers:
    """What the audits of known triggers make together; the audits themselves are under `targets`."""

    rows: tuple[str, ...]
    """What each audited target is called in tables, CSV and figures, in the order of the targets that have an audit."""
    accounting: Accounting
    """How many diagnoses the profiles bear out (paper §5)."""
    over_seeds: tuple[Spread, ...]
    extensions: tuple[Extension, ...]

    @classmethod
    def of(cls, made: Study) -> KnownTriggers:
        """The study's part of a scan's document."""
        over_seeds = []
        if made.seeds:
            for one in spreads(made):
                over_seeds.append(Spread(one.what, one.mean, one.sd, seeds=len(one.values)))
        return cls(
            rows=tuple(row.name for row in made.rows),
            accounting=accounting(made),
            over_seeds=tuple(over_seeds),
            extensions=made.extensions,
        )


@dataclass(frozen=True)
class ScanDocument:
    flagged: int
    refused: int
    without_verdict: int
    suppressed: int
    targets: tuple[TargetResult, ...]
    tally: Tally
    """Over the audits of these targets."""
    known: KnownTriggers | None = None
    """Only for scans of known triggers and with extensions."""
    format: str = "dife/scan-1"


@dataclass(frozen=True)
class PlannedModel:
    ref: ModelRef
    layout: str
    state: JobState
    reason: str
    bytes_to_fetch: int
    files: tuple[str, ...]
    base: str = ""
    """The clean base that it would be compared with, by its name in the registry; empty where none can be told."""
    base_by: str = ""
    """What says so."""
    base_bytes: int = 0
    """To fetch the base; 0 where it is here, or is not fetched."""


@dataclass(frozen=True)
class PlannedPictures:
    """Somebody's own labelled pictures, as each audit would read them."""

    classes: int
    pictures: int
    """All splits together, in memory at once."""
    bytes: int
    texts: int
    """That the search for texts reads first: for every class, in every place."""


@dataclass(frozen=True)
class PlanDocument:
    """What would be done, before anything large is fetched."""

    models: int
    auditable: int
    states: dict[str, int]
    bytes: int
    requests: int
    hours: float
    exact: bool
    assumptions: tuple[str, ...]
    targets: tuple[PlannedModel, ...] = ()
    """Named for `scan`; a poll's plan counts them only."""
    qualify: tuple[str, ...] = ()
    """Bases that these targets may need and of which was never measured what they recognise."""
    qualify_pictures: int = 0
    """Pictures that all of them look at, once."""
    qualify_texts: int = 0
    own_pictures: PlannedPictures | None = None
    """Absent where there are none, and where they would have to be fetched first."""
    format: str = "dife/plan-1"


@dataclass(frozen=True)
class FindingsDocument:
    filter: str
    findings: tuple[Finding, ...]
    tally: Tally | None = None
    """Over every audit of this home; absent where single findings were requested."""
    format: str = "dife/findings-1"


@dataclass(frozen=True)
class AuditsDocument:
    filter: str
    audits: tuple[AuditRow, ...]
    tally: Tally
    """Over the audits listed."""
    format: str = "dife/audits-1"


@dataclass(frozen=True)
class ShowDocument:
    audit: Audit | None
    finding: Finding | None
    job: Job | None = None
    opinions: tuple[Opinion, ...] = ()
    """What other scanners said of the same files; evidence that decides nothing."""
    movement: Movement | None = None
    """What moved since the revision before this one was audited."""
    hub_scan: HubScan | None = None
    """What the hub's own scanners said when the revision was looked at; `None` is not "safe"."""
    standings: tuple[Standing, ...] = ()
    """What counts for each deployment, and how severe it is there."""
    format: str = "dife/show-1"


@dataclass(frozen=True)
class RerunDocument:
    """A stored audit compared with the same one run again."""

    audit: str
    ref: ModelRef
    identical: bool
    compared: int
    differences: tuple[Difference, ...]
    reasons: tuple[str, ...]
    device: str
    versions: dict[str, str]
    extensions: tuple[Extension, ...] = ()
    notes: tuple[str, ...] = ()
    """What else is to be known of the comparison."""
    format: str = "dife/rerun-1"


@dataclass(frozen=True)
class NextJob:
    """A job that waits."""

    job: int
    ref: ModelRef
    due: bool
    """Whether it may be taken now."""
    reason: str
    """Why it stands at its place, in words."""


@dataclass(frozen=True)
class QueueDocument:
    counts: dict[str, int]
    jobs: tuple[Job, ...]
    next: tuple[NextJob, ...] = ()
    """What waits in the order in which it will be taken, as things stand; the first 500."""
    hours_left: float | None = None
    """Until nothing waits at the pace of late; `None` where nothing waits, or nothing tells how long it takes."""
    format: str = "dife/queue-1"


@dataclass(frozen=True)
class StatusDocument:
    watching: bool
    processes: tuple[Beat, ...]
    counts: dict[str, int]
    last_pass_at: str | None
    alerts_pending: int
    alerts_dead: int
    disk: DiskUse
    scope: str = ""
    since: str = ""
    """Back to when the listings are read."""
    unread: dict[str, Reach] = field(default_factory=dict)
    """Sources that are not read back to `since` yet, and how far they are."""
    in_use: tuple[WatchedModel, ...] = ()
    alerts_error: str = ""
    """Which channel took the latest of the dead ones not, and what it said; empty where none is dead."""
    silences: int = 0
    """In force."""
    throughput: Throughput | None = None
    """How fast the queue is worked through."""
    hub_left: dict[str, int] = field(default_factory=dict)
    """By limit of the hub (`api`, `resolvers`, `pages`), requests that are left of its window, where that is known."""
    format: str = "dife/status-1"


@dataclass(frozen=True)
class CompareDocument:
    """Audits side by side, beside the base of one where that was asked for."""

    columns: tuple[str, ...]
    """Their titles."""
    audits: tuple[str, ...]
    """For each column the id of the audit that its numbers are from."""
    lines: tuple[Compared, ...]
    format: str = "dife/compare-2"


@dataclass(frozen=True)
class TopDocument:
    """One look at the desk."""

    filter: str
    status: StatusDocument
    working: tuple[Job, ...]
    waiting: tuple[Job, ...]
    """The first 500, in the order in which they will be taken."""
    stuck: tuple[Job, ...]
    """The latest 500 that ended and may go on once somebody queues them again."""
    findings: tuple[Finding, ...]
    """The 500 last seen of those that the filter lets through."""
    count: int
    """How many it lets through."""
    format: str = "dife/top-1"


@dataclass(frozen=True)
class ReferencesDocument:
    references: tuple[Reference, ...]
    wanted: dict[str, int] = field(default_factory=dict)
    """How many audits lack each base that is not here, by its name in the registry."""
    trusted: tuple[TrustRecord, ...] = ()
    """What is trusted of the repositories that references were fetched from."""
    qualified: dict[str, Qualification] = field(default_factory=dict)
    """What each recognises of the wide probe set, by name; one that was not measured yet is missing."""
    format: str = "dife/references-1"


@dataclass(frozen=True)
class KnownBase:
    """One base that the registry knows by name."""

    name: str
    aliases: tuple[str, ...]
    architecture: str
    repositories: tuple[str, ...]
    """Where it is fetched from, the first that has it."""
    source: tuple[str, ...]
    """The public pages that say so."""
    reference: str
    """What it is called here; empty where it is not here."""
    unread: str
    """Why it is not fetched; empty where it is."""


@dataclass(frozen=True)
class RegistryDocument:
    """`dife reference list --registry`."""

    bases: tuple[KnownBase, ...]
    format: str = "dife/registry-1"


@dataclass(frozen=True)
class ReferenceChecksDocument:
    """`dife reference verify`."""

    checks: tuple[ReferenceCheck, ...]
    format: str = "dife/reference-checks-1"


@dataclass(frozen=True)
class CalibrationFile:
    """One calibration file as it is now."""

    path: str
    shipped: bool
    state: str
    """`in use`, `unused` (no audit of this home can be compared with it; `said` holds the reason), or `damaged`."""
    said: str = ""
    kind: str = ""
    """`pack` or `power`; this and the rest is empty for a damaged file."""
    name: str = ""
    base: str = ""
    budget: str = ""
    discovery: str = ""
    detectors: tuple[str, ...] = ()
    made_on: str = ""
    age_days: int | None = None
    digest: str = ""
    n: int = 0
    """Benign models of a pack; models with a planted trigger of a power table."""
    smallest_p: float | None = None
    tested: int = 0
    alarms: int = 0
    alarm_bound: float | None = None


@dataclass(frozen=True)
class CalibrationDocument:
    files: tuple[CalibrationFile, ...]
    format: str = "dife/calibration-1"


@dataclass(frozen=True)
class AlertsDocument:
    alerts: tuple[Alert, ...]
    format: str = "dife/alerts-2"


@dataclass(frozen=True)
class SilencesDocument:
    silences: tuple[Silence, ...]
    format: str = "dife/silences-1"


@dataclass(frozen=True)
class CardsDocument:
    cards: tuple[Card, ...]
    format: str = "dife/cards-1"


@dataclass(frozen=True)
class InfoDocument:
    version: str
    paths: dict[str, str]
    device: str
    versions: dict[str, str]
    secrets: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)
    children: dict[str, str] = field(default_factory=dict)
    """What each kind of limited child is kept from here, and by which means."""
    scanners: dict[str, str] = field(default_factory=dict)
    """The program of each scanner that is asked for a second opinion, or why none is."""
    format: str = "dife/info-1"


HealthState = Literal["ok", "warning", "problem", "not-checked"]


@dataclass(frozen=True)
class Health:
    """How one thing stands that the program needs."""

    part: str
    """`environment`, `settings`, `store`, `endpoint`, `channels`, `disk` or `clock`."""
    what: str
    state: HealthState
    said: str
    """What was found; never a secret."""
    next: str = ""
    """What to do; empty where nothing has to be done."""


@dataclass(frozen=True)
class DoctorDocument:
    """`dife doctor`."""

    problems: int
    warnings: int
    lines: tuple[Health, ...]
    format: str = "dife/doctor-1"

    @classmethod
    def of(cls, lines: Iterable[Health]) -> DoctorDocument:
        """The document of these lines, counted."""
        found = tuple(lines)
        states = [one.state for one in found]
        return cls(states.count("problem"), states.count("warning"), found)


@dataclass(frozen=True)
class BackupDocument:
    """`dife backup` and `dife restore`: what is in the backup."""

    done: Literal["written", "restored"]
    archive: str
    home: str
    made_at: str
    version: str
    """Of the program that made it."""
    schema: str
    """Of the database; a restored one is brought up to date."""
    bytes: int
    """Of the file that was written; of all restored files together."""
    files: dict[str, int]
    """How many of each kind."""
    left_out: tuple[str, ...]
    forgotten: tuple[str, ...] = ()
    """References that the database names and whose files are not in the backup."""
    format: str = "dife/backup-1"


@dataclass(frozen=True)
class ZoosDocument:
    """`dife lab bench zoos`."""

    zoos: tuple[ZooResult, ...]
    page: str = ""
    """Where the page was written; empty where none was."""
    format: str = "dife/zoos-1"


@dataclass(frozen=True)
class DeploymentsDocument:
    deployments: tuple[Deployment, ...]
    format: str = "dife/deployments-1"


@dataclass(frozen=True)
class MeasurementsDocument:
    """`dife deployments measure`: what audits found, measured for one deployment."""

    measurements: tuple[DeploymentMeasurement, ...]
    format: str = "dife/measurements-1"


@dataclass(frozen=True)
class DecisionsDocument:
    """What counts now; the log itself where that was requested."""

    filter: str
    standings: tuple[Standing, ...] = ()
    log: tuple[DeploymentDecision, ...] = ()
    format: str = "dife/decisions-1"


@dataclass(frozen=True)
class AboutDocument:
    """`dife decisions show`: one checkpoint, for every deployment."""

    target: str
    artefact: str
    standings: tuple[Standing, ...]
    precedents: tuple[Precedent, ...]
    """Earlier decisions about other files that have something in common with these."""
    log: tuple[DeploymentDecision, ...]
    """About these files, in the order in which they came here."""
    format: str = "dife/about-1"


@dataclass(frozen=True)
class ImportDocument:
    """`dife decisions import`."""

    desk: str
    """As it is called here."""
    events: int
    new: int
    standings: tuple[Standing, ...]
    """What counts now about everything that is new."""
    format: str = "dife/import-1"


@dataclass(frozen=True)
class HandoverDocument:
    """`dife handover`: at most so many of each kind, with how many there are in all."""

    at: str
    days: float
    """Within which a decision expires that is named."""
    counts: dict[str, int]
    open: tuple[Finding, ...]
    """New, in work, come back, or their acceptance ran out."""
    disputed: tuple[Finding, ...]
    pending: tuple[Standing, ...]
    """What somebody has to decide, and what another desk says otherwise of."""
    expiring: tuple[Standing, ...]
    quarantined: tuple[Job, ...]
    silenced: tuple[Finding, ...]
    """Those that send no alert because somebody decided so."""
    overdue: tuple[Finding, ...] = ()
    """Disputed ones whose deadline for an answer is past, and that have none."""
    format: str = "dife/handover-1"


@dataclass(frozen=True)
class UsedModel:
    """A model that somebody uses, and how far it is known."""

    model: str
    place: str
    """Where it is used."""
    state: str
    """Of its newest revision here; empty where nothing was looked up yet."""
    verdict: str
    triage: str
    exposure: float | None
    """Largest measured difference over the reference."""


@dataclass(frozen=True)
class TrendStep:
    """What was done from one moment up to another."""

    begin: str
    end: str
    audited: int
    found: int
    """Findings seen for the first time."""
    failed: int


@dataclass(frozen=True)
class ExpiringDecision:
    """A decision that soon counts no longer, without what people wrote about it."""

    model: str
    deployment: str
    state: str
    expires: str
    owner: str


@dataclass(frozen=True)
class ReportDocument:
    """`dife report`: a period on one page."""

    begin: str
    end: str
    hub: str
    scope: str
    reads_back: str
    """Back to when the listings are read."""
    last_pass_at: str
    """The latest complete one; empty where there was none."""
    in_use: tuple[UsedModel, ...]
    states: dict[str, int]
    """Of every discovered revision."""
    older_audits: int
    """Audits by an earlier version of the measuring code."""
    new: tuple[Finding, ...]
    """First seen in the period, the latest 50; without trigger, source and reason."""
    new_in_all: int
    triage: dict[str, int]
    """How all findings stand."""
    tally: Tally
    """Over the audits of the period."""
    expiring: tuple[ExpiringDecision, ...]
    """Within `days`."""
    days: float
    not_covered: tuple[str, ...]
    """Kinds of trigger that the searches of the period are not made for, or were not measured with."""
    not_searched: int
    """Audits of the period of which a search could not run."""
    trend: tuple[TrendStep, ...]
    """Oldest first; the last one is the period itself."""
    format: str = "dife/report-1"


@dataclass(frozen=True)
class GateDocument:
    answers: tuple[GateAnswer, ...]
    format: str = "dife/gate-1"


@dataclass(frozen=True)
class DoneDocument:
    """A command whose result is that it was done."""

    done: str
    details: dict[str, str] = field(default_factory=dict)
    format: str = "dife/done-1"


@dataclass(frozen=True)
class EventDocument:
    """One line of `watch --json`."""

    event: str
    at: str
    message: str
    job: Job | None = None
    format: str = "dife/event-1"


DOCUMENTS: tuple[type, ...] = (
    ScanDocument,
    PlanDocument,
    FindingsDocument,
    AuditsDocument,
    ShowDocument,
    RerunDocument,
    QueueDocument,
    StatusDocument,
    TopDocument,
    CompareDocument,
    ReferencesDocument,
    RegistryDocument,
    ReferenceChecksDocument,
    CalibrationDocument,
    AlertsDocument,
    SilencesDocument,
    CardsDocument,
    InfoDocument,
    DoctorDocument,
    BackupDocument,
    ZoosDocument,
    DeploymentsDocument,
    MeasurementsDocument,
    DecisionsDocument,
    AboutDocument,
    ImportDocument,
    HandoverDocument,
    GateDocument,
    Export,
    ReportDocument,
    DoneDocument,
    EventDocument,
)


def render(document: object) -> str:
    """One line of JSON, keys as in the schema of its `format`."""
    return json.dumps(
        _adapter(type(document)).dump_python(document),
        separators=(",", ":"),
        ensure_ascii=False,
        default=sorted,
    )


def schema(kind: type) -> dict[str, Any]:
    """JSON Schema (2020-12) of one document."""
    found: dict[str, Any] = _adapter(kind).json_schema(mode="serialization")
    found["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    found["properties"]["format"] = {"const": format_of(kind)}
    return found


def format_of(kind: type) -> str:
    return str(kind.__dataclass_fields__["format"].default)  # type: ignore[attr-defined]


def schema_file(kind: type) -> Path:
    name = format_of(kind).removeprefix("dife/")
    return Path(str(files("dife_scanner") / "assets" / "schemas" / f"{name}.json"))


def _adapter(kind: type) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _write_schemas() -> None:
    for kind in DOCUMENTS:
        schema_file(kind).write_text(
            json.dumps(schema(kind), indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    _write_schemas()
