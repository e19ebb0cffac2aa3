"""Annealed importance sampling against sums over all states, and what it says of schedules that are too short."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from reglm.energy import annealing
from reglm.energy.annealing_paths import FusedPath, PlainPath
from reglm.energy.enumeration import log_partition
from reglm.energy.free_energy import Theta
from reglm.energy.visible import layer

KINDS = {
    "bernoulli": ["bernoulli"] * 9,
    "categorical": [("categorical", 3), ("categorical", 2), "bernoulli"],
    "poisson": ["poisson"] * 4,
    "gaussian": ["gaussian"] * 4,
    "mixed": ["gaussian", "gaussian", "bernoulli", ("categorical", 3), "poisson"],
}


def machine(kinds, n_hidden=6, scale=0.6, seed=0):
    visible, rng = layer(kinds), np.random.default_rng(seed)
    log_var = np.where(visible.columns_of("gaussian"), rng.normal(size=visible.size), 0.0)
    W = scale * rng.normal(size=(visible.size, n_hidden))
    return visible, Theta(W, rng.normal(size=visible.size) - 0.5, rng.normal(size=n_hidden), log_var)


def symmetric(n_visible=10, n_hidden=8, scale=1.0, seed=3):
    """Return a machine that is the same with all units turned over: two sides, which chains have to choose between."""
    W = scale * np.random.default_rng(seed).normal(size=(n_visible, n_hidden))
    theta = Theta(W, -W.sum(axis=1) / 2, -W.sum(axis=0) / 2, np.zeros(n_visible))
    return layer(["bernoulli"] * n_visible), theta


def rows_of(visible, theta, n=300, seed=1):
    """Draws of the machine by Gibbs sampling."""
    rng = np.random.default_rng(seed)
    V = visible.draw(np.tile(theta.b, (n, 1)), theta.log_var, rng)
    for _ in range(60):
        h = (rng.random((n, len(theta.c))) < theta.hidden_mean(V)).astype(float)
        V = visible.draw(theta.visible_input(h), theta.log_var, rng)
    return V


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_log_z_of_small_machines_within_its_standard_error(kinds):
    visible, theta = machine(kinds, scale=0.3)
    exact, V = log_partition(visible, theta), rows_of(visible, theta)
    rng, betas = np.random.default_rng(2), np.linspace(0, 1, 40)
    for rows in (V, None):
        found = annealing.log_partition(visible, theta, rows, temperatures=betas, backward=False, rng=rng)
        assert abs(found.log_z - exact) < 4 * found.std_err
        assert found.interval[0] < found.log_z < found.interval[1]
        assert 0 < found.std_err < 0.15


@pytest.mark.parametrize("path", ["fused", "plain"])
def test_both_forms_are_unbiased_whatever_the_schedule(path):
    """Few temperatures spread the weights; their mean stays right, which many chains show."""
    visible, theta = machine(KINDS["bernoulli"], scale=1.0)
    base = annealing.base_rates(visible, theta, None)
    along = FusedPath(theta, base) if path == "fused" else PlainPath(visible, theta, base)
    rng, exact = np.random.default_rng(3), log_partition(visible, theta)
    for betas in ([0.0, 1.0], [0.0, 0.3, 1.0], np.linspace(0, 1, 20)):
        chains = along.chains(along.start(4000, rng), rng)
        found = annealing.log_mean(along.log_z0 + along.advance(chains, np.asarray(betas)))
        assert abs(found.value - exact) < 4 * found.std_err


def test_wide_machines_use_products_of_sparse_and_of_dense_rows():
    """More than one block of hidden units; with three of them on a side the sum over states is exact."""
    rng = np.random.default_rng(4)
    for shift in (-4.0, 0.0):
        visible = layer(["bernoulli"] * 3)
        theta = Theta(rng.normal(size=(3, 230)) / 4, rng.normal(size=3), np.full(230, shift), np.zeros(3))
        found = annealing.log_partition(visible, theta, n_chains=300, temperatures=80, rng=rng)
        assert abs(found.log_z - log_partition(visible, theta)) < 4 * found.std_err + 1e-5


def test_single_chains_bound_log_z_from_both_sides():
    visible, theta = symmetric(scale=0.8)
    exact, V, rng = log_partition(visible, theta), rows_of(visible, theta, n=1000), np.random.default_rng(5)
    along, betas = FusedPath(theta, annealing.base_rates(visible, theta, V)), np.linspace(0, 1, 8)
    up = along.log_z0 + along.advance(along.chains(along.start(1000, rng), rng), betas)
    down = along.log_z0 - along.advance(along.chains(V, rng), betas[::-1])
    for values in (up, -down):
        assert values.mean() + 3 * values.std() / np.sqrt(1000) < exact * np.sign(values[0])


def test_long_schedules_bring_the_bounds_together():
    visible, theta = symmetric(scale=0.8)
    V, rng = rows_of(visible, theta), np.random.default_rng(6)
    found = annealing.log_partition(visible, theta, V, temperatures=300, rng=rng)
    assert found.message == ""
    assert abs(found.upper - log_partition(visible, theta)) < 4 * found.upper_std_err + 0.02


def test_short_schedules_are_told():
    visible, theta = symmetric(scale=2.0, seed=4)
    V, rng = rows_of(visible, theta), np.random.default_rng(6)
    with pytest.warns(ConvergenceWarning, match="too short: the weights of 60 chains are worth"):
        short = annealing.log_partition(visible, theta, V, n_chains=60, temperatures=[0.0, 1.0], rng=rng)
    assert "Use more temperatures" in short.message


def test_the_schedule_adapts_itself():
    visible, theta = machine(KINDS["bernoulli"], scale=1.5)
    exact = log_partition(visible, theta)
    found = annealing.log_partition(visible, theta, rows_of(visible, theta), tol=0.02, rng=np.random.default_rng(7))
    assert (found.betas[0], found.betas[-1]) == (0, 1)
    assert (np.diff(found.betas) > 0).all()
    assert found.std_err < 0.03
    assert abs(found.log_z - exact) < 4 * found.std_err


def test_steps_go_where_the_variance_arises():
    betas = annealing.schedule(np.array([0.0, 0.5, 1.0]), np.array([1.0, 9.0]), 1000)
    later = (betas > 0.5).mean()
    assert later == pytest.approx(0.9 * 0.75 + 0.1 * 0.5, abs=0.01)
    drift = np.array([[1.0, -1.0, 1.0, -1.0], [2.0, -2.0, 2.0, -2.0]])
    assert annealing.contributions(drift) == pytest.approx([4.0, 8.0])


def test_a_seed_fixes_every_bit():
    visible, theta = machine(KINDS["bernoulli"])
    options = {"n_chains": 40, "temperatures": 30}
    first, second = (annealing.log_partition(visible, theta, rng=np.random.default_rng(8), **options) for _ in range(2))
    assert np.array_equal(first.log_weights, second.log_weights)


def test_steps_are_reported():
    visible, theta = machine(KINDS["bernoulli"])
    seen = []
    annealing.log_partition(
        visible, theta, temperatures=81, rng=np.random.default_rng(9), report=lambda done, of: seen.append((done, of))
    )
    assert seen[-1] == (80, 80)
    assert len(seen) == annealing.BLOCKS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_chains": 1}, "n_chains=1 must be at least 2"),
        ({"temperatures": 1}, "temperatures=1 must be at least 2"),
        ({"temperatures": [0.0, 0.5]}, "ascend from 0 to 1"),
        ({"temperatures": [0.0, 0.7, 0.5, 1.0]}, "ascend from 0 to 1"),
        ({"tol": 0.0}, "tol=0.0 must be positive"),
    ],
)
def test_bad_input(options, message):
    visible, theta = machine(KINDS["bernoulli"])
    with pytest.raises(ValueError, match=message):
        annealing.log_partition(visible, theta, rng=np.random.default_rng(0), **options)
