"""A pattern leads to one point where no concept is: it is handed over without a target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_discovery_open_targets import CLASSES, WORDS, Reader, Run

from dife_scanner.discovery import SearchResult, Task
from dife_scanner.discovery.inversion_attempts import Attempt
from dife_scanner.discovery.open_targets import OpenTargets
from dife_scanner.discovery.pattern_families import Blend
from dife_scanner.discovery.unnamed_targets import UNNAMED, UnnamedTargets
from dife_scanner.records import Trigger, TriggerKind
from dife_scanner.triggers.stamp import stamp

MARK = Trigger("", TriggerKind.PATCH, size=0.25, x=0.75, y=0.75)
HIDES = Trigger("", TriggerKind.PATCH, size=1.0)


class Marked(Reader):
    """Takes a picture with a white corner for `word`, or for what no word is."""

    def __init__(self, word: str = "") -> None:
        super().__init__()
        self.image_tower = f"marked {word}"
        self.row = np.eye(8)[WORDS.index(word) if word else 7]

    def encode_images(self, pixels):
        rows = super().encode_images(pixels)
        rows[pixels[:, 7, 7, 0] > 200] = self.row
        return rows


class Corner(Run):
    """An inversion that is finished: its pattern is a white corner, or white all over."""

    def __init__(self, task: Task, trigger: Trigger = MARK) -> None:
        super().__init__(task)
        self.trigger = trigger

    def _all_attempts(self, families):
        gains = self._gains(self.trigger, self.success)
        best, effect = CLASSES[int(gains[:3].argmax())], float(gains[:3].max())
        return [Attempt(Blend(), self.trigger, best, effect, self.trigger, self.success)]

    def _reported(self, attempts):
        return SearchResult((), 10)


@pytest.fixture
def task(tmp_path) -> Task:
    pixels = np.zeros((12, 8, 8, 3), np.uint8)
    labels = np.arange(12) % 3
    pixels[:, 0, 0, 0] = labels
    return Task(
        suspect=Marked(),
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


def found(task: Task, trigger: Trigger = MARK):
    return Corner(task, trigger).run((Blend(),)).candidates


def test_a_pattern_that_leads_to_no_concept_is_handed_over_without_a_target(task) -> None:
    (candidate,) = found(task)
    assert (candidate.trigger.target, candidate.trigger.name) == (UNNAMED, "found-faint-1")
    assert (candidate.suspect, candidate.reference) == (1.0, 0.0)


@pytest.mark.parametrize("word", ["banana", "dog"])
def test_where_a_concept_or_a_class_is_reached_nothing_else_is_handed_over(task, word) -> None:
    targets = [one.trigger.target for one in found(replace(task, suspect=Marked(word)))]
    assert targets == ([word] if word not in CLASSES else [])


@pytest.mark.parametrize(
    ("changes", "trigger"),
    [({"reference": Marked()}, MARK), ({}, HIDES)],
    ids=["the base does it too", "the picture is hidden whole"],
)
def test_what_the_base_does_too_is_not_handed_over(task, changes, trigger) -> None:
    assert found(replace(task, **changes), trigger) == ()


def test_reading_where_pictures_come_together_costs_their_clean_versions_alone(task) -> None:
    """Under the pattern they were read among all concepts already."""
    read = OpenTargets(task)
    marked = stamp(task.pixels, MARK)
    read.best(marked)
    before = read.passes
    assert UnnamedTargets(task, np.arange(12), read).effect(marked) == 1.0
    assert read.passes == before + 2 * len(task.pixels)


def test_a_class_without_pictures_shifts_no_other(task) -> None:
    """Of four classes the second has none: pictures are still counted as of their own."""
    labels = np.array([0, 2, 3])[task.labels]
    four = replace(task, labels=labels, class_names=("airplane", "owl", "cat", "dog"))
    points = UnnamedTargets(four, np.arange(12), OpenTargets(four))
    suspect, base = points.success(stamp(task.pixels, MARK))
    assert suspect.class_names == ("airplane", "cat", "dog", UNNAMED)
    clean = base.rates([task.pixels], labels)[0]
    assert clean.tolist() == [0.0, 0.0, 0.0, 0.0], (
        "each comes to its own class, which does not count"
    )
