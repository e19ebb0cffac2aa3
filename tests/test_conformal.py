"""Conformal prediction against ranks written out, and coverage by simulation."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor
from reglm.inference import conformal, conformity, results
from reglm.inference.moments import new_rows

N = 60
RNG = np.random.default_rng(8)
X = pd.DataFrame(RNG.normal(size=(N, 2)), columns=["a", "b"])
NEW = pd.DataFrame(RNG.normal(size=(5, 2)), columns=["a", "b"])
ETA = (0.5 + 0.4 * X["a"] - 0.3 * X["b"]).to_numpy()
REAL = ETA + RNG.standard_exponential(N)
COUNTS = RNG.poisson(np.exp(ETA))
CLASSES = RNG.integers(0, 3, N)
DESIGN = np.column_stack([X, np.ones(N)])
DESIGN_NEW = np.column_stack([NEW, np.ones(5)])


def world(n, rng):
    """Rows of a world that no model here is right about."""
    x = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    mu = np.exp(0.5 * x["a"].to_numpy() ** 2 - 0.5)
    return x, mu, rng


# -- ranks -----------------------------------------------------------------------


@pytest.mark.parametrize(("n", "alpha", "k"), [(9, 0.1, 9), (8, 0.1, 9), (19, 0.05, 19), (9, 0.7, 3), (99, 0.9, 10)])
def test_ranks_survive_rounding(n, alpha, k):
    assert conformal.rank(n, alpha) == k
    scores = RNG.normal(size=(n, 2))
    expected = np.sort(scores, axis=0)[k - 1] if k <= n else np.inf
    np.testing.assert_array_equal(conformal.bound(scores, alpha), np.broadcast_to(expected, 2))


def test_weighted_bounds_are_quantiles_of_the_weighted_scores():
    scores, ratio, new = RNG.normal(size=(30, 1)), RNG.uniform(0, 2, 30), np.array([0.0, 1.0, 50.0])
    found = conformal.weighted_bounds(scores, 0.2, ratio, new)
    for w, q in zip(new, found[:, 0], strict=True):
        p = np.append(ratio, w) / (ratio.sum() + w)
        values = np.append(scores[:, 0], np.inf)
        assert q == min(s for s in values if p[values <= s].sum() >= 0.8)
    assert np.isinf(found[2, 0])
    equal = conformal.weighted_bounds(scores, 0.2, np.ones(30), np.ones(1))
    assert equal[0, 0] == conformal.bound(scores, 0.2)[0]


# -- coverage --------------------------------------------------------------------


def coverage(results, calibration, score, n_cal, draw, reps=150, alpha=0.1):
    """Average coverage over many calibration sets, each with many new rows."""
    rng = np.random.default_rng(1)
    covered = []
    for rep in range(reps):
        x, y = draw(n_cal, rng)
        new, truth = draw(40, rng)
        found = results.conformal(x, y, score=score, seed=rep, **calibration).predict(new, alpha)
        covered.append(found.covers(truth).mean())
    return np.mean(covered), 3 * np.std(covered) / math.sqrt(reps)


@pytest.mark.parametrize("score", conformity.NUMERIC)
def test_split_covers_exactly_for_scores_without_ties(score):
    def draw(n, rng):
        x, mu, _ = world(n, rng)
        return x, mu * rng.standard_exponential(n)

    results = RecursiveGLMRegressor(family="gamma").fit(X, REAL - REAL.min() + 0.1).inference()
    share, noise = coverage(results, {}, score, 18, draw)  # rank 18 of 19
    assert abs(share - 18 / 19) < noise
    assert noise < 0.025


def test_counts_are_covered_at_least():
    def draw(n, rng):
        x, mu, _ = world(n, rng)
        return x, rng.poisson(mu)

    results = RecursiveGLMRegressor(family="poisson").fit(X, COUNTS).inference()
    share, noise = coverage(results, {}, None, 19, draw)
    assert share > 0.9 - noise


@pytest.mark.parametrize("score", conformity.CLASSES)
@pytest.mark.parametrize("family", ["multinomial", "ordinal"])
def test_labels_are_covered_exactly(family, score):
    def draw(n, rng):
        x, mu, _ = world(n, rng)
        return x, np.minimum(rng.poisson(mu), 2)

    results = RecursiveGLMClassifier(family=family).fit(X, CLASSES).inference()
    share, noise = coverage(results, {}, score, 19, draw, reps=100)
    assert abs(share - 18 / 20) < noise


def test_weights_correct_a_change_of_inputs():
    rng = np.random.default_rng(4)
    results = RecursiveGLMRegressor().fit(X, REAL).inference()
    covered, plain = [], []
    for seed in range(100):
        x, new = (pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"]) for n in (80, 30))
        new["a"] += 1.0
        y, truth = ((frame["a"] ** 2 * rng.normal(size=len(frame))).to_numpy() for frame in (x, new))
        ratio = [np.exp(frame["a"].to_numpy()) for frame in (x, new)]  # N(1, 1) over N(0, 1)
        model = results.conformal(x, y, score="absolute", likelihood_ratio=ratio[0], seed=seed)
        found = model.predict(new, 0.2, likelihood_ratio=ratio[1])
        covered.append(found.covers(truth).mean())
        plain.append(results.conformal(x, y, score="absolute").predict(new, 0.2).covers(truth).mean())
    assert np.mean(covered) > 0.79
    assert np.mean(plain) < 0.72
    assert "if the likelihood ratios are right" in found.guarantee


# -- cross-validation ------------------------------------------------------------


def test_jackknife_plus_of_least_squares_is_its_formula():
    n = 25
    model = RecursiveGLMRegressor().fit(X[:n], REAL[:n]).inference()
    found = model.conformal(method="jackknife+", score="absolute")
    left = []
    for i in range(n):
        kept = np.delete(np.arange(n), i)
        beta = np.linalg.lstsq(DESIGN[kept], REAL[kept], rcond=None)[0]
        left.append((DESIGN_NEW @ beta, abs(REAL[i] - DESIGN[i] @ beta)))
    mu, R = (np.array(part) for part in zip(*left, strict=True))
    region = found.predict(NEW, 0.1)
    k = math.ceil(0.9 * 26)
    np.testing.assert_allclose(region.upper, np.sort(mu + R[:, None], axis=0)[k - 1], rtol=1e-9)
    np.testing.assert_allclose(region.lower, np.sort(mu - R[:, None], axis=0)[math.floor(0.1 * 26) - 1], rtol=1e-9)
    assert region.guarantee.startswith("At least 0.8 of new responses")


def test_cross_validated_scores_come_from_fits_that_did_not_see_their_rows():
    model = RecursiveGLMRegressor(family="poisson").fit(X, COUNTS).inference()
    found = model.conformal(method="cv+", n_folds=4, score="pearson")
    assert [len(scores) for scores in found.scores] == [15] * 4
    assert sum(fit.n_rows for fit in found.fits) == 4 * 45
    region = found.predict(NEW, 0.1)
    ends = []
    for fit, scores in zip(found.fits, found.scores, strict=True):
        mu = np.exp(DESIGN_NEW @ fit.theta)
        ends += [(mu - s * np.sqrt(mu), mu + s * np.sqrt(mu)) for s in scores[:, 0]]
    low, high = np.sort(np.array(ends), axis=0).transpose(1, 0, 2)
    np.testing.assert_allclose(region.lower, np.maximum(low[5], 0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(region.upper, high[54], rtol=1e-9)
    loss = min(2 * 0.75 / 16, (1 - 4 / 60) / 5)
    assert f"At least {0.8 - loss:.4g}" in region.guarantee


def test_cross_validated_sets_of_labels():
    model = RecursiveGLMClassifier().fit(X, CLASSES).inference()
    found = model.conformal(method="cv+", n_folds=3, score="lac")
    contains = found.predict(NEW, 0.2).contains
    for i in range(5):
        for c in range(3):
            below = sum(
                (scores[:, 0] < 1 - conformity.probabilities(fit, new_rows(model, NEW))[i, c]).sum()
                for fit, scores in zip(found.fits, found.scores, strict=True)
            )
            assert contains[i, c] == (below < 0.8 * 61)


# -- pieces ----------------------------------------------------------------------


def test_scores_written_out():
    counts = results(RecursiveGLMRegressor(family="poisson").fit(X, COUNTS).fit_)
    fit, rows = counts.fit, new_rows(counts, None)
    mu, y, u = np.exp(DESIGN @ fit.theta), COUNTS, RNG.uniform(size=(N, 1))
    law = stats.poisson(mu)
    expected = {
        "absolute": abs(y - mu),
        "pearson": abs(y - mu) / np.sqrt(mu),
        "distribution": abs(law.cdf(y - 1) + u[:, 0] * law.pmf(y) - 0.5),
    }
    for name, scores in expected.items():
        np.testing.assert_allclose(conformity.NUMERIC[name].scores(fit, rows, u)[:, 0], scores, rtol=1e-8, atol=1e-12)
        lower, upper = conformity.NUMERIC[name].ends(fit, rows, scores[:, None, None] + 1e-9)
        assert np.all((lower[:, 0, 0] <= y) & (y <= upper[:, 0, 0]))


def test_adaptive_sets_written_out():
    model = RecursiveGLMClassifier().fit(X, CLASSES).inference()
    rows, u = new_rows(model, NEW), RNG.uniform(size=(5, 1))
    p, found = conformity.probabilities(model.fit, rows), conformity.CLASSES["aps"](model.fit, rows, u)
    for i in range(5):
        for c in range(3):
            assert found[i, c] == pytest.approx(p[i][p[i] > p[i, c]].sum() + u[i, 0] * p[i, c])


def test_counts_out_of_a_total_stay_within_it():
    trials = RNG.integers(1, 9, N)
    y = RNG.binomial(trials, 0.7)
    model = RecursiveGLMRegressor(family="binomial").fit(X, np.column_stack([y, trials - y])).inference()
    for score in conformity.NUMERIC:
        found = model.prediction_interval(NEW, 0.05, method="conformal", score=score, trials=[1, 2, 3, 4, 5])
        assert np.all((found.lower >= 0) & (found.upper <= [1, 2, 3, 4, 5]))


def test_too_few_rows_are_pointed_out():
    model = RecursiveGLMRegressor().fit(X, REAL).inference()
    found = model.conformal(X[:18], REAL[:18]).predict(NEW, 0.05)
    assert np.isinf(found.lower).all()
    assert np.isinf(found.upper).all()
    assert "18 calibration rows are too few for alpha=0.05" in found.notes[0]
    assert "At least 19" in found.notes[0]
    assert np.isfinite(model.conformal(X[:19], REAL[:19]).predict(NEW, 0.05).lower).all()
    assert np.isinf(model.conformal(method="cv+", n_folds=2).predict(NEW, 0.01).upper).all()
    few = RecursiveGLMClassifier().fit(X, CLASSES).inference().conformal(X[:5], CLASSES[:5])
    assert few.predict(NEW, 0.1).contains.all()


def test_same_seed_same_intervals():
    model = RecursiveGLMRegressor(family="quasipoisson").fit(X, COUNTS).inference()
    one, two = (model.prediction_interval(NEW, method="conformal", seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(one.summary_frame(), two.summary_frame())
    assert one.method == "split, pearson score"


def test_several_responses_are_calibrated_one_by_one():
    Y = np.column_stack([REAL, 10 * ETA + RNG.normal(size=N)])
    both = RecursiveGLMRegressor().fit(X, Y).inference().conformal(X, Y, score="absolute").predict(NEW, 0.2)
    one = RecursiveGLMRegressor().fit(X, REAL).inference().conformal(X, REAL, score="absolute").predict(NEW, 0.2)
    np.testing.assert_allclose(both.lower[:, 0], one.lower, rtol=1e-9)


def test_what_cannot_be_asked_for():
    model = RecursiveGLMRegressor(family="quasipoisson").fit(X, COUNTS).inference()
    for options, message in [
        ({"method": "full"}, "method='full' is not known"),
        ({"score": "aps"}, "score='aps' does not suit family 'quasipoisson'"),
        ({"score": "distribution"}, "claims no distribution; use score='pearson'"),
        ({"X_cal": X}, "X_cal and y_cal belong together"),
        ({"X_cal": X, "y_cal": COUNTS, "method": "cv+"}, "X_cal needs method='split'"),
        ({"fraction": 1.0}, "holds out 60"),
        ({"method": "cv+", "n_folds": 61}, "n_folds=61 must be between 2 and"),
        ({"method": "cv+", "likelihood_ratio": np.ones(N)}, "is for method='split'"),
        ({"likelihood_ratio": -np.ones(N)}, "60 finite numbers from 0 upwards"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.conformal(**options)
    with pytest.raises(ValueError, match="not new to the model"):
        model.conformal().predict(None)
    with pytest.raises(ValueError, match="both calibration and new rows, or for neither"):
        model.conformal().predict(NEW, likelihood_ratio=np.ones(5))
