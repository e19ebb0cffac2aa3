"""Random features: means over draws equal the kernels, within their standard errors; scikit-learn's contract."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, sparse, special, stats
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.utils.estimator_checks import parametrize_with_checks

from reglm import NetworkKernel, RandomFeatures
from reglm.kernels.features import normal_directions

DRAWS = 250
X = np.random.default_rng(0).normal(size=(5, 3))


@parametrize_with_checks(
    [
        RandomFeatures(),
        RandomFeatures("arccosine", bias=0.5),
        RandomFeatures("tanh", orthogonal=False),
        RandomFeatures(NetworkKernel(2, "erf", skip=True)),
    ]
)
def test_transformer_keeps_the_contract(estimator, check):
    check(estimator)


def arc_cosine(X, degree):
    """Cho & Saul (2009), eqs 3-6."""
    norms = np.linalg.norm(X, axis=1)
    angle = np.arccos(np.clip(X @ X.T / np.outer(norms, norms), -1, 1))
    J = [np.pi - angle, np.sin(angle) + (np.pi - angle) * np.cos(angle)][degree]
    return np.outer(norms, norms) ** degree * J / np.pi


def wide_layer(X, f):
    """E[f(u) f(u')] for normal (u, u') with covariance X X', by quadrature of the plane."""
    S = X @ X.T

    def entry(i, j):
        C = S[np.ix_([i, j], [i, j])]
        if i == j:
            return integrate.quad(lambda u: f(u) ** 2 * stats.norm.pdf(u, scale=np.sqrt(C[0, 0])), -12, 12)[0]
        z, w = np.polynomial.hermite_e.hermegauss(60)
        L = np.linalg.cholesky(C)
        u, v = L[0, 0] * z[:, None], L[1, 0] * z[:, None] + L[1, 1] * z[None, :]
        return np.sum(np.outer(w, w) * f(u) * f(v)) / (2 * np.pi)

    return np.array([[entry(i, j) for j in range(len(X))] for i in range(len(X))])


CASES = {
    "rbf": ({"kernel": "rbf", "gamma": 0.4}, rbf_kernel(X, gamma=0.4)),
    "rbf, odd": ({"kernel": "rbf", "gamma": 0.4, "n_components": 5}, rbf_kernel(X, gamma=0.4)),
    "threshold": ({"kernel": "arccosine", "degree": 0, "gamma": 1.0}, arc_cosine(X, 0)),
    "relu": ({"kernel": "arccosine", "gamma": 0.5}, 0.5 * arc_cosine(X, 1)),
    "relu with biases": (
        {"kernel": "arccosine", "gamma": 1.0, "bias": 0.7},
        arc_cosine(np.hstack([X, np.full((5, 1), np.sqrt(0.7))]), 1),
    ),
    "tanh": ({"kernel": "tanh", "gamma": 0.3}, wide_layer(np.sqrt(0.3) * X, np.tanh)),
    "erf": ({"kernel": "erf", "gamma": 0.3}, wide_layer(np.sqrt(0.3) * X, special.erf)),
    "cos": ({"kernel": "cos", "gamma": 0.3}, wide_layer(np.sqrt(0.3) * X, np.cos)),
    "sin": ({"kernel": "sin", "gamma": 0.3}, wide_layer(np.sqrt(0.3) * X, np.sin)),
    **{f"network, {f}": ({"kernel": NetworkKernel(1, f)}, NetworkKernel(1, f)(X)) for f in ("relu", "erf", "sin+cos")},
    "network with a skip connection": (
        {"kernel": NetworkKernel(1, "cos", bias_variance=0.4, skip=True)},
        NetworkKernel(1, "cos", bias_variance=0.4, skip=True)(X),
    ),
}


def estimates(options, orthogonal):
    """Estimates of the kernel (draws, n, n)."""
    found = []
    for seed in range(DRAWS):
        made = RandomFeatures(**{"n_components": 6, **options}, orthogonal=orthogonal, random_state=seed)
        Phi = made.fit_transform(X)
        found.append(Phi @ Phi.T)
    return np.array(found)


@pytest.mark.parametrize("orthogonal", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_unbiased(case, orthogonal):
    options, exact = CASES[case]
    found = estimates(options, orthogonal)
    error = np.abs(found.mean(0) - exact)
    se = found.std(0, ddof=1) / np.sqrt(DRAWS)
    entries = len(X) * (len(X) + 1) // 2
    worst = stats.norm.isf(0.001 / (2 * entries))  # Bonferroni over the entries
    assert np.all(error <= worst * se + 1e-12)
    assert case == "rbf" or np.all(se > 0)


@pytest.mark.parametrize("kernel", [NetworkKernel(2, ["erf", "relu"]), NetworkKernel(3, "tanh", bias_variance=0.0)])
def test_deep_networks_approach_their_kernels(kernel):
    errors = []
    for width in (50, 800):
        draws = [RandomFeatures(kernel, width, random_state=seed).fit_transform(X) for seed in range(10)]
        errors.append(np.sqrt(np.mean([(Phi @ Phi.T - kernel(X)) ** 2 for Phi in draws])))
    assert errors[1] == pytest.approx(errors[0] / 4, rel=0.4)  # as width^-1/2
    assert errors[1] < 0.1 * np.abs(kernel(X)).max()


def test_columns_of_a_network_have_names():
    made = RandomFeatures(NetworkKernel(1, "erf", skip=True), 5, random_state=0).fit(X)
    assert made.transform(X).shape == (5, 9)
    assert len(made.get_feature_names_out()) == 9
    assert made.transform(sparse.csr_array(X.astype("float32"))).dtype == np.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": NetworkKernel(1, kind="ntk")}, "kind='nngp'"),
        ({"kernel": NetworkKernel(0)}, "a hidden layer"),
        ({"kernel": NetworkKernel(), "gamma": 1.0}, "gamma=1.0 must be None"),
        ({"kernel": NetworkKernel(), "bias": 1.0}, "bias=1.0 must be 0.0"),
        ({"kernel": 3}, "kernel=3 must be a name or a NetworkKernel"),
    ],
)
def test_network_kernels_that_have_no_such_columns(options, message):
    with pytest.raises(ValueError, match=message):
        RandomFeatures(**options).fit(X)


