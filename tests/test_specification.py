"""Tests of the specification against statsmodels, refits and their own size."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import special, stats
from statsmodels.discrete._diagnostics_count import (
    test_poisson_zeroinflation_broek as peer_broek,
)
from statsmodels.discrete._diagnostics_count import (
    test_poisson_zeroinflation_jh as peer_jh,
)

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor
from reglm.inference.specification import hosmer_lemeshow

N = 200
RNG = np.random.default_rng(21)
X = RNG.normal(size=(N, 2))
DESIGN = sm.add_constant(X)
ETA = 0.4 + 0.5 * X[:, 0] - 0.3 * X[:, 1]
COUNTS = RNG.poisson(np.exp(ETA)).astype(float)
CLUMPED = RNG.negative_binomial(1.0, 1.0 / (1.0 + np.exp(ETA))).astype(float)
BINARY = (RNG.random(N) < special.expit(ETA)).astype(float)


def fitted(y, family="poisson", **options):
    return RecursiveGLMRegressor(family=family, **options).fit(X, y).inference()


@pytest.mark.parametrize("y", [COUNTS, CLUMPED], ids=["poisson", "clumped"])
def test_dispersion_is_the_auxiliary_regression(y):
    mu = sm.GLM(y, DESIGN, sm.families.Poisson()).fit(tol=1e-15, maxiter=30).fittedvalues
    z = ((y - mu) ** 2 - y) / mu
    for method, column in (("nb2", mu), ("nb1", np.ones(N))):
        expected = sm.OLS(z, column).fit(use_t=False)
        found = fitted(y).dispersion_test(method)
        assert found.statistic == pytest.approx(expected.tvalues[0], rel=1e-8)
        assert found.pvalue == pytest.approx(expected.pvalues[0], rel=1e-6)
    found = fitted(y).dispersion_test("pearson")
    assert found.statistic == pytest.approx(((y - mu) ** 2 / mu).sum(), rel=1e-8)
    assert (found.df, found.distribution) == (N - 3, "chi2")
    assert (fitted(y).dispersion_test().pvalue < 0.01) == (y is CLUMPED)


@pytest.mark.parametrize("y", [COUNTS, CLUMPED], ids=["poisson", "clumped"])
def test_dispersion_score_by_hand(y):
    peer = sm.GLM(y, DESIGN, sm.families.Poisson()).fit(tol=1e-15, maxiter=30)
    mu, h = peer.fittedvalues, peer.get_hat_matrix_diag()
    expected = ((y - mu) ** 2 - y + h * mu).sum() / np.sqrt(2 * (mu**2).sum())
    found = fitted(y).dispersion_test()
    assert found.statistic == pytest.approx(expected, rel=1e-8)
    assert found.pvalue == pytest.approx(2 * stats.norm.sf(abs(expected)), rel=1e-6)


def test_frequencies_count_and_exposures_make_rates():
    repeats = RNG.integers(1, 4, N)
    short = RecursiveGLMRegressor(family="poisson", freq_weights=True).fit(X, COUNTS, sample_weight=repeats)
    long = RecursiveGLMRegressor(family="poisson").fit(np.repeat(X, repeats, axis=0), np.repeat(COUNTS, repeats))
    exposure = RNG.uniform(0.5, 3.0, N)
    rates = RecursiveGLMRegressor(family="poisson").fit(X, COUNTS / exposure, sample_weight=exposure)
    offset = RecursiveGLMRegressor(family="poisson").fit(X, COUNTS, exposure=exposure)
    for one, other in ((short, long), (rates, offset)):
        for name in ("dispersion_test", "zero_inflation_test", "link_test"):
            if name == "link_test" and one is rates:
                continue  # the exposure is part of one linear predictor and not of the other
            found, expected = getattr(one.inference(), name)(), getattr(other.inference(), name)()
            assert found.statistic == pytest.approx(expected.statistic, rel=1e-5), name


def test_aliased_columns_and_rows_without_weight_change_nothing():
    wide = np.column_stack([X, X[:, 0] - X[:, 1]])
    padded, weights = np.vstack([X, X[:5] + 1]), np.r_[np.ones(N), np.zeros(5)]
    others = (
        RecursiveGLMRegressor(family="poisson").fit(wide, COUNTS),
        RecursiveGLMRegressor(family="poisson").fit(padded, np.r_[COUNTS, np.ones(5)], sample_weight=weights),
    )
    for name in ("dispersion_test", "zero_inflation_test", "link_test", "normality_test"):
        expected = getattr(fitted(COUNTS), name)()
        for model in others:
            if name != "normality_test" or model is others[0]:
                found = getattr(model.inference(), name)()
                assert found.statistic == pytest.approx(expected.statistic, rel=1e-5), name
    refit = others[1].inference().link_test("lr")
    assert refit.statistic == pytest.approx(fitted(COUNTS).link_test("lr").statistic, rel=1e-4)


def test_zero_inflation_is_that_of_statsmodels():
    for y in (COUNTS, CLUMPED):
        peer = sm.Poisson(y, DESIGN).fit(disp=0, tol=1e-12)
        found = fitted(y).zero_inflation_test("broek")
        assert found.statistic == pytest.approx(peer_broek(peer).statistic, rel=1e-6)
        assert found.statistic**2 == pytest.approx(peer_jh(peer).statistic, rel=1e-6)
    no_constant = RecursiveGLMRegressor(family="poisson", output_bias=False).fit(X, COUNTS)
    peer = sm.Poisson(COUNTS, X).fit(disp=0, tol=1e-12)
    found = no_constant.inference().zero_inflation_test("broek")
    assert found.statistic**2 == pytest.approx(peer_jh(peer).statistic, rel=1e-6)


def test_number_of_zeros_allows_for_estimated_means():
    mu = sm.GLM(COUNTS, DESIGN, sm.families.Poisson()).fit(tol=1e-15, maxiter=30).fittedvalues
    p = np.exp(-mu)
    c = DESIGN.T @ (p * mu)  # covariance of the number of zeros with the score, up to its sign
    variance = (p * (1 - p)).sum() - c @ np.linalg.solve(DESIGN.T @ (mu[:, None] * DESIGN), c)
    expected = ((COUNTS == 0).sum() - p.sum()) / np.sqrt(variance)
    assert fitted(COUNTS).zero_inflation_test().statistic == pytest.approx(expected, rel=1e-8)
    assert fitted(CLUMPED).zero_inflation_test().statistic > 5
    with pytest.raises(ValueError, match="'count' or 'broek'"):
        fitted(COUNTS).zero_inflation_test("score")


def test_number_of_zeros_has_its_size():
    rng = np.random.default_rng(6)
    found = [fitted(rng.poisson(np.exp(1.5 * ETA))).zero_inflation_test().statistic for _ in range(100)]
    assert abs(np.mean(found)) < 0.35
    assert 0.8 < np.std(found) < 1.2


def test_zero_inflation_has_its_size_with_estimated_shape_and_hidden_units():
    rng = np.random.default_rng(4)
    dispersed = []
    for _ in range(30):
        y = rng.negative_binomial(2.0, 2.0 / (2.0 + np.exp(ETA + 0.5))).astype(float)
        dispersed.append(fitted(y, "negative_binomial").zero_inflation_test().statistic)
    assert abs(np.mean(dispersed)) < 0.5
    assert 0.65 < np.std(dispersed) < 1.35
    signal = np.exp(0.3 + 1.2 * np.tanh(1.5 * X[:, 0] - X[:, 1]))
    network = RecursiveGLMRegressor((1,), family="poisson", n_init=2, random_state=0)
    assert abs(network.fit(X, rng.poisson(signal)).inference().zero_inflation_test().statistic) < 3
    inflated = rng.poisson(signal) * (rng.random(N) < 0.7)
    assert network.fit(X, inflated).inference().zero_inflation_test().statistic > 3


@pytest.mark.parametrize(
    ("y", "family", "peer"),
    [(COUNTS, "poisson", sm.families.Poisson()), (BINARY, "bernoulli", sm.families.Binomial()),
     (ETA + X[:, 0] ** 2, "gaussian", sm.families.Gaussian())],
    ids=["poisson", "bernoulli", "gaussian"],
)  # fmt: skip
def test_link_test_is_score_test_and_refit(y, family, peer):
    results = fitted(y, family)
    theirs = sm.GLM(y, DESIGN, peer).fit(tol=1e-15, maxiter=30)
    eta = theirs.predict(which="linear")
    expected = theirs.score_test(exog_extra=eta[:, None] ** 2)
    found = results.link_test()
    assert found.statistic == pytest.approx(np.squeeze(expected[0]), rel=1e-6)
    assert found.pvalue == pytest.approx(np.squeeze(expected[1]), rel=1e-5)
    larger = sm.GLM(y, np.column_stack([DESIGN, eta**2]), peer).fit(tol=1e-15, maxiter=30)
    refit = results.link_test("lr")
    gain = theirs.deviance - larger.deviance
    if family == "gaussian":
        assert refit.statistic == pytest.approx(gain / (larger.deviance / (N - 4)), rel=1e-6)
        assert refit.pvalue == pytest.approx(larger.pvalues[-1], abs=0.02)
    else:
        assert refit.statistic == pytest.approx(gain, rel=1e-5)
    assert f"{larger.params[-1]:.4g}"[:5] in refit.notes[0]


def test_link_test_beside_an_estimated_shape_parameter():
    results = fitted(CLUMPED, "negative_binomial")
    alpha, mu = results.params["alpha"], results.fit.likelihood.response.mean(results.fit.likelihood.eta(
        results.theta, results.fit.data.X, results.fit.data.offset))[:, 0]  # fmt: skip
    w, z = mu / (1.0 + alpha * mu), np.log(mu) ** 2
    left = z @ (w * z) - (DESIGN.T @ (w * z)) @ np.linalg.solve(DESIGN.T @ (w[:, None] * DESIGN), DESIGN.T @ (w * z))
    expected = (z @ ((CLUMPED - mu) / (1.0 + alpha * mu))) ** 2 / left
    assert results.link_test().statistic == pytest.approx(expected, rel=1e-6)


def test_link_of_a_network():
    signal = np.exp(0.3 + 0.3 * X[:, 1] + 1.2 * np.tanh(1.5 * X[:, 0] - X[:, 1]))
    y = np.random.default_rng(1).poisson(signal)
    network = RecursiveGLMRegressor((1,), family="poisson", skip=True, n_init=2, random_state=0)
    right = network.fit(X, y).inference()
    score, ratio = right.link_test(), right.link_test("lr")
    assert score.statistic == pytest.approx(ratio.statistic, rel=0.2, abs=0.3)
    assert score.pvalue > 0.01
    # with u = tanh(a) the bias of the unit moves eta by 1 - u^2: the square of eta is nothing new
    single = RecursiveGLMRegressor((1,), family="poisson", n_init=2, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="the link test is empty"):
        single.inference().link_test()


def test_hosmer_lemeshow_by_hand():
    results = fitted(BINARY, "bernoulli")
    p = results.fit.likelihood.response.mean(results.fit.likelihood.eta(results.fit.theta, X))[:, 0]
    order = np.argsort(p)
    expected = 0.0
    for part in np.array_split(order, 10):
        mean = p[part].mean()
        expected += (BINARY[part].sum() - p[part].sum()) ** 2 / (len(part) * mean * (1 - mean))
    found = results.hosmer_lemeshow()
    assert found.statistic == pytest.approx(expected, rel=1e-10)
    assert (found.df, found.pvalue) == (8, pytest.approx(stats.chi2.sf(expected, 8)))
    wrong = hosmer_lemeshow(BINARY, p**3, np.ones(N), lost=0)
    assert wrong.df == 10
    assert wrong.pvalue < 1e-4
    with pytest.raises(ValueError, match="groups=2 gives 2 groups"):
        results.hosmer_lemeshow(2)


def test_normality_of_quantile_residuals():
    results = fitted(ETA + RNG.normal(size=N), "gaussian")
    expected = stats.shapiro(results.resid_response)
    found = results.normality_test()
    assert (found.statistic, found.pvalue) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert not found.notes
    assert fitted(np.exp(RNG.normal(size=N)), "gaussian").normality_test().pvalue < 1e-4
    counts = fitted(COUNTS).normality_test()
    assert counts.pvalue > 0.01
    assert "randomised" in counts.notes[0]
    assert fitted(CLUMPED).normality_test().pvalue < 0.01


def test_what_cannot_be_tested():
    with pytest.raises(ValueError, match="method='all' is not known"):
        fitted(COUNTS).dispersion_test("all")
    with pytest.raises(ValueError, match="dispersion test 'score' is not defined for family 'bernoulli'"):
        fitted(BINARY, "bernoulli").dispersion_test()
    with pytest.raises(ValueError, match="dispersion test 'pearson' is not defined for family 'bernoulli'"):
        fitted(BINARY, "bernoulli").dispersion_test("pearson")
    with pytest.raises(ValueError, match="zero-inflation test is not defined for family 'gaussian'"):
        fitted(ETA, "gaussian").zero_inflation_test()
    with pytest.raises(ValueError, match="Hosmer-Lemeshow test is not defined for family 'poisson'"):
        fitted(COUNTS).hosmer_lemeshow()
    with pytest.raises(ValueError, match="link test is not defined for family 'multinomial'"):
        RecursiveGLMClassifier().fit(X, RNG.integers(0, 3, N)).inference().link_test()
    with pytest.raises(ValueError, match="method='wald' is not known"):
        fitted(COUNTS).link_test("wald")
