"""A stored audit is asked for again with the plan it keeps; an older one with a plan read from its results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from queue_kit import checkpoint_folder, work_for

from dife_scanner import discovery
from dife_scanner.app import rerun
from dife_scanner.app.scanning import Data
from dife_scanner.audit.pipeline import Plan, Request
from dife_scanner.queue import child, targets, worker
from dife_scanner.records import (
    Audit,
    Budget,
    Channel,
    Hypothesis,
    MemoryUse,
    Origin,
    Search,
    Trigger,
    TriggerKind,
)
from dife_scanner.reports import rerun as report
from dife_scanner.settings import Settings
from dife_scanner.store import Store, audits
from dife_scanner.triggers import known

WORD = Trigger("word", TriggerKind.TEXT, text="cf")
HALF = Trigger("half", TriggerKind.PATCH, size=0.25, source="cat")
OF_LIBRARY = known.library()[0]
NAMED = Trigger("named", TriggerKind.TEXT, text="zq", source="cat", target="dog")


class Rerun:
    """Audits of one stored checkpoint made again, by a child that only tells what it was asked."""

    def __init__(self, store: Store, settings: Settings, stored: Audit, probes: Path) -> None:
        self.stored = stored
        self.asked: Request
        self._store, self._settings, self._probes = store, settings, probes

    def __call__(self, stored: Audit, plan: Plan) -> Audit:
        return rerun.rerun(self._store, self._settings, stored, plan, lambda *_, **__: None)

    def child(self, request: Request, outcome: Path, **_: Any) -> Any:
        self.asked = request
        again = replace(self.stored, identity=request.identity, plan=request.plan.as_stored())
        return SimpleNamespace(audit=again)

    def request(self, *signatures: Trigger) -> Request:
        """Of an audit that keeps a plan of these signatures."""
        plan = self.plan(*signatures)
        self(replace(self.stored, plan=plan.as_stored()), plan)
        return self.asked

    def plan(self, *signatures: Trigger) -> Plan:
        return Plan(signatures, "quick", probes_folder=self._probes)


@pytest.fixture
def made(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rerun:
    work = work_for(store.home)
    folder = str(checkpoint_folder(tmp_path / "fine"))
    job = targets.enqueue(store, folder, work.settings.limits, lambda: None)  # type: ignore[arg-type,return-value]
    job = worker.run_to_end(store, job, work)
    stored = audits.audit(store, job.audit_id or "")
    found = Rerun(store, work.settings, stored, tmp_path / "probes")
    monkeypatch.setattr(child, "run", found.child)
    return found


def chosen(*signatures: Trigger) -> tuple[Hypothesis, ...]:
    """Results of these signatures, as an audit keeps them: with the source and target that it chose."""
    return tuple(
        Hypothesis(
            replace(one, source=one.source or "cat", target=one.target or "dog"),
            0.5,
            origin=Origin.KNOWN if one.source and one.target else Origin.SIGNATURE,
        )
        for one in signatures
    )


def test_a_stored_plan_is_asked_again_as_it_is(
    made: Rerun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source alone that somebody gave is told by no reconstruction."""
    signatures = (HALF, WORD, NAMED)
    identity, plan = made.request(*signatures).identity, made.plan(*signatures).as_stored()
    stored = replace(made.stored, identity=identity, signatures=chosen(*signatures), plan=plan)
    monkeypatch.setattr(rerun, "_with_signatures", None)  # nothing is reconstructed
    again = made(stored, made.plan(*signatures))
    assert made.asked.plan.signatures == signatures
    assert report.compare(stored, replace(stored, identity=again.identity)).identical
    assert report.compare(stored, again).notes == ()


def test_what_is_asked_again_is_the_plan_that_is_stored(
    made: Rerun, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Plan] = []
    monkeypatch.setattr(
        rerun, "rerun", lambda store, settings, stored, plan, progress: asked.append(plan)
    )
    plan = replace(
        made.plan(HALF), detectors=("texts", "patch"), seed=3, bfloat16=("texts",)
    ).as_stored()
    for stored in (replace(made.stored, plan=plan, seed=3), replace(made.stored, plan=None)):
        rerun.rerun_audit(None, None, stored, Data(), lambda *_, **__: None)  # type: ignore[arg-type]
    assert (asked[0].signatures, asked[0].detectors, asked[0].seed) == (
        (HALF,),
        ("texts", "patch"),
        3,
    )
    assert [one.bfloat16 for one in asked] == [("texts",), ()]
    assert (asked[1].signatures, asked[1].detectors, asked[1].seed) == ((), (), 0)


@pytest.mark.parametrize(
    "signatures",
    [(WORD,), (NAMED,), (OF_LIBRARY,), (WORD, NAMED, OF_LIBRARY)],
    ids=["chosen", "named", "of the library", "all"],
)
def test_an_older_audit_is_reconstructed(made: Rerun, signatures: tuple[Trigger, ...]) -> None:
    asked = made.request(*signatures)
    made.stored = stored = replace(
        made.stored, identity=asked.identity, signatures=chosen(*signatures), plan=None
    )
    again = made(stored, made.plan())
    assert made.asked.plan.signatures == signatures
    found = report.compare(stored, again)
    assert found.identical and found.notes == (report.RECONSTRUCTED,)


def test_what_an_older_audit_discovered_is_no_signature_of_its_plan(made: Rerun) -> None:
    (result,) = chosen(WORD)
    found = replace(result, origin=Origin.DISCOVERED)
    made(replace(made.stored, signatures=(found,), plan=None), made.plan())
    assert made.asked.plan.signatures == ()


def test_another_audit_keeps_its_own_identity(made: Rerun) -> None:
    stored = replace(made.stored, identity="e" * 64, plan=None)
    assert made(stored, made.plan()).identity == made.asked.identity != stored.identity
    assert not report.compare(stored, replace(stored, identity=made.asked.identity)).identical


def test_an_older_audit_was_asked_for_every_search_of_its_budget(made: Rerun) -> None:
    """Where the image tower did not move, two of the four searches of `quick` left no trace."""
    ran = Search("texts", Channel.TEXT, ("token sequences",), 0, 0.0, 1, 1.0)
    older = replace(made.stored, budget=Budget.QUICK, plan=None)
    assert rerun._detectors_of(replace(older, searches=(ran,))) == discovery.names(Budget.QUICK)
    assert rerun._detectors_of(replace(older, searches=())) == ()


def test_gradients_go_in_the_parts_of_the_stored_audit(made: Rerun) -> None:
    plan = made.plan(HALF)
    for memory, at_once in ((None, 0), (MemoryUse(900, 800, ("suspect", "base"), 6), 6)):
        made(replace(made.stored, plan=plan.as_stored(), memory=memory), plan)
        assert made.asked.at_once == at_once
