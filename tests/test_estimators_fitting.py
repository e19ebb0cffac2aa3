"""How a model is fitted: solvers, restarts, weights, balance, backends, interrupts, callbacks, copies."""

from __future__ import annotations

import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.ensemble import VotingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_validate

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor, layers
from reglm.optimize import SOLVERS

N = 120
NETWORK = {"family": "poisson", "hidden": (3,), "alpha": 0.1, "random_state": 0}
unconverged = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(11)
    X = rng.normal(size=(N, 3)) * [1.0, 10.0, 0.1] + [0.0, 5.0, 1.0]
    y = rng.poisson(np.exp(0.5 + np.tanh(X[:, 0]) + 0.05 * (X[:, 1] - 5.0))).astype(float)
    return X, y


# -- solvers


@unconverged
@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_every_solver_fits_a_network(counts, solver):
    X, y = counts
    rate = {"learning_rate": 0.05} if solver == "adam" else {}  # its default is made for many more steps than these
    model = RecursiveGLMRegressor(solver=solver, max_iter=30, batch_size=20, **rate, **NETWORK).fit(X, y)
    assert model.score(X, y) > 0.1
    assert model.predict(X).sum() == pytest.approx(y.sum(), rel=1e-10)  # canonical link: totals agree


@pytest.mark.parametrize("solver", ["irls", "newton", "fisher", "newton-cg", "trust-newton", "lbfgs"])
def test_solvers_agree_on_a_glm(counts, solver):
    X, y = counts
    model = RecursiveGLMRegressor(family="poisson", solver=solver, tol=1e-9).fit(X, y)
    reference = RecursiveGLMRegressor(family="poisson").fit(X, y)
    assert reference.fit_.solver == "irls"
    np.testing.assert_allclose(model.coef_, reference.coef_, rtol=1e-5)


@unconverged
@pytest.mark.parametrize(
    "options",
    [
        {"solver": "adam", "max_iter": 3},
        {"solver": "adam", "early_stopping": True, "max_iter": 10},
        {"solver": "lbfgs", "max_iter": 2},
        {"solver": "lbfgs", "dtype": "float32"},
        {"dropout": 0.3, "max_iter": 3},
        {"l1": 0.5, "solver": "adam", "max_iter": 3},
        {"hidden": (), "max_iter": 1},
        {"skip": True, "balance": "output", "solver": "sgd", "max_iter": 3},
    ],
)
@pytest.mark.parametrize("family", ["poisson", "bernoulli", "gaussian"])
def test_totals_agree_after_every_fit(counts, options, family):
    X, y = counts
    y = (y > 2).astype(float) if family == "bernoulli" else y
    w = np.random.default_rng(0).uniform(0.5, 2.0, N)
    model = RecursiveGLMRegressor(**(NETWORK | {"family": family} | options)).fit(X, y, sample_weight=w)
    tolerance = 1e-5 if options.get("dtype") == "float32" else 1e-9
    assert w @ model.predict(X) == pytest.approx(w @ y, rel=tolerance)
    assert model.fit_.balanced


def test_a_mean_of_balanced_fits_is_balanced(counts):
    X, y = counts
    quick = RecursiveGLMRegressor(**(NETWORK | {"max_iter": 5, "solver": "adam"}))
    ensemble = VotingRegressor([(str(s), clone(quick).set_params(random_state=s)) for s in range(3)])
    with pytest.warns(ConvergenceWarning):
        ensemble.fit(X, y)
    assert ensemble.predict(X).sum() == pytest.approx(y.sum(), rel=1e-10)


def test_gamma_log_promises_no_balance(counts):
    X, y = counts
    model = RecursiveGLMRegressor(family="gamma", link="log").fit(X, y + 0.5)
    assert not model.fit_.balanced
    with pytest.raises(ValueError, match="balance=True needs"):
        RecursiveGLMRegressor(family="gamma", link="log", balance=True).fit(X, y + 0.5)


@unconverged
def test_early_stopping_watches_held_out_deviance(counts):
    X, y = counts
    model = RecursiveGLMRegressor(
        hidden=(30,), family="poisson", solver="adam", learning_rate=0.1, early_stopping=True, validation_fraction=0.3,
        n_iter_no_change=3, max_iter=100, balance=False, random_state=0,
    ).fit(X, y)  # fmt: skip
    monitor = model.fit_.history["monitor"]
    assert model.n_iter_ == len(monitor) < 100
    assert len(monitor) - 1 - int(np.argmin(monitor)) == 3
    assert not model.fit_.at_optimum


def test_l1_gives_exact_zeros(counts):
    X, y = counts
    noise = np.random.default_rng(4).normal(size=(N, 5))
    model = RecursiveGLMRegressor(family="poisson", l1=15.0).fit(np.column_stack([X, noise]), y)
    assert model.fit_.solver == "lbfgs"
    assert np.sum(model.coef_[3:] == 0.0) >= 3
    assert model.coef_[1] != 0.0


