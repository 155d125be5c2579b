"""A base is fetched once, kept under a quota, and trusted for what it first was."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from base_kit import changed, drawn, fetching, registry_file, weight_requests, work
from filelock import FileLock
from queue_kit import CONFIG, WEIGHTS

from dife_scanner.baselines import verifying
from dife_scanner.baselines.adding import register
from dife_scanner.baselines.fetching import fetch_base
from dife_scanner.baselines.registry import Base, registry
from dife_scanner.errors import BaseChanged, HubUnavailable, LimitExceeded, NotFound, UsageError
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.progress import SILENT
from dife_scanner.records import JobState, ModelRef, Reference, Trust, TrustedFile, TrustRecord
from dife_scanner.settings import Settings
from dife_scanner.store import Store, jobs, leases, open_store, references, trust


@pytest.fixture
def registered(tmp_path: Path) -> Path:
    return registry_file(tmp_path, "one", "two", "three")


@pytest.fixture
def settings(home: Path, hub: LoopbackHub, registered: Path) -> Settings:
    (home / "references").mkdir(parents=True, exist_ok=True)
    return work(home, hub, registered).settings


def base(settings: Settings, name: str = "one") -> Base:
    return registry(settings.references.registry).base(f"acme/{name}")


def with_quota(settings: Settings, quota: int) -> Settings:
    section = settings.references.model_copy(update={"quota_bytes": quota})
    return settings.model_copy(update={"references": section})


def bring(
    store: Store, settings: Settings, hub: LoopbackHub, name: str = "one", **by: Any
) -> Reference:
    return fetch_base(store, base(settings, name), fetching(settings, hub, **by))


def test_it_comes_from_the_first_place_that_has_it_and_only_once(
    store: Store, settings: Settings, hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.add_repo("mirror/one", {"README.md": "moved"})
    sha = hub.add_repo("acme/one", drawn(0))
    first = bring(store, settings, hub)
    assert (first.name, first.base, first.repository) == ("one", "acme/one", "acme/one")
    assert (first.revision, first.trust, first.fetched) == (sha, Trust.FIRST_USE, True)
    assert first.size == sum(len(content) for content in drawn(0).values())
    asked = len(hub.requests)
    assert bring(store, settings, hub) == first
    assert len(hub.requests) == asked
    assert len(weight_requests(hub, "acme/one")) == 1
    assert not list((settings.home / "cache").glob("bases/*/*"))


def test_a_base_that_no_place_has_is_said_with_every_reason(
    store: Store, settings: Settings, hub: LoopbackHub
) -> None:
    hub.add_repo("mirror/one", {"model.onnx": b"x"})
    with pytest.raises(NotFound) as error:
        bring(store, settings, hub)
    assert "mirror/one" in error.value.what and "acme/one" in error.value.what


def test_two_at_once_fetch_it_once(
    store: Store, settings: Settings, hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.add_repo("acme/one", drawn(0))
    got: list[str] = []

    def other() -> None:
        with open_store(settings.home) as own:
            got.append(bring(own, settings, hub).weights_sha256)

    lock = FileLock(settings.home / "references" / ".one.lock")
    threads = [threading.Thread(target=other) for _ in range(2)]
    with lock:
        for thread in threads:
            thread.start()
        assert not got
    for thread in threads:
        thread.join(60)
    assert len(set(got)) == 1 and len(got) == 2
    assert len(weight_requests(hub, "acme/one")) == 1


def test_who_waits_for_another_can_be_stopped(
    store: Store, settings: Settings, hub: LoopbackHub
) -> None:
    def stop() -> None:
        raise KeyError("stopped")

    with FileLock(settings.home / "references" / ".one.lock"), pytest.raises(KeyError):
        bring(store, settings, hub, check=stop)


def test_what_a_killed_fetch_left_is_replaced_and_what_the_checkpoint_holds_is_not_fetched(
    store: Store, settings: Settings, hub: LoopbackHub, tmp_path: Path
) -> None:
    """Killed between the copy and the row: the folder stands there and no reference owns it."""
    hub.add_repo("acme/one", drawn(0))
    for left in ("one", ".new-one"):
        folder = settings.home / "references" / left
        folder.mkdir(parents=True)
        (folder / WEIGHTS).write_bytes(b"half")
    copy = tmp_path / WEIGHTS
    copy.write_bytes(drawn(0)[WEIGHTS])
    sha256 = hashlib.sha256(copy.read_bytes()).hexdigest()
    kept = bring(store, settings, hub, at_hand={sha256: copy})
    assert (Path(kept.path) / WEIGHTS).read_bytes() == drawn(0)[WEIGHTS]
    assert not (settings.home / "references" / ".new-one").exists()
    assert weight_requests(hub, "acme/one") == []


def test_a_name_that_somebody_gave_to_another_reference_is_left_to_it(
    store: Store, settings: Settings, hub: LoopbackHub
) -> None:
    hub.add_repo("acme/one", drawn(0))
    mine = put(store, "one", base="", repository="", fetched=False)
    fetched = bring(store, settings, hub)
    assert (fetched.name, fetched.base) == ("acme--one", "acme/one")
    assert references.reference(store, "one") == mine and Path(mine.path).is_dir()
    client = fetching(settings, hub).hub
    kept = register(store, settings, "acme/one", "acme--one", lambda: client, SILENT, ())
    assert not kept.fetched, "what a person adds stays, although it was fetched before"


# --- room -----------------------------------------------------------------------------------------------------


def put(store: Store, name: str, **changes: Any) -> Reference:
    """A base as if it had been fetched, of a thousand bytes."""
    folder = store.home / "references" / name
    folder.mkdir(parents=True)
    known: dict[str, Any] = {"base": f"acme/{name}", "repository": f"acme/{name}", "fetched": True}
    made = Reference(
        name,
        str(folder),
        "i",
        "t",
        name,
        "V",
        f"2026-01-0{len(name)}",
        size=1000,
        **known | changes,
    )
    references.add(store, made)
    return references.reference(store, name)


def test_the_base_not_used_for_the_longest_time_makes_room_and_those_in_use_or_added_do_not(
    store: Store, settings: Settings, hub: LoopbackHub
) -> None:
    hub.add_repo("acme/three", drawn(0))
    hub.add_repo("acme/two", drawn(1))
    size = sum(len(content) for content in drawn(0).values())
    tight = with_quota(settings, size + 1500)
    used, idle, mine = put(store, "one"), put(store, "four"), put(store, "mine", fetched=False)
    ref = ModelRef("org/x", "a" * 40)
    jobs.discover(store, ref, endpoint=hub.endpoint, state=JobState.QUEUED, reason="new")
    claimed = leases.claim(store, "w", 60)
    assert claimed
    references.use(store, claimed.id, [used.name])
    bring(store, tight, hub, "three")
    assert {one.name for one in references.references(store)} == {"one", "three", "mine"}
    assert not Path(idle.path).exists() and Path(used.path).exists() and Path(mine.path).exists()
    references.use(store, claimed.id, ["one", "three"])
    with pytest.raises(LimitExceeded) as error:
        bring(store, tight, hub, "two")
    assert "references.quota_bytes" in error.value.advice
    leases.finish(store, claimed.id, "w", JobState.CANCELLED, "")
    evicted = references.evict_oldest(store)
    assert evicted and evicted.name == "one", "a job that has ended uses nothing"
    with pytest.raises(LimitExceeded):
        bring(store, with_quota(settings, 10), hub, "two")


# --- trust ----------------------------------------------------------------------------------------------------


def forget(store: Store, reference: Reference) -> None:
    verifying._forget(store, reference)


def test_a_repository_that_changed_is_not_accepted_and_says_so(
    store: Store, settings: Settings, hub: LoopbackHub, tmp_path: Path
) -> None:
    files = drawn(0)
    first_sha = hub.add_repo("acme/one", files)
    forget(store, bring(store, settings, hub))
    hub.commit("acme/one", {"README.md": "a card"})  # the files of the base are the same ones
    second_sha = hub.commit("acme/one", changed(files))
    fetched = len(weight_requests(hub, "acme/one"))
    with pytest.raises(BaseChanged) as error:
        bring(store, settings, hub)
    assert WEIGHTS in error.value.what and "acme/one --revision" in error.value.advice
    assert len(weight_requests(hub, "acme/one")) == fetched, "the announcement is enough"
    (record,) = trust.records(store)
    assert record.revision == first_sha and second_sha[:12] in record.changed
    verifying.pin(store, settings, "acme/one", first_sha, "")
    again = bring(store, settings, hub)
    assert (again.revision, again.trust) == (first_sha, Trust.PINNED)
    verifying.pin(store, settings, "one", second_sha, "")
    assert references.references(store) == [], "the copy of the other commit is gone"
    squashed = files[CONFIG].replace(b"{}", b'{"resize_mode": "squash"}')
    third_sha = hub.commit("acme/one", {CONFIG: squashed})
    trust.keep(store, replace(record, changed=""))
    with pytest.raises(BaseChanged):
        bring(store, settings, hub)
    verifying.pin(store, settings, "acme/one", third_sha, "")
    trust.keep(store, replace(trust.records(store)[0], files=record.files))
    with pytest.raises(BaseChanged):
        bring(store, settings, hub)


def test_a_stated_hash_is_a_pin_from_the_beginning(
    store: Store, hub: LoopbackHub, home: Path, tmp_path: Path
) -> None:
    place = {"repository": "acme/one", "layout": "open_clip", "sha256": "ab" * 32}
    path = registry_file(tmp_path, "one", places=[place])
    settings = work(home, hub, path).settings
    hub.add_repo("acme/one", drawn(0))
    with pytest.raises(BaseChanged) as error:
        bring(store, settings, hub)
    assert "pinned weights" in error.value.what


def test_verify_names_what_is_damaged_on_disk_or_changed_on_the_hub(
    store: Store, settings: Settings, hub: LoopbackHub, tmp_path: Path
) -> None:
    files = drawn(0)
    hub.add_repo("acme/one", files)
    one = bring(store, settings, hub)
    client = fetching(settings, hub).hub

    def checked() -> tuple[bool | None, bool | None, str]:
        check = verifying.verify(store, one, client, ())
        return check.intact, check.on_hub, check.problem

    assert checked() == (True, True, "")
    hub.commit("acme/one", changed(files))
    intact, on_hub, problem = checked()
    assert (intact, on_hub) == (True, False) and "another file" in problem
    hub.close()
    intact, on_hub, problem = checked()
    assert (intact, on_hub) == (True, None) and "not asked" in problem
    (Path(one.path) / CONFIG).chmod(0o600)
    (Path(one.path) / CONFIG).write_bytes(b"{}")
    intact, on_hub, problem = checked()
    assert intact is False and CONFIG in problem
    assert references.references(store) == [], "a damaged copy is fetched again when it is needed"


def test_a_pin_names_a_commit_and_fits_what_is_here(store: Store, settings: Settings) -> None:
    for arguments in (("acme/one", "", ""), ("acme/one", "main", ""), ("acme/one", "", "ab")):
        with pytest.raises(UsageError):
            verifying.pin(store, settings, *arguments)
    with pytest.raises(NotFound):
        verifying.pin(store, settings, "nobody", "", "")
    put(store, "one", revision="a" * 40)
    files = (TrustedFile(WEIGHTS, "cd" * 32),)
    trust.keep(store, TrustRecord("acme/one", "a" * 40, files, "2026-01-01"))
    assert references.reference(store, "one").trust is Trust.FIRST_USE
    with pytest.raises(UsageError):
        verifying.pin(store, settings, "one", "", "ab" * 32)
    pinned = verifying.pin(store, settings, "one:v1", "", "cd" * 32)
    assert (pinned.repository, pinned.revision) == ("acme/one", "a" * 40)
    assert references.reference(store, "one").trust is Trust.PINNED


def test_a_hub_that_is_away_is_no_missing_base(
    store: Store, settings: Settings, hub: LoopbackHub
) -> None:
    hub.close()
    with pytest.raises(HubUnavailable):
        bring(store, settings, hub, progress=SILENT)
