"""Value, gradient, Hessian and deltas of every family through a network; weights, offsets, sparse rows, precision."""

import pickle
from dataclasses import replace

import numpy as np
import pytensor.tensor as pt
import pytest
from family_cases import ALL
from family_cases import make as family_case
from network_cases import ROWS, X, differences, make
from scipy import sparse

from reglm import families, layers
from reglm.families import Mean
from reglm.likelihood import Data, Likelihood
from reglm.network import compose, multilayer


def lik_shape(case, lik, theta):
    """Values of the family's shape parameters at theta, for its own symbols."""
    return {case.shape[name]: value for name, value in lik.shape(theta).items()}


def with_family(family, link=None, **options):
    """A tiny network under a family, at linear predictors inside its domain."""
    case = family_case(family, link)
    y, eta = case.values[case.y], case.values[case.eta]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(len(y), 2))
    net = multilayer((2,), ("tanh",), 2, eta.shape[1])
    lik = Likelihood(net, family, case.link, shape_specs=family.specs(y), **options)
    theta = lik.layout.start(rng)
    for spec in lik.layout.specs:
        if spec.name.startswith("output"):
            theta[lik.layout.slices[spec.name]] *= 0.02  # stay near the offsets, which are admissible
    return case, lik, theta, Data(x, y, eta, rng.uniform(0.5, 2.0, (len(y), 1)))


@pytest.mark.parametrize("family", ALL, ids=repr)
def test_every_family_through_a_network(family):
    case, lik, theta, data = with_family(family)
    eta = lik.eta(theta, data.X, data.offset)
    weights = pt.tensor("w", dtype="float64", shape=(None, 1))
    objective = family.objective(case.y, Mean(case.link, case.eta), weights, **case.shape)
    at = replace(case, values=case.values | lik_shape(case, lik, theta) | {case.eta: eta, weights: data.weights})
    (kernel,) = at.run(objective)
    value, gradient = lik.value_grad(theta, data)
    assert value == pytest.approx(-kernel.sum(), rel=1e-12, abs=1e-12)
    scale = max(1.0, np.abs(gradient).max())
    numerical = differences(lambda t: lik.value_grad(t, data)[0], theta)
    np.testing.assert_allclose(gradient, numerical, atol=1e-6 * scale)
    v = np.random.default_rng(1).normal(size=len(theta))
    v[lik.layout.slices["output.b"]] *= 0.1
    up, down = (lik.value_grad(theta + e * v, data)[1] for e in (1e-6, -1e-6))
    curved = lik.hessp(theta, data, v)
    np.testing.assert_allclose(curved, (up - down) / 2e-6, atol=1e-5 * max(1.0, np.abs(curved).max()))


def test_hessian_is_the_derivative_of_the_gradient():
    lik, theta, data = make(multilayer((3,), ("tanh",), 5, 2, skip=True))
    H = lik.hessian(theta, data)
    np.testing.assert_array_equal(H, H.T)
    np.testing.assert_allclose(H, differences(lambda t: lik.value_grad(t, data)[1], theta), rtol=1e-6, atol=1e-6)


def test_a_linear_poisson_model_in_closed_form():
    lik, theta, data = make(multilayer((), (), 5, 1))
    D = np.column_stack([X, np.ones(ROWS)])
    w = data.weights[:, 0]
    eta = D @ theta + data.offset[:, 0]
    mu, y = np.exp(eta), data.y[:, 0]
    value, gradient = lik.value_grad(theta, data)
    assert value == pytest.approx(np.sum(w * (mu - y * eta)), rel=1e-12)
    np.testing.assert_allclose(gradient, D.T @ (w * (mu - y)), rtol=1e-10)
    np.testing.assert_allclose(lik.hessian(theta, data), D.T @ (D * (w * mu)[:, None]), rtol=1e-10)


