"""Expectations of activations against quadrature in two dimensions, simulation and finite differences."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import special

from reglm.compiling import evaluate
from reglm.kernels.activations import BESIDE_LINKS, CLOSED_FORMS, dual_activation, expectations
from reglm.kernels.hermite import HermiteDual
from reglm.links import REGISTRY

pt = pytest.importorskip("pytensor.tensor")
# Activations that are no links: f and f'.
PLAIN = {
    "erf": (special.erf, lambda u: 2 / np.sqrt(np.pi) * np.exp(-(u**2))),
    "cos": (np.cos, lambda u: -np.sin(u)),
    "sin": (np.sin, np.cos),
    "sin+cos": (lambda u: np.sin(u) + np.cos(u), lambda u: np.cos(u) - np.sin(u)),
}
ELEMENTWISE = [n for n, link in REGISTRY.items() if link.elementwise and "activation" in link.roles]
NAMES = [*BESIDE_LINKS, "leaky_relu(0.3)", *ELEMENTWISE]
SMOOTH = [n for n in NAMES if n.partition("(")[0] not in ("relu", "leaky_relu", "threshold", "elu")]
CASES = [(1.0, 0.4, 0.7), (0.3, -0.5, 1.2), (1.6, 1.2, 1.0), (0.5, 0.0, 0.5), (2.0, -1.3, 1.1)]


def functions(name):
    """f and f' of an activation, by PyTensor where the links have it."""
    if name in PLAIN:
        return PLAIN[name]
    from reglm import links

    u = pt.vector("u", dtype="float64")
    f = links.get(name).inverse(u)
    outputs = [f, pt.grad(f.sum(), u, disconnected_inputs="ignore")]
    return tuple(lambda x, o=o: evaluate([o], {u: np.ravel(x)})[0].reshape(np.shape(x)) for o in outputs)


def by_product_rule(name, q, c, q2, step=0.08):
    """Both expectations by the trapezoidal rule in two dimensions, spectrally accurate for normal densities."""
    z = np.arange(-10, 10 + step, step)
    w = step * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    L = np.linalg.cholesky([[q, c], [c, q2]])
    u = L[0, 0] * z[:, None] + 0 * z
    v = L[1, 0] * z[:, None] + L[1, 1] * z
    return tuple(w @ (g(u) * g(v)) @ w for g in functions(name))


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.filterwarnings("ignore:activation='cauchit'")
def test_smooth_activations_agree_with_quadrature(name):
    for q, c, q2 in CASES:
        found = expectations(name, q, c, q2)
        np.testing.assert_allclose(found, by_product_rule(name, q, c, q2), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["relu", "leaky_relu(0.3)", "leaky_relu", "threshold", "elu"])
