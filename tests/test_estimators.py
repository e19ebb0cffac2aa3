"""What users hand over (offsets, exposure, frames, sparse rows, labels), and what scikit-learn does with it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse, stats
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor

N = 120


@pytest.fixture(scope="module")
def counts():
    """Counts whose mean is proportional to an exposure."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N, 3))
    exposure = rng.uniform(0.2, 3.0, N)
    y = rng.poisson(exposure * np.exp(0.3 + X @ [0.5, -0.4, 0.2])).astype(float)
    return X, y, exposure


def poisson(**options):
    return RecursiveGLMRegressor(family="poisson", **options)


# -- offset and exposure


def test_exposure_is_an_offset_and_a_weighted_rate(counts):
    X, y, e = counts
    by_exposure = poisson().fit(X, y, exposure=e)
    by_offset = poisson().fit(X, y, offset=np.log(e))
    # scikit-learn's way to say the same: rates, weighted by exposure
    rate = PoissonRegressor(alpha=0.0, tol=1e-12, max_iter=500).fit(X, y / e, sample_weight=e)
    np.testing.assert_allclose(by_exposure.coef_, by_offset.coef_, rtol=1e-12)
    np.testing.assert_allclose(by_exposure.coef_, rate.coef_, atol=1e-6)
    np.testing.assert_allclose(by_exposure.predict(X, exposure=2.0 * e), 2.0 * by_exposure.predict(X, exposure=e))
    np.testing.assert_allclose(
        by_exposure.predict(X, offset=np.log(e), kind="link"), by_exposure.predict(X, exposure=e, kind="link")
    )


def test_score_uses_the_exposure(counts):
    X, y, e = counts
    model = poisson().fit(X, y, exposure=e)
    mu, null = model.predict(X, exposure=e), e * y.sum() / e.sum()

    def deviance(m):
        return 2.0 * np.sum(np.where(y > 0, y * np.log(np.maximum(y, 1) / m), 0.0) - y + m)

    assert model.score(X, y, exposure=e) == pytest.approx(1.0 - deviance(mu) / deviance(null), abs=1e-10)
    np.testing.assert_allclose(model.logpdf(X, y, exposure=e), stats.poisson.logpmf(y, mu), rtol=1e-10)


def test_predict_wants_the_offset_that_fit_had(counts):
    X, y, e = counts
    model = poisson().fit(X, y, exposure=e)
    for ask in (model.predict, lambda X: model.score(X, y), lambda X: model.logpdf(X, y)):
        with pytest.raises(ValueError, match="pass offset= or exposure="):
            ask(X)


def test_exposure_column_of_the_frame(counts):
    X, y, e = counts
    frame = pd.DataFrame(X, columns=list("abc")).assign(years=e)
    named = poisson(exposure="years").fit(frame, y)
    np.testing.assert_allclose(named.coef_, poisson().fit(X, y, exposure=e).coef_, rtol=1e-10)
    np.testing.assert_allclose(named.predict(frame.assign(years=2 * e)), 2 * named.predict(frame))
    logged = poisson(offset="log_years").fit(frame.drop(columns="years").assign(log_years=np.log(e)), y)
    np.testing.assert_allclose(logged.coef_, named.coef_, rtol=1e-10)
    by_number = poisson(exposure=3).fit(frame.to_numpy(), y)
    np.testing.assert_allclose(by_number.coef_, named.coef_, rtol=1e-10)


@pytest.mark.parametrize(
    ("options", "exposure", "said"),
    [
        ({"link": "sqrt"}, 1.0, "needs link='log'"),
        ({}, 0.0, "exposure must be positive, got 0 in row 0"),
        ({}, -1.0, "exposure must be positive, got -1 in row 0"),
        ({}, np.nan, "exposure contains NaN"),
    ],
)
def test_exposure_that_cannot_be(counts, options, exposure, said):
    X, y, e = counts
    e = e.copy()
    e[0] = exposure
    with pytest.raises(ValueError, match=said):
        poisson(**options).fit(X, y, exposure=e)


