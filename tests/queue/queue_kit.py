"""Tiny checkpoints, a probe set of three pictures, and an audit that costs nothing.

The audit double has the interface of `dife_scanner.audit.pipeline:run` and runs in the real audit child; everything
around it (hub, intake, sandboxed inspection, child, store, alerts) is the real code.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import tempfile
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dife_scanner import settings as settings_
from dife_scanner.audit import qualification
from dife_scanner.audit.pipeline import AUDIT_VERSION, Keep, Outcome, Plan, Request, forget, run
from dife_scanner.audit.populations.errors import PoolTooSmall
from dife_scanner.core.findings import fingerprint
from dife_scanner.discovery import inversion_states
from dife_scanner.discovery.effort import FAINT_EFFORTS, PATCH_EFFORTS, InversionEffort
from dife_scanner.errors import AuditError
from dife_scanner.models import sandbox
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.layouts.open_clip import parse_config
from dife_scanner.models.tensors import expected_tensors
from dife_scanner.progress import Progress
from dife_scanner.queue.lease import Lease, worker_name
from dife_scanner.queue.processes import end_with_parent, stop_event
from dife_scanner.queue.work import Work
from dife_scanner.records import (
    Audit,
    Budget,
    Channel,
    Confidence,
    EvidenceFile,
    EvidenceRole,
    Finding,
    FindingKind,
    Hypothesis,
    ModelRef,
    Origin,
    Qualification,
    Recognition,
    Reference,
    Search,
    Severity,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.settings import Settings
from dife_scanner.store import Store, leases, open_store, qualifications

PRELOAD = ("dife_scanner.audit.pipeline", "dife_scanner.settings", "PIL.Image")
"""What the double needs; torch is not among it."""
CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
EMPTY_ZIP = b"PK\x05\x06" + bytes(18)
"""Behind the tensors of a file it is a second format in it, and the file is refused."""
_MODEL: dict[str, Any] = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
}


def checkpoint(seed: float = 0) -> dict[str, bytes]:
    """The files of a valid little open_clip repository; another seed is another model, NaN a broken one."""
    from safetensors.numpy import save

    config = json.dumps({"model_cfg": _MODEL, "preprocess_cfg": {}}).encode()
    shapes = expected_tensors(parse_config(config))
    weights = {name: np.full(shape, seed / 7, np.float16) for name, shape in shapes.items()}
    return {CONFIG: config, WEIGHTS: save(weights)}


def checkpoint_folder(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    for name, content in checkpoint(seed).items():
        (folder / name).write_bytes(content)
    return folder


def as_if_qualified(store: Store, reference: Reference) -> None:
    """What it recognises counts as measured, so that no audit measures it."""
    found = Qualification(
        reference.image_tower,
        reference.text_tower,
        qualification.bundled_digest(),
        qualification.VERSION,
        Recognition({"cat": 1.0}),
        1,
        1,
        0.0,
    )
    qualifications.keep(store, found)


def drawn_folder(folder: Path, seed: int, noise: float = 0.0) -> str:
    """A tiny checkpoint as it is initialised; another seed is another model, and noise a fine-tune of it."""
    from safetensors.numpy import load, save

    files = checkpoint()
    rng, more = np.random.default_rng(seed), np.random.default_rng(99)
    weights = {
        name: np.asarray(
            rng.normal(0, 0.5, value.shape) + noise * more.normal(0, 0.5, value.shape), np.float32
        )
        for name, value in sorted(load(files[WEIGHTS]).items())
    }
    folder.mkdir()
    (folder / CONFIG).write_bytes(files[CONFIG])
    (folder / WEIGHTS).write_bytes(save(weights))
    return str(folder)


def probes_folder(folder: Path) -> Path:
    """One picture per split."""
    folder.mkdir(parents=True)
    rows = []
    for number, split in enumerate(("train", "diagnosis", "test")):
        stream = BytesIO()
        Image.new("RGB", (8, 8), (number, 0, 0)).save(stream, "PNG")
        (folder / f"{split}.png").write_bytes(stream.getvalue())
        digest = hashlib.sha256(stream.getvalue()).hexdigest()
        rows.append(
            {
                "file": f"{split}.png",
                "sha256": digest,
                "label": "cat",
                "drawing": split,
                "split": split,
            }
        )
    (folder / "probes.json").write_text(
        json.dumps({"version": "1", "classes": ["cat"], "images": rows})
    )
    return folder


def read_here(question: sandbox._Question, limits: ParseLimits) -> dict[str, Any]:
    """What a limited child answers, found in this process: an interpreter less to start for each file that is read."""
    own = replace(question, files=tuple(map(os.dup, question.files)))
    found = sandbox._answer(lambda: sandbox._found(own, limits), own.name, limits)
    return sandbox._answered(json.dumps(found).encode())


def work_for(home: Path, endpoint: str = "http://127.0.0.1:9", **changes: Any) -> Work:
    """Work with the audit double; `limits` and other settings as keyword arguments."""
    audit, channels = changes.pop("audit", "queue_kit:audit"), changes.pop("channels", ())
    lease, start = changes.pop("lease_seconds", 60.0), changes.pop("start", "forkserver")
    preload = changes.pop("preload", PRELOAD)
    # a fork takes over the locks that other threads hold
    disk = {"free_bytes": 0, "fetch_ahead": start != "fork", **changes.pop("disk", {})}
    folder = home.parent / "probes"
    if not folder.exists():
        probes_folder(folder)
    settings: Settings = settings_.load(
        home, endpoint=endpoint, filters=("search=clip",), disk=disk, **changes
    )
    plan = Plan((), budget="quick", probes_folder=folder)
    return Work(
        settings,
        plan,
        channels=channels,
        audit=audit,
        preload=preload,
        start=start,
        lease_seconds=lease,
        seed=0,
    )


def audit(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    """What the checkpoint's name asks for: `bad` is flagged, `torn` undecided, `dies` and the like do that."""
    name = request.ref.repo_id.rsplit("/", 1)[-1]
    assert Path(tempfile.gettempdir()).is_relative_to(request.folder.parent), (
        "a killed audit would leave its copies"
    )
    progress("auditing", 0, 1, name)
    if "dies" in name:
        os.kill(os.getpid(), signal.SIGKILL)
    if "hogs" in name:
        hog = np.ones(300 * 1024**2, np.uint8)
        time.sleep(60 * hog[0])
    if "sleeps" in name:
        time.sleep(60)
    if "bug" in name:
        raise ZeroDivisionError("division by zero")
    if "greedy" in name:
        import torch

        torch.empty(1, 10**14)  # a batch of one, and no machine has room for it
    if "gone" in name:
        raise RuntimeError("CUDA error: unspecified launch failure\nCompile with …")
    if "without-gpu" in name:
        from dife_scanner.models.device import pick_device

        pick_device("cuda:99")
    if "nan" in name:
        raise AuditError("the image tower gives embeddings that are not finite", "do not use it")
    if "small" in name:
        raise PoolTooSmall(
            "five pictures of twenty", "give more pictures", card="caption retrieval", pool="mine"
        )
    time.sleep(float(os.environ.get("DIFE_TEST_AUDIT_SECONDS", "0")))
    _wait_for_file(os.environ.get("DIFE_TEST_AUDIT_UNTIL", ""))
    verdicts = {"bad": Verdict.FLAGGED, "torn": Verdict.INCONCLUSIVE}
    verdict = next(
        (verdict for word, verdict in verdicts.items() if word in name), Verdict.NOTHING_FOUND
    )
    return _outcome(request, verdict, _score(name))