@pytest.mark.filterwarnings("ignore:activation='elu'")
def test_kinked_activations_agree_with_quadrature_in_angles(name):
    """Polar coordinates: the kinks u = 0 and v = 0 are rays, between which all is smooth."""
    f, slope = functions(name)
    x, w = np.polynomial.legendre.leggauss(60)
    for q, c, q2 in CASES:
        L = np.linalg.cholesky([[q, c], [c, q2]])
        tilt = np.arctan2(-L[1, 0], L[1, 1])
        kinks = np.sort(np.mod([np.pi / 2, -np.pi / 2, tilt, tilt + np.pi], 2 * np.pi))
        ends = np.concatenate([kinks, [kinks[0] + 2 * np.pi]])
        totals = np.zeros(2)
        for low, high in pairwise(ends):
            angle, radius = (low + high) / 2 + (high - low) / 2 * x, 7 * (x + 1)
            weight = np.outer((high - low) / 2 * w, 7 * w * radius * np.exp(-(radius**2) / 2)) / (2 * np.pi)
            u = L[0, 0] * np.outer(np.cos(angle), radius)
            v = np.outer(L[1, 0] * np.cos(angle) + L[1, 1] * np.sin(angle), radius)
            totals += [(weight * f(u) * f(v)).sum(), (weight * slope(u) * slope(v)).sum()]
        tolerance = 1e-8 if name != "elu" else 2e-5  # the series of a kinked function
        np.testing.assert_allclose(expectations(name, q, c, q2), totals, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:activation=")
def test_simulation(name):
    rng = np.random.default_rng(0)
    q, c, q2 = 0.8, 0.5, 0.6
    u, v = np.linalg.cholesky([[q, c], [c, q2]]) @ rng.normal(size=(2, 200_000))
    for found, g in zip(expectations(name, q, c, q2), functions(name), strict=True):
        draws = g(u) * g(v)
        assert abs(draws.mean() - found) <= 4.5 * draws.std() / np.sqrt(len(draws)) + 1e-12


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:activation=")
def test_equal_opposite_and_constant_variables(name):
    """At correlation one ``E f(u)^2``; with variance zero ``f(0)``; everything finite."""
    f, _ = functions(name)
    values = expectations(name, [1.0, 1.0, 0.0, 0.0, 1e-14], [1.0, -1.0, 0.0, 0.0, 1e-14], [1.0, 1.0, 0.0, 1.0, 1e-14])
    assert np.isfinite(values).all()
    z, w = np.polynomial.legendre.leggauss(400)
    z, w = np.concatenate([6 * (z - 1), 6 * (z + 1)]), 6 * np.concatenate([w, w])
    density = w * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    kinked = name not in SMOOTH
    np.testing.assert_allclose(values[0][0], density @ f(z) ** 2, rtol=1e-4 if kinked else 1e-7)
    np.testing.assert_allclose(
        values[0][1], density @ (f(z) * f(-z)), rtol=1e-4 if kinked else 1e-7, atol=1e-4 if kinked else 1e-8
    )
    if name != "threshold":
        np.testing.assert_allclose(values[0][2], f(np.zeros(1))[0] ** 2, atol=1e-12)
        np.testing.assert_allclose(values[0][3], f(np.zeros(1))[0] * (density @ f(z)), atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:activation=")
def test_second_expectation_is_the_derivative_by_the_covariance(name):
    """Price's theorem, and complex steps along the variances against central differences."""
    dual, h = dual_activation(name), 1e-5
    base = np.array([0.9, 0.35, 0.7])

    def both(point):
        q, c, q2 = (np.atleast_1d(v) for v in point)
        return dual.pairs(dual.rows(q), c, dual.rows(q2))

    step = [(np.array(both(base + h * e)[0]) - both(base - h * e)[0]) / (2 * h) for e in np.eye(3)]
    if name != "threshold":
        np.testing.assert_allclose(both(base)[1], step[1], atol=1e-7)
    direction = np.array([0.3, -0.2, 0.5])
    complex_step = both(base + 1e-30j * direction)
    np.testing.assert_allclose(complex_step[0].imag / 1e-30, direction @ step, atol=1e-7)
    slopes = [np.broadcast_to(both(base + s * h * direction)[1], 1) for s in (1, -1)]
    found = np.broadcast_to(complex_step[1], 1).imag / 1e-30
    np.testing.assert_allclose(found, (slopes[0] - slopes[1]) / (2 * h), atol=1e-6 if name != "elu" else 1e-3)


def test_series_states_its_error():
    dual = dual_activation("gelu")
    assert isinstance(dual, HermiteDual)
    assert max(dual.error(np.array([0.5, 2.0]))) < 1e-12
    with pytest.warns(UserWarning, match="errors of up to"):
        dual_activation("tanh").rows(np.array([400.0]))
    with pytest.warns(UserWarning, match="kinks"):
        expectations("elu", 1.0, 0.5, 1.0)


def test_series_and_closed_form_agree():
    q, c, q2 = np.array(CASES).T
    for name in ("probit", "log", "rbf"):
        dual = HermiteDual(REGISTRY[name])
        found = dual.pairs(dual.rows(q), c, dual.rows(q2))
        np.testing.assert_allclose(found, expectations(name, q, c, q2), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["softmax", "maxout", "inverse", "nonsense"])
def test_refusals(name):
    with pytest.raises(ValueError, match=r"relu|erf"):
        dual_activation(name)


def test_impossible_covariances_are_refused():
    with pytest.raises(ValueError, match="variances and covariances"):
        expectations("relu", 1.0, 1.5, 1.0)
    assert set(CLOSED_FORMS) <= set(REGISTRY)