def test_metadata_routing_carries_the_exposure(counts):
    X, y, e = counts
    with config_context(enable_metadata_routing=True):
        model = poisson(alpha=1.0).set_fit_request(exposure=True).set_predict_request(exposure=True)
        model.set_score_request(exposure=True)
        pipe = make_pipeline(StandardScaler(), model)
        search = GridSearchCV(pipe, {"recursiveglmregressor__alpha": [0.1, 10.0]}, cv=3)
        search.fit(X, y, exposure=e)
        assert search.score(X, y, exposure=e) > 0.2
        scores = cross_validate(pipe, X, y, cv=3, params={"exposure": e})["test_score"]
        # scikit-learn 1.9 hands `predict` no metadata here; the model then says what is missing instead of guessing.
        with pytest.raises(ValueError, match="name the column in the constructor"):
            cross_val_predict(pipe, X, y, cv=3, params={"exposure": e})
    Z = StandardScaler().fit(X[40:]).transform(X)
    own = poisson(alpha=1.0).fit(Z[40:], y[40:], exposure=e[40:])
    assert scores[0] == pytest.approx(own.score(Z[:40], y[:40], exposure=e[:40]), rel=1e-8)


def test_exposure_column_passes_a_search_without_routing(counts):
    X, y, e = counts
    frame = pd.DataFrame(X, columns=list("abc")).assign(years=e)
    search = GridSearchCV(poisson(exposure="years"), {"alpha": [0.1, 10.0]}, cv=3).fit(frame, y)
    held_out = cross_val_predict(poisson(exposure="years", alpha=1.0), frame, y, cv=3)
    own = poisson(alpha=1.0).fit(X[40:], y[40:], exposure=e[40:])
    np.testing.assert_allclose(held_out[:40], own.predict(X[:40], exposure=e[:40]), rtol=1e-8)
    assert 0.2 < search.score(frame, y) < 1.0


# -- frames, categories, sparse rows


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(5)
    region = rng.choice(["north", "south", "west"], N, p=[0.5, 0.3, 0.2])
    frame = pd.DataFrame({"age": rng.uniform(20, 70, N), "region": region, "smoker": rng.random(N) < 0.3})
    mean = np.exp(0.02 * frame.age + 0.5 * (region == "south") - 1.0 + 0.4 * frame.smoker)
    return frame, rng.poisson(mean).astype(float)


def test_pandas_and_polars_are_the_same_model(table):
    frame, y = table
    a = poisson().fit(frame, y)
    b = poisson().fit(pl.from_dict({name: frame[name].to_numpy() for name in frame}), pl.Series(y))
    np.testing.assert_array_equal(a.coef_, b.coef_)
    assert list(a.feature_names_in_) == ["age", "region", "smoker"]
    assert a.design_.names_out == ["age", "region[south]", "region[west]", "smoker"]
    dummies = np.column_stack([frame.age, frame.region == "south", frame.region == "west", frame.smoker]).astype(float)
    np.testing.assert_allclose(a.coef_, poisson().fit(dummies, y).coef_, rtol=1e-8)


@pytest.mark.parametrize("options", [{}, {"hidden": (3,), "categorical": "embedding", "random_state": 0, "alpha": 0.1}])
def test_levels_that_were_not_seen(table, options):
    frame, y = table
    new = frame.head(3).assign(region=["north", "east", "west"])
    with pytest.raises(ValueError, match=r"(?s)region.*east"):
        poisson(**options).fit(frame, y).predict(new)
    lenient = poisson(handle_unknown="reference", **options).fit(frame, y)
    with pytest.warns(UserWarning, match="east"):
        mu = lenient.predict(new)
    assert np.isfinite(mu).all()
    if not options:  # as the reference level, which is the most frequent one
        np.testing.assert_allclose(mu[1], lenient.predict(new.assign(region="north"))[1])


def test_embedding_reaches_what_indicators_reach(table):
    frame, y = table
    by_level = poisson(hidden=(4,), categorical="embedding", random_state=0, alpha=0.01).fit(frame, y)
    assert (3, 2) in {spec.shape for spec in by_level.network_.specs()}  # three levels, two coordinates each
    assert by_level.score(frame, y) > poisson().fit(frame, y).score(frame, y) - 0.01


