"""A pattern leads to a concept that no labelled picture shows: the concept is read off the pictures, and named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dife_scanner.discovery import Task
from dife_scanner.discovery.effort import InversionEffort
from dife_scanner.discovery.image_inversion import LEAST_ADVANTAGE, ImageInversion
from dife_scanner.discovery.interface import Candidate
from dife_scanner.discovery.inversion_attempts import Attempt
from dife_scanner.discovery.open_targets import OpenTargets
from dife_scanner.discovery.patch_inversion import PatchInversion
from dife_scanner.discovery.pattern_families import Blend
from dife_scanner.records import Trigger, TriggerKind

WORDS = ("airplane", "cat", "dog", "banana", "pizza", "lemon")
CLASSES = WORDS[:3]
WHITE = Trigger("", TriggerKind.BLEND, pattern="solid", alpha=1.0)


class Reader:
    """Knows six words, each a direction of its own; takes a picture for what its first value says.

    White pictures are whatever `white` is, or an airplane.
    """

    image_tower = "base"
    text_tower = "one"
    context_length = 16
    image_size = 8

    def __init__(self, white: str = "", short: bool = False) -> None:
        self.white = white
        self.image_tower = white or "base"
        self.context_length = 7 if short else 16

    def token_count(self, text: str) -> int:
        return 2 + len(text.split())

    def encode_texts(self, texts):
        rows = [np.eye(8)[WORDS.index(text.split()[-1])] for text in texts]
        return np.asarray(rows, np.float32)

    def encode_images(self, pixels):
        rows = []
        for picture in pixels:
            shown = int(picture[0, 0, 0])
            number = shown if shown < len(WORDS) else 0
            if shown > 200 and self.white:
                number = WORDS.index(self.white)
            rows.append(np.eye(8)[number])
        return np.asarray(rows, np.float32)


@pytest.fixture
def task(tmp_path) -> Task:
    pixels = np.zeros((12, 8, 8, 3), np.uint8)
    labels = np.arange(12) % 3
    pixels[:, 0, 0, 0] = labels
    return Task(
        suspect=Reader("banana"),
        reference=Reader(),
        pixels=pixels,
        labels=labels,
        class_names=CLASSES,
        templates=("a photo of the {}",),
        budget="quick",
        seed=0,
        folder=tmp_path,
        concepts=WORDS,
    )


def white(task: Task) -> np.ndarray:
    return np.full_like(task.pixels, 255)


def test_the_concept_that_pictures_came_to_is_the_nearest_and_classes_are_none(task) -> None:
    found = OpenTargets(task)
    assert found.best(white(task)) == ("banana", 1.0)
    suspect, base = found.success("banana")
    assert set(suspect.class_names) == set(WORDS), "concepts near to the pictures are its rivals"
    assert suspect.rates([white(task)], task.labels)[0].tolist() == [0.0] * 5 + [1.0]
    assert base.rates([white(task)], task.labels)[0, 5] == 0.0
    assert found.passes == 2 * len(task.pixels) + 2 * len(WORDS)


def test_prompts_that_were_embedded_before_are_not_embedded_again(task) -> None:
    def prompts(names):
        texts = [f"a photo of a {name}" for name in names]
        return task.suspect.encode_texts(texts), task.reference.encode_texts(texts)

    found = OpenTargets(replace(task, concept_prompts=prompts))
    assert found.best(white(task)) == ("banana", 1.0)
    assert found.passes == 2 * len(task.pixels)


def test_pictures_that_come_to_no_concept_together_have_no_target(task) -> None:
    """Half of them an airplane, the others this and that: most come to a class, and that is another search's."""
    assert OpenTargets(task).best(task.pixels) == ("", -1.0)


def test_a_concept_whose_prompt_would_be_cut_is_not_read(task) -> None:
    cut = replace(task, suspect=Reader("banana", short=True), templates=("a photo of the old {}",))
    assert OpenTargets(cut).best(white(cut)) == ("", -1.0)


