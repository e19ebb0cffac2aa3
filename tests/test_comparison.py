"""The comparison of models on held-out rows."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.metrics import log_loss, mean_poisson_deviance
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

import reglm
from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor, datasets


def test_deviances_are_those_of_cross_validated_predictions():
    data = datasets.load_randhie()
    X, y = data.data[::40], data.target[::40]
    model = PoissonRegressor(alpha=0.1, max_iter=1000)
    table = reglm.compare({"glm": model}, X, y, family="poisson", cv=4, random_state=1)
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
    models = {"ours": RecursiveGLMClassifier(alpha=1.0), "theirs": LogisticRegression(C=1.0, max_iter=1000)}
    table = reglm.compare(models, X, y, cv=3)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    shares = cross_val_predict(models["theirs"], X, y, cv=folds, method="predict_proba")
    np.testing.assert_allclose(table.loc["theirs", "deviance"], 2 * log_loss(y, shares))
    assert table.index.tolist() == ["null", "ours", "theirs"]
    np.testing.assert_allclose(table.loc["null", "deviance"], 2 * np.log(3), rtol=1e-2)


def test_folds_and_null_model_of_ones_own():
    data = datasets.simulate_claims(1000, seed=0)
    rate = RecursiveGLMRegressor(family="poisson", exposure="exposure", formula="claims ~ 1")
    glm = RecursiveGLMRegressor(family="poisson", exposure="exposure")
    rows = np.arange(1000)
    folds = [(rows[500:], rows[:500]), (rows[:500], rows[500:])]
    null = make_pipeline(ColumnTransformer([("years", "passthrough", ["exposure"])]), clone(glm))
    null[0].set_output(transform="pandas").set_params(verbose_feature_names_out=False)
    table = reglm.compare({"glm": glm}, data.data, data.target, family="poisson", cv=folds, null=null)
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
