"""Recurrent cells: Numba and JAX against NumPy, values and first and second derivatives."""

from functools import cache
from importlib.util import find_spec

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import JAX, NUMBA, Mode
from test_ops_recurrence import CELLS, SIZES, arguments, weights

from reglm.ops import recurrence
from reglm.ops.recurrence.omega import Predecessors

MODES = {"python": Mode(linker="py", optimizer=None), "numba": NUMBA, "jax": JAX}
# Numba compiles each for seconds. The variants of the LSTM differ in formulas that NumPy's passes share.
FIRST = {"gru": False, "leaky": True, "lstm FGR peepholes": False}


@cache
def results(backend, names, order, dtype="float64"):
    """H, gradients of <w, h^2> and of its slope along a direction, of several cells in one program."""
    inputs, outputs, values = [], [], []
    for name, reverse in names:
        cell, w = CELLS[name], pt.constant(weights(dtype=dtype))
        points = arguments(cell, dtype=dtype)
        given = [pt.matrix(dtype=dtype) for _ in points]
        h = recurrence.run(cell, given[0], pt.constant(SIZES), *given[1:], reverse=reverse)
        found = pytensor.grad((w * h * h).sum(), given)
        if order == 2:
            directions = arguments(cell, seed=1, dtype=dtype)
            slope = sum((g * pt.constant(d)).sum() for g, d in zip(found, directions, strict=True))
            found = pytensor.grad(slope, given)
        inputs += given
        outputs += [h, *found]
        values += points
    return [np.asarray(x) for x in pytensor.function(inputs, outputs, mode=MODES[backend])(*values)]


def agree(backend, names, order, dtype="float64"):
    names = tuple(names.items())
    for found, true in zip(results(backend, names, order, dtype), results("python", names, order, dtype), strict=True):
        assert found.dtype == dtype
        scale = np.abs(true).max() * (1e-12 if dtype == "float64" else 1e-4)
        np.testing.assert_allclose(found, true, rtol=0, atol=scale)


def test_numba_gives_what_numpy_gives():
    agree("numba", FIRST, 1)


def test_numba_in_single_precision():
    agree("numba", {"lstm": False}, 1, "float32")


def test_numba_gives_second_derivatives():
    agree("numba", {"leaky": True}, 2)


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_jax_gives_what_numpy_gives():
    agree("jax", {**FIRST, "gru reset after": True, "lstm CIFG peepholes": True, "elman relu": False}, 1)
    agree("jax", {"lstm": True}, 2)


@pytest.mark.parametrize("backend", ["numba", *(["jax"] if find_spec("jax") else [])])
def test_predecessors(backend):
    """The rows that `omega` compares; all else in it is made of other Ops."""
    h = pt.matrix()
    rows = [Predecessors(reverse)(pt.constant(SIZES), h) for reverse in (False, True)]
    found, true = (pytensor.function([h], rows, mode=MODES[m])(weights()) for m in (backend, "python"))
    np.testing.assert_array_equal(found, true)
