"""Kernels of architectures: laws, derivatives, scikit-learn, and random and trained networks of finite width."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from reglm.kernels.activations import expectations
from reglm.kernels.network_kernel import NetworkKernel

ACTIVATIONS = ["relu", "leaky_relu", "erf", "probit", "identity", "cos", "sin", "sin+cos", "rbf", "tanh", "gelu"]
CASES = [(f, kind, depth) for f in ACTIVATIONS for kind in ("nngp", "ntk") for depth in (1, 3)]
rng = np.random.default_rng(0)
X = rng.normal(size=(20, 4))
X[3], X[5], X[6] = X[7], 0.0, -X[8]  # equal, constant and opposite rows
Y = rng.normal(size=(9, 4))


# Series end where the rest is below 1e-12 of the largest expectation, which depends on the pairs of a tile.
SERIES = {"tanh": 1e-10, "gelu": 1e-10}


def kernel(activation, kind="ntk", depth=2, **options):
    return NetworkKernel(depth, activation, kind, weight_variance=1.7, bias_variance=0.2, **options)


@pytest.mark.parametrize(("activation", "kind", "depth"), CASES)
def test_laws(activation, kind, depth):
    tolerance = SERIES.get(activation, 1e-12)
    k = kernel(activation, kind, depth)
    K = k(X)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_allclose(k.diag(X), np.diag(K), rtol=tolerance)
    np.testing.assert_allclose(k(X, X), K, rtol=tolerance, atol=1e-14)
    np.testing.assert_allclose(k(np.vstack([X, Y]))[:20, 20:], k(X, Y), rtol=tolerance, atol=1e-14)
    np.testing.assert_allclose(K[3], K[7], rtol=tolerance, atol=1e-14)
    assert np.linalg.eigvalsh(K)[0] > -1e-12 * K.max()


@pytest.mark.parametrize(("activation", "kind", "depth"), CASES)
def test_recursion_written_out(activation, kind, depth):
    """Pair by pair, as theory has it."""
    w, b, (x, z) = 1.7, 0.2, Y[:2]
    S = w / 4 * np.array([[x @ x, x @ z], [x @ z, z @ z]]) + b
    T = S[0, 1]
    for _ in range(depth):
        (value, slope) = expectations(activation, *S[[0, 0, 1], [0, 1, 1]])
        own = [expectations(activation, q, q, q)[0] for q in np.diag(S)]
        S = w * np.array([[own[0], value], [value, own[1]]]) + b
        T = S[0, 1] + T * w * slope
    expected = S[0, 1] if kind == "nngp" else T
    assert kernel(activation, kind, depth)(Y)[0, 1] == pytest.approx(expected, rel=SERIES.get(activation, 1e-12))


@pytest.mark.parametrize(("activation", "kind", "depth"), [*CASES, ("exp", "ntk", 1)])
@pytest.mark.parametrize("skip", [False, True])
def test_gradient_by_the_logarithms_of_the_variances(activation, kind, depth, skip):
    k, h = kernel(activation, kind, depth, skip=skip), 1e-5
    K, gradient = k(X, eval_gradient=True)
    np.testing.assert_array_equal(K, k(X))
    for j, e in enumerate(h * np.eye(2)):
        difference = k.clone_with_theta(k.theta + e)(X) - k.clone_with_theta(k.theta - e)(X)
        np.testing.assert_allclose(gradient[:, :, j], difference / (2 * h), atol=1e-8 * np.abs(gradient).max())


def test_known_kernels():
    """No hidden layer: the linear kernel. sin + cos: the radial kernel, whatever the variance of the biases."""
    linear = 1.7 * Y @ Y.T / 4
    np.testing.assert_allclose(kernel("relu", depth=0)(Y), linear + 0.2, rtol=1e-14)
    np.testing.assert_allclose(kernel("relu", depth=2, skip=True)(Y), kernel("relu", depth=2)(Y) + linear, rtol=1e-14)
    radial = RBF(np.sqrt(4 / 1.7))(Y)
    np.testing.assert_allclose(kernel("sin+cos", "nngp", 1)(Y), 1.7 * radial + 0.2, rtol=1e-12)
    k = kernel("identity", "ntk", 3)
    np.testing.assert_allclose(k(Y) / k(Y)[0, 0], kernel(["linear"] * 3, "ntk", 3)(Y) / k(Y)[0, 0])


def test_blocks_do_not_show(monkeypatch):
    rows = rng.normal(size=(61, 3))
    k = kernel("relu")
    whole, between, gradient = k(rows), k(rows, rows[:7]), k(rows, eval_gradient=True)[1]
    monkeypatch.setattr("reglm.kernels.architecture.HEIGHT", 4)
    monkeypatch.setattr("reglm.kernels.architecture.WIDTH", 10)
    np.testing.assert_allclose(k(rows), whole, rtol=1e-13)
    np.testing.assert_allclose(k(rows, rows[:7]), between, rtol=1e-13)
    np.testing.assert_allclose(k(rows, eval_gradient=True)[1], gradient, rtol=1e-10)
    assert k(rows[:0]).shape == (0, 0)
    assert k(rows[:1]).shape == (1, 1)


def test_gaussian_process_of_scikit_learn():
    y = 2 + np.sin(2 * Y[:, 0]) + Y[:, 1]
    start = ConstantKernel(1.0, "fixed") * kernel("erf", "nngp", 1) + WhiteKernel(0.1, "fixed")
    gp = GaussianProcessRegressor(start, n_restarts_optimizer=0).fit(Y, y)
    assert gp.log_marginal_likelihood(gp.kernel_.theta) >= gp.log_marginal_likelihood(start.theta)
    _, gradient = gp.log_marginal_likelihood(start.theta, eval_gradient=True)
    for j, e in enumerate(1e-5 * np.eye(len(start.theta))):
        high, low = (gp.log_marginal_likelihood(start.theta + s * e) for s in (1, -1))
        assert gradient[j] == pytest.approx((high - low) / 2e-5, abs=1e-6)
    assert np.isfinite(gp.predict(X, return_std=True)[1]).all()


def test_parameters_bounds_and_clones():
    k = kernel(("relu", "erf"), "nngp", weight_variance_bounds=(0.1, 10.0))
    assert clone(k) == k
    assert [h.name for h in k.hyperparameters] == ["bias_variance", "weight_variance"]
    np.testing.assert_allclose(k.theta, np.log([0.2, 1.7]))
    np.testing.assert_allclose(k.bounds, np.log([[1e-5, 1e3], [0.1, 10.0]]))
    unbiased = NetworkKernel(bias_variance=0)
    assert unbiased.n_dims == 1
    assert unbiased(X, eval_gradient=True)[1].shape == (20, 20, 1)
    assert repr(unbiased) == "NetworkKernel(1, 'relu', 'nngp', 2, 0)"


def test_stated_error():
    assert kernel("relu").quadrature_error(X) == 0
    error = kernel("tanh").quadrature_error(X)
    assert 0 <= error < 1e-8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_layers": -1}, "hidden_layers"),
        ({"kind": "rbf"}, "kind"),
        ({"weight_variance": 0.0}, "weight_variance"),
        ({"bias_variance": -1.0}, "bias_variance"),
        ({"activation": ["relu", "relu"]}, "names 2 activations"),
        ({"activation": "threshold", "kind": "ntk"}, "no"),
        ({"activation": "softmax"}, "softmax"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        NetworkKernel(**options)(X)


def test_rows_that_do_not_fit():
    with pytest.raises(ValueError, match="columns"):
        kernel("relu")(X, X[:, :2])
    with pytest.raises(ValueError, match="Y=None"):
        kernel("relu")(X, Y, eval_gradient=True)


def tanh_kernels(draws, depth, width):
    """Covariances of outputs given the last hidden layer, and tangent kernels, of drawn networks of finite width."""
    draw, x, w, b = np.random.default_rng(1), Y[:4], 1.7, 0.2
    found = []
    for _ in range(draws):
        h, slopes, weights, own = x, [], [], []
        for units in [*[width] * depth, 1]:
            W = np.sqrt(w / h.shape[1]) * draw.normal(size=(h.shape[1], units))
            own.append(w / h.shape[1] * h @ h.T + b)
            weights.append(W)
            h = np.tanh(h @ W + np.sqrt(b) * draw.normal(size=units))
            slopes.append(1 - h**2)
        T, delta = own[-1], np.ones((4, 1))
        for layer in range(depth - 1, -1, -1):
            delta = slopes[layer] * (delta @ weights[layer + 1].T)
            T = T + own[layer] * (delta @ delta.T)
        found.append((own[-1], T))
    return np.array(found)


@pytest.mark.parametrize(("depth", "width"), [(1, 64), (2, 256)])
def test_random_networks(depth, width):
    """Largest z over the entries, Bonferroni; the mean of one hidden layer is exact, of more O(1 / width) off."""
    draws = tanh_kernels(400, depth, width)
    for j, kind in enumerate(("nngp", "ntk")):
        expected = kernel("tanh", kind, depth)(Y[:4])
        error = draws[:, j].std(axis=0) / np.sqrt(len(draws))
        bias = 0.0 if depth == 1 else 3.0 / width * np.abs(expected)
        gap = np.abs(draws[:, j].mean(axis=0) - expected)
        assert np.all(gap < norm.isf(1e-3 / 20) * error + bias)


def test_wide_networks_learn_what_their_tangent_kernel_regression_does():
    """Gradient flow of the penalised fit ends in the dual with J J'; the gap shrinks with the width."""
    rows, w, b, lam = Y, 1.7, 0.2, 0.5
    y = np.sin(2 * rows[:, 0]) + rows[:, 1]
    k = kernel("tanh", "ntk", 1)
    limit = k(X, rows) @ np.linalg.solve(k(rows) + lam * np.eye(len(rows)), y)
    gaps = []
    for width in (64, 1024):
        draw, total = np.random.default_rng(3), []
        for _ in range(4):
            start = [draw.normal(size=(5, width)), draw.normal(size=width + 1)]
            total.append(np.sqrt(np.mean((trained(start, rows, y, X, w, b, lam) - limit) ** 2)))
        gaps.append(np.mean(total))
    assert gaps[1] < 0.5 * gaps[0]  # 16 times the width: a quarter, less what noise in four draws allows
    assert gaps[1] < 0.2 * np.sqrt(np.mean(limit**2))


def trained(start, rows, y, new, w, b, lam, steps=1000):
    """Predictions less the initial function after gradient descent on ``|y - f|^2 + lam |theta - start|^2``."""
    V, v = (part.copy() for part in start)
    width = V.shape[1]
    inputs = [np.column_stack([np.sqrt(w / 4) * r, np.sqrt(b) * np.ones(len(r))]) for r in (rows, new)]

    def output(x, V, v):
        h = np.tanh(x @ V)
        return h, np.sqrt(w / width) * h @ v[:-1] + np.sqrt(b) * v[-1]

    before = [output(x, *start)[1] for x in inputs]
    rate = 0.01
    for _ in range(steps):
        h, f = output(inputs[0], V, v)
        delta = f - before[0] - y
        back = np.sqrt(w / width) * delta[:, None] * v[:-1] * (1 - h**2)
        slope = np.append(np.sqrt(w / width) * h.T @ delta, np.sqrt(b) * delta.sum())
        V = V - rate * (inputs[0].T @ back + lam * (V - start[0]))
        v = v - rate * (slope + lam * (v - start[1]))
    return output(inputs[1], V, v)[1] - before[1]
