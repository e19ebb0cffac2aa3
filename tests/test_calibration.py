"""Calibration, recalibration and comparison of fitted means."""

import numpy as np
import pytest
from scipy import special
from sklearn.metrics import brier_score_loss, log_loss, mean_poisson_deviance

from reglm.inference.calibration import (
    double_lift_table,
    elementary_scores,
    group_table,
    loss,
    murphy,
    recalibrated,
)

N = 300
RNG = np.random.default_rng(2)
ETA = RNG.normal(size=N)
P = special.expit(1.5 * ETA)
BINARY = (RNG.random(N) < P).astype(float)
COUNTS = RNG.poisson(np.exp(ETA)).astype(float)
W = RNG.uniform(0.5, 2.0, N)


def test_actual_over_expected():
    table = group_table(COUNTS, np.exp(ETA), W, bins=5)
    np.testing.assert_allclose(table["ratio"], table["observed"] / table["fitted"])
    np.testing.assert_allclose(table["ratio_high"] * table["fitted"], table["high"])
    assert (table["ratio_low"] < table["ratio"]).all()


def test_decomposition_adds_up_and_isotonic_means_are_the_best():
    scores = {"gaussian": (BINARY, P**2), "bernoulli": (BINARY, P**2), "poisson": (COUNTS, np.exp(0.5 * ETA))}
    for family, (y, mean) in scores.items():
        unit = loss(family)
        found = murphy(y, mean, W, unit)
        assert found.score == pytest.approx(found.miscalibration - found.discrimination + found.uncertainty)
        assert found.miscalibration > 0
        assert found.discrimination > 0
        best = recalibrated(y, mean, W)
        again = murphy(y, best, W, unit)
        assert again.miscalibration == pytest.approx(0, abs=1e-12)
        assert again.discrimination == pytest.approx(found.discrimination)
        assert np.all(np.diff(best[np.argsort(mean)]) >= 0)


def test_scores_are_those_of_scikit_learn():
    flat = murphy(BINARY, P, W, loss("gaussian"))
    assert flat.score == pytest.approx(brier_score_loss(BINARY, P, sample_weight=W))
    assert flat.uncertainty == pytest.approx(np.average((BINARY - np.average(BINARY, weights=W)) ** 2, weights=W))
    assert murphy(BINARY, P, W, loss("bernoulli")).score == pytest.approx(2 * log_loss(BINARY, P, sample_weight=W))
    expected = mean_poisson_deviance(COUNTS, np.exp(ETA), sample_weight=W)
    assert murphy(COUNTS, np.exp(ETA), W, loss("poisson")).score == pytest.approx(expected)
    trials = RNG.integers(1, 9, N)
    successes = RNG.binomial(trials, P)
    long = np.concatenate([np.r_[np.ones(s), np.zeros(t - s)] for s, t in zip(successes, trials, strict=True)])
    grouped = murphy(successes / trials, P, trials.astype(float), loss("binomial"))
    single = murphy(long, np.repeat(P, trials), np.ones(len(long)), loss("bernoulli"))
    assert grouped.miscalibration == pytest.approx(single.miscalibration)  # the rest differs by the saturated part
    assert grouped.discrimination == pytest.approx(single.discrimination)


def test_elementary_scores_add_up_to_the_squared_error():
    t = np.linspace(-1e-9, COUNTS.max() + 20, 40_001)
    scores = elementary_scores(COUNTS, np.exp(ETA), W, t)
    # the squared error is 2 times the integral of the elementary scores (Ehm et al. 2016, table 1)
    expected = np.average((COUNTS - np.exp(ETA)) ** 2, weights=W)
    assert 2 * np.trapezoid(scores, t) == pytest.approx(expected, rel=1e-3)


def test_double_lift_by_hand():
    first, second = np.exp(0.5 * ETA), np.exp(ETA)
    table = double_lift_table(COUNTS, first, second, np.ones(N), bins=6)
    for line, part in zip(table.itertuples(), np.array_split(np.argsort(second / first), 6), strict=True):
        assert line.observed == pytest.approx(COUNTS[part].mean())
        assert line.ratio == pytest.approx(second[part].sum() / first[part].sum())
    assert table["ratio"].is_monotonic_increasing


def test_what_has_no_decomposition():
    with pytest.raises(ValueError, match="family='multinomial': its deviance does not follow"):
        loss("multinomial")
    with pytest.raises(ValueError, match="family='negative_binomial': its deviance does not follow"):
        loss("negative_binomial")
    assert loss("negative_binomial", {"log_alpha": np.array(0.1)})(COUNTS, np.exp(ETA)).min() >= 0
    with pytest.raises(ValueError, match="bins=0"):
        double_lift_table(COUNTS, P, P, W, bins=0)
