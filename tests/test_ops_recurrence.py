"""Recurrent cells over packed sequences: gradients, second derivatives, PyTorch, single sequences, backends."""

from functools import cache

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode

from reglm.ops import recurrence

PYTHON = Mode(linker="py", optimizer=None)
CELLS = {
    **{f"elman {f}": recurrence.elman(f) for f in recurrence.ACTIVATIONS},
    "leaky": recurrence.leaky(),
    "leaky relu": recurrence.leaky("relu"),
    "gru": recurrence.gru(),
    "gru reset after": recurrence.gru(reset_after=True),
    "lstm": recurrence.lstm(),
    **{f"lstm {v} peepholes": recurrence.lstm(v, peepholes=True) for v in recurrence.VARIANTS if v != "NP"},
}
LENGTHS = np.array([5, 3, 3, 1])
SIZES = np.array([4, 3, 3, 1, 1])
H = 3


def sizes_of(lengths):
    """Active sequences at each step; the lengths fall."""
    return np.array([int(np.sum(np.asarray(lengths) > t)) for t in range(max(lengths))])


def arguments(cell, sizes=SIZES, units=H, seed=0, dtype="float64"):
    """Random a, W, extras and initial states."""
    rng = np.random.default_rng(seed)
    shapes = [(int(np.sum(sizes)), len(cell.gates) * units), *cell.shapes(units).values()]
    shapes += [(int(sizes[0]), units)] * len(cell.states)
    return [rng.normal(scale=0.7, size=s).astype(dtype) for s in shapes]


def weights(sizes=SIZES, units=H, dtype="float64"):
    return np.random.default_rng(7).normal(size=(int(np.sum(sizes)), units)).astype(dtype)


def graph(cell, reverse, dtype="float64"):
    """Inputs; h, <w, h^2>, its gradients and a Hessian-vector product."""
    n_given = 1 + len(cell.shapes(1)) + len(cell.states)
    sizes, w = pt.lvector(), pt.matrix(dtype=dtype)
    given, direction = ([pt.matrix(dtype=dtype) for _ in range(n_given)] for _ in range(2))
    a, *rest = given
    h = recurrence.run(cell, a, sizes, *rest, reverse=reverse)
    value = (w * h * h).sum()
    gradients = pytensor.grad(value, given)
    along = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))
    second = pytensor.grad(along, given)
    return [sizes, w, *given, *direction], [h, value, *gradients, *second]


@cache
def program(cell, reverse, mode=PYTHON, dtype="float64"):
    return pytensor.function(*graph(cell, reverse, dtype), mode=mode)


def evaluate(cell, given, reverse=False, direction=None, sizes=SIZES, w=None, mode=PYTHON):
    """H, value, gradients, Hessian-vector product."""
    dtype, k = given[0].dtype, len(given)
    w = weights(sizes, given[1].shape[0], dtype) if w is None else w
    direction = direction or [np.zeros_like(x) for x in given]
    h, value, *rest = program(cell, reverse, mode, str(dtype))(np.asarray(sizes), w, *given, *direction)
    return h, float(value), rest[:k], rest[k:]


def moved(given, direction, step):
    return [x + step * d for x, d in zip(given, direction, strict=True)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_derivatives_equal_differences(name, reverse):
    cell, step = CELLS[name], 1e-5
    given, direction = arguments(cell), arguments(cell, seed=1)
    _, _, gradients, second = evaluate(cell, given, reverse, direction)
    ends = [evaluate(cell, moved(given, direction, s), reverse) for s in (step, -step)]
    slope = sum(np.sum(g * d) for g, d in zip(gradients, direction, strict=True))
    np.testing.assert_allclose(slope, (ends[0][1] - ends[1][1]) / (2 * step), rtol=1e-7)
    for found, up, down in zip(second, ends[0][2], ends[1][2], strict=True):
        difference = (up - down) / (2 * step)
        np.testing.assert_allclose(found, difference, rtol=1e-6, atol=1e-7 * np.abs(difference).max())


@pytest.mark.parametrize("name", CELLS)
def test_every_gradient_equals_differences(name):
    cell = CELLS[name]
    given = arguments(cell)
    w = weights()

    def function(*free):
        h = recurrence.run(cell, free[0], pt.constant(SIZES), *free[1:])
        return (pt.constant(w) * h * h).sum()

    pytensor.gradient.verify_grad(function, given, rng=np.random.default_rng(0), mode=PYTHON)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_sequences_are_run_alone(name, reverse):
    """Packed sequences equal each one alone, and reverse=True the sequences turned round."""
    cell = CELLS[name]
    a, *parameters = arguments(cell)
    states = parameters[-len(cell.states) :]
    parameters = parameters[: -len(cell.states)]
    h = evaluate(cell, [a, *parameters, *states], reverse)[0]
    first = np.concatenate([[0], np.cumsum(SIZES)[:-1]])
    for s, length in enumerate(LENGTHS):
        rows = first[:length] + s
        turn = slice(None, None, -1) if reverse else slice(None)
        alone = [a[rows][turn], *parameters, *(x[s : s + 1] for x in states)]
        np.testing.assert_allclose(evaluate(cell, alone, sizes=np.ones(length, int))[0][turn], h[rows], rtol=1e-12)
