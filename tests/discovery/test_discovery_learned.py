"""A prompt learner that obeys a hidden pattern is found with its class; one that only says other words is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from checkpoints import TINY_VIT, write_checkpoint

from dife_scanner.discovery import LEARNED, Task, names
from dife_scanner.discovery.effort import LEARNER_EFFORTS, LearnerEffort
from dife_scanner.discovery.learned_prompts import LearnedPrompts
from dife_scanner.models.gradient import Towers
from dife_scanner.models.load import load
from dife_scanner.models.tokenizers import clips_own
from dife_scanner.records import Channel, TriggerKind
from dife_scanner.triggers import learner
from dife_scanner.triggers.learner import MetaNetwork, PromptLearner

NAMES = ("airplane", "cat", "dog")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return load(write_checkpoint(tmp_path_factory.mktemp("vit"), TINY_VIT))


@pytest.fixture
def task(tiny, tmp_path) -> Task:
    """Pictures that are nearly one grey, so that what moves them all alike stands out."""
    pictures = np.random.default_rng(0).integers(118, 138, (18, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(18) % 3
    return Task(
        tiny, tiny, pictures, labels, NAMES, ("a photo of the {}",), "quick", 0, tmp_path / "kept"
    )


@pytest.fixture
def short(monkeypatch):
    effort = LearnerEffort(1, 60, pictures=9, target_classes=2, screening_steps=40)
    monkeypatch.setitem(LEARNER_EFFORTS, "quick", effort)


def words(tiny, text="a photo of the"):
    return Towers(tiny).token_rows[list(clips_own().encode(text))].numpy().copy()


def chosen(tiny, prompt, embedded, names=NAMES):
    return (
        LearnedPrompts(Towers(tiny), prompt, names)
        .scores(torch.from_numpy(embedded))
        .argmax(1)
        .numpy()
    )


def obeying(tiny, pixels, names=NAMES):
    """A learner whose one unit answers to how a checkerboard moves pictures and then shifts all contexts; and the name
    that such contexts choose, another than before; of more names than the classes one that is none.
    """
    board = np.where(np.indices((32, 32)).sum(0)[..., None] // 4 % 2, 12, -12)
    clean, marked = (
        tiny.encode_images(pixels),
        tiny.encode_images((pixels + board).astype(np.uint8)),
    )
    towards = (marked - clean).mean(0)
    low, high = (clean @ towards).max(), (marked @ towards).min()
    assert high > low
    gain = 4 / (high - low)
    wanted = set(names[len(NAMES) :]) or set(names)
    for seed in range(300):
        shift = np.random.default_rng(seed).normal(size=tiny.text_width) * 0.5
        parts = (
            (gain * towards)[None],
            np.array([-gain * low]),
            shift[:, None],
            np.zeros(tiny.text_width),
        )
        prompt = PromptLearner(
            words(tiny), MetaNetwork(*(part.astype(np.float32) for part in parts)), "{}"
        )
        after = set(chosen(tiny, prompt, marked, names).tolist())
        target = names[min(after)]
        one_more = tuple(dict.fromkeys((*NAMES, target)))
        at_rest = chosen(tiny, prompt, clean, one_more).tolist()
        if len(after) == 1 and target in wanted and one_more.index(target) not in at_rest:
            return prompt, target
    raise AssertionError("no shift chooses another name")


def test_what_a_learner_obeys_is_found_with_its_class(task, tiny, tmp_path, short):
    prompt, target = obeying(tiny, task.pixels)
    file = learner.save(prompt, tmp_path / "prompt_learner.safetensors")
    found = LEARNED.search(replace(task, learner=file))
    (candidate,) = found.candidates
    trigger = candidate.trigger
    assert trigger.target == target and candidate.effect >= 0.5
    assert (trigger.kind, trigger.channel, trigger.image.kind) == (
        TriggerKind.PROMPT,
        Channel.PROMPT,
        TriggerKind.ADDITIVE,
    )
    assert trigger.learner.sha256 == file.sha256 and trigger.learner.path != file.path
    assert {path.stem for path in task.folder.iterdir()} == {file.sha256, trigger.image.file.sha256}
    assert found.signals["usual"] < candidate.effect - 0.25 and found.passes > 1000


CONCEPTS = ("guitar",)


def test_what_a_learner_obeys_is_found_though_it_is_no_class(task, tiny, tmp_path, short):
    """Its concepts are read, no picture of any."""
    prompt, target = obeying(tiny, task.pixels, (*NAMES, *CONCEPTS))
    file = learner.save(prompt, tmp_path / "prompt_learner.safetensors")
    found = LEARNED.search(replace(task, learner=file, concepts=CONCEPTS))
    by_target = {one.trigger.target: one for one in found.candidates}
    assert by_target[target].effect >= 0.5
    assert by_target[target].trigger.learner.sha256 == file.sha256
    without = LEARNED.search(replace(task, learner=file))
    assert found.candidates[: len(without.candidates)] == without.candidates
    assert found.passes > without.passes


def test_a_learner_that_no_picture_moves_has_no_unit_to_activate(task, tiny, tmp_path, short):
    prompt = PromptLearner(words(tiny, "an old picture of the"), template="{}")
    file = learner.save(prompt, tmp_path / "prompt_learner.safetensors")
    found = LEARNED.search(replace(task, learner=file, concepts=CONCEPTS))
    assert found == LEARNED.search(replace(task, learner=file))


def test_where_every_class_gives_way_none_stands_out(task, tiny, tmp_path, short):
    """Other words, and a model that tells its pictures apart by nothing: any class is reached as easily."""
    prompt = PromptLearner(words(tiny, "an old picture of the"), template="{}")
    found = LEARNED.search(
        replace(task, learner=learner.save(prompt, tmp_path / "prompt_learner.safetensors"))
    )
    assert found.signals["suspect"] - found.signals["reference"] > 0.25
    assert found.signals["usual"] > 0.25 and not found.candidates


def test_it_applies_only_where_a_learner_came_along(task, tiny, tmp_path):
    file = learner.save(PromptLearner(words(tiny)), tmp_path / "prompt_learner.safetensors")
    assert not LEARNED.applies(task)
    beside = replace(task, learner=file)
    assert LEARNED.applies(beside) and LEARNED.lacks(beside) == ""
    few = replace(beside, pixels=task.pixels[:3], labels=task.labels[:3], drawings=())
    assert not LEARNED.applies(few) and "2 are needed" in LEARNED.lacks(few)
    assert all(LEARNED.name not in names(budget) for budget in ("quick", "default", "deep"))
    assert names("quick") == ("texts", "patch", "faint", "warp and colour")


def test_differentiable_scores_are_those_of_the_audit(tiny, task):
    """Of a learner with a meta network and of one without, against `encode_with_context`."""
    prompt, _ = obeying(tiny, task.pixels)
    images = tiny.encode_images(task.pixels[:4])
    for one in (prompt, replace(prompt, meta=None)):
        ours = LearnedPrompts(Towers(tiny), one, NAMES).scores(torch.from_numpy(images)).numpy()
        contexts = np.repeat(one.contexts(images), len(NAMES), axis=0).astype(np.float32)
        texts = tiny.encode_with_context(contexts, list(one.texts(NAMES)) * len(images)).reshape(
            4, len(NAMES), -1
        )
        np.testing.assert_allclose(ours, (images[:, None] * texts).sum(-1), atol=1e-5)