@pytest.mark.parametrize("family", ["poisson", "gaussian", "gamma", "negative_binomial", "bernoulli"])
def test_weights_are_repeated_rows(family):
    y = np.random.default_rng(0).integers(0, 2, (ROWS, 1)) + (family == "gamma") * 1.0
    lik, theta, data = make(multilayer((2,), ("tanh",), 5, 1), family, y, link="log" if family == "gamma" else None)
    counts = np.arange(ROWS) % 3
    weighted = data._replace(weights=counts[:, None].astype(float))
    repeated = data._replace(weights=np.ones((ROWS, 1))).rows(np.repeat(np.arange(ROWS), counts))
    for one, other in zip(lik.value_grad(theta, weighted), lik.value_grad(theta, repeated), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
    v = np.ones(len(theta))
    np.testing.assert_allclose(lik.hessp(theta, weighted, v), lik.hessp(theta, repeated, v), rtol=1e-9, atol=1e-11)


def test_an_offset_shifts_the_linear_predictor():
    lik, theta, data = make(multilayer((2,), ("tanh",), 5, 1))
    lifted = lik.layout.views(theta.copy())
    shift = data._replace(offset=data.offset + 0.7)
    lifted["output.b"][...] += 0.7
    other = lik.layout.pack(lifted)
    assert lik.value_grad(theta, shift)[0] == pytest.approx(lik.value_grad(other, data)[0], rel=1e-12)
    np.testing.assert_allclose(lik.eta(theta, X, shift.offset), lik.eta(other, X, data.offset), rtol=1e-12)


@pytest.mark.parametrize("hidden", [(), (3,)])
@pytest.mark.parametrize("bias", [True, False])
def test_sparse_rows_give_what_dense_rows_give(hidden, bias):
    x = np.where(np.random.default_rng(0).random((ROWS, 5)) < 0.4, X, 0.0)
    net = multilayer(hidden, ("tanh",) * len(hidden), 5, 2, skip=True, hidden_bias=bias, output_bias=bias)
    dense, theta, data = make(net, x=x)
    rows, *_ = make(net, x=x, is_sparse=True)
    csr = data._replace(X=sparse.csr_matrix(x))
    for one, other in zip(rows.value_grad(theta, csr), dense.value_grad(theta, data), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(rows.hessian(theta, csr), dense.hessian(theta, data), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(rows.eta(theta, csr.X, csr.offset), dense.eta(theta, x, data.offset), rtol=1e-12)


def test_taps_hold_every_affine_map_with_its_deltas():
    lik, theta, data = make(multilayer((3,), ("tanh",), 5, 2))
    p = lik.layout.views(theta)
    h = np.tanh(X @ p["hidden1.W"] + p["hidden1.b"])
    (first, (rows,), d1), (last, (features,), d2) = lik.taps(theta, data, np.array([[0.0, 1.0]]))
    assert (first.weight, first.bias, last.weight) == ("hidden1.W", "hidden1.b", "output.W")
    np.testing.assert_array_equal(rows, X)
    np.testing.assert_allclose(features, h, rtol=1e-13)
    np.testing.assert_array_equal(d2, np.tile([0.0, 1.0], (ROWS, 1)))
    np.testing.assert_allclose(d1, p["output.W"][:, 1] * (1 - h**2), rtol=1e-12)


def test_dropout_is_on_in_training_only():
    lik, theta, data = make(multilayer((4,), ("tanh",), 5, 1, dropout=0.5))
    plain, *_ = make(multilayer((4,), ("tanh",), 5, 1))
    assert lik.value_grad(theta, data)[0] == pytest.approx(plain.value_grad(theta, data)[0], rel=1e-13)
    draws = np.random.default_rng(0).random((ROWS, 4)).astype("float32")
    value, gradient = lik.value_grad(theta, data, [draws])
    p = lik.layout.views(theta)
    h = np.tanh(X @ p["hidden1.W"] + p["hidden1.b"]) * (draws < 0.5) / 0.5
    eta = h @ p["output.W"] + p["output.b"] + data.offset
    assert value == pytest.approx(np.sum(data.weights * (np.exp(eta) - data.y * eta)), rel=1e-12)
    numerical = differences(lambda t: lik.value_grad(t, data, [draws])[0], theta)
    np.testing.assert_allclose(gradient, numerical, atol=1e-6)


def test_blocks_of_rows_do_not_show(monkeypatch):
    lik, theta, data = make(multilayer((3,), ("tanh",), 5, 1))
    whole = lik.eta(theta, X, data.offset)
    monkeypatch.setattr("reglm.likelihood.BLOCK_ELEMENTS", 5 * lik.widest())
    np.testing.assert_allclose(lik.eta(theta, X, data.offset), whole, rtol=1e-14)
    assert lik.eta(theta, X[:0]).shape == (0, 1)


@pytest.mark.parametrize(
    "network",
    [
        multilayer((3,), ("relu",), 5, 2, skip=True),
        multilayer((3,), ("gelu",), 5, 2, categorical=(3, 4), dropout=0.2, skip=True),
        compose([layers.Spline(("a",)), layers.BatchNorm(), layers.RBF(3), layers.Dense(2, "elu")], 5, 2),
        compose([layers.Parallel((layers.Periodic(("a",)), layers.PiecewiseLinear(("b",)))), layers.Dense(2)], 5, 2),
    ],
    ids=["relu", "embedded", "bases", "waves"],
)
def test_single_precision_stays_single_and_close(network):
    double, theta, data = make(network)
    single, *_ = make(network, dtype="float32")
    low = Data(*(part.astype("float32") for part in data))
    draws = [np.random.default_rng(0).random((ROWS, w)).astype("float32") for w in single.network.noise()]
    theta32 = theta.astype("float32")
    for noise in (None, draws):
        value, gradient = single.value_grad(theta32, low, noise)
        expected, slope = double.value_grad(theta, data, noise)
        assert gradient.dtype == np.float32
        assert value == pytest.approx(expected, rel=1e-4)
        np.testing.assert_allclose(gradient, slope, rtol=1e-3, atol=1e-3 * np.abs(slope).max())
    v = np.ones(len(theta), dtype="float32")
    assert single.hessp(theta32, low, v).dtype == np.float32
    assert single.eta(theta32, low.X).dtype == np.float32
    for _, _, delta in single.taps(theta32, low, np.ones((1, 2))):
        assert delta.dtype == np.float32


@pytest.mark.parametrize("name", ["poisson", "negative_binomial", "ordinal", "student_t", "tobit"])
def test_pickling_keeps_everything_but_compiled_programs(name):
    _, lik, theta, data = with_family(families.get(name))
    before = lik.value_grad(theta, data)
    again = pickle.loads(pickle.dumps(lik))
    value, gradient = again.value_grad(theta, data)
    assert value == before[0]
    np.testing.assert_array_equal(gradient, before[1])
    starts = [which.layout.start(np.random.default_rng(3)) for which in (lik, again)]
    np.testing.assert_array_equal(*starts)


def test_mean_deviance_is_weighted():
    lik, theta, data = make(multilayer((), (), 5, 1))
    mu = np.exp(lik.eta(theta, X, data.offset))
    y, w = data.y, data.weights
    unit = 2 * (np.where(y > 0, y * np.log(np.where(y > 0, y, 1) / mu), 0.0) - (y - mu))
    assert lik.mean_deviance(theta, data) == pytest.approx(np.sum(w * unit) / np.sum(w), rel=1e-10)


def test_shape_parameters_are_the_tail_of_theta():
    _, lik, theta, _ = with_family(families.NegativeBinomial())
    theta[-1] = 0.3
    assert {k: float(v) for k, v in lik.shape(theta).items()} == {"log_alpha": 0.3}
