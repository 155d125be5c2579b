"""What crosses rooms: frozen dataclasses and closed vocabularies, and nothing else; one file per topic.

Words are those of `docs/states.md`; the framework's terms come from arXiv 2606.17815 ("the paper").
"""

from dife_scanner.records.audits import AskedPlan, Audit, EvidenceFile
from dife_scanner.records.calibration import Calibration, Planted, Power
from dife_scanner.records.checkpoints import HubFile, HubModel, Manifest, ModelRef, Reference
from dife_scanner.records.checks import Basis, CheckKind, CheckOutcome, CheckResult, Decision
from dife_scanner.records.diagnosis import BranchSwap, ComponentRepair, Diagnosis, decided
from dife_scanner.records.findings import Alert, Finding, ModelRow, Tally
from dife_scanner.records.jobs import Job
from dife_scanner.records.measures import Change, Interval, Measure
from dife_scanner.records.pools import PoolItem, PoolManifest
from dife_scanner.records.profile import Absent, ArtefactMissing, Cell, Entry, NotEvaluable, NotRun, SelectorControl
from dife_scanner.records.searches import (
    Exchanged,
    Nearby,
    Nearest,
    NotSearched,
    NounShare,
    Recovered,
    Search,
    SignatureResult,
)
from dife_scanner.records.triggers import Condition, Trigger, TriggerFile
from dife_scanner.records.vocabulary import (
    AlertEvent,
    AlertState,
    Budget,
    Carrier,
    Category,
    Channel,
    Confidence,
    EntryType,
    EvidenceRole,
    FindingKind,
    JobState,
    Layout,
    Origin,
    Position,
    Severity,
    Stratum,
    TriageState,
    TriggerKind,
    Verdict,
)

__all__ = [
    "Absent",
    "Alert",
    "AlertEvent",
    "AlertState",
    "ArtefactMissing",
    "AskedPlan",
    "Audit",
    "Basis",
    "BranchSwap",
    "Budget",
    "Calibration",
    "Carrier",
    "Category",
    "Cell",
    "Change",
    "Channel",
    "CheckKind",
    "CheckOutcome",
    "CheckResult",
    "ComponentRepair",
    "Condition",
    "Confidence",
    "Decision",
    "Diagnosis",
    "Entry",
    "EntryType",
    "EvidenceFile",
    "EvidenceRole",
    "Exchanged",
    "Finding",
    "FindingKind",
    "HubFile",
    "HubModel",
    "Interval",
    "Job",
    "JobState",
    "Layout",
    "Manifest",
    "Measure",
    "ModelRef",
    "ModelRow",
    "Nearby",
    "Nearest",
    "NotEvaluable",
    "NotRun",
    "NotSearched",
    "NounShare",
    "Origin",
    "Planted",
    "PoolItem",
    "PoolManifest",
    "Position",
    "Power",
    "Recovered",
    "Reference",
    "Search",
    "SelectorControl",
    "Severity",
    "SignatureResult",
    "Stratum",
    "Tally",
    "TriageState",
    "Trigger",
    "TriggerFile",
    "TriggerKind",
    "Verdict",
    "decided",
]
