"""Small records for the store's tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dife_scanner.records import (
    Alert,
    AlertEvent,
    ArtefactMissing,
    Audit,
    BranchSwap,
    Budget,
    Carrier,
    Category,
    Cell,
    Change,
    Channel,
    ComponentRepair,
    Condition,
    Confidence,
    Diagnosis,
    EntryType,
    EvidenceFile,
    EvidenceRole,
    Finding,
    FindingKind,
    Hypothesis,
    Interval,
    JobState,
    Measure,
    ModelRef,
    NotEvaluable,
    NotRun,
    SelectorControl,
    Severity,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.sentences.alerts import notice_of
from dife_scanner.store import Store, jobs, leases
from dife_scanner.store.codec import restore


def make_ref(name: str = "org/clip", revision: str = "a" * 40) -> ModelRef:
    return ModelRef(name, revision)


def make_audit(audit_id: str = "aud1", identity: str = "id1", **changes: Any) -> Audit:
    interval = Interval(0.7, 0.9, "wilson")
    measure = Measure(0.8, interval, 40, 8)
    trigger = Trigger("word", TriggerKind.TEXT, text="zq", source="cat", target="dog")
    values: dict[str, Any] = {
        "id": audit_id,
        "identity": identity,
        "ref": make_ref(),
        "architecture": "ViT",
        "reference": "base",
        "image_tower": "i" * 64,
        "text_tower": "t" * 64,
        "image_tower_same": True,
        "text_tower_same": False,
        "audit_version": "1",
        "budget": Budget.DEFAULT,
        "seed": 0,
        "signatures": (Hypothesis(trigger, 0.5, 0.9, 0.0, 0.01, 0.02, 8),),
        "trigger": trigger,
        "branch_swap": BranchSwap("zero-shot", 0.0, 0.0, 1.0, 1.0, 40, 8),
        "diagnosis": restore(
            Diagnosis,
            Carrier.TEXTUAL,
            Channel.TEXT,
            1.0,
            0.0,
            1.0,
            0.0,
            "text tower",
            ("zero-shot",),
        ),
        "profile": (
            Cell(
                "zero-shot",
                "TS",
                measure,
                measure,
                "base",
                0.8,
                interval,
                EntryType.EXPOSED,
                {"leak": 0.01},
            ),
            Cell(
                "rerank",
                "H@1",
                measure,
                measure,
                "clean",
                0.8,
                interval,
                EntryType.WEAK,
                {},
                Change(0.7, interval),
                Change(-0.1, interval),
                0.2,
                "p" * 64,
            ),
            NotEvaluable("downstream", Category.NO_VISUAL, "no text enters"),
            NotRun("prompt embeddings", "this audit did not ask"),
            ArtefactMissing("generator selection", "groups", "the pool is gone"),
            SelectorControl(
                "proxy selection",
                "Sel@1",
                measure,
                measure,
                Change(0.0, interval),
                "no text trigger",
            ),
        ),
        "agreement": "agrees",
        "verdict": Verdict.FLAGGED,
        "reason": "moves cat to dog",
        "clean_accuracy": 0.8,
        "reference_accuracy": 0.81,
        "prompt_drift": 0.02,
        "evidence": (EvidenceFile("e" * 64, "image/png", EvidenceRole.TRIGGER, "the trigger"),),
        "encodes": 10,
        "distinct_inputs": 10,
        "device": "cpu",
        "versions": {"torch": "2"},
        "started_at": "2026-11-01T00:00:00.000000+00:00",
        "seconds": 1.5,
        "condition": Condition(
            frozenset({Channel.TEXT, Channel.IMAGE, Channel.PROMPT}), True, True, "cat", "dog"
        ),
        "repair": ComponentRepair("TS", 1.0, 0.1, 0.1, 0.1, 40, 8),
    }
    return Audit(**{**values, **changes})


def make_finding(fingerprint: str = "fp1:0123456789abcdef", **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "fingerprint": fingerprint,
        "ref": make_ref(),
        "kind": FindingKind.FLAGGED,
        "severity": Severity.EXPOSED,
        "confidence": Confidence.DEMONSTRATED,
        "carrier": "textual",
        "channel": "text",
        "trigger": "word",
        "source": "cat",
        "target": "dog",
        "interfaces": ("zero-shot", "prompted"),
        "reason": "moves cat to dog",
        "audit_id": "aud1",
        "created_at": "2026-11-01T00:00:00.000000+00:00",
    }
    if "repo" in changes:
        changes["ref"] = make_ref(changes.pop("repo"))
    values |= changes
    values |= {"kind": FindingKind(values["kind"]), "severity": Severity(values["severity"])}
    values |= {"confidence": Confidence(values["confidence"])}
    return Finding(**values)


def put_finding(store: Store, finding: Finding) -> None:
    """Through the front door: a job that ends with this finding."""
    ref = ModelRef(finding.ref.repo_id, finding.fingerprint.ljust(40, "0"))
    job = jobs.discover(store, ref, endpoint="", state=JobState.QUEUED, reason="", pinned=True)
    leases.claim_job(store, job.id, "w", 60)
    leases.finish(store, job.id, "w", JobState.REFUSED, "", finding=replace(finding, audit_id=None))


def make_alert(finding: Finding, channel: str = "email", event: str = "new") -> Alert:
    return Alert(
        f"{finding.fingerprint}:{event}:{channel}", channel, AlertEvent(event), notice_of(finding)
    )
