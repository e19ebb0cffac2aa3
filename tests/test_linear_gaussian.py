"""LinearGaussianSSM: fits as in statsmodels, EM, states, forecasts, standard errors, bad input."""

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.exceptions import ConvergenceWarning

from reglm.estimators.linear_gaussian import LinearGaussianSSM
from reglm.ops.kalman_numpy import System
from reglm.statespace.linear_gaussian_fit import Data, Likelihood, by_em, by_gradient
from reglm.statespace.linear_gaussian_free import Free
from reglm.statespace.linear_gaussian_search import rescale, standardise, start
from reglm.statespace.linear_gaussian_structures import Structure

NILE = sm.datasets.nile.load_pandas().data["volume"].to_numpy()[:, None]


def simulated(n=60, p=2, seed=0):
    """Two states that turn, with a covariate and entries missing."""
    rng = np.random.default_rng(seed)
    x, T = np.zeros((n, 2)), np.array([[0.8, 0.3], [-0.3, 0.8]])
    for t in range(1, n):
        x[t] = T @ x[t - 1] + rng.normal(size=2)
    X = rng.normal(size=(n, 1))
    Y = 5 + x @ rng.normal(size=(2, p)) + rng.normal(size=(n, p)) + X @ rng.normal(size=(1, p))
    Y[rng.random(Y.shape) < 0.1] = np.nan
    return X, Y


@pytest.fixture(scope="module")
def nile():
    return LinearGaussianSSM(structure="local-level").fit(NILE)


@pytest.fixture(scope="module")
def free():
    X, Y = simulated(60)
    return LinearGaussianSSM(2, max_iter=300, tol=1e-5).fit(X, Y)


def test_nile_as_in_statsmodels(nile):
    peer = sm.tsa.UnobservedComponents(NILE[:, 0], "llevel", use_exact_diffuse=True).fit(disp=False)
    assert nile.loglik_ == pytest.approx(peer.llf, abs=1e-4)
    np.testing.assert_allclose(nile.params_, [15098.5, 1469.2], rtol=1e-3)  # Durbin & Koopman (2012, sec. 2.10.1)
    assert nile.aic_ == pytest.approx(-2 * nile.loglik_ + 6)
    at = sm.tsa.UnobservedComponents(NILE[:, 0], "llevel", use_exact_diffuse=True)
    at.ssm.filter_univariate = True
    peer = at.smooth(nile.params_.to_numpy())
    smoothed, filtered = nile.states(), nile.states(kind="filtered")
    np.testing.assert_allclose(smoothed.mean[:, 0], peer.smoothed_state[0], rtol=1e-9)
    np.testing.assert_allclose(smoothed.cov[:, 0, 0], peer.smoothed_state_cov[0, 0], rtol=1e-8)
    np.testing.assert_allclose(filtered.mean[:, 0], peer.filtered_state[0], rtol=1e-9)
    forecast, expected = nile.forecast(5), peer.get_forecast(5)
    np.testing.assert_allclose(forecast.mean[0, :, 0], expected.predicted_mean, rtol=1e-8)
    np.testing.assert_allclose(forecast.error[0, :, 0], expected.se_mean, rtol=1e-8)
    np.testing.assert_allclose(
        np.column_stack([forecast.lower[0, :, 0], forecast.upper[0, :, 0]]), expected.conf_int(), rtol=1e-8
    )
    np.testing.assert_allclose(nile.residuals()[1:, 0], peer.standardized_forecasts_error[0, 1:], rtol=1e-7)


def test_standard_errors_are_those_of_differences(nile):
    table = nile.summary().as_frame()
    peer = sm.tsa.UnobservedComponents(NILE[:, 0], "llevel", use_exact_diffuse=True)
    at, h = nile.params_.to_numpy(), np.array([30.0, 5.0])
    hessian = np.empty((2, 2))
    for i, a in enumerate(np.diag(h)):
        for j, b in enumerate(np.diag(h)):
            ends = [s * r * peer.loglike(at + s * a + r * b) for s in (1, -1) for r in (1, -1)]
            hessian[i, j] = sum(ends) / (4 * h[i] * h[j])
    np.testing.assert_allclose(table["std err"], np.sqrt(np.diag(np.linalg.inv(-hessian))), rtol=1e-3)
    ends = table.iloc[:, -2:].to_numpy()
    np.testing.assert_allclose(ends.prod(axis=1), at**2, rtol=1e-9)  # of logarithms
    assert "Converged" in str(nile.summary())


