"""The activations: against a table of many digits, at their limits, across backends, and their derivatives."""

import csv
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import JAX, NUMBA, Mode

from reglm import ops

INF, NAN = np.inf, np.nan
NAMES = (
    "exp",
    "expm1",
    "log1p",
    "tanh",
    "sigmoid",
    "softplus",
    "erf",
    "ndtr",
    "log_ndtr",
    "inverse_mills",
    "gelu",
    "log1mexp",
)
LIMITS = {  # at minus infinity, at plus infinity
    "exp": (0, INF),
    "expm1": (-1, INF),
    "log1p": (NAN, INF),
    "tanh": (-1, 1),
    "sigmoid": (0, 1),
    "softplus": (0, INF),
    "erf": (-1, 1),
    "ndtr": (0, 1),
    "log_ndtr": (-INF, 0),
    "inverse_mills": (INF, 0),
    "gelu": (0, INF),
    "log1mexp": (NAN, 0),
}
COMPILED = ("numba", "c", *(["jax"] if find_spec("jax") else []))
BACKENDS = ("python", *COMPILED)
# Table of correctly rounded values, computed with mpmath 1.3 at 800 digits. Its arguments are float32 numbers.
TABLE = Path(__file__).with_name("ops_references.csv")


def mode(backend):
    interpreted = {"python": lambda: Mode(linker="py", optimizer=None), "c": lambda: Mode(linker="cvm", optimizer=None)}
    return interpreted[backend]() if backend in interpreted else {"numba": NUMBA, "jax": JAX}[backend]


def derivatives(name, x):
    y = getattr(ops, name)(x)
    first = pytensor.grad(y.sum(), x)
    return y, first, pytensor.grad(first.sum(), x)


@cache
def compiled(backend, dtype, order=0):
    """One program for all functions (order 0) or for their first two derivatives (order 2)."""
    x = pt.matrix("x", dtype=dtype)
    outputs = [d for name in NAMES for d in derivatives(name, x)[: order + 1]]
    return pytensor.function([x], outputs, mode=mode(backend))


def values(backend, x, order=0):
    """Values by name, each (order + 1, n) or (n,), at a vector of points."""
    x = np.asarray(x)
    outputs = np.array([np.asarray(o)[:, 0] for o in compiled(backend, str(x.dtype), order)(x[:, None])])
    outputs = outputs.reshape(len(NAMES), order + 1, x.size)
    return {name: o if order else o[0] for name, o in zip(NAMES, outputs, strict=True)}


def references(name):
    with TABLE.open() as file:
        rows = [(float(row["x"]), float(row[name])) for row in csv.DictReader(file) if row[name]]
    return np.array(rows).T


def units_off(found, true, dtype):
    """Distance in units in the last place of the true value."""
    true = true.astype(dtype)
    with np.errstate(invalid="ignore"):
        off = np.abs(found.astype(float) - true.astype(float)) / np.spacing(np.abs(true)).astype(float)
    return np.where(found == true, 0, off)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_numba_forms_are_right_to_a_few_units_in_the_last_place(name, dtype):
    x, true = references(name)
    off = units_off(values("numba", x.astype(dtype))[name], true, dtype)
    # Below the normal range a factor, Phi in x Phi(x), has lost digits before it is multiplied.
    off[np.abs(true) < np.finfo(dtype).tiny] /= 40
    assert off.max() <= 5, f"{off.max():.1f} units off at {x[off.argmax()]}"


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("backend", sorted(set(BACKENDS) - {"numba"}))
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_other_backends_agree_with_the_table(backend, dtype):
    # The libraries behind them flush results below the normal range to zero.
    rtol, tiny = {"float64": (1e-13, 1e-307), "float32": (2e-5, 1e-37)}[dtype]
    for name in NAMES:
        x, true = references(name)
        np.testing.assert_allclose(values(backend, x.astype(dtype))[name], true.astype(dtype), rtol, tiny, err_msg=name)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_limits_and_missing_values(backend, dtype):
    found = values(backend, np.array([-INF, INF, NAN, 0.0], dtype))
    for name in NAMES:
        np.testing.assert_array_equal(found[name][:3], [*LIMITS[name], NAN], err_msg=name)
        assert found[name].dtype == dtype
    assert found["exp"][3] == 1
    assert found["tanh"][3] == 0