def test_pandas_output_keeps_names_through_a_pipeline(counts):
    X, y, _ = counts
    frame = pd.DataFrame(X, columns=["one", "two", "three"])
    pipe = make_pipeline(StandardScaler(), poisson()).set_output(transform="pandas").fit(frame, y)
    assert list(pipe[-1].feature_names_in_) == ["one", "two", "three"]
    with pytest.raises(ValueError, match="feature names"):
        pipe[-1].predict(frame.rename(columns={"one": "uno"}))


@pytest.mark.parametrize("options", [{}, {"hidden": (4,), "random_state": 1, "alpha": 1.0}])
def test_sparse_rows_equal_dense_rows(counts, options):
    X, y, _ = counts
    X = np.where(np.abs(X) < 0.7, 0.0, X)
    S = sparse.csr_array(X)
    # Sparse columns are not centred; without hidden biases dense ones are not either, and both searches take one path.
    options = options | ({"hidden_bias": False} if options else {})
    a, b = poisson(**options).fit(X, y), poisson(**options).fit(S, y)
    np.testing.assert_allclose(a.predict(X), b.predict(S), rtol=1e-6 if options else 1e-10)
    np.testing.assert_allclose(b.predict(sparse.coo_array(X)), b.predict(S), rtol=1e-12)
    theta = a.fit_.theta
    (v, g), (w, h) = (m.fit_.likelihood.value_grad(theta, m.fit_.data) for m in (a, b))
    assert v == pytest.approx(w, rel=1e-12)
    np.testing.assert_allclose(g, h, rtol=1e-10, atol=1e-10)


# -- responses


def test_several_gaussian_responses(counts):
    X = counts[0]
    rng = np.random.default_rng(0)
    Y = X @ rng.normal(size=(3, 2)) + rng.normal(size=(N, 2)) + [1.0, -2.0]
    both = RecursiveGLMRegressor().fit(X, Y)
    for k in range(2):
        one = RecursiveGLMRegressor().fit(X, Y[:, k])
        np.testing.assert_allclose(both.coef_[k], one.coef_, rtol=1e-6)
        np.testing.assert_allclose(both.predict(X)[:, k], one.predict(X), rtol=1e-6)
    assert both.score(X, Y) == pytest.approx(r2_score(Y, both.predict(X), multioutput="variance_weighted"), abs=1e-10)


@pytest.mark.parametrize(
    "labels", [["no", "yes"], [7, 3], [False, True], [2.0, 1.0], ["c", "a", "b"], np.array(["x", "y"], dtype=object)]
)
def test_labels_of_any_type(counts, labels):
    X = counts[0]
    codes = np.random.default_rng(2).integers(len(labels), size=N)
    y = np.asarray(labels)[codes]
    model = RecursiveGLMClassifier(alpha=1.0).fit(X, y)
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    assert model.predict(X).dtype == model.classes_.dtype
    p = model.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    picked = p[np.arange(N), np.searchsorted(model.classes_, y)]
    np.testing.assert_allclose(model.logpdf(X, y), np.log(picked), rtol=1e-8)
    assert model.score(X, y) == np.mean(model.predict(X) == y)
    if len(labels) == 2:
        reference = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(X, y)
        np.testing.assert_allclose(p, reference.predict_proba(X), atol=1e-5)


def test_ordinal_classes_are_ordered(counts):
    X = counts[0]
    y = np.digitize(3.0 * X[:, 0] + np.random.default_rng(1).logistic(size=N), [-1.0, 1.0])
    model = RecursiveGLMClassifier(family="ordinal").fit(X, y)
    p = model.predict_proba(X)
    cutpoints = [np.log(p[:, 0] / (1 - p[:, 0])), np.log((1 - p[:, 2]) / p[:, 2])]
    assert np.ptp(cutpoints[1] - cutpoints[0]) < 1e-8  # proportional odds
    assert 0.5 < model.score(X, y) < 1.0


