"""Recurrent cells: Numba and JAX against NumPy, values and first and second derivatives."""

from importlib.util import find_spec

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from test_ops_recurrence import CELLS, SIZES, arguments, weights

from reglm import compiling
from reglm.ops import recurrence
from reglm.ops.recurrence.omega import Predecessors

# Cell: direction, order of the derivatives. Each is compiled for seconds: there is one for each template, one of them
# in single precision, and for JAX, whose derivatives are made by JAX, one second derivative.
NUMBA = {"leaky": (True, 2), "lstm": (False, 1), "lstm FGR peepholes": (False, 1)}
SINGLE = {"gru": (False, 1)}
JAX = {**NUMBA, **SINGLE, "gru reset after": (False, 1), "elman relu": (False, 1)}
NEEDS_JAX = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")


def graph(cases, dtype):
    """H, gradients of <g, h> and their derivatives along a direction, of several cells; values of the inputs.

    The program holds nothing but the Ops that are tested.
    """
    inputs, outputs, values = [], [], []
    for name, (reverse, order) in cases.items():
        points, directions = (arguments(CELLS[name], seed=seed, dtype=dtype) for seed in (0, 1))
        given, g = [pt.matrix(dtype=dtype) for _ in points], pt.matrix(dtype=dtype)
        h = recurrence.run(CELLS[name], given[0], pt.constant(SIZES), *given[1:], reverse=reverse)
        found = pytensor.grad(None, given, known_grads={h: g})
        inputs += [*given, g]
        outputs += [h, *found]
        values += [*points, weights(dtype=dtype)]
        if order == 2:
            along = [pt.matrix(dtype=dtype) for _ in points]
            outputs += pytensor.grad(None, [*given, g], known_grads=dict(zip(found, along, strict=True)))
            inputs += along
            values += directions
    return compiling.Graph(inputs, outputs), values


def agree(backend, cases, dtype="float64"):
    made, values = graph(cases, dtype)
    compiled = compiling.function(lambda: made, ("test of recurrences", tuple(cases), dtype), backend)
    expected = compiling.Interpreted(made.inputs, made.outputs)(*values)
    for found, true in zip(compiled(*values), expected, strict=True):
        assert found.dtype == dtype
        scale = np.abs(true).max() * (1e-12 if dtype == "float64" else 1e-4)
        np.testing.assert_allclose(found, true, rtol=0, atol=scale)


def test_numba_gives_what_numpy_gives():
    agree("numba", NUMBA)


def test_numba_in_single_precision():
    agree("numba", SINGLE, "float32")


@NEEDS_JAX
def test_jax_gives_what_numpy_gives():
    agree("jax", JAX)


@pytest.mark.parametrize("backend", ["numba", pytest.param("jax", marks=NEEDS_JAX)])
def test_predecessors(backend):
    """The rows that `omega` compares; all else in it is made of other Ops."""
    h = pt.matrix()
    made = compiling.Graph([h], [Predecessors(reverse)(pt.constant(SIZES), h) for reverse in (False, True)])
    found = compiling.function(lambda: made, "test of predecessors", backend)(weights())
    np.testing.assert_array_equal(found, compiling.Interpreted(made.inputs, made.outputs)(weights()))
