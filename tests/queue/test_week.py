"""`make soak-week` in small: two days of a watcher on a clock that is moved on, and what its bounds would notice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from queue_kit import checkpoint, work_for
from week import DAY, Files, Sample, Scanner, around, growing, live_a_day

from dife_scanner.store import open_store

FLAT = [Sample(day, 200 + day % 2, 30, 500 + 200 * day, 4 * day) for day in range(1, 8)]


def model(kind: str, day: int) -> Files:
    return checkpoint(day if kind == "bad" else day + 100)


def test_two_days_lose_nothing_and_tell_everything_once(tmp_path: Path) -> None:
    with around(tmp_path) as world:
        work = work_for(
            tmp_path / "home", world.hub.endpoint, channels=("email", "slack"), start="fork"
        )
        with open_store(tmp_path / "home") as store:
            scanner = Scanner(store, work, world)
            for day in (1, 2):
                live_a_day(scanner, day, model, every=4)
            scanner.go_on(DAY)
            scanner.work()
            assert scanner.broken_rules() == []
            assert scanner.reports >= 2
            notes = (tmp_path / "home" / "logs" / "retention.log").read_text().splitlines()
            assert len(notes) == 3 and "removed 1 evidence file" in notes[-1]


def test_what_is_flat_passes_and_what_grows_is_named() -> None:
    assert growing(FLAT) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: replace(one, memory_mib=200 + 3 * one.day), "memory grows"),
        (lambda one: replace(one, handles=30 + one.day), "open files rose"),
        (lambda one: replace(one, database_kib=500 + 2000 * one.day), "grew by 2000 KiB in a day"),
        (lambda one: replace(one, database_kib=30 * one.day**3), "usual are"),
    ],
)
def test_growth_is_noticed(change, said) -> None:
    assert said in " ".join(growing([change(one) for one in FLAT]))
