"""The Ops of log-densities: gamma functions, their differences, the Tweedie series, log-sum-exp, choice."""

import math

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from scipy import special

from reglm.compiling import evaluate
from reglm.ops.choose import choose, larger, smaller
from reglm.ops.gamma import digamma, log_gamma, log_rising, trigamma
from reglm.ops.logsumexp import log_sum_exp
from reglm.ops.tweedie import tweedie_normaliser
from reglm.ops.ufuncs_gamma import tweedie_series

POSITIVE = np.exp(np.linspace(-9, 12, 40))[:, None]


def derivative(expression, x):
    return pytensor.grad(expression.sum(), x, disconnected_inputs="ignore")


def central(f, x, h):
    return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)


def test_gamma_functions_and_their_slopes():
    x = pt.matrix("x")
    found = evaluate(
        [log_gamma(x), digamma(x), trigamma(x), derivative(log_gamma(x), x), derivative(trigamma(x), x)], {x: POSITIVE}
    )
    expected = [special.gammaln(POSITIVE), special.psi(POSITIVE), special.polygamma(1, POSITIVE)]
    expected += [special.psi(POSITIVE), special.polygamma(2, POSITIVE)]
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-12)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 300])
def test_log_rising_is_a_sum_of_logarithms(count):
    """``Gamma(r + y) / (Gamma(r) r^y) = prod_j (1 + j / r)`` over j < y, for whole y."""
    y, r = pt.matrix("y"), pt.matrix("r")
    first = derivative(log_rising(y, r), r)
    values = {y: np.full_like(POSITIVE, count), r: np.concatenate([POSITIVE[:-3], [[999.99], [1000.01], [1e12]]])}
    at = values[r][:, 0]
    found = np.array(evaluate([log_rising(y, r), first, derivative(first, r)], values))[:, :, 0]
    j = np.arange(count)[:, None]
    expected = [np.log1p(j / at).sum(0), (1 / (at + j) - 1 / at).sum(0), (1 / at**2 - 1 / (at + j) ** 2).sum(0)]
    for order, (value, wanted) in enumerate(zip(found, expected, strict=True)):
        rounding = 1e-15 * np.maximum(special.gammaln(at + count), 10) / np.minimum(at, 1000) ** order
        rounding = np.where(at > 1000, 1e-15 * count, rounding)
        assert (np.abs(value - wanted) <= 1e-10 * np.abs(wanted) + rounding).all(), order


def test_log_sum_exp():
    rng = np.random.default_rng(0)
    eta = pt.matrix("eta")
    values = np.vstack([rng.normal(size=(5, 3)), [[800, -800, 0], [-800, -900, -1000]]])
    value, slope = evaluate([log_sum_exp(eta), derivative(log_sum_exp(eta), eta)], {eta: values})
    padded = np.hstack([np.zeros((7, 1)), values])
    np.testing.assert_allclose(value[:, 0], special.logsumexp(padded, axis=1), rtol=1e-14)
    np.testing.assert_allclose(slope, special.softmax(padded, axis=1)[:, 1:], rtol=1e-13, atol=1e-300)


def test_choice_keeps_zero_gradients_zero():
    """The side not chosen may be NaN, as long as its slope is finite."""
    x = pt.matrix("x", dtype="float32")
    y = choose(pt.gt(x, 0), pt.log(x), larger(x, -2.0) + smaller(x, 2.0))
    slope = derivative(y, x)
    assert {y.dtype, slope.dtype, derivative(slope, x).dtype} == {"float32"}
    values = np.array([[-3.0, -1.0, -0.25, 4.0, np.nan]], dtype="float32")
    with np.errstate(all="ignore"):
        value, first = evaluate([y, slope], {x: values})
    np.testing.assert_array_equal(value[:, :4], np.float32([[-5, -2, -0.5, np.log(4)]]))
    np.testing.assert_array_equal(first[:, :4], [[1, 2, 2, 0.25]])
    assert np.isnan(value[0, 4])


def every_term(y, phi, p):
    """log a(y, phi, p), all terms within 15 standard deviations of the largest, with fsum."""
    a = (2 - p) / (p - 1)
    log_z = a * math.log(y / (p - 1)) - (1 + a) * math.log(phi) - math.log(2 - p)
    centre = max(1, int(y ** (2 - p) / (phi * (2 - p))))
    width = int(15 * math.sqrt(centre * (p - 1)) + 60)
    logs = [j * log_z - math.lgamma(j + 1) - math.lgamma(j * a) for j in range(max(1, centre - width), centre + width)]
    top = max(logs)
    return top + math.log(math.fsum(math.exp(t - top) for t in logs)) - math.log(y)


