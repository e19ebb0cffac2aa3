"""What happens with data and arguments that are wrong: an error that names argument, value and remedy, or a warning."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor

N = 60
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3))
Y = RNG.poisson(np.exp(0.5 + 0.3 * X[:, 0])).astype(float)
LABELS = (X[:, 0] + RNG.normal(size=N) > 0).astype(int)

MODELS = [{}, {"hidden": (3,), "random_state": 0, "alpha": 0.1}]
either = pytest.mark.parametrize("options", MODELS, ids=["glm", "network"])


def poisson(**options):
    return RecursiveGLMRegressor(**({"family": "poisson"} | options))


def spoilt(values, where, value):
    values = np.array(values, dtype=float)
    values[where] = value
    return values


# -- data


@either
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"X": spoilt(X, (4, 1), np.nan)}, "X contains NaN"),
        ({"X": spoilt(X, (4, 1), np.inf)}, "X contains infinity"),
        ({"y": spoilt(Y, 3, np.nan)}, "y contains NaN"),
        ({"y": spoilt(Y, 3, np.inf)}, "y contains infinity"),
        ({"y": spoilt(Y, 5, -1)}, r"y\[5\] = -1: family 'poisson' needs values in .* missing values"),
        ({"sample_weight": np.zeros(N)}, "sample_weight is zero in every row; at least one row needs"),
        ({"sample_weight": spoilt(np.ones(N), 7, -2.0)}, "sample_weight must not be negative, got -2 in row 7"),
        ({"sample_weight": spoilt(np.ones(N), 7, np.nan)}, "sample_weight contains NaN"),
        ({"sample_weight": np.ones(N - 1)}, r"sample_weight.shape == \(59,\), expected \(60,\)"),
        ({"sample_weight": np.ones((N, 2))}, "Sample weights must be 1D"),
        ({"offset": np.ones(N - 1)}, "offset has 59 values for 60 rows"),
        ({"offset": np.ones((N, 2))}, r"offset has 2 columns for 1 linear predictor\(s\)"),
        ({"offset": spoilt(np.zeros(N), 0, np.nan)}, "offset contains NaN"),
        ({"offset": spoilt(np.zeros(N), 0, 1e6)}, r"offset ranges from 0 to 1e\+06.* exposure="),
        ({"exposure": spoilt(np.ones(N), 2, 0.0)}, "exposure must be positive, got 0 in row 2"),
        ({"y": Y[:-1]}, r"inconsistent numbers of samples: \[60, 59\]"),
        ({"y": None}, "requires y to be passed"),
        ({"y": np.ones((N, 2, 2))}, "y.* dim 3|dim 3"),
        ({"X": X[:, 0]}, "Expected 2D array, got 1D array"),
        ({"X": X[:0], "y": Y[:0]}, r"0 sample\(s\)"),
        ({"X": X[:, :0]}, r"0 feature\(s\)"),
        ({"X": np.full((N, 1), "a")}, "categorical columns in a pandas or polars data frame"),
        (
            {"X": pd.DataFrame({"day": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(N), "D")})},
            "'day' .*dtype",
        ),
        ({"X": pd.DataFrame(np.ones((N, 2)), columns=["a", "a"])}, "2 columns named 'a'; rename"),
    ],
)
def test_data_that_raise(options, given, said):
    with pytest.raises(ValueError, match=said):
        poisson(**options).fit(**({"X": X, "y": Y} | given))


@either
def test_new_rows_that_raise(options):
    model = poisson(**options).fit(X, Y)
    with pytest.raises(ValueError, match="X has 2 features, but RecursiveGLMRegressor is expecting 3"):
        model.predict(X[:, :2])
    with pytest.raises(ValueError, match="X contains NaN"):
        model.predict(spoilt(X, (4, 1), np.nan))
    with pytest.raises(ValueError, match="inconsistent"):
        model.score(X, Y[:-1])
    with pytest.raises(ValueError, match=r"y\[0\] = -1"):
        model.logpdf(X, spoilt(Y, 0, -1))


@either
def test_an_offset_of_a_million_in_every_row_is_an_intercept(options):
    million = np.full(N, 1e6)
    model = poisson(**options).fit(X, Y, offset=million)
    plain = poisson(**options).fit(X, Y)
    np.testing.assert_allclose(model.predict(X, offset=million), plain.predict(X), rtol=1e-4)


@pytest.mark.parametrize("column", [np.full(N, 7.0), X[:, 1]], ids=["constant", "duplicated"])
def test_dependent_columns_are_left_out_and_the_summary_says_so(column):
    dependent = poisson().fit(np.column_stack([X[:, :2], column]), Y)
    without = poisson().fit(X[:, :2], Y)
    np.testing.assert_allclose(dependent.coef_, [*without.coef_, 0.0], atol=1e-8)
    assert dependent.fit_.details["aliased"].tolist() == [False, False, True, False]
    assert "rank 3 of 4" in " ".join(dependent.summary().as_text().split())
    bse = dependent.inference().bse
    np.testing.assert_allclose(bse.dropna(), without.inference().bse, rtol=1e-6)


@pytest.mark.parametrize("column", [np.full(N, 7.0), X[:, 1]], ids=["constant", "duplicated"])
def test_dependent_columns_do_not_disturb_a_network(column):
    model = poisson(**MODELS[1]).fit(np.column_stack([X[:, :2], column]), Y)
    assert model.converged_
    assert np.isfinite(model.fit_.theta).all()


@pytest.mark.parametrize("hidden", [(), (3,)], ids=["glm", "network"])
@pytest.mark.parametrize("classes", [2, 3])
def test_perfect_separation_warns(hidden, classes):
    y = np.digitize(X[:, 0], [0.0] if classes == 2 else [-0.5, 0.5])
    model = RecursiveGLMClassifier(hidden=hidden, random_state=0)
    with pytest.warns(ConvergenceWarning, match=r"separate.*add a penalty alpha"):
        model.fit(X, y)
    assert not model.converged_
    assert model.score(X, y) == 1.0
    assert np.isfinite(model.predict_proba(X)).all()
    assert "NOT CONVERGED" in model.summary().as_text()
    assert RecursiveGLMClassifier(hidden=hidden, alpha=1.0, random_state=0).fit(X, y).converged_


def test_quasi_separation_warns():
    side = X[:, 0] > 0.5
    y = np.where(side, 1, LABELS)
    with pytest.warns(ConvergenceWarning, match="quasi"):
        model = RecursiveGLMClassifier().fit(np.column_stack([X[:, 1], side]), y)
    p = model.predict_proba(np.column_stack([X[:, 1], side]))[:, 1]
    np.testing.assert_allclose(p[side], 1.0, atol=1e-6)


@either
def test_counts_that_are_all_zero_warn(options):
    with pytest.warns(ConvergenceWarning, match="counts of zero"):
        model = poisson(**options).fit(X, np.zeros(N))
    np.testing.assert_allclose(model.predict(X), 0.0, atol=1e-6)


@either
def test_one_row(options):
    with pytest.warns(ConvergenceWarning, match="as many parameters as rows"):
        model = poisson(**options).fit(X[:1], Y[:1] + 2.0)
    assert model.predict(X[:1])[0] == pytest.approx(Y[0] + 2.0, rel=1e-3)
    gaussian = RecursiveGLMRegressor(**options).fit(X[:1], Y[:1])
    assert gaussian.predict(X[:1])[0] == pytest.approx(Y[0], rel=1e-3)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.ones(N), "at least 2 classes"),
        (RNG.normal(size=N), "Unknown label type: continuous"),
        (spoilt(LABELS, 0, np.nan), "y contains NaN"),
    ],
)
def test_labels_that_raise(y, said):
    with pytest.raises(ValueError, match=said):
        RecursiveGLMClassifier().fit(X, y)


@pytest.mark.parametrize(
    ("family", "y", "said"),
    [
        ("gamma", Y, "needs values in .* family='tweedie'"),
        ("beta", Y, "beta density has no mass at 0 and 1"),
        ("bernoulli", Y, "family 'bernoulli'"),
        ("binomial", np.column_stack([Y] * 3), "successes and failures"),
        ("inverse_gaussian", -Y, "family 'inverse_gaussian' needs values"),
    ],
)
def test_responses_outside_the_family(family, y, said):
    with pytest.raises(ValueError, match=said):
        RecursiveGLMRegressor(family=family).fit(X, y)


# -- arguments

WORDS = {
    "family": "unknown family 'foo'; choose one of .*poisson",
    "link": "unknown link or activation 'foo'; choose one of .*logit",
    "activation": "unknown link or activation 'foo'; choose one of .*tanh",
    "solver": "solver='foo' is not known; choose 'auto', 'irls' or one of .*lbfgs",
    "schedule": "schedule='foo' must be one of .*plateau",
    "backend": "backend='foo' must be one of .*numba",
    "dtype": "dtype='foo' must be one of .*float32",
    "categorical": "categorical='foo' must be one of .*onehot",
    "handle_unknown": "handle_unknown='foo' must be one of .*reference",
    "dispersion": "dispersion='foo' must be one of .*pearson",
    "balance": "balance='foo' is not known; choose 'auto', True, False or 'output'",
    "offset": "offset='foo' is not a column of X",
    "exposure": "exposure='foo' is not a column of X",
    "hidden": "hidden='foo' must be positive integers",
    "skip": "skip='foo' must be True, False or a layer",
    "layers": r"layers='foo' must hold layers of reglm.layers",
    "formula": "a formula needs a pandas or polars data frame",
}


@pytest.mark.parametrize("name", sorted(WORDS))
def test_unknown_words(name):
    with pytest.raises(ValueError, match=WORDS[name]):
        RecursiveGLMRegressor(**({"hidden": (2,)} | {name: "foo"})).fit(X, Y)


NUMBERS = [
    ("alpha", -1.0), ("alpha", "a"), ("l1", np.nan), ("n_init", 0), ("batch_size", 2.5), ("max_iter", 0), ("tol", -1.0),
    ("learning_rate", 0.0), ("momentum", -0.5), ("clip", 0.0), ("dropout", 1.0), ("validation_fraction", 1.5),
    ("n_iter_no_change", 0), ("embedding_dim", 0), ("hidden", (3, 0)), ("hidden", 2.5), ("dispersion", -1.0),
    ("verbose", -1), ("n_jobs", "two"), ("random_state", "seed"), ("nesterov", 2), ("warm_start", None),
    ("freq_weights", "yes"), ("output_bias", 1.5), ("early_stopping", "yes"), ("layers", 5),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), NUMBERS)
def test_arguments_out_of_range(name, value):
    with pytest.raises(ValueError, match=rf"^{name}=.* must be "):
        RecursiveGLMRegressor(**{name: value}).fit(X, Y)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"family": "poisson", "link": "logit"}, "link='logit' does not suit family 'poisson'; choose one of log"),
        ({"hidden": (2,), "activation": "threshold"}, "activation='threshold' has no gradient.* use 'sigmoid'"),
        ({"hidden": (2,), "activation": ("tanh", "relu")}, "2 names for 1 hidden layers"),
        ({"solver": "irls", "hidden": (2,)}, "solver='irls' fits generalized linear models.* use solver='fisher'"),
        ({"solver": "irls", "l1": 1.0}, "solver='irls' cannot do l1=1.0; use solver='lbfgs'"),
        ({"solver": "newton", "l1": 1.0}, "cannot minimise an L1 penalty; use solver='lbfgs'"),
        ({"categorical": "embedding"}, "needs a hidden layer to read it; use categorical='onehot'"),
        ({"early_stopping": True, "validation_fraction": 0.001}, "leaves 0 to hold out and 60 to fit"),
        ({"layers": ["Dense"]}, "must hold layers of reglm.layers, got 'Dense'"),
    ],
)
def test_arguments_that_contradict_one_another(options, said):
    with pytest.raises(ValueError, match=said):
        RecursiveGLMRegressor(**options).fit(X, Y)


def test_questions_that_raise():
    model = RecursiveGLMRegressor().fit(X, Y)
    with pytest.raises(ValueError, match="kind='foo' is not known; choose one of"):
        model.predict(X, kind="foo")
    with pytest.raises(ValueError, match="level=2 must be between 0 and 1"):
        model.predict(X, kind="quantile", level=2)
    with pytest.raises(ValueError, match="cov='foo' is not known"):
        model.inference(cov="foo")
    with pytest.raises(ValueError, match="needs hidden=\\(\\)"):
        poisson(**MODELS[1]).fit(X, Y).predict(X, kind="terms")
    with pytest.raises(ValueError, match="no logpdf"):
        RecursiveGLMRegressor(family="quasipoisson").fit(X, Y).logpdf(X, Y)
    with pytest.raises(ValueError, match="family='poisson' is not one of classes"):
        RecursiveGLMClassifier(family="poisson").fit(X, LABELS)
    with pytest.raises(ValueError, match="class_weight"):
        RecursiveGLMClassifier(class_weight="foo").fit(X, LABELS)
