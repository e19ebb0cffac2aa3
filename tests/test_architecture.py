"""Searches of architectures: what they find, in which order, resumed, and scikit-learn's conventions."""

import json
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import reglm
from reglm import ArchitectureSearch, RecursiveGLMClassifier, RecursiveGLMRegressor, select_architecture
from reglm.estimators import candidates
from reglm.estimators.evaluating import Judge
from reglm.estimators.growing import Parent, grown

RNG = np.random.default_rng(1)
X = pd.DataFrame(RNG.normal(size=(150, 5)), columns=list("abcde"))
Y = np.asarray(2 * np.tanh(1.5 * X.a - X.b) + 1.5 * np.tanh(X.c + X.b) + 0.3 * RNG.normal(size=150))
NET = RecursiveGLMRegressor(max_iter=100)
COUNTS = RNG.poisson(np.exp(0.5 * X.a + 0.6 * X.b))


def search(**options):
    return ArchitectureSearch(NET, **{"hidden": [1, 2], "inputs": "backward", "n_init": 1, "random_state": 0} | options)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    path = tmp_path_factory.mktemp("search") / "path.jsonl"
    return search(hidden=[1, 2, 3], checkpoint=path).fit(X, Y)


def test_the_units_and_inputs_of_a_simulation_are_found(found):
    assert found.best_params_ == {"hidden": (2,), "activation": "tanh", "inputs": ["a", "b", "c"]}
    table = found.results_frame()
    assert table["bic"].min() == table.loc[table["chosen"], "bic"].item() == -found.best_score_
    assert found.best_estimator_.inference().bic == pytest.approx(-found.best_score_)
    assert list(dict.fromkeys(table["stage"])) == ["units", "inputs", "single steps"]
    np.testing.assert_array_equal(found.predict(X), found.best_estimator_.predict(X[["a", "b", "c"]]))
    assert found.score(X, Y) > 0.9
    assert found.inference().fit.n_parameters == 11


def test_larger_networks_fit_no_worse_than_the_smaller_ones_they_start_from(found):
    table = found.results_frame()
    by_units = table[table["stage"] == "units"].set_index("hidden")["log_likelihood"]
    assert by_units[(1,)] < by_units[(2,)] < by_units[(3,)]


def test_a_search_that_was_cut_goes_on_where_it_was(found, tmp_path):
    lines = found.checkpoint.read_text().splitlines(keepends=True)
    path = tmp_path / "cut.jsonl"
    path.write_text("".join(lines[:-3]) + lines[-3][:40])
    again = search(hidden=[1, 2, 3], checkpoint=path).fit(X, Y)
    pd.testing.assert_frame_equal(
        again.results_frame().drop(columns="seconds"), found.results_frame().drop(columns="seconds"), check_exact=True
    )
    np.testing.assert_array_equal(again.best_estimator_.fit_.theta, found.best_estimator_.fit_.theta)
    resumed = [json.loads(line)["candidate"] for line in path.read_text().splitlines()[1:]]
    assert resumed == [json.loads(line)["candidate"] for line in lines[1:]]
    with pytest.raises(ValueError, match="belongs to another search"):
        search(checkpoint=path).fit(X, Y + 1.0)
    path.write_text("no checkpoint")
    with pytest.raises(ValueError, match="no checkpoint of a search"):
        search(checkpoint=path).fit(X, Y)


def test_seed_of_a_checkpoint_is_kept(tmp_path):
    options = {"hidden": [1], "inputs": None, "random_state": None, "checkpoint": tmp_path / "seed.jsonl"}
    one, two = (search(**options).fit(X, Y) for _ in range(2))
    np.testing.assert_array_equal(one.best_estimator_.fit_.theta, two.best_estimator_.fit_.theta)


