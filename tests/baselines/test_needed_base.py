"""A checkpoint whose base is not here, through the worker: found by its weights, fetched, used from then on."""

from __future__ import annotations

from dataclasses import replace
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import pytest
from base_kit import TINY, drawn, fetching, registry_file, towers, weight_requests, work
from queue_kit import WEIGHTS, drawn_folder

from dife_scanner.baselines import keeping, samples
from dife_scanner.baselines.acquire import Acquired, Needs, acquire
from dife_scanner.baselines.adding import register
from dife_scanner.baselines.keeping import Measure
from dife_scanner.errors import HubUnavailable
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.progress import SILENT
from dife_scanner.queue import child, targets, worker
from dife_scanner.queue.work import Work, hub_for
from dife_scanner.records import BaseClaim, Job, JobState, ModelRef, Trust
from dife_scanner.settings import Settings
from dife_scanner.store import Store, jobs, references

CARD = ["base_model:acme/one", "base_model:finetune:acme/one"]


@pytest.fixture
def bases(hub: LoopbackHub, tmp_path: Path) -> Path:
    """Two published bases of one architecture, and the registry that names them."""
    for number, name in enumerate(("one", "two")):
        hub.add_repo(f"acme/{name}", drawn(number))
    return registry_file(tmp_path, "one", "two")


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Towers of fetched bases are hashed without torch; one test below does it as it is done."""
    monkeypatch.setattr(keeping, "towers_apart", lambda context: towers)
    monkeypatch.setattr(keeping, "towers_here", towers)


def scanned(store: Store, work_: Work, repository: str) -> Job:
    settings = work_.settings
    job = targets.enqueue(
        store, repository, settings.limits, lambda: hub_for(settings, settings.endpoint)
    )
    return worker.process(store, job, work_)


def test_weights_find_the_base_that_a_wrong_card_hides_and_later_audits_use_it(
    store: Store, hub: LoopbackHub, bases: Path, tmp_path: Path
) -> None:
    """Everything as it is done: the base is loaded in a process of its own."""
    for name, noise in (("first", 0.1), ("second", 0.2)):
        hub.add_repo(f"org/{name}", drawn(1, noise), tags=CARD)
    asked_person: list[str] = []
    auto = work(store.home, hub, bases, start="fork")
    asking = replace(
        work(store.home, hub, bases, "ask", start="fork"),
        confirm=lambda question: not asked_person.append(question),
    )
    job = scanned(store, asking, "org/first")
    assert len(asked_person) == 1
    assert asked_person[0] == "Its base is acme/two, going by its weights. Fetch it (1.7 MB)?"
    assert job.state is JobState.DONE
    assert job.reason.startswith("two, 0.1 apart, related related"), job.reason
    assert (
        "its card names acme/one as its base; its weights are nearer to those of acme/two"
        in job.reason
    )
    assert "its base acme/two, going by its weights, was fetched for it" in job.reason
    (two,) = [one for one in references.references(store) if one.base]
    assert (two.trust, two.fetched, len(two.image_tower)) == (Trust.FIRST_USE, True, 64)
    asked = len(hub.requests)
    job = scanned(store, auto, "org/second")
    assert job.reason.startswith("two, 0.2 apart")
    assert not [seen for seen in list(hub.requests)[asked:] if "acme/" in seen.target]
    assert len(weight_requests(hub, "acme/two")) == 1 and not weight_requests(hub, "acme/one")


def test_a_fetched_base_is_loaded_by_the_server_that_audits_come_from(
    store: Store, hub: LoopbackHub, bases: Path, light: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be what starts that server, which every later audit would otherwise wait for to load torch."""
    monkeypatch.setattr(forkserver._forkserver, "_preload_modules", ["__main__"])
    hub.add_repo("org/clip", drawn(1, 0.1), tags=CARD)
    preloading = work(store.home, hub, bases, preload=("base_kit",))
    seen: list[list[str]] = []

    def noting(context: BaseContext) -> Measure:
        seen.append(list(forkserver._forkserver._preload_modules))
        return towers

    monkeypatch.setattr(keeping, "towers_apart", noting)
    monkeypatch.setattr(child, "warm_up", lambda preload, start: None)
    monkeypatch.setattr(child, "run", lambda *given, **named: 1 / 0)  # nothing is audited
    assert scanned(store, preloading, "org/clip").state is JobState.FAILED
    assert seen == [["base_kit"]]


