"""Importance against scikit-learn and refits made by hand; interactions against the definition."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.inspection import permutation_importance
from sklearn.metrics import make_scorer, mean_poisson_deviance

from reglm import RecursiveGLMRegressor
from reglm.inference import results

N = 150
RNG = np.random.default_rng(9)
X = pd.DataFrame(RNG.normal(size=(N, 3)), columns=["a", "b", "c"])
FRAME = X.assign(region=pd.Categorical(np.array(["n", "s", "w"])[RNG.integers(0, 3, N)]))
MU = np.exp(0.2 + 0.8 * X["a"] - 0.3 * X["b"] + 0.5 * (FRAME["region"] == "s"))
COUNTS = RNG.poisson(MU).astype(float)


@pytest.fixture(scope="module")
def glm():
    return RecursiveGLMRegressor(family="poisson").fit(FRAME, COUNTS)


@pytest.fixture(scope="module")
def product():
    y = X["a"] * X["b"] + X["c"] + 0.05 * RNG.normal(size=N)
    return RecursiveGLMRegressor((4,), n_init=2, random_state=0, alpha=1e-4).fit(X, y)


def test_permutations_agree_with_scikit_learn(glm):
    found = glm.inference().importance(FRAME, COUNTS, repeats=40, seed=1)
    scorer = make_scorer(mean_poisson_deviance, greater_is_better=False)
    expected = permutation_importance(glm, FRAME, COUNTS, scoring=scorer, n_repeats=40, random_state=2)
    for j, name in enumerate(FRAME):
        error = np.hypot(found.loc[name, "sd"], expected.importances_std[j]) / np.sqrt(40)
        assert abs(found.loc[name, "importance"] - expected.importances_mean[j]) < 4 * error
    assert found.index[0] == "a"
    base = mean_poisson_deviance(COUNTS, glm.predict(FRAME))
    np.testing.assert_allclose(found["relative"], found["importance"] / base)
    pd.testing.assert_frame_equal(found, glm.inference().importance(FRAME, COUNTS, repeats=40, seed=1))


def test_one_permutation_by_hand(glm):
    found = glm.inference().importance(FRAME, COUNTS, ["region"], repeats=1, seed=3)
    order = np.random.default_rng(3).permutation(N)
    shuffled = FRAME.assign(region=FRAME["region"].to_numpy()[order])
    shuffled["region"] = shuffled["region"].astype(FRAME["region"].dtype)
    increase = np.subtract(*(mean_poisson_deviance(COUNTS, glm.predict(rows)) for rows in (shuffled, FRAME)))
    np.testing.assert_allclose(found["importance"], increase, rtol=1e-10)
    assert np.isnan(found["sd"]).all()


def test_refits_are_fits_without_the_input(glm):
    found = glm.inference().importance(method="refit")
    full = mean_poisson_deviance(COUNTS, glm.predict(FRAME))
    for name in FRAME:
        small = RecursiveGLMRegressor(family="poisson").fit(FRAME.drop(columns=name), COUNTS)
        increase = mean_poisson_deviance(COUNTS, small.predict(FRAME.drop(columns=name))) - full
        assert found.loc[name, "importance"] == pytest.approx(increase, rel=1e-6)
    fresh = FRAME.iloc[:50]
    found = glm.inference().importance(fresh, COUNTS[:50], ["a"], method="refit")
    small = RecursiveGLMRegressor(family="poisson").fit(FRAME.drop(columns="a"), COUNTS)
    means = small.predict(fresh.drop(columns="a")), glm.predict(fresh)
    increase = np.subtract(*(mean_poisson_deviance(COUNTS[:50], mu) for mu in means))
    assert found.loc["a", "importance"] == pytest.approx(increase, rel=1e-6)


def test_exposure_stays_in_the_means():
    e = RNG.uniform(0.3, 1.0, N)
    y = RNG.poisson(e * MU).astype(float)
    model = RecursiveGLMRegressor(family="poisson").fit(X, y, exposure=e)
    found = model.inference().importance(X, y, exposure=e)
    np.testing.assert_allclose(found, model.inference().importance(), rtol=1e-10)
    named = RecursiveGLMRegressor(family="poisson", exposure="e").fit(X.assign(e=e), y)
    for options in ({}, {"exposure": "e"}):
        np.testing.assert_allclose(found, named.inference().importance(X.assign(e=e), y, **options), rtol=1e-10)


def test_sparse_and_bare_rows():
    dense = RecursiveGLMRegressor(family="poisson").fit(X.to_numpy(), COUNTS)
    thin = RecursiveGLMRegressor(family="poisson").fit(sparse.csr_matrix(X.to_numpy()), COUNTS)
    for method in ("permutation", "refit"):
        expected = dense.inference().importance(method=method)
        for found in (thin.inference(), results(dense.fit_)):
            np.testing.assert_allclose(found.importance(method=method), expected, rtol=1e-4, atol=1e-7)


def test_h_is_its_definition(product):
    rows = X.iloc[:8]
    found = product.inference().h_statistic(rows).set_index(["first", "second"])
    values = rows.to_numpy()

    def dependence(columns):
        f = np.empty(8)
        for i in range(8):
            set_to = values.copy()
            set_to[:, columns] = values[i, columns]
            f[i] = product.predict(pd.DataFrame(set_to, columns=X.columns)).mean()
        return f - f.mean()

    for j, k in ((0, 1), (0, 2), (1, 2)):
        joint = dependence([j, k])
        rest = joint - dependence([j]) - dependence([k])
        line = found.loc[(X.columns[j], X.columns[k])]
        assert line["H"] == pytest.approx(np.sqrt((rest**2).sum() / (joint**2).sum()), rel=1e-8)
        assert line["strength"] == pytest.approx(np.sqrt((rest**2).mean()), rel=1e-8)


def test_the_pair_that_interacts_comes_first(product):
    found = product.inference().h_statistic(X)
    assert found.loc[0, ["first", "second"]].tolist() == ["a", "b"]
    assert found.loc[0, "H"] > 3 * found.loc[1, "H"]


def test_additive_models_have_no_interactions(glm):
    on_link = glm.inference().h_statistic(FRAME)
    assert (on_link["H"] < 1e-7).all()
    assert len(on_link) == 6
    on_response = glm.inference().h_statistic(FRAME, ["a", "region"], scale="response")
    assert on_response.loc[0, "H"] > 0.05


def test_what_cannot_be_asked_for(glm):
    found = glm.inference()
    loaded = results(replace(glm.fit_, refit=None))
    for call, message in (
        (lambda: found.importance(FRAME), "y=None: pass the responses"),
        (lambda: found.importance(FRAME, COUNTS, method="shap"), "method='shap' is not known"),
        (lambda: found.importance(FRAME, COUNTS, repeats=0), "repeats=0 must be 1 or more"),
        (lambda: found.importance(columns=["z"], method="refit"), "input 'z' is not known"),
        (lambda: loaded.importance(method="refit"), "cannot be fitted again"),
        (lambda: found.h_statistic(FRAME, ["a"]), "needs two inputs or more"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
