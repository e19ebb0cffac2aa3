"""The comparison of models on held-out rows."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.dummy import DummyRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, RidgeCV
from sklearn.metrics import log_loss, mean_poisson_deviance
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import reglm
from reglm import KernelDualClassifier, KernelDualRegressor, RecursiveGLMClassifier, RecursiveGLMRegressor, datasets


def test_deviances_are_those_of_cross_validated_predictions():
    data = datasets.load_randhie()
    X, y = data.data[::40], data.target[::40]
    model = PoissonRegressor(alpha=0.1, max_iter=1000)
    table = reglm.compare({"glm": model}, X, y, family="poisson", cv=4, random_state=1).as_frame()
    table = table.loc[["null", "glm"]]
    folds = KFold(4, shuffle=True, random_state=1)
    deviance = {
        name: mean_poisson_deviance(y, cross_val_predict(m, X, y, cv=folds))
        for name, m in {"null": DummyRegressor(), "glm": model}.items()
    }
    np.testing.assert_allclose(table["deviance"], list(deviance.values()))
    np.testing.assert_allclose(table["d2"], [0.0, 1.0 - deviance["glm"] / deviance["null"]], atol=1e-15)
    assert (table["seconds"] > 0).all()
    assert not hasattr(model, "coef_")


def test_classifiers_are_judged_by_their_probabilities():
    X, y = load_iris(return_X_y=True)
    theirs = LogisticRegression(C=1.0, max_iter=1000)
    models = {"ours": RecursiveGLMClassifier(alpha=1.0), "kernel": KernelDualClassifier(alpha=1.0), "theirs": theirs}
    table = reglm.compare(models, X, y, cv=3).as_frame()
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    shares = cross_val_predict(models["theirs"], X, y, cv=folds, method="predict_proba")
    np.testing.assert_allclose(table.loc["theirs", "deviance"], 2 * log_loss(y, shares))
    np.testing.assert_allclose(table.loc["theirs", "log_score"], -log_loss(y, shares))
    assert sorted(table.index) == ["kernel", "null", "ours", "theirs"]
    assert table.index[-1] == "null"
    np.testing.assert_allclose(table.loc["null", "deviance"], 2 * np.log(3), rtol=1e-2)


def test_folds_and_null_model_of_ones_own():
    data = datasets.simulate_claims(1000, seed=0)
    rate = RecursiveGLMRegressor(family="poisson", exposure="exposure", formula="claims ~ 1")
    glm = RecursiveGLMRegressor(family="poisson", exposure="exposure")
    rows = np.arange(1000)
    folds = [(rows[500:], rows[:500]), (rows[:500], rows[500:])]
    null = make_pipeline(ColumnTransformer([("years", "passthrough", ["exposure"])]), clone(glm))
    null[0].set_output(transform="pandas").set_params(verbose_feature_names_out=False)
    table = reglm.compare({"glm": glm}, data.data, data.target, family="poisson", cv=folds, null=null).as_frame()
    total = 0.0
    for train, test in folds:
        mu = rate.fit(data.frame.iloc[train]).predict(data.frame.iloc[test])
        total += mean_poisson_deviance(data.target.iloc[test], mu) / 2
    np.testing.assert_allclose(table.loc["null", "deviance"], total, rtol=1e-4)


@pytest.mark.parametrize(
    ("models", "options", "message"),
    [
        ({}, {}, "at least one estimator"),
        ({"null": LinearRegression()}, {}, "none of them 'null'"),
        ({"a": LinearRegression(), "b": LogisticRegression()}, {}, "both regressors and classifiers"),
        ({"line": LinearRegression()}, {"family": "poisson"}, "model 'line' cannot be scored"),
    ],
)
def test_errors(models, options, message):
    X = np.linspace(0, 10, 30)[:, None]
    y = np.maximum(X[:, 0] - 5, 0).round()  # a line is negative somewhere
    with pytest.raises(ValueError, match=message):
        reglm.compare(models, X, y, **options)


def simulated(n=120, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    return X, np.sin(2 * X[:, 0]) + 0.3 * X[:, 1] + 0.3 * rng.normal(size=n)


def test_log_scores_and_errors_of_differences():
    X, y = simulated()
    ours, theirs = KernelDualRegressor(), make_pipeline(StandardScaler(), KernelRidge(kernel="rbf", alpha=0.1))
    result = reglm.compare({"ours": ours, "theirs": theirs}, X, y, cv=3, plug_in="training")
    density = np.zeros((2, len(y)))
    for train, test in KFold(3, shuffle=True, random_state=0).split(X):
        density[0, test] = clone(ours).fit(X[train], y[train]).logpdf(X[test], y[test])
        fit = clone(theirs).fit(X[train], y[train])
        scale = np.sqrt(np.mean((y[train] - fit.predict(X[train])) ** 2))
        density[1, test] = stats.norm.logpdf(y[test], fit.predict(X[test]), scale)
    found = result.log_density.sort_index()[["ours", "theirs"]]
    np.testing.assert_allclose(found.T, density, rtol=1e-10)
    d = density[1] - density[0]
    line = result.differences(to="ours").loc["theirs"]
    np.testing.assert_allclose(line[["difference", "se"]].tolist(), [d.mean(), stats.sem(d)], rtol=1e-9)
    interval = stats.norm.interval(0.95, d.mean(), stats.sem(d))
    np.testing.assert_allclose(line[["low", "high"]].tolist(), interval, rtol=1e-9)
    edf = [clone(ours).fit(X[a], y[a]).edf_ for a, _ in KFold(3, shuffle=True, random_state=0).split(X)]
    np.testing.assert_allclose(result.fits.loc["ours", "parameters"], np.mean(edf))


def test_plug_in_variance_from_inner_folds():
    X, y = simulated(60)
    rows = np.arange(60)
    result = reglm.compare({"line": LinearRegression()}, X, y, cv=[(rows[:40], rows[40:])])
    train, test = rows[:40], rows[40:]
    inner = KFold(5, shuffle=True, random_state=0)
    residuals = y[train] - cross_val_predict(LinearRegression(), X[train], y[train], cv=inner)
    mu = LinearRegression().fit(X[train], y[train]).predict(X[test])
    density = stats.norm.logpdf(y[test], mu, np.sqrt(np.mean(residuals**2)))
    np.testing.assert_allclose(result.log_density["line"], density)
    assert "'line'" in str(result)
    assert "residuals cross-validated" in result.as_latex()


def test_groups_are_clusters():
    X, y = simulated()
    groups = np.repeat(np.arange(40), 3)
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(person=groups)
    models = {"line": LinearRegression(), "ridge": RidgeCV([50.0])}
    result = reglm.compare(models, frame, y, groups="person")
    again = reglm.compare(models, X, y, cv=GroupKFold(5, shuffle=True, random_state=0), groups=groups)
    np.testing.assert_allclose(result.deviance, again.deviance, rtol=1e-12)
    d = (result.deviance["ridge"] - result.deviance["line"]).sort_index().to_numpy()
    robust = sm.OLS(d, np.ones(len(d))).fit(cov_type="cluster", cov_kwds={"groups": groups})
    expected = float(robust.bse[0])
    np.testing.assert_allclose(result.differences("deviance", to="line").loc["ridge", "se"], expected, rtol=1e-9)


def test_rows_held_out_repeatedly_are_one_cluster():
    X, y = simulated(40)
    once, twice = (list(KFold(4, shuffle=True, random_state=1).split(X)) * k for k in (1, 2))
    models = {"line": LinearRegression(), "kernel": KernelRidge(kernel="rbf")}
    tables = [reglm.compare(models, X, y, cv=folds).differences() for folds in (once, twice)]
    pd.testing.assert_frame_equal(*tables, rtol=1e-9)


def test_weights_count_copies():
    X, y = simulated(40)
    w = np.random.default_rng(1).integers(1, 4, size=40)
    rows, copies = np.arange(40), np.repeat(np.arange(40), w)
    train = np.arange(len(copies))[copies < 25], np.arange(len(copies))[copies >= 25]
    models = {"glm": RecursiveGLMRegressor(freq_weights=True), "line": LinearRegression()}
    weighted = reglm.compare(
        models, X, y, cv=[(rows[:25], rows[25:])], sample_weight=w, plug_in="training"
    ).as_frame()  # fmt: skip
    repeated = reglm.compare(
        models, X[copies], y[copies], cv=[train], groups=copies, plug_in="training"
    ).as_frame()  # fmt: skip
    numbers = [c for c in weighted if c != "seconds"]
    order = ["null", "glm", "line"]
    pd.testing.assert_frame_equal(weighted.loc[order, numbers], repeated.loc[order, numbers], rtol=1e-6)


def test_exposures_reach_every_model():
    data = datasets.simulate_claims(400, seed=0)
    X = data.data[["age", "exposure"]] if "age" in data.data else data.data.select_dtypes("number")
    theirs = make_pipeline(StandardScaler(), PoissonRegressor(alpha=0.0, tol=1e-9, max_iter=2000))
    models = {
        "names it": RecursiveGLMRegressor(family="poisson", exposure="exposure"),
        "is given it": make_pipeline(StandardScaler(), RecursiveGLMRegressor(family="poisson")),
        "search": GridSearchCV(RecursiveGLMRegressor(family="poisson", exposure="exposure"), {"alpha": [0.0]}, cv=2),
        "rates": theirs,
    }
    found = reglm.compare(models, X, data.target, family="poisson", cv=2, exposure="exposure")
    assert found.deviance[list(models)].notna().all(axis=None)
    table = found.as_frame().loc[list(models)]
    for column in ("deviance", "log_score"):
        np.testing.assert_allclose(table[column], table[column].iloc[0], rtol=1e-5)


def test_what_has_no_likelihood_is_ranked_by_deviance():
    X, y = simulated(60)
    y = np.round(np.exp(y))
    models = {"quasi": RecursiveGLMRegressor(family="quasipoisson"), "count": RecursiveGLMRegressor(family="poisson"),
              "line": KNeighborsRegressor()}  # fmt: skip
    result = reglm.compare(models, X, y, cv=2, sample_weight=np.ones(60))
    table = result.as_frame()
    assert np.isnan(table.loc["quasi", "log_score"])
    assert table["deviance"].is_monotonic_increasing
    assert [word in str(result) for word in ("ranking is by deviance", "probabilities", "without weights")] == [
        True
    ] * 3


def test_a_probability_of_zero_is_infinitely_bad():
    X, y = simulated(60)
    labels = np.array(["no", "yes"])[(y > 0).astype(int)]
    result = reglm.compare({"near": KNeighborsClassifier(1), "prior": LogisticRegression()}, X, labels, cv=2)
    assert result.as_frame().loc["near", "log_score"] == -np.inf
    assert np.isnan(result.differences().loc["near", "se"])
    assert result.ranking[-1] == "near"


def test_errors_of_the_result():
    X, y = simulated(40)
    result = reglm.compare({"line": LinearRegression()}, X, y, cv=2)
    for options, message in [({"score": "r2"}, "score='r2'"), ({"to": "x"}, "to='x'"), ({"level": 2}, "level=2")]:
        with pytest.raises(ValueError, match=message):
            result.differences(**options)
    for options, message in [({"groups": "person"}, "'person'"), ({"sample_weight": np.ones(3)}, "3 entries"),
                             ({"plug_in": "loo"}, "plug_in='loo'")]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            reglm.compare({"line": LinearRegression()}, X, y, **options)
