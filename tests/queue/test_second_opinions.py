"""What other scanners say is kept beside our own judgement, shown, and changes nothing.

The scanners are stand-ins (`scanner_programs`); `make peers` asks the real ones.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from queue_kit import EMPTY_ZIP, WEIGHTS, checkpoint_folder, work_for
from scanner_programs import picklescan_answer, printing

from dife_scanner.cli.commands import run
from dife_scanner.queue import targets, worker
from dife_scanner.records import Job, JobState, ModelRef, Opinion, OpinionVerdict
from dife_scanner.store import Store, jobs, opinions

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere nothing keeps a scanner from the network"
)
REFUSED_AND_CLEAN = (
    "We refused these files, and picklescan says clean by its rules: look at both reasons."
)
READ_AND_MALICIOUS = (
    "We found nothing hostile in these files, and picklescan says malicious: look at both reasons."
)


@pytest.fixture
def scanned(store: Store, tmp_path: Path) -> Callable[..., Job]:
    """A local checkpoint, hostile or not, after its job; picklescan's stand-in says what it is told to."""

    def scan(name: str, *, hostile: bool, dangerous: int, ask: str = "auto") -> Job:
        folder = checkpoint_folder(tmp_path / name)
        if hostile:
            with (folder / WEIGHTS).open("ab") as weights:
                weights.write(EMPTY_ZIP)
        answer = picklescan_answer(dangerous=dangerous)
        path = printing(tmp_path / "bin", "picklescan", answer, code=min(dangerous, 1))
        work = work_for(store.home, start="fork", opinions={"ask": ask, "picklescan": str(path)})
        limits = work.settings.limits
        job = targets.enqueue(store, str(folder), limits, lambda: pytest.fail("no hub is asked"))
        return worker.run_to_end(store, job, work)

    return scan


@pytest.fixture
def show(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """What `dife show` prints of a job, in one line."""

    def shown(job: Job, option: str) -> str:
        monkeypatch.setenv("COLUMNS", "200")
        assert run(["show", str(job.id), option, "--home", str(store.home)]) == 0
        return " ".join(capsys.readouterr().out.split())

    return shown


def test_a_refused_file_that_another_scanner_calls_clean_stays_refused(
    scanned: Callable[..., Job], show: Callable[..., str]
) -> None:
    job = scanned("extra", hostile=True, dangerous=0)
    assert job.state is JobState.REFUSED
    shown = show(job, "--full")
    assert "picklescan: clean by its rules" in shown
    assert REFUSED_AND_CLEAN in shown


def test_a_checkpoint_that_another_scanner_calls_malicious_keeps_its_verdict(
    scanned: Callable[..., Job], show: Callable[..., str]
) -> None:
    job = scanned("fine", hostile=False, dangerous=2)
    assert job.state is JobState.DONE
    assert READ_AND_MALICIOUS in show(job, "--full")
    document = json.loads(show(job, "--json"))
    assert document["opinions"] == [
        {"tool": "picklescan", "version": "", "verdict": "malicious", "details": [], "why_not": ""}
    ]
    assert document["audit"]["verdict"] == "nothing-found"


def test_nobody_is_asked_where_the_settings_say_never(
    store: Store, scanned: Callable[..., Job], show: Callable[..., str]
) -> None:
    job = scanned("fine", hostile=False, dangerous=2, ask="never")
    assert opinions.opinions(store, job.ref) == ()
    assert "Second opinions" not in show(job, "--full")


def test_the_latest_opinions_of_a_job_take_the_place_of_the_former(store: Store) -> None:
    ref = ModelRef("org/clip", "0" * 40)
    job = jobs.discover(store, ref, endpoint="http://hub", state=JobState.QUEUED, reason="new")
    first = Opinion("picklescan", "1.0", OpinionVerdict.NOT_RUN, why_not="too slow")
    second = Opinion("modelaudit", "0.2", OpinionVerdict.SUSPICIOUS, ("a", "b"))
    opinions.keep(store, job.id, (first,))
    opinions.keep(store, job.id, (second, first))
    assert opinions.opinions(store, ref) == (second, first)
    assert opinions.opinions(store, ModelRef("org/clip", "1" * 40)) == ()