def test_an_interrupt_keeps_the_best_so_far(monkeypatch):
    calls = []
    original = Judge.__call__

    def interrupted(self, candidate, parent):
        calls.append(candidate)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self, candidate, parent)

    monkeypatch.setattr(Judge, "__call__", interrupted)
    cut = search().fit(X, Y)
    assert cut.interrupted_
    assert cut.best_params_["hidden"] == (2,)
    assert len(cut.cv_results_["params"]) == 2
    calls.extend([None] * 10)
    monkeypatch.setattr(Judge, "__call__", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        search().fit(X, Y)


LINEAR = RecursiveGLMRegressor(family="poisson")


@pytest.mark.parametrize("criterion", ["aic", "aicc", "bic", "tic", "cv"])
def test_forward_and_exhaustive_searches_agree_on_inputs(criterion):
    forward, every = (
        ArchitectureSearch(LINEAR, [()], inputs=mode, criterion=criterion, cv=3, random_state=0).fit(
            X[[*"abc"]], COUNTS
        )
        for mode in ("forward", "exhaustive")
    )
    assert {"a", "b"} <= set(forward.best_params_["inputs"])
    assert forward.best_score_ == pytest.approx(every.best_score_)
    assert len(every.cv_results_["params"]) == 7
    if criterion in ("aic", "bic", "aicc"):
        peer = RecursiveGLMRegressor(family="poisson").fit(X[forward.best_params_["inputs"]], COUNTS).inference()
        assert -forward.best_score_ == pytest.approx(getattr(peer, criterion))


def test_cross_validation_is_the_mean_deviance_of_held_out_rows():
    folds = [(np.arange(0, 100), np.arange(100, 150)), (np.arange(50, 150), np.arange(0, 50))]
    found = ArchitectureSearch(LINEAR, [()], criterion="cv", cv=folds).fit(X, COUNTS)
    means = [
        reglm.metrics.mean_deviance(
            COUNTS[test], LINEAR.fit(X.iloc[train], COUNTS[train]).predict(X.iloc[test]), "poisson"
        )
        for train, test in folds
    ]
    assert -found.best_score_ == pytest.approx(np.mean(means))
    assert found.cv_results_["std_err_test_score"][0] == pytest.approx(np.std(means, ddof=1) / np.sqrt(2))


def test_one_standard_error_chooses_the_smallest_of_the_close_ones():
    options = {"hidden": [()], "inputs": "exhaustive", "criterion": "cv", "random_state": 0}
    best, small = (
        ArchitectureSearch(LINEAR, one_standard_error=rule, **options).fit(X[["a", "c"]], COUNTS)
        for rule in (False, True)
    )
    table = small.results_frame()
    limit = table["cv"].min() + table.loc[table["cv"].idxmin(), "std_err"]
    assert table.loc[table["chosen"], "n_parameters"].item() == table[table["cv"] <= limit]["n_parameters"].min()
    assert len(small.best_params_["inputs"]) <= len(best.best_params_["inputs"])


def test_walks_add_and_remove_units():
    up = search(hidden=None, inputs=None, max_units=3).fit(X, Y)
    assert up.best_params_["hidden"] == (2,)
    assert [tuple(h) for h in up.cv_results_["param_hidden"]] == [(), (1,), (2,), (3,)]
    assert candidates.steps((1,), 3) == [(), (2,)]
    assert candidates.steps((2, 1), 2) == [(1, 1), (2, 2)]
    sizes = candidates.hidden_list([4, (), (2, 2), 1, (3, 1)])
    assert sizes == ((), (1,), (2, 2), (3, 1), (4,))
    assert candidates.next_to((), sizes) == [(1,), (2, 2), (3, 1)]
    assert candidates.next_to((4,), sizes) == [(1,)]


def test_activations_are_compared():
    bent = np.asarray(np.tanh(2.0 * X.a) + 0.05 * RNG.normal(size=150))
    found = search(hidden=[(), 1], inputs=None, activations=["softplus", "tanh", "relu"], n_init=2).fit(X[["a"]], bent)
    assert found.best_params_ == {"hidden": (1,), "activation": "tanh", "inputs": ["a"]}
    assert len(found.cv_results_["params"]) == 4  # without units the activation has no part


def test_growing_keeps_the_linear_predictor():
    small = RecursiveGLMRegressor((1,), skip=True, random_state=0).fit(X[["b", "a"]], Y).fit_
    large = RecursiveGLMRegressor((3,), skip=True, random_state=0).fit(X[["a", "b", "c"]], Y).fit_
    parent = Parent.from_dict(json.loads(json.dumps(Parent.of(small).to_dict())))
    theta = grown(parent, large, np.random.default_rng(0))
    eta = large.likelihood.eta(theta, large.data.X, large.data.offset)
    np.testing.assert_allclose(eta, small.likelihood.eta(small.theta, small.data.X, small.data.offset), rtol=1e-10)
    assert grown(Parent.of(large), small, np.random.default_rng(0)) is None


@pytest.mark.parametrize("kind", ["frame", "array", "sparse"])
def test_exposures_stay_whatever_inputs_go(kind):
    e = RNG.uniform(0.5, 2.0, 150)
    frame = X[["a", "c"]].assign(e=e, b=X.b)
    y = RNG.poisson(e * np.exp(0.3 + 0.7 * X.b))
    rows = {"frame": frame, "array": frame.to_numpy(), "sparse": sparse.csr_matrix(frame.to_numpy())}[kind]
    model = RecursiveGLMRegressor(family="poisson", exposure="e" if kind == "frame" else 2)
    found = select_architecture(model, rows, y, hidden=[()], inputs="backward", random_state=0)
    expected = RecursiveGLMRegressor(family="poisson", exposure="e").fit(frame[["e", "b"]], y)
    assert found.best_params_["inputs"] == ["b" if kind == "frame" else "x3"]
    np.testing.assert_allclose(found.predict(rows), expected.predict(frame[["e", "b"]]), rtol=1e-8)
    given = ArchitectureSearch(RecursiveGLMRegressor(family="poisson"), [()], criterion="cv")
    given.fit(X[["b"]], y, exposure=e, sample_weight=np.ones(150))
    np.testing.assert_allclose(given.predict(X[["b"]], exposure=e), found.predict(rows), rtol=1e-8)


def test_exposures_are_routed_through_pipelines():
    e = RNG.uniform(0.5, 2.0, 150)
    y = RNG.poisson(e * np.exp(0.3 + 0.7 * X.b))
    with config_context(enable_metadata_routing=True):
        chooser = ArchitectureSearch(LINEAR, [()], inputs="backward")
        for request in (chooser.set_fit_request, chooser.set_predict_request, chooser.set_score_request):
            request(exposure=True)
        model = make_pipeline(StandardScaler(), chooser).fit(X, y, exposure=e)
        expected = RecursiveGLMRegressor(family="poisson").fit(X[["b"]], y, exposure=e)
        np.testing.assert_allclose(model.predict(X, exposure=e), expected.predict(X[["b"]], exposure=e), rtol=1e-7)
        assert model.score(X, y, exposure=e) == pytest.approx(expected.score(X[["b"]], y, exposure=e))


def test_polars_frames_and_pickles():
    site = np.array(["n", "s", "w"])[RNG.integers(0, 3, 150)]
    frame = pl.DataFrame({"a": X["a"].to_numpy(), "b": X["b"].to_numpy(), "site": site.tolist()})
    found = ArchitectureSearch(LINEAR, [()], inputs="backward").fit(frame, COUNTS)
    assert found.best_params_["inputs"] == ["a", "b"]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found)).predict(frame), found.predict(frame))


