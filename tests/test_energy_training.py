"""Sweeps against exact marginals, updates against formulas, training against exact maximum likelihood."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chisquare, kstest
from test_energy import LAYERS, parameters, rows

from reglm import threads
from reglm.energy import enumeration, gibbs, jax_gibbs
from reglm.energy.free_energy import Theta, gradient, initial
from reglm.energy.gibbs import Chains, Layers
from reglm.energy.monitoring import Watch, pseudo_likelihood
from reglm.energy.random import buffer, fill, streams
from reglm.energy.running import run
from reglm.energy.settings import Settings
from reglm.energy.training import Trainer
from reglm.energy.visible import layer

FLAT = {"schedule": "constant", "averaging": 0.0, "dtype": "float64"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_numbers(dtype):
    state = streams(np.random.default_rng(0), 1)[0]
    u = buffer(20_000, np.zeros(1, dtype))
    fill(state, u)
    assert u.dtype == dtype
    assert kstest(u.astype(float), "uniform").pvalue > 0.01
    assert abs(np.corrcoef(u[:-16], u[16:])[0, 1]) < 0.03
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.03


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_conditional_draws_follow_their_distributions(kind):
    visible = LAYERS[kind]
    theta = parameters(visible, 3)
    layers = Layers.of(visible, theta)
    h = np.tile([1.0, 0.0, 1.0], (4000, 1))
    eta, draws = h @ layers.W.T, np.empty((4000, visible.size))
    state = streams(np.random.default_rng(1), 1)[0]
    gibbs.visible_units(eta, layers.b, layers.sd, np.ones(4000), layers.codes, layers.edges, draws, state)
    mean = visible.mean(theta.visible_input(h[:1]))[0]
    assert_allclose(eta[0], mean, rtol=1e-13)
    independent = visible.draw(theta.visible_input(h), theta.log_var, np.random.default_rng(2))
    visible.check(draws)
    spread = np.sqrt(independent.var(axis=0) / 4000)
    assert (np.abs(draws.mean(axis=0) - mean) < 4.5 * spread).all()
    assert_allclose(draws.var(axis=0), independent.var(axis=0), rtol=0.15, atol=0.02)


@pytest.mark.parametrize("mean", [0.3, 4.0, 70.5])
def test_poisson_quantiles_have_the_poisson_distribution(mean):
    from scipy.stats import poisson

    u = (np.arange(20_000) + 0.5) / 20_000
    found = np.array([gibbs._poisson(mean, x) for x in u])
    values, counts = np.unique(found, return_counts=True)
    assert_allclose(counts / 20_000, poisson.pmf(values, mean), atol=1.01 / 20_000)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sweeps_reach_the_exact_marginal(dtype):
    visible = layer(["bernoulli", "bernoulli", ("categorical", 3)])
    theta = parameters(visible, 4)
    states = visible.states()
    exact = np.exp(enumeration.log_likelihood(visible, theta, states))
    rng = np.random.default_rng(3)
    chains = Chains((rng.random((6000, 4)) < 0.5).astype(dtype), visible.size, rng)
    chains.advance(Layers.of(visible, theta, dtype), 40)
    codes = {tuple(state): i for i, state in enumerate(states)}
    counts = np.bincount([codes[tuple(v)] for v in chains.v.tolist()], minlength=len(states))
    assert chisquare(counts, 6000 * exact).pvalue > 0.01


def test_a_seed_fixes_every_bit_on_any_number_of_threads(monkeypatch):
    visible = layer(["bernoulli"] * 130 + ["gaussian"] * 3)
    V = rows(visible, 300).astype(np.float32)
    found = []
    for count in (1, 2, 3):
        monkeypatch.setattr(threads, "allowed", lambda count=count: count)
        rng = np.random.default_rng(0)
        trainer = Trainer(visible, initial(visible, 40, V, rng), V.mean(axis=0), Settings(batch_size=128), rng)
        trainer.epoch(V)
        found.append(trainer.current())
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert_array_equal(one, two)


@pytest.mark.parametrize("centring", [False, True])
@pytest.mark.parametrize("kind", ["bernoulli", "mixed"])
def test_an_update_is_the_difference_of_derived_gradients(kind, centring):
    visible, n = LAYERS[kind], 20
    theta, V = parameters(visible, 5), rows(visible, n)
    settings = Settings(batch_size=n, centring=centring, **FLAT)
    trainer = Trainer(visible, theta, V.mean(axis=0), settings, np.random.default_rng(0))
    seen = {}

    def keep(*arguments):
        Chains.part(chains, *arguments)
        seen["v"] = chains.v.copy()

    chains = trainer.chains(n)
    chains.part = keep
    trainer.update(V, np.arange(n), 0.01, 1)
    data, model = (gradient(visible, theta, rows_) for rows_ in (V, seen["v"]))
    step = Theta(*(0.01 / n * (a - b) for a, b in zip(data, model, strict=True)))
    if centring:
        mu, lam = theta.scaled(V.mean(axis=0)), trainer.offset
        W = step.W - np.outer(mu, step.c) - np.outer(step.b, lam)
        step = Theta(W, step.b - W @ lam, step.c - W.T @ mu, step.log_var)
    for before, after, expected in zip(theta, trainer.theta, step, strict=True):
        assert_allclose(after - before, expected, atol=1e-14)


def two_patterns(rng, n):
    """Rows near one of two patterns of 6 columns."""
    patterns = np.array([[1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 0, 1]])
    return (patterns[rng.integers(2, size=n)] ^ (rng.random((n, 6)) < 0.1)).astype(float)


@pytest.fixture(scope="module")
def exact():
    """Log-likelihood of rows near two patterns after climbing along the exact score."""
    visible, rng = layer(["bernoulli"] * 6), np.random.default_rng(5)
    V = two_patterns(rng, 400)
    theta = initial(visible, 3, V, rng, scale=0.1)
    for _ in range(150):
        score = enumeration.score(visible, theta, V)
        theta = Theta(*(block + slope for block, slope in zip(theta, score, strict=True)))
    return enumeration.log_likelihood(visible, theta, V).mean()


@pytest.mark.parametrize("options", [
    {"method": "pcd"}, {"method": "pt", "n_temperatures": 4}, {"method": "cd", "n_steps": (1, 5)},
    {"method": "cd", "n_steps": 3, "start": "mean-field"}, {"method": "pcd", "momentum": 0.5, "weight_decay": 1e-4},
])  # fmt: skip
def test_training_comes_near_maximum_likelihood(options, exact):
    visible, rng = layer(["bernoulli"] * 6), np.random.default_rng(5)
    V = two_patterns(rng, 400)
    start = initial(visible, 3, V, rng, scale=0.1)
    settings = Settings(batch_size=50, max_iter=40, learning_rate=1.0, dtype="float64", **options)
    trainer = Trainer(visible, start, V.mean(axis=0), settings, rng)
    outcome = run(trainer, V, None, Watch(visible, start, V[:50], V[:0]), 40)
    found, independent = (enumeration.log_likelihood(visible, theta, V).mean() for theta in (outcome.theta, start))
    assert outcome.status == "max_iter"
    assert exact - found < 0.06
    assert found - independent > 0.5


def test_training_on_incomplete_rows(exact):
    visible, rng = layer(["bernoulli"] * 6), np.random.default_rng(5)
    whole = two_patterns(rng, 400)
    free = rng.random(whole.shape) < 0.3
    V = np.where(free, rng.random(whole.shape) < 0.5, whole)
    start = initial(visible, 3, np.where(free, np.nan, V), rng, scale=0.1)
    settings = Settings(batch_size=50, max_iter=60, learning_rate=1.0, dtype="float64")
    trainer = Trainer(visible, start, V.mean(axis=0), settings, rng)
    found = run(trainer, V, free, Watch(visible, start, V[:50], V[:0]), 60).theta
    fitted = enumeration.log_likelihood(visible, found, whole).mean()
    assert exact - fitted < 0.15
    assert_array_equal(V[~free], whole[~free])


def test_sparsity_target_holds_hidden_units_down():
    visible = layer(["bernoulli"] * 8)
    V, rng = rows(visible, 400), np.random.default_rng(0)
    found = []
    for target in (None, 0.05):
        settings = Settings(batch_size=50, max_iter=40, sparsity_target=target, sparsity_cost=5.0, **FLAT)
        trainer = Trainer(visible, initial(visible, 4, V, rng), V.mean(axis=0), settings, rng)
        for _ in range(40):
            trainer.epoch(V)
        found.append(trainer.current().hidden_mean(V).mean())
    assert found[1] < 0.15 < 0.3 < found[0]


def test_pseudo_likelihood_is_that_of_the_conditionals():
    visible = LAYERS["mixed"]
    theta, V = parameters(visible, 3), rows(visible, 4000)[:1].repeat(4000, axis=0)
    states = {0: [[0], [1]], 1: [[0], [1]], 2: np.eye(3), 6: [[0], [1]]}
    total = 0.0
    for at, values in states.items():
        others = V[:1].repeat(len(values), axis=0)
        others[:, at : at + len(values[0])] = values
        log_p = enumeration.log_likelihood(visible, theta, np.concatenate([V[:1], others]))
        total += log_p[0] - np.logaddexp.reduce(log_p[1:])
    assert_allclose(pseudo_likelihood(visible, theta, V, np.random.default_rng(0)), total, rtol=0.05)


def test_a_run_that_blows_up_keeps_the_best():
    visible = layer(["gaussian"] * 4)
    rng = np.random.default_rng(0)
    V = rng.standard_normal((200, 4))
    start = initial(visible, 5, V, rng)
    trainer = Trainer(visible, start, V.mean(axis=0), Settings(learning_rate=50.0, **FLAT), rng)
    outcome = run(trainer, V, None, Watch(visible, start, V, V[:0]), 20)
    assert outcome.status == "diverged"
    assert all(np.isfinite(block).all() for block in outcome.theta)


def test_an_interrupted_run_keeps_the_best():
    visible = layer(["bernoulli"] * 4)
    V, rng = rows(visible, 100), np.random.default_rng(0)
    start = initial(visible, 2, V, rng)
    trainer = Trainer(visible, start, V.mean(axis=0), Settings(**FLAT), rng)

    def report(epoch, watch):
        if epoch == 3:
            raise KeyboardInterrupt

    outcome = run(trainer, V, None, Watch(visible, start, V, V[:0]), 20, report)
    assert (outcome.status, outcome.epochs) == ("interrupted", 3)


@pytest.mark.parametrize(("options", "message"), [
    ({"method": "sm"}, "method='sm'"), ({"n_steps": 0}, "n_steps=0"), ({"learning_rate": -1.0}, "learning_rate"),
    ({"momentum": 1.0}, "momentum=1.0"), ({"schedule": "never"}, "schedule='never'"), ({"dtype": "int"}, "dtype"),
])  # fmt: skip
def test_options_that_cannot_be_used_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Settings(**options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sweeps_by_jax_reach_the_exact_marginal(dtype):
    pytest.importorskip("jax")
    visible = layer(["bernoulli", ("categorical", 3), "gaussian"])
    theta = Theta(*(block.astype(dtype) for block in parameters(visible, 4)))
    rng = np.random.default_rng(3)
    start = (rng.random((6000, 4)) < 0.5).astype(dtype)
    v, h = jax_gibbs.sweeps(visible, theta, start, 7, 30)
    exact = enumeration.moments(visible, Theta(*(block.astype(float) for block in theta)))
    assert v.dtype == h.dtype == dtype
    visible.check(v)
    assert_allclose(h.mean(axis=0), exact.c, atol=0.03)
    assert_allclose(v[:, :4].mean(axis=0), exact.b[:4], atol=0.03)
    again, _ = jax_gibbs.sweeps(visible, theta, start, 7, 30)
    assert_array_equal(again, v)
