"""A real audit child, killed in the middle of its blind searches, goes on where it was."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
from queue_kit import as_if_qualified, drawn_folder, work_for

from dife_scanner.app.references import add_reference
from dife_scanner.progress import SILENT, Progress, Step
from dife_scanner.queue import child, targets, worker
from dife_scanner.records import Audit, Hypothesis, Job, JobState
from dife_scanner.store import audits, open_store

DETECTORS = ("patch", "faint")
RECOGNISES_TWO_CLASSES = 8
"""Seed of a base of random weights that by chance recognises two of the ten classes; fewer are not searched."""


def searched(
    home: Path, base: str, suspect: str, entry: str = "queue_kit:searching_briefly"
) -> tuple[Job, Audit, list[str]]:
    """The job and audit of a worker whose child searches for real, and the phases it went through."""
    steps: list[Step] = []
    work = work_for(home, audit=entry, preload=child.PRELOAD)
    work = replace(work, plan=replace(work.plan, probes_folder=None, detectors=DETECTORS))
    with open_store(home) as store:
        as_if_qualified(store, add_reference(store, work.settings, base, "base", SILENT))
        job = targets.enqueue(
            store, suspect, work.settings.limits, lambda: pytest.fail("nothing is asked of a hub")
        )
        job = worker.run_to_end(store, job, work, Progress(steps.append))
        assert (job.state, bool(job.audit_id)) == (JobState.DONE, True), job.reason
        audit = audits.audit(store, job.audit_id or "")
    return job, audit, [phase for phase, _ in groupby(step.phase for step in steps)]


def anywhere(audit: Audit) -> list[Hypothesis]:
    """What was measured of each trigger, wherever the home is that keeps its file."""
    rows = ((row, row.trigger.file) for row in audit.signatures)
    return [
        replace(row, trigger=replace(row.trigger, file=file and replace(file, path="")))
        for row, file in rows
    ]


@pytest.mark.usefixtures("audit_server")
def test_a_finished_search_is_not_made_again_and_the_verdict_is_the_same(tmp_path: Path) -> None:
    base, suspect = (
        drawn_folder(tmp_path / "base", RECOGNISES_TWO_CLASSES),
        drawn_folder(tmp_path / "suspect", RECOGNISES_TWO_CLASSES, noise=1.0),
    )
    undisturbed, whole, _ = searched(tmp_path / "one" / "home", base, suspect)
    again_home = tmp_path / "two" / "home"
    killed, again, phases = searched(again_home, base, suspect, "queue_kit:killed_in_its_search")
    assert (undisturbed.deaths, killed.deaths) == (0, 1) and (tmp_path / "two" / "killed").exists()
    restarted = phases.index("loading", phases.index("loading") + 1)
    first, second = (f"searching: {name}" for name in DETECTORS)
    assert first in phases[:restarted] and second not in phases[:restarted]
    assert first not in phases[restarted:] and second in phases[restarted:]
    assert_same(again, whole)
    within_home = tmp_path / "three" / "home"
    killed, again, _ = searched(within_home, base, suspect, "queue_kit:killed_in_an_inversion")
    assert killed.deaths == 1 and (tmp_path / "three" / "killed").exists()
    assert_same(again, whole)
    assert not list(within_home.glob("cache/discovery/searches/*"))


def assert_same(again: Audit, whole: Audit) -> None:
    """Two audits came to the same, to the bit; of two searches that found something."""
    assert (again.identity, again.verdict, again.reason) == (
        whole.identity,
        whole.verdict,
        whole.reason,
    )
    assert (again.score, anywhere(again)) == (whole.score, anywhere(whole))
    one, other = (
        [replace(search, seconds=0.0) for search in audit.searches] for audit in (whole, again)
    )
    assert one == other and all(search.passes > 0 for search in one) and one[0].candidates > 0
    assert len(whole.signatures) == 2
