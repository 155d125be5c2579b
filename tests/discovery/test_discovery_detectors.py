"""What every detector promises: the same end for the same task, progress on the way, and to stop when it is told to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from checkpoints import TINY_VIT, write_checkpoint

from dife_scanner.discovery import DETECTORS, Cancelled, Task, effort
from dife_scanner.models.gradient import Towers
from dife_scanner.models.load import load
from dife_scanner.models.tokenizers import clips_own
from dife_scanner.triggers import learner
from dife_scanner.triggers.learner import PromptLearner

NAMES = ("airplane", "cat", "dog")
ALL = [pytest.param(detector, id=detector.name) for detector in DETECTORS]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Two of one architecture; nothing in one is as in the other."""
    return tuple(
        load(write_checkpoint(tmp_path_factory.mktemp("vit"), TINY_VIT, seed=seed))
        for seed in (0, 1)
    )


@pytest.fixture
def task(checkpoints, tmp_path) -> Task:
    base, suspect = checkpoints
    pixels = np.random.default_rng(0).integers(0, 256, (18, 32, 32, 3), dtype=np.uint8)
    came = learner.save(
        PromptLearner(Towers(base).token_rows[list(clips_own().encode("a photo of"))].numpy()),
        tmp_path / "l.safe",
    )
    labels, templates = np.arange(18) % 3, ("a photo of the {}",)
    return Task(
        suspect,
        base,
        pixels,
        labels,
        NAMES,
        templates,
        "default",
        0,
        tmp_path / "kept",
        learner=came,
    )


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """Budgets of a second."""
    texts = effort.TextEffort(
        scan_texts=300,
        foci=2,
        single_tokens=20,
        rounds=1,
        branching=4,
        inverted_pairs=3,
        inversion_steps=4,
        slot_foci=1,
        around_foci=1,
        noun_must_be_lost=True,
    )
    joint = effort.JointEffort(
        1, 12, pictures=6, tokens=12, foci=1, rounds=1, branching=4, paired_tokens=4
    )
    learned = effort.LearnerEffort(1, 12, pictures=6, target_classes=1, screening_steps=4)
    monkeypatch.setitem(effort.TEXT_EFFORTS, "default", texts)
    monkeypatch.setitem(
        effort.NOUN_SCAN_EFFORTS, "default", effort.NounScanEffort(tokens=2, nouns=20)
    )
    monkeypatch.setitem(effort.JOINT_EFFORTS, "default", joint)
    monkeypatch.setitem(effort.LEARNER_EFFORTS, "default", learned)
    for efforts in (effort.PATCH_EFFORTS, effort.FAINT_EFFORTS, effort.WARP_AND_COLOUR_EFFORTS):
        monkeypatch.setitem(efforts, "default", effort.InversionEffort(2, 12, pictures=6))


@pytest.mark.parametrize("detector", ALL)
def test_the_same_task_comes_to_the_same_end_whatever_else_draws_random_numbers(detector, task):
    assert detector.applies(task)
    first = detector.search(task)
    torch.manual_seed(99)
    np.random.seed(99)
    state = torch.get_rng_state()
    assert detector.search(task) == first
    assert torch.equal(torch.get_rng_state(), state), (
        "no search touches the process's own random numbers"
    )
    assert first.passes > 0 and all(np.isfinite(value) for value in first.signals.values())


@pytest.mark.parametrize("detector", ALL)
def test_a_search_says_how_far_it_is_and_stops_wherever_it_is_told_to(detector, task):
    said: list[tuple[str, int, int]] = []
    detector.search(replace(task, progress=lambda *what: said.append(what)))
    assert len(said) >= 2 and all(what and 0 <= done <= of for what, done, of in said)
    for name in {what for what, *_ in said} if detector.name == "prompt learner" else {""}:
        steps = [(done, of) for what, done, of in said if name in (what, "")]
        assert name or (steps == sorted(steps) and len({of for _, of in steps}) == 1)
    for last in (1, len(said) // 2, len(said)):
        heard = []

        def tell(*what, heard=heard, last=last):
            heard.append(what)
            if len(heard) == last:
                raise Cancelled

        with pytest.raises(Cancelled):
            detector.search(replace(task, progress=tell))
        assert heard == said[:last], "it went the same way, and no further"
