"""RecurrentGLM: tasks, families, missing responses, groups, and what bad input is told."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupKFold, cross_validate

from reglm import RecurrentGLM
from reglm.fitting.objective import Penalised
from reglm.fitting.truncated import Walk

RNG = np.random.default_rng(0)
LENGTHS = np.array([5, 9, 7, 9])
N, EDGES = LENGTHS.sum(), np.concatenate([[0], np.cumsum(LENGTHS)])
GROUPS = np.repeat(["d", "a", "c", "b"], LENGTHS)
X = RNG.normal(size=(N, 2))
MEMORY = np.concatenate([np.cumsum(X[a:b, 0]) for a, b in itertools.pairwise(EDGES)])
COUNTS = RNG.poisson(np.exp(0.3 * MEMORY)).astype(float)
QUICK = {"alpha": 0.1, "max_iter": 40, "random_state": 0}

# Searches are cut short to save time; one test asks for the warning that says so.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def counts():
    return RecurrentGLM("gru", 2, "poisson", **QUICK).fit(X, COUNTS, LENGTHS)


def test_response_per_row(counts):
    assert counts.task_ == "step"
    assert 0.3 < counts.score(X, COUNTS, LENGTHS) < 1.0
    mu = counts.predict(X, LENGTHS)
    entries = stats.poisson.logpmf(COUNTS, mu)
    np.testing.assert_allclose(counts.logpdf(X, COUNTS, LENGTHS), np.add.reduceat(entries, EDGES[:-1]))
    assert counts.fit_.log_likelihood == pytest.approx(entries.sum())
    np.testing.assert_allclose(counts.predict(X, LENGTHS, kind="link"), np.log(mu))


def test_sequences_stand_alone_in_any_order(counts):
    mu = counts.predict(X, LENGTHS)
    for a, b in itertools.pairwise(EDGES):
        np.testing.assert_allclose(counts.predict(X[a:b]), mu[a:b], rtol=1e-10)
    mixed = np.argsort(RNG.uniform(size=N))  # rows of the sequences interleaved, each in its own order
    keys = np.empty(N)
    for g in np.unique(GROUPS):
        own = g == GROUPS
        keys[own] = np.sort(mixed[own])
    order = np.argsort(keys)
    np.testing.assert_allclose(counts.predict(X[order], groups=GROUPS[order]), mu[order], rtol=1e-10)
    few = RecurrentGLM("gru", 2, "poisson", **QUICK | {"max_iter": 3})
    theta = few.fit(X, COUNTS, LENGTHS).fit_.theta
    np.testing.assert_allclose(few.fit(X[order], COUNTS[order], groups=GROUPS[order]).fit_.theta, theta, rtol=1e-6)


def test_unobserved_responses_have_no_weight(counts):
    y, weights = COUNTS.copy(), np.ones(N)
    y[[2, 11]] = np.nan
    weights[[2, 11]] = 0.0
    one = RecurrentGLM("elman", 2, "poisson", **QUICK | {"max_iter": 5})
    theta = one.fit(X, y, LENGTHS).fit_.theta
    np.testing.assert_allclose(one.fit(X, COUNTS, LENGTHS, sample_weight=weights).fit_.theta, theta)
    assert one.fit_.nobs == N - 2
    seen = stats.poisson.logpmf(COUNTS, counts.predict(X, LENGTHS)) * weights
    np.testing.assert_allclose(counts.logpdf(X, y, LENGTHS), np.add.reduceat(seen, EDGES[:-1]))


def test_response_per_sequence():
    y = np.array([0.3, -0.5, 1.0, 0.2])
    model = RecurrentGLM("elman", 2, alpha=0.01, max_iter=40, random_state=0).fit(X, y, LENGTHS)
    assert model.task_ == "sequence"
    assert model.predict(X, LENGTHS).shape == model.logpdf(X, y, LENGTHS).shape == (4,)
    assert model.score(X, y, LENGTHS) > 0.9
    again = RecurrentGLM("elman", 2, alpha=0.01, max_iter=40, random_state=0).fit(X, y, groups=GROUPS)
    np.testing.assert_allclose(again.predict(X, groups=GROUPS), model.predict(X, LENGTHS), rtol=1e-6)
    order = np.argsort(GROUPS, kind="stable")  # sequences come in another order, and so do the answers
    np.testing.assert_allclose(again.predict(X[order], groups=GROUPS[order]), again.predict(X, LENGTHS)[[1, 3, 2, 0]])


@pytest.mark.parametrize("family", ["bernoulli", "multinomial", "ordinal"])
@pytest.mark.parametrize("per_sequence", [False, True])
def test_labels(family, per_sequence):
    names = np.array(["high", "low"] if family == "bernoulli" else ["high", "low", "mid"])
    m = len(LENGTHS) if per_sequence else N
    y = names[np.arange(m) % len(names)].astype(object)
    y[3] = None
    model = RecurrentGLM("elman", 2, family, alpha=1.0, max_iter=15, random_state=0).fit(X, y, LENGTHS)
    assert model.classes_.tolist() == names.tolist()
    p = model.predict_proba(X, LENGTHS)
    assert p.shape == (m, len(names))
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    assert set(model.predict(X, LENGTHS)) <= set(names)
    assert 0.0 <= model.score(X, y, LENGTHS) <= 1.0
    codes = np.searchsorted(names, np.where(y == None, "low", y).astype(str))  # noqa: E711  # elementwise
    entries = np.log(p[np.arange(m), codes]) * (np.arange(m) != 3)
    expected = entries if per_sequence else np.add.reduceat(entries, EDGES[:-1])
    np.testing.assert_allclose(model.logpdf(X, y, LENGTHS), expected)


def test_density_scores_every_row_from_those_before_it():
    rows = np.column_stack([MEMORY, X[:, 1]])
    model = RecurrentGLM("elman", 2, alpha=0.01, max_iter=25, random_state=0).fit(rows, lengths=LENGTHS)
    assert model.task_ == "density"
    mu = model.predict(rows, LENGTHS)
    assert mu.shape == rows.shape
    entries = stats.norm.logpdf(rows, mu, np.sqrt(model.dispersion_)).sum(axis=1)
    np.testing.assert_allclose(model.logpdf(rows, lengths=LENGTHS), np.add.reduceat(entries, EDGES[:-1]))
    assert model.score(rows, lengths=LENGTHS) == pytest.approx(entries.mean())
    np.testing.assert_allclose(mu[EDGES[:-1]], mu[:1].repeat(4, axis=0))  # first rows: the initial state alone
    changed = rows.copy()
    changed[7] += 1.0  # a row bears on later ones of its own sequence only
    differs = (model.predict(changed, LENGTHS) != mu).any(axis=1)
    assert differs.nonzero()[0].tolist() == list(range(8, EDGES[2]))
    short = model.logpdf(rows[:1])
    np.testing.assert_allclose(short, entries[:1])


def test_density_of_labels_and_of_bits():
    words = np.array(["a", "b", "a", "c"])[np.arange(N) % 4][:, None]
    model = RecurrentGLM("gru", 3, "multinomial", alpha=0.01, max_iter=40, random_state=0).fit(words, lengths=LENGTHS)
    assert np.exp(model.score(words, lengths=LENGTHS)) > 0.6
    assert model.predict(words, LENGTHS).shape == (N,)
    bits = (RNG.random((N, 3)) < 0.4).astype(float)
    model = RecurrentGLM("gru", 2, "bernoulli", alpha=1.0, max_iter=15, random_state=0).fit(bits, lengths=LENGTHS)
    p = model.predict(bits, LENGTHS)
    expected = stats.bernoulli.logpmf(bits, p).sum(axis=1)
    np.testing.assert_allclose(model.logpdf(bits, lengths=LENGTHS), np.add.reduceat(expected, EDGES[:-1]))


def test_early_stopping_holds_sequences_out():
    options = {"early_stopping": True, "validation_fraction": 0.25, "n_iter_no_change": 2, "max_iter": 40}
    model = RecurrentGLM("elman", 2, "poisson", batch_size=2, random_state=0, **options).fit(X, COUNTS, LENGTHS)
    assert model.fit_.solver == "adam"
    assert len(model.fit_.history["monitor"]) == model.n_iter_
    with pytest.raises(ValueError, match="validation_fraction"):
        model.fit(X, COUNTS)


def test_single_precision_follows_double_precision():
    double, single = (
        RecurrentGLM("gru", 2, "poisson", dtype=dtype, **QUICK | {"max_iter": 3}).fit(X, COUNTS, LENGTHS)
        for dtype in ("float64", "float32")
    )
    np.testing.assert_allclose(single.predict(X, LENGTHS), double.predict(X, LENGTHS), rtol=1e-4)
    assert single.predict(X, LENGTHS).dtype == "float32"


def test_an_unfinished_search_warns():
    with pytest.warns(ConvergenceWarning, match="max_iter = 1"):
        RecurrentGLM("elman", 2, "poisson", max_iter=1, random_state=0).fit(X, COUNTS, LENGTHS)


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        ({}, {"lengths": [3, 4]}, "lengths add up to 7, X has 30 rows"),
        ({}, {"lengths": [30, 0]}, "empty sequence"),
        ({"cell": "rnn"}, {}, "cell='rnn'"),
        ({"cell": "gru", "peepholes": True}, {}, "peepholes=True is an option of cell='lstm'"),
        ({"hidden": ()}, {}, "hidden=()"),
        ({"batch_size": 0}, {}, "batch_size=0"),
        ({"task": "density"}, {"y": COUNTS}, "takes y=None"),
        ({"task": "step"}, {"y": None}, "requires y to be passed"),
        ({}, {"y": np.full(N, np.nan)}, "no row of the response is observed"),
        ({}, {"y": np.where(np.arange(N) == 3, np.inf, COUNTS)}, "infinity"),
        ({}, {"X": np.where(np.arange(2 * N).reshape(N, 2) == 3, np.nan, X)}, "NaN"),
        ({"family": "poisson"}, {"y": -COUNTS - 1}, "poisson"),
        ({"family": "multinomial"}, {"y": np.ones(N)}, "at least 2 classes"),
        ({}, {"y": COUNTS[:7]}, "inconsistent"),
    ],
)
def test_bad_input_is_named(options, arguments, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        RecurrentGLM(**{"cell": "elman", "hidden": 2} | options).fit(**{"X": X, "y": COUNTS} | arguments)


def test_sequences_of_one_row():
    model = RecurrentGLM("elman", 2, "poisson", **QUICK).fit(X, COUNTS, np.ones(N, dtype=int))
    assert model.task_ == "step"
    assert np.isfinite(model.logpdf(X, COUNTS, np.ones(N, dtype=int))).all()


DEEP = {"hidden": (2, 3), "skip": True, "max_iter": 5, "random_state": 0}


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"dropout": 0.2, "clip": 1.0, "clip_value": 0.1}])
@pytest.mark.parametrize("cell", ["lstm", "gru", "leaky"])
def test_stacks(cell, options):
    model = RecurrentGLM(cell, family="poisson", **DEEP | options).fit(X, COUNTS, LENGTHS)
    width = 5 * (2 if options.get("bidirectional") else 1)
    assert model.states(X, LENGTHS).shape == (N, width)
    views = model.fit_.likelihood.layout.views(model.fit_.theta)
    eta = model.states(X, LENGTHS)[:, -width // 5 * 3 :] @ views["output.W"] + views["output.b"] + X @ views["skip.W"]
    np.testing.assert_allclose(model.predict(X, LENGTHS, kind="link"), eta[:, 0])
    model = RecurrentGLM(cell, **DEEP | options).fit(X, [0.1, 0.2, 0.3, 0.4], LENGTHS)
    assert model.predict(X, LENGTHS).shape == (4,)


def test_a_stream_gives_what_the_whole_sequence_gives(counts):
    mu, state = counts.predict(X[:9]), None
    for rows in (X[:1], X[1:4], X[4:9]):
        part, state = counts.step(rows, state)
        np.testing.assert_allclose(part, mu[: len(part)])
        mu = mu[len(part) :]
    with pytest.raises(ValueError, match="layers that run backwards"):
        RecurrentGLM("elman", 2, bidirectional=True, max_iter=1).fit(X, COUNTS).step(X)


@pytest.fixture(scope="module")
def walk():
    rng = np.random.default_rng(5)
    rows = np.zeros((100, 1))
    for t in range(1, 100):
        rows[t] = 0.8 * rows[t - 1] + 0.6 * rng.normal()
    model = RecurrentGLM("elman", 2, skip=True, alpha=1.0, max_iter=30, random_state=0).fit(rows, lengths=[50, 50])
    return model, rows


def test_density_goes_on(walk):
    model, rows = walk
    mu = model.predict(rows[:10])
    first, state = model.step(rows[:4])
    np.testing.assert_allclose(first, mu[1:5])
    np.testing.assert_allclose(model.step(rows[4:9], state)[0], mu[5:10])
    forecast = model.forecast(rows, 3, [50, 50], n_samples=400, level=0.8)
    assert forecast.mean.shape == forecast.lower.shape == (2, 3, 1)
    own = model.forecast(rows[50:], 1, n_samples=4000, level=0.8)
    ahead = model.step(rows[50:])[0][-1, 0]
    sd = np.sqrt(model.dispersion_)
    assert own.mean[0, 0, 0] == pytest.approx(ahead, abs=4 * sd / np.sqrt(4000))
    np.testing.assert_allclose(own.upper[0, 0, 0] - ahead, stats.norm.ppf(0.9) * sd, rtol=0.1)


def test_samples_follow_the_density(walk):
    model = walk[0]
    drawn = model.sample(lengths=[30, 20, 1], random_state=1)
    assert drawn.shape == (51, 1)
    np.testing.assert_array_equal(model.sample(lengths=[30, 20, 1], random_state=1), drawn)
    many = model.sample(lengths=np.full(300, 8), random_state=2)
    standardised = (many - model.predict(many, np.full(300, 8))) / np.sqrt(model.dispersion_)
    assert stats.kstest(standardised[:, 0], "norm").pvalue > 0.01


def test_samples_of_labels_are_labels():
    words = np.array(["a", "b", "a", "c"])[np.arange(N) % 4][:, None]
    model = RecurrentGLM("gru", 2, "multinomial", max_iter=2, random_state=0).fit(words, lengths=LENGTHS)
    assert set(model.sample(20)[:, 0]) <= {"a", "b", "c"}
    np.testing.assert_allclose(model.forecast(words, 2, LENGTHS, n_samples=5).mean.sum(axis=-1), 1.0)


def test_pieces_of_sequences_add_up(counts):
    likelihood, theta, data = counts.fit_.likelihood, counts.fit_.theta, counts.fit_.data
    penalised = Penalised(likelihood, data, counts.fit_.penalty, np.random.default_rng(0))
    value, gradient = likelihood.value_grad(theta, data)
    walk = Walk.over(replace(penalised, penalty=np.zeros_like(theta)), 4, 4)
    assert len(walk) == 3
    parts = [walk(theta, np.array([i])) for i in range(3)]
    weights = [data.weights[data.X.steps(4 * i, 4 * i + 4)].sum() for i in range(3)]
    assert sum(w * part for w, (part, _) in zip(weights, parts, strict=True)) == pytest.approx(value)
    views = likelihood.layout.views(sum(w * g for w, (_, g) in zip(weights, parts, strict=True)))
    np.testing.assert_allclose(views["output.W"], likelihood.layout.views(gradient)["output.W"])  # cut nowhere
    whole = Walk.over(penalised, 100, 2)
    assert len(whole) == 2
    at = whole.batches[whole.pieces[0][0]]
    expected = penalised.batch_value_grad(theta, at)
    found = whole(theta, np.array([0]))
    assert found[0] == pytest.approx(expected[0])
    np.testing.assert_allclose(found[1], expected[1])


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_truncated_backpropagation_learns(dropout):
    options = {"bptt": 3, "max_iter": 25, "batch_size": 2, "learning_rate": 0.02, "dropout": dropout}
    model = RecurrentGLM("gru", 3, "poisson", random_state=0, **options).fit(X, COUNTS, LENGTHS)
    assert model.fit_.solver == "adam"
    assert model.score(X, COUNTS, LENGTHS) > 0.2
    for bad in ({"bidirectional": True}, {"solver": "lbfgs", "dropout": 0.0}):
        with pytest.raises(ValueError, match="bptt=3"):
            RecurrentGLM("gru", 3, "poisson", **options | bad).fit(X, COUNTS, LENGTHS)
    with pytest.raises(ValueError, match="bptt=3"):
        RecurrentGLM("gru", 3, **options).fit(X, np.zeros(4), LENGTHS)


def test_mixed_columns_and_entries_that_are_not_observed():
    y = np.column_stack([MEMORY, RNG.gamma(2.0, 1.0, N), COUNTS, X[:, 1] > 0]).astype(float)
    y[3] = y[4, 1] = y[9, 3] = np.nan
    families = ["gaussian", "gamma", "poisson", "bernoulli"]
    model = RecurrentGLM("elman", 2, families, [None, "log", None, None], **QUICK).fit(X, y, LENGTHS)
    mu, phi = model.predict(X, LENGTHS), model.family_.natural(**model._shape())
    scale = phi["part2_dispersion"]
    parts = np.column_stack([
        stats.norm.logpdf(y[:, 0], mu[:, 0], np.sqrt(phi["part1_dispersion"])),
        stats.gamma.logpdf(y[:, 1], 1 / scale, scale=mu[:, 1] * scale),
        stats.poisson.logpmf(y[:, 2], mu[:, 2]), stats.bernoulli.logpmf(y[:, 3], mu[:, 3]),
    ])  # fmt: skip
    expected = np.add.reduceat(np.where(np.isnan(y), 0.0, parts).sum(axis=1), EDGES[:-1])
    np.testing.assert_allclose(model.logpdf(X, y, LENGTHS), expected)
    assert model.fit_.objective < np.inf
    assert 0.0 < model.score(X, y, LENGTHS) < 1.0
    with pytest.raises(ValueError, match="column 1 of the response is NaN"):
        model.fit(X, np.where(np.arange(4) == 1, np.nan, y), LENGTHS)


def test_density_with_gaps():
    rows = np.column_stack([MEMORY, X[:, 1]])
    rows[4, 0] = rows[6, 1] = rows[12] = np.nan
    model = RecurrentGLM("elman", 2, **QUICK).fit(rows, lengths=LENGTHS)
    assert np.isfinite(model.logpdf(rows, lengths=LENGTHS)).all()
    assert np.isfinite(model.logpdf(np.nan_to_num(rows), lengths=LENGTHS)).all()
    assert model.sample(5).shape == (5, 2)
    assert model.forecast(rows, 2, LENGTHS, n_samples=3).draws.shape == (3, 4, 2, 2)


def test_panel_data_by_formula(counts):
    frame = pd.DataFrame({"y": COUNTS, "a": X[:, 0], "b": X[:, 1], "who": GROUPS, "when": np.arange(N) * 2.0})
    options = {"cell": "gru", "hidden": 2, "family": "poisson", **QUICK}
    model = RecurrentGLM.from_formula("y ~ a + b", frame, groups="who", time="when", **options)
    np.testing.assert_allclose(model.predict(frame), counts.predict(X, LENGTHS), rtol=1e-6)
    mixed = frame.sample(frac=1.0, random_state=0)
    np.testing.assert_allclose(model.predict(mixed), model.predict(frame)[mixed.index], rtol=1e-10)
    assert model.score(mixed) == pytest.approx(counts.score(X, COUNTS, LENGTHS), rel=1e-5)
    assert model.fit_.input_names == ["a", "b"]
    assert model.fit_.output_names == ["y"]
    shifted = RecurrentGLM.from_formula("y ~ a + offset(b)", frame, groups="who", time="when", **options)
    other = RecurrentGLM(**options).fit(X[:, :1], COUNTS, LENGTHS, offset=X[:, 1])
    np.testing.assert_allclose(shifted.predict(frame), other.predict(X[:, :1], LENGTHS, offset=X[:, 1]), rtol=1e-6)
    with pytest.raises(ValueError, match="two rows of one sequence are at"):
        RecurrentGLM.from_formula("y ~ a", frame.assign(when=1.0), groups="who", time="when")
    with pytest.raises(ValueError, match="group='whom' is not a column"):
        RecurrentGLM.from_formula("y ~ a", frame, groups="whom")


def test_cross_validation_by_groups():
    model = RecurrentGLM("elman", 2, "poisson", **QUICK | {"max_iter": 5})
    with sklearn.config_context(enable_metadata_routing=True):
        asking = model.set_fit_request(groups=True).set_score_request(groups=True)
        found = cross_validate(asking, X, COUNTS, cv=GroupKFold(2), params={"groups": GROUPS}, return_indices=True)
    fold = found["indices"]["train"][0], found["indices"]["test"][0]
    assert not set(GROUPS[fold[0]]) & set(GROUPS[fold[1]])
    own = sklearn.base.clone(model).fit(X[fold[0]], COUNTS[fold[0]], groups=GROUPS[fold[0]])
    assert found["test_score"][0] == own.score(X[fold[1]], COUNTS[fold[1]], groups=GROUPS[fold[1]])


@pytest.mark.parametrize("solver", ["trust-newton", "hessian-free"])
def test_second_order_solvers(solver):
    model = RecurrentGLM("elman", 1, "poisson", solver=solver, tol=1e-5, alpha=0.3, random_state=0)
    fit = model.fit(X, COUNTS, LENGTHS).fit_
    assert fit.converged
    gradient = fit.likelihood.value_grad(fit.theta, fit.data)[1] + fit.penalty * fit.theta
    assert np.abs(gradient).max() < 1e-4 * N  # on standardised columns 1e-5


def test_columns_in_order_are_a_density_of_dependent_columns():
    first = RNG.random(60) < 0.5
    rows = np.column_stack([first, first ^ (RNG.random(60) < 0.1), RNG.random(60) < 0.3]).astype(float)
    model = RecurrentGLM("elman", 2, "bernoulli", ordered=True, skip=True, **QUICK).fit(rows, lengths=[20, 40])
    apart = RecurrentGLM("elman", 2, "bernoulli", skip=True, **QUICK).fit(rows, lengths=[20, 40])
    assert model.score(rows, lengths=[20, 40]) > apart.score(rows, lengths=[20, 40]) + 0.2
    pairs = np.array(list(itertools.product([0.0, 1.0], repeat=6))).reshape(-1, 3)  # every sequence of two rows
    density = np.exp(model.logpdf(pairs, lengths=np.full(64, 2)))
    assert density.sum() == pytest.approx(1.0, rel=1e-12)
    drawn = model.sample(lengths=np.full(2000, 2), random_state=0)
    counts = np.bincount(drawn.reshape(-1, 6).astype(int) @ 2 ** np.arange(5, -1, -1), minlength=64)
    rare = 2000 * density < 5
    expected = np.append(2000 * density[~rare], 2000 * density[rare].sum())
    assert stats.chisquare(np.append(counts[~rare], counts[rare].sum()), expected).pvalue > 1e-3


def test_columns_in_order_need_a_density():
    with pytest.raises(ValueError, match="ordered=True predicts columns of a row"):
        RecurrentGLM("elman", 2, ordered=True).fit(X, COUNTS, LENGTHS)
    model = RecurrentGLM("elman", 1, ordered=True, **QUICK).fit(X, lengths=LENGTHS)
    with pytest.raises(ValueError, match="own columns are needed"):
        model.step(X[:2])


def test_priced_gradients_vanish_less():
    def left(model):
        """Median share of a gradient's norm that four steps back leave of it, in logarithms."""
        norms = model.gradient_norms(X, lags=4, lengths=LENGTHS)
        return np.median(np.log(norms[:, 4] / norms[:, 0]))

    free = RecurrentGLM("elman", 3, "poisson", **QUICK).fit(X, COUNTS, LENGTHS)
    priced = RecurrentGLM("elman", 3, "poisson", omega=3.0, **QUICK).fit(X, COUNTS, LENGTHS)
    assert abs(left(priced)) < 0.5 * abs(left(free))
    assert not priced.fit_.at_optimum
    with pytest.raises(ValueError, match="omega prices gradients"):
        RecurrentGLM("elman", 3, "poisson", omega=1.0, solver="hessian-free").fit(X, COUNTS, LENGTHS)
