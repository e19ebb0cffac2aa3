"""Reservoirs and the penalties of their readouts, against plain loops and refits."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from reglm import RecursiveGLMRegressor, families, links
from reglm.kernels.primal import Decomposition
from reglm.response import Response
from reglm.statespace import reservoir as module
from reglm.statespace.reservoir import draw, radius
from reglm.statespace.sequences import sequences


def rng(seed=0):
    return np.random.default_rng(seed)


def by_hand(r, u, lengths):
    """States by the formula, one row at a time."""
    W, found = r.W.toarray(), []
    for part in np.split(u, np.cumsum(lengths)[:-1]):
        h = r.rest()
        for row in part:
            h = (1 - r.leak) * h + r.leak * module.ACTIVATIONS[r.activation](W @ h + row @ r.V + r.b)
            found.append(h)
    return np.array(found)


@pytest.mark.parametrize("activation", list(module.ACTIVATIONS))
def test_states_follow_the_formula_interpreted_and_compiled(activation, monkeypatch):
    r = draw(rng(), 12, 2, leak=0.6, activation=activation)
    lengths = np.array([5, 1, 9])
    u = rng(1).normal(size=(15, 2))
    rows, expected = sequences(15, lengths), by_hand(r, u, lengths)
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(r.states(u, rows), expected, rtol=1e-13, atol=1e-14)
    monkeypatch.setattr(module, "COMPILING_PAYS", 1)
    np.testing.assert_allclose(r.states(u, rows), expected, rtol=1e-13, atol=1e-14)


def test_the_reservoir_rests_where_zeros_lead():
    r = draw(rng(), 30, 1, leak=0.4)
    h = r.rest()[None]
    np.testing.assert_allclose(r.step(h, np.zeros((1, 1))), h, atol=1e-3)


@pytest.mark.parametrize("units", [1, 40, 400])
def test_draws_have_the_spectral_radius(units):
    r = draw(rng(), units, 1, spectral_radius=0.7, density=0.2)
    assert np.abs(np.linalg.eigvals(r.W.toarray())).max() == pytest.approx(0.7)
    assert np.all(np.diff(r.W.indptr) == max(1, round(0.2 * units)))


def test_a_nilpotent_matrix_is_left_as_it_is():
    r = draw(rng(), 3, 1)
    r.W.data[:] = 0.0
    assert radius(r.W) == 1.0


def states_and_response(n=40, p=6):
    F = rng(2).normal(size=(n, p)) @ rng(3).normal(size=(p, p))
    return F, F[:, 0] - 0.5 * F[:, 1] + rng(4).normal(size=n), rng(5).uniform(0.5, 2.0, n)


def test_leave_one_out_of_gaussian_readouts_is_that_of_refits():
    F, y, w = states_and_response()
    alphas = np.array([0.1, 3.0, 40.0])

    def refitted(alpha):
        errors = []
        for i in range(len(y)):
            rest = np.arange(len(y)) != i
            errors.append(y[i] - Ridge(alpha).fit(F[rest], y[rest], w[rest]).predict(F[[i]])[0])
        return np.average(np.square(errors), weights=w)

    losses = [refitted(alpha) for alpha in alphas]
    for alpha, loss in zip(alphas, losses, strict=True):
        found = Decomposition(F, w).gaussian(y[:, None], np.array([alpha]), "loo")[0]
        assert found.loss == pytest.approx(loss, rel=1e-9)
        fit = Ridge(alpha).fit(F, y, w)
        assert found.dispersion == pytest.approx(w @ (y - fit.predict(F)) ** 2 / (len(y) - found.edf), rel=1e-9)
    assert Decomposition(F, w).gaussian(y[:, None], alphas, "loo")[0].alpha == alphas[np.argmin(losses)]
    assert Decomposition(F, w).gaussian(y[:, None], 30, "loo")[0].loss <= min(losses)


def test_gaussian_readouts_agree_with_those_of_any_family():
    F, y, w = states_and_response()
    decomposition, alpha = Decomposition(F, w), np.array([2.0])
    response, zero = Response(families.get("gaussian"), links.get("identity")), np.zeros((len(y), 1))
    one = decomposition.gaussian(y[:, None], alpha, "loo")[0]
    other = decomposition.any_family(y[:, None], zero, response, zero, alpha, "loo")
    for name in one._fields:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9)


def test_any_penalty_may_be_the_best():
    F, _, w = states_and_response()
    noise = (rng(8).random(40) < 0.5).astype(float)[:, None]
    response, zero = Response(families.get("bernoulli"), links.get("logit")), np.zeros((40, 1))
    found = Decomposition(F, w).any_family(noise, zero, response, zero, 20, "loo")
    assert found.edf < 2.0  # pure noise: next to nothing but the intercept
    sure = (F[:, :1] > 0).astype(float)
    assert Decomposition(F, w).any_family(sure, zero, response, zero, 20, "loo").edf > 3.0


def test_approximate_leave_one_out_of_counts_is_near_that_of_refits():
    F, _, _ = states_and_response(60)
    counts = rng(6).poisson(np.exp(0.2 * F[:, 0] + 0.5)).astype(float)
    response = Response(families.get("poisson"), links.get("log"))
    zero = np.zeros((60, 1))
    found = Decomposition(F, np.ones(60)).any_family(counts[:, None], zero, response, zero, np.array([5.0]), "loo")
    losses = []
    for i in range(60):
        rest = np.arange(60) != i
        model = RecursiveGLMRegressor(family="poisson", alpha=5.0).fit(F[rest], counts[rest])
        losses.append(response.unit_deviance(counts[[i], None], model.predict(F[[i]], kind="link")[:, None])[0, 0])
    assert found.loss == pytest.approx(np.mean(losses), rel=0.01)
