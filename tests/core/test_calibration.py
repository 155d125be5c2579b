"""Calibration says what was counted, exactly, and never less than it may."""

import math
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from dife_scanner.core.calibration import (
    ANOMALOUS,
    FEWEST,
    STALE_DAYS,
    Benign,
    DigestedPack,
    Pack,
    Searched,
    auroc,
    auroc_interval,
    benjamini_hochberg,
    calibrate,
    clopper_pearson,
    p_value,
    upper_bound,
)
from dife_scanner.records import Stratum

HERE = Searched("i", "t", "ViT", "quick", "discovery-1", ("patch", "texts"), "probes")
DAY = date(2026, 11, 23)


def pack(*scores, searched=HERE, name="vit-quick", alarms=0, **more):
    models = tuple(Benign("kind", score) for score in scores)
    return Pack(name, "vit", searched, "0", "2026-11-23", models, len(models), alarms, **more)


def kept(pack):
    return DigestedPack(pack, f"sha of {pack.name}")


def test_a_p_value_counts_the_benign_models_at_least_as_high_and_never_falls_below_its_floor():
    some = pack(0.0, 0.1, 0.1, 0.4)
    assert p_value(0.1, some) == (1 + 3) / 5
    assert p_value(0.11, some) == (1 + 1) / 5
    assert p_value(1.0, some) == 1 / 5
    assert p_value(0.0, some) == 1.0
    assert p_value(1.0, pack()) == 1.0


def test_equal_scores_stay_equal_however_many_decimals_were_kept():
    assert p_value(1 / 3, pack(round(1 / 3, 4))) == p_value(round(1 / 3, 4), pack(1 / 3)) == 1.0


def test_p_values_of_models_like_the_packs_are_uniform_or_larger():
    rng = np.random.default_rng(0)
    values = [p_value(float(rng.random()), pack(*rng.random(19))) for _ in range(4000)]
    for level in (0.05, 0.1, 0.25, 0.5):
        assert np.mean(np.array(values) <= level) == pytest.approx(level, abs=0.025)


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (10, 10), (1, 99), (0, 299)])
def test_clopper_pearson_is_the_exact_binomial_interval(hits, n):
    from scipy import stats  # here, as every process that runs tests reads this file

    ours, theirs = clopper_pearson(hits, n), stats.binomtest(hits, n).proportion_ci(method="exact")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_no_alarm_bounds_the_rate_as_the_rule_of_three_says():
    assert upper_bound(0, 99) == pytest.approx(0.0298, abs=2e-4)
    assert upper_bound(0, 299) == pytest.approx(0.00997, abs=1e-4)
    assert upper_bound(0, 0) == 1.0
    with pytest.raises(ValueError, match="5 of 3"):
        clopper_pearson(5, 3)


def test_benjamini_hochberg_agrees_with_scipy():
    from scipy import stats

    values = np.random.default_rng(1).random(30) ** 2
    assert benjamini_hochberg(list(values)) == pytest.approx(
        list(stats.false_discovery_control(values))
    )
    assert benjamini_hochberg([]) == []


def test_auroc_counts_pairs_and_ties_half():
    assert auroc([1.0, 1.0], [0.0, 0.5]) == 1.0
    assert auroc([0.5], [0.5]) == 0.5
    assert auroc([0.2, 0.9], [0.5, 0.2]) == (0 + 0.5 + 1 + 1) / 4
    with pytest.raises(ValueError, match="both sides"):
        auroc([], [0.1])


def test_a_cluster_is_drawn_whole():
    rng = np.random.default_rng(0)
    alone = auroc_interval([0.9, 0.1], [0.5, 0.5], (("a", "b"), ("k", "k")), rng)
    assert (alone.low, alone.high) == (0.0, 1.0)
    assert "2 kinds and 2 models" in alone.method
    sure = auroc_interval([0.9, 0.8], [0.1, 0.0], (("a", "a"), ("k", "l")), rng)
    assert (sure.low, sure.high) == (1.0, 1.0)


# --- which pack speaks -----------------------------------------------------------------------------------------


def test_the_largest_pack_of_the_own_stratum_speaks_whatever_the_score():
    small, large = pack(*[0.9] * 20, name="small"), pack(*[0.1] * 30, name="large", alarms=1)
    for score in (0.0, 0.5, 1.0):
        said = calibrate(score, HERE, [kept(small), kept(large)], DAY)
        assert (said.stratum, said.pack, said.digest, said.n) == (
            Stratum.OWN,
            "large",
            "sha of large",
            30,
        )
        assert said.p_value == p_value(score, large)
    assert said.p_value == 1 / 31 and said.alarm_bound == upper_bound(1, 30)
    assert said.reason == ""


@pytest.mark.parametrize(
    ("searched", "stratum", "words"),
    [
        (replace(HERE, image_tower="other"), Stratum.NEIGHBOUR, "is of another base, vit"),
        (
            replace(HERE, discovery="discovery-0"),
            Stratum.NONE,
            "made by discovery-0, this is discovery-1",
        ),
        (
            replace(HERE, detectors=("texts",)),
            Stratum.NONE,
            "searched by texts, here it was patch, texts",
        ),
        (
            replace(HERE, budget="deep"),
            Stratum.NONE,
            "for this base at this budget (there is one at deep)",
        ),
        (
            replace(HERE, architecture="RN", text_tower="x"),
            Stratum.NONE,
            "no calibration pack for this base",
        ),
        (
            replace(HERE, pictures="own"),
            Stratum.NONE,
            "no calibration pack for this base at this budget",
        ),
    ],
)
def test_any_other_stratum_gives_no_rate_and_says_why(searched, stratum, words):
    said = calibrate(0.9, HERE, [kept(pack(*[0.1] * 99, searched=searched))], DAY)
    assert (said.stratum, said.p_value, said.alarm_bound) == (stratum, None, None)
    assert words in said.reason
    assert calibrate(0.9, HERE, [kept(pack())], DAY).stratum is Stratum.NONE, (
        "an empty pack says nothing"
    )


def test_what_limits_a_pack_is_said():
    assert math.isclose(1 / (FEWEST + 1), ANOMALOUS), (
        "one model fewer and no p-value reaches the cut"
    )
    few = calibrate(1.0, HERE, [kept(pack(*[0.0] * (FEWEST - 1)))], DAY)
    assert (
        few.p_value > ANOMALOUS
        and "a pack of 18 can never give a p-value of 0.05: that takes 19" in few.reason
    )
    enough = pack(*[0.0] * FEWEST)
    assert calibrate(1.0, HERE, [kept(enough)], DAY + timedelta(STALE_DAYS)).reason == ""
    assert (
        "181 days old"
        in calibrate(1.0, HERE, [kept(enough)], DAY + timedelta(STALE_DAYS + 1)).reason
    )
    assert (
        "presumed to be benign"
        in calibrate(1.0, HERE, [kept(replace(enough, presumed=True))], DAY).reason
    )
