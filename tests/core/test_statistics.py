"""Intervals and tests, against scipy and against their own promises."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dife_scanner.core import statistics
from dife_scanner.records import EntryType, Interval


@given(st.integers(1, 60), st.data())
def test_wilson_agrees_with_scipy(units, data):
    from scipy import stats  # here, as every process that runs tests reads this file

    hits = data.draw(st.integers(0, units))
    ours = statistics.wilson(hits / units, units)
    theirs = stats.binomtest(hits, units).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(st.integers(1, 400), st.floats(0, 1))
@example(units=6, share=1.0)
def test_a_share_lies_in_its_own_interval_to_the_last_bit(units, share):
    for value in (share, 0.0, 1.0):
        interval = statistics.wilson(value, units)
        assert 0 <= interval.low <= value <= interval.high <= 1


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1)), st.integers(1, 9))
def test_a_mean_lies_in_its_own_interval_to_the_last_bit(outcomes, drawings):
    found = statistics.measure(outcomes, [f"d{i % drawings}" for i in range(len(outcomes))])
    assert 0 <= found.interval.low <= found.value <= found.interval.high <= 1


def test_sign_flip_agrees_with_scipys_exact_permutation_test():
    from scipy import stats

    rng = np.random.default_rng(1)
    attack, reference = rng.random(9), rng.random(9)
    names = [f"d{i}" for i in range(9)]
    theirs = stats.permutation_test(
        (attack, reference),
        lambda a, b: np.sum(a - b),
        permutation_type="samples",
        alternative="greater",
    )
    assert statistics.sign_flip_p(attack, reference, names, rng) == pytest.approx(theirs.pvalue)


def test_twelve_drawings_all_won_survive_holm_over_25_signatures_and_eight_do_not():
    rng = np.random.default_rng(0)

    def p(count):
        names = [f"d{i}" for i in range(count)]
        return statistics.sign_flip_p(np.ones(count), np.zeros(count), names, rng)

    assert statistics.holm([p(12)] + [1.0] * 24)[0] < 0.05 < statistics.holm([p(8)] + [1.0] * 24)[0]


def test_two_views_of_one_drawing_are_one_observation():
    rng = np.random.default_rng(0)
    once = statistics.sign_flip_p(np.ones(6), np.zeros(6), list("abcdef"), rng)
    twice = statistics.sign_flip_p(np.ones(12), np.zeros(12), list("abcdef") * 2, rng)
    assert once == twice == 2**-6
    assert statistics.measure(np.ones(12), list("abcdef") * 2).interval == statistics.wilson(1.0, 6)


def test_a_sampled_p_value_is_that_of_all_samples_drawn_at_once():
    differences = np.random.default_rng(2).normal(0.1, 0.4, 40).round(2)
    names = [f"d{i:02}" for i in range(40)]
    found = statistics.sign_flip_p(differences, np.zeros(40), names, np.random.default_rng(5))
    shape = statistics.SIGN_SAMPLES, 40
    signs = np.random.default_rng(5).choice(np.array([-1.0, 1.0]), size=shape)
    hits = np.sum(signs @ differences >= differences.sum() - statistics.ROUNDING)
    assert found == (1 + hits) / (1 + statistics.SIGN_SAMPLES)


def test_sampled_p_values_are_never_zero():
    names = [f"d{i}" for i in range(40)]
    p = statistics.sign_flip_p(np.ones(40), np.zeros(40), names, np.random.default_rng(0))
    assert 0 < p <= 2e-5


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(values):
    adjusted = statistics.holm(values)
    assert all(a >= v and a <= 1 for a, v in zip(adjusted, values, strict=True))
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)


def test_bootstrap_interval_of_a_constant_difference_is_that_difference():
    names = [f"d{i}" for i in range(10)]
    interval = statistics.paired_interval(
        np.ones(10), np.full(10, 0.25), names, np.random.default_rng(0)
    )
    assert (interval.low, interval.high) == pytest.approx((0.75, 0.75))


outcomes = arrays(np.float64, 12, elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]))


@settings(max_examples=30)
@given(outcomes, outcomes, outcomes)
def test_the_parts_of_a_difference_add_up_and_change_sign_with_their_order(
    triggered, clean, reference
):
    names = [f"d{i // 2}" for i in range(12)]

    def part(new, old):
        return statistics.change(new, old, names, np.random.default_rng(4))

    assert part(triggered, clean).value + part(clean, reference).value == pytest.approx(
        part(triggered, reference).value, abs=1e-12
    )
    forth, back = part(triggered, clean), part(clean, triggered)
    assert forth.value == -back.value
    assert (forth.interval.low, forth.interval.high) == pytest.approx(
        (-back.interval.high, -back.interval.low)
    )
    assert -1 <= forth.interval.low <= forth.interval.high <= 1
    assert part(clean, clean).value == 0.0


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    names = [f"d{i}" for i in range(20)]
    hits = 0
    for _ in range(200):
        won = (rng.random(20) < 0.7).astype(float)
        interval = statistics.paired_interval(won, np.zeros(20), names, rng)
        hits += interval.low <= 0.7 <= interval.high
    assert 0.85 <= hits / 200 <= 1.0


@pytest.mark.parametrize(
    ("low", "high", "drawings", "expected"),
    [
        (0.25, 0.9, 12, EntryType.EXPOSED),
        (0.24, 0.9, 12, EntryType.WEAK),
        (-0.5, -0.05, 12, EntryType.NEGATIVE),
        (-0.04, 0.1, 12, EntryType.WEAK),
        (-0.06, 0.3, 12, EntryType.N_TOO_SMALL),
        (0.9, 1.0, 7, EntryType.N_TOO_SMALL),
    ],
)
def test_entry_types_follow_the_contract(low, high, drawings, expected):
    assert statistics.entry_type(Interval(low, high, ""), drawings) is expected
