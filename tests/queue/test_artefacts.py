"""A worker records which files a job is about, so that the same files are found again wherever they lie."""

from __future__ import annotations

from pathlib import Path

from queue_kit import CONFIG, checkpoint, checkpoint_folder, work_for

from dife_scanner.app.files import lying_here, of_repository
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.queue import targets, worker
from dife_scanner.queue.work import hub_for
from dife_scanner.records import JobState, Verdict
from dife_scanner.settings import Limits
from dife_scanner.store import Store, artefacts


def test_a_repository_and_a_folder_with_its_files_are_one_artefact(
    store: Store, home: Path, hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.add_repo("org/clip", {**checkpoint(3), "README.md": b"card"})
    work = work_for(home, hub.endpoint, start="fork")
    for target in ("org/clip", str(checkpoint_folder(tmp_path / "copy", 3))):
        job = targets.enqueue(
            store, target, work.settings.limits, lambda: hub_for(work.settings, hub.endpoint)
        )
        assert worker.run_to_end(store, job, work).state is JobState.DONE
    known = of_repository(store, "org/clip")
    here = lying_here(str(tmp_path / "copy"), Limits())
    assert known.artefact and known.id == here.id
    grounds = artefacts.grounds(store, here.id)
    assert grounds and grounds.verdict == Verdict.NOTHING_FOUND
    (tmp_path / "copy" / CONFIG).write_bytes(checkpoint(3)[CONFIG] + b"\n")
    assert lying_here(str(tmp_path / "copy"), Limits()).id != here.id