def test_processes_do_not_change_the_answer():
    one, two = (ArchitectureSearch(LINEAR, [()], inputs="forward", n_jobs=n).fit(X[["a", "c"]], COUNTS) for n in (1, 2))
    np.testing.assert_array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])


def test_classifiers_pipelines_and_parameters(capsys):
    labels = np.where(COUNTS > 1, "many", "few")
    model = ArchitectureSearch(RecursiveGLMClassifier(), [()], inputs="forward", criterion="cv", cv=3, verbose=2)
    fitted = model.set_params(random_state=3, estimator__alpha=0.5).fit(X, labels)
    assert "models" in capsys.readouterr().out
    assert list(fitted.classes_) == ["few", "many"]
    assert fitted.predict_proba(X).shape == (150, 2)
    np.testing.assert_allclose(fitted.predict_log_proba(X), np.log(fitted.predict_proba(X)))
    assert fitted.decision_function(X).shape == fitted.logpdf(X, labels).shape == (150,)
    assert fitted.best_estimator_.alpha == 0.5
    assert not hasattr(search(), "predict_proba")
    assert clone(fitted).get_params()["estimator__alpha"] == 0.5
    pipeline = make_pipeline(StandardScaler(), ArchitectureSearch(LINEAR, [()], inputs="backward"))
    assert cross_val_score(pipeline, X, COUNTS, cv=3).mean() > 0.1
    formula = RecursiveGLMRegressor(formula="y ~ a + b")
    chosen = ArchitectureSearch(formula, [(), 1], n_init=1, random_state=0).fit(X.assign(y=Y))
    assert chosen.best_params_["inputs"] == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"estimator": StandardScaler()}, "last step"),
        ({"estimator": RecursiveGLMRegressor(layers=[])}, "layers="),
        ({"inputs": "both"}, "inputs='both' is not known"),
        ({"criterion": "r2"}, "criterion='r2' is not known"),
        ({"n_init": 0}, "n_init=0 must be"),
        ({"hidden": [0]}, "must list hidden layers"),
        ({"hidden": 3}, "must list hidden layers"),
        ({"activations": "tanh"}, "activations='tanh' must be a list"),
        ({"one_standard_error": True}, "needs criterion='cv'"),
        ({"hidden": None, "inputs": "exhaustive"}, "needs a list"),
        ({"estimator": RecursiveGLMRegressor(formula="y ~ a")}, "need the columns"),
        ({"estimator": RecursiveGLMRegressor(family="quasi_poisson"), "hidden": [()], "inputs": None}, "finite bic"),
        ({"estimator": RecursiveGLMRegressor(family="bernoulli"), "hidden": [()]}, "bernoulli"),
    ],
)
def test_errors_name_the_argument(change, message):
    model = search().set_params(**change)
    with pytest.raises(ValueError, match=message):
        model.fit(X, np.abs(Y) + 2.0)


def test_perfect_fits_win_and_saturated_ones_do_not():
    exact = ArchitectureSearch(RecursiveGLMRegressor(), [()], inputs="forward").fit(X[["a", "b"]], np.zeros(150))
    assert exact.best_params_["inputs"] == ["a"]
    assert exact.best_score_ == np.inf
    few = search(hidden=[(), 3], inputs=None).fit(X[:12], Y[:12])
    assert few.best_params_["hidden"] == ()
    assert "degrees of freedom" in few.cv_results_["error"][1]


def test_too_many_subsets_are_refused():
    wide = np.random.default_rng(0).normal(size=(30, 20))
    with pytest.raises(ValueError, match=r"1.05e\+06 models of 20 columns"):
        ArchitectureSearch(LINEAR, [()], inputs="exhaustive").fit(wide, np.ones(30))