def test_covariates_and_a_variance_at_zero():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 1)) + 3
    model = LinearGaussianSSM(structure="local-linear-trend").fit(X, NILE[:, 0] + 50 * X[:, 0])
    assert model.params_["x0"] == pytest.approx(50, abs=60)
    table, text = model.summary().as_frame(), str(model.summary())
    assert np.isnan(table.loc["sigma2.slope", "std err"])
    assert table.loc["x0", "std err"] > 0
    assert "sigma2.slope is at its boundary" in text
    ahead = model.forecast(2, X[:2])
    np.testing.assert_allclose(model.predict(X[:2]), ahead.mean[0, :, 0])
    assert model.predict().shape == (100,)
    assert np.isfinite(model.score(X[:5], NILE[:5, 0]))
    peer = sm.tsa.UnobservedComponents(NILE[:, 0] + 50 * X[:, 0], "lltrend", exog=X, use_exact_diffuse=True)
    assert model.loglik_ == pytest.approx(peer.loglike(model.params_.to_numpy()), abs=1e-6)


@pytest.mark.parametrize("structure", ["level + ar(2)", ["local-level", "seasonal(4)"], "cycle", "smooth-trend"])
def test_structures_at_given_parameters(structure):
    """Gradient and Hessian of every component equal differences."""
    specification = Structure(1, 0, structure, [])
    y = NILE[:24] / 100
    likelihood = Likelihood(specification, Data(y, np.zeros((24, 0)), np.array([0, 10, 24])))
    theta = specification.start(y, np.zeros((24, 0))) + 0.1
    steps = 1e-5 * np.eye(len(theta))
    ends = [(likelihood.value_grad(theta + s), likelihood.value_grad(theta - s)) for s in steps]
    value, gradient = likelihood.value_grad(theta)
    np.testing.assert_allclose(gradient, [(a[0] - b[0]) / 2e-5 for a, b in ends], rtol=1e-5, atol=1e-6)
    slopes = [(a[1] - b[1]) / 2e-5 for a, b in ends]
    np.testing.assert_allclose(likelihood.hessian(theta), slopes, rtol=1e-5, atol=1e-5)
    assert len(specification.natural(theta)) == len(specification.names) == specification.size
    assert value == pytest.approx(likelihood.values(theta).sum())


def test_autoregression_as_in_statsmodels():
    specification = Structure(1, 1, "ar(2)", ["const"])
    X = np.ones((100, 1))
    likelihood = Likelihood(specification, Data(NILE, X, np.array([0, 100])))
    theta = np.array([np.log(900.0), np.log(2e4), 0.4, 0.1, 920.0])
    _, _, one, two, _ = specification.natural(theta)
    peer = sm.tsa.SARIMAX(NILE[:, 0] - 920.0, order=(2, 0, 0), measurement_error=True)
    assert likelihood.values(theta)[0] == pytest.approx(peer.loglike([one, two, 900.0, 2e4]), abs=1e-8)


@pytest.mark.parametrize("several", [False, True])
def test_em_never_decreases(several):
    X, Y = simulated(40)
    design, edges = np.column_stack([np.ones(40), X]), np.array([0, 15, 40]) if several else np.array([0, 40])
    specification = Free(2, 2, 2, ["const", "x0"], ["a", "b"], "estimated", several)
    likelihood = Likelihood(specification, Data(Y, design, edges))
    theta = specification.start(Y, design, np.random.default_rng(1))
    found = by_em(likelihood, theta, 8, 1e-12)
    assert np.diff(found.history).min() > 0
    assert found.history[-1] - found.history[0] > 5


