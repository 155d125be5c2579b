"""Scores that stand out in their batch reach the review queue, and nobody's inbox."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
from queue_kit import as_if_qualified, checkpoint, checkpoint_folder, work_for

from dife_scanner.baselines import calibration
from dife_scanner.core.calibration import Benign, Pack
from dife_scanner.durable.clock import later
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.models.layouts.open_clip import parse_config
from dife_scanner.queue import batch, targets, worker
from dife_scanner.queue.poller import poll_pass
from dife_scanner.queue.work import Work, hub_for
from dife_scanner.queue.worker import work_loop
from dife_scanner.records import Job, Reference, Stratum, TriageState, Verdict
from dife_scanner.store import (
    Store,
    audits,
    findings,
    jobs,
    leases,
    models,
    outbox,
    references,
    triage,
)
from dife_scanner.store.codec import from_json, to_json

ARCHITECTURE = parse_config(checkpoint()["open_clip_config.json"]).architecture
BASE = Reference("tiny", "/nowhere", "i", "t", "w", ARCHITECTURE, "2026-01-01")


@pytest.fixture
def work(store: Store, hub: LoopbackHub) -> Work:
    folder = checkpoint_folder(store.home.parent / "tiny")
    references.add(store, replace(BASE, path=str(folder)))
    as_if_qualified(store, BASE)
    made = work_for(store.home, hub.endpoint, channels=("email",), start="fork")
    return replace(made, plan=replace(made.plan, detectors=("texts",)))


def keep_pack(work: Work, n: int = 99) -> None:
    models = tuple(Benign("kind", index / 1000) for index in range(n))
    pack = Pack(
        "tiny-quick", "tiny", calibration.searched(BASE, work.plan), "0", "2026-11-23", models, n, 0
    )
    calibration.write(pack, calibration.own_folder(work.home) / "tiny-quick.json")


def scanned(store: Store, hub: LoopbackHub, work: Work, *names: str) -> list[Job]:
    """One scan of these repositories, its batch closed."""
    done, settings = [], work.settings
    known = {model.repo_id for model in hub.repositories.all()}
    for number, name in enumerate(names):
        if name not in known:
            hub.add_repo(name, checkpoint(number + 1))
        job = targets.enqueue(
            store, name, settings.limits, lambda: hub_for(settings, settings.endpoint)
        )
        done.append(worker.run_to_end(store, job, work))
    batch.correct(store, [job.audit_id for job in done if job.audit_id])
    return [jobs.job(store, job.id) for job in done]


def test_a_score_that_stands_out_is_a_finding_to_triage_and_alerts_nobody(
    store: Store, hub: LoopbackHub, work: Work
) -> None:
    keep_pack(work)
    high, low, _ = scanned(store, hub, work, "org/scored-90", "org/scored-0", "org/scored-5")
    audit = audits.audit(store, high.audit_id or "")
    assert audit.verdict is Verdict.NOTHING_FOUND and audit.calibration
    assert (audit.calibration.stratum, audit.calibration.p_value) == (Stratum.OWN, 1 / 100)
    (found,) = findings.findings(store)
    assert (found.kind, found.confidence, found.ref) == ("anomalous", "anomalous", high.ref)
    assert (found.trigger, found.source, found.target, found.channel) == (
        "found-text",
        "cat",
        "dog",
        "text",
    )
    assert (
        "p 0.010 against 99 benign models of pack tiny-quick, 0.030 after Benjamini-Hochberg"
        in found.reason
    )
    assert outbox.alerts(store) == []
    row = models.model_row(store, high.id)
    assert (row.finding, row.verdict) == (found.fingerprint, Verdict.NOTHING_FOUND)
    assert models.model_row(store, low.id).finding is None
    about = triage.seen(store, [found.fingerprint])
    triage.decide(store, TriageState.FALSE_POSITIVE, about, actor="ada", note="a chance")
    assert findings.finding(store, found.fingerprint).triage is TriageState.FALSE_POSITIVE
    tally = audits.tally(store)
    assert (tally.audited, tally.flagged, tally.anomalous, tally.rated) == (3, 0, 1, 3)
    assert tally.expected == pytest.approx(3 * 0.0298, abs=1e-3)


def test_what_was_not_decided_waits_in_the_review_queue_as_well(
    store: Store, hub: LoopbackHub, work: Work
) -> None:
    keep_pack(work)
    torn, _ = scanned(store, hub, work, "org/torn-scored-90", "org/scored-0")
    (found,) = findings.findings(store)
    assert (found.kind, found.ref) == ("anomalous", torn.ref)
    assert models.model_row(store, torn.id).verdict is Verdict.INCONCLUSIVE
    assert outbox.alerts(store) == []


def test_the_same_score_does_not_stand_out_in_a_batch_too_large_for_the_pack(
    store: Store, hub: LoopbackHub, work: Work
) -> None:
    keep_pack(work)
    scanned(store, hub, work, "org/scored-90", *(f"org/scored-{n}" for n in range(5)))
    assert findings.findings(store) == [], "0.01 of six is 0.06"
    assert audits.tally(store, filter="repo:org/scored-90").rated == 1


def test_a_demonstrated_model_is_no_second_finding(
    store: Store, hub: LoopbackHub, work: Work
) -> None:
    keep_pack(work)
    scanned(store, hub, work, "org/bad-scored-95", "org/scored-90")
    assert sorted(found.kind for found in findings.findings(store)) == ["anomalous", "flagged"]
    assert [alert.about.kind for alert in outbox.alerts(store)] == ["flagged"]


def test_a_pack_that_comes_later_is_read_when_the_same_weights_are_scanned_again(
    store: Store, hub: LoopbackHub, work: Work
) -> None:
    (first,) = scanned(store, hub, work, "org/scored-90")
    before = audits.audit(store, first.audit_id or "")
    assert before.calibration and before.calibration.stratum is Stratum.NONE
    assert "no calibration pack for this base" in before.calibration.reason
    keep_pack(work)
    hub.add_repo("copy/clip", checkpoint(1))
    again, copied = scanned(store, hub, work, "org/scored-90", "copy/clip")
    assert again.audit_id == copied.audit_id == first.audit_id
    after = audits.audit(store, first.audit_id or "")
    assert after.calibration and after.calibration.p_value == 1 / 100 and after.id == before.id
    assert {found.ref.repo_id for found in findings.findings(store)} == {
        "org/scored-90",
        "copy/clip",
    }
    assert len(audits.audits(store)) == 1


def test_what_a_pass_found_is_one_batch_closed_by_whoever_runs_out_of_work(
    store: Store, hub: LoopbackHub, work: Work
) -> None:
    keep_pack(work)
    for number, score in enumerate((90, 0, 1)):
        hub.add_repo(f"org/clip-scored-{score}", checkpoint(number + 1), last_modified=later(-60))
    poll_pass(store, work)
    held = leases.claim(store, "somebody-else", 60.0)
    assert held
    work_loop(work, threading.Event(), until_idle=True)
    assert len(audits.audits(store)) == 2 and len(audits.open_batch(store)) == 2, (
        "one job is still in hand"
    )
    leases.release(store, held.id, "somebody-else", "stopped")
    work_loop(work, threading.Event(), until_idle=True)
    assert audits.open_batch(store) == []
    (found,) = findings.findings(store)
    assert found.ref.repo_id == "org/clip-scored-90" and "batch of 3" in found.reason


def test_a_watcher_that_is_never_idle_reports_once_a_batch_is_full(
    store: Store, hub: LoopbackHub, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_pack(work)
    monkeypatch.setattr(batch, "LARGEST", 2)
    for number, score in enumerate((90, 0, 1)):
        hub.add_repo(f"org/clip-scored-{score}", checkpoint(number + 1), last_modified=later(-60))
    poll_pass(store, work)
    held = leases.claim(store, "somebody-else", 60.0)
    assert held
    work_loop(work, threading.Event(), until_idle=True)
    assert audits.open_batch(store) == [] and len(audits.audits(store)) == 2


def test_an_audit_stored_before_there_were_packs_can_be_read(
    store: Store, hub: LoopbackHub, work: Work
) -> None:
    (job,) = scanned(store, hub, work, "org/scored-90")
    audit = audits.audit(store, job.audit_id or "")
    old = {
        key: value
        for key, value in json.loads(to_json(audit)).items()
        if key not in ("calibration", "power")
    }
    assert from_json(type(audit), json.dumps(old)).calibration is None
