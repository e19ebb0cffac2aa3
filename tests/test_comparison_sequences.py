"""Models of sequences side by side: densities of rows and responses, judged on whole held-out sequences."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold

import reglm
from reglm import EchoStateNetwork, LinearGaussianSSM, RecurrentGLM, RecursiveGLMRegressor
from reglm.comparison import Autoregression

SMALL = EchoStateNetwork(10, alphas=8, washout=0, random_state=0)


def series(count=12, seed=0):
    """Autoregressions of unequal length, and their names."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(15, 40, count)
    parts = []
    for n in lengths:
        x, e = np.zeros(n), rng.normal(size=n)
        x[0] = 1.6 * e[0]
        for t in range(1, n):
            x[t] = 0.8 * x[t - 1] + e[t]
        parts.append(x)
    return np.concatenate(parts)[:, None], np.repeat([f"s{i}" for i in range(count)], lengths), lengths


def test_an_autoregression_is_a_regression_on_lags():
    x, groups, lengths = series(2)
    model = Autoregression(RecursiveGLMRegressor(), order=1).fit(x, groups=groups)
    lag = np.r_[x.mean(), x[:-1, 0]]
    lag[lengths[0]] = x.mean()
    line = sm.OLS(x[:, 0], sm.add_constant(lag)).fit()
    np.testing.assert_allclose(model.predict(x, groups=groups)[:, 0], line.fittedvalues, rtol=1e-8)
    rows = stats.norm.logpdf(x[:, 0], line.fittedvalues, np.sqrt(line.scale))
    expected = [rows[: lengths[0]].sum(), rows[lengths[0] :].sum()]
    np.testing.assert_allclose(model.logpdf(x, groups=groups), expected, rtol=1e-8)
    assert model.score(x, lengths=lengths) == pytest.approx(rows.mean())
    two = Autoregression(RecursiveGLMRegressor(), order=2).fit(np.hstack([x, -x + 0.1 * x**2]), lengths=lengths)
    assert two.predict(np.hstack([x, -x]), lengths=lengths).shape == (len(x), 2)
    assert two.estimators_[0].coef_.shape == (4,)


def test_independent_rows_have_the_training_rows_distribution():
    x, _, _ = series(2)
    found = Autoregression(RecursiveGLMRegressor(), order=0).fit(x).logpdf(x)
    assert found[0] == pytest.approx(stats.norm.logpdf(x, x.mean(), x.std(ddof=1)).sum())


def test_densities_are_compared_on_held_out_sequences():
    x, groups, lengths = series()
    models = {"lines": Autoregression(RecursiveGLMRegressor()), "echo": SMALL}
    result = reglm.compare(models, x, groups=groups, cv=3)
    assert result.log_density.index.name == "sequence"
    assert sorted(result.log_density.index) == sorted(set(groups))
    found = pd.DataFrame(index=np.unique(groups), columns=["lines", "echo"], dtype=float)
    for train, test in GroupKFold(3, shuffle=True, random_state=0).split(x, groups=groups):
        names = pd.unique(groups[test])
        for name, model in models.items():
            fit = reglm_clone(model).fit(x[train], groups=groups[train])
            found.loc[names, name] = fit.logpdf(x[test], groups=groups[test])
    sizes = pd.Series(groups).value_counts()[result.log_density.index]
    expected = found.loc[result.log_density.index].div(sizes, axis=0)
    np.testing.assert_allclose(result.log_density[["lines", "echo"]], expected, rtol=1e-9)
    np.testing.assert_array_equal(result.weights, sizes)
    assert result.as_frame().loc["lines", "log_score"] == pytest.approx(found["lines"].sum() / len(x))
    assert result.ranking[-1] == "null"
    assert "12 held-out sequences: log score, differences" in str(result)
    lists = reglm.compare(models, x, lengths=lengths, cv=3)
    assert sorted(lists.log_density.index) == list(range(12))


def reglm_clone(model):
    return type(model)(**model.get_params(deep=False))


