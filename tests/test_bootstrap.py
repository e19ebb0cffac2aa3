"""The bootstrap against closed forms, refits written out and other libraries."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor
from reglm.inference import bootstrap as module
from reglm.inference import replicates, resampling, results

N = 80
RNG = np.random.default_rng(3)
X = pd.DataFrame(RNG.normal(size=(N, 2)), columns=["a", "b"])
NEW = X[:4]
DESIGN = np.column_stack([X, np.ones(N)])
ETA = (0.5 + 0.4 * X["a"] - 0.3 * X["b"]).to_numpy()
REAL = ETA + RNG.normal(size=N) * np.exp(0.5 * X["a"].to_numpy())
COUNTS = RNG.poisson(np.exp(ETA))
GROUPS = np.arange(N) // 4
ORDER = [1, 2, 0]  # theta has the intercept last, params first


@pytest.fixture(scope="module")
def ols():
    return RecursiveGLMRegressor().fit(X, REAL).inference()


@pytest.fixture(scope="module")
def poisson():
    return RecursiveGLMRegressor(family="poisson").fit(X, COUNTS).inference()


def refit(rows, y):
    return np.linalg.lstsq(DESIGN[rows], y, rcond=None)[0]


def close(found, expected, draws, factor=3.5):
    """Standard errors from `draws` draws have a relative standard error of about sqrt(kurtosis-ish / 2 draws)."""
    assert np.abs(np.log(np.asarray(found) / np.asarray(expected))).max() < factor / np.sqrt(2 * draws) + 0.03


# -- draws -----------------------------------------------------------------------


def test_pairs_are_refits_of_resampled_rows(ols):
    found = ols.bootstrap(5, random_state=7)
    for theta, seed in zip(found.theta, np.random.SeedSequence(7).spawn(5), strict=True):
        rows = np.random.default_rng(seed).integers(0, N, N)
        np.testing.assert_allclose(theta, refit(rows, REAL[rows]), rtol=1e-8)
    again = ols.bootstrap(5, random_state=7, n_jobs=2)
    np.testing.assert_allclose(again.theta, found.theta, rtol=1e-12)
    np.testing.assert_allclose(found.params.to_numpy(), found.theta[:, [2, 0, 1]])


def test_clusters_are_drawn_whole(ols):
    fit = ols.fit
    data = resampling.pairs(fit, fit.data._replace(y=GROUPS[:, None]), np.random.default_rng(0), GROUPS)
    labels, counts = np.unique(data.y, return_counts=True)
    assert len(data.y) == N
    assert set(counts % 4) == {0}
    assert len(labels) < 20


def test_wild_draws_of_least_squares_have_the_sandwich_as_covariance(ols):
    for multiplier in resampling.MULTIPLIERS:
        found = ols.bootstrap(150, "wild", multiplier=multiplier, random_state=1)
        close(found.bse, np.sqrt(np.diag(results(ols.fit, "HC0").cov_params())), 150)


def test_wild_draws_of_other_families_have_the_sandwich_as_covariance(poisson):
    peer = sm.GLM(COUNTS, sm.add_constant(X), sm.families.Poisson()).fit(cov_type="HC0")
    found = poisson.bootstrap(8000, "wild", random_state=1)
    np.testing.assert_allclose(found.bse, peer.bse, rtol=0.035)
    peer = sm.GLM(COUNTS, sm.add_constant(X), sm.families.Poisson()).fit(
        cov_type="cluster", cov_kwds={"groups": GROUPS, "use_correction": False}
    )
    found = poisson.bootstrap(8000, "wild", groups=GROUPS, random_state=1)
    np.testing.assert_allclose(found.bse, peer.bse, rtol=0.035)


def test_parametric_draws_agree_with_the_information(poisson):
    found = poisson.bootstrap(150, "parametric", random_state=2)
    close(found.bse, poisson.bse, 150)
    assert found.n_failed == found.n_unconverged == 0
    assert not found.notes


def test_pairs_agree_with_the_sandwich(poisson):
    found = poisson.bootstrap(150, random_state=2)
    close(found.bse, results(poisson.fit, "HC1").bse, 150, factor=4.5)


def test_residuals_are_multiplied_within_clusters(ols):
    fit = ols.fit
    data = resampling.wild(fit, fit.data, np.random.default_rng(0), resampling.rademacher, GROUPS)
    mu = DESIGN @ fit.theta
    ratio = (data.y[:, 0] - mu) / (REAL - mu)
    np.testing.assert_allclose(np.abs(ratio), 1, rtol=1e-8)
    assert np.ptp(ratio.reshape(20, 4), axis=1).max() < 1e-8
    assert len(set(np.round(ratio))) == 2


def test_multipliers_have_the_moments_they_claim():
    rng = np.random.default_rng(0)
    for draw, third in ((resampling.rademacher, 0), (resampling.mammen, 1)):
        v = draw(rng, 400_000)
        np.testing.assert_allclose([v.mean(), (v**2).mean(), (v**3).mean()], [0, 1, third], atol=0.02)


def test_frequencies_are_drawn_row_by_row():
    weights = RNG.integers(1, 4, N).astype(float)
    model = RecursiveGLMRegressor(freq_weights=True).fit(X, REAL, sample_weight=weights).inference()
    data = resampling.pairs(model.fit, model.fit.data, np.random.default_rng(0), None)
    assert data.weights.sum() == weights.sum()
    with pytest.raises(ValueError, match="use kind='pairs'"):
        model.bootstrap(5, "wild")


# -- intervals -------------------------------------------------------------------


@pytest.fixture(scope="module")
def draws(poisson):
    return poisson.bootstrap(800, "wild", multiplier="mammen", random_state=5)


def test_intervals_are_their_formulas(draws, poisson):
    estimate, table = poisson.params.to_numpy(), draws.params.to_numpy()
    low, high = np.quantile(table, [0.05, 0.95], axis=0)
    np.testing.assert_allclose(draws.conf_int(0.1), np.column_stack([low, high]))
    np.testing.assert_allclose(draws.conf_int(0.1, "basic"), np.column_stack([2 * estimate - high, 2 * estimate - low]))
    half = stats.norm.isf(0.05) * table.std(axis=0, ddof=1)
    centre = 2 * estimate - table.mean(axis=0)
    np.testing.assert_allclose(draws.conf_int(0.1, "normal"), np.column_stack([centre - half, centre + half]))
    frame = draws.summary_frame(0.1, "bca")
    assert list(frame.columns) == ["coef", "bias", "std err", "[0.05", "0.95]"]


def test_bias_and_skewness_are_corrected_as_scipy_does():
    y = RNG.standard_exponential(40)
    peer = stats.bootstrap((y,), np.mean, n_resamples=3000, method="BCa", rng=np.random.default_rng(1), vectorized=True)
    table = peer.bootstrap_distribution[:, None]
    acceleration = module.skewness((y - y.mean())[:, None])
    found = module.intervals(table, np.array([y.mean()]), 0.05, "bca", acceleration)
    np.testing.assert_allclose(found[0], peer.confidence_interval, rtol=2e-3)


def test_acceleration_is_that_of_the_jackknife(draws):
    change = resampling.influences(draws.results.fit)
    left = []
    for i in range(N):
        kept = np.delete(np.arange(N), i)
        left.append(sm.GLM(COUNTS[kept], DESIGN[kept], sm.families.Poisson()).fit().params)
    jackknife = module.skewness(np.mean(left, axis=0) - np.array(left))
    np.testing.assert_allclose(module.skewness(change), jackknife, atol=0.01)
    assert np.abs(jackknife).max() > 0.02
    np.testing.assert_allclose(draws._acceleration(), module.skewness(change)[[2, 0, 1]], rtol=1e-12)


def test_shape_parameters_are_drawn_on_their_natural_scale():
    y = RNG.negative_binomial(2, 2 / (2 + np.exp(ETA)))
    model = RecursiveGLMRegressor(family="negative_binomial").fit(X, y).inference()
    found = model.bootstrap(4, "wild", random_state=0)
    np.testing.assert_allclose(found.params["alpha"], np.exp(found.theta[:, -1]))
    assert found.conf_int(0.1, "bca").notna().all(axis=None)


# -- what is done with draws -----------------------------------------------------


def test_functions_of_the_fit_and_predictions(draws, poisson):
    mu = np.exp(np.column_stack([NEW, np.ones(4)]) @ draws.theta.T)

    def means(fit):
        return fit.likelihood.response.mean(fit.likelihood.eta(fit.theta, NEW.to_numpy()))[:, 0]

    np.testing.assert_allclose(draws.apply(means).T, mu, rtol=1e-10)
    found = draws.get_prediction(NEW)
    np.testing.assert_allclose(found.conf_int(0.1), np.quantile(mu, [0.05, 0.95], axis=1).T, rtol=1e-10)
    np.testing.assert_allclose(found.mean, poisson.get_prediction(NEW).mean)


def test_networks_stay_at_their_optimum():
    y = RNG.poisson(np.exp(0.3 + 1.2 * np.tanh(1.5 * X["a"] - X["b"])))
    model = RecursiveGLMRegressor((1,), family="poisson", alpha=0.1, n_init=2, random_state=0).fit(X, y).inference()
    found = model.bootstrap(8, "parametric", random_state=0)
    assert found.theta.shape == (8, len(model.theta))
    assert (np.sign(found.theta[:, 4]) == np.sign(model.theta[4])).mean() > 0.7
    assert "starts at the estimates" in repr(found)


def test_classes(poisson):
    y = RNG.integers(0, 3, N)
    model = RecursiveGLMClassifier().fit(X, y).inference()
    found = model.bootstrap(4, "parametric", random_state=0)
    assert found.get_prediction(NEW).conf_int().shape == (4, 3, 2)


# -- what goes wrong -------------------------------------------------------------


def test_failures_are_counted_and_left_out():
    x = pd.DataFrame({"a": np.arange(8.0)})
    model = RecursiveGLMRegressor(family="bernoulli").fit(x, [0, 0, 0, 1, 0, 1, 1, 1.0]).inference()
    found = model.bootstrap(12, random_state=0)
    assert found.n_failed > 0
    assert len(found.theta) == 12 - found.n_failed
    assert f"{found.n_failed} of 12 refits gave no estimates and are left out" in repr(found)


def test_an_interrupt_keeps_what_is_done(poisson, monkeypatch):
    def calls():
        yield replicates.Replicate(np.zeros(3), 1.0, True)
        yield replicates.Replicate(np.ones(3), 1.0, False)
        raise KeyboardInterrupt

    done = replicates.collected(calls(), 9, 0)
    assert len(done) == 2
    found = module._summed(poisson, "pairs", None, done, 9)
    assert found.notes[0] == "Interrupted: 2 of 9 refits were done."
    assert "1 of 2 refits did not converge" in found.notes[1]

    def nothing():
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        replicates.collected(nothing(), 9, 0)


def test_progress_is_shown(poisson, capsys):
    poisson.bootstrap(3, "parametric", random_state=0, verbose=2)
    assert "3/3" in capsys.readouterr().out


def test_what_cannot_be_asked_for(poisson, ols):
    quasi = RecursiveGLMRegressor(family="quasipoisson").fit(X, COUNTS).inference()
    weighted = RecursiveGLMRegressor(family="poisson").fit(X, COUNTS, sample_weight=RNG.uniform(1, 2, N)).inference()
    wide = RecursiveGLMRegressor().fit(X.assign(c=X["a"]), REAL).inference()
    for model, options, message in [
        (poisson, {"kind": "block"}, "kind='block' is not known"),
        (poisson, {"multiplier": "normal"}, "multiplier='normal' is not known"),
        (poisson, {"n_boot": 1}, "n_boot=1 must be at least 2"),
        (poisson, {"kind": "parametric", "groups": GROUPS}, "responses that are independent"),
        (poisson, {"groups": GROUPS[1:]}, "one label for each of the 80 rows"),
        (quasi, {"kind": "parametric"}, "claims no distribution"),
        (weighted, {"kind": "parametric"}, "give exposure= instead of rates"),
        (wide, {}, "drop them first"),
        (results(replace(ols.fit, refit=None)), {}, "holds no data to resample"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.bootstrap(**options)
    with pytest.raises(ValueError, match="method='studentized' is not known"):
        poisson.bootstrap(3, "wild").conf_int(method="studentized")


def test_refits_of_steps_need_starts_of_their_own():
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"a": np.linspace(-2, 2, N)})
    y = (x["a"] > 0.3) * 1.0 + rng.normal(size=N) * 0.3
    steps = RecursiveGLMRegressor((1,), n_init=3, random_state=0).fit(x, y).inference()
    assert "step" in steps.refusal
    stuck, free = (steps.bootstrap(6, random_state=0, n_init=n) for n in (1, 3))
    assert any("may not leave the estimates" in note for note in stuck.notes)
    assert not any("may not leave" in note for note in free.notes)
    assert np.ptp(stuck.theta[:, 0]) < np.ptp(free.theta[:, 0])
