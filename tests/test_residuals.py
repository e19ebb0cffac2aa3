"""Residuals against statsmodels, closed forms and their own distribution."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import integrate, special, stats

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor
from reglm.inference.residuals import residuals, training_rows

N = 150
RNG = np.random.default_rng(5)
X = RNG.normal(size=(N, 2))
ETA = 0.4 + 0.5 * X[:, 0] - 0.3 * X[:, 1]
COUNTS = RNG.poisson(np.exp(ETA)).astype(float)
POSITIVE = RNG.gamma(3.0, np.exp(ETA) / 3)
REAL = ETA + RNG.normal(size=N)
BINARY = (RNG.random(N) < special.expit(ETA)).astype(float)
SUCCESSES = RNG.binomial(7, special.expit(ETA))
TRIALS = np.column_stack([SUCCESSES, 7 - SUCCESSES]).astype(float)
SHARES = special.expit(REAL)
CLASSES = RNG.integers(0, 3, N)
W = RNG.uniform(0.5, 2.0, N)
PEER = sm.families
LINKS = PEER.links
GLMS = {
    "gaussian": (REAL, "gaussian", None, PEER.Gaussian()),
    "poisson": (COUNTS, "poisson", None, PEER.Poisson()),
    "poisson-sqrt": (COUNTS + 1, "poisson", "sqrt", PEER.Poisson(LINKS.Sqrt())),
    "bernoulli": (BINARY, "bernoulli", None, PEER.Binomial()),
    "probit": (BINARY, "bernoulli", "probit", PEER.Binomial(LINKS.Probit())),
    "binomial": (TRIALS, "binomial", None, PEER.Binomial()),
    "gamma": (POSITIVE, "gamma", "log", PEER.Gamma(LINKS.Log())),
    "inverse-gaussian": (POSITIVE, "inverse_gaussian", "log", PEER.InverseGaussian(LINKS.Log())),
    "negative-binomial": (COUNTS, "negative_binomial(0.7)", "log", PEER.NegativeBinomial(LINKS.Log(), alpha=0.7)),
}
KINDS = ("response", "pearson", "deviance", "anscombe", "working")


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.DomainWarning")  # theirs, for the root
@pytest.mark.parametrize("name", GLMS)
def test_residuals_of_statsmodels(name):
    y, family, link, theirs = GLMS[name]
    expected = sm.GLM(y, sm.add_constant(X), theirs).fit(tol=1e-15, maxiter=30)
    found = RecursiveGLMRegressor(family=family, link=link).fit(X, y).inference()
    for kind in KINDS:
        reference = getattr(expected, f"resid_{kind}")
        if kind == "working" and name == "binomial":
            reference = reference / 49.0  # statsmodels multiplies by the trials twice
        np.testing.assert_allclose(getattr(found, f"resid_{kind}"), reference, rtol=1e-7, atol=1e-8, err_msg=kind)


def test_precision_weights_enter_and_frequencies_do_not():
    theirs = sm.GLM(POSITIVE, sm.add_constant(X), PEER.Gamma(LINKS.Log()), var_weights=W).fit(tol=1e-15, maxiter=30)
    found = RecursiveGLMRegressor(family="gamma").fit(X, POSITIVE, sample_weight=W).inference()
    for kind in KINDS:
        np.testing.assert_allclose(found.resid(kind), getattr(theirs, f"resid_{kind}"), rtol=1e-7, atol=1e-8)
    repeats = RNG.integers(1, 4, N)
    model = RecursiveGLMRegressor(family="gamma", freq_weights=True).fit(X, POSITIVE, sample_weight=repeats)
    long = RecursiveGLMRegressor(family="gamma").fit(np.repeat(X, repeats, axis=0), np.repeat(POSITIVE, repeats))
    for kind in (*KINDS, "quantile"):
        np.testing.assert_allclose(
            np.repeat(model.inference().resid(kind), repeats), long.inference().resid(kind), rtol=1e-6, atol=1e-8
        )


def test_rows_without_weight_and_single_precision():
    some = np.where(np.arange(N) < 10, 0.0, 1.0)
    found = RecursiveGLMRegressor(family="gamma").fit(X, POSITIVE, sample_weight=some).inference()
    rest = RecursiveGLMRegressor(family="gamma").fit(X[10:], POSITIVE[10:]).inference()
    single = RecursiveGLMRegressor(family="gamma", dtype="float32").fit(X[10:], POSITIVE[10:]).inference()
    for kind in (*KINDS, "quantile"):
        assert np.isfinite(found.resid(kind)).all()
        np.testing.assert_allclose(found.resid(kind)[10:], rest.resid(kind), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(single.resid(kind), rest.resid(kind), atol=1e-3)
    assert not found.resid_pearson[:10].any()


def test_several_responses_have_a_column_each():
    Y = np.column_stack([REAL, REAL[::-1] ** 2])
    found = RecursiveGLMRegressor().fit(X, Y).inference()
    for kind in ("response", "pearson", "deviance", "working", "quantile"):
        assert found.resid(kind).shape == (N, 2)
        single = RecursiveGLMRegressor().fit(X, Y[:, 1]).inference().resid(kind)
        if kind != "quantile":  # these know the dispersion, which the responses share
            np.testing.assert_allclose(found.resid(kind)[:, 1], single, atol=1e-8)


def test_classes():
    found = RecursiveGLMClassifier().fit(X, CLASSES).inference()
    rows = training_rows(found.fit)
    onehot, p = np.eye(3)[CLASSES], rows.mean
    np.testing.assert_allclose(found.resid_response, onehot - p)
    np.testing.assert_allclose(found.resid_pearson, (onehot - p) / np.sqrt(p * (1 - p)))
    np.testing.assert_allclose(found.resid_deviance, np.sqrt(-2 * np.log(p[np.arange(N), CLASSES])))
    inverse = 1 / p[:, 1:, None] * np.eye(2) + 1 / p[:, :1, None]  # of diag(p) - p p', Sherman-Morrison
    expected = np.einsum("nkm,nm->nk", inverse, (onehot - p)[:, 1:])
    np.testing.assert_allclose(found.resid_working, expected, rtol=1e-6, atol=1e-12)
    upper = p.cumsum(axis=1)[np.arange(N), CLASSES]
    u = stats.norm.cdf(found.resid("quantile"))
    assert np.all((u <= upper + 1e-12) & (u >= upper - p[np.arange(N), CLASSES] - 1e-12))
    with pytest.raises(ValueError, match="'anscombe' is not defined for family 'multinomial'"):
        _ = found.resid_anscombe
    with pytest.raises(ValueError, match="studentized residuals are not defined"):
        found.resid("pearson", studentized=True)


def test_anscombe_by_quadrature_where_there_is_no_closed_form():
    found = RecursiveGLMRegressor(family="beta").fit(X, SHARES).inference()
    rows = training_rows(found.fit)
    A = special.betainc(2 / 3, 2 / 3, rows.observed) - special.betainc(2 / 3, 2 / 3, rows.mean)
    expected = A * special.beta(2 / 3, 2 / 3) / (rows.mean * (1 - rows.mean)) ** (1 / 6)
    precision = rows.mean * (1 - rows.mean) / rows.variance
    np.testing.assert_allclose(found.resid_anscombe, (expected * np.sqrt(precision))[:, 0], rtol=1e-8)
    sums = np.where(RNG.random(N) < 0.3, 0.0, POSITIVE)  # with zeros, where the variance vanishes
    rows = training_rows(RecursiveGLMRegressor(family="tweedie(1.5)").fit(X, sums).fit_)
    phi = rows.fit.dispersion
    mu = rows.mean[:, 0]
    expected = 2 * (sums**0.5 - mu**0.5) / mu**0.25 / np.sqrt(phi)
    np.testing.assert_allclose(residuals(rows.fit, "anscombe")[:, 0], expected, rtol=1e-6)
    value = integrate.quad(lambda t: t**-0.5, sums[1], mu[1])[0]
    np.testing.assert_allclose(-value / mu[1] ** 0.25 / np.sqrt(phi), expected[1], rtol=1e-6)


def test_quantile_residuals_of_the_normal_are_standardised_errors():
    found = RecursiveGLMRegressor().fit(X, REAL).inference()
    np.testing.assert_allclose(found.resid("quantile"), found.resid_response / np.sqrt(found.scale), atol=1e-10)


@pytest.mark.parametrize("family", ["poisson", "bernoulli", "binomial", "gamma", "negative_binomial", "tweedie(1.5)"])
def test_quantile_residuals_are_standard_normal_under_the_model(family):
    y = {"poisson": COUNTS, "negative_binomial": COUNTS, "bernoulli": BINARY, "binomial": TRIALS}.get(family, POSITIVE)
    model = RecursiveGLMRegressor(family=family).fit(X, y)
    fit, rng = model.fit_, np.random.default_rng(8)
    rows = training_rows(fit)
    drawn = fit.likelihood.family.simulate(rng, rows.mean, fit.dispersion, rows.size, **rows.shape)
    model.fit_.data = fit.data._replace(y=np.asarray(drawn))
    found = residuals(model.fit_, "quantile", seed=1)[:, 0]
    assert stats.kstest(found, "norm").pvalue > 0.01
    assert np.array_equal(found, residuals(model.fit_, "quantile", seed=1)[:, 0])


def test_a_cell_of_a_jump_is_filled_evenly():
    found = RecursiveGLMRegressor(family="bernoulli").fit(X, BINARY).inference()
    p = training_rows(found.fit).mean[:, 0]
    u = stats.norm.cdf([found.resid("quantile", seed=s) for s in range(200)])
    assert np.all(np.where(BINARY == 1, u >= 1 - p, u <= 1 - p))
    np.testing.assert_allclose(u.mean(axis=0), np.where(BINARY == 1, 1 - p / 2, (1 - p) / 2), atol=0.1)


def test_what_cannot_be_asked_for():
    found = RecursiveGLMRegressor(family="quasipoisson").fit(X, COUNTS).inference()
    with pytest.raises(ValueError, match="kind='cook' is not known"):
        found.resid("cook")
    with pytest.raises(ValueError, match="'quasipoisson' has no distribution"):
        found.resid("quantile")
    with pytest.raises(ValueError, match="studentized=True needs kind"):
        found.resid("response", studentized=True)