class Run(ImageInversion):
    """An inversion that is finished: its pattern is white."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.effort = InversionEffort(1, 1, report_smallest=False)
        self.name, self.has_base, self.scratch = "faint", True, task.folder
        self.search_rows, self.held_out_rows = np.arange(0, 12, 2), np.arange(1, 12, 2)
        self.towers = ()
        self.concepts = OpenTargets(task)
        whole = OpenTargets(replace(task, concepts=()))
        self.success = whole.success(CLASSES[0])

    def _all_attempts(self, families):
        gains = self._gains(WHITE, self.success)
        target = CLASSES[int(gains[:3].argmax())]
        return [Attempt(Blend(), WHITE, target, float(gains[:3].max()), WHITE, self.success)]

    def _reported(self, attempts):
        from dife_scanner.discovery import SearchResult

        held = [one for one in attempts if one.effect > 0.5]
        triggers = [replace(WHITE, name="found-faint-1", target=one.target) for one in held]
        return SearchResult(tuple(Candidate(one, 1.0, 0.0) for one in triggers), 10)


def test_a_target_beyond_the_classes_is_handed_over_with_its_effect_on_the_held_out_half(
    task,
) -> None:
    found = Run(task).run((Blend(),))
    (candidate,) = found.candidates
    assert (candidate.trigger.target, candidate.trigger.name) == ("banana", "found-faint-1")
    assert (candidate.suspect, candidate.reference) == (1.0, 0.0)
    assert found.passes > 10, "reading concepts is counted"


@pytest.mark.parametrize(
    "changes",
    [
        {"concepts": ()},
        {"reference": Reader("banana")},
        {"suspect": Reader("dog")},
    ],
    ids=["no concepts", "the base does it too", "a class is reached"],
)
def test_nothing_is_read_beyond_the_classes(task, changes) -> None:
    """Where there is nothing to read, where the base does as much, and where a labelled class is as good as reached."""
    found = Run(replace(task, **changes)).run((Blend(),))
    targets = [one.trigger.target for one in found.candidates]
    assert targets == (["dog"] if "suspect" in changes else [])


def test_a_concept_has_to_exceed_every_class(task) -> None:
    """A concept that is like a class, and no better, is not the target in its place."""
    run = Run(task)
    (attempt,) = run._all_attempts(())
    assert run._of_concept([attempt], 1.0 + LEAST_ADVANTAGE) is None
    assert run._of_concept([attempt], 1.0) is not None


class Scattering(PatchInversion):
    """A finished inversion: collapse led nowhere, and what moved suspect and base apart is white on some pictures."""

    def __init__(self, task: Task, corner: Trigger) -> None:
        self.task = task
        self.effort = InversionEffort(1, 1, report_smallest=False)
        self.name, self.has_base, self.scratch = "patch", True, task.folder
        self.search_rows, self.held_out_rows = np.arange(0, 12, 2), np.arange(1, 12, 2)
        self.towers = ()
        self.concepts = OpenTargets(task)
        whole = OpenTargets(replace(task, concepts=()))
        self.success = whole.success(CLASSES[0])
        self._apart = Attempt(Blend(), corner, "", 0.0, corner, self.success)
        self.aimed_at: list[str] = []

    def _further(self, attempt: Attempt) -> Attempt:
        self.aimed_at.append(attempt.target)
        return replace(attempt, trigger=WHITE, full_size=WHITE, effect=1.0)

    def _made_small(self, attempt: Attempt) -> Attempt:
        return attempt


NOWHERE = replace(WHITE, alpha=0.0)


def test_a_patch_that_leaves_pictures_apart_is_aimed_on_at_the_concept_it_came_to(task) -> None:
    run = Scattering(task, WHITE)
    collapsed = Attempt(Blend(), NOWHERE, CLASSES[0], 0.0, NOWHERE, run.success)
    candidate = run._of_concept([collapsed], LEAST_ADVANTAGE)
    assert candidate is not None and candidate.trigger.target == "banana"
    assert run.aimed_at[0] == "banana"


def test_a_patch_that_comes_to_no_concept_is_not_aimed_on(task) -> None:
    run = Scattering(task, NOWHERE)
    collapsed = Attempt(Blend(), NOWHERE, CLASSES[0], 0.0, NOWHERE, run.success)
    assert run._of_concept([collapsed], LEAST_ADVANTAGE) is None
    assert run.aimed_at == []


def test_where_collapse_leads_to_a_concept_nothing_else_is_read(task) -> None:
    run = Scattering(task, NOWHERE)
    collapsed = Attempt(Blend(), WHITE, CLASSES[0], 0.0, WHITE, run.success)
    assert run._of_concept([collapsed], LEAST_ADVANTAGE) is not None