@pytest.mark.parametrize("composition", [
    [layers.Dense(4, "relu"), layers.Dense(3, "tanh")],
    [layers.Select(standardize=True), layers.Residual([layers.Dense(3, "tanh")])],
    [layers.Parallel([layers.Dense(2, "tanh"), layers.PiecewiseLinear()]), layers.Dense(3, "sigmoid")],
    [layers.Spline(), layers.Dense(2, "softplus")],
    [layers.RBF(4)],
    [layers.Dense(3, "maxout")],
    [],
])  # fmt: skip
@unconverged
def test_compositions_of_layers(counts, composition):
    X, y = counts
    model = RecursiveGLMRegressor(
        layers=composition, family="poisson", alpha=0.1, solver="lbfgs", max_iter=40, random_state=0
    )
    model.fit(X, y)
    assert model.score(X, y) > 0.1
    assert pickle.loads(pickle.dumps(model)).predict(X) == pytest.approx(model.predict(X))


@unconverged
def test_batch_normalisation_by_mini_batches(counts):
    X, y = counts
    normed = [layers.Dense(4), layers.BatchNorm(), layers.Activation("relu")]
    model = RecursiveGLMRegressor(layers=normed, family="poisson", solver="adam", max_iter=30, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.1
    np.testing.assert_allclose(model.predict(X[:5]), model.predict(X)[:5])  # moments are those of the fit


# -- weights


@pytest.mark.parametrize("options", [{}, {"hidden": (3,), "alpha": 0.1}, {"family": "gaussian"}, {"family": "gamma"}])
def test_weights_are_repetitions(counts, options):
    X, y = counts
    options = {"family": "poisson", "random_state": 0, "freq_weights": True} | options
    y = y + 0.5 if options["family"] == "gamma" else y
    w = np.random.default_rng(1).integers(0, 4, N)
    a = RecursiveGLMRegressor(**options).fit(X, y, sample_weight=w)
    b = RecursiveGLMRegressor(**options).fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    np.testing.assert_allclose(a.predict(X), b.predict(X), rtol=1e-6)
    for what in ("deviance", "log_likelihood", "dispersion", "nobs", "df_resid", "null_deviance"):
        assert getattr(a.fit_, what) == pytest.approx(getattr(b.fit_, what), rel=1e-6), what


def test_precision_weights_count_rows(counts):
    X, y = counts
    w = np.full(N, 3.0)
    a, b = RecursiveGLMRegressor().fit(X, y), RecursiveGLMRegressor().fit(X, y, sample_weight=w)
    assert b.fit_.nobs == N
    assert b.dispersion_ == pytest.approx(3.0 * a.dispersion_)
    np.testing.assert_allclose(a.inference().bse, b.inference().bse, rtol=1e-8)


# -- continuing


def test_warm_start_goes_on(counts):
    X, y = counts
    model = RecursiveGLMRegressor(warm_start=True, **NETWORK).fit(X, y)
    first = model.n_iter_
    model.fit(X, y)
    assert model.n_iter_ < first / 2
    assert model.set_params(hidden=(4,)).fit(X, y).converged_  # another network starts afresh


def test_partial_fits_add_up_to_epochs(counts):
    X, y = counts
    model = RecursiveGLMRegressor(batch_size=20, learning_rate=0.02, **NETWORK)
    scores = [model.partial_fit(X, y).score(X, y) for _ in range(15)]
    assert scores[-1] > scores[0]
    assert model.fit_.solver == "adam"
    assert model.fit_.details["memory"].state.epochs == 15
    model.partial_fit(X[:10] + 100.0, y[:10])  # the scale of the columns stays that of the first call
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(X[:, :2], y)


def test_partial_fit_knows_classes_that_come_later(counts):
    X, y = counts
    labels = np.where(y > 2, "many", "few")
    model = RecursiveGLMClassifier(random_state=0, learning_rate=0.05)
    with pytest.raises(ValueError, match="classes must be passed"):
        model.partial_fit(X, labels)
    few = labels == "few"
    model.partial_fit(X[few], labels[few], classes=["few", "many"])
    for _ in range(10):
        model.partial_fit(X, labels)
    assert model.score(X, labels) > 0.7


# -- restarts, seeds, copies


def test_restarts_are_reported(counts):
    X, y = counts
    model = RecursiveGLMRegressor(n_init=4, **NETWORK).fit(X, y)
    objectives = [restart.objective for restart in model.fit_.restarts]
    assert len(objectives) == 4
    assert model.fit_.objective <= min(objectives) + 1e-9
    assert "of 4" in model.summary().as_text()
    single = RecursiveGLMRegressor(**NETWORK).fit(X, y)
    assert model.fit_.objective <= single.fit_.objective + 1e-9


def test_restarts_in_processes_are_the_same(counts):
    X, y = counts
    options = NETWORK | {"n_init": 2, "verbose": 0, "hidden": (2,)}
    a = RecursiveGLMRegressor(**options).fit(X, y)
    b = RecursiveGLMRegressor(n_jobs=2, **options).fit(X, y)
    np.testing.assert_allclose(a.predict(X), b.predict(X), rtol=1e-6)


@unconverged
@pytest.mark.parametrize("options", [{}, {"solver": "adam", "dropout": 0.2, "max_iter": 5}])
def test_a_seed_fixes_every_bit(counts, options):
    X, y = counts
    a, b, c = (RecursiveGLMRegressor(**(NETWORK | options | {"random_state": s})).fit(X, y) for s in (7, 7, 8))
    np.testing.assert_array_equal(a.fit_.theta, b.fit_.theta)
    assert not np.array_equal(a.fit_.theta, c.fit_.theta)
    generator = RecursiveGLMRegressor(**(NETWORK | options | {"random_state": np.random.default_rng(7)})).fit(X, y)
    assert np.isfinite(generator.predict(X)).all()


@unconverged
@pytest.mark.parametrize(
    ("backend", "dtype"), [("numba", "float64"), ("c", "float64"), ("jax", "float64"), ("numba", "float32")]
)
def test_backends_agree(counts, backend, dtype):
    X, y = counts
    options = NETWORK | {"dtype": dtype, "solver": "lbfgs", "max_iter": 5}
    a = RecursiveGLMRegressor(backend="python", **options).fit(X, y)
    b = RecursiveGLMRegressor(backend=backend, **options).fit(X, y)
    assert a.fit_.theta.dtype == b.fit_.theta.dtype == dtype
    rtol = 1e-10 if dtype == "float64" else 1e-3  # sums of 120 terms of size 100 that cancel
    np.testing.assert_allclose(a.fit_.theta, b.fit_.theta, rtol=rtol)
    np.testing.assert_allclose(a.fit_.history["objective"], b.fit_.history["objective"], rtol=rtol)


def test_copies_predict_the_same(counts, tmp_path):
    X, y = counts
    model = RecursiveGLMRegressor(**NETWORK).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    joblib.dump(model, tmp_path / "model.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "model.joblib").predict(X), model.predict(X))
    refitted = clone(model).fit(X, y)
    np.testing.assert_array_equal(refitted.fit_.theta, model.fit_.theta)
    folds = cross_validate(model, X, y, cv=2, return_estimator=True)
    assert all(np.isfinite(est.predict(X)).all() for est in folds["estimator"])


# -- watching


class Recorder:
    """A scikit-learn callback that counts tasks and may stop or interrupt the fit."""

    def __init__(self, at=None, error=None):
        self.at, self.error, self.tasks, self.torn_down = at, error, 0, False

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.tasks += 1
        if self.tasks == self.at:
            if self.error is not None:
                raise self.error
            return True

    def teardown(self, estimator, context):
        self.torn_down = True


@pytest.mark.parametrize("options", [{}, {"hidden": ()}, {"solver": "adam"}, {"solver": "lbfgs", "n_init": 3}])
def test_an_interrupt_keeps_the_best_so_far(counts, options):
    X, y = counts
    stop = Recorder(at=2, error=KeyboardInterrupt())
    model = RecursiveGLMRegressor(**(NETWORK | options)).set_callbacks(stop)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model.fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    assert not model.converged_
    assert len(model.fit_.restarts) == 1
    assert stop.torn_down


def test_a_callback_may_stop_a_fit(counts):
    X, y = counts
    stop = Recorder(at=3)
    model = RecursiveGLMRegressor(**(NETWORK | {"solver": "lbfgs"})).set_callbacks(stop).fit(X, y)
    assert model.n_iter_ == 3
    assert stop.torn_down


def test_progress_bars(counts, capsys):
    X, y = counts
    model = RecursiveGLMRegressor(**NETWORK)
    model.set_callbacks(ProgressBar()).fit(X, y)
    assert "RecursiveGLMRegressor" in capsys.readouterr().out
    RecursiveGLMRegressor(verbose=2, **NETWORK).fit(X, y)
    assert "objective" in capsys.readouterr().out
    cross_validate(RecursiveGLMRegressor(verbose=1, n_init=2, n_jobs=2, **(NETWORK | {"hidden": (2,)})), X, y, cv=2)


def test_dropout_needs_mini_batches(counts):
    X, y = counts
    with pytest.raises(ValueError, match="use solver='adam'"):
        RecursiveGLMRegressor(dropout=0.2, solver="lbfgs", **NETWORK).fit(X, y)
