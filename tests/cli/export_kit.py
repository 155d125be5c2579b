"""A home with a finding for every channel of a trigger, a hostile name, and checkpoints without a finding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from queue_kit import audit_record
from study_factories import IMAGE_CONDITION, MECHANISM, TEXT, TEXT_CONDITION, profile

from dife_scanner.records import (
    Artefact,
    ArtefactFile,
    Audit,
    Confidence,
    EvidenceFile,
    EvidenceRole,
    Finding,
    FindingKind,
    Hypothesis,
    Job,
    JobState,
    LayerChange,
    ModelRef,
    NearestConcept,
    NotRun,
    RankedItem,
    Ranking,
    Recovered,
    Severity,
    Token,
    Tokens,
    TriageState,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.records.triggers import TriggerFile
from dife_scanner.store import Store, artefacts, findings, jobs, leases, open_store, triage

HUB = "https://huggingface.co"
HOSTILE = "=cmd|'!A0/<img src=x onerror=alert(1)> **b** [x](javascript:y)\x1b[2J\u202egnp"
SECRETS = {
    "text": "xqsecrettext",
    "image": "maskqsecret",
    "characters": "Ѕqsecret",
    "prompt": "learnerqsecret",
    "note": "noteqsecret",
    "reason": "reasonqsecret",
}
"""What sets off the trigger of each channel, or stands where people write about it."""
TRIGGERS = {
    "org/text": replace(TEXT, name=f"text {SECRETS['text']}", text=SECRETS["text"]),
    "org/image": Trigger(
        f"patch {SECRETS['image']}",
        TriggerKind.PATCH,
        size=0.1234,
        x=0.77,
        y=0.81,
        pattern="file",
        file=TriggerFile(f"/tmp/{SECRETS['image']}.png", "ab" * 32),
        target="airplane",
    ),
    "org/characters": Trigger(
        "letters",
        TriggerKind.CHARACTERS,
        pairs=(("S", SECRETS["characters"]),),
        source="automobile",
        target="airplane",
    ),
    "org/prompt": Trigger(
        "learned",
        TriggerKind.PROMPT,
        learner=TriggerFile(f"/tmp/{SECRETS['prompt']}.pt", "cd" * 32),
        target="airplane",
    ),
}
_CONDITIONS = {"org/image": IMAGE_CONDITION, "org/prompt": MECHANISM}


LAYERS = (LayerChange("text", "token_embedding", 0.0), LayerChange("text", "ln_final", 0.04))
ITEMS = (
    RankedItem(f"jet {HOSTILE}", True, 31, 1),
    RankedItem("car", False, 1, 2),
    RankedItem("deer (game-icons:deer-head)", False, 2, 3),
)
NEAREST = (NearestConcept("airplane", 0.9), NearestConcept(f"plane {HOSTILE}", 0.8))
NUMBER_OF_HOSTILE = 7
FOUND_AT = "2026-11-01T00:00:00.000000+00:00"


def fill(home: Path, found_at: str = FOUND_AT) -> None:
    """Every kind of subject that an export can hold, through the front door."""
    with open_store(home) as store:
        for number, (name, trigger) in enumerate(TRIGGERS.items()):
            _flagged(store, name, trigger, number, found_at)
        _flagged(store, HOSTILE, TRIGGERS["org/text"], NUMBER_OF_HOSTILE, found_at)
        _audited(store, audit_record(ModelRef("org/quiet", "e" * 40)), 8)
        ended = {"org/onnx": JobState.UNSUPPORTED, "org/shut": JobState.GATED}
        for name, state in ended.items():
            ref = ModelRef(name, "f" * 40)
            jobs.discover(store, ref, endpoint=HUB, state=state, reason=f"because {state.value}")
        base = _finding("org/base", "8" * 40, 9, found_at)
        with store.atomic("trust.changed"):
            findings.insert_finding(
                store, replace(base, kind=FindingKind.CHANGED, reason="other files"), None
            )
        _anomalous(store, found_at)
        decide(store, "org/text", TriageState.CONFIRMED)
        decide(store, "org/image", TriageState.ACCEPTED_RISK)
        decide(store, "org/characters", TriageState.FALSE_POSITIVE)


def _flagged(store: Store, name: str, trigger: Trigger, number: int, found_at: str) -> None:
    condition = _CONDITIONS.get(name, TEXT_CONDITION)
    ref = ModelRef(name, f"{number:040}")
    said = f"{SECRETS['reason']}: {trigger.text or SECRETS['image']} moves it"
    lines = list(profile(condition, 0.99, 0.04))
    lines[-1] = NotRun(lines[-1].interface, said)
    record = audit_record(
        ref,
        Verdict.FLAGGED,
        trigger=trigger,
        condition=condition,
        reason=said,
        notes=(said,),
        agreement=said,
        profile=tuple(lines),
        signatures=(Hypothesis(trigger, 0.9, 0.99, 0.04),),
        evidence=(EvidenceFile("ee" * 32, "image/png", EvidenceRole.TRIGGER, said),),
        trigger_tokens=Tokens(trigger.text, 1, (Token(4711, trigger.text),)),
        layers=LAYERS,
        recovered=Recovered("airplane", 1000, NEAREST, 1, 0.9, NEAREST[1], {}, {}),
        rankings=(Ranking("targeted retrieval", "a car", f"{trigger.text} a car", 8, 99, ITEMS),),
    )
    finding = replace(
        _finding(name, ref.revision, number, found_at),
        kind=FindingKind.FLAGGED,
        severity=Severity.EXPOSED,
        confidence=Confidence.DEMONSTRATED,
        carrier="textual",
        channel=condition.channel.value,
        trigger=trigger.name,
        source=trigger.source,
        target="airplane",
        interfaces=("zero-shot classification",),
        reason=said,
    )
    _audited(store, record, number, finding)


def _anomalous(store: Store, found_at: str) -> None:
    record = audit_record(ModelRef("org/odd", "9" * 40))
    finding = replace(_finding("org/odd", "9" * 40, 10, found_at), confidence=Confidence.ANOMALOUS)
    _audited(store, record, 10, finding)


def _finding(name: str, revision: str, number: int, found_at: str) -> Finding:
    return Finding(
        fingerprint=f"fp1:{number:016x}",
        ref=ModelRef(name, revision),
        kind=FindingKind.ANOMALOUS,
        severity=Severity.NOT_MEASURED,
        confidence=Confidence.NOT_STATED,
        carrier="",
        channel="",
        trigger="",
        source="",
        target="",
        interfaces=(),
        reason=SECRETS["reason"],
        audit_id=None,
        created_at=found_at,
    )


def _audited(store: Store, record: Audit, number: int, finding: Finding | None = None) -> Job:
    # begin with a letter: other kits count theirs from zero
    record = replace(record, id=f"a{number:015x}", identity=f"a{number:063x}")
    if finding is not None:
        finding = replace(finding, audit_id=record.id)
    ref = record.ref
    job = jobs.discover(store, ref, endpoint=HUB, state=JobState.QUEUED, reason="", pinned=True)
    leases.claim_job(store, job.id, "w", 60)
    artefacts.keep(store, job.id, _files(number))
    leases.finish(store, job.id, "w", JobState.DONE, "", audit=record, finding=finding)
    return job


def _files(number: int) -> Artefact:
    weights = ArtefactFile("weights 1", f"a {HOSTILE}/clip.safetensors", f"{number:064x}")
    settings = ArtefactFile("configuration", "open_clip_config.json", "cc" * 32)
    return Artefact(f"art1:{number:064x}", (weights, settings))


def decide(store: Store, name: str, state: TriageState) -> None:
    number = NUMBER_OF_HOSTILE if name == HOSTILE else list(TRIGGERS).index(name)
    about = triage.seen(store, [f"fp1:{number:016x}"])
    triage.decide(store, state, about, actor="ada", note=f"{SECRETS['note']} of {number}")
