"""Iteratively reweighted least squares against statsmodels, certified numbers and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import statsmodels.api as sm

from reglm.optimize import irls, weighted_crossproduct

# NIST StRD, Longley: certified coefficients, intercept last.
LONGLEY = [
    15.0618722713733, -0.358191792925910e-01, -2.02022980381683, -1.03322686717359, -0.511041056535807e-01,
    1829.15146461355, -3482258.63459582,
]  # fmt: skip


def gaussian(y, weights=1.0):
    return lambda eta: (0.5 * np.sum(weights * (y - eta) ** 2), weights * (y - eta), weights + 0 * eta)


def poisson(y, weights=1.0, offset=0.0):
    def rows(eta):
        eta = eta + offset
        mu = np.exp(eta)
        return np.sum(weights * (mu - y * eta)), weights * (y - mu), weights * mu

    return rows


def gamma_log(y):
    def rows(eta):
        mu = np.exp(eta)
        return np.sum(y / mu + eta), y / mu - 1, np.ones_like(eta)

    return rows


def logit(y):
    def rows(eta):
        mu = 1 / (1 + np.exp(-eta))
        return np.sum(np.logaddexp(0, eta) - y * eta), y - mu, mu * (1 - mu)

    return rows


def cases():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 5))
    eta = X @ np.array([0.5, -0.2, 0.1, 0.0, 0.3]) + 0.4
    return X, {
        "poisson": (poisson, rng.poisson(np.exp(eta)).astype(float), sm.families.Poisson()),
        "gamma": (gamma_log, rng.gamma(2.0, np.exp(eta) / 2), sm.families.Gamma(sm.families.links.Log())),
        "logit": (logit, (rng.random(500) < 1 / (1 + np.exp(-eta))).astype(float), sm.families.Binomial()),
    }


X, CASES = cases()
FORMS = {
    "C": np.ascontiguousarray, "Fortran": np.asfortranarray, "CSR": sp.csr_array, "float32": np.float32,
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES)
def test_against_statsmodels(case, form):
    rows, y, family = CASES[case]
    model = sm.GLM(y, sm.add_constant(X, prepend=False), family).fit(tol=1e-14, maxiter=100)
    design = FORMS[form](X)
    result = irls(design, rows(y.astype(design.dtype)), np.zeros(6))
    assert result.converged
    assert result.method == "cholesky"
    assert result.theta.dtype == design.dtype
    single = form == "float32"
    np.testing.assert_allclose(result.theta, model.params, rtol=2e-4 if single else 1e-9, atol=1e-5 if single else 0)
    np.testing.assert_allclose(result.eta, X @ model.params[:5] + model.params[5], atol=1e-5 if single else 1e-10)
    covariance = np.linalg.inv(result.information) * model.scale
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), model.bse, rtol=1e-4 if single else 1e-7)


def test_longley_to_the_certified_digits():
    data = sm.datasets.longley.load_pandas()
    y, raw = data.endog.to_numpy(float), data.exog.to_numpy(float)
    for start in (np.zeros(7), np.append(np.zeros(6), y.mean())):
        result = irls(raw, gaussian(y), start)
        assert result.converged
        assert result.method == "qr"
        np.testing.assert_allclose(result.theta, LONGLEY, rtol=1e-10)
    assert not result.aliased.any()


@pytest.mark.parametrize("coefficients", [np.ones(6), 0.1 ** np.arange(6)])
def test_wampler_fits_exactly(coefficients):
    # NIST StRD Wampler1 and Wampler2: polynomials of degree five without error.
    x = np.arange(21.0)
    y = np.polynomial.polynomial.polyval(x, coefficients)
    result = irls(np.column_stack([x**k for k in range(1, 6)]), gaussian(y), np.zeros(6))
    assert result.converged
    np.testing.assert_allclose(np.roll(result.theta, 1), coefficients, rtol=1e-8)


@pytest.mark.parametrize("sparse", [False, True])
def test_dependent_columns_are_dropped_in_order(sparse):
    rows, y, family = CASES["poisson"]
    wide = np.column_stack([np.ones(500), X, X[:, 0] - 2 * X[:, 3], np.zeros(500)])
    result = irls(sp.csr_array(wide) if sparse else wide, rows(y), np.zeros(9))
    assert result.aliased.tolist() == [True] + [False] * 5 + [True, True, False]
    assert result.converged
    assert not result.theta[result.aliased].any()
    model = sm.GLM(y, sm.add_constant(X, prepend=False), family).fit(tol=1e-14)
    np.testing.assert_allclose(result.theta[~result.aliased], model.params, rtol=1e-9)


def test_full_set_of_indicators_loses_the_last_not_the_intercept():
    rng = np.random.default_rng(1)
    group = np.arange(300) % 4
    y = rng.poisson(1.0 + group).astype(float)
    result = irls(np.eye(4)[group], poisson(y), np.zeros(5))
    assert result.aliased.tolist() == [False, False, False, True, False]
    means = np.log([y[group == g].mean() for g in range(4)])
    np.testing.assert_allclose(result.theta, [*(means[:3] - means[3]), 0.0, means[3]], atol=1e-10)


def test_nearly_dependent_columns_are_kept():
    # A remainder of 1e-6 is a column in its own right; QR resolves it.
    rng = np.random.default_rng(2)
    design = np.column_stack([X[:, :2], X[:, 0] + 1e-6 * rng.normal(size=500)])
    y = X[:, 1] + rng.normal(size=500)
    result = irls(design, gaussian(y), np.zeros(4))
    assert result.method == "qr"
    assert not result.aliased.any()
    centred = design - design.mean(axis=0)
    expected = np.linalg.lstsq(centred, y - y.mean(), rcond=None)[0]
    np.testing.assert_allclose(result.theta[:3], expected, rtol=1e-7)


def test_ridge_is_solved_and_makes_any_design_regular():
    design = np.column_stack([X, X[:, 0]])
    l2 = np.array([1.0, 2.0, 0.5, 1.0, 3.0, 1.0, 0.0])
    y = CASES["gamma"][1]
    result = irls(design, gaussian(y), np.zeros(7), l2=l2)
    full = np.column_stack([design, np.ones(500)])
    np.testing.assert_allclose(result.theta, np.linalg.solve(full.T @ full + np.diag(l2), full.T @ y), rtol=1e-10)
    assert not result.aliased.any()
    assert result.value == pytest.approx(0.5 * np.sum((y - full @ result.theta) ** 2) + 0.5 * l2 @ result.theta**2)


def test_ridge_in_the_ill_conditioned_branch():
    data = sm.datasets.longley.load_pandas()
    y, raw = data.endog.to_numpy(float), data.exog.to_numpy(float)
    l2 = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1e-3, 0.0])
    result = irls(raw, gaussian(y), np.zeros(7), l2=l2)
    assert result.method == "qr"
    rows = np.vstack([np.column_stack([raw, np.ones(16)]), np.sqrt(l2)[5] * np.eye(7)[5]])
    scale = np.linalg.norm(rows, axis=0)
    expected = np.linalg.lstsq(rows / scale, np.append(y, 0.0), rcond=None)[0] / scale
    np.testing.assert_allclose(result.theta, expected, rtol=1e-8)


def test_weights_are_repeated_rows_and_offsets_work():
    y = CASES["poisson"][1]
    rng = np.random.default_rng(3)
    weights, offset = rng.integers(0, 4, 500), rng.normal(size=500)
    weighted = irls(X, poisson(y, weights.astype(float), offset), np.zeros(6))
    again = np.repeat(np.arange(500), weights)
    repeated = irls(X[again], poisson(y[again], offset=offset[again]), np.zeros(6))
    np.testing.assert_allclose(weighted.theta, repeated.theta, rtol=1e-10)
    np.testing.assert_allclose(weighted.information, repeated.information, rtol=1e-6)


def test_balance_without_intercept_and_empty_design():
    _, y, _ = CASES["poisson"]
    none = irls(np.zeros((500, 0)), poisson(y), np.zeros(1))
    np.testing.assert_allclose(none.theta, np.log(y.mean()))
    result = irls(X, poisson(y), np.zeros(5), intercept=False)
    np.testing.assert_allclose(X.T @ (y - np.exp(X @ result.theta)), 0, atol=1e-8)


def test_step_halving_survives_a_bad_start():
    y = 1e6 + np.arange(10.0)
    result = irls(np.arange(10.0)[:, None] - 4.5, poisson(y), np.zeros(2))
    assert result.converged
    assert result.theta[1] == pytest.approx(np.log(y.mean()), rel=1e-9)
    assert min(result.history["step"]) < 1


@pytest.mark.parametrize(
    ("design", "rows"),
    [
        (np.arange(10.0)[:, None] - 4.5, logit((np.arange(10) > 4).astype(float))),
        (np.repeat([1.0, 0.0], [5, 15])[:, None], logit(np.append(np.ones(5), np.tile([0.0, 1.0], 8)[:15]))),
        (np.arange(10.0)[:, None], poisson(np.zeros(10))),
    ],
    ids=["complete", "quasi-complete", "no events"],
)
def test_separation_is_no_convergence(design, rows):
    result = irls(design, rows, np.zeros(2))
    assert result.status == "diverging"
    assert not result.converged
    assert "penalty" in result.message
    assert np.isfinite(result.theta).all()
    assert not result.aliased.any()
    assert irls(design, rows, np.zeros(2), l2=np.ones(2)).converged


def test_callback_interrupt_and_limits():
    rows, y, _ = CASES["poisson"]
    seen = []
    stopped = irls(X, rows(y), np.zeros(6), callback=lambda k, value, beta: seen.append(value) or k == 2)
    assert stopped.status == "callback"
    assert seen == stopped.history["objective"]
    assert len(seen) == 2

    def interrupt(iteration, value, beta):
        raise KeyboardInterrupt

    result = irls(X, rows(y), np.zeros(6), callback=interrupt)
    assert result.interrupted
    assert result.value == pytest.approx(rows(y)(X @ result.theta[:5] + result.theta[5])[0])
    assert irls(X, rows(y), np.zeros(6), max_iter=1).status == "max_iter"
    assert irls(X, rows(y), np.zeros(6), max_iter=0).n_iter == 0


def test_bad_arguments():
    rows, y, _ = CASES["poisson"]
    with pytest.raises(ValueError, match=r"beta0 has shape \(5,\).*\(6,\)"):
        irls(X, rows(y), np.zeros(5))
    with pytest.raises(ValueError, match="negative information weight"):
        irls(X, lambda eta: (0.0, eta, eta - 1), np.zeros(6))
    start = np.full(6, 1e4)
    result = irls(X, rows(y), start)
    assert result.status == "non-finite"
    np.testing.assert_array_equal(result.theta, start)


def test_information_matches_the_crossproduct():
    rows, y, _ = CASES["poisson"]
    result = irls(X, rows(y), np.zeros(6))
    np.testing.assert_allclose(
        result.information, weighted_crossproduct(X, np.exp(result.eta), intercept=True), rtol=1e-6
    )
