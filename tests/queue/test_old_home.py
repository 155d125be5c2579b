"""What an older program stored stays as it is and is shown; its checkpoints are audited anew by today's rules."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import old_home
import pytest
import queue_kit
from queue_kit import checkpoint_folder, work_for

from dife_scanner.audit import plan as plans
from dife_scanner.cli.commands import run
from dife_scanner.queue import targets, worker
from dife_scanner.records import Job, JobState, TriageState
from dife_scanner.store import Store, audits, findings, jobs, open_store, triage, triage_log

BAD = "dfad5d30f000cd1e"
FINE = "6b15d647c43cfb1c"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return old_home.unpacked(tmp_path)


def scanned(store: Store, where: Path, plan: plans.Plan | None = None) -> Job:
    work = work_for(store.home, start="fork")
    if plan is not None:
        work = replace(work, plan=plan)
    job = targets.enqueue(store, str(where), work.settings.limits, lambda: None)
    return worker.run_to_end(store, job, work)


def told(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run([*arguments, "--home", str(folder / "home")]) == 0
    return capsys.readouterr().out


def test_an_old_home_is_listed_and_shown(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    listed = told(folder, capsys, "audits")
    assert BAD in listed and FINE in listed
    assert "2 audited, 1 flagged" in listed
    (row,) = json.loads(told(folder, capsys, "findings", "--json"))["findings"]
    told(
        folder,
        capsys,
        "triage",
        row["fingerprint"],
        "confirmed",
        "--note",
        "ours",
        "--actor",
        "ada",
    )
    shown = told(folder, capsys, "show", row["fingerprint"])
    assert "FLAGGED" in shown and "triage confirmed" in shown
    assert "not recorded by the version that made this audit" in shown
    assert "audit dife-7" in told(folder, capsys, "show", FINE, "--full")
    with open_store(folder / "home") as store:
        (event,) = triage_log.events(store, row["fingerprint"])
        assert (event.state, event.actor, event.note) == (TriageState.CONFIRMED, "ada", "ours")


@pytest.mark.parametrize(("name", "audit_id"), [("clip-bad", BAD), ("clip-fine", FINE)])
def test_a_checkpoint_of_an_old_home_is_audited_anew_once(
    folder: Path, name: str, audit_id: str
) -> None:
    plan = old_home.plans(folder)[name]
    with open_store(folder / "home") as store:
        with store.atomic("test"):  # as programs of dife-7 after that commit left it
            store.write("INSERT INTO identities VALUES (?, ?, 'then')", ("d" * 64, audit_id))
        rows = audits.audits(store)
        stored = audits.audit(store, audit_id)
        (finding,) = findings.findings(store)
        job = scanned(store, folder / name, plan)
        assert job.state is JobState.DONE
        assert JobState.AUDITING in [event.state for event in jobs.events(store, job.id)]
        new = audits.audit(store, job.audit_id or "")
        assert (stored.audit_version, new.audit_version) == ("dife-7", plans.AUDIT_VERSION)
        assert new.verdict == stored.verdict and new.identity != stored.identity
        again = scanned(store, folder / name, plan)
        assert again.reason == f"same identity as audit {new.id}"
        assert [row for row in audits.audits(store) if row.id != new.id] == rows
        assert audits.audit(store, audit_id) == stored
        assert findings.finding(store, finding.fingerprint) == finding
        assert store.integrity() == []


def test_a_finding_of_an_older_version_keeps_its_triage(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = checkpoint_folder(tmp_path / "clip-bad")
    with monkeypatch.context() as older:
        for module in (plans, queue_kit):
            older.setattr(module, "AUDIT_VERSION", "dife-7")
        before = scanned(store, where)
    (finding,) = findings.findings(store)
    about = triage.seen(store, [finding.fingerprint])
    triage.decide(store, TriageState.ACCEPTED_RISK, about, actor="ada", note="known")
    after = scanned(store, where)
    versions = {row.id: row.audit_version for row in audits.audits(store)}
    assert versions == {before.audit_id: "dife-7", after.audit_id: plans.AUDIT_VERSION}
    (kept,) = findings.findings(store)
    assert (kept.fingerprint, kept.triage) == (finding.fingerprint, TriageState.ACCEPTED_RISK)
    assert kept.audit_id == after.audit_id
    (event,) = triage_log.events(store, finding.fingerprint)
    assert (event.state, event.actor) == (TriageState.ACCEPTED_RISK, "ada")


def test_a_rerun_of_an_older_audit_names_both_versions(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(_store: Any, _settings: Any, stored: Any, *_rest: Any) -> Any:
        return replace(stored, audit_version=plans.AUDIT_VERSION, identity="e" * 64)

    monkeypatch.setattr("dife_scanner.app.rerun.rerun_audit", again)
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["rerun", BAD, "--home", str(folder / "home")]) == 1
    (line,) = [
        one for one in capsys.readouterr().out.splitlines() if "version" in one and "may" in one
    ]
    assert f"made by audit version dife-7 and this program is {plans.AUDIT_VERSION}:" in line
