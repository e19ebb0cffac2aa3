"""Likelihood-ratio tests against statsmodels and closed forms; the bootstrap against known null distributions."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import sparse, stats

from reglm import RecursiveGLMRegressor

N = 200
RNG = np.random.default_rng(9)
X = pd.DataFrame(RNG.normal(size=(N, 3)), columns=["a", "b", "c"])
ETA = np.asarray(0.3 + 0.4 * X["a"] - 0.3 * X["b"])
COUNTS = RNG.poisson(np.exp(ETA))
REAL = ETA + RNG.normal(size=N)
POSITIVE = RNG.gamma(3.0, np.exp(ETA) / 3.0)


def fitted(y, columns=("a", "b", "c"), **options):
    return RecursiveGLMRegressor(**options).fit(X[list(columns)], y).inference()


def test_gaussian_is_the_f_test_of_least_squares():
    expected = sm.OLS(REAL, sm.add_constant(X)).fit().f_test("b = 0, c = 0")
    found = fitted(REAL).lr_test(fitted(REAL, ["a"]))
    assert found.statistic == pytest.approx(float(expected.fvalue), rel=1e-10)
    assert found.pvalue == pytest.approx(float(expected.pvalue), rel=1e-8)
    assert found.reference == "F(2, 196)"
    assert found.notes == ()


def test_poisson_is_the_difference_of_log_likelihoods():
    lls = [sm.GLM(COUNTS, sm.add_constant(X[c]), sm.families.Poisson()).fit().llf for c in (["a", "b", "c"], ["a"])]
    found = fitted(COUNTS, family="poisson").lr_test(fitted(COUNTS, ["a"], family="poisson").fit)
    assert found.statistic == pytest.approx(2 * (lls[0] - lls[1]), rel=1e-8)
    assert found.pvalue == pytest.approx(stats.chi2.sf(found.statistic, 2), rel=1e-12)
    assert "chi2(2)" in str(found)
    assert "chi2(2)" in found._repr_html_()


def test_gamma_is_the_scaled_difference_of_deviances():
    link = sm.families.links.Log()
    full, part = (
        sm.GLM(POSITIVE, sm.add_constant(X[c]), sm.families.Gamma(link)).fit() for c in (["a", "b", "c"], ["a"])
    )
    F = (part.deviance - full.deviance) / 2 / full.scale  # anova(part, full, test = "F") in R
    found = fitted(POSITIVE, family="gamma").lr_test(fitted(POSITIVE, ["a"], family="gamma"))
    assert found.statistic == pytest.approx(F, rel=1e-7)
    assert found.pvalue == pytest.approx(stats.f.sf(F, 2, 196), rel=1e-6)
    given = fitted(POSITIVE, family="gamma", dispersion=0.5).lr_test(
        fitted(POSITIVE, ["a"], family="gamma", dispersion=0.5)
    )
    assert given.statistic == pytest.approx((part.deviance - full.deviance) / 0.5, rel=1e-7)
    assert given.distribution == "chi2"


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_dropping_an_input_is_the_fit_without_it(family):
    y = REAL if family == "gaussian" else COUNTS
    full = fitted(y, family=family)
    expected, found = full.lr_test(fitted(y, ["a", "c"], family=family)), full.drop_input_test("b")
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-7)
    assert found.df == expected.df
    rows = RecursiveGLMRegressor(family=family).fit(sparse.csr_matrix(X.to_numpy()), y).inference()
    assert rows.drop_input_test("x1").statistic == pytest.approx(expected.statistic, rel=1e-5)


def test_dropping_a_factor_takes_all_of_its_levels():
    frame = X.assign(region=pd.Categorical(np.array(["n", "s", "w"])[RNG.integers(0, 3, N)]))
    full = RecursiveGLMRegressor(family="poisson").fit(frame, COUNTS).inference()
    found = full.drop_input_test("region")
    assert found.df == 2
    assert found.statistic == pytest.approx(full.lr_test(fitted(COUNTS, family="poisson")).statistic, rel=1e-6)


@pytest.fixture(scope="module")
def units():
    """Responses of one tanh unit of a and b, and fits with one unit and with two."""
    rng = np.random.default_rng(2)
    y = np.asarray(1.5 * np.tanh(1.5 * X["a"] - X["b"]) + 0.5 * rng.normal(size=N))
    return y, *(RecursiveGLMRegressor((k,), n_init=3, random_state=0).fit(X, y).inference() for k in (1, 2))


def test_inputs_of_a_network(units):
    y, one, two = units
    none, strong = one.drop_input_test("c"), one.drop_input_test("a")
    assert none.df == strong.df == (1, N - 6)
    assert two.drop_input_test("c", n_init=1).df == (2, N - 11)
    assert none.pvalue > 0.01
    assert strong.pvalue < 1e-10
    without = RecursiveGLMRegressor((1,), n_init=3, random_state=1).fit(X[["a", "b"]], y).fit_
    assert none.statistic == pytest.approx((without.deviance - one.deviance) / one.scale, rel=1e-6)


def test_dropping_units_is_flagged_and_bootstrapped(units):
    y, one, two = units
    found = two.lr_test(one)
    assert "not valid" in found.notes[0]
    boot = two.lr_test(one, bootstrap=4, n_init=1, seed=4)
    assert boot.statistic == found.statistic
    assert boot.distribution == "bootstrap"
    assert not any("not valid" in note for note in boot.notes)
    again = two.lr_test(one, bootstrap=4, n_init=1, seed=4, n_jobs=2)
    assert again.pvalue == boot.pvalue
    linear = RecursiveGLMRegressor().fit(X, y).inference()
    assert one.lr_test(linear, bootstrap=9, n_init=1).pvalue == 1 / 10


def test_the_bootstrap_agrees_where_the_reference_is_valid(capsys):
    full, part = fitted(COUNTS, family="poisson"), fitted(COUNTS, ["a", "b"], family="poisson")
    exact, boot = full.lr_test(part), full.lr_test(part, bootstrap=59, verbose=1)
    assert boot.pvalue == pytest.approx(exact.pvalue, abs=3 * np.sqrt(exact.pvalue * (1 - exact.pvalue) / 59) + 0.01)
    assert "bootstrap" in capsys.readouterr().out


def test_what_cannot_be_tested():
    full, part = fitted(COUNTS, family="poisson"), fitted(COUNTS, ["a"], family="poisson")
    quasi = [fitted(COUNTS, c, family="quasi_poisson") for c in (["a", "b"], ["a"])]
    assert quasi[0].lr_test(quasi[1]).distribution == "F"
    weighted = [
        RecursiveGLMRegressor(family="poisson").fit(X[c], COUNTS, sample_weight=np.full(N, 2.0)).inference()
        for c in (["a", "b"], ["a"])
    ]
    for call, message in [
        (lambda: part.lr_test(full), "exchange them"),
        (lambda: full.lr_test(fitted(REAL, ["a"])), "needs the same ones"),
        (lambda: full.lr_test(fitted(COUNTS + 1, ["a"], family="poisson")), "y of the two fits differ"),
        (lambda: full.lr_test(replace(part.fit, data=None)), "loaded from a file"),
        (lambda: full.lr_test(part, bootstrap=-1), "bootstrap=-1 must be at least 1"),
        (lambda: quasi[0].lr_test(quasi[1], bootstrap=9), "no distribution to draw responses from"),
        (lambda: weighted[0].lr_test(weighted[1], bootstrap=9), "give each its own row"),
        (lambda: full.lr_test(replace(part.fit, refit=None), bootstrap=9), "the bootstrap refits both models"),
        (lambda: full.drop_input_test("z"), "input 'z' is not known; the inputs are a, b, c"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_penalties_are_pointed_out():
    full, part = (fitted(REAL, c, alpha=1.0) for c in (["a", "b"], ["a"]))
    assert "penalised" in full.lr_test(part).notes[0]


@pytest.mark.parametrize("alpha", [1e-3, 0.5])
def test_degrees_of_freedom_do_not_depend_on_the_units_of_an_input(alpha):
    wide = X.assign(a=40.0 + 12.0 * X["a"], b=3.0 + 0.01 * X["b"])
    found = RecursiveGLMRegressor((2,), family="poisson", alpha=alpha, random_state=0).fit(wide, COUNTS).inference()
    assert [found.drop_input_test(name, n_init=1).df for name in wide] == [2, 2, 2]


def test_inputs_of_a_penalised_linear_model_have_their_degrees_of_freedom():
    found = fitted(COUNTS, family="poisson", alpha=2.0).drop_input_test("c")
    assert found.df == 1
    assert "penalised" in found.notes[0]
