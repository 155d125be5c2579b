"""The numbers that `docs/states.md` gives for retries and leases."""

from __future__ import annotations

from pathlib import Path

from queue_kit import work_for

from dife_scanner.hub.status import LONGEST_WAIT
from dife_scanner.queue import failures, job_run
from dife_scanner.queue.revisions import MOST_BETWEEN
from dife_scanner.queue.work import Work
from dife_scanner.settings import Disk, Limits
from dife_scanner.store import job_rows

PAGE = (Path(__file__).parents[2] / "docs" / "states.md").read_text(encoding="utf-8")


def test_the_numbers_are_those_of_the_code(tmp_path: Path) -> None:
    first, longest = failures.FIRST_RETRY_SECONDS, failures.LONGEST_RETRY_SECONDS / 3600
    assert f"{first:g} s, doubled each time up to {longest:g} h" in PAGE
    assert job_rows.RECHECK_SECONDS == 7 * 24 * 3600 and PAGE.count("after a week") == 6
    assert f"unavailable (given up after {failures.MOST_RETRIES + 1} tries)" in PAGE
    assert failures.NOT_FOUND_TO_DELETED == 3 and "three tries, apart from each other" in PAGE
    assert f"that the hub named ({LONGEST_WAIT / 3600:g} h at most)" in PAGE
    assert LONGEST_WAIT == failures.LONGEST_RETRY_SECONDS
    assert failures.PAUSE_SECONDS <= 60 and job_run.SAME_IDENTITY_SECONDS <= 60
    lease = Work(
        work_for(tmp_path / "home").settings, work_for(tmp_path / "home").plan
    ).lease_seconds
    assert f"every {lease / 4:g} seconds; after {lease:g} without a sign" in PAGE
    disk = Disk()
    assert f"`disk.quota_bytes` ({disk.quota_bytes / 1024**3:g} GiB)" in PAGE
    assert f"`disk.free_bytes` ({disk.free_bytes / 1024**3:g} GiB)" in PAGE
    assert f"`limits.repository_files` ({Limits().repository_files:,})" in PAGE
    assert f"up to {MOST_BETWEEN}, are read from the history" in PAGE
