"""Covariances and results against statsmodels and finite differences; where Wald statistics are refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import sparse
from statsmodels.miscmodels.ordinal_model import OrderedModel

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor, families, layers
from reglm.inference import covariance, results
from reglm.inference.caveats import distance_to_optimum
from reglm.inference.covariances import estimate

N = 200
RNG = np.random.default_rng(11)
X = pd.DataFrame(RNG.normal(size=(N, 3)), columns=["a", "b", "c"])
ETA = 0.5 + 0.4 * X["a"] - 0.3 * X["b"]
COUNTS = RNG.poisson(np.exp(ETA))
POSITIVE = RNG.gamma(3.0, np.exp(ETA) / 3)
REAL = np.asarray(ETA + RNG.normal(size=N))
HEAVY = np.asarray(ETA + RNG.standard_t(3, N))
BINARY = (RNG.random(N) < 1 / (1 + np.exp(-ETA))).astype(float)
TRIALS = np.column_stack([RNG.binomial(6, 1 / (1 + np.exp(-ETA))), np.full(N, 6)])
TRIALS[:, 1] -= TRIALS[:, 0]
RESPONSES = {"gaussian": REAL, "poisson": COUNTS, "student_t": HEAVY}
CLASSES = RNG.integers(0, 3, N)
W = RNG.integers(1, 4, N).astype(float)
PEER = sm.families
LINKS = PEER.links


def numeric_hessian(fit):
    """Central differences of the gradient."""
    steps = 1e-5 * np.eye(len(fit.theta))
    ahead, behind = ([fit.likelihood.value_grad(fit.theta + s * e, fit.data)[1] for e in steps] for s in (1, -1))
    return (np.array(ahead) - np.array(behind)) / 2e-5


def peer(y, family, **options):
    # tol below rounding, so that statsmodels takes all the iterations it is allowed
    return sm.GLM(y, sm.add_constant(X), family, **options).fit(tol=1e-15, maxiter=30)


GLMS = {
    "gaussian": (REAL, "gaussian", None, PEER.Gaussian()),
    "gaussian-log": (np.exp(REAL / 4), "gaussian", "log", PEER.Gaussian(LINKS.Log())),
    "poisson": (COUNTS, "poisson", None, PEER.Poisson()),
    "poisson-sqrt": (COUNTS + 1, "poisson", "sqrt", PEER.Poisson(LINKS.Sqrt())),
    "bernoulli": (BINARY, "bernoulli", None, PEER.Binomial()),
    "probit": (BINARY, "bernoulli", "probit", PEER.Binomial(LINKS.Probit())),
    "cloglog": (BINARY, "bernoulli", "cloglog", PEER.Binomial(LINKS.CLogLog())),
    "cauchit": (BINARY, "bernoulli", "cauchit", PEER.Binomial(LINKS.Cauchy())),
    "binomial": (TRIALS, "binomial", None, PEER.Binomial()),
    "gamma": (POSITIVE, "gamma", "log", PEER.Gamma(LINKS.Log())),
    "inverse-gaussian": (POSITIVE, "inverse_gaussian", "log", PEER.InverseGaussian(LINKS.Log())),
    "negative-binomial": (
        COUNTS,
        "negative_binomial(0.7)",
        "log",
        PEER.NegativeBinomial(LINKS.Log(), alpha=0.7),
    ),
}
ILL_DEFINED_LLF = {"inverse-gaussian"}  # statsmodels' density has another normaliser


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.DomainWarning")  # theirs, for the root
@pytest.mark.parametrize("name", GLMS)
def test_every_number_of_statsmodels_glm(name):
    y, family, link, theirs = GLMS[name]
    expected = peer(y, theirs)
    found = RecursiveGLMRegressor(family=family, link=link).fit(X, y).inference()
    assert found.names == ["Intercept", "a", "b", "c"]
    for attribute in ("params", "bse", "tvalues", "pvalues"):
        np.testing.assert_allclose(getattr(found, attribute), getattr(expected, attribute), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(found.conf_int(0.1), expected.conf_int(0.1), rtol=1e-7)
    np.testing.assert_allclose(found.cov_params(), expected.cov_params(), rtol=1e-6, atol=1e-12)
    for attribute in ("deviance", "null_deviance", "pearson_chi2", "scale", "nobs", "df_resid", "df_model"):
        assert getattr(found, attribute) == pytest.approx(getattr(expected, attribute), rel=1e-8), attribute
    if name == "gaussian-log":  # statsmodels takes the maximum-likelihood dispersion for the identity link only
        RSS = float(((y - expected.mu) ** 2).sum())
        assert found.llf == pytest.approx(-N / 2 * (np.log(2 * np.pi * RSS / N) + 1), rel=1e-12)
    elif name not in ILL_DEFINED_LLF:
        assert found.llf == pytest.approx(expected.llf, rel=1e-9)
        assert found.aic == pytest.approx(expected.aic, rel=1e-9)
        assert found.bic == pytest.approx(expected.bic_llf, rel=1e-9)
    assert found.d2 == pytest.approx(1 - expected.deviance / expected.null_deviance, rel=1e-8)


def test_student_t_reference_is_ordinary_least_squares():
    expected = sm.OLS(REAL, sm.add_constant(X)).fit()
    found = results(RecursiveGLMRegressor().fit(X, REAL).fit_, use_t=True)
    np.testing.assert_allclose(found.pvalues, expected.pvalues, rtol=1e-9)
    np.testing.assert_allclose(found.conf_int(), expected.conf_int(), rtol=1e-9)
    assert list(found.summary().as_frame().columns) == ["coef", "std err", "t", "P>|t|", "[0.025", "0.975]"]


@pytest.mark.parametrize("kind", ["freq_weights", "var_weights"])
@pytest.mark.parametrize("name", ["gaussian", "poisson", "gamma", "bernoulli"])
def test_both_meanings_of_weights(name, kind):
    y, family, link, theirs = GLMS[name]
    expected = peer(y, theirs, **{kind: W})
    model = RecursiveGLMRegressor(family=family, link=link, freq_weights=kind == "freq_weights")
    found = model.fit(X, y, sample_weight=W).inference()
    np.testing.assert_allclose(found.params, expected.params, rtol=1e-7)
    np.testing.assert_allclose(found.bse, expected.bse, rtol=1e-7)
    assert found.nobs == (W.sum() if kind == "freq_weights" else N)
    assert found.df_resid == expected.df_resid
    assert found.scale == pytest.approx(expected.scale, rel=1e-9)
    assert found.deviance == pytest.approx(expected.deviance, rel=1e-9)
    if kind == "freq_weights":
        assert found.llf == pytest.approx(expected.llf, rel=1e-9)


def test_frequencies_are_repeated_rows():
    again = np.repeat(np.arange(N), W.astype(int))
    weighted = RecursiveGLMRegressor(family="gamma", freq_weights=True).fit(X, POSITIVE, sample_weight=W)
    repeated = RecursiveGLMRegressor(family="gamma").fit(X.iloc[again], POSITIVE[again])
    pd.testing.assert_frame_equal(
        weighted.summary().as_frame(), repeated.summary().as_frame(), rtol=1e-9, check_exact=False
    )
    for attribute in ("llf", "aic", "bic", "scale", "nobs", "df_resid", "null_deviance"):
        left, right = (getattr(m.inference(), attribute) for m in (weighted, repeated))
        assert left == pytest.approx(right, rel=1e-9), attribute


def test_negative_binomial_allows_for_its_dispersion():
    y = np.random.default_rng(0).negative_binomial(2, 2 / (2 + np.exp(ETA)))
    expected = sm.NegativeBinomial(y, sm.add_constant(X)).fit(disp=0, method="newton", tol=1e-14)
    found = RecursiveGLMRegressor(family="negative_binomial").fit(X, y).inference()
    assert found.cov_type == "observed"
    assert found.names == ["Intercept", "a", "b", "c", "alpha"]
    np.testing.assert_allclose(found.params, expected.params, rtol=1e-6)
    np.testing.assert_allclose(found.bse, expected.bse, rtol=1e-6)
    assert found.llf == pytest.approx(expected.llf, rel=1e-10)
    assert found.aic == pytest.approx(expected.aic, rel=1e-10)
    with pytest.raises(ValueError, match="has no expected information for all of its parameters"):
        covariance(found.fit, "expected")


def test_multinomial_equals_statsmodels():
    expected = sm.MNLogit(CLASSES, sm.add_constant(X)).fit(disp=0, method="newton", tol=1e-14)
    model = RecursiveGLMClassifier().fit(X, np.array(["r", "s", "t"])[CLASSES])
    found = model.inference()
    np.testing.assert_allclose(found.params, np.asarray(expected.params).T.ravel(), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found.bse, np.asarray(expected.bse).T.ravel(), rtol=1e-6)
    assert found.names[:5] == ["s: Intercept", "s: a", "s: b", "s: c", "t: Intercept"]
    assert found.llf == pytest.approx(expected.llf, rel=1e-10)
    np.testing.assert_allclose(found.bse, model.inference("observed").bse, rtol=1e-6)  # the link is canonical


def test_ordinal_equals_statsmodels():
    y = np.digitize(ETA + RNG.logistic(size=N), [-1.0, 0.5, 2.0])
    expected = OrderedModel(y, X, distr="logit").fit(disp=0, method="newton", tol=1e-14)
    found = RecursiveGLMClassifier(family="ordinal").fit(X, y).inference()
    np.testing.assert_allclose(found.params.iloc[:4], expected.params.iloc[:4], rtol=1e-6)
    np.testing.assert_allclose(found.bse.iloc[:4], expected.bse.iloc[:4], rtol=1e-6)
    cuts = np.asarray(expected.model.transform_threshold_params(np.asarray(expected.params)))[1:-1]
    np.testing.assert_allclose(found.params.iloc[3:], cuts, rtol=1e-6)
    # the second cut is the first plus exp(third parameter): its variance by the delta method, written out
    gradient = np.array([1.0, np.exp(expected.params.iloc[4])])
    V = np.asarray(expected.cov_params())[3:5, 3:5]
    assert found.bse.iloc[4] == pytest.approx(np.sqrt(gradient @ V @ gradient), rel=1e-6)


def test_tweedie_with_its_power_estimated():
    y = RNG.poisson(np.exp(ETA)) * POSITIVE
    found = RecursiveGLMRegressor(family="tweedie").fit(X, y).inference()
    assert found.names[-2:] == ["power", "phi"]
    numeric = np.linalg.inv(numeric_hessian(found.fit))
    power = found.params["power"]
    slope = (power - 1.01) * (1.99 - power) / 0.98  # power = 1.01 + 0.98 sigmoid(theta)
    assert found.bse["power"] == pytest.approx(slope * np.sqrt(numeric[-2, -2]), rel=1e-4)
    assert found.bse["Intercept"] == pytest.approx(np.sqrt(numeric[3, 3]), rel=1e-4)


def test_several_gaussian_responses_share_one_dispersion():
    Y = np.column_stack([REAL, REAL[::-1]])
    found = RecursiveGLMRegressor().fit(X, Y).inference()
    single = [sm.OLS(y, sm.add_constant(X)).fit() for y in Y.T]
    scale = sum(m.ssr for m in single) / sum(m.df_resid for m in single)
    assert found.scale == pytest.approx(scale, rel=1e-10)
    assert found.df_resid == sum(m.df_resid for m in single)
    expected = np.concatenate([m.bse * np.sqrt(scale / m.scale) for m in single])
    np.testing.assert_allclose(found.bse, expected, rtol=1e-8)


@pytest.mark.parametrize("family", ["gaussian", "poisson", "student_t"])
def test_sparse_rows_give_the_same(family):
    y = RESPONSES[family]
    dense = RecursiveGLMRegressor(family=family).fit(X.to_numpy(), y).inference()
    rows = RecursiveGLMRegressor(family=family).fit(sparse.csr_matrix(X.to_numpy()), y).inference()
    np.testing.assert_allclose(rows.bse, dense.bse, rtol=1e-5)
    np.testing.assert_allclose(rows.params, dense.params, rtol=1e-5, atol=1e-7)


# -- rank ----------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gaussian", "poisson", "student_t"])
def test_aliased_columns_are_nan_whatever_the_solver_made_of_them(family):
    y = RESPONSES[family]
    wide = X.assign(one=1.0, double=2 * X["a"] - X["b"] + 3)[["a", "one", "b", "double", "c"]]
    narrow = RecursiveGLMRegressor(family=family).fit(X, y).inference()
    model = RecursiveGLMRegressor(family=family).fit(wide, y)
    found = model.inference()
    assert found.params.index[found.params.isna()].tolist() == ["one", "double"]
    pd.testing.assert_series_equal(found.params.dropna(), narrow.params, rtol=1e-5, check_exact=False)
    pd.testing.assert_series_equal(found.bse.dropna(), narrow.bse, rtol=1e-5, check_exact=False)
    assert (found.rank, found.df_resid) == (narrow.rank, narrow.df_resid)
    assert "rank" in " ".join(found.notes)
    # the same predictions with the coefficients shared out otherwise
    shift = np.zeros(len(model.fit_.theta))
    shift[[3, 0, 2, 5]] = [1.0, -2.0, 1.0, -3.0]
    moved = results(replace(model.fit_, theta=model.fit_.theta + 0.7 * shift))
    pd.testing.assert_series_equal(moved.params, found.params, rtol=1e-6, check_exact=False)


def test_multinomial_aliases_are_nan_for_every_class():
    wide = X.assign(copy=X["a"])
    found = RecursiveGLMClassifier(solver="newton").fit(wide, CLASSES).inference()
    assert found.params.index[found.params.isna()].tolist() == ["1: copy", "2: copy"]
    narrow = RecursiveGLMClassifier(solver="newton").fit(X, CLASSES).inference()
    np.testing.assert_allclose(found.params.dropna(), narrow.params, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.bse.dropna(), narrow.bse, rtol=1e-5)


# -- networks ----------------------------------------------------------------


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(2)
    signal = np.exp(0.3 + 1.2 * np.tanh(1.5 * X["a"] - X["b"]))
    y = rng.poisson(signal)
    return RecursiveGLMRegressor((1,), family="poisson", n_init=3, random_state=0).fit(X, y)


def test_observed_covariance_is_the_inverse_of_the_numeric_hessian(network):
    fit = network.fit_
    np.testing.assert_allclose(covariance(fit), np.linalg.inv(numeric_hessian(fit)), rtol=1e-5, atol=1e-9)
    found = network.inference()
    assert found.cov_type == "observed"
    assert found.names == ["Intercept", "hidden1[1]"]
    np.testing.assert_allclose(found.bse, np.sqrt(np.diag(covariance(fit)))[[5, 4]], rtol=1e-12)


def test_expected_covariance_is_that_of_the_design_matrix(network):
    fit = network.fit_
    steps = 1e-6 * np.eye(len(fit.theta))
    ahead, behind = ([fit.likelihood.eta(fit.theta + s * e, fit.data.X)[:, 0] for e in steps] for s in (1, -1))
    J = (np.array(ahead) - np.array(behind)).T / 2e-6
    mu = np.exp(fit.likelihood.eta(fit.theta, fit.data.X))
    np.testing.assert_allclose(covariance(fit, "expected"), np.linalg.inv(J.T @ (mu * J)), rtol=1e-6, atol=1e-10)


def test_penalty_enters_as_a_prior(network):
    fit = network.fit_
    y = fit.data.y[:, 0]
    ridge = RecursiveGLMRegressor((1,), family="poisson", alpha=2.0, n_init=3, random_state=0).fit(X, y)
    H = ridge.fit_.likelihood.hessian(ridge.fit_.theta, ridge.fit_.data)
    np.testing.assert_allclose(covariance(ridge.fit_), np.linalg.inv(H + np.diag(ridge.fit_.penalty)), rtol=1e-8)
    assert any("posterior" in note for note in ridge.inference().notes)
    linear = RecursiveGLMRegressor(family="gamma", alpha=3.0).fit(X, POSITIVE)
    P = 3.0 * np.diag([1.0, 1.0, 1.0, 0.0])
    design = np.column_stack([X, np.ones(N)])
    expected = linear.dispersion_ * np.linalg.inv(design.T @ design + P)  # Gamma with a log link has W = 1
    np.testing.assert_allclose(covariance(linear.fit_), expected, rtol=1e-10)


def test_skip_terms_are_named(network):
    y = network.fit_.data.y[:, 0]
    model = RecursiveGLMRegressor((2,), family="poisson", alpha=1.0, skip=True, random_state=0).fit(X, y)
    names = ["Intercept", "hidden1[1]", "hidden1[2]", "skip: a", "skip: b", "skip: c"]
    assert model.inference().names == names


def test_distance_to_the_optimum_is_in_standard_errors(network):
    found = estimate(network.fit_)
    se = np.sqrt(np.diag(found.matrix))
    away = replace(network.fit_, theta=network.fit_.theta + 1e-3 * se * np.eye(len(se))[0])
    factor = np.linalg.cholesky(found.matrix)
    kept = np.arange(len(se))
    assert distance_to_optimum(network.fit_, network.fit_.data, kept, factor) < 1e-4
    # one parameter moved by 0.001 standard errors, the others held: at least as far in all of them together
    distance = distance_to_optimum(away, away.data, kept, factor)
    assert distance >= 1e-3 * 0.999
    H = np.linalg.inv(found.matrix)
    assert distance == pytest.approx(1e-3 * se[0] * np.sqrt(H[0, 0]), rel=1e-2)


def test_single_precision_fits_are_examined_in_double():
    model = RecursiveGLMRegressor(family="poisson", dtype="float32").fit(X, COUNTS)
    double = RecursiveGLMRegressor(family="poisson").fit(X, COUNTS)
    assert covariance(model.fit_).dtype == np.float64
    np.testing.assert_allclose(covariance(model.fit_), covariance(double.fit_), rtol=1e-4, atol=1e-8)


# -- refusals ----------------------------------------------------------------


def refused(fit, message):
    found = results(fit)
    assert message in found.refusal
    assert found.bse.isna().all()
    assert found.cov_params().isna().all(axis=None)
    assert np.isfinite(found.llf)
    with pytest.raises(ValueError, match="no standard errors"):
        covariance(fit)
    return found


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # the fit is cut short on purpose
def test_a_unit_that_does_another_ones_work_is_named(network):
    single = network.fit_.likelihood.layout.views(network.fit_.theta)
    y = network.fit_.data.y[:, 0]
    double = RecursiveGLMRegressor((2,), family="poisson", random_state=0, max_iter=2).fit(X, y).fit_
    parts = {
        "hidden1.W": np.repeat(single["hidden1.W"], 2, axis=1),
        "hidden1.b": np.repeat(single["hidden1.b"], 2),
        "output.W": np.repeat(single["output.W"] / 2, 2, axis=0),
        "output.b": single["output.b"],
    }
    same = replace(double, theta=double.likelihood.layout.pack(parts))
    found = refused(same, "hidden1[2] does the work of hidden1[1]")
    assert found.params.notna().all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # fits are cut short on purpose
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l1": 1.0}, "L1 penalty"),
        ({"hidden": (2,), "dropout": 0.2, "max_iter": 2}, "dropout"),
        ({"hidden": (2,), "solver": "adam", "max_iter": 2}, "adam was not run to the optimum"),
        ({"hidden": (2,), "early_stopping": True, "max_iter": 2}, "early stopping"),
    ],
)
def test_fits_that_are_no_optimum_have_no_wald_table(options, message):
    refused(RecursiveGLMRegressor(family="poisson", random_state=0, **options).fit(X, COUNTS).fit_, message)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_unfinished_fits_are_warned_about():
    model = RecursiveGLMRegressor(family="poisson", solver="lbfgs", max_iter=2).fit(X, COUNTS)
    found = model.inference()
    assert any("The score is not near zero" in note for note in found.notes)
    assert found.bse.notna().all()
    assert not RecursiveGLMRegressor(family="poisson").fit(X, COUNTS).inference().notes


def test_large_networks_are_computed_on_request_only(network):
    large = replace(network.fit_, n_rows=10**11)
    assert "on request only" in results(large).refusal
    assert not results(large, "observed").refusal


def test_what_cannot_be_asked_for(network):
    with pytest.raises(ValueError, match="cov='robust' is not known"):
        network.inference("robust")
    with pytest.raises(ValueError, match=r"alpha=1.5 must be between 0 and 1"):
        network.inference().conf_int(1.5)


def test_compositions_of_layers_have_results():
    model = RecursiveGLMRegressor(
        layers=[layers.Select(standardize=True), layers.Dense(1, "tanh")],
        family=families.Poisson(),
        random_state=0,
    ).fit(X, COUNTS)
    assert model.inference().names == ["Intercept", "layer2[1]"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # the fit is cut short on purpose
def test_skip_terms_of_embedded_columns_are_named_by_column_and_level():
    frame = X[["a", "b"]].assign(region=pd.Categorical(np.array(["n", "s", "w"])[CLASSES]))
    model = RecursiveGLMRegressor((1,), skip=True, categorical="embedding", alpha=1.0, max_iter=2, random_state=0)
    fit = model.fit(frame, REAL).fit_
    fit.details.pop("levels", None)
    numbered = ["skip: region[0]", "skip: region[1]", "skip: region[2]", "skip: a", "skip: b"]
    assert results(fit).names == ["Intercept", "hidden1[1]", *numbered]
    named = replace(fit, details=fit.details | {"levels": {"region": ["s", "n", "w"]}})
    assert results(named).names[2:5] == ["skip: region[s]", "skip: region[n]", "skip: region[w]"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # separation is warned about by fit
def test_perfect_fits_have_no_wald_table():
    refused(RecursiveGLMClassifier().fit(X, X["a"] > 0).fit_, "no finite estimates")
    found = results(RecursiveGLMRegressor().fit(X, 1 + 2 * X["a"]).fit_)
    assert "dispersion is zero" in found.refusal
    assert "no degrees of freedom" in results(RecursiveGLMRegressor().fit(X[:3], REAL[:3]).fit_).refusal


def test_shape_parameters_at_the_edge_are_pointed_out():
    even = np.tile([1.0, 2.0], N // 2)  # less dispersed than Poisson
    model = RecursiveGLMRegressor(family="negative_binomial").fit(X, even)
    assert any("alpha has run to the edge of its range" in note for note in model.inference().notes)
