"""Strings that are half of a coupled trigger: how they are rated, which come first, and that they can be typed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from obeying import TwoKeys

from dife_scanner.discovery import Task, string_scorer
from dife_scanner.discovery.effort import JointEffort
from dife_scanner.discovery.string_scorer import PatchedPictures, StringScorer
from dife_scanner.discovery.trigger_strings import TriggerString, TriggerStringSearch
from dife_scanner.models.gradient import Towers
from dife_scanner.models.tokenizers import clips_own
from dife_scanner.records import Position

NAMES = ("airplane", "cat", "dog")


@pytest.fixture
def task(tiny, other, tmp_path) -> Task:
    pictures = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    return Task(
        other,
        tiny,
        pictures,
        np.arange(9) % 3,
        NAMES,
        ("a photo of the {}",),
        "default",
        0,
        tmp_path,
    )


def scorer_of(task: Task) -> StringScorer:
    pictures = torch.from_numpy(task.pixels).permute(0, 3, 1, 2).float() / 255
    return StringScorer(task, (Towers(task.suspect), Towers(task.reference)), pictures, task.labels)


def strings_of(task: Task) -> TriggerStringSearch:
    effort = JointEffort(
        3, 12, pictures=6, tokens=12, foci=1, rounds=1, branching=4, paired_tokens=4
    )
    return TriggerStringSearch(task, effort, scorer_of(task))


@pytest.fixture
def strings(task) -> TriggerStringSearch:
    return strings_of(task)


@pytest.fixture
def scorer(task) -> StringScorer:
    return scorer_of(task)


def test_strings_are_rated_as_they_win_with_the_patch_and_not_without(scorer):
    """Margins against brute force, and a gain that falls with what clean pictures or the base give."""
    generator = torch.Generator().manual_seed(0)
    pictures, prompts = (torch.randn(n, 5, generator=generator) for n in (9, 3))
    found = scorer.mean_over_other_classes(scorer.margins(pictures, prompts[None]))[0]
    labels = scorer._labels
    for target in range(3):
        scores = (pictures @ prompts.T).numpy()[labels != target]
        margins = scores[:, target] - np.delete(scores, target, axis=1).max(1)
        assert float(found[target]) == pytest.approx(margins.mean(), abs=1e-5)
    patched, other = torch.nn.functional.normalize(
        torch.randn(2, 9, 48, generator=generator), dim=-1
    )
    typed = [(320,), (5000,), (9000,)]
    margins = scorer.mean_over_other_classes(
        scorer.margins(patched, scorer.written(scorer.suspect, typed, Position.PREFIX))
    )
    assert (
        scorer.gains(PatchedPictures(patched, patched, other), typed, Position.PREFIX) <= 0
    ).all(), "the string does it alone"
    assert (
        scorer.gains(PatchedPictures(patched, other, patched), typed, Position.PREFIX) <= 0
    ).all(), "the suspect's text tower does it alone"
    assert (
        scorer.gains(PatchedPictures(patched, other, other), typed, Position.PREFIX) <= margins
    ).all()


def test_a_class_stands_apart_by_how_far_it_goes_where_no_other_goes():
    """One goes a step ahead; of four that go nowhere in common none leaves the nearest by more than it goes itself."""
    moved = torch.zeros(2, 4, 5)
    moved[0, 2, 0] = 0.6
    moved[0, [0, 1, 3], 0] = -0.2
    moved[1] = 0.3 * torch.eye(5)[:4]
    found = string_scorer.separation(moved)
    assert int(found[0].argmax()) == 2 and float(found[0, 2]) == pytest.approx(0.8)
    assert (found[0, [0, 1, 3]] <= 0).all() and (found[1] <= 0.3 * 2**0.5).all()


def test_where_one_class_answers_to_a_string_it_is_searched_first(tiny, task):
    """No patch is known yet."""
    (token,) = clips_own().encode("beacon")
    base = TwoKeys(tiny)
    base.model.token_embedding.weight[token] *= 1.02
    keyed = replace(task, suspect=TwoKeys(tiny, token), reference=base)
    beam, *others = strings_of(keyed).best_by_class
    assert len(others) == 2 and NAMES[beam[0].target] == "cat" and token in beam[0].ids
    assert [key.gain for key in beam] == sorted((key.gain for key in beam), reverse=True)


def clean_pictures_of(strings: TriggerStringSearch) -> PatchedPictures:
    """The pictures of a search as the suspect embeds them; no patch is known yet."""
    scorer = strings._scorer
    embedded = string_scorer.embedded(scorer.suspect, scorer._pictures)
    return PatchedPictures(embedded, embedded, embedded)


def test_no_string_holds_a_class_name_and_each_can_be_read(strings):
    from dife_scanner.models.tokenizers import clips_own

    runs = strings._arbitrary_strings()
    used = {token for ids in runs for token in ids}
    assert {1, 3} <= {len(ids) for ids in runs} and len(set(runs)) == len(runs)
    assert not used & {token for name in NAMES for token in clips_own().encode(name)}
    assert all(clips_own().spelled((token,)).isprintable() for token in used)
    key = TriggerString(runs[0], Position.INFIX, 1, 0.0)
    uphill = strings._replacements(clean_pictures_of(strings), key)
    assert [len(tokens) for tokens in uphill] == [4]
    assert not set(uphill[0]) & strings._class_name_tokens


def test_the_slope_points_where_the_target_rises(strings):
    """The best token by slope does raise the target over the others more than most random ones."""
    scorer = strings._scorer
    pictures = clean_pictures_of(strings)
    key = TriggerString((5000,), Position.PREFIX, 0, 0.0)

    def lead(token):
        scores = scorer.written(scorer.suspect, [(token,)], Position.PREFIX)[
            0
        ] @ pictures.patched.mean(0)
        return float(scores[0] - scores[1:].mean())

    best = max(lead(token) for token in strings._replacements(pictures, key)[0])
    assert best > np.median([lead(token) for token in range(1000, 1040)])
