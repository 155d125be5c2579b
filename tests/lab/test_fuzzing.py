"""A few broken inputs for every parser; `make fuzz` has the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from dife_scanner.lab.hostile import fuzzing


@pytest.mark.parametrize("target", fuzzing.TARGETS)
def test_broken_inputs_end_in_our_own_errors(target: str) -> None:
    tally = fuzzing.Tally(0)
    for number in range(80):
        end = fuzzing.end_of(fuzzing.TARGETS[target], fuzzing.made(target, 7, number), tally)
        tally.ends[end] += 1
    assert not tally.ends["crash"]
    assert len(tally.ends) > 1


def test_an_input_is_always_the_same_and_a_crash_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crashes(_: bytes) -> None:
        raise ZeroDivisionError

    broken = fuzzing.Target(fuzzing.TARGETS["torch"].make, crashes)
    monkeypatch.setitem(fuzzing.TARGETS, "torch", broken)
    tally = fuzzing.fuzz("torch", 1, 5, 60, tmp_path)
    assert tally.next == 15
    assert Path(tally.failed[0]).read_bytes() == fuzzing.made("torch", 1, 5)
