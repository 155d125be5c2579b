"""Measurements agree with slow obvious versions and with an independent library where one exists."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dife_scanner.core import metrics

scores = arrays(np.float64, st.integers(2, 5), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]))


def _orders(values, targets):
    """Every order of the list that sorts by score, ties permuted in all ways."""
    for order in itertools.permutations(range(len(values))):
        if all(values[a] >= values[b] for a, b in itertools.pairwise(order)):
            yield [targets[i] for i in order]


@settings(deadline=None, max_examples=60)
@given(scores, st.data())
def test_hit_and_reciprocal_rank_are_expectations_over_random_tie_order(values, data):
    targets = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    if not targets.any():
        targets[0] = True
    ranks = [order.index(True) + 1 for order in _orders(values, list(targets))]
    assert metrics.reciprocal_rank(values, targets) == pytest.approx(np.mean([1 / r for r in ranks]))
    for k in (1, 2, 3):
        assert metrics.hit_at(values, targets, k) == pytest.approx(np.mean([r <= k for r in ranks]))


def test_a_list_without_a_target_has_no_rank():
    with pytest.raises(ValueError, match="without a target"):
        metrics.hit_at(np.array([1.0, 2.0]), np.array([False, False]), 1)


@given(arrays(np.float64, (6, 4), elements=st.floats(-1, 1, width=16)))
def test_wins_share_out_each_row(values):
    total = sum(metrics.wins(values, c) for c in range(4))
    assert np.allclose(total, 1.0)


def test_a_trigger_that_equals_the_target_prompt_scores_one_half():
    prompts = np.eye(3)
    images = np.tile(prompts[2], (5, 1))
    won = metrics.triggered_source_wins(images, prompts, prompts[2], source=0)
    assert np.allclose(won, 0.5)


def test_non_finite_scores_are_an_error_not_a_zero():
    with pytest.raises(ValueError, match="finite"):
        metrics.wins(np.array([[np.nan, 1.0]]), 0)


def test_logistic_readout_separates_what_is_separable_and_is_deterministic():
    rng = np.random.default_rng(0)
    centres = np.eye(4)
    labels = rng.integers(0, 4, 200)
    features = centres[labels] + 0.05 * rng.normal(size=(200, 4))
    weights = metrics.logistic_readout(features, labels, 4)
    assert (metrics.classify(features, weights).argmax(1) == labels).mean() == 1.0
    assert np.array_equal(weights, metrics.logistic_readout(features, labels, 4))


def test_class_prompts_average_the_templates_of_each_class():
    texts = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    prompts = metrics.class_prompts(texts, classes=2)
    assert np.allclose(prompts, [[np.sqrt(0.5), np.sqrt(0.5)], [0.0, 1.0]])
