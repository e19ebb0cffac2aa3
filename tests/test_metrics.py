"""Deviances against scikit-learn's, and scorers that hand exposures to `predict`."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn import metrics as peers
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from reglm import RecursiveGLMRegressor, datasets, families, metrics

RNG = np.random.default_rng(4)
N = 60
MU = RNG.gamma(2.0, 1.0, N) + 0.1
COUNTS = RNG.poisson(MU).astype(float)
POSITIVE = RNG.gamma(2.0, MU / 2)
WEIGHTS = RNG.random(N) + 0.1
P = RNG.random(N)
BINARY = (RNG.random(N) < P).astype(float)


@pytest.mark.parametrize(
    ("family", "y", "power"),
    [
        ("gaussian", COUNTS, 0),
        ("poisson", COUNTS, 1),
        ("quasipoisson", COUNTS, 1),
        ("tweedie(1.3)", COUNTS, 1.3),
        ("gamma", POSITIVE, 2),
        ("inverse_gaussian", POSITIVE, 3),
    ],
)
def test_deviances_equal_those_of_scikit_learn(family, y, power):
    expected = peers.mean_tweedie_deviance(y, MU, sample_weight=WEIGHTS, power=power)
    assert metrics.mean_deviance(y, MU, family, WEIGHTS) == pytest.approx(expected, rel=1e-13)
    expected = peers.d2_tweedie_score(y, MU, sample_weight=WEIGHTS, power=power)
    assert metrics.d2_deviance(y, MU, family, WEIGHTS) == pytest.approx(expected, rel=1e-12)


def test_class_deviances_are_twice_the_log_loss():
    expected = 2 * peers.log_loss(BINARY, P, sample_weight=WEIGHTS)
    assert metrics.mean_deviance(BINARY, P, "bernoulli", WEIGHTS) == pytest.approx(expected, rel=1e-13)
    probabilities = RNG.dirichlet(np.ones(3), N)
    y = RNG.multinomial(1, np.ones(3) / 3, N)
    expected = 2 * peers.log_loss(y.argmax(axis=1), probabilities, sample_weight=WEIGHTS)
    for family in ("multinomial", "ordinal"):
        assert metrics.mean_deviance(y, probabilities, family, WEIGHTS) == pytest.approx(expected, rel=1e-13)


def test_binomial_deviance_adds_up_its_trials():
    trials = RNG.integers(1, 9, N)
    successes = RNG.binomial(trials, P)
    y = np.column_stack([successes, trials - successes])
    share = successes / trials
    single = [
        s * np.log(np.where(s > 0, q, 1) / p) + (t - s) * np.log(np.where(s < t, 1 - q, 1) / (1 - p))
        for s, t, q, p in zip(successes, trials, share, P, strict=True)
    ]
    np.testing.assert_allclose(metrics.unit_deviance(y, P, "binomial"), 2 * np.array(single), atol=1e-12)


def test_negative_binomial_tends_to_poisson():
    found = metrics.unit_deviance(COUNTS, MU, families.NegativeBinomial(alpha=1e-9))
    np.testing.assert_allclose(found, metrics.unit_deviance(COUNTS, MU, "poisson"), atol=1e-6)


def test_predictions_on_the_edge():
    assert metrics.unit_deviance([0.0, 3.0], [0.0, 0.0], "poisson").tolist() == [0.0, np.inf]
    assert metrics.unit_deviance([0.0, 1.0, 1.0], [0.0, 0.0, 1.0], "bernoulli").tolist() == [0.0, np.inf, 0.0]


@pytest.mark.parametrize(
    ("y", "mu", "family", "message"),
    [
        ([1.0, 1.0], [1.0, -1.0], "poisson", r"mu\[1\] = -1 lies outside \(0, inf\)"),
        ([-1.0], [1.0], "poisson", r"y\[0\] = -1: family 'poisson' needs"),
        ([1.0, 2.0], [1.0], "poisson", r"mu has shape \(1, 1\), but y asks for \(2, 1\)"),
        ([1.0], [1.0], "negative_binomial", r"give its shape parameters \(alpha\)"),
        ([1.0], [1.0], "tobit", "use the model's `logpdf`"),
        (1.0, [1.0], "poisson", "one or two dimensions"),
    ],
)
def test_what_cannot_be_scored(y, mu, family, message):
    with pytest.raises(ValueError, match=message):
        metrics.unit_deviance(y, mu, family)


def test_null_model_with_exposure_is_the_total_rate():
    exposure = RNG.random(N) + 0.1
    found = metrics.null_mean(COUNTS, "poisson", WEIGHTS, np.log(exposure))[:, 0]
    rate = (WEIGHTS * COUNTS).sum() / (WEIGHTS * exposure).sum()
    np.testing.assert_allclose(found, rate * exposure, rtol=1e-10)
    found = metrics.null_mean(POSITIVE, "gamma", None, np.log(exposure))[:, 0]
    np.testing.assert_allclose(found, np.mean(POSITIVE / exposure) * exposure, rtol=1e-10)


class Rate(RegressorMixin, BaseEstimator):
    """Claims a unit of exposure, times a factor to search over."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def fit(self, X, y, exposure=None):
        weight = np.ones(len(y)) if exposure is None else np.asarray(exposure)
        self.rate_ = np.sum(y) / weight.sum()
        return self

    def predict(self, X, exposure=None):
        factor = np.ones(len(X)) if exposure is None else np.asarray(exposure)
        return self.rate_ * factor * self.scale


