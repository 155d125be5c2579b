"""The numbers that `docs/states.md` gives for retries and leases."""

from __future__ import annotations

from pathlib import Path

from queue_kit import work_for

from dife_scanner.queue import settle, worker
from dife_scanner.store import jobs

PAGE = (Path(__file__).parents[2] / "docs" / "states.md").read_text(encoding="utf-8")


def test_the_numbers_are_those_of_the_code(tmp_path: Path) -> None:
    first, longest = settle.FIRST_RETRY_SECONDS, settle.LONGEST_RETRY_SECONDS / 3600
    assert f"{first:g} s, doubled each time up to {longest:g} h" in PAGE
    assert jobs.RECHECK_SECONDS == 7 * 24 * 3600 and PAGE.count("after a week") == 3
    assert f"given up after {settle.MOST_RETRIES + 1} tries" in PAGE
    assert settle.NOT_FOUND_TO_DELETED == 3 and "three tries, apart from each other" in PAGE
    assert settle.MISMATCHES_TO_REFUSED == 2 and "arrived damaged twice" in PAGE
    assert settle.PAUSE_SECONDS <= 60 and worker.SAME_IDENTITY_SECONDS <= 60
    lease = worker.Work(work_for(tmp_path / "home").settings, work_for(tmp_path / "home").plan).lease_seconds
    assert f"every {lease / 4:g} seconds; after {lease:g} without a sign" in PAGE
