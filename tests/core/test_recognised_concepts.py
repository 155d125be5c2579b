"""Concepts are recognised among all of them, near synonyms apart."""

from __future__ import annotations

import doctest

import numpy as np

from dife_scanner.core import qualification
from dife_scanner.core.qualification import among_all, is_enough
from dife_scanner.records import Recognition


def test_the_example_in_its_docstring_holds() -> None:
    assert doctest.testmod(qualification).failed == 0


def test_a_concept_without_pictures_is_a_rival_and_is_not_reported() -> None:
    scores = np.array([[0.1, 0.9]])
    found = among_all(scores, np.array([0]), ["cup", "jug"], ["ink"], {})
    assert found.classes == {"cup": 0.0}


def test_a_claim_needs_twelve_concepts_and_two_of_the_labelled_classes() -> None:
    known = {f"concept {number}": 0.5 for number in range(10)} | {"cat": 1.0, "dog": 1.0}
    assert is_enough(Recognition(known), ["cat", "dog"])
    assert not is_enough(Recognition(known | {"dog": 0.4}), ["cat", "dog"])
    assert not is_enough(Recognition(dict(list(known.items())[1:])), ["cat", "dog"])