TWEEDIE = [
    (1.0, 1.0, 1.5), (0.01, 2.0, 1.5), (3.0, 0.5, 1.05), (3.0, 0.7, 1.95), (100.0, 0.1, 1.5), (1e4, 0.05, 1.3),
    (1e-8, 1.0, 1.6), (1e3, 1e-3, 1.5), (400.0, 0.0245, 1.5), (1e-3, 50.0, 1.95),
]  # fmt: skip


@pytest.mark.parametrize(("y", "phi", "p"), TWEEDIE)
def test_tweedie_series_has_all_its_terms(y, phi, p):
    """To 1e-9, or to the rounding of its largest terms where y / phi is large."""
    found = tweedie_series(np.array([y]), np.array([phi]), p)[0, 0]
    assert abs(found - every_term(y, phi, p)) < 1e-9 + 3e-14 * abs(found)


@pytest.mark.parametrize(("y", "phi", "p"), TWEEDIE)
def test_tweedie_series_derivatives(y, phi, p):
    def series(phi, p):
        return tweedie_series(np.array([y]), np.array([phi]), p)[:, 0]

    found = series(phi, p)
    in_phi = central(lambda x: series(x, p), phi, 1e-3 * phi)
    in_p = central(lambda x: series(phi, x), p, 1e-3 * min(p - 1, 2 - p))
    expected = [in_phi[0], in_p[0], in_phi[1], in_phi[2], in_p[2]]
    np.testing.assert_allclose(found[1:], expected, rtol=1e-6, atol=1e-6)


def test_tweedie_series_is_zero_at_zero_and_takes_mixed_sizes():
    y = np.array([0.0, 1e4, 0.5, 30.0, 0.0, 1e-3])
    phi = np.linspace(0.01, 2, 6)
    together = tweedie_series(y, phi, 1.4)
    apart = [tweedie_series(y[[i]], phi[[i]], 1.4)[:, 0] for i in range(6)]
    np.testing.assert_allclose(together, np.transpose(apart), rtol=1e-12)
    assert (together[:, [0, 4]] == 0).all()


@pytest.fixture(scope="module")
def program():
    """One graph with every Op, its first and, where promised, second derivatives, and values for its inputs."""
    y, r, phi, p = pt.matrix("y"), pt.matrix("r"), pt.matrix("phi"), pt.scalar("p")
    rising, series, mass = log_rising(y, r), tweedie_normaliser(y, phi, p), log_sum_exp(r - 3)
    chosen = choose(pt.gt(r, 5), larger(y, 0.5), smaller(r, 2.0) * r)
    first = [derivative(rising, r), *pytensor.grad(series.sum(), [phi, p]), derivative(mass, r), derivative(chosen, r)]
    second = [derivative(first[0], r), derivative(first[1], phi), derivative(first[2], p), derivative(first[3], r)]
    outputs = [log_gamma(r), digamma(r), trigamma(r), rising, series, mass, chosen, *first, *second]
    rng = np.random.default_rng(5)
    values = [np.exp(rng.normal(0, 2, (30, 1))), np.exp(rng.normal(1, 4, (30, 1))), np.exp(rng.normal(size=(30, 1)))]
    values[0][:5] = 0
    values[0][5] = 1e4
    return ([y, r, phi, p], outputs), [*values, np.array(1.6)]


@pytest.mark.parametrize("backend", ["NUMBA", "JAX"])
def test_backends_agree(program, backend):
    if backend == "JAX":
        pytest.importorskip("jax")
    (inputs, outputs), values = program
    expected = evaluate(outputs, dict(zip(inputs, values, strict=True)))
    found = pytensor.function(inputs, outputs, mode=backend)(*values)
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-11, atol=1e-11)


def test_choice_in_c():
    x = pt.matrix("x")
    values = np.array([[-3.0, -1.0, 0.5, 4.0]])
    found = pytensor.function([x], choose(pt.gt(x, 0), pt.sqrt(x), larger(x, -2.0)), mode=Mode("cvm", "fast_run"))
    np.testing.assert_array_equal(found(values), [[-2, -1, np.sqrt(0.5), 2]])
