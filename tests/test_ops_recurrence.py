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
DTYPES = ("float64", "float32")
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


def test_one_row_and_one_step():
    """T = 1: the cell applied once; with one sequence and one unit as well."""
    cell = recurrence.elman()
    for sizes, units in (([3], 2), ([1], 1)):
        a, W, h0 = given = arguments(cell, sizes, units)
        np.testing.assert_allclose(evaluate(cell, given, sizes=sizes)[0], np.tanh(a + h0 @ W), rtol=1e-14)


@pytest.mark.parametrize("name", ["elman tanh", "leaky relu", "gru", "lstm CIFG peepholes"])
def test_single_precision(name):
    cell = CELLS[name]
    double, single = (
        evaluate(cell, arguments(cell, dtype=d), direction=arguments(cell, seed=1, dtype=d)) for d in DTYPES
    )
    for x, y in zip([double[0], *double[2], *double[3]], [single[0], *single[2], *single[3]], strict=True):
        assert y.dtype == "float32"
        np.testing.assert_allclose(y, x, rtol=1e-4, atol=1e-4 * np.abs(x).max())


def flow_program(cell, given, reverse, w):
    """Program of dL/dh_t, the derivative of h along a direction, omega and its gradients."""
    given_ = [pt.matrix() for _ in given]
    h = recurrence.run(cell, given_[0], pt.constant(SIZES), *given_[1:], reverse=reverse)
    value = (w * h * h).sum()
    g = pytensor.grad(value, h)
    total = recurrence.flow(h, g)
    direction = [pt.matrix() for _ in given]
    omega = recurrence.omega(h, g)
    return pytensor.function(
        [*given_, *direction],
        [total, recurrence.tangent(h, direction), omega, *pytensor.grad(omega, given_)],
        mode=PYTHON,
    )


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", ["elman tanh", "leaky", "gru", "gru reset after", "lstm FGR peepholes"])
def test_flow_tangent_and_omega(name, reverse):
    cell, w, step = CELLS[name], weights(), 1e-5
    given, direction = arguments(cell), arguments(cell, seed=1)
    found = flow_program(cell, given, reverse, w)
    total, tangent, _, *slopes = found(*given, *direction)
    ends = [moved(given, direction, s) for s in (step, -step)]
    up, down = (evaluate(cell, x, reverse)[0] for x in ends)
    np.testing.assert_allclose(tangent, (up - down) / (2 * step), rtol=1e-6, atol=1e-8)
    h = evaluate(cell, given, reverse)[0]
    rows = np.concatenate([np.arange(m) for m in SIZES]) == 0
    chain = np.flatnonzero(rows)[:: -1 if reverse else 1]
    # The longest sequence: nothing comes after its last row.
    np.testing.assert_allclose(total[chain[-1]], 2 * w[chain[-1]] * h[chain[-1]], rtol=1e-12)
    up, down = (found(*x, *direction)[2] for x in ends)
    slope = sum(np.sum(s * d) for s, d in zip(slopes, direction, strict=True))
    np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
def test_flow_and_omega_of_a_simple_cell_by_hand(reverse):
    """dL/dh_t = g_t + (dL/dh_(t+1) f'_(t+1)) W', row by row, and the ratios of the norms."""
    cell, w = recurrence.elman(), weights()
    given = arguments(cell)
    h = evaluate(cell, given, reverse)[0]
    total, _, omega, *_ = flow_program(cell, given, reverse, w)(*given, *given)
    expected, g, sum_of_squares = 2 * w * h, 2 * w * h, 0.0
    first = np.concatenate([[0], np.cumsum(SIZES)[:-1]])
    for s, length in enumerate(LENGTHS):
        chain = (first[:length] + s)[:: -1 if reverse else 1]
        for row, after in zip(chain[-2::-1], chain[:0:-1], strict=True):
            back = (expected[after] * (1 - h[after] ** 2)) @ given[1].T
            expected[row] = g[row] + back
            sum_of_squares += (np.linalg.norm(back) / np.linalg.norm(expected[after]) - 1) ** 2
    np.testing.assert_allclose(total, expected, rtol=1e-12)
    np.testing.assert_allclose(omega, sum_of_squares, rtol=1e-12)


def test_norms_that_are_kept_cost_nothing():
    """An orthogonal W with identity activation and a loss at the end alone: no step changes the norm."""
    W = np.linalg.qr(np.random.default_rng(2).normal(size=(H, H)))[0]
    a, h0, w = np.zeros((6, H)), np.ones((1, H)), np.zeros((6, H))
    w[-1] = 1.0
    found = pt.matrix()
    h = recurrence.run(
        recurrence.elman("identity"), pt.constant(a), pt.constant(np.ones(6, int)), found, pt.constant(h0)
    )
    omega = recurrence.omega(h, pytensor.grad((w * h).sum(), h))
    assert abs(pytensor.function([found], omega, mode=PYTHON)(W)) < 1e-28


def test_errors_say_what_is_wrong():
    x, sizes = pt.matrix(), pt.lvector()
    with pytest.raises(ValueError, match=r"activation='softmax'.*choose one of"):
        recurrence.elman("softmax")
    with pytest.raises(ValueError, match=r"variant='XYZ'.*choose one of"):
        recurrence.lstm("XYZ")
    with pytest.raises(TypeError, match=r"lstm cell takes .*'W', 'h0', 'c0'.*got 3"):
        recurrence.run(recurrence.lstm(), x, sizes, x, x)
    with pytest.raises(TypeError, match="sizes must be a vector of int64"):
        recurrence.run(recurrence.elman(), x, pt.vector(), x, x)
    with pytest.raises(TypeError, match="one dtype"):
        recurrence.run(recurrence.elman(), x, sizes, pt.matrix(dtype="float32"), x)
    with pytest.raises(TypeError, match=r"not the output of a recurrence"):
        recurrence.flow(x, x)
