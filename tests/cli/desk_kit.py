"""A home with audited folders and a deployment, for tests of what people decide. Nothing is searched."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import calling
import jsonschema
from queue_kit import audit_record, finding_of

from dife_scanner.app import files
from dife_scanner.app import gate as gates
from dife_scanner.core.artefacts import artefact
from dife_scanner.hub.manifest import local_manifest
from dife_scanner.records import (
    Audit,
    DecisionState,
    Finding,
    GateAnswer,
    Job,
    JobState,
    Manifest,
    ModelRef,
    Standing,
    Verdict,
)
from dife_scanner.reports import as_json
from dife_scanner.settings import Limits
from dife_scanner.store import Store, artefacts, audits, deciding, jobs, leases, open_store

CONFIG = b'{"model_cfg": {"embed_dim": 8}, "preprocess_cfg": {}}'
SHOP = ("--interface", "targeted retrieval", "--query", "a red shoe", "--k", "5")
REASON = ("--deployment", "shop", "--reason", "looked at")


def folder_of(path: Path, weights: bytes = b"weights", **more: bytes) -> Path:
    """The files of a checkpoint, as far as names and hashes go."""
    path.mkdir(parents=True)
    (path / "open_clip_config.json").write_bytes(CONFIG)
    (path / "open_clip_model.safetensors").write_bytes(weights)
    for name, content in more.items():
        (path / name.replace("__", ".")).write_bytes(content)
    return path


def audited(
    home: Path, path: Path, verdict: Verdict = Verdict.NOTHING_FOUND, **changes: Any
) -> Audit:
    """Through the front door: a job about the folder that ends with an audit. Again: the same job, another audit."""
    with open_store(home) as store:
        manifest = local_manifest(path)
        return ended(store, manifest, manifest.ref, verdict, **changes)


def ended(
    store: Store, manifest: Manifest, ref: ModelRef, verdict: Verdict, **changes: Any
) -> Audit:
    job = jobs.discover(
        store, ref, endpoint="", state=JobState.QUEUED, reason="", manifest=manifest, pinned=True
    )
    if job.state.is_final:
        jobs.requeue(store, job.id)
    leases.claim_job(store, job.id, "w", 60)
    found = artefact(manifest)
    assert found
    artefacts.keep(store, job.id, found)
    number = len(audits.audits(store))
    values = {"id": f"{number:016}", "identity": f"{number:064}", **changes}
    record = replace(audit_record(ref, verdict), **values)
    finding = finding_of(record) if verdict is Verdict.FLAGGED else None
    _finish(store, job, record, finding)
    return record


def _finish(store: Store, job: Job, record: Audit, finding: Finding | None) -> None:
    if finding:
        finding = replace(finding, audit_id=record.id)
    leases.finish(store, job.id, "w", JobState.DONE, "", audit=record, finding=finding)


def said(home: Path, *arguments: object, code: int = 0) -> dict[str, Any]:
    """The one JSON document of a command that ends with this code, checked against its shipped schema."""
    done = calling.dife("--home", home, "--json", *arguments)
    assert done.returncode == code, done.stderr + done.stdout
    read: dict[str, Any] = json.loads(done.stdout)
    kind = next(one for one in as_json.DOCUMENTS if as_json.format_of(one) == read["format"])
    jsonschema.validate(read, json.loads(as_json.schema_file(kind).read_text()))
    return read


def refused(home: Path, *arguments: object, code: int) -> str:
    """What a command that ends with this code says on stderr."""
    done = calling.dife("--home", home, *arguments)
    assert done.returncode == code, done.stderr + done.stdout
    return done.stderr


def decide(home: Path, target: object, state: str, **asked: Any) -> Standing:
    """What `dife decide` does, without the command line."""
    wanted = {"reason": "looked at", "actor": "ada", **asked}
    with open_store(home) as store:
        made = deciding.Asked(DecisionState(state), **wanted)
        found = files.decided_about(store, str(target), Limits())
        subject = deciding.Subject(found.id, found.model)
        (standing,) = deciding.decide(store, [subject], "shop", made)
        return standing


def gate(home: Path, target: object, *, code: int, **terms: Any) -> GateAnswer:
    """The gate's answer about a target for the shop, which has to be this exit code."""
    with open_store(home) as store:
        if "/" in str(target) and not Path(str(target)).is_absolute():
            found = files.of_repository(store, str(target))
        else:
            found = files.lying_here(str(target), Limits())
        answer = gates.ask_store(store, found, "shop", gates.Terms(**terms))
    assert gates.exit_code(answer) == code, answer
    assert answer.opens is (code == 0)
    return answer


def states(document: dict[str, Any]) -> list[str]:
    return [one["state"] for one in document["standings"]]
