"""J and the Hessian of every layer type against JAX's own derivatives of the same graph."""

import numpy as np
import pytest
from network_cases import LAYERS, X, make

from reglm import layers
from reglm.jacobian import jacobian
from reglm.network import compose

jax = pytest.importorskip("jax")


@pytest.fixture(scope="module")
def case():
    """All layers side by side over the same rows, in one network, so that JAX compiles once."""
    every = layers.Parallel(tuple(LAYERS))
    return make(compose([every, layers.Dense(2, "tanh")], X.shape[1], 1, skip=True), backend="python")


@pytest.fixture(scope="module")
def theirs(case):
    """Functions of theta that JAX differentiates: eta (n,) and the objective."""
    from pytensor.graph.fg import FunctionGraph
    from pytensor.link.jax.dispatch.basic import jax_funcify

    import reglm.ops.jax_forms  # noqa: F401  (registers the forms of our Ops)

    jax.config.update("jax_enable_x64", True)
    lik, _, data = case
    s = lik.symbols()
    program = jax_funcify(FunctionGraph(s.inputs(), [s.eta, lik._objective(s)], clone=True))
    fixed = lik.arguments(np.zeros(lik.layout.size), data)[len(lik.layout.specs) :]

    def run(theta):
        views = [theta[lik.layout.slices[spec.name]].reshape(spec.shape) for spec in lik.layout.specs]
        eta, value = program(*views, *fixed)
        return eta[:, 0], value

    return run


def test_every_layer_is_there(case):
    kinds = {type(layer).__name__ for layer in LAYERS}
    assert kinds == {name for name, kind in layers.Layer.registry.items() if not kind.sequential}


def test_the_design_matrix_is_that_of_jax(case, theirs):
    lik, theta, data = case
    expected = jax.jit(jax.jacrev(lambda t: theirs(t)[0]))(theta)
    np.testing.assert_allclose(jacobian(lik, theta, data), expected, rtol=1e-9, atol=1e-11)


def test_the_hessian_is_that_of_jax(case, theirs):
    """Products with random directions tell two matrices apart."""
    lik, theta, data = case
    slope = jax.grad(lambda t: theirs(t)[1])
    np.testing.assert_allclose(lik.value_grad(theta, data)[1], jax.jit(slope)(theta), rtol=1e-9, atol=1e-10)
    product = jax.jit(lambda v: jax.jvp(slope, (theta,), (v,))[1])
    for v in np.random.default_rng(0).normal(size=(8, len(theta))):
        np.testing.assert_allclose(lik.hessp(theta, data, v), product(v), rtol=1e-8, atol=1e-9)
