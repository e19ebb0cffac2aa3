"""Free energies, log Z and gradients of small machines, against sums over every joint state."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, gammaln, logsumexp

from reglm.energy import enumeration
from reglm.energy.free_energy import Theta, free_energy, gradient, initial
from reglm.energy.visible import layer

LAYERS = {
    "bernoulli": layer(["bernoulli"] * 10),
    "categorical": layer([("categorical", 3), ("categorical", 3), ("categorical", 4)]),
    "poisson": layer(["poisson"] * 2),
    "gaussian": layer(["gaussian"] * 10),
    "mixed": layer(["bernoulli", "bernoulli", ("categorical", 3), "poisson", "bernoulli", "gaussian"]),
}
ENUMERABLE = ("bernoulli", "categorical")


def parameters(visible, n_hidden=8, seed=0):
    rng = np.random.default_rng(seed)
    log_var = np.where(visible.columns_of("gaussian"), rng.normal(scale=0.3, size=visible.size), 0.0)
    scale = np.where(visible.columns_of("poisson"), 0.2, 0.7)
    W = scale[:, None] * rng.normal(size=(visible.size, n_hidden))
    return Theta(W, rng.normal(scale=0.5, size=visible.size), rng.normal(size=n_hidden), log_var)


def all_hidden(n_hidden):
    return np.concatenate(list(enumeration.hidden_states(n_hidden)))


def energy(visible, theta, v, h):
    """The definition, written out for one row and one state."""
    total = -theta.c @ h
    for kind, at in visible.parts:
        x, b, pull, var = v[at], theta.b[at], theta.W[at] @ h, np.exp(theta.log_var[at])
        if kind == "gaussian":
            total += ((x - b) ** 2 / (2 * var) - x * pull / var).sum()
        else:
            total += -(x * (b + pull)).sum() + (gammaln(x + 1).sum() if kind == "poisson" else 0.0)
    return total


def rows(visible, n, seed=1):
    rng = np.random.default_rng(seed)
    return visible.draw(np.zeros((n, visible.size)), np.zeros(visible.size), rng)


@pytest.fixture(params=sorted(LAYERS))
def visible(request):
    return LAYERS[request.param]


@pytest.fixture(params=ENUMERABLE)
def listed(request):
    return LAYERS[request.param]


def test_free_energy_sums_over_hidden_states(visible):
    theta, V = parameters(visible, 5), rows(visible, 6)
    energies = [[energy(visible, theta, v, h) for h in all_hidden(5)] for v in V]
    assert_allclose(free_energy(visible, theta, V), -logsumexp(-np.array(energies), axis=1), rtol=1e-12)


def test_gradient_is_that_of_finite_differences(visible):
    theta, V = parameters(visible, 3), rows(visible, 5)
    found, step = gradient(visible, theta, V), 1e-6
    for k, block in enumerate(theta):
        for at in list(np.ndindex(block.shape))[::5]:
            if k == 3 and not visible.columns_of("gaussian")[at]:
                continue
            values = []
            for sign in (1, -1):
                moved = [b.copy() for b in theta]
                moved[k][at] += sign * step
                values.append(free_energy(visible, Theta(*moved), V).sum())
            assert_allclose(found[k][at], -(values[0] - values[1]) / (2 * step), rtol=1e-6, atol=1e-6)


def test_log_z_and_moments_by_joint_enumeration(listed):
    theta = parameters(listed)
    V, h = listed.states(), all_hidden(8)
    log_weight = V @ theta.b[:, None] + h @ theta.c + V @ theta.W @ h.T
    log_z = logsumexp(log_weight)
    p = np.exp(log_weight - log_z)
    assert_allclose(enumeration.log_partition(listed, theta), log_z, rtol=1e-12)
    found = enumeration.moments(listed, theta)
    assert_allclose(found.W, V.T @ p @ h, atol=1e-12)
    assert_allclose(found.b, p.sum(axis=1) @ V, atol=1e-12)
    assert_allclose(found.c, p.sum(axis=0) @ h, atol=1e-12)
    assert_allclose(np.exp(enumeration.log_likelihood(listed, theta, V)), p.sum(axis=1), atol=1e-12)


def test_both_sides_give_the_same(listed):
    theta = parameters(listed, 14)  # more hidden units than the visible side has bits
    h = all_hidden(14)
    log_weight = h @ theta.c + listed.log_partition(theta.visible_input(h), theta.b, theta.log_var)
    log_z = enumeration.log_partition(listed, theta)
    assert_allclose(log_z, logsumexp(log_weight), rtol=1e-12)
    p, found = np.exp(log_weight - log_z), enumeration.moments(listed, theta)
    mean = listed.mean(theta.visible_input(h))
    assert_allclose(found.b, p @ mean, atol=1e-12)
    assert_allclose(found.W, (mean * p[:, None]).T @ h, atol=1e-12)


def test_conditional_probabilities_by_enumeration(listed):
    theta = parameters(listed)
    V, h = listed.states(), all_hidden(8)
    log_weight = V @ theta.b[:, None] + h @ theta.c + V @ theta.W @ h.T
    given_v = np.exp(log_weight - logsumexp(log_weight, axis=1, keepdims=True))
    given_h = np.exp(log_weight - logsumexp(log_weight, axis=0, keepdims=True))
    assert_allclose(theta.hidden_mean(V), given_v @ h, atol=1e-12)
    assert_allclose(listed.mean(theta.visible_input(h)), given_h.T @ V, atol=1e-12)


def test_poisson_and_gaussian_by_quadrature():
    theta = parameters(LAYERS["poisson"], 6)
    grid = np.stack(np.meshgrid(np.arange(80.0), np.arange(80.0)), axis=-1).reshape(-1, 2)
    assert_allclose(
        enumeration.log_partition(LAYERS["poisson"], theta),
        logsumexp(-free_energy(LAYERS["poisson"], theta, grid)), rtol=1e-12,
    )  # fmt: skip
    one = layer(["gaussian"])
    theta = parameters(one, 4)
    line = np.linspace(-25, 25, 20_001)
    density = np.exp(enumeration.log_likelihood(one, theta, line[:, None]))
    step = line[1] - line[0]
    assert_allclose(density.sum() * step, 1, rtol=1e-10)
    found = enumeration.moments(one, theta)
    on = expit(theta.hidden_input(line[:, None]))
    assert_allclose(found.c, density @ on * step, rtol=1e-9)
    assert_allclose(found.W[0], (density * line) @ on * step / np.exp(theta.log_var), rtol=1e-9)


def test_score_is_that_of_the_log_likelihood(visible):
    theta, V = parameters(visible, 4), rows(visible, 5)
    found, step = enumeration.score(visible, theta, V), 1e-6
    for k, at in ((0, (0, 1)), (0, (visible.size - 1, 2)), (1, (visible.size - 1,)), (2, (0,)), (3, (-1,))):
        if k == 3 and not visible.columns_of("gaussian")[at]:
            continue
        values = []
        for sign in (1, -1):
            moved = [b.copy() for b in theta]
            moved[k][at] += sign * step
            values.append(enumeration.log_likelihood(visible, Theta(*moved), V).mean())
        assert_allclose(found[k][at], (values[0] - values[1]) / (2 * step), rtol=1e-6, atol=1e-8)


def test_start_values_are_those_of_independent_columns():
    rng = np.random.default_rng(0)
    visible = LAYERS["mixed"]
    V = rows(visible, 4000)
    V[::7, -1] = np.nan
    theta = initial(visible, 3, V, rng)
    mean = visible.mean(theta.b)
    assert_allclose(mean, np.nanmean(V, axis=0), atol=1e-3)
    assert_allclose(np.exp(theta.log_var[-1]), np.nanvar(V[:, -1]), rtol=1e-6)


def test_what_cannot_be_used_is_named():
    with pytest.raises(ValueError, match="kind='beta'"):
        layer(["beta"])
    with pytest.raises(ValueError, match="bernoulli visible units must be between 0 and 1"):
        layer(["bernoulli"]).check(np.array([[2.0]]))
    with pytest.raises(ValueError, match="whole numbers"):
        layer(["poisson"]).check(np.array([[0.5]]))
    with pytest.raises(ValueError, match="too many to enumerate"):
        enumeration.log_partition(layer(["bernoulli"] * 30), parameters(layer(["bernoulli"] * 30), 30))
    with pytest.raises(ValueError, match="no list of states"):
        LAYERS["mixed"].states()
