"""Averages of fitted means: their gradient against numerical differences in theta, family by family."""

from types import SimpleNamespace

import numpy as np
import pytest
from family_cases import ALL, ROWS, bulk, template
from network_cases import differences
from scipy import sparse

from reglm import families, layers
from reglm.inference.averages import Averages, Means, stacked
from reglm.likelihood import Likelihood
from reglm.network import compose

X = np.random.default_rng(5).normal(size=(ROWS, 3))
WEIGHTS = np.random.default_rng(6).uniform(0.1, 1.0, (ROWS, 2))


def fitted(family, is_sparse=False):
    """A small network at some theta, as much of a fit as averages look at, and an offset inside the domain."""
    y, link = template(family), family.resolve_link(None)
    K = family.outputs(y)
    network = compose([layers.Dense(2, "tanh")], X.shape[1], K).resolve(X, list("abc"))
    lik = Likelihood(network, family, link, shape_specs=family.specs(y), is_sparse=is_sparse)
    theta = 0.1 * np.random.default_rng(3).normal(size=lik.layout.size)
    return SimpleNamespace(likelihood=lik, theta=theta, data=None), bulk(family, link, K, np.random.default_rng(4))


@pytest.mark.parametrize("family", ALL, ids=repr)
def test_gradients_equal_numerical_ones(family):
    fit, offset = fitted(family)
    lik = fit.likelihood
    columns = lik.response.mean(offset, lik.shape(fit.theta)).shape[1]
    for output in range(columns):
        found = Means(fit, output).average(X, offset, WEIGHTS)

        def value(theta, output=output):
            return WEIGHTS.T @ lik.response.mean(lik.eta(theta, X, offset), lik.shape(theta))[:, output]

        np.testing.assert_allclose(found.value, value(fit.theta), rtol=1e-12)
        np.testing.assert_allclose(found.gradient, differences(value, fit.theta), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", ["gaussian", "tobit", "multinomial"])
def test_link_scale_averages_linear_predictors(name):
    fit, offset = fitted(families.get(name))
    lik = fit.likelihood
    found = Means(fit, scale="link").average(X, offset, WEIGHTS)

    def value(theta):
        return WEIGHTS.T @ lik.eta(theta, X, offset)[:, 0]

    np.testing.assert_allclose(found.value, value(fit.theta), rtol=1e-12)
    np.testing.assert_allclose(found.gradient, differences(value, fit.theta), rtol=1e-5, atol=1e-9)


def test_sparse_rows_and_blocks_give_the_same(monkeypatch):
    fit, offset = fitted(families.Poisson())
    expected = Means(fit).average(X, offset, WEIGHTS)
    monkeypatch.setattr("reglm.jacobian.BLOCK_ELEMENTS", 50)
    rows = Means(fitted(families.Poisson(), is_sparse=True)[0])
    for means, x in ((Means(fit), X), (rows, sparse.csr_matrix(X))):
        found = means.average(x, offset, WEIGHTS)
        np.testing.assert_allclose(found.value, expected.value, rtol=1e-12)
        np.testing.assert_allclose(found.gradient, expected.gradient, rtol=1e-12, atol=1e-15)


def test_averages_combine():
    one = Averages(np.array([1.0, 2.0]), np.array([[1.0, 0.0], [0.0, 2.0]]))
    both = stacked([one, one.combined(np.array([[1.0, -1.0]]))])
    np.testing.assert_array_equal(both.value, [1.0, 2.0, -1.0])
    logs = one.transformed(np.log(one.value), 1 / one.value)
    V = np.array([[2.0, 1.0], [1.0, 3.0]])
    np.testing.assert_allclose(logs.covariance(V), V)
    np.testing.assert_allclose(both.covariance(V)[2, 2], np.array([1, -2]) @ V @ np.array([1, -2]))


def test_what_cannot_be_asked_for():
    fit, _ = fitted(families.Poisson())
    with pytest.raises(ValueError, match="scale='mean' is not known"):
        Means(fit, scale="mean")
    with pytest.raises(ValueError, match="output=1 must be from 0 to 0"):
        Means(fit, output=1)
