"""`dife handover` names everything that waits for somebody, and nothing else."""

from __future__ import annotations

from pathlib import Path

import calling
from desk_kit import SHOP, audited, decide, folder_of, said
from store_records import make_finding, put_finding

from dife_scanner.records import ModelRef, TriageState
from dife_scanner.store import findings, open_store, triage, triage_log


def test_every_kind_of_what_waits_has_its_place(home: Path, tmp_path: Path) -> None:
    states = ("new", "triaging", "disputed", "accepted-risk", "false-positive", "confirmed")
    with open_store(home) as store:
        for number, state in enumerate(states):
            found = make_finding(f"fp1:{number:016}", repo=f"org/{state}")
            put_finding(store, found)
            if state != "new":
                about = triage.seen(store, [found.fingerprint])
                triage.decide(store, TriageState(state), about, actor="ada", note="looked at")
    said(home, "deployments", "add", "shop", *SHOP)
    for name, state, expires in (
        ("soon", "approved", "10d"),
        ("later", "approved", "30d"),
        ("never", "approved", ""),
        ("waits", "pending", "5d"),
    ):
        folder = folder_of(tmp_path / name, name.encode())
        audited(home, folder)
        decide(home, folder, state, expires=expires)
    with open_store(home) as store, store.atomic("test"):
        (late,) = findings.findings(store, filter="triage:disputed")
        day = "2026-01-31T00:00:00.000000+00:00"
        triage_log.append(
            store, late.fingerprint, TriageState.DISPUTED, actor="ada", note="late", expires=day
        )
    document = said(home, "handover")
    named = {
        part: {ModelRef(**one["ref"]).repo_id for one in document[part]}
        for part in ("open", "disputed", "overdue", "silenced")
    }
    assert named["open"] == {"org/new", "org/triaging"}
    assert named["disputed"] == named["overdue"] == {"org/disputed"}
    assert named["silenced"] == {"org/accepted-risk", "org/false-positive"}
    assert [one["model"] for one in document["expiring"]] == ["soon"]
    assert [one["model"] for one in document["pending"]] == ["waits"]
    assert document["counts"] == {
        "open": 2,
        "disputed": 1,
        "overdue": 1,
        "silenced": 2,
        "quarantined": 0,
    }
    said(home, "triage", late.fingerprint, "disputed", "--answer", "a test set leaked")
    assert said(home, "handover")["counts"]["overdue"] == 0
    text = calling.dife("handover", "--home", home, "--days", "40").stdout
    assert "the supplier answered: a test set leaked" in " ".join(text.split())
    assert "expire within 40 days: 2" in text and "quarantined: none" in text
