"""Wald tests against statsmodels and quadratic forms written out; names of parameters; hypotheses as text."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from network_cases import LAYERS, label, make, single
from network_cases import X as WIDE
from scipy import stats
from statsmodels.stats.multitest import multipletests

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor, layers
from reglm.inference import results
from reglm.inference.hypotheses import read, without_input
from reglm.record import Fit

N = 150
RNG = np.random.default_rng(8)
X = pd.DataFrame(RNG.normal(size=(N, 3)), columns=["x1", "x2", "x10"])
REGION = pd.Categorical(RNG.choice(["n", "s", "w"], N))
FRAME = X.assign(region=REGION)
REAL = 1 + 0.3 * X["x1"] + RNG.normal(size=N)
COUNTS = RNG.poisson(np.exp(0.3 + 0.5 * np.tanh(X["x1"] - X["x2"])))
ONE = {"embedding_dim": 1, "random_state": 0}  # coordinates could be rotated into one another
LEVELS = np.array([0.0, 1.0, -0.5])[REGION.codes]
NETWORK_COUNTS = RNG.poisson(np.exp(0.3 + np.tanh(X["x1"] - X["x2"] + LEVELS) + 0.5 * LEVELS))
TEXTS = ["x1 = x2, x10 = 0", "x1 + 2*x2 = 0.5", "Intercept = 1", "(x1 - x2) / 2, x10 = -0.1"]
THEIRS = ["x1 = x2, x10 = 0", "x1 + 2*x2 = 0.5", "const = 1", "0.5*x1 - 0.5*x2 = 0, x10 = -0.1"]


@pytest.fixture(scope="module")
def poisson():
    return RecursiveGLMRegressor(family="poisson").fit(X, COUNTS).inference()


@pytest.fixture(scope="module")
def network():
    model = RecursiveGLMRegressor((2,), family="poisson", alpha=0.1, skip=True, categorical="embedding", **ONE)
    return model.fit(FRAME, NETWORK_COUNTS).inference()


# -- against statsmodels ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("ours", "theirs"), list(zip(TEXTS, THEIRS, strict=True)))
def test_wald_tests_of_statsmodels(poisson, ours, theirs):
    peer = sm.GLM(COUNTS, sm.add_constant(X), sm.families.Poisson()).fit(tol=1e-14)
    expected, found = peer.wald_test(theirs, scalar=True), poisson.wald_test(ours)
    assert found.statistic == pytest.approx(float(expected.statistic), rel=1e-8)
    assert found.pvalue == pytest.approx(float(expected.pvalue), rel=1e-7)
    assert (found.distribution, found.df) == ("chi2", expected.df_denom)
    single_tests, lines = peer.t_test(theirs), poisson.t_test(ours)
    np.testing.assert_allclose(lines.effect, single_tests.effect, rtol=1e-8)
    np.testing.assert_allclose(lines.sd, np.ravel(single_tests.sd), rtol=1e-8)
    np.testing.assert_allclose(lines.tvalue, np.ravel(single_tests.tvalue), rtol=1e-7)
    np.testing.assert_allclose(lines.pvalue, np.ravel(single_tests.pvalue), rtol=1e-7)
    np.testing.assert_allclose(lines.conf_int(), single_tests.conf_int(), rtol=1e-8)


def test_least_squares_has_an_f_test():
    peer = sm.OLS(REAL, sm.add_constant(X)).fit()
    found = RecursiveGLMRegressor().fit(X, REAL).inference(use_t=True)
    R = np.array([[0, 1, -1, 0], [0, 0, 0, 2.0]])
    expected, test = peer.f_test((R, [0, 0.1])), found.wald_test(R, [0, 0.1])
    assert (test.distribution, test.df) == ("F", (2.0, N - 4.0))
    assert test.statistic == pytest.approx(float(expected.fvalue), rel=1e-9)
    assert test.pvalue == pytest.approx(float(expected.pvalue), rel=1e-8)
    assert found.wald_test(R, [0, 0.1], use_f=False).statistic == pytest.approx(2 * test.statistic, rel=1e-12)
    lines = found.t_test("x1 = 0.2")
    np.testing.assert_allclose(lines.pvalue, peer.t_test("x1 = 0.2").pvalue, rtol=1e-8)


def test_clusters_are_the_denominator():
    groups = np.arange(N) % 12
    peer = sm.OLS(REAL, sm.add_constant(X)).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    found = RecursiveGLMRegressor().fit(X, REAL).inference("cluster", use_t=True, groups=groups)
    expected, test = peer.f_test("x1 = 0, x2 = 0"), found.wald_test("x1 = 0, x2 = 0")
    assert test.df == (2.0, 11.0)
    assert test.statistic == pytest.approx(float(expected.fvalue), rel=1e-9)
    assert test.pvalue == pytest.approx(float(expected.pvalue), rel=1e-8)


def test_inputs_of_a_formula_one_by_one():
    import statsmodels.formula.api as smf

    frame = FRAME.assign(y=COUNTS)
    peer = smf.glm("y ~ x1 + x2 + region", frame, family=sm.families.Poisson()).fit(tol=1e-14)
    expected = peer.wald_test_terms(scalar=True).summary_frame().drop("Intercept")
    found = RecursiveGLMRegressor(family="poisson").fit(FRAME[["x1", "x2", "region"]], COUNTS).inference()
    table = found.wald_test_terms().loc[expected.index]
    np.testing.assert_allclose(table["statistic"], expected["chi2"].astype(float), rtol=1e-7)
    np.testing.assert_allclose(table["pvalue"], expected["P>chi2"].astype(float), rtol=1e-6)
    assert table["df"].tolist() == expected["df constraint"].tolist()


def test_corrections_for_several_tests(poisson):
    slopes = ["x1", "x2", "x10"]
    for method in ("holm", "fdr_bh"):
        expected = multipletests(poisson.pvalues[slopes], method=method)[1]
        np.testing.assert_allclose(poisson.pvalues_adjusted(method), expected, rtol=1e-12)
    two = poisson.pvalues_adjusted("bonferroni", ["x1", "x2"])
    np.testing.assert_allclose(two, np.minimum(1, 2 * poisson.pvalues[["x1", "x2"]]), rtol=1e-12)


# -- networks ---------------------------------------------------------------------------------------------


def quadratic_form(found, positions):
    d, V = found.theta[positions], found.cov_theta()[np.ix_(positions, positions)]
    return d @ np.linalg.solve(V, d)


def test_an_input_of_a_network_is_all_the_weights_that_take_it_up(network):
    names = network.theta_names()
    assert len(set(names)) == len(names) == len(network.theta)
    own = [names.index(f"hidden1.W[x1, {j}]") for j in (1, 2)] + [names.index("skip.numeric.linear.W[x1, 1]")]
    test = network.wald_test_input("x1")
    assert test.statistic == pytest.approx(quadratic_form(network, own), rel=1e-8)
    assert (test.df, test.pvalue) == (3.0, stats.chi2.sf(test.statistic, 3))
    assert network.wald_test(list(test.labels)).statistic == pytest.approx(test.statistic, rel=1e-10)
    # an embedded factor: weights of its coordinate, and two differences between its three levels
    region = network.wald_test_input("region")
    assert region.df == 4.0
    assert region.labels[-1] == "skip.embedding.E[region[n], 1] = skip.embedding.E[region[w], 1]"
    assert network.wald_test(list(region.labels)).statistic == pytest.approx(region.statistic, rel=1e-10)


def test_units_can_be_compared_by_any_of_their_names(network):
    one = network.wald_test("hidden1[1] = hidden1[2], `skip: x1` = 0")
    other = network.wald_test("output.W[hidden1[1], 1] = output.W[hidden1[2], 1], skip.numeric.linear.W[x1, 1] = 0")
    assert one.statistic == pytest.approx(other.statistic, rel=1e-12)
    R = np.zeros((1, len(network.theta)))
    R[0, network.theta_names().index("hidden1.b[1]")] = 1.0
    assert network.wald_test(R).pvalue == pytest.approx(network.wald_test("hidden1.b[1]").pvalue, rel=1e-12)


def test_the_only_input_of_a_network_is_warned_about():
    model = RecursiveGLMRegressor((1,), family="poisson", alpha=0.1, random_state=0).fit(X[["x1"]], COUNTS)
    assert "only input" in model.inference().wald_test_input("x1").notes[0]


def test_shape_parameters_are_tested_on_their_natural_scale():
    y = RNG.negative_binomial(2, 0.4, N)
    found = RecursiveGLMRegressor(family="negative_binomial").fit(X, y).inference()
    test = found.wald_test("alpha = 1")
    assert test.statistic == pytest.approx(((found.params["alpha"] - 1) / found.bse["alpha"]) ** 2, rel=1e-10)


@pytest.mark.parametrize("layer", LAYERS, ids=label)
def test_weights_that_take_an_input_up_hold_all_of_its_effect(layer):
    """Zero the weights of the test of an input: eta no longer depends on it."""
    if isinstance(layer, layers.Residual):
        layer = layers.Residual((layers.Dense(5, "tanh"),))
    lik, theta, data = make(single(layer))
    fit = Fit(
        lik, theta, data, 1.0, "fixed", 0 * theta, 0 * theta, "", True, "", 1, 0.0, 20, 20.0, input_names=list("abcde")
    )
    for j in (0, 3):
        try:
            R = without_input(fit, [j], "abcde"[j]).R
        except ValueError as problem:
            reason = str(problem)
            mixes = isinstance(layer, layers.RBF | layers.Embedding | layers.Ordered)
            assert "enters no weight" in reason or (mixes and "mixed with other inputs" in reason)
            continue
        free = theta.copy()
        for row in R:
            free[row > 0] = free[row < 0] if (row < 0).any() else 0.0
        moved = WIDE.copy()
        moved[:, j] = moved[::-1, j]
        np.testing.assert_allclose(lik.eta(free, moved), lik.eta(free, WIDE), rtol=1e-12, atol=1e-12)
        assert not np.allclose(lik.eta(theta, moved), lik.eta(theta, WIDE))


# -- text -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "R", "r"),
    [
        ("a", [[1, 0, 0]], [0]),
        ("a = b = 2", [[1, -1, 0], [0, 1, 0]], [0, 2]),
        ("2*(a - b)/4 + 1e-1 = -u[1, 2]", [[0.5, -0.5, 1]], [-0.1]),
        ("`u[1, 2]` = 3, b*2 = a", [[0, 0, 1], [-1, 2, 0]], [3, 0]),
    ],
)
def test_what_text_means(text, R, r):
    found = read(text, ["a", "b", "u[1, 2]"])
    np.testing.assert_allclose(found.R, R)
    np.testing.assert_allclose(found.r, r, atol=1e-15)


@pytest.mark.parametrize("text", ["a * b", "a +", "c = 0", "a / b", "a == b", "__import__('os')", "a[0]", ""])
def test_text_that_cannot_be_read(text):
    with pytest.raises(ValueError, match="cannot be read as linear in the parameters, which are a, b"):
        read(text, ["a", "b"])


def test_text_without_parameters():
    with pytest.raises(ValueError, match="'a - a = 0' holds no parameter"):
        read("a - a", ["a", "b"])


def test_several_classes_are_named():
    found = RecursiveGLMClassifier().fit(X, np.array(["u", "v", "w"])[RNG.integers(0, 3, N)]).inference()
    assert found.wald_test("v: x1 = w: x1").df == 1.0
    assert found.wald_test_input("x1").df == 2.0


# -- what cannot be tested --------------------------------------------------------------------------------


def test_redundant_and_contradictory_hypotheses(poisson):
    test = poisson.wald_test("x1 = 0, x2 = 0, x1 = x2")
    assert test.df == 2.0
    assert "Only 2 of 3 hypotheses are independent" in str(test)
    assert test.statistic == pytest.approx(poisson.wald_test("x1 = 0, x2 = 0").statistic, rel=1e-8)
    with pytest.raises(ValueError, match="contradict"):
        poisson.wald_test("x1 = 0, x1 = 1")


def test_reasons_are_given(poisson):
    with pytest.raises(ValueError, match="needs 4"):
        poisson.wald_test(np.eye(3))
    with pytest.raises(ValueError, match="input 'z' is not known"):
        poisson.wald_test_input("z")
    aliased = RecursiveGLMRegressor().fit(X.assign(twin=X["x1"]), REAL).inference()
    with pytest.raises(ValueError, match="'twin' is not estimable"):
        aliased.wald_test("twin = 0")
    with pytest.raises(ValueError, match="not estimable"):
        aliased.wald_test_input("twin")
    refused = results(RecursiveGLMRegressor(l1=1.0).fit(X, REAL).fit_)
    with pytest.raises(ValueError, match="no standard errors: the L1 penalty"):
        refused.wald_test("x1 = 0")


def test_tests_are_printed_and_escaped(poisson):
    test = poisson.wald_test("x1 = x2")
    assert "x1 = x2: statistic" in str(test)
    assert list(test.as_frame().columns) == ["statistic", "df", "distribution", "pvalue"]
    lines = poisson.t_test("x1, x2 = 1")
    assert lines.as_frame().index.tolist() == ["x1 = 0", "x2 = 1"]
    assert "<th>x2 = 1</th>" in lines._repr_html_()
    assert "std err" in str(lines)
