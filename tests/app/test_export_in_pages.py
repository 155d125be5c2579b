"""A long export is read page by page, and tells how far it is; it holds the same as one read at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from dife_scanner.app import exporting
from dife_scanner.progress import Progress, Step
from dife_scanner.records import JobState, ModelRef
from dife_scanner.store import Store, jobs, models, open_store


def queue(store: Store, count: int) -> None:
    for number in range(count):
        ref = ModelRef(f"org/clip-{number}", f"{number:040x}")
        jobs.discover(store, ref, endpoint="hub", state=JobState.GATED, reason="")


def test_pages_make_the_whole_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Step] = []
    with open_store(tmp_path) as store:
        queue(store, 7)
        whole = exporting.export(store, "", with_triggers=False, progress=Progress(told.append))
        assert told == [], "a short one says nothing"
        wanted = [row.job.ref.repo_id for row in models.model_rows(store)]
        assert [subject.name.partition("@")[0] for subject in whole.subjects] == wanted
        monkeypatch.setattr(exporting, "PAGE", 3)
        paged = exporting.export(store, "", with_triggers=False, progress=Progress(told.append))
    assert paged == whole
    assert [(step.phase, step.done, step.total) for step in told] == [
        ("reading", 3, 7),
        ("reading", 6, 7),
    ]