@pytest.fixture
def policies():
    exposure = RNG.random(200) + 0.05
    X = pd.DataFrame({"age": RNG.random(200), "Exposure": exposure})
    return X, pd.Series(RNG.poisson(2 * exposure), name="claims")


def test_scorer_takes_the_exposure_from_a_column(policies):
    X, y = policies
    scorer = metrics.deviance_scorer("poisson", exposure="Exposure")
    model = make_pipeline(FunctionTransformer(), Rate()).fit(X, y)
    expected = -peers.mean_poisson_deviance(y, model[-1].rate_ * X["Exposure"])
    assert scorer(model, X, y) == pytest.approx(expected, rel=1e-13)
    by_number = metrics.deviance_scorer("poisson", exposure=1)
    assert by_number(model, X.to_numpy(), y) == pytest.approx(expected, rel=1e-13)
    search = GridSearchCV(Rate(), {"scale": [1.0, 2.0]}, scoring=scorer, cv=3).fit(X, y)
    assert search.best_params_ == {"scale": 2.0}


def test_scorer_weights_and_d2(policies):
    X, y = policies
    model = Rate().fit(X, y, X["Exposure"])
    weighted = metrics.deviance_scorer("poisson", exposure="Exposure", sample_weight="age")
    expected = -peers.mean_poisson_deviance(y, model.predict(X, X["Exposure"]), sample_weight=X["age"])
    assert weighted(model, X, y) == pytest.approx(expected, rel=1e-13)
    d2 = metrics.deviance_scorer("poisson", exposure="Exposure", d2=True)
    assert d2(model, X, y) == pytest.approx(0.0, abs=1e-12)  # the rate is the null model itself


def test_scorer_takes_the_exposure_by_routing(policies):
    X, y = policies
    with sklearn.config_context(enable_metadata_routing=True):
        model = Rate().set_fit_request(exposure=True).set_predict_request(exposure=True)
        scorer = metrics.deviance_scorer("poisson").set_score_request(exposure=True)
        given = {"exposure": X["Exposure"].to_numpy()}
        routed = cross_validate(model, X[["age"]], y, scoring={"d": scorer}, params=given, cv=4)["test_d"]
    whole = Rate()
    parts = [slice(start, start + 50) for start in range(0, 200, 50)]
    expected = []
    for part in parts:
        train = np.ones(200, dtype=bool)
        train[part] = False
        fitted = whole.fit(X[train], y[train], X["Exposure"][train])
        expected.append(-peers.mean_poisson_deviance(y[part], fitted.predict(X[part], X["Exposure"][part])))
    np.testing.assert_allclose(routed, expected, rtol=1e-12)


