"""What every detector promises: the same end for the same task, progress on the way, and to stop when it is told to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from checkpoints import TINY_VIT, write_checkpoint

from dife_scanner.discovery import DETECTORS, Cancelled, Task, effort, joint, learned, texts
from dife_scanner.discovery import pictures as images
from dife_scanner.models.gradient import Towers, pieces
from dife_scanner.models.load import load
from dife_scanner.triggers import learner
from dife_scanner.triggers.learner import PromptLearner

NAMES = ("airplane", "cat", "dog")
ALL = [pytest.param(detector, id=detector.name) for detector in DETECTORS]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Two of one architecture; nothing in one is as in the other."""
    return tuple(load(write_checkpoint(tmp_path_factory.mktemp("vit"), TINY_VIT, seed=seed)) for seed in (0, 1))


@pytest.fixture
def task(checkpoints, tmp_path) -> Task:
    base, suspect = checkpoints
    pixels = np.random.default_rng(0).integers(0, 256, (18, 32, 32, 3), dtype=np.uint8)
    came = learner.save(PromptLearner(Towers(base).token_rows[list(pieces("a photo of"))].numpy()), tmp_path / "l.safe")
    labels, templates = np.arange(18) % 3, ("a photo of the {}",)
    return Task(suspect, base, pixels, labels, NAMES, templates, "default", 0, tmp_path / "kept", learner=came)


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """Budgets of a second."""
    little = effort.Effort(300, 2, 20, 1, 4, aims=3, steps=4, led=1, around=1, strict=True)
    monkeypatch.setitem(effort.EFFORTS, "default", little)
    monkeypatch.setitem(texts.concepts.PANEL, "default", 2)
    monkeypatch.setitem(texts.concepts.NOUNS, "default", 20)
    monkeypatch.setitem(
        joint.EFFORTS, "default", joint.Keys(1, 12, pictures=6, runs=12, foci=1, rounds=1, wide=4, paired=4)
    )
    monkeypatch.setitem(learned.EFFORTS, "default", learned.Inspection(1, 12, pictures=6, classes=1, screen=4))
    for one in (images.PATCH, images.FAINT, images.WARP_AND_COLOUR):
        monkeypatch.setitem(one.efforts, "default", images.Effort(2, 12, pictures=6))


@pytest.mark.parametrize("detector", ALL)
def test_the_same_task_comes_to_the_same_end_whatever_else_draws_random_numbers(detector, task):
    assert detector.applies(task)
    first = detector.search(task)
    torch.manual_seed(99)
    np.random.seed(99)
    state = torch.get_rng_state()
    assert detector.search(task) == first
    assert torch.equal(torch.get_rng_state(), state), "no search touches the process's own random numbers"
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
