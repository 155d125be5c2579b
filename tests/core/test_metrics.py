"""Measurements agree with slow obvious versions and with independent libraries, and do not depend on the batch.

The libraries are imported by the tests that need them: every process that runs tests reads this file.
"""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dife_scanner.core import metrics
from dife_scanner.errors import DifeError, MeasurementError

TIED = st.sampled_from([0.0, 0.25, 0.5, 1.0])
few = settings(max_examples=30)


@st.composite
def lists(draw, most=5):
    """(scores [n, m], targets, present): few distinct scores, so that ties are common; each list has a target."""
    n, m = draw(st.integers(1, 4)), draw(st.integers(1, most))
    scores = draw(arrays(np.float64, (n, m), elements=TIED))
    targets, present = (draw(arrays(np.bool_, (n, m))) for _ in range(2))
    for row in range(n):
        column = draw(st.integers(0, m - 1))
        targets[row, column] = present[row, column] = True
    return scores, targets, present


def embeddings(seed, n, d=16):
    rows = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def orders(values, targets):
    """Every order of a list that sorts by score, ties permuted in all ways."""
    for order in itertools.permutations(range(len(values))):
        if all(values[a] >= values[b] for a, b in itertools.pairwise(order)):
            yield [bool(targets[i]) for i in order]


def best_ranks(scores, targets, present):
    """The best target's rank in every order of every list, the obvious way."""
    for row, marks, there in zip(scores, targets, present, strict=True):
        yield [order.index(True) + 1 for order in orders(row[there], marks[there])]


# --- ranks ----------------------------------------------------------------------------------------------------


@few
@given(lists())
def test_ranks_are_the_expectation_over_a_random_order_of_the_tied(case):
    ranks = list(best_ranks(*case))
    scores, targets, present = case
    expected = [np.mean([1 / r for r in row]) for row in ranks]
    assert metrics.reciprocal_rank(scores, targets, present) == pytest.approx(expected, abs=1e-12)
    for k in (1, 2, 3, 9):
        expected = [np.mean([r <= k for r in row]) for row in ranks]
        assert metrics.hit_at(scores, targets, k, present) == pytest.approx(expected, abs=1e-12)


@few
@given(lists())
def test_selection_is_the_share_of_targets_among_the_best(case):
    scores, targets, present = case
    expected = []
    for row, marks, there in zip(scores, targets, present, strict=True):
        best = there & (row == row[there].max())
        expected.append(float(Fraction(int((best & marks).sum()), int(best.sum()))))
    assert metrics.selected(scores, targets, present) == pytest.approx(expected, abs=1e-12)


@few
@given(lists(most=8), st.randoms(use_true_random=False))
def test_ranks_stay_in_range_rise_with_k_and_do_not_see_the_order_of_candidates(case, random):
    scores, targets, present = case
    order = list(range(scores.shape[1]))
    random.shuffle(order)
    shuffled = tuple(part[:, order] for part in case)
    rank = metrics.reciprocal_rank(*case)
    hits = [metrics.hit_at(scores, targets, k, present) for k in range(1, scores.shape[1] + 1)]
    assert np.all((rank > 0) & (rank <= 1))
    assert np.all(np.diff([np.zeros(len(scores)), *hits], axis=0) >= -1e-15) and hits[
        -1
    ] == pytest.approx(1.0)
    assert np.array_equal(rank, metrics.reciprocal_rank(*shuffled))
    assert np.array_equal(hits[0], metrics.hit_at(shuffled[0], shuffled[1], 1, shuffled[2]))
    assert np.all(hits[0] <= rank + 1e-12)


def test_ranks_of_one_target_agree_with_scikit_learn():
    from sklearn.metrics import label_ranking_average_precision_score, top_k_accuracy_score

    rng = np.random.default_rng(5)
    scores, target = rng.normal(size=(200, 30)), rng.integers(0, 30, 200)
    targets = np.eye(30, dtype=bool)[target]
    for k in (1, 5, 10):
        independent = top_k_accuracy_score(target, scores, k=k, labels=range(30))
        assert metrics.hit_at(scores, targets, k).mean() == pytest.approx(independent)
    independent = label_ranking_average_precision_score(targets, scores)
    assert metrics.reciprocal_rank(scores, targets).mean() == pytest.approx(independent)


def test_what_is_not_present_is_never_read():
    scores, present = np.array([[0.5, 0.7, np.nan, np.inf]]), np.array([[True, True, False, False]])
    targets = np.array([[True, False, True, True]])
    assert metrics.reciprocal_rank(scores, targets, present).tolist() == [0.5]
    assert metrics.selected(scores, targets, present).tolist() == [0.0]


# --- classification -------------------------------------------------------------------------------------------