def test_em_and_gradient_end_at_one_maximum(nile):
    specification = Structure(1, 0, "local-level", [])
    y = NILE[:50]
    likelihood = Likelihood(specification, Data(y, np.zeros((50, 0)), np.array([0, 50])))
    theta = specification.start(y, np.zeros((50, 0)))
    em, gradient = by_em(likelihood, theta, 120, 1e-7), by_gradient(likelihood, theta, 100, 1e-8)
    assert np.diff(em.history).min() >= 0
    assert em.loglik == pytest.approx(gradient.loglik, abs=5e-3)
    assert em.loglik <= gradient.loglik + 1e-9
    with pytest.warns(ConvergenceWarning, match="has not converged: max_iter=2"):
        model = LinearGaussianSSM(structure="local-level", solver="em", max_iter=2).fit(y)
    assert "The fit has not converged" in str(model.summary())


def test_free_states_follow_their_rule(free):
    found, M = free.states(), free.matrices_
    second = (found.cov + found.mean[:, :, None] * found.mean[:, None, :]).mean(axis=0)
    np.testing.assert_allclose(second[0, 1], 0, atol=1e-8 * second[0, 0])
    assert second[0, 0] >= second[1, 1]
    assert np.all(M.Z[np.abs(M.Z).argmax(axis=0), [0, 1]] > 0)
    np.testing.assert_allclose(M.V, np.eye(2))
    assert free.aic_ == pytest.approx(-2 * free.loglik_ + 2 * (free.theta_.size - 1))
    rotated = free.specification_.rotated(free.theta_, np.array([[1.0, 0.4], [0.4, 0.9]]))
    np.testing.assert_allclose(free._likelihood.values(rotated).sum(), free.loglik_)
    np.testing.assert_allclose(free.specification_.natural(rotated), free.params_, rtol=1e-8, atol=1e-10)


def test_free_standard_errors_are_of_what_no_rotation_changes(free):
    table, text = free.summary().as_frame(), str(free.summary())
    assert "determined up to a rotation" in text
    assert not any("loading" in name for name in table.index)
    known = table["std err"].notna()
    assert known["eigenvalue1.real"]
    assert known["const.y0"]
    from reglm.estimators.linear_gaussian_summary import standard_errors

    rotated = free.specification_.rotated(free.theta_, np.array([[1.0, 0.4], [0.4, 0.9]]))
    other = standard_errors(free.specification_, free._likelihood, rotated).bse
    np.testing.assert_allclose(other[known], table["std err"][known], rtol=1e-4)


def test_parameters_return_to_the_scale_of_the_data():
    X, Y = simulated(15)
    for p, specification in (
        (2, Free(2, 2, 2, ["const", "x0"], ["a", "b"])), (1, Structure(1, 2, "ar(1)", ["const", "x0"])),
    ):  # fmt: skip
        design = np.column_stack([np.ones(15), 30 + 7 * X])
        data = Data(40 * Y[:, :p], design, np.array([0, 15]))
        standard, scales = standardise(data, True)
        theta = start(specification, standard, None)
        own = Likelihood(specification, data).values(rescale(specification, theta, *scales))
        expected = Likelihood(specification, standard).values(theta) - np.log(scales[0]) @ np.isfinite(data.y).sum(
            axis=0
        )
        np.testing.assert_allclose(own, expected)


def test_series_alone_and_several_sequences():
    _, Y = simulated(30)
    model = LinearGaussianSSM(1, max_iter=30, tol=1e-3).fit(Y, groups=np.repeat([1, 0], 15))
    assert model.logpdf().shape == (2,)
    np.testing.assert_allclose(model.logpdf(Y, lengths=[15, 15]), model.logpdf())
    assert model.score(Y, lengths=[15, 15]) == pytest.approx(model.logpdf().sum() / 30)
    shuffled = np.argsort(np.tile([0, 1], 15), kind="stable")
    back = np.empty(30, int)
    back[shuffled] = np.arange(30)
    interleaved = model.predict(Y[back], groups=np.tile([0, 1], 15))
    np.testing.assert_allclose(interleaved[shuffled], model.predict())
    assert model.forecast(3).mean.shape == (2, 3, 2)
    rows, states = model.sample(7, random_state=0)
    assert rows.shape == (7, 2)
    assert states.shape == (7, 1)
    assert np.isfinite(rows).all()
    assert np.isfinite(model.summary().as_frame()["std err"]).any()


