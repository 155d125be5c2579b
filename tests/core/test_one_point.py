"""A point is a class of its own among where clean pictures of each class are."""

from __future__ import annotations

import numpy as np

from dife_scanner.core.one_point import OnePoint

SHARED = np.array([0.0, 0.0, 0.0, 0.0, 3.0])
LABELS = np.arange(30) % 3


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def clean(rng):
    """Pictures of three classes that share most of what they are."""
    rows = np.eye(5)[LABELS] + SHARED + rng.normal(0, 0.05, (30, 5))
    return unit(rows)


def test_pictures_that_come_together_away_from_every_class_are_told_from_clean_ones():
    rng = np.random.default_rng(0)
    moved = unit(np.eye(5)[3] + SHARED + rng.normal(0, 0.05, (30, 5)))
    point = OnePoint.of(clean(rng), LABELS, moved)
    assert point.places.shape == (4, 5)
    assert point.came(moved).tolist() == [1.0] * 30
    assert point.came(clean(rng)).tolist() == [0.0] * 30


def test_pictures_that_keep_their_class_under_a_common_shift_do_not_come_together():
    rng = np.random.default_rng(1)
    shifted = unit(np.eye(5)[LABELS] + 0.3 * np.eye(5)[3] + SHARED)
    point = OnePoint.of(clean(rng), LABELS, shifted)
    assert point.came(shifted).mean() == 0.0


def test_pictures_hidden_whole_come_to_their_point_though_a_class_lies_there():
    hidden = unit(np.repeat(np.eye(5)[:1] + SHARED, 30, axis=0))
    exact = unit(np.eye(5)[LABELS] + SHARED)
    point = OnePoint.of(exact, LABELS, hidden)
    assert point.came(hidden).tolist() == [1.0] * 30