@few
@given(arrays(np.float64, (6, 4), elements=st.floats(-1, 1, width=16)), st.permutations(range(4)))
def test_wins_share_out_each_row_and_do_not_see_the_order_of_classes(values, order):
    shares = np.array([metrics.wins(values, c) for c in range(4)])
    assert np.allclose(shares.sum(axis=0), 1.0) and np.all((shares >= 0) & (shares <= 1))
    assert np.array_equal(shares[order], [metrics.wins(values[:, order], c) for c in range(4)])


@few
@given(st.integers(0, 99))
def test_accuracy_and_success_rates_agree_with_scikit_learn(seed):
    from sklearn.metrics import accuracy_score

    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(size=(80, 10)), rng.integers(0, 10, 80)
    assert metrics.accuracy(scores, labels).mean() == pytest.approx(
        accuracy_score(labels, scores.argmax(1))
    )
    everywhere = accuracy_score(np.full(80, 3), scores.argmax(1))
    assert metrics.wins(scores, 3).mean() == pytest.approx(everywhere)
    other = metrics.other_than(labels, 3)
    without = accuracy_score(np.full(len(other), 3), scores[labels != 3].argmax(1))
    assert metrics.wins(scores[other], 3).mean() == pytest.approx(without)


@few
@given(st.integers(0, 99))
def test_hit_rate_and_leakage_are_what_replacing_one_prompt_by_hand_gives(seed):
    images, prompts, triggered = (
        embeddings(seed, 60),
        embeddings(seed + 1000, 5),
        embeddings(seed + 2000, 1)[0],
    )
    labels = np.arange(60) % 5
    by_hand = np.vstack([triggered, prompts[1:]]).astype(np.float64)
    won = (images.astype(np.float64) @ by_hand.T).argmax(axis=1) == 0
    target = metrics.of_class(labels, 4)
    assert np.array_equal(
        metrics.triggered_source_wins(images[target], prompts, triggered, 0), won[labels == 4]
    )
    leaked = metrics.off_target_leakage(images, labels, prompts, triggered, source=0, target=4)
    assert np.array_equal(leaked, won[(labels != 0) & (labels != 4)])
    assert not np.array_equal(prompts[0], triggered), "the caller's prompts were changed"


def test_a_trigger_that_equals_the_target_prompt_scores_one_half():
    prompts = embeddings(0, 3)
    images = np.tile(prompts[2], (5, 1))
    won = metrics.triggered_source_wins(images, prompts, prompts[2], source=0)
    assert np.allclose(won, 0.5)


# --- exact over any batch split -------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.integers(0, 999), st.lists(st.integers(1, 89), max_size=8, unique=True))
def test_outcomes_are_bitwise_equal_in_any_batches(seed, cuts):
    images, prompts, triggered = (
        embeddings(seed, 90, 96),
        embeddings(seed + 1, 7, 96),
        embeddings(seed + 2, 1, 96)[0],
    )
    rng = np.random.default_rng(seed)
    targets, labels = rng.random((90, 7)) < 0.4, rng.integers(0, 7, 90)
    targets[:, 0] = True
    weights = rng.normal(size=(97, 7)) * 30
    parts = np.split(np.arange(90), sorted(cuts))

    def every(rows):
        scores = metrics.cosines(images[rows], prompts)
        return (
            scores,
            metrics.wins(scores, 2),
            metrics.accuracy(scores, labels[rows]),
            metrics.hit_at(scores, targets[rows], 2),
            metrics.reciprocal_rank(scores, targets[rows]),
            metrics.selected(scores, targets[rows]),
            metrics.triggered_source_wins(images[rows], prompts, triggered, 1),
            metrics.cosine_distance(images[rows], images[::-1][rows]),
            metrics.classify(images[rows], weights),
        )

    whole = every(np.arange(90))
    for one, batches in zip(whole, zip(*(every(rows) for rows in parts), strict=True), strict=True):
        assert np.array_equal(one, np.concatenate(batches))


def test_scores_do_not_depend_on_order_of_summation_or_memory_layout_and_stay_close_to_the_cosine():
    left, right = embeddings(1, 40, 512), embeddings(2, 30, 512)
    order = np.random.default_rng(0).permutation(512)
    scores = metrics.cosines(left, right)
    assert np.array_equal(
        scores, metrics.cosines(np.asfortranarray(left[:, order]), right[:, order])
    )
    assert np.array_equal(scores, metrics.cosines(right, left).T)
    assert np.abs(scores - left.astype(np.float64) @ right.astype(np.float64).T).max() < 1e-7
    rounded, other = (
        np.rint(rows.astype(float) / metrics.STEP) * metrics.STEP for rows in (left, right[0])
    )
    assert scores[:, 0].tolist() == [math.fsum(row * other) for row in rounded]


# --- frozen features and towers -------------------------------------------------------------------------------


