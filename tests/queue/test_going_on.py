"""An audit whose time was too short is kept, not made again for as much time, and gone on with for more."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest
from queue_kit import audit, checkpoint_folder, work_for

from dife_scanner.app import going_on
from dife_scanner.app.scanning import Data
from dife_scanner.audit.pipeline import Keep, Outcome, Request, forget
from dife_scanner.audit.plan import SAME_WORK
from dife_scanner.errors import NotFound, UsageError
from dife_scanner.hub import Hub
from dife_scanner.progress import Progress
from dife_scanner.queue import targets, worker
from dife_scanner.queue.work import Work
from dife_scanner.records import Audit, Job, JobState, PlannedSearch, WorkPlan
from dife_scanner.store import Store, audits

pytestmark = pytest.mark.usefixtures("audit_server")
ENOUGH = 6000.0
"""Seconds in which both searches of the double fit."""
TEXTS, PATCH = PlannedSearch("texts", 0, 10), PlannedSearch("patch", 10, 0)


def planning(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    """The audit double, which reaches its second search where it was granted enough."""
    grant = request.grant
    assert grant is not None
    if grant.by_hand:
        fits = grant.before + grant.seconds >= ENOUGH
        runs, left = ((TEXTS, PATCH), ()) if fits else ((TEXTS,), (PATCH,))
        work = WorkPlan(grant.before + grant.seconds, runs, left, after=grant.after)
        request = request.with_work(work if work.is_cut or work.after else None)
    made = audit(request, progress, keep)
    return replace(made, audit=replace(made.audit, plan=request.plan.as_stored()))


def ending(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    """The audit double, which demonstrates a trigger in the first of two searches of pictures."""
    grant = request.grant
    assert grant is not None
    if request.ends_early:
        request = request.with_ended(("faint",))
    elif grant.after:
        request = request.with_work(WorkPlan(grant.seconds, (PATCH,), after=grant.after))
    made = audit(request, progress, keep)
    return replace(made, audit=replace(made.audit, plan=request.plan.as_stored()))


def in_bfloat16(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    """The audit double whose probe finds bfloat16 quicker, unless it goes on with an audit that searched so."""
    forced = request.limits is not None and request.limits.search_precision == "float32"
    if request.grant and not request.grant.after and not forced:
        request = request.with_bfloat16(("texts",))
    return planning(request, progress, keep)


def _no_hub() -> Hub:
    raise AssertionError("a folder needs no hub")


class Scans:
    """`dife scan` of one checkpoint, with time that somebody grants, or without."""

    def __init__(self, store: Store, folder: Path, double: str = "planning") -> None:
        work = work_for(store.home, audit=f"{__name__}:{double}")
        plan = replace(work.plan, probes_folder=None, detectors=("texts", "patch"))
        self.store, self.folder = store, folder
        self._work = replace(work, plan=plan)

    def __call__(self, granted: float | None, *, all_searches: bool = True) -> Job:
        work = replace(self._work, granted=granted, ends_early=not all_searches)
        return self._run(str(self.folder), work)

    def in_float32(self) -> Scans:
        """The same, where somebody wants searches in float32."""
        limits = self._work.settings.limits.model_copy(update={"search_precision": "float32"})
        found = copy(self)
        settings = self._work.settings.model_copy(update={"limits": limits})
        found._work = replace(self._work, settings=settings)
        return found

    def more(self, before: str, granted: float = ENOUGH, *, all_searches: bool = False) -> Job:
        """The same for `--more`."""
        settings = self._work.settings
        target, work = going_on.target_and_work(
            self.store, settings, before, Data(), granted, all_searches=all_searches
        )
        ours = self._work
        return self._run(
            target, replace(work, audit=ours.audit, preload=ours.preload, start=ours.start)
        )

    def _run(self, target: str, work: Work) -> Job:
        job = targets.enqueue(self.store, target, work.settings.limits, _no_hub)
        return worker.run_to_end(self.store, job, work)

    def stored(self, job: Job) -> Audit:
        assert job.state is JobState.DONE, job.reason
        return audits.audit(self.store, job.audit_id or "")


@pytest.fixture
def scans(store: Store, tmp_path: Path) -> Scans:
    return Scans(store, checkpoint_folder(tmp_path / "fine"))


@pytest.fixture
def kept_search(store: Store) -> Callable[[Audit], Path]:
    """A finished search as an audit leaves it."""

    def keep(made: Audit) -> Path:
        path = store.home / "cache" / "discovery" / "searches"
        path.mkdir(parents=True, exist_ok=True)
        path = path / f"{made.identity[:SAME_WORK]}-texts.json"
        path.write_text("{}")
        return path

    return keep


def test_an_audit_is_gone_on_with_for_more_time_and_made_again_for_no_less(
    scans: Scans, kept_search: Callable[[Audit], Path]
) -> None:
    cut = scans.stored(scans(60.0))
    search = kept_search(cut)
    for granted in (60.0, 30.0):
        again = scans(granted)
        assert again.audit_id == cut.id and f"dife scan --more {cut.id}" in again.reason
    assert search.exists(), "its finished searches are kept"
    whole = scans.stored(scans.more(cut.id))
    assert whole.plan and whole.plan.work and whole.plan.work.after == cut.id
    assert whole.identity[:SAME_WORK] == cut.identity[:SAME_WORK] != whole.identity
    assert not search.exists(), "all of them ran"
    assert scans(30.0).audit_id == whole.id, "an audit in which all ran says more than any time"
    assert [one.id for one in audits.audits(scans.store)] == [whole.id, cut.id]
    with pytest.raises(NotFound, match="nothing is left of audit"):
        scans.more(whole.id)


def test_time_that_reaches_nothing_further_ends_as_the_same_audit(scans: Scans) -> None:
    cut = scans.stored(scans(60.0))
    again = scans.more(cut.id, 60.0)
    assert again.audit_id == cut.id
    plan = scans.stored(again).plan
    assert plan and plan.work and (plan.work.seconds, plan.work.after) == (120.0, "")
    assert [one.id for one in audits.audits(scans.store)] == [cut.id]


def test_what_cannot_be_gone_on_with_says_why(
    scans: Scans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = scans.stored(scans(60.0))
    settings = work_for(scans.store.home).settings
    ours = tmp_path / "more.py"
    ours.write_text("")
    with pytest.raises(UsageError, match="was made with other extensions"):
        going_on.target_and_work(scans.store, settings, cut.id, Data((ours,)), None)
    with pytest.raises(NotFound, match="there is no audit"):
        scans.more("feedface")
    monkeypatch.setattr(going_on, "AUDIT_VERSION", "dife-99")
    with pytest.raises(NotFound, match=r"made by audit version dife-\d+, and this is dife-99"):
        scans.more(cut.id)
    monkeypatch.undo()
    changed = checkpoint_folder(tmp_path / "changed", 1)
    for path in changed.iterdir():
        path.replace(scans.folder / path.name)
    job = scans.more(cut.id)
    assert job.state is JobState.FAILED and "cannot be gone on with" in job.reason


def test_what_a_channel_left_out_is_made_with_all_and_an_audit_that_ended_early_is_kept(
    store: Store, tmp_path: Path, kept_search: Callable[[Audit], Path]
) -> None:
    scans = Scans(store, checkpoint_folder(tmp_path / "fine"), "ending")
    early = scans.stored(scans(None, all_searches=False))
    search = kept_search(early)
    again = scans(None, all_searches=False)
    assert again.audit_id == early.id and f"dife scan --more {early.id} --all" in again.reason
    assert search.exists(), "its finished searches are kept"
    with pytest.raises(NotFound, match="but searches of a channel that ended early"):
        scans.more(early.id)
    whole = scans.stored(scans.more(early.id, all_searches=True))
    assert whole.plan and whole.plan.is_whole and whole.identity != early.identity
    assert not search.exists(), "all of them ran"
    for all_searches in (False, True):
        assert scans(None, all_searches=all_searches).audit_id == whole.id


def test_an_audit_searched_in_bfloat16_is_gone_on_with_so_and_not_made_again(
    store: Store, tmp_path: Path, kept_search: Callable[[Audit], Path]
) -> None:
    scans = Scans(store, checkpoint_folder(tmp_path / "fine"), "in_bfloat16")
    cut = scans.stored(scans(60.0))
    search = kept_search(cut)
    whole = scans.stored(scans.more(cut.id))
    assert not search.exists(), "all of them ran"
    for one in (cut, whole):
        assert one.plan and one.plan.bfloat16 == ("texts",)
    for granted in (30.0, None):
        again = scans(granted)
        assert again.audit_id == whole.id and "searched the same in bfloat16" in again.reason
    assert [one.id for one in audits.audits(scans.store)] == [whole.id, cut.id]
    exact = scans.stored(scans.in_float32()(None))
    assert exact.id != whole.id and exact.plan and not exact.plan.bfloat16