class Prior(ClassifierMixin, BaseEstimator):
    """Class frequencies."""

    def fit(self, X, y):
        self.classes_, counts = np.unique(y, return_counts=True)
        self.shares_ = counts / counts.sum()
        return self

    def predict_proba(self, X):
        return np.tile(self.shares_, (len(X), 1))


def test_scorer_of_classifiers_needs_no_family():
    X, y = np.zeros((6, 1)), np.array(["b", "a", "a", "c", "a", "b"])
    model = Prior().fit(X, y)
    expected = -2 * peers.log_loss(y, model.predict_proba(X), labels=model.classes_)
    assert metrics.deviance_scorer()(model, X, y) == pytest.approx(expected, rel=1e-13)
    with pytest.raises(ValueError, match="class 'd', which the classifier has not seen"):
        metrics.deviance_scorer()(model, X, np.array(["a", "b", "c", "d", "a", "a"]))


def test_scorer_says_what_is_missing(policies):
    X, y = policies
    model = Rate().fit(X, y)
    with pytest.raises(ValueError, match="column 'exposure' is not in X"):
        metrics.deviance_scorer("poisson", exposure="exposure")(model, X, y)
    with pytest.raises(ValueError, match="Rate has no family of its own"):
        metrics.deviance_scorer()(model, X, y)


@pytest.fixture(scope="module")
def claims():
    data = datasets.simulate_claims(400)
    return data.data[["driver_age", "power", "fuel", "exposure"]], data.target


def test_estimators_that_name_their_exposure_need_none_from_the_scorer(claims):
    X, y = claims
    model = make_pipeline(FunctionTransformer(), RecursiveGLMRegressor(family="poisson", exposure="exposure"))
    scorer, d2 = metrics.deviance_scorer(), metrics.deviance_scorer(d2=True)
    scoring = {"deviance": scorer, "d2": d2}
    grid = {"recursiveglmregressor__alpha": [0.0, 1e6]}
    search = GridSearchCV(model, grid, scoring=scoring, refit="deviance", cv=3).fit(X, y)
    assert search.cv_results_["rank_test_deviance"].tolist() == search.cv_results_["rank_test_d2"].tolist()
    expected = -peers.mean_poisson_deviance(y, search.predict(X))
    assert scorer(search, X, y) == pytest.approx(expected, rel=1e-12)
    assert d2(search, X, y) == pytest.approx(search.best_estimator_[-1].score(X, y), rel=1e-9)


def test_offsets_inside_formulas_are_not_guessed(claims):
    X, y = claims
    X = X.rename(columns={"exposure": "years"})
    formula = "claims ~ power + exposure(years)"
    model = RecursiveGLMRegressor.from_formula(formula, X.assign(claims=y), family="poisson")
    with pytest.raises(ValueError, match="does not see the offset inside formula"):
        metrics.deviance_scorer(d2=True)(model, X, y)
    assert metrics.deviance_scorer()(model, X, y) == pytest.approx(-peers.mean_poisson_deviance(y, model.predict(X)))


def test_d2_of_the_scorer_is_that_of_the_estimator(claims):
    X, y = claims
    model = RecursiveGLMRegressor(family="poisson").fit(X.drop(columns="exposure"), y, exposure=X["exposure"])
    whole = make_pipeline(FunctionTransformer(lambda frame: frame.drop(columns="exposure")), model)
    scorer = metrics.deviance_scorer(exposure="exposure", d2=True)
    expected = model.score(X.drop(columns="exposure"), y, exposure=X["exposure"])
    assert scorer(whole, X, y) == pytest.approx(expected, rel=1e-9)


def test_shape_parameters_are_taken_as_estimated(claims):
    X, y = claims
    model = RecursiveGLMRegressor(family="negative_binomial", exposure="exposure").fit(X, y + 3)
    alpha = model.inference().params["alpha"]
    expected = -metrics.mean_deviance(y + 3, model.predict(X), families.NegativeBinomial(alpha))
    assert metrics.deviance_scorer()(model, X, y + 3) == pytest.approx(expected, rel=1e-12)