def test_errors_of_differences_are_those_of_a_mean_over_rows_clustered_by_sequence():
    x, groups, _ = series()
    models = {"lines": Autoregression(RecursiveGLMRegressor()), "two": Autoregression(RecursiveGLMRegressor(), 2)}
    result = reglm.compare(models, x, groups=groups, cv=3)
    d = (result.log_density["two"] - result.log_density["lines"]).to_numpy()
    sizes = result.weights.astype(int)
    rows, clusters = np.repeat(d, sizes), np.repeat(np.arange(len(d)), sizes)
    robust = sm.OLS(rows, np.ones(len(rows))).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "df_correction": False}
    )
    line = result.differences(to="lines").loc["two"]
    assert line["difference"] == pytest.approx(robust.params[0])
    assert line["se"] == pytest.approx(robust.bse[0])


def test_responses_of_sequences_beside_ordinary_regressions():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(8), 25)
    X = rng.normal(size=(200, 1))
    before = np.where(np.r_[True, np.diff(groups) != 0], 0.0, np.r_[0.0, X[:-1, 0]])
    y = X[:, 0] + before + 0.3 * rng.normal(size=200)
    models = {"line": LinearRegression(), "glm": RecursiveGLMRegressor(), "echo": SMALL}
    result = reglm.compare(models, X, y, groups=groups, cv=4)
    assert result.ranking[0] == "echo"
    line = reglm.compare({"line": LinearRegression(), "glm": RecursiveGLMRegressor()}, X, y, groups=groups, cv=4)
    for score in ("log_score", "deviance"):  # the same rows, summed up by sequence
        for name in ("line", "glm"):
            both = [table.as_frame().loc[name, score] for table in (result, line)]
            assert both[0] == pytest.approx(both[1], rel=1e-9)
    one, other = (table.differences("deviance", to="line").loc["glm", "se"] for table in (result, line))
    assert one == pytest.approx(other, rel=1e-6, abs=1e-12)


def test_vectors_of_bernoullis():
    bunch = reglm.datasets.simulate_polyphony(6, 20, 12, seed=2)
    keys = bunch.data.assign(never=0.0)
    models = {"lines": Autoregression(RecursiveGLMRegressor(family="bernoulli", alpha=1.0))}
    result = reglm.compare(models, keys, lengths=bunch.lengths, cv=2, family="bernoulli")
    assert np.isfinite(result.log_density.to_numpy()).all()
    assert result.ranking == ["lines", "null"]
    never = Autoregression(RecursiveGLMRegressor(family="bernoulli"), order=0).fit(keys[["never"]])
    np.testing.assert_allclose(never.predict(keys[["never"]]), 0.5 / (len(keys) + 1))


def test_a_single_held_out_sequence_has_no_standard_error():
    x, groups, lengths = series(3)
    folds = [(np.arange(lengths[:2].sum()), np.arange(lengths[:2].sum(), len(x)))]
    result = reglm.compare({"lines": Autoregression(RecursiveGLMRegressor())}, x, groups=groups, cv=folds)
    assert np.isnan(result.differences().loc["null", "se"])


def test_what_cannot_be_compared():
    x, groups, lengths = series(4)
    models = {"echo": SMALL}
    with pytest.raises(ValueError, match="pass groups, or lengths"):
        reglm.compare(models, x)
    with pytest.raises(ValueError, match="both given"):
        reglm.compare(models, x, groups=groups, lengths=lengths)
    with pytest.raises(ValueError, match="wrap a regression in"):
        reglm.compare(models | {"line": LinearRegression()}, x, groups=groups)
    with pytest.raises(ValueError, match="sample_weight and exposure"):
        reglm.compare(models, x, groups=groups, sample_weight=np.ones(len(x)))
    with pytest.raises(ValueError, match="cuts the sequence 's0'"):
        reglm.compare(models, x, groups=groups, cv=[(np.arange(5), np.arange(5, len(x)))])
    with pytest.raises(ValueError, match="order=-1"):
        Autoregression(RecursiveGLMRegressor(), order=-1).fit(x)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_state_space_models_side_by_side():
    x, groups, _ = series(4)
    models = {
        "kalman": LinearGaussianSSM(max_iter=3),
        "recurrent": RecurrentGLM("elman", 1, max_iter=3, random_state=0),
    }
    result = reglm.compare(models, x, groups=groups, cv=2)
    assert set(result.ranking) == {*models, "null"}
    assert np.isfinite(result.log_density[list(models)].to_numpy()).all()