def test_samples_have_the_moments_of_the_model(nile):
    rows, states = nile.sample(4000, random_state=1)
    np.testing.assert_allclose(np.var(np.diff(states[:, 0])), nile.params_["sigma2.level"], rtol=0.1)
    np.testing.assert_allclose(np.var(rows[:, 0] - states[:, 0]), nile.params_["sigma2.error"], rtol=0.1)


def test_missing_rows_are_interpolated(nile):
    y = NILE.copy()
    y[20:40] = np.nan
    found = nile.states(y)
    width = found.cov[:, 0, 0]
    assert width[20:40].argmax() in (9, 10)
    line = found.mean[:, 0]
    np.testing.assert_allclose(np.diff(line[19:41], 2), 0, atol=1e-6)  # a straight line between both sides
    assert np.isnan(nile.residuals(y)[20:40]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_states": 0}, "n_states=0 must be a whole number"),
        ({"solver": "newton"}, "solver='newton' must be one of"),
        ({"structure": "levels"}, "'levels' is no component"),
        ({"structure": "seasonal"}, "'seasonal' takes a number of at least 2"),
        ({"structure": "level(3)"}, "'level' takes no number"),
        ({"initial": "diffuse"}, "needs a structure"),
        ({"structure": "local-level", "initial": "stationary"}, "no stationary distribution"),
        ({"structure": "level + ar(1)", "initial": "diffuse"}, "start stationary"),
        ({"structure": "ar(1)", "solver": "em"}, "no closed M step"),
        ({"tol": 0.0}, "tol=0.0 must be positive"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        LinearGaussianSSM(**options).fit(NILE[:10])


def test_bad_rows(nile, free):
    X, Y = simulated(12)
    model = LinearGaussianSSM(structure="local-level")
    with pytest.raises(ValueError, match="is a model of one series, not of 2"):
        model.fit(Y)
    with pytest.raises(ValueError, match="lengths add up to 11"):
        model.fit(NILE[:12], lengths=[5, 6])
    with pytest.raises(ValueError, match="an empty sequence"):
        model.fit(NILE[:12], lengths=[12, 0])
    with pytest.raises(ValueError, match="is NaN in every row"):
        model.fit(np.full((12, 1), np.nan))
    with pytest.raises(ValueError, match="n_samples=1"):
        model.fit(NILE[:1])
    with pytest.raises(ValueError, match="infinity"):
        model.fit(np.where(NILE[3] == NILE, np.inf, NILE))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X, Y[:11, 0])
    with pytest.raises(ValueError, match="has shape"):
        free.logpdf(X, Y[:, 0])
    with pytest.raises(ValueError, match="y was not given to fit"):
        nile.logpdf(NILE, NILE[:, 0])
    with pytest.raises(ValueError, match="X is missing"):
        free.forecast(2)
    with pytest.raises(ValueError, match="level=2"):
        nile.forecast(2, level=2)
    with pytest.raises(ValueError, match="has 12 rows for steps=2"):
        free.forecast(2, X)
    with pytest.raises(ValueError, match="kind='smooth'"):
        nile.states(kind="smooth")


def test_sequences_of_one_row_and_constant_series():
    model = LinearGaussianSSM(max_iter=20, tol=1e-2).fit(NILE[:6], lengths=np.ones(6, int))
    assert np.isfinite(model.logpdf()).all()
    with pytest.raises(ValueError, match="is constant"):
        LinearGaussianSSM(structure="local-level").fit(np.full((10, 1), 3.0))


def test_an_explosive_stationary_start_is_no_model():
    specification = Free(1, 0, 1, [], ["y"], "stationary")
    likelihood = Likelihood(specification, Data(NILE, np.zeros((100, 0)), np.array([0, 100])))
    assert likelihood.value_grad(np.array([0.0, 1.0, 1.1]))[0] == -np.inf


def test_gradient_fields_are_those_of_the_system():
    assert System._fields[2:] == ("Z", "H", "T", "V", "a1", "P1")