def test_orthogonal_directions_lower_the_variance():
    options = {"kernel": "rbf", "gamma": 0.4}
    loss = {kind: np.mean((estimates(options, kind) - rbf_kernel(X, gamma=0.4)) ** 2) for kind in (False, True)}
    assert loss[True] < 0.9 * loss[False]


def test_blocks_of_directions_are_orthogonal_and_of_chi_length():
    W = normal_directions(np.random.default_rng(1), 3, 3000, True)
    for block in (W[:, :3], W[:, 3:6]):
        inner = block.T @ block
        assert np.allclose(inner, np.diag(np.diagonal(inner)))
    assert stats.kstest((W**2).sum(0), stats.chi2(3).cdf).pvalue > 0.001
    assert stats.kstest(W[0], stats.norm.cdf).pvalue > 0.001


def test_frames_sparse_matrices_and_names():
    made = RandomFeatures(n_components=4, random_state=0).set_output(transform="pandas")
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    out = made.fit_transform(frame)
    assert list(out.columns) == [f"randomfeatures{j}" for j in range(4)]
    dense = RandomFeatures(n_components=4, random_state=0).fit(X)
    assert np.allclose(out, dense.transform(X))
    assert np.allclose(dense.transform(sparse.csr_matrix(X)), dense.transform(X))
    assert dense.transform(X.astype("float32")).dtype == np.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "n_components=0 must be a whole number"),
        ({"gamma": -1.0}, "gamma=-1.0 must be positive"),
        ({"bias": -1.0}, r"bias=-1.0 must be 0 or positive"),
        ({"kernel": "arccosine", "degree": -1}, "degree=-1 must be"),
        ({"kernel": "maxout"}, "kernel='maxout' does not map"),
        ({"kernel": "inverse"}, "kernel='inverse' does not map"),
        ({"kernel": "rfb"}, "unknown link or activation 'rfb'"),
    ],
)
def test_arguments_that_cannot_be_used(options, message):
    with pytest.raises(ValueError, match=message):
        RandomFeatures(**options).fit(X)
