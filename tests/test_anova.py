"""Analysis of deviance against statsmodels, closed forms and refits; tables as LaTeX."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from statsmodels.stats.anova import anova_lm

import reglm
from reglm import RecursiveGLMRegressor

N = 150
RNG = np.random.default_rng(21)
X = pd.DataFrame(RNG.normal(size=(N, 3)), columns=["a", "b", "c"])
FRAME = X.assign(site=np.array(["n", "s", "w"])[RNG.integers(0, 3, N)])
ETA = np.asarray(0.3 + 0.4 * X["a"] - 0.3 * X["b"])
COUNTS = RNG.poisson(np.exp(ETA))
REAL = ETA + RNG.normal(size=N)
POSITIVE = RNG.gamma(3.0, np.exp(ETA) / 3.0)


def fitted(y, columns=("a", "b", "c"), **options):
    return RecursiveGLMRegressor(**options).fit(FRAME[list(columns)], y)


def test_least_squares_is_anova_lm():
    frame = FRAME.assign(y=REAL)
    formulas = ["y ~ a", "y ~ a + b", "y ~ a + b + c + site"]
    expected = anova_lm(*(smf.ols(f, frame).fit() for f in formulas))
    found = reglm.anova(*(fitted(REAL, c) for c in ("a", "ab", ["a", "b", "c", "site"]))).as_frame()
    np.testing.assert_allclose(found["Resid. Dev"], expected["ssr"], rtol=1e-9)
    np.testing.assert_allclose(found["F"], expected["F"], rtol=1e-8)
    # R has the largest model's degrees of freedom in every row, statsmodels each row's own
    np.testing.assert_allclose(found["P>F"][1:], stats.f.sf(expected["F"][1:], [1, 3], N - 6), rtol=1e-7)
    assert found["P>F"].iloc[2] == pytest.approx(expected["Pr(>F)"].iloc[2], rel=1e-7)
    np.testing.assert_allclose(found["Df"], [np.nan, 1, 3])
    back = fitted(REAL, "abc").inference().anova(fitted(REAL, "a")).as_frame()
    assert back["Df"].iloc[1] == -2
    assert back["Deviance"].iloc[1] < 0 < back["F"].iloc[1]


@pytest.mark.parametrize("typ", [1, 3])
def test_terms_of_least_squares_are_those_of_anova_lm(typ):
    frame = FRAME.assign(y=REAL)
    expected = anova_lm(smf.ols("y ~ site + a + b", frame).fit(), typ=typ)
    found = fitted(REAL, ["site", "a", "b"]).inference().anova_table(typ).as_frame()
    for term, name in [("a", "a"), ("b", "b"), ("site", "site")]:
        assert found.loc[term, "Deviance"] == pytest.approx(expected.loc[name, "sum_sq"], rel=1e-7)
        assert found.loc[term, "F"] == pytest.approx(expected.loc[name, "F"], rel=1e-7)
        assert found.loc[term, "P>F"] == pytest.approx(expected.loc[name, "PR(>F)"], rel=1e-6)
    assert found.loc["Residual", "Df"] == expected.loc["Residual", "df"]
    assert found.loc["site", "Df"] == 2


def test_wald_tests_of_least_squares_are_the_same():
    results = fitted(REAL, ["a", "b", "site"]).inference()
    wald, lr = results.anova_table(test="wald").as_frame(), results.anova_table().as_frame()
    np.testing.assert_allclose(wald["F"], lr["F"].iloc[:-1], rtol=1e-7)
    np.testing.assert_allclose(wald["P>F"], lr["P>F"].iloc[:-1], rtol=1e-6)


def test_formula_with_a_product_has_its_own_terms():
    frame = FRAME.assign(y=REAL)
    found = RecursiveGLMRegressor.from_formula("y ~ a * site", frame).inference().anova_table()
    expected = anova_lm(smf.ols("y ~ a * site", frame).fit(), typ=3)
    assert list(found.frame.index) == ["a", "site", "a:site", "Residual"]
    np.testing.assert_allclose(found.frame.loc[["a", "site", "a:site"], "F"], expected["F"].iloc[[2, 1, 3]], rtol=1e-6)
    assert "products" in found.notes[0]


def test_counts_are_the_differences_of_statsmodels_deviances():
    def peer(columns):
        return sm.GLM(COUNTS, sm.add_constant(X[list(columns)]), sm.families.Poisson()).fit()

    full = peer("abc")
    table = fitted(COUNTS, family="poisson").inference().drop1().as_frame()
    for name, rest in [("a", "bc"), ("b", "ac"), ("c", "ab")]:
        part = peer(rest)
        assert table.loc[name, "Deviance"] == pytest.approx(part.deviance, rel=1e-9)
        assert table.loc[name, "AIC"] == pytest.approx(part.aic, rel=1e-9)
        assert table.loc[name, "LR"] == pytest.approx(part.deviance - full.deviance, rel=1e-6)
        assert table.loc[name, "P>chi2"] == pytest.approx(stats.chi2.sf(part.deviance - full.deviance, 1), rel=1e-6)
    assert table.loc["<none>", "AIC"] == pytest.approx(full.aic)
    both = reglm.anova(*(fitted(COUNTS, c, family="poisson") for c in ("a", "abc"))).as_frame()
    assert both["LR"].iloc[1] == pytest.approx(peer("a").deviance - full.deviance, rel=1e-6)


def test_dispersion_is_that_of_the_largest_model():
    fits = [fitted(POSITIVE, c, family="gamma") for c in ("a", "ab", "abc")]
    found = reglm.anova(*fits).as_frame()
    peers = [
        sm.GLM(POSITIVE, sm.add_constant(X[list(c)]), sm.families.Gamma(sm.families.links.Log())).fit()
        for c in ("a", "ab", "abc")
    ]
    F = (peers[0].deviance - peers[1].deviance) / peers[2].scale  # anova(..., test = "F") in R
    assert found["F"].iloc[1] == pytest.approx(F, rel=1e-6)
    assert found["P>F"].iloc[1] == pytest.approx(stats.f.sf(F, 1, N - 4), rel=1e-6)


def test_what_is_not_nested_is_pointed_out():
    other = reglm.anova(fitted(REAL, "a"), fitted(REAL, "bc"))
    assert "not nested" in other.notes[0]
    network = RecursiveGLMRegressor((1,), n_init=2, random_state=0).fit(X, REAL)
    table = reglm.anova(fitted(REAL, "abc"), network)
    assert "skip=True" in table.notes[0]
    assert any("not valid (Davies 1987)" in note for note in table.notes)
    same = reglm.anova(fitted(REAL, "a"), fitted(REAL, "b"))
    assert "as many parameters" in same.notes[0]
    assert np.isnan(same.frame.get("Df", pd.Series([np.nan, 0.0])).iloc[0])
    pipeline = make_pipeline(StandardScaler(), RecursiveGLMRegressor()).fit(X, REAL)
    assert reglm.anova(fitted(REAL, "a"), pipeline).frame["Df"].iloc[1] == 2


def test_networks_drop_all_weights_of_an_input():
    y = np.asarray(2.0 * np.tanh(X["a"] - X["b"]) + 0.3 * RNG.normal(size=N))
    results = RecursiveGLMRegressor((1,), n_init=2, random_state=0).fit(X, y).inference()
    table = results.drop1(n_init=1).as_frame()
    assert set(table["Df"].dropna()) == {1.0}
    assert table.loc["a", "F"] == results.drop_input_test("a", n_init=1).statistic
    wald = results.anova_table(test="wald").as_frame()
    assert wald.loc["a", "F"] == pytest.approx(results.wald_test_input("a").statistic)
    assert (wald["P>F"].drop("c") < 1e-10).all()


def test_aliased_terms_are_left_blank():
    doubled = X.assign(twice=2 * X["a"])
    results = RecursiveGLMRegressor().fit(doubled, REAL).inference()
    table = results.anova_table()
    assert np.isnan(table.frame.loc["twice", "F"])
    assert [note.partition(":")[0] for note in table.notes] == ["a, twice"]  # one note for both
    assert np.isnan(results.anova_table(test="wald").frame.loc["twice", "F"])


def test_errors_name_the_remedy():
    model = fitted(REAL)
    results = model.inference()
    for call, message in [
        (lambda: reglm.anova(model), "two or more"),
        (lambda: reglm.anova(model, 3), "no record of a fit"),
        (lambda: results.anova_table(2), "choose 1"),
        (lambda: results.anova_table(test="rao"), "choose 'lr'"),
        (lambda: reglm.inference.results(replace(model.fit_, data=None)).drop1(), "loaded from a file"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_latex_escapes_names_and_keeps_numbers():
    odd = X.rename(columns={"a": "50%_a&b"})
    results = RecursiveGLMRegressor().fit(odd, REAL).inference()
    source = results.summary().as_latex()
    assert r"50\%\_a\&b & " in source
    assert source.count(r"\begin{tabular}") == source.count(r"\end{tabular}") == 2
    assert r"P\textgreater{}\textbar{}z\textbar{}" in source
    assert "{[0.025}" in source
    for line in source.splitlines():
        assert line.startswith(("\\", "No", "Dep", "{")) or line.endswith(r"\\")
    table = results.drop1()
    assert r"\textless{}none\textgreater{}" in table.as_latex()
    assert (
        "chi2(2)"
        in fitted(COUNTS, family="poisson")
        .inference()
        .lr_test(fitted(COUNTS, "a", family="poisson").inference())
        .as_latex()
    )
    assert r"\toprule" in results.t_test("b = c").as_latex()
    assert "Single term deletions" in str(table)
    assert "&lt;none&gt;" in table._repr_html_()
