"""A checkpoint whose base is not here, through the worker: found by its weights, fetched, used from then on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from base_kit import drawn, registry_file, towers, weight_requests, work
from queue_kit import drawn_folder

from dife_scanner.baselines import keeping
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.queue import targets, worker
from dife_scanner.queue.work import Work, hub_for
from dife_scanner.records import Job, JobState, Trust
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
    monkeypatch.setattr(keeping, "towers_apart", lambda start: towers)


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
    auto = work(store.home, hub, bases)
    job = scanned(store, auto, "org/first")
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


def test_without_leave_the_audit_names_the_command_and_adding_the_base_has_it_done_again(
    store: Store, hub: LoopbackHub, bases: Path, tmp_path: Path, light: None
) -> None:
    from dife_scanner.baselines.adding import register
    from dife_scanner.progress import SILENT

    hub.add_repo("org/clip", drawn(0, 0.1), tags=CARD)
    asking = work(store.home, hub, bases, "ask")
    job = scanned(store, asking, "org/clip")
    assert job.reason.startswith("nothing, ")
    assert "its base acme/one, going by its weights, is not here" in job.reason
    assert "`dife reference add acme/one` fetches it (" in job.reason
    assert references.wanted(store) == {"acme/one": 1}
    settings = asking.settings
    added = register(
        store, settings, "acme/one", "", lambda: hub_for(settings, settings.endpoint), SILENT
    )
    assert (added.name, added.fetched) == ("one", False)
    again = jobs.job(store, job.id)
    assert (again.state, again.reason) == (JobState.QUEUED, "its base acme/one is here now")
    assert worker.process(store, again, asking).reason.startswith("one, 0.1 apart")
    assert references.wanted(store) == {}


def test_a_person_at_a_terminal_is_asked_once_and_obeyed(
    store: Store, hub: LoopbackHub, bases: Path, tmp_path: Path, light: None
) -> None:
    asked: list[str] = []

    def answer(question: str) -> bool:
        asked.append(question)
        return len(asked) > 1

    asking = replace(work(store.home, hub, bases, "ask"), confirm=answer)
    for name, noise in (("no", 0.1), ("yes", 0.2)):
        hub.add_repo(f"org/{name}", drawn(0, noise))
    assert scanned(store, asking, "org/no").reason.startswith("nothing, ")
    assert scanned(store, asking, "org/yes").reason.startswith("one, 0.2 apart")
    assert len(asked) == 2 and "acme/one" in asked[0] and "MB" in asked[0]


def test_never_asks_nothing_of_the_hub_and_still_names_what_the_card_says(
    store: Store, hub: LoopbackHub, bases: Path, tmp_path: Path
) -> None:
    hub.add_repo("org/clip", drawn(0, 0.1), tags=CARD)
    job = scanned(store, work(store.home, hub, bases, "never"), "org/clip")
    assert "its base acme/one, going by its card, is not here" in job.reason
    assert not hub.seen("acme/")


def test_a_base_that_does_not_fit_the_quota_is_a_reason_and_no_failure(
    store: Store, hub: LoopbackHub, bases: Path, tmp_path: Path
) -> None:
    hub.add_repo("org/clip", drawn(0, 0.1), tags=CARD)
    tight = work(store.home, hub, bases, references={"quota_bytes": 1000})
    job = scanned(store, tight, "org/clip")
    assert job.state is JobState.DONE and "the quota of fetched bases is 1000" in job.reason
    assert references.wanted(store) == {"acme/one": 1}


def test_a_local_checkpoint_is_audited_although_the_hub_is_away(
    store: Store, hub: LoopbackHub, bases: Path, tmp_path: Path
) -> None:
    hub.close()
    away = work(store.home, hub, bases)
    folder = drawn_folder(tmp_path / "local", 1, 0.3)
    job = targets.enqueue(store, folder, away.settings.limits, lambda: pytest.fail("no hub"))
    job = worker.process(store, job, away)
    assert job.state is JobState.DONE
    assert "which base it was made from could not be looked up" in job.reason


def test_a_model_of_the_hub_waits_for_a_hub_that_went_away(
    store: Store, hub: LoopbackHub, bases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dife_scanner.baselines import acquire
    from dife_scanner.errors import HubUnavailable

    def away(*arguments: object) -> None:
        raise HubUnavailable("nobody answers")

    monkeypatch.setattr(acquire, "likely", away)
    hub.add_repo("org/clip", drawn(0, 0.1), tags=CARD)
    assert scanned(store, work(store.home, hub, bases), "org/clip").state is JobState.RETRY_WAIT
