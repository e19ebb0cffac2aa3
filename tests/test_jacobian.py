"""The design matrix of a network and what is built from it, against differences and against one another."""

import numpy as np
import pytest
from network_cases import ROWS, X, differences, make
from scipy import sparse

from reglm import layers
from reglm.jacobian import GaussNewton, blocks, fisher, jacobian
from reglm.network import compose, multilayer

BRANCHES = layers.Parallel((layers.Embedding(("d", "e"), 2), layers.Periodic(("a",), 2), layers.Dense(2, "maxout")))
NETWORKS = {
    "linear": multilayer((), (), 5, 2),
    "deep": multilayer((3, 2), ("tanh", "softplus"), 5, 2, skip=True),
    "embedded": multilayer((3,), ("tanh",), 5, 2, skip=True, categorical=(3, 4)),
    "branches": compose([BRANCHES, layers.BatchNorm(), layers.Residual((layers.Dense(8, "gelu"),))], 5, 2, skip=True),
    "radial": compose([layers.RBF(3)], 5, 1),
    "ordered": compose([layers.Ordered(), layers.Dense(2, "tanh")], 5, 1),
}


@pytest.fixture(params=NETWORKS)
def case(request):
    return make(NETWORKS[request.param])


def stacked(lik, theta, data):
    """J (n, K, P)."""
    return np.stack([jacobian(lik, theta, data, k) for k in range(lik.network.outputs())], axis=1)


def test_the_design_matrix_is_the_derivative_of_eta(case):
    lik, theta, data = case
    expected = differences(lambda t: lik.eta(t, X), theta)
    np.testing.assert_allclose(stacked(lik, theta, data), expected, rtol=1e-6, atol=1e-8)


def test_scoring_is_the_gradient_and_the_weighted_cross_product(case):
    lik, theta, data = case
    score, information = fisher(lik, theta, data)
    np.testing.assert_allclose(score, lik.value_grad(theta, data)[1], rtol=1e-9, atol=1e-10)
    J, W = stacked(lik, theta, data), lik.working(theta, data).information
    np.testing.assert_allclose(information, np.einsum("nkp,nkm,nmq->pq", J, W, J), rtol=1e-9, atol=1e-10)


def test_products_need_no_design_matrix(case):
    lik, theta, data = case
    product, information = GaussNewton(lik, theta, data), fisher(lik, theta, data)[1]
    rng = np.random.default_rng(0)
    for v in rng.normal(size=(3, len(theta))):
        np.testing.assert_allclose(product(v), information @ v, rtol=1e-9, atol=1e-9)
    J = stacked(lik, theta, data)
    v, u = rng.normal(size=len(theta)), rng.normal(size=J.shape[:2])
    np.testing.assert_allclose(product.forward(v), J @ v, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(product.backward(u), np.einsum("nkp,nk->p", J, u), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("hidden", [(), (3,)])
def test_sparse_rows(hidden):
    x = np.where(np.random.default_rng(0).random((ROWS, 5)) < 0.4, X, 0.0)
    net = multilayer(hidden, ("tanh",) * len(hidden), 5, 2, skip=True)
    dense, theta, data = make(net, x=x)
    rows, *_ = make(net, x=x, is_sparse=True)
    csr = data._replace(X=sparse.csr_matrix(x))
    np.testing.assert_allclose(stacked(rows, theta, csr), stacked(dense, theta, data), rtol=1e-12, atol=1e-14)
    v = np.ones(len(theta))
    np.testing.assert_allclose(GaussNewton(rows, theta, csr)(v), GaussNewton(dense, theta, data)(v), rtol=1e-11)


@pytest.mark.parametrize("pool", [False, True])
def test_unknown_levels_have_no_derivative(pool):
    net = compose([layers.Embedding(("d", "e"), 2, pool=pool)], 5, 1)
    lik, theta, data = make(net)
    x = X.copy()
    x[::2, 3] = -1.0
    unseen = data._replace(X=x)
    J = jacobian(lik, theta, unseen)
    np.testing.assert_allclose(J, differences(lambda t: lik.eta(t, x)[:, 0], theta), rtol=1e-7, atol=1e-9)
    assert not J[::2, lik.layout.slices["layer1.E"]].reshape(-1, 5, 2)[:, :3].any()
    v = np.random.default_rng(0).normal(size=len(theta))
    np.testing.assert_allclose(GaussNewton(lik, theta, unseen)(v), fisher(lik, theta, unseen)[1] @ v, rtol=1e-9)


def test_one_level_in_two_columns_adds_up():
    same = X.copy()
    same[:, 4] = same[:, 3] % 2
    net = compose([layers.Embedding(("e", "e"), 1, pool=True, levels=(2, 2))], 5, 1)
    lik, theta, data = make(net, x=same)
    J = jacobian(lik, theta, data)
    np.testing.assert_allclose(J, differences(lambda t: lik.eta(t, same)[:, 0], theta), rtol=1e-7, atol=1e-9)


def test_coupled_classes():
    y = np.eye(3)[np.arange(ROWS) % 3]
    lik, theta, data = make(multilayer((2,), ("tanh",), 5, 2), "multinomial", y)
    p = lik.response.location(lik.eta(theta, X, data.offset))[:, 1:]
    J = stacked(lik, theta, data)
    W = data.weights[:, :, None] * (p[:, :, None] * np.eye(2) - p[:, :, None] * p[:, None, :])
    score, information = fisher(lik, theta, data)
    np.testing.assert_allclose(information, np.einsum("nkp,nkm,nmq->pq", J, W, J), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(score, lik.value_grad(theta, data)[1], rtol=1e-9, atol=1e-11)


def test_a_canonical_linear_model_has_information_equal_to_its_hessian():
    lik, theta, data = make(multilayer((), (), 5, 2))
    np.testing.assert_allclose(fisher(lik, theta, data)[1], lik.hessian(theta, data), rtol=1e-9, atol=1e-10)


def test_blocks_of_rows_do_not_show(monkeypatch):
    lik, theta, data = make(NETWORKS["deep"])
    whole = fisher(lik, theta, data)
    monkeypatch.setattr("reglm.jacobian.BLOCK_ELEMENTS", 7 * 2 * lik.layout.size)
    assert [(b.start, b.stop) for b in blocks(lik, data)] == [(0, 7), (7, 14), (14, 20)]
    for one, other in zip(whole, fisher(lik, theta, data), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_family_parameters_have_zero_columns():
    lik, theta, data = make(multilayer((2,), ("tanh",), 5, 1), "negative_binomial")
    assert not jacobian(lik, theta, data)[:, lik.layout.slices["log_alpha"]].any()