def test_without_leave_the_audit_names_the_command_and_adding_the_base_has_it_done_again(
    store: Store, hub: LoopbackHub, bases: Path, tmp_path: Path, light: None
) -> None:
    hub.add_repo("org/clip", drawn(0, 0.1), tags=CARD)
    asking = work(store.home, hub, bases, "ask", start="fork")
    job = scanned(store, asking, "org/clip")
    assert job.reason.startswith("nothing, ")
    assert "its base acme/one, going by its weights, is not here" in job.reason
    assert "`dife reference add acme/one` fetches it (" in job.reason
    assert references.wanted(store) == {"acme/one": 1}
    settings = asking.settings
    added = register(
        store, settings, "acme/one", "", lambda: hub_for(settings, settings.endpoint), SILENT, ()
    )
    assert (added.name, added.fetched) == ("one", False)
    again = jobs.job(store, job.id)
    assert (again.state, again.reason) == (JobState.QUEUED, "its base acme/one is here now")
    assert worker.process(store, again, asking).reason.startswith("one, 0.1 apart")
    assert references.wanted(store) == {}


# --- below the worker -----------------------------------------------------------------------------------------


def _new(tmp: Path) -> Path:
    tmp.mkdir(exist_ok=True)
    return tmp / "local"


def needing(store: Store, settings: Settings, tmp: Path, hub: LoopbackHub, **of: Any) -> Acquired:
    """What is found out and done about a fine-tune of the first base, whose card says so."""
    path = Path(drawn_folder(_new(tmp), 0, 0.1)) / WEIGHTS
    claim = BaseClaim("acme/one", "finetune", "card")
    ref = of.get("ref", ModelRef("org/clip", "a" * 40))
    needs = Needs(ref, (claim,), TINY, lambda client: samples.of_file(path))
    return acquire(store, needs, lambda: fetching(settings, hub), settings)


def test_never_asks_nothing_of_the_hub_and_still_names_what_the_card_says(
    store: Store, hub: LoopbackHub, bases: Path, tmp_path: Path
) -> None:
    found = needing(store, work(store.home, hub, bases, "never").settings, tmp_path, hub)
    assert found.base == "acme/one" and found.reference is None
    assert found.notes == (
        "its base acme/one, going by its card, is not here: `dife reference add acme/one` fetches it",
    )
    assert not hub.seen("acme/")


def test_a_base_that_does_not_fit_the_quota_is_a_reason_and_no_failure(
    store: Store, hub: LoopbackHub, bases: Path, tmp_path: Path
) -> None:
    tight = work(store.home, hub, bases, references={"quota_bytes": 1000}).settings
    found = needing(store, tight, tmp_path, hub)
    assert found.base == "acme/one" and "the quota of fetched bases is 1000" in found.notes[0]


def test_a_local_checkpoint_is_audited_although_the_hub_is_away_and_one_of_the_hub_waits(
    store: Store, hub: LoopbackHub, bases: Path, tmp_path: Path
) -> None:
    hub.close()
    settings = work(store.home, hub, bases).settings
    local = ModelRef("/somewhere", "local-1", local=True)
    found = needing(store, settings, tmp_path, hub, ref=local)
    assert found.notes[0].startswith("which base it was made from could not be looked up")
    with pytest.raises(HubUnavailable):
        needing(store, settings, tmp_path / "again", hub)


def test_nothing_is_asked_where_nothing_suggests_a_base(
    store: Store, hub: LoopbackHub, bases: Path
) -> None:
    settings = work(store.home, hub, bases).settings
    needs = Needs(ModelRef("org/own", "a" * 40), (), "ViT 64/16 w192 d6 · text w128 d3 · embed 128")
    found = acquire(store, needs, lambda: pytest.fail("asked"), settings)
    assert found == Acquired()
