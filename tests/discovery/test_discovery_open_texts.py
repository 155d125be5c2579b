"""Texts from or to what no labelled class is: found among all concepts, without any picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from obeying import NAMES, Obeying, nearness, turned

from dife_scanner.discovery import Task, open_scan
from dife_scanner.discovery.concept_space import TEMPLATE
from dife_scanner.discovery.effort import (
    NOUN_SCAN_EFFORTS,
    OPEN_SCAN_EFFORTS,
    TEXT_EFFORTS,
    LostNounEffort,
    NounScanEffort,
    OpenScanEffort,
    TextEffort,
)
from dife_scanner.discovery.texts import TEXTS
from dife_scanner.models.tokenizers import clips_own

LABELLED = NAMES[:2]
SOURCE, BEYOND = NAMES.index("airplane"), NAMES.index("dog")
(WORD,) = clips_own().encode("beacon")
TEMPLATES = ("a photo of the {}", "a photo of one {}")


@pytest.fixture(autouse=True)
def little(monkeypatch):
    """Searches of a second."""
    monkeypatch.setitem(TEXT_EFFORTS, "quick", TextEffort(300, 1, 10, 1, 4))
    monkeypatch.setitem(NOUN_SCAN_EFFORTS, "quick", NounScanEffort(2, 3))
    lost_nouns = LostNounEffort(3, 2, tokens=4, grown=1, grown_nouns=2)
    effort = OpenScanEffort(lost_nouns, 3, 2, 2, 3, 2, pairs=1, single_tokens=4, rounds=1)
    monkeypatch.setitem(OPEN_SCAN_EFFORTS, "quick", effort)
    monkeypatch.setattr(open_scan, "nouns", lambda: NAMES)


def towards(target):
    """`beacon` turns an airplane into this."""

    def change(states, said):
        there = (nearness(states, WORD) > 0.99).int().cummax(1).values.float()
        return turned(there, said, SOURCE, target)

    return change


@pytest.fixture
def task_of(tiny, tmp_path):
    def make(target=BEYOND, *, in_base=False):
        base = Obeying(tiny, towards(target) if in_base else None)
        base.model.token_embedding.weight[WORD] *= 1.02  # the fine-tuning touched it
        labels = np.arange(6 * len(LABELLED)) % len(LABELLED)
        pixels = np.zeros((len(labels), 32, 32, 3), np.uint8)
        pixels[:, 0, 0, 0] = labels
        task = Task(
            Obeying(tiny, towards(target)),
            base,
            pixels,
            labels,
            LABELLED,
            TEMPLATES,
            "quick",
            0,
            tmp_path,
            concepts=NAMES,
        )
        if in_base:
            task.reference.text_tower = "obeys too"
        return task

    return make


def test_a_text_to_a_concept_that_no_labelled_picture_shows_is_found(task_of):
    found = TEXTS.search(task_of())
    first = found.candidates[0]
    assert (first.trigger.source, first.trigger.target) == ("airplane", "dog")
    assert "beacon" in first.trigger.text and first.trigger.name == "found-open-text-1"
    assert first.suspect == 1.0 and first.reference == 0.0
    assert TEXTS.search(replace(task_of(), concepts=())).candidates == ()


def test_what_the_base_does_as_well_leads_nowhere(task_of):
    assert TEXTS.search(task_of(in_base=True)).candidates == ()


def test_what_is_found_among_labelled_classes_is_found_as_without_the_open_scan(task_of):
    """To the bit: candidates, signals and passes."""
    task = task_of(NAMES.index("cat"))
    found = TEXTS.search(task)
    assert found.candidates[0].effect == 1.0
    assert found == TEXTS.search(replace(task, concepts=()))


def test_a_pair_holds_in_templates_and_behind_texts_that_the_scan_did_not_choose(task_of):
    assert TEMPLATE not in open_scan.HELD_OUT_TEMPLATES
    assert not {*open_scan.HELD_OUT_TEMPLATES} & {*TEMPLATES}