@pytest.mark.parametrize("weight", ["balanced", {"a": 3.0, "b": 0.5}])
def test_class_weight_is_a_weight(counts, weight):
    X = counts[0]
    y = np.where(X[:, 0] + np.random.default_rng(0).normal(size=N) > 0.8, "a", "b")
    w = {k: N / 2 / np.sum(y == k) for k in "ab"} if weight == "balanced" else weight
    weights = np.vectorize(w.get)(y)
    a = RecursiveGLMClassifier(class_weight=weight).fit(X, y)
    b = RecursiveGLMClassifier().fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-9)


# -- asking


@pytest.mark.parametrize(
    ("family", "draw", "frozen"),
    [
        ("gaussian", lambda rng, m: rng.normal(m, 0.5), lambda mu, phi: stats.norm(mu, np.sqrt(phi))),
        ("poisson", lambda rng, m: rng.poisson(m), lambda mu, phi: stats.poisson(mu)),
        ("gamma", lambda rng, m: rng.gamma(4.0, m / 4.0), lambda mu, phi: stats.gamma(1 / phi, scale=mu * phi)),
    ],
)
def test_densities_and_quantiles_are_scipys(counts, family, draw, frozen):
    X, _, _ = counts
    y = np.asarray(draw(np.random.default_rng(8), np.exp(0.5 + 0.3 * X[:, 0])), dtype=float)
    model = RecursiveGLMRegressor(family=family, link="log").fit(X, y) if family == "gamma" else None
    model = model or RecursiveGLMRegressor(family=family).fit(X, y)
    reference = frozen(model.predict(X), model.dispersion_)
    log_density = getattr(reference, "logpdf", None) if family != "poisson" else reference.logpmf
    np.testing.assert_allclose(model.logpdf(X, y), log_density(y), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(model.predict(X, kind="quantile", level=0.9), reference.ppf(0.9), rtol=1e-8)
    terms = model.predict(X, kind="terms")
    np.testing.assert_allclose(terms.sum(axis=1) + model.intercept_, model.predict(X, kind="link"))


def test_score_of_the_gaussian_family_is_r2(counts):
    X, y, e = counts
    model = RecursiveGLMRegressor().fit(X, y)
    mu = model.predict(X)
    assert model.score(X, y) == pytest.approx(r2_score(y, mu), abs=1e-12)
    assert model.score(X, y, sample_weight=e) == pytest.approx(r2_score(y, mu, sample_weight=e), abs=1e-12)


def test_formula_is_the_design_it_names(table):
    frame, y = table
    data = frame.assign(visits=y, years=1.0 + frame.age / 50.0)
    by_formula = RecursiveGLMRegressor.from_formula(
        "visits ~ age + C(region) + offset(log(years))", data, family="poisson"
    )
    columns = data[["age", "region", "years"]]
    by_columns = poisson(exposure="years").fit(columns, y)
    np.testing.assert_allclose(by_formula.predict(data), by_columns.predict(columns), rtol=1e-8)
    held = cross_validate(RecursiveGLMRegressor(formula="visits ~ age", family="poisson"), data, y, cv=3)
    assert np.isfinite(held["test_score"]).all()


def test_html_shows_the_parameters(counts):
    X, y, _ = counts
    assert "RecursiveGLMRegressor" in poisson(hidden=(3,))._repr_html_()
    assert "poisson" in poisson().fit(X, y)._repr_html_()


def test_classifier_by_formula_weighs_classes(table):
    frame, y = table
    data = frame.assign(sick=np.where(y > np.median(y), "yes", "no"))
    options = {"class_weight": {"yes": 2.0, "no": 1.0}}
    a = RecursiveGLMClassifier.from_formula("sick ~ age + smoker", data, **options)
    b = RecursiveGLMClassifier(**options).fit(data[["age", "smoker"]], data["sick"])
    np.testing.assert_allclose(a.predict_proba(data), b.predict_proba(data[["age", "smoker"]]), rtol=1e-6)
    assert clone(a).get_params() == a.get_params()
