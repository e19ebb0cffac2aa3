"""Marginal effects: statsmodels' for generalized linear models, brute force for networks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
from network_cases import differences
from scipy import sparse

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor
from reglm.inference import results

N = 200
RNG = np.random.default_rng(4)
X = pd.DataFrame({"a": RNG.normal(size=N), "b": 2 + 3 * RNG.normal(size=N), "d": (RNG.random(N) < 0.4).astype(float)})
ETA = 0.3 + 0.6 * X["a"] - 0.1 * X["b"] + 0.5 * X["d"]
BINARY = (RNG.random(N) < 1 / (1 + np.exp(-ETA))).astype(float)
COUNTS = RNG.poisson(np.exp(ETA)).astype(float)
CLASSES = RNG.integers(0, 3, N)
FRAME = X.drop(columns="d").assign(region=pd.Categorical(np.array(["n", "s", "w"])[CLASSES]))
NUMBERS = ["effect", "std err", "z", "P>|z|"]


def theirs(model, **options):
    found = model.fit(disp=0, tol=1e-14, method="newton").get_margeff(**options)
    return np.column_stack([found.margeff, found.margeff_se, found.tvalues, found.pvalues])


@pytest.fixture(scope="module")
def network():
    y = RNG.poisson(np.exp(0.2 + np.tanh(FRAME["a"]) + 0.5 * (FRAME["region"] == "s"))).astype(float)
    return RecursiveGLMRegressor((2,), family="poisson", alpha=0.3, n_init=2, random_state=0).fit(FRAME, y)


@pytest.mark.parametrize("dummy", [False, True])
@pytest.mark.parametrize("at", ["overall", "mean"])
@pytest.mark.parametrize("name", ["logit", "probit", "poisson"])
def test_every_number_of_statsmodels_margeff(name, at, dummy):
    peer = {"logit": sm.Logit, "probit": sm.Probit, "poisson": sm.Poisson}[name]
    y, family = (COUNTS, "poisson") if name == "poisson" else (BINARY, "bernoulli")
    model = RecursiveGLMRegressor(family=family, link="probit" if name == "probit" else None).fit(X, y)
    found = model.inference("observed").marginal_effects(X, at=at, dummy=dummy)
    expected = theirs(peer(y, sm.add_constant(X)), at=at, dummy=dummy)
    np.testing.assert_allclose(found.as_frame()[NUMBERS], expected, rtol=1e-6, atol=1e-10)
    assert found.labels == ["a", "b", "d"]


def test_classes_equal_statsmodels_multinomial():
    found = RecursiveGLMClassifier().fit(X, CLASSES).inference()
    for k in range(3):
        expected = sm.MNLogit(CLASSES, sm.add_constant(X)).fit(disp=0, tol=1e-14, method="newton").get_margeff()
        ours = found.marginal_effects(X, output=k).as_frame()
        np.testing.assert_allclose(ours["effect"], expected.margeff[:, k], rtol=1e-6, atol=1e-10)
        np.testing.assert_allclose(ours["std err"], expected.margeff_se[:, k], rtol=1e-6)


def test_effects_on_the_link_scale_are_the_coefficients():
    model = RecursiveGLMRegressor(family="poisson").fit(FRAME, COUNTS).inference()
    found = model.marginal_effects(FRAME, scale="link")
    np.testing.assert_allclose(found.effect.value, model.params.iloc[1:], rtol=1e-8)
    np.testing.assert_allclose(found.effect.se, model.bse.iloc[1:], rtol=1e-8)
    reference = model.reader.levels(FRAME, "region")[0]
    assert found.labels == ["a", "b", *(f"region[{level}]" for level in sorted({"n", "s", "w"} - {reference}))]
    assert f"differences from region[{reference}]" in str(found)


def brute_force(model, rows):
    """Average marginal effects of `a` and of the levels of `region` as functions of theta, by predictions alone."""

    reader = model.inference().reader

    def value(theta):
        def mean(frame):
            matrix, offset = reader.rows(frame)
            return np.exp(model.fit_.likelihood.eta(theta, matrix, offset)).mean()

        slope = (mean(rows.assign(a=rows["a"] + 1e-5)) - mean(rows.assign(a=rows["a"] - 1e-5))) / 2e-5
        levels = pd.CategoricalDtype(["n", "s", "w"])
        first, *others = reader.levels(rows, "region")
        at = {
            level: mean(rows.assign(region=pd.Series(level, rows.index).astype(levels))) for level in (first, *others)
        }
        return [slope, *(at[level] - at[first] for level in others)]

    return value


def test_standard_errors_of_a_network_by_brute_force(network):
    rows = FRAME.iloc[:40]
    found = network.inference().marginal_effects(rows, ["a", "region"]).effect
    value = brute_force(network, rows)
    G = differences(value, network.fit_.theta)
    np.testing.assert_allclose(found.value, value(network.fit_.theta), rtol=1e-6)
    np.testing.assert_allclose(found.covariance, G @ network.inference().cov_theta() @ G.T, rtol=1e-4, atol=1e-10)


def test_weights_are_repeated_rows(network):
    w = RNG.integers(0, 3, N)
    found = network.inference().marginal_effects(FRAME, weights=w).as_frame()
    expected = network.inference().marginal_effects(FRAME.iloc[np.repeat(np.arange(N), w)]).as_frame()
    # the steps of the numerical derivative differ
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-10)


def test_rates_are_means_at_a_unit_of_exposure():
    e = RNG.uniform(0.2, 1.0, N)
    named = RecursiveGLMRegressor(family="poisson", exposure="e").fit(X.assign(e=e), COUNTS).inference()
    passed = RecursiveGLMRegressor(family="poisson").fit(X, COUNTS, exposure=e).inference()
    found = passed.marginal_effects(X, exposure=e).as_frame()
    for other in (named.marginal_effects(X.assign(e=e), exposure="e"), passed.marginal_effects(exposure=e)):
        np.testing.assert_allclose(other.as_frame(), found, rtol=1e-9)
    rate = np.exp(named.params.iloc[0] + X @ named.params.iloc[1:].to_numpy())
    np.testing.assert_allclose(found["effect"], named.params.iloc[1:] * (e @ rate) / e.sum(), rtol=1e-8)
    total = passed.marginal_effects(X, exposure=e, scale="link").as_frame()
    np.testing.assert_allclose(total["effect"], named.params.iloc[1:], rtol=1e-8)


def test_training_rows_are_taken_in_coded_form(network):
    expected = network.inference().marginal_effects(FRAME)
    found = network.inference().marginal_effects()
    assert found.labels == expected.labels
    np.testing.assert_allclose(found.as_frame(), expected.as_frame(), rtol=1e-7)
    with pytest.raises(ValueError, match="or name the input 'region'"):
        network.inference().marginal_effects(columns=[network.fit_.input_names[-1]])
    codes = RecursiveGLMRegressor((2,), categorical="embedding", alpha=0.3, random_state=0).fit(FRAME, COUNTS)
    found = codes.inference()
    np.testing.assert_allclose(found.marginal_effects().as_frame(), found.marginal_effects(FRAME).as_frame(), rtol=1e-7)


def test_formulas_tell_the_levels_of_treatment_contrasts():
    data = FRAME.assign(y=COUNTS)
    treated = RecursiveGLMRegressor.from_formula("y ~ a + C(region, contr.treatment(base='s'))", data, family="poisson")
    inference = treated.inference()
    rows = inference.marginal_effects(data)
    plain = RecursiveGLMRegressor.from_formula("y ~ a + region", data, family="poisson").inference()
    np.testing.assert_allclose(plain.marginal_effects().as_frame(), plain.marginal_effects(data).as_frame(), rtol=1e-7)
    np.testing.assert_allclose(rows.effect.value, plain.marginal_effects(data).effect.value, rtol=1e-6)
    crossed = RecursiveGLMRegressor.from_formula("y ~ a * region", data, family="poisson").inference()
    assert "categorical inputs (region) need the data frame: pass X" in str(crossed.marginal_effects())
    with pytest.raises(ValueError, match="input 'region' is categorical, and the rows"):
        crossed.marginal_effects(columns=["region"])
    assert crossed.marginal_effects(data).labels == ["a", *(f"region[{level}]" for level in "sw")]


def test_slopes_stay_inside_the_range_of_an_input():
    data = FRAME.assign(y=COUNTS)  # a spline basis refuses values beyond those of the fit
    inference = RecursiveGLMRegressor.from_formula("y ~ bs(a, df=4) + b", data, family="poisson").inference()
    rows = pd.concat([data.nsmallest(1, "a"), data.nlargest(1, "a")])
    found = inference.marginal_effects(rows, ["a"]).effect.value
    inward = rows.assign(a=rows["a"] + np.array([1e-6, -1e-6]))
    eta = [inference.fit.likelihood.eta(inference.fit.theta, inference.reader.rows(part)[0]) for part in (inward, rows)]
    slopes = (np.exp(eta[0]) - np.exp(eta[1]))[:, 0] / np.array([1e-6, -1e-6])
    np.testing.assert_allclose(found, slopes.mean(), rtol=1e-4)


def test_any_kind_of_rows_gives_the_same(network):
    expected = network.inference().marginal_effects(FRAME).as_frame()
    polars = pl.DataFrame({"a": FRAME["a"], "b": FRAME["b"], "region": FRAME["region"].astype(str).to_list()})
    np.testing.assert_allclose(network.inference().marginal_effects(polars).as_frame(), expected, rtol=1e-9)
    dense = RecursiveGLMRegressor(family="poisson").fit(X.to_numpy(), COUNTS)
    thin = RecursiveGLMRegressor(family="poisson").fit(sparse.csr_matrix(X.to_numpy()), COUNTS)
    coarse = RecursiveGLMRegressor(family="poisson", dtype="float32").fit(X, COUNTS)
    expected = dense.inference().marginal_effects(X.to_numpy()).as_frame()
    for at in ("overall", "mean"):
        expected = dense.inference().marginal_effects(X.to_numpy(), at=at).as_frame()
        for rows in (sparse.csr_matrix(X.to_numpy()), None):
            found = thin.inference().marginal_effects(rows, at=at).as_frame()
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    single = coarse.inference().marginal_effects(X).as_frame()
    np.testing.assert_allclose(
        single[["effect", "std err"]], dense.inference().marginal_effects().as_frame()[["effect", "std err"]], rtol=2e-3
    )
    bare = results(dense.fit_).marginal_effects(X.to_numpy()).as_frame()
    np.testing.assert_allclose(bare, dense.inference().marginal_effects(X.to_numpy()).as_frame(), rtol=1e-7)


def test_refused_standard_errors_leave_the_effects(network):
    plain = RecursiveGLMRegressor(family="poisson", l1=1e-3).fit(X, COUNTS).inference()
    found = plain.marginal_effects(X)
    assert np.isfinite(found.effect.value).all()
    assert np.isnan(found.effect.se).all()
    assert "No standard errors: the L1 penalty" in str(found)


def test_student_t_reference():
    model = RecursiveGLMRegressor().fit(X, ETA + RNG.normal(size=N))
    peer = sm.OLS(model.fit_.data.y[:, 0], sm.add_constant(X)).fit()
    table = model.inference(use_t=True).marginal_effects(X).as_frame(0.1)
    np.testing.assert_allclose(table.iloc[:, 3], peer.pvalues.iloc[1:], rtol=1e-6)
    np.testing.assert_allclose(table.iloc[:, 4:], peer.conf_int(0.1).iloc[1:], rtol=1e-7)
    assert list(table.columns) == ["effect", "std err", "t", "P>|t|", "[0.05", "0.95]"]


def test_what_cannot_be_asked_for(network):
    found = network.inference()
    for options, message in (
        ({"at": "median"}, "at='median' is not known"),
        ({"columns": ["z"]}, "input 'z' is not known"),
        ({"weights": np.ones(3)}, "weights of shape"),
    ):
        with pytest.raises(ValueError, match=message):
            found.marginal_effects(FRAME, **options)
    loaded = results(replace(network.fit_, data=None, refit=None))
    with pytest.raises(ValueError, match="has no training rows; pass X"):
        loaded.marginal_effects()
    with pytest.raises(ValueError, match=r"alpha=2 must be between 0 and 1"):
        found.marginal_effects(FRAME).as_frame(2)
