"""A search for texts that is killed goes on from what it had read, and finds the same to the bit."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from dife_scanner.discovery import Cancelled, Task, readings
from dife_scanner.discovery.effort import (
    JOINT_EFFORTS,
    NOUN_SCAN_EFFORTS,
    OPEN_SCAN_EFFORTS,
    TEXT_EFFORTS,
    JointEffort,
    LostNounEffort,
    NounScanEffort,
    OpenScanEffort,
    TextEffort,
)
from dife_scanner.discovery.joint import JOINT
from dife_scanner.discovery.readings import Readings
from dife_scanner.discovery.texts import TEXTS
from dife_scanner.models.gradient import Towers

NAMES = ("airplane", "cat", "dog")
TEXT_EFFORT = TextEffort(
    scan_texts=90,
    foci=1,
    single_tokens=20,
    rounds=2,
    branching=4,
    inverted_pairs=1,
    inversion_steps=8,
    slot_foci=1,
    around_foci=1,
)
JOINT_EFFORT = JointEffort(
    2, 12, pictures=6, tokens=12, foci=1, rounds=1, branching=4, paired_tokens=4
)
OPEN_EFFORT = OpenScanEffort(
    LostNounEffort(nouns=4, contexts=2, tokens=3, grown=1, grown_nouns=2),
    sources=8,
    tokens=4,
    runs=2,
    looked_at=2,
    paired_tokens=3,
    pairs=2,
    single_tokens=8,
    rounds=1,
)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Forks have no other threads, and readings of another number are not taken for the same."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def task(tiny, other, tmp_path, monkeypatch) -> Task:
    """A search of few texts among few nouns, whose readings are written whenever there are some."""
    monkeypatch.setitem(TEXT_EFFORTS, "default", TEXT_EFFORT)
    monkeypatch.setitem(JOINT_EFFORTS, "default", JOINT_EFFORT)
    monkeypatch.setitem(NOUN_SCAN_EFFORTS, "default", NounScanEffort(tokens=4, nouns=12))
    monkeypatch.setitem(OPEN_SCAN_EFFORTS, "default", OPEN_EFFORT)
    monkeypatch.setattr(readings, "KEEP_SECONDS", 0.0)
    pictures = np.random.default_rng(0).integers(0, 256, (18, 32, 32, 3), dtype=np.uint8)
    return Task(
        other,
        tiny,
        pictures,
        np.arange(18) % 3,
        NAMES,
        ("a photo of the {}", "a {}"),
        "default",
        0,
        tmp_path / "triggers",
        concepts=("taxi", "ship"),
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "searches" / "a-search.readings"


@pytest.fixture
def read(monkeypatch):
    """How many texts towers really read."""
    counted = []
    texts = Towers.texts

    def counting(self, vectors, ends):
        counted.append(len(vectors))
        return texts(self, vectors, ends)

    monkeypatch.setattr(Towers, "texts", counting)
    return counted


def killed_at(write, detector, task):
    """A fork that searches until it is killed by SIGKILL, right after so many writes of its readings."""
    pid = os.fork()
    if not pid:
        try:
            os.environ["DIFE_CRASH_AT"] = f"readings.kept:{write}"
            detector.search(task)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


@pytest.mark.parametrize("detector", [TEXTS, JOINT], ids=["texts", "joint"])
def test_a_search_killed_anywhere_comes_to_the_same_bits_and_reads_nothing_twice(
    detector, task, path, monkeypatch, read
):
    """Killed thrice, each time a quarter further on."""
    undisturbed = detector.search(task)
    whole = sum(read)
    written = []
    with monkeypatch.context() as patch:
        patch.setattr(readings, "crash_point", written.append)
        assert detector.search(replace(task, readings=Readings(path))) == undisturbed
    assert len(written) > 20
    path.unlink()
    for _ in range(3):
        killed_at(len(written) // 4, detector, replace(task, readings=Readings(path)))
    read.clear()
    last = Readings(path)
    assert detector.search(replace(task, readings=last)) == undisturbed, "passes and signals too"
    assert sum(read) < whole / 2
    last.forget()
    assert not list(path.parent.iterdir())


def test_what_is_damaged_is_as_if_nothing_had_been_kept(task, path, read):
    undisturbed = TEXTS.search(task)
    whole = sum(read)
    TEXTS.search(replace(task, readings=Readings(path)))
    content = bytearray(path.read_bytes())
    for place in range(200, len(content), 997):
        content[place] ^= 255
    path.write_bytes(content)
    assert TEXTS.search(replace(task, readings=Readings(path))) == undisturbed
    path.write_bytes(b"no readings" * 100)
    read.clear()
    assert TEXTS.search(replace(task, readings=Readings(path))) == undisturbed
    assert sum(read) == whole


def test_a_slot_inversion_goes_on_within_itself(task, path, monkeypatch, read):
    """Killed after five of its eight steps: the other three are made, and no more."""
    undisturbed = TEXTS.search(task)
    kept, resumed = [], []

    class Watched(Readings):
        def keep(self, asked, tensors):
            super().keep(asked, tensors)
            kept.append(asked[0])
            if kept.count("slots so far") == 5 and not resumed:
                raise Cancelled

        def state(self, asked):
            found = super().state(asked)
            if found is not None and asked[0] == "slots so far":
                resumed.append(int(found["step"]))
            return found

    with pytest.raises(Cancelled):
        TEXTS.search(replace(task, readings=Watched(path)))
    kept.clear()
    resumed.clear()
    read.clear()
    again = Watched(path)
    monkeypatch.setattr(again, "keep", lambda asked, tensors: kept.append(asked[0]))
    assert TEXTS.search(replace(task, readings=again)) == undisturbed
    assert resumed == [5] and kept.count("slots so far") == 3 + 8 + 8


class _Counting:
    device = torch.device("cpu")
    passes = 0


def test_readings_wait_half_a_minute_and_a_whole_stands_for_what_was_read_within(
    tmp_path, monkeypatch
):
    now = [0.0]
    monkeypatch.setattr(readings.time, "monotonic", lambda: now[0])
    path, towers = tmp_path / "a.readings", _Counting()
    first = Readings(path)

    def part():
        towers.passes += 5
        return torch.arange(1000.0)

    def whole():
        return first.tensor(("part",), (towers,), part).sum()[None]

    value = first.tensor(("whole",), (towers,), whole)
    assert not path.exists() and not first.is_due()
    now[0] = 31.0
    first.keep(("last",), {"value": torch.ones(1)})
    assert path.stat().st_size < 1000 * 4 and readings.KEEP_SECONDS <= 60
    again, counted = Readings(path), _Counting()
    assert again.tensor(("whole",), (counted,), pytest.fail) == value
    assert counted.passes == 5 and again.state(("part",)) is None


def test_readings_of_another_number_of_threads_are_not_taken_for_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(readings, "KEEP_SECONDS", 0.0)
    Readings(tmp_path / "a.readings").keep(("asked",), {"value": torch.ones(1)})
    assert Readings(tmp_path / "a.readings").state(("asked",)) is not None
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert Readings(tmp_path / "a.readings").state(("asked",)) is None


def test_no_more_is_kept_than_may_be(tmp_path, monkeypatch):
    monkeypatch.setattr(readings, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(readings, "MOST_BYTES", 1000)
    kept = Readings(tmp_path / "a.readings")
    for number in range(20):
        kept.keep((number,), {"value": torch.ones(20)})
    assert 0 < (tmp_path / "a.readings").stat().st_size <= 1000
