"""Each worker is bound to one device, and says which."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from queue_kit import checkpoint, work_for

from dife_scanner import settings as settings_
from dife_scanner.app.status import status
from dife_scanner.durable.clock import later
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.queue import devices
from dife_scanner.queue.watch import Event, watch
from dife_scanner.reports.status import lines
from dife_scanner.sentences.jobs import throughput_lines
from dife_scanner.store import Store, jobs, polls, upcoming
from dife_scanner.store.throughput import throughput

TWO = ("cuda:0", "cuda:1")


@pytest.mark.parametrize(
    ("given", "cards", "expected"),
    [
        ({}, (), ("auto",)),
        ({}, TWO, TWO),
        ({"workers": 3}, TWO, ("cuda:0", "cuda:1", "cuda:0")),
        ({"workers": 1}, TWO, ("cuda:0",)),
        ({"workers": 2}, (), ("auto", "auto")),
        ({"device": "cuda:1"}, TWO, ("cuda:1",)),
        ({"device": "cpu", "workers": 2}, TWO, ("cpu", "cpu")),
    ],
)
def test_there_is_a_worker_for_each_device_or_as_many_as_are_asked_for(
    given: dict[str, Any],
    cards: tuple[str, ...],
    expected: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "cuda_devices", lambda: cards)
    assert devices.of_workers(settings_.load(tmp_path, **given)) == expected


@pytest.mark.parametrize("asked", ["print(2)", "print('?')", "raise SystemExit(1)"])
def test_what_cannot_be_counted_is_no_device(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_COUNT", asked)
    monkeypatch.setattr(devices, "_DRIVERS", ("no-such-library.so",))
    assert devices.cuda_devices() == ()
    monkeypatch.setattr(devices, "_has_driver", lambda: True)
    assert devices.cuda_devices() == (TWO if "2" in asked else ())


def test_a_watcher_binds_a_worker_to_each_device_and_lists_tell(
    store: Store, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ("cpu", "cpu:0")  # two names that torch knows on every machine
    monkeypatch.setattr(devices, "cuda_devices", lambda: found)
    hub.add_repo("org/clip-sleeps", checkpoint(1), last_modified=later(-60))
    hub.add_repo("org/clip-fine", checkpoint(2), last_modified=later(-60))
    stop, told, shown = threading.Event(), [""], [""]
    progress: list[str] = []

    def tell(event: Event) -> None:
        told.append(event.text)
        if stop.is_set():
            return
        bound = {one.device for one in polls.beats(store) if one.role == "worker"}
        progress[:] = upcoming.upcoming(store).progress.values()
        in_work = any("auditing" in note for note in progress)
        if in_work and bound == set(found) and jobs.counts(store).get("done"):
            shown[:] = lines(status(store, work.settings))
            stop.set()

    work = work_for(store.home, hub.endpoint)
    watch(work, on_event=tell, stop=stop)
    assert "with 2 worker(s)" in told[1]
    workers = [line for line in shown if line.startswith("  worker (process ")]
    assert sorted(line.split(", ")[1].split("): ")[0] for line in workers) == sorted(found)
    assert progress[0].endswith(("(cpu)", "(cpu:0)"))
    (used,) = throughput(store).devices
    assert used in found, "the audit that ended ran where its worker was bound to"
    assert f"in use: {used}" in throughput_lines(throughput(store))[1]
    assert any(line.startswith("requests left in the hub's window") for line in shown)
