"""What programs up to 96ad1e6 stored is recognised: nothing is audited anew for how identities are made now."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, make_dataclass, replace
from pathlib import Path

import old_home
import pytest
from queue_kit import work_for

from dife_scanner.audit import legacy_identity as legacy
from dife_scanner.audit import plan as plans
from dife_scanner.audit.populations import composed
from dife_scanner.queue import cleanup, targets, worker
from dife_scanner.records import Job, JobState, Trigger
from dife_scanner.store import Store, audits, jobs, open_store

GIVEN = json.loads(old_home.IDENTITIES.read_text())


@pytest.fixture(autouse=True)
def versions_of_that_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of the audit or of the pools makes its audits stale, as it should."""
    versions = {"quick": "discovery-1", "default": "discovery-3", "deep": "discovery-3"}
    for module in (plans, legacy):
        monkeypatch.setattr(module, "AUDIT_VERSION", "dife-7")
        monkeypatch.setattr(module, "DISCOVERY_VERSIONS", versions)
    monkeypatch.setattr(composed, "version", lambda: "scenes-1+e03dca56da304d73")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return old_home.unpacked(tmp_path)


def scanned(store: Store, folder: Path, name: str) -> Job:
    work = replace(work_for(store.home), plan=old_home.plans(folder)[name])
    job = targets.enqueue(store, str(folder / name), work.settings.limits, lambda: None)
    return worker.run_to_end(store, job, work)


@pytest.mark.parametrize("name", ["clip-bad", "clip-fine"])
def test_a_checkpoint_of_an_old_home_is_not_audited_anew(folder: Path, name: str) -> None:
    with open_store(folder / "home") as store:
        before = audits.audits(store)
        stored = audits.audit_by_identity(store, GIVEN[name])
        assert stored is not None and len(before) == 2
        for _ in range(2):
            job = scanned(store, folder, name)
            assert (job.state, job.audit_id) == (JobState.DONE, stored.id)
            assert job.reason == f"same identity as audit {stored.id}"
            assert JobState.AUDITING not in [event.state for event in jobs.events(store, job.id)]
        assert audits.audits(store) == before, "rows and records stay as they are"
        assert audits.audit(store, stored.id) == stored and stored.identity == GIVEN[name]
        (known,) = store.read("SELECT identity, audit_id FROM identities")
        assert known["audit_id"] == stored.id and known["identity"] != GIVEN[name]
        assert store.integrity() == []


def test_finished_searches_are_swept_under_either_identity(folder: Path) -> None:
    with open_store(folder / "home") as store:
        scanned(store, folder, "clip-fine")
        (known,) = store.read("SELECT identity FROM identities")
        kept = store.home / "cache" / "discovery" / "searches"
        kept.mkdir(parents=True)
        for identity in (known["identity"], GIVEN["clip-fine"], GIVEN["clip-bad"], "9" * 64):
            (kept / f"{identity[:32]}-texts.json").write_text("{}")
        cleanup.remove_leftovers(store)
        assert [file.name for file in kept.iterdir()] == [f"{'9' * 32}-texts.json"]


def test_legacy_identities_are_those_that_were_given(folder: Path) -> None:
    asked = old_home.requests(folder)
    assert {name: legacy.legacy_identity(**one) for name, one in asked.items()} == {
        name: GIVEN[name] for name in asked
    }
    today = [plans.identity(**one) for one in asked.values()]
    assert len({*today, *GIVEN.values()}) == len(today) + len(GIVEN), (
        "no identity of today is one of then"
    )


def test_what_could_not_be_asked_then_has_no_legacy_identity(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class that is renamed and gets a field keeps its legacy identities, as long as the field has its default."""

    @dataclass(frozen=True)
    class Renamed(Trigger):
        later: int = 0

    forms = {**legacy.FORMS, Renamed: legacy.FORMS[Trigger]}
    monkeypatch.setattr(legacy, "FORMS", forms)
    asked = old_home.requests(folder)["all signatures"]
    values = [
        {one.name: getattr(trigger, one.name) for one in fields(Trigger)}
        for trigger in old_home.SIGNATURES
    ]
    renamed = replace(asked["plan"], signatures=tuple(Renamed(**one) for one in values))
    assert legacy.legacy_identity(**{**asked, "plan": renamed}) == GIVEN["all signatures"]
    newer = replace(renamed, signatures=(replace(renamed.signatures[0], later=1),))
    assert legacy.legacy_identity(**{**asked, "plan": newer}) is None

    longer = make_dataclass("Plan", [("later", int, 0)], bases=(plans.Plan,), frozen=True)
    plan = longer(**{one.name: getattr(asked["plan"], one.name) for one in fields(plans.Plan)})
    assert legacy.legacy_identity(**{**asked, "plan": plan}) == GIVEN["all signatures"]
    assert legacy.legacy_identity(**{**asked, "plan": replace(plan, later=1)}) is None
