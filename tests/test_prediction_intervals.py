"""Parametric prediction intervals against closed forms and simulation, for every family."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor, families
from reglm.inference import prediction_intervals as pi
from reglm.inference.moments import new_rows

N = 120
RNG = np.random.default_rng(5)
X = pd.DataFrame(RNG.normal(size=(N, 2)), columns=["a", "b"])
NEW = pd.DataFrame(RNG.normal(size=(6, 2)), columns=["a", "b"], index=list("qrstuv"))
ETA = (0.5 + 0.4 * X["a"] - 0.3 * X["b"]).to_numpy()
REAL = ETA + RNG.normal(size=N)
COUNTS = RNG.poisson(np.exp(ETA))
POSITIVE = RNG.gamma(3.0, np.exp(ETA) / 3)
P = 1 / (1 + np.exp(-ETA))
SUCCESSES = RNG.binomial(6, P)
CLASSES = RNG.integers(0, 3, N)
RESPONSES = {
    "gaussian": REAL,
    "poisson": COUNTS,
    "bernoulli": (RNG.random(N) < P).astype(float),
    "binomial": np.column_stack([SUCCESSES, 6 - SUCCESSES]),
    "gamma": POSITIVE,
    "inverse_gaussian": POSITIVE,
    "negative_binomial": RNG.negative_binomial(2, 2 / (2 + np.exp(ETA))),
    "tweedie": POSITIVE * (RNG.random(N) < 0.7),
    "student_t": ETA + RNG.standard_t(4, N),
    "beta": RNG.beta(4 * P, 4 * (1 - P)),
    "tobit": np.maximum(REAL, 0),
    "multinomial": CLASSES,
    "ordinal": CLASSES,
}


def fit(family):
    make = RecursiveGLMClassifier if family in pi.CLASSES else RecursiveGLMRegressor
    return make(family=family).fit(X, RESPONSES[family]).inference()


def test_every_family_is_here():
    quasi = {name for name, family in families.REGISTRY.items() if not family.likelihood}
    assert set(families.REGISTRY) - quasi - {"columns"} == set(RESPONSES)  # whose parts have no interval in common


def test_ordinary_least_squares_is_exact():
    peer = sm.OLS(REAL, sm.add_constant(X)).fit().get_prediction(sm.add_constant(NEW)).summary_frame(0.1)
    for use_t in (True, False):
        found = RecursiveGLMRegressor().fit(X, REAL).inference(use_t=use_t).prediction_interval(NEW, 0.1)
        expected = peer[["obs_ci_lower", "obs_ci_upper"]]
        pd.testing.assert_frame_equal(found.summary_frame(), expected, rtol=1e-8, check_exact=False)
    assert found.guarantee == "Exact for normal responses: 90% of new responses fall inside."
    robust = RecursiveGLMRegressor().fit(X, REAL).inference("HC0").prediction_interval(NEW)
    assert robust.guarantee.startswith("Asymptotic: at least 95% of new responses")
    weights = RNG.uniform(0.5, 2, N)
    weighted = RecursiveGLMRegressor().fit(X, REAL, sample_weight=weights).inference()
    peer = sm.WLS(REAL, sm.add_constant(X), weights).fit().get_prediction(sm.add_constant(NEW), weights=np.full(6, 3.0))
    found = weighted.prediction_interval(NEW, weights=3.0)
    np.testing.assert_allclose(np.column_stack([found.lower, found.upper]), peer.conf_int(obs=True), rtol=1e-8)


@pytest.mark.parametrize("family", sorted(set(RESPONSES) - pi.CLASSES))
def test_intervals_of_every_family_cover_the_responses_drawn_from_it(family):
    results = fit(family)
    trials = 6 if family == "binomial" else None
    found = results.prediction_interval(NEW, 0.2, trials=trials, n_draws=120)
    lik, theta = results.fit.likelihood, results.fit.theta
    rows = new_rows(results, NEW, trials=trials)
    location = lik.response.location(lik.eta(theta, rows.X, rows.offset), lik.shape(theta))
    plug_in = lik.family.distribution(location, results.fit.dispersion, trials or 1, **lik.shape(theta))
    lower, upper = found.lower[:, None], found.upper[:, None]
    inside = plug_in.cdf(upper) - plug_in.cdf(lower) + mass(plug_in, lower)
    assert inside.min() > 0.79
    if family in ("poisson", "binomial", "bernoulli", "negative_binomial"):
        np.testing.assert_array_equal(np.floor(found.lower), found.lower)
        np.testing.assert_array_equal(np.floor(found.upper), found.upper)
    elif family not in ("tweedie", "tobit"):
        assert inside.max() < 0.85


def mass(distribution, y):
    """Probability of y itself."""
    below = np.nextafter(y, -np.inf)
    return distribution.cdf(y) - distribution.cdf(below)


@pytest.mark.parametrize("family", ["multinomial", "ordinal"])
def test_classes_have_sets(family):
    results = fit(family)
    found = results.prediction_interval(NEW, 0.2)
    p = results.get_prediction(NEW).mean
    held = (p * found.contains).sum(axis=1)
    assert held.min() > 0.78
    assert found.sizes.max() <= 3
    smallest = np.where(found.contains, p, 1).min(axis=1)
    assert (held - smallest < 0.82).all()  # the last class was needed
    assert [len(labels) for labels in found.labels(["x", "y", "z"])] == found.sizes.tolist()
    assert found.covers(p.argmax(axis=1)).all()


def test_parameter_uncertainty_widens_the_interval():
    y = RNG.gamma(3.0, np.exp(ETA[:12]) / 3)
    results = RecursiveGLMRegressor(family="gamma").fit(X[:12], y).inference()
    far = pd.DataFrame({"a": [3.0], "b": [3.0]})
    found = results.prediction_interval(far, n_draws=1000)
    mu = results.get_prediction(far).mean
    plug_in = stats.gamma(1 / results.scale, scale=mu * results.scale)
    assert found.lower[0] < 0.8 * plug_in.ppf(0.025)[0]
    assert found.upper[0] > 1.3 * plug_in.ppf(0.975)[0]


def test_predictive_quantiles_are_those_of_simulated_responses():
    results = fit("gamma")
    found = results.prediction_interval(NEW[:2], 0.1, n_draws=2000, seed=3)
    rng = np.random.default_rng(0)
    size = 40_000
    theta = rng.multivariate_normal(results.fit.theta, results.cov_theta(), size)
    phi = results.scale * results.df_resid / rng.chisquare(results.df_resid, size)
    for i, x in enumerate(NEW[:2].to_numpy()):
        mu = np.exp(theta[:, :2] @ x + theta[:, 2])
        y = rng.gamma(1 / phi, mu * phi)
        np.testing.assert_allclose([found.lower[i], found.upper[i]], np.quantile(y, [0.05, 0.95]), rtol=0.04)


@pytest.mark.parametrize(
    ("distribution", "q", "expected"),
    [
        (stats.norm(np.zeros((3, 1, 1)), np.ones((3, 1, 1))), 0.3, stats.norm.ppf(0.3)),
        (stats.poisson(np.full((2, 1, 1), 4.0)), 0.9, stats.poisson.ppf(0.9, 4)),
        (stats.poisson(np.array([1.0, 9.0])[:, None, None]), 0.5, 3.0),  # (F(2; 1) + F(2; 9)) / 2 = 0.463, at 3: 0.501
        (stats.bernoulli(np.array([0.02, 0.12])[:, None, None]), 0.95, 1.0),
        (stats.bernoulli(np.array([0.02, 0.05])[:, None, None]), 0.95, 0.0),
    ],
)
def test_quantiles_of_mixtures(distribution, q, expected):
    assert pi.mixture_quantile(distribution, q)[0, 0] == pytest.approx(expected, abs=1e-9)


def test_draws_that_overflow_count_as_infinite():
    law = stats.gamma(2.0, scale=np.array([1.0, 1.0, 1.0, np.inf])[:, None, None])
    assert pi.mixture_quantile(law, 0.6)[0, 0] == np.inf
    few = stats.poisson(np.append(np.full(99, 4.0), np.inf)[:, None, None])
    assert pi.mixture_quantile(few, 0.6)[0, 0] == 4.0


def test_point_masses_are_met_exactly():
    tobit, tweedie = fit("tobit"), fit("tweedie")
    low = pd.DataFrame({"a": [-3.0], "b": [3.0]})
    assert tobit.prediction_interval(low, 0.2, n_draws=100).lower[0] == 0.0
    assert tweedie.prediction_interval(low, 0.2, n_draws=100).lower[0] == 0.0


def test_what_cannot_be_asked_for():
    quasi = RecursiveGLMRegressor(family="quasipoisson").fit(X, COUNTS).inference()
    with pytest.raises(ValueError, match=r"'quasipoisson' claims no distribution.*method='conformal'"):
        quasi.prediction_interval(NEW)
    with pytest.raises(ValueError, match="method='exact' is not known"):
        quasi.prediction_interval(NEW, method="exact")
    with pytest.raises(ValueError, match="score= is an option of method='conformal'"):
        quasi.prediction_interval(NEW, score="pearson")
    with pytest.raises(ValueError, match="trials must be 1"):
        fit("multinomial").prediction_interval(NEW, trials=3)
