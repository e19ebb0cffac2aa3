"""The Ops inside a PyMC model: log-density, gradient and predictions for all draws at once."""

import warnings

import numpy as np
import pytensor.tensor as pt
import pytest
import xarray as xr

from reglm import ops

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "\nArviZ is undergoing", FutureWarning)  # ArviZ 0.23 says so when it is imported
    import pymc as pm

RNG = np.random.default_rng(8)
X, CODES = RNG.normal(size=(40, 3)), RNG.integers(-1, 4, size=(40, 1))
Y = RNG.poisson(1.5, size=(40, 1))


def network(X, codes, W, b, table, v):
    """Linear predictor of a tanh layer next to an embedding, in NumPy."""
    rows = np.where(codes >= 0, table[codes[:, 0]], 0.0)
    return np.hstack([np.tanh(X @ W + b), rows]) @ v


@pytest.fixture(scope="module")
def model():
    with pm.Model() as model:
        W, b = pm.Normal("W", shape=(3, 4)), pm.Normal("b", shape=4)
        table, v = pm.Normal("table", shape=(4, 1)), pm.Normal("v", shape=(5, 1))
        h = ops.tanh(ops.affine(pt.as_tensor(X), W, b))
        eta = ops.affine(ops.beside(h, ops.lookup(pt.as_tensor(CODES), table)), v)
        pm.Deterministic("eta", eta)
        pm.Potential("fit", (Y * eta - ops.exp(eta)).sum())
    return model


def log_density(point):
    eta = network(X, CODES, *(point[k] for k in ("W", "b", "table", "v")))
    prior = sum(-0.5 * (value**2 + np.log(2 * np.pi)).sum() for value in point.values())
    return prior + (Y * eta - np.exp(eta)).sum()


@pytest.mark.parametrize("mode", [None, "NUMBA"])
def test_log_density_and_gradient(model, mode):
    point = {name: 0.3 * RNG.normal(size=value.shape) for name, value in model.initial_point().items()}
    np.testing.assert_allclose(model.compile_logp(mode=mode)(point), log_density(point), rtol=1e-12)
    gradient = model.compile_dlogp(mode=mode)(point)
    h, differences = 1e-5, []
    for name, value in point.items():
        for unit in np.eye(value.size).reshape(-1, *value.shape):
            up, down = (log_density({**point, name: value + s * h * unit}) for s in (1, -1))
            differences.append((up - down) / (2 * h))
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6)


def test_predictions_for_all_draws(model):
    draws = {name: RNG.normal(size=(2, 3, *value.shape)) for name, value in model.initial_point().items()}
    coordinates = {name: [f"{name}_{i}" for i in range(value.ndim - 2)] for name, value in draws.items()}
    data = xr.Dataset({k: (("chain", "draw", *coordinates[k]), v) for k, v in draws.items()})
    found = pm.compute_deterministics(data, model=model, progressbar=False)["eta"].to_numpy()
    for c, d in np.ndindex(2, 3):
        expected = network(X, CODES, *(draws[k][c, d] for k in ("W", "b", "table", "v")))
        np.testing.assert_allclose(found[c, d], expected, rtol=1e-10, atol=1e-12)
