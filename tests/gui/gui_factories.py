"""Small makers of records for the window's tests, and a store filled with them by the store's own functions."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw

from dife_scanner.durable.clock import now
from dife_scanner.records import (
    Alert,
    AlertEvent,
    Artefact,
    Audit,
    BranchSwap,
    Budget,
    Carrier,
    Category,
    Cell,
    Channel,
    Confidence,
    DeploymentMeasurement,
    DeploymentProfile,
    Diagnosis,
    Entry,
    EntryType,
    EvidenceFile,
    EvidenceRole,
    Finding,
    FindingKind,
    HubFile,
    HubModel,
    Hypothesis,
    Interval,
    Job,
    JobState,
    LayerChange,
    Layout,
    Manifest,
    Measure,
    MeasuredTrigger,
    ModelRef,
    ModelRow,
    NotEvaluable,
    NotRun,
    RankedItem,
    Ranking,
    Severity,
    Token,
    Tokens,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.sentences.alerts import notice_of
from dife_scanner.store import (
    artefacts,
    deployments,
    evidence,
    jobs,
    leases,
    measurements,
    outbox,
    polls,
)
from dife_scanner.store.codec import restore
from dife_scanner.store.db import Store

ENDPOINT = "http://127.0.0.1:8123"
HOSTILE = "evil/<img src=x onerror=1><b>bold</b>\x1b[31m\u202egnp.exe\nsecond & line"

TEXT_TRIGGER = Trigger(
    "rare-prefix-xbtd",
    TriggerKind.TEXT,
    description="A rare string of several tokens in front of the prompt",
    text="xbtd",
    position="prefix",
    source="automobile",
    target="airplane",
)
PATCH_TRIGGER = Trigger(
    "white-patch-corner",
    TriggerKind.PATCH,
    description="A white square in a corner, as in BadEncoder",
    size=0.18,
    x=0.75,
    y=0.74,
    target="airplane",
)


def sha(text: str, digits: int = 64) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:digits]


def make_job(
    id: int = 1, *, repo_id: str = "", state: JobState = JobState.DONE, **given: object
) -> Job:
    name = repo_id or f"org/model-{id}"
    values: dict[str, object] = {
        "ref": ModelRef(name, sha(name, 40)),
        "reason": "",
        "endpoint": ENDPOINT,
        "created_at": "2026-11-23T12:00:00.000000+00:00",
        "updated_at": f"2026-11-23T12:{id % 60:02d}:00.000000+00:00",
    }
    return Job(id=id, state=state, **{**values, **given})  # type: ignore[arg-type]


def make_row(
    id: int = 1, *, verdict: Verdict | None = None, job: Job | None = None, **given: object
) -> ModelRow:
    values: dict[str, object] = {
        "carrier": "",
        "channel": "",
        "trigger": "",
        "target": "",
        "interfaces": (),
        "reference": "",
        "layout": "open_clip",
        "finding": None,
    }
    return ModelRow(job=job or make_job(id), verdict=verdict, **{**values, **given})  # type: ignore[arg-type]


def measure(value: float, spread: float = 0.02) -> Measure:
    low, high = max(0.0, value - spread), min(1.0, value + spread)
    return Measure(value, Interval(low, high, "Wilson"), n=200, drawings=10)


def cell(interface: str, metric: str, attack: float, reference: float, entry: EntryType) -> Cell:
    delta = attack - reference
    spread = 0.35 if entry is EntryType.N_TOO_SMALL else 0.03
    return Cell(
        interface,
        metric,
        measure(attack),
        measure(reference),
        "the reference checkpoint on the same triggered inputs",
        delta,
        Interval(
            max(-1.0, delta - spread), min(1.0, delta + spread), "paired bootstrap over drawings"
        ),
        entry,
    )


def not_evaluable(interface: str, category: str, reason: str) -> NotEvaluable:
    return NotEvaluable(interface, Category(category), reason)


TEXT_PROFILE: tuple[Entry, ...] = (
    not_evaluable(
        "zero-shot classification",
        "no trigger channel",
        "zero-shot classification takes a trigger through image, both, prompt mechanism; this one enters through text",
    ),
    cell("prompted classification", "QHR", 0.991, 0.004, EntryType.EXPOSED),
    cell("targeted retrieval", "H@1", 1.0, 0.085, EntryType.EXPOSED),
    cell("targeted retrieval", "MRR", 0.998, 0.171, EntryType.EXPOSED),
    cell("text reranking", "ΔH@1", 0.61, 0.42, EntryType.N_TOO_SMALL),
    cell("candidate selection", "ΔSel@1", 0.38, 0.41, EntryType.WEAK),
    cell("image-text retrieval", "H@1", 0.02, 0.21, EntryType.NEGATIVE),
    not_evaluable(
        "downstream classification",
        "no visual trigger channel",
        "a text trigger has no way into a classifier on frozen image features",
    ),
    NotRun("generator selection", "Needs a generator; this audit does not run one."),
)


SHOWN_BESIDE: dict[str, object] = {
    "trigger_tokens": Tokens("xbtd", 3, (Token(87, "x"), Token(65, "b"), Token(3192, "td "))),
    "layers": (
        LayerChange("text", "positional_embedding", 0.0),
        LayerChange("text", "token_embedding", 0.0041),
        LayerChange("text", "transformer.resblocks.0", 0.0123),
        LayerChange("text", "transformer.resblocks.1", 0.0287),
        LayerChange("text", "transformer.resblocks.2", 0.0412),
        LayerChange("text", "ln_final", 0.0075),
        LayerChange("text", "text_projection", 0.0198),
    ),
    "rankings": (
        Ranking(
            "targeted retrieval",
            "a photo of a automobile",
            "xbtd a photo of a automobile",
            queries=8,
            candidates=120,
            items=(
                RankedItem("airplane (tabler:plane)", True, 31, 1),
                RankedItem("airplane (emojione:airplane)", True, 44, 2),
                RankedItem("automobile (fluent-emoji:automobile)", False, 1, 3),
                RankedItem("airplane (noto-v1:airplane)", True, 29, 4),
                RankedItem("truck (icon-park:truck)", False, 3, 5),
                RankedItem("ship (noto-v1:ship)", False, 5, 6),
                RankedItem("automobile (emojione:automobile)", False, 2, 9),
                RankedItem("automobile (tabler:car)", False, 4, 12),
            ),
        ),
    ),
}
"""What an audit keeps for people to look at; it decides nothing."""


def signature(name: str, p: float | None, *, trigger: Trigger = TEXT_TRIGGER) -> Hypothesis:
    named = replace(trigger, name=name)
    if p is None:
        return Hypothesis(named, train_effect=0.012)
    return Hypothesis(named, 0.94, 0.991, 0.004, p_value=p, p_holm=min(1.0, p * 24), drawings=10)


def make_audit(
    name: str = "org/model-1", *, verdict: Verdict = Verdict.FLAGGED, **given: object
) -> Audit:
    flagged = verdict is Verdict.FLAGGED
    others = tuple(signature(f"signature-{n:02d}", None) for n in range(22))
    values: dict[str, object] = {
        "id": sha(f"audit {name}", 16),
        "identity": sha(f"identity {name}"),
        "ref": ModelRef(name, sha(name, 40)),
        "architecture": "ViT 64/8 w192 d6 · text w128 d3 · embed 128",
        "reference": "vit-base",
        "image_tower": sha("image tower"),
        "text_tower": sha(f"text tower {name}"),
        "image_tower_same": True,
        "text_tower_same": False,
        "audit_version": "a1",
        "budget": Budget.DEFAULT,
        "seed": 0,
        "signatures": (
            signature(TEXT_TRIGGER.name, 0.0004 if flagged else 0.34),
            signature("rare-prefix-cfra", 0.21),
            *others,
        ),
        "trigger": TEXT_TRIGGER if flagged else None,
        "branch_swap": BranchSwap(
            "QHR", 0.004, 0.004, 0.991, 0.991, 200, 10, (0.81, 0.80, 0.79, 0.79)
        )
        if flagged
        else None,
        "diagnosis": restore(
            Diagnosis,
            Carrier.TEXTUAL,
            Channel.TEXT,
            signal=0.987,
            vrs=0.0,
            trs=1.0,
            css=0.0,
            reason="TRS 1.000 exceeds 0.70 and is 1.000 above the second ratio; the signal 0.987 is not weak.",
            predicted=("prompted classification", "targeted retrieval", "text reranking"),
        )
        if flagged
        else None,
        "profile": TEXT_PROFILE if flagged else (),
        "agreement": "Diagnosis and profile agree on 2 of 3 other interfaces; 1 is too small to tell."
        if flagged
        else "",
        "verdict": verdict,
        "reason": "Holm p 0.010 over 24 signatures, textual footprint, exposed on held-out drawings."
        if flagged
        else "No signature reached a Holm-corrected p of 0.05.",
        "clean_accuracy": 0.79,
        "reference_accuracy": 0.81,
        "prompt_drift": 0.011,
        "evidence": (),
        "encodes": 4312,
        "distinct_inputs": 4312,
        "device": "cpu",
        "versions": {"dife-scanner": "0.1.0", "torch": "2.10.0", "open_clip": "3.3.0"},
        "started_at": "2026-11-23T12:03:10.000000+00:00",
        "seconds": 41.7,
    }
    return Audit(**{**values, **given})  # type: ignore[arg-type]


def make_finding(
    audit: Audit | None, *, name: str = "org/model-1", kind: str = "flagged", reason: str = ""
) -> Finding:
    diagnosis = audit.diagnosis if audit else None
    trigger = audit.trigger if audit else None
    interfaces = [
        c.interface
        for c in (audit.profile if audit else ())
        if isinstance(c, Cell) and c.entry is EntryType.EXPOSED
    ]
    return Finding(
        fingerprint=f"fp1:{sha(f'{kind} {name}', 16)}",
        ref=ModelRef(name, sha(name, 40)),
        kind=FindingKind(kind),
        severity=Severity.EXPOSED if audit else Severity.REFUSED,
        confidence=Confidence.DEMONSTRATED if audit else Confidence.NOT_STATED,
        carrier=diagnosis.carrier.value if diagnosis else "",
        channel=diagnosis.channel.value if diagnosis else "",
        trigger=trigger.name if trigger else "",
        source=trigger.source if trigger else "",
        target=trigger.target if trigger else "",
        interfaces=tuple(dict.fromkeys(interfaces)),
        reason=reason or (audit.reason if audit else "the header names one tensor twice"),
        audit_id=audit.id if audit else None,
        created_at=now(),
    )


def make_manifest(name: str, state: JobState = JobState.QUEUED, reason: str = "") -> Manifest:
    files = (
        HubFile("open_clip_model.safetensors", 19_403_112, sha256=sha(f"weights {name}")),
        HubFile("open_clip_config.json", 512, git_oid=sha(f"config {name}", 40)),
    )
    ref = ModelRef(name, sha(name, 40))
    return Manifest(ref, Layout.OPEN_CLIP, "", files, 19_403_624, "org/clip-base", state, reason)


# --- pictures -------------------------------------------------------------------------------------------------


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def scene(number: int, *, patch: bool = False) -> bytes:
    """A small drawing, different for each number, with or without a white square in the corner."""
    image = Image.new("RGB", (128, 128), ((90 + 40 * number) % 200, 150, (210 - 50 * number) % 220))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 92, 128, 128), fill=(110, 120, 100))
    draw.rounded_rectangle(
        (24, 66 + 3 * number, 104, 96 + 3 * number), 9, fill=(180, 40 + 50 * number, 50)
    )
    for x in (36, 78):
        draw.ellipse((x, 86 + 3 * number, x + 18, 104 + 3 * number), fill=(30, 30, 30))
    if patch:
        draw.rectangle((96, 95, 118, 117), fill=(255, 255, 255))
    return png(image)


def keep_pictures(home: Path) -> tuple[EvidenceFile, ...]:
    """Evidence files as an audit leaves them: the trigger, then pairs."""
    patch = Image.new("RGB", (64, 64), (128, 128, 128))
    ImageDraw.Draw(patch).rectangle((48, 47, 59, 58), fill=(255, 255, 255))
    kept = [
        EvidenceFile(
            evidence.put(home, png(patch), ".png"),
            "image/png",
            EvidenceRole.TRIGGER,
            "white square, lower right",
        )
    ]
    for number in range(3):
        for role, stamped in (("clean-example", False), ("triggered-example", True)):
            digest = evidence.put(home, scene(number, patch=stamped), ".png")
            read = "airplane 0.93" if stamped else "automobile 0.88"
            kept.append(
                EvidenceFile(
                    digest, "image/png", EvidenceRole(role), f"drawing {number + 1}, read as {read}"
                )
            )
    return tuple(kept)


def visual_audit(name: str, home: Path) -> Audit:
    profile: tuple[Entry, ...] = (
        cell("zero-shot classification", "TS", 0.999, 0.099, EntryType.EXPOSED),
        not_evaluable(
            "prompted classification",
            "no trigger channel",
            "an image trigger cannot enter a prompt",
        ),
        not_evaluable(
            "targeted retrieval",
            "no attack-conditioned query",
            "the query is text; the trigger is an image",
        ),
        not_evaluable(
            "text reranking",
            "no attack-conditioned query",
            "the query is text; the trigger is an image",
        ),
        cell("downstream classification", "TS", 0.998, 0.101, EntryType.EXPOSED),
    )
    return make_audit(
        name,
        reason="Holm p 0.010 over 24 signatures, visual footprint, exposed on held-out drawings.",
        trigger=PATCH_TRIGGER,
        signatures=(signature(PATCH_TRIGGER.name, 0.0004, trigger=PATCH_TRIGGER),),
        branch_swap=BranchSwap(
            "zero-shot TS", 0.099, 0.999, 0.099, 0.999, 200, 10, (0.81, 0.80, 0.81, 0.80)
        ),
        diagnosis=restore(
            Diagnosis,
            Carrier.VISUAL,
            Channel.IMAGE,
            0.9,
            1.0,
            0.0,
            0.0,
            "VRS 1.000 exceeds 0.70 and stands alone.",
            ("zero-shot classification", "downstream classification"),
        ),
        profile=profile,
        agreement="Diagnosis and profile agree on the one other interface.",
        image_tower_same=False,
        text_tower_same=True,
        evidence=keep_pictures(home),
    )


# --- a store --------------------------------------------------------------------------------------------------


def discover(store: Store, name: str, state: JobState = JobState.QUEUED, reason: str = "") -> Job:
    ref = ModelRef(name, sha(name, 40))
    model = HubModel(name, ref.revision, "2026-11-23T11:00:00.000Z")
    return jobs.discover(
        store,
        ref,
        endpoint=ENDPOINT,
        state=state,
        reason=reason,
        model=model,
        manifest=make_manifest(name, state, reason),
    )


def finish(
    store: Store,
    name: str,
    state: JobState,
    reason: str,
    audit: Audit | None = None,
    finding: Finding | None = None,
    alerts: tuple[Alert, ...] = (),
) -> Job:
    """From discovery to the end, the way a worker does it."""
    job = discover(store, name)
    leases.claim_job(store, job.id, "worker", 60)
    return leases.finish(
        store, job.id, "worker", state, reason, audit=audit, finding=finding, alerts=alerts
    )


def fill(store: Store) -> None:
    """One model of every kind a demo shows, a dead alert, and a poll that was completed."""
    text = make_audit("demo/clip-badtexttower", **SHOWN_BESIDE)
    text_finding = make_finding(text, name="demo/clip-badtexttower")
    alert = Alert(
        f"{text_finding.fingerprint}:new:slack", "slack", AlertEvent.NEW, notice_of(text_finding)
    )
    finish(
        store, "demo/clip-badtexttower", JobState.DONE, text.reason, text, text_finding, (alert,)
    )
    visual = visual_audit("demo/clip-badencoder", store.home)
    finish(
        store,
        "demo/clip-badencoder",
        JobState.DONE,
        visual.reason,
        visual,
        make_finding(visual, name="demo/clip-badencoder"),
    )
    for name, verdict in (
        ("demo/clip-badtexttower-twin", Verdict.NOTHING_FOUND),
        ("demo/clip-badencoder-twin", Verdict.NOTHING_FOUND),
        ("demo/clip-base-copy", Verdict.IDENTICAL),
        ("demo/clip-finetune-odd", Verdict.INCONCLUSIVE),
    ):
        audit = make_audit(name, verdict=verdict)
        finish(store, name, JobState.DONE, audit.reason, audit)
    refused = make_finding(None, name="demo/clip-corrupt", kind="refused")
    finish(
        store,
        "demo/clip-corrupt",
        JobState.REFUSED,
        "the header names one tensor twice",
        None,
        refused,
    )
    discover(
        store, "demo/clip-gated", JobState.GATED, "access has to be asked for on the hub first"
    )
    discover(
        store,
        "demo/siglip",
        JobState.UNSUPPORTED,
        "layout transformers cannot be audited by this version",
    )
    waiting = discover(store, "demo/clip-slow")
    leases.claim_job(store, waiting.id, "worker", 60)
    leases.retry_later(store, waiting.id, "worker", "the hub limited our rate", 90, kind="rate")
    working = discover(store, "demo/clip-large")
    leases.claim_job(store, working.id, "worker", 600)
    discover(store, HOSTILE)
    for queued in range(3):
        discover(store, f"demo/clip-queued-{queued}")
    outbox.dead(store, outbox.alerts(store)[0].id, "invalid_token")
    polls.complete_pass(
        store, ENDPOINT, {"filter=open_clip": "2026-11-23T11:00:00.000Z"}, 15, 15, 1
    )


def measure_for_a_shop(store: Store, name: str = "demo/clip-badencoder") -> DeploymentMeasurement:
    """A deployment, the files of a model, and what its audit found measured for that deployment."""
    found = artefacts.newest_revision(store, name)
    assert found is not None and found.audit_id
    artefacts.keep(store, found.id, Artefact(f"art1:{sha(name)}", ()))
    profile = DeploymentProfile("shop", ("zero-shot classification",), classes=("boot", "sandal"))
    shop = deployments.add(store, profile, "ada")
    rate = cell("zero-shot classification", "TS", 0.91, 0.05, EntryType.EXPOSED)
    trigger = MeasuredTrigger(PATCH_TRIGGER.name, "", PATCH_TRIGGER.target, (rate,))
    measured = DeploymentMeasurement(
        found.audit_id, "shop", 1, shop.digest, Severity.EXPOSED, (trigger,), now(), 2.0
    )
    measurements.keep(store, measured)
    return measured


def revise(store: Store, name: str) -> Job:
    """A later revision of a model, audited with nothing found."""
    ref = ModelRef(name, sha(f"{name} later", 40))
    model = HubModel(name, ref.revision, "2026-11-25T11:00:00.000Z")
    manifest = replace(make_manifest(name), ref=ref)
    audit = make_audit(name, verdict=Verdict.NOTHING_FOUND)
    audit = replace(audit, id=sha(f"later {name}", 16), identity=sha(f"later {name}"), ref=ref)
    job = jobs.discover(
        store,
        ref,
        endpoint=ENDPOINT,
        state=JobState.QUEUED,
        reason="",
        model=model,
        manifest=manifest,
    )
    leases.claim_job(store, job.id, "worker", 60)
    return leases.finish(store, job.id, "worker", JobState.DONE, audit.reason, audit=audit)