def _wait_for_file(path: str) -> None:
    """Let an audit last until a test says so, however slow the machine is."""
    while path and not Path(path).exists():
        time.sleep(0.05)


def naming(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    """Tells which signatures it was asked to try, and which references were flagged."""
    made = audit(request, progress)
    told = " ".join(f"{one.name}:{one.source or 'any'}" for one in request.plan.signatures)
    told = f"{told}; flagged: {' '.join(sorted(request.flagged))}"
    return replace(made, audit=replace(made.audit, reason=told))


def comparing(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    """Tells what it was asked to compare with."""
    made = audit(request, progress)
    name = request.reference.name if request.reference else "nothing"
    stand = " ".join("unrelated" if away else "related" for away in request.likeness.unrelated)
    told = f"{name}, {request.likeness.distance or 0:.1f} apart, {stand}"
    return replace(made, audit=replace(made.audit, reason="; ".join((told, *request.notes))))


def knowing(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    """Tells what its base is said to recognise."""
    made = audit(request, progress)
    found = request.qualification
    told = ", ".join(found.recognition.classes) if found else "nothing was measured"
    return replace(made, audit=replace(made.audit, reason=told))


def searching_briefly(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    """The real audit, whose searches make less effort than any budget's."""
    for efforts, steps in ((PATCH_EFFORTS, 40), (FAINT_EFFORTS, 16)):
        efforts[Budget.QUICK] = InversionEffort(1, steps, pictures=12, report_smallest=False)
    return run(request, progress, keep)


def killed_in_its_search(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    """The same, killed once, when the first of its searches has been kept; leaves `killed` beside the home."""
    return _killed_at("discovery.kept", request, progress, keep)


def killed_in_an_inversion(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    """The same, killed once, when it has kept where the first inversion stands after its first step."""
    inversion_states.KEEP_SECONDS = 0.0
    return _killed_at("inversion.kept", request, progress, keep)


def touches(path: str, writer: Any) -> None:
    """What a child can do without an audit."""
    Path(path).touch()


def _killed_at(point: str, request: Request, progress: Progress, keep: Keep) -> Outcome:
    home = next(folder for folder in request.folder.parents if folder.name == "home")
    os.environ["DIFE_CRASH_AT"] = point
    os.environ["DIFE_CRASH_MARK"] = str(home.parent / "killed")
    return searching_briefly(request, progress, keep)


def _score(name: str) -> float | None:
    """`scored-40` has a score of 0.4, as if something had searched."""
    return int(name.rsplit("-", 1)[-1]) / 100 if "scored" in name else None


def _outcome(request: Request, verdict: Verdict, score: float | None) -> Outcome:
    key = request.identity
    content = f"picture of {key}".encode()
    file = EvidenceFile(
        hashlib.sha256(content).hexdigest(), "image/png", EvidenceRole.TRIGGER, "a picture"
    )
    made = audit_record(
        request.ref,
        verdict,
        identity=key,
        budget=request.plan.budget,
        evidence=(file,),
        device=request.device,
    )
    digest = hashlib.sha256(f"{key}{time.time()}{os.getpid()}".encode()).hexdigest()[:16]
    record = replace(made, id=digest, **({} if score is None else searched(score)))
    return Outcome(
        record, finding_of(record) if verdict is Verdict.FLAGGED else None, ((file, content),)
    )


def searched(score: float) -> dict[str, Any]:
    """Fields of an audit whose search for texts came so far."""
    trigger = Trigger("found-text", TriggerKind.TEXT, text="zq", source="cat", target="dog")
    found = Hypothesis(trigger, score, score, 0.0, origin=Origin.DISCOVERED)
    search = Search("texts", Channel.TEXT, ("texts",), 1, score, 10, 0.1)
    return {"score": score, "searches": (search,), "signatures": (found,)}


def audit_record(ref: ModelRef, verdict: Verdict = Verdict.NOTHING_FOUND, **changes: Any) -> Audit:
    """A completed audit that measured nothing."""
    values: dict[str, Any] = {
        "id": "0" * 16,
        "identity": "0" * 64,
        "ref": ref,
        "architecture": "tiny",
        "reference": "",
        "image_tower": "i",
        "text_tower": "t",
        "image_tower_same": False,
        "text_tower_same": False,
        "audit_version": AUDIT_VERSION,
        "budget": Budget.QUICK,
        "seed": 0,
        "signatures": (),
        "trigger": None,
        "branch_swap": None,
        "diagnosis": None,
        "profile": (),
        "agreement": "",
        "verdict": verdict,
        "reason": f"as its name says: {verdict.value}",
        "clean_accuracy": None,
        "reference_accuracy": None,
        "prompt_drift": None,
        "evidence": (),
        "encodes": 0,
        "distinct_inputs": 0,
        "device": "cpu",
        "versions": {},
        "started_at": "2026-11-01T00:00:00.000000+00:00",
        "seconds": 0.0,
    }
    return Audit(**{**values, **changes})


def finding_of(record: Audit, confidence: str = "demonstrated") -> Finding:
    return Finding(
        fingerprint=fingerprint(record.ref.repo_id, "flagged", "text", "textual", "dog"),
        ref=record.ref,
        kind=FindingKind.FLAGGED,
        severity=Severity.EXPOSED,
        confidence=Confidence(confidence),
        carrier="textual",
        channel="text",
        trigger="word",
        source="cat",
        target="dog",
        interfaces=("zero-shot",),
        reason=record.reason,
        audit_id=record.id,
        created_at=record.started_at,
    )


def hangs_beside_its_lease(work: Work) -> None:
    """Be a worker that claims a job, and one more to fetch ahead, and then hangs; threads renew both leases."""
    stop = stop_event()
    with open_store(work.home) as store:
        for name in (worker_name(), worker_name("fetcher")):
            stop.is_set()
            job = leases.claim(store, name, 2.0)
            if job is not None:
                Lease(work.home, job.id, name, 2.0).__enter__()
    while True:
        time.sleep(1.0)


def sleeps_for_ever(work: Work) -> None:
    """Be a child that hangs."""
    end_with_parent()
    time.sleep(600)


def works_without_end(work: Work) -> None:
    """Be a worker that does nothing but ask whether it is to stop."""
    stop = stop_event()
    while not stop.is_set():
        time.sleep(0.05)
