"""A search that is killed within an inversion goes on from where that was kept last, and finds the same to the bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_discovery_pictures import BEYOND_REACH, raced, short, task, tiny

from dife_scanner.discovery import inversion_states
from dife_scanner.discovery.inversion_states import SUFFIX, InversionStates
from dife_scanner.discovery.pictures import FAINT, PATCH

__all__ = ["task", "tiny"]
STEPS = 20


class Killed(BaseException):
    """The process is gone; nothing catches this."""


@pytest.fixture
def stem(tmp_path, monkeypatch):
    """Where states lie. They are kept after every step."""
    monkeypatch.setattr(inversion_states, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(inversion_states, "KEEP_LAST_SECONDS", 0.0)
    return tmp_path / "searches" / "a-search"


def steps_told(task, *, dies_at=None):
    """The task, and the steps that it tells; it is killed at one of them."""
    told = []

    def tell(what, done, of):
        told.append(done)
        if done == dies_at:
            raise Killed

    return replace(task, progress=tell), told


@pytest.mark.parametrize(("detector", "dies_at"), [(PATCH, 10), (PATCH, 20), (FAINT, 30)])
def test_a_search_killed_within_an_inversion_comes_to_the_same_bits(task, stem, detector, dies_at):
    """The patch is killed in its first inversion and while it is aimed on, the faint pattern in its second family."""
    search = short(detector, STEPS)
    undisturbed = search.search(task)
    dying, _ = steps_told(replace(task, inversions=InversionStates(stem)), dies_at=dies_at)
    with pytest.raises(Killed):
        search.search(dying)
    again = InversionStates(stem)
    resumed, told = steps_told(replace(task, inversions=again))
    assert search.search(resumed) == undisturbed, "passes and signals too"
    assert not [step for step in told if step < dies_at], "no step is made again"
    again.forget()
    assert not list(stem.parent.iterdir())


def test_a_search_killed_after_a_start_was_given_up_gives_it_up_again(task, stem):
    search = raced(FAINT, BEYOND_REACH, STEPS)
    undisturbed = search.search(task)
    dying, _ = steps_told(replace(task, inversions=InversionStates(stem)), dies_at=STEPS)
    with pytest.raises(Killed):
        search.search(dying)
    resumed, told = steps_told(replace(task, inversions=InversionStates(stem)))
    assert search.search(resumed) == undisturbed, "passes too"
    assert told == [STEPS], "no step of the first family is made again"


def test_what_cannot_be_read_is_as_if_nothing_had_been_kept(task, stem):
    search = short(PATCH, STEPS)
    undisturbed = search.search(task)
    search.search(replace(task, inversions=InversionStates(stem)))
    kept = sorted(stem.parent.glob(f"*{SUFFIX}"))
    assert len(kept) > 1
    kept[0].write_bytes(kept[0].read_bytes()[:100])
    kept[1].write_bytes(b"no tensors")
    assert search.search(replace(task, inversions=InversionStates(stem))) == undisturbed
    kept[0].write_bytes(kept[-1].read_bytes().replace(b"weights-0", b"weights-9"))
    assert search.search(replace(task, inversions=InversionStates(stem))) == undisturbed


def test_states_are_kept_at_least_once_a_minute_and_not_at_every_step(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(inversion_states.time, "monotonic", lambda: now[0])
    states = InversionStates(tmp_path / "a-search")
    due = []
    for now[0] in (1.0, 3.0, 29.0, 31.0):
        due.append((states.is_due(last=False), states.is_due(last=True)))
    assert due == [(False, False), (False, True), (False, True), (True, True)]
    assert inversion_states.KEEP_SECONDS <= 60
