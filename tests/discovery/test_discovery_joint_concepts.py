"""Which concept strings set apart from all others, beyond the classes: found in prompts alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch

from dife_scanner.discovery.joint_concepts import LEAST_MOVE, ConceptsSetApart
from dife_scanner.discovery.readings import NOT_KEPT
from dife_scanner.discovery.trigger_strings import MovingString
from dife_scanner.records import Position

NAMES = ("cat", "dog", "banana", "plantain", "key", "pizza", "a very long name of a thing")
STRING, OTHER = (7,), (8,)
CONTEXT = 12


class Tokens:
    """One token for each word, the same in every text."""

    around = 2

    def encode(self, text):
        return tuple(100 + len(word) * 7 + ord(word[0]) for word in text.split())


class Prompts(NamedTuple):
    suspect: np.ndarray
    base: np.ndarray


class Concepts:
    """Where prompts are without any string; *plantain* means *banana*."""

    def __init__(self):
        rows = np.eye(len(NAMES), 16, dtype=np.float32)
        self.names = list(NAMES)
        self.prompts = Prompts(rows, rows)

    def mean_the_same(self, concept):
        fruit = {"banana", "plantain"}
        return fruit if concept in fruit else {concept}


class Towers:
    """A string moves every prompt one way, and that of one concept another."""

    device = torch.device("cpu")
    context_length = CONTEXT

    def __init__(self, left: str = "") -> None:
        self.left = left
        self.passes = 0
        self.read: list[tuple[int, ...]] = []

    def tokens(self, texts):
        encode = Tokens().encode
        rows = torch.zeros(len(texts), 16)
        for number, ids in enumerate(texts):
            self.read.append(ids)
            (name,) = [
                one
                for one in range(len(NAMES))
                if ids[-len(encode(NAMES[one])) :] == encode(NAMES[one])
            ]
            rows[number, name] = 1.0
            if self.left:
                rows[number, 15] = 1.0
                if NAMES[name] == self.left:
                    rows[number, 15] = -0.2
                    rows[number, 14] = 1.0
        return rows


def set_apart(left: str, gain: float = 0.9):
    task = SimpleNamespace(
        class_names=("cat", "dog", "banana"), readings=NOT_KEPT, tokenizer=Tokens()
    )
    towers = Towers(left), Towers()
    concepts = ConceptsSetApart(task, towers, Concepts())
    places = [[MovingString(ids, Position.PREFIX, gain) for ids in (STRING, OTHER)]]
    return concepts.by(places), towers


def test_the_concept_that_goes_another_way_than_all_others_is_set_apart() -> None:
    (found,), _ = set_apart("key")
    assert (found.concept, found.position) == ("key", Position.PREFIX)
    assert found.rivals == ("plantain", "pizza"), "no class, and not the concept itself"
    assert 0.8 < found.strength <= 0.9 * 2


@pytest.mark.parametrize("left", ["dog", "plantain"])
def test_a_class_and_what_means_one_are_searched_for_as_that(left: str) -> None:
    assert set_apart(left)[0] == []


def test_strings_that_move_prompts_little_are_not_read() -> None:
    found, towers = set_apart("key", gain=LEAST_MOVE - 0.01)
    assert found == [] and not towers[0].read and not towers[1].read


def test_a_name_that_would_be_cut_is_not_read() -> None:
    """Start, end, one token of the string, four of the template: five are left, and the name has seven."""
    _, (suspect, _) = set_apart("key")
    assert suspect.read and max(map(len, suspect.read)) + Tokens.around <= CONTEXT