@pytest.mark.parametrize("backend", sorted(set(COMPILED) - {"c"}))
def test_compiled_derivatives_equal_interpreted_ones(backend):
    x = np.concatenate([np.linspace(0.01, 6, 60), [12.0, 30.0, 37.5]])
    x = np.concatenate([-x, x])
    found, expected = values(backend, x, order=1), values("python", x, order=1)
    for name in NAMES:
        valid = x > {"log1mexp": 0, "log1p": -1}.get(name, -INF)
        # x + y in the derivative of the inverse Mills ratio y cancels; that amplifies rounding by x^2.
        np.testing.assert_allclose(
            found[name][:, valid], expected[name][:, valid], rtol=1e-12, atol=1e-12, err_msg=name
        )


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_equal_differences(name):
    x = np.array([0.04, 0.3, 0.62, 0.9, 1.7, 3.1, 4.4])
    x = x if name == "log1mexp" else np.concatenate([-x[:4] if name == "log1p" else -x, x])
    h = 1e-5 * np.minimum(np.abs(x), 1)
    up, here, down = (values("python", v, order=2)[name] for v in (x + h, x, x - h))
    np.testing.assert_allclose(here[1:], (up - down)[:2] / (2 * h), rtol=1e-7, atol=1e-9)


def test_derivatives_are_numbers_far_out():
    x = np.array([1e-300, 1e-9, 30.0, 300.0, 700.0, 1e5, 1e13])
    for name, found in values("python", np.concatenate([-x, x]), order=2).items():
        found = found[:, len(x) :] if name in ("log1mexp", "log1p") else found
        assert not np.isnan(found).any(), name


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_keep_the_precision(name):
    x = pt.matrix(dtype="float32")
    assert {d.dtype for d in derivatives(name, x)} == {"float32"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_shape_and_order_of_memory(backend):
    a = np.linspace(-2, 2, 24).reshape(2, 3, 4)
    for array in (a, a.transpose(2, 0, 1), a[:, ::2], a[0], a[0, :0], np.array(0.5), np.arange(3)):
        x = pt.tensor(dtype=array.dtype, shape=(None,) * array.ndim)
        found = pytensor.function([x], ops.tanh(x), mode=mode(backend))(array)
        assert found.dtype == "float64"
        np.testing.assert_allclose(found, np.tanh(array), rtol=1e-15, atol=0)


def test_arguments_are_left_alone():
    x = pt.matrix()
    run = pytensor.function([x], [ops.exp(ops.tanh(x)), x.sum()], mode=NUMBA)
    a = np.linspace(-1, 1, 6).reshape(2, 3)
    before = a.copy()
    np.testing.assert_allclose(run(a)[0], np.exp(np.tanh(before)), rtol=1e-14)
    np.testing.assert_array_equal(a, before)
    strided = pytensor.function([x], ops.tanh(x.T * 2)[::2].T, mode=NUMBA)
    np.testing.assert_allclose(strided(a), np.tanh(2 * before)[:, ::2], rtol=1e-15)


def test_jax_may_differentiate_the_forms_itself():
    jax = pytest.importorskip("jax")
    from reglm.ops import jax_forms

    x = np.array([1e-18, 0.0, 0.4, 3.0, 40.0])
    x = np.concatenate([-x, x])
    expected = values("python", x, order=1)
    for op_type, form in jax_forms.FORMS.items():
        name = next(name for name in NAMES if type(getattr(ops, name).scalar_op) is op_type)
        valid = x > {"log1mexp": 0, "log1p": -1}.get(name, -INF)
        found = jax.vmap(jax.grad(form))(jax.numpy.asarray(x))
        np.testing.assert_allclose(found[valid], expected[name][1, valid], rtol=1e-12, atol=1e-12, err_msg=name)