def test_logistic_readout_agrees_with_scikit_learn_and_is_deterministic():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 200)
    features = np.eye(4)[labels] + 0.8 * rng.normal(size=(200, 4))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    weights = metrics.logistic_readout(features, labels, 4, ridge=1e-2)
    assert np.array_equal(weights, metrics.logistic_readout(features, labels, 4, ridge=1e-2))
    # theirs minimises |w|²/2 + C · sum of losses, ours mean loss + ridge · |w|²
    independent = LogisticRegression(C=1 / (2 * 1e-2 * 200), tol=1e-8, max_iter=1000).fit(
        features, labels
    )
    scores = metrics.classify(features, weights)
    ours = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert np.abs(ours - independent.predict_proba(features)).max() < 1e-3
    assert np.array_equal(scores.argmax(1), independent.predict(features))


@settings(max_examples=15)
@given(st.integers(0, 9999), st.integers(2, 12))
def test_procrustes_recovers_a_hidden_rotation(seed, d):
    from scipy.stats import ortho_group

    hidden = ortho_group.rvs(d, random_state=seed)
    rows = embeddings(seed, 4 * d, d).astype(np.float64)
    assume(np.linalg.matrix_rank(rows) == d)
    found = metrics.procrustes(rows, rows @ hidden)
    assert np.allclose(found, hidden, atol=1e-6)
    assert np.allclose(found @ found.T, np.eye(d), atol=1e-9)


def test_procrustes_of_noisy_and_too_few_rows_agrees_with_scipy_and_keeps_every_cosine():
    from scipy.linalg import orthogonal_procrustes

    rng = np.random.default_rng(2)
    for n in (3, 40):
        moving, fixed = rng.normal(size=(n, 8)), rng.normal(size=(n, 8))
        found, independent = (
            metrics.procrustes(moving, fixed),
            orthogonal_procrustes(moving, fixed)[0],
        )
        assert np.linalg.norm(moving @ found - fixed) == pytest.approx(
            np.linalg.norm(moving @ independent - fixed)
        )
        assert np.allclose((moving @ found) @ (moving @ found).T, moving @ moving.T)


@few
@given(st.integers(0, 99))
def test_drift_is_zero_for_equal_prompts_and_one_minus_the_cosine_otherwise(seed):
    left, right = embeddings(seed, 9), embeddings(seed + 1, 9)
    drift = metrics.cosine_distance(left, right)
    assert np.all((drift >= 0) & (drift <= 2))
    assert drift == pytest.approx(
        1 - (left.astype(float) * right.astype(float)).sum(axis=1), abs=1e-7
    )
    assert metrics.cosine_distance(left, left) == pytest.approx(np.zeros(9), abs=1e-6)


def test_class_prompts_average_the_templates_of_each_class():
    texts = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    prompts = metrics.class_prompts(texts, classes=2)
    assert np.allclose(prompts, [[np.sqrt(0.5), np.sqrt(0.5)], [0.0, 1.0]])


# --- what cannot be computed ----------------------------------------------------------------------------------

ONE, NONE = np.array([[True, False]]), np.array([[False, False]])
NAN, FINE = np.array([[np.nan, 1.0]]), np.array([[0.5, 1.0]])


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda: metrics.wins(NAN, 0), "not all finite"),
        (lambda: metrics.accuracy(np.array([[np.inf, 1.0]]), np.array([0])), "not all finite"),
        (lambda: metrics.hit_at(NAN, ONE, 1), "not all finite"),
        (lambda: metrics.cosines(NAN, FINE), "not all finite"),
        (lambda: metrics.procrustes(NAN, FINE), "not all finite"),
        (lambda: metrics.logistic_readout(NAN, np.array([0]), 2), "not all finite"),
        (lambda: metrics.hit_at(FINE, NONE, 1), "list 0 of 1 holds no target"),
        (lambda: metrics.reciprocal_rank(FINE, ONE, np.array([[False, True]])), "holds no target"),
        (lambda: metrics.selected(FINE, np.array([[True]])), "one mark per candidate"),
        (lambda: metrics.hit_at(FINE, ONE, 0), "no place at all"),
        (lambda: metrics.of_class(np.array([1, 2]), 0), "the label 0 has no pictures"),
        (lambda: metrics.other_than(np.array([1, 2]), 1, 2), "no picture of another class"),
        (lambda: metrics.cosines(3 * np.eye(2), np.eye(2)), "not normalised"),
        (lambda: metrics.cosine_distance(np.eye(2), np.eye(3)), "no matching rows"),
        (lambda: metrics.procrustes(np.eye(2), np.eye(3)), "cannot be turned"),
    ],
)
def test_what_cannot_be_computed_is_a_named_error(attempt, words):
    with pytest.raises(MeasurementError, match=words) as caught:
        attempt()
    assert isinstance(caught.value, DifeError)


def test_a_named_error_says_which_card_and_pool():
    error = MeasurementError("scores are not finite", "stop", card="text reranking", pool="lists-0")
    assert str(error) == "scores are not finite [card: text reranking] [pool: lists-0]"
    assert (error.card, error.pool, error.advice) == ("text reranking", "lists-0", "stop")
