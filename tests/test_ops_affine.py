"""The affine maps, gathers and joins: values, gradients, backends, shapes, stacks of draws."""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import JAX, NUMBA, Mode
from pytensor.graph.replace import vectorize_graph
from scipy.sparse import csr_array

from reglm import ops

BACKENDS = ("python", "numba", "c", *(["jax"] if find_spec("jax") else []))
RNG = np.random.default_rng(20)


@dataclass
class Case:
    """One function: symbolic and NumPy forms, arguments, and which of them have gradients."""

    form: callable
    reference: callable
    arguments: tuple
    differentiable: tuple


def normal(*shape):
    return RNG.normal(size=shape)


def csr(n, p):
    """Arrays of a sparse matrix with an empty row and a repeated entry left in."""
    indptr = np.array([0, 2, 2, *range(4, 4 + n - 2)], dtype=np.int32)
    indices = RNG.integers(0, p, indptr[-1]).astype(np.int32)
    return normal(indptr[-1]), indices, indptr


def dense(data, indices, indptr, p):
    return csr_array((data, indices, indptr), shape=(len(indptr) - 1, p)).toarray()


def rows_of(codes, table):
    rows = [[table[c] if c >= 0 else np.zeros(table.shape[1]) for c in row] for row in codes]
    return np.array(rows).reshape(*codes.shape, table.shape[1])


def above_diagonal(entries):
    W = np.zeros((4, 4))
    W[np.triu_indices(4, 1)] = entries
    return W


S = csr(6, 4)
CODES = np.array([[0, 3], [2, -1], [-1, 4], [4, 3], [0, 0]])
CASES = {
    "affine": Case(ops.affine, lambda h, W, b: h @ W + b, (normal(6, 4), normal(4, 3), normal(3)), (0, 1, 2)),
    "affine, no bias": Case(ops.affine, lambda h, W: h @ W, (normal(6, 4), normal(4, 3)), (0, 1)),
    "affine to one column": Case(
        ops.affine, lambda h, W, b: h @ W + b, (normal(300, 2), normal(2, 1), normal(1)), (1, 2)
    ),
    "affine_inputs": Case(ops.affine_inputs, lambda d, W: d @ W.T, (normal(6, 3), normal(4, 3)), (0, 1)),
    "affine_weights": Case(
        lambda h, d: ops.affine_weights(h, d)[0], lambda h, d: h.T @ d, (normal(6, 4), normal(6, 3)), (0, 1)
    ),
    "column sums": Case(
        lambda h, d: ops.affine_weights(h, d)[1], lambda h, d: d.sum(axis=0), (normal(70, 4), normal(70, 3)), (1,)
    ),
    "sparse_affine": Case(
        ops.sparse_affine, lambda *a: dense(*a[:3], 4) @ a[3] + a[4], (*S, normal(4, 3), normal(3)), (3, 4)
    ),
    "sparse_affine, no bias": Case(ops.sparse_affine, lambda *a: dense(*a[:3], 4) @ a[3], (*S, normal(4, 3)), (3,)),
    "take": Case(ops.take, lambda X, c: X[:, c], (normal(6, 4), np.array([2, 0, 2])), (0,)),
    "lookup": Case(ops.lookup, lambda c, T: rows_of(c, T).reshape(len(c), -1), (CODES, normal(5, 3)), (1,)),
    "lookup, pooled": Case(
        lambda c, T: ops.lookup(c, T, pool=True), lambda c, T: rows_of(c, T).sum(axis=1), (CODES, normal(5, 3)), (1,)
    ),
    "triangle": Case(ops.triangle, above_diagonal, (normal(6),), (0,)),
    "beside": Case(ops.beside, lambda A, B: np.hstack([A, B]), (normal(6, 4), normal(6, 2)), (0, 1)),
}


def mode(backend):
    linkers = {"python": "py", "c": "cvm"}
    return (
        Mode(linker=linkers[backend], optimizer=None) if backend in linkers else {"numba": NUMBA, "jax": JAX}[backend]
    )


def of_dtype(arguments, dtype):
    return [a.astype(dtype) if a.dtype.kind == "f" else a for a in arguments]


def variables(arguments):
    return [pt.tensor(dtype=a.dtype, shape=(None,) * a.ndim) for a in arguments]


@cache
def results(backend, dtype="float64"):
    """Value and gradients along a random direction for every case, from one program of nothing but these Ops."""
    inputs, outputs, arguments = [], [], []
    for case in CASES.values():
        own = variables(of_dtype(case.arguments, dtype))
        out = case.form(*own)
        direction = np.random.default_rng(1).normal(size=case.reference(*case.arguments).shape).astype(dtype)
        along = pt.tensor(dtype=dtype, shape=(None,) * direction.ndim)
        outputs += [out, *pytensor.grad(None, [own[i] for i in case.differentiable], known_grads={out: along})]
        inputs += [*own, along]
        arguments += [*of_dtype(case.arguments, dtype), direction]
    compiled = pytensor.function(inputs, outputs, mode=mode(backend), on_unused_input="ignore")
    found = iter(compiled(*arguments))
    return {name: [np.asarray(next(found)) for _ in range(1 + len(c.differentiable))] for name, c in CASES.items()}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_values(name, dtype):
    case, found = CASES[name], results("python", dtype)[name]
    assert all(a.dtype == dtype for a in found)
    tolerance = {"rtol": 1e-13} if dtype == "float64" else {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(found[0], case.reference(*case.arguments), **tolerance)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_backends_agree(backend, dtype):
    tolerance = {"rtol": 1e-12, "atol": 1e-12} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-5}
    for name, expected in results("python", dtype).items():
        for found, value in zip(results(backend, dtype)[name], expected, strict=True):
            assert found.dtype == dtype
            np.testing.assert_allclose(found, value, **tolerance, err_msg=name)


@pytest.mark.parametrize("name", CASES)
def test_first_and_second_derivatives_equal_differences(name):
    case = CASES[name]
    fixed = {i: pt.constant(a) for i, a in enumerate(case.arguments) if i not in case.differentiable}

    def function(*free):
        free = iter(free)
        return case.form(*(fixed[i] if i in fixed else next(free) for i in range(len(case.arguments))))

    def gradient_norm(*free):
        out = function(*free)
        return sum((g * g).sum() for g in pytensor.grad((out**3).sum(), list(free)))

    points = [case.arguments[i] for i in case.differentiable]
    python = mode("python")
    pytensor.gradient.verify_grad(function, points, rng=np.random.default_rng(0), mode=python)
    if name != "affine to one column":  # its hundreds of rows make differences of cubes coarse
        pytensor.gradient.verify_grad(gradient_norm, points, rng=np.random.default_rng(0), mode=python)


@pytest.mark.parametrize("name", CASES)
def test_static_and_inferred_shapes(name):
    case = CASES[name]
    known = [pt.tensor(dtype=a.dtype, shape=a.shape) for a in case.arguments]
    truth = case.reference(*case.arguments).shape
    static = case.form(*known).type.shape
    assert all(s in (None, t) for s, t in zip(static, truth, strict=True))
    inputs = variables(case.arguments)
    shape = pytensor.function(inputs, case.form(*inputs).shape, mode=Mode(linker="py"), on_unused_input="ignore")
    assert tuple(shape(*case.arguments)) == truth
    operations = {type(node.op).__name__ for node in shape.maker.fgraph.apply_nodes}
    assert not operations & {"Affine", "AffineInputs", "AffineWeights", "SparseAffine", "Take", "Lookup", "Beside"}


# Which arguments carry draws: all of them, or the parameters with shared rows, as in posterior predictions.
DRAWN = {
    "affine": ((0, 1, 2), (1, 2)),
    "affine, no bias": ((0, 1),),
    "affine_inputs": ((0, 1),),
    "affine_weights": ((0, 1),),
    "column sums": ((0, 1),),
    "beside": ((0, 1),),
    "take": ((0,),),
    "lookup": ((1,),),
    "lookup, pooled": ((1,),),
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_stacks_of_draws(backend):
    inputs, outputs, arguments, expected = [], [], [], []
    for case, drawn in ((CASES[name], drawn) for name, choices in DRAWN.items() for drawn in choices):
        own = variables(case.arguments)
        stacked = {own[i]: pt.tensor(dtype="float64", shape=(None, *own[i].type.shape)) for i in drawn}
        outputs.append(vectorize_graph(case.form(*own), stacked))
        inputs += [stacked.get(x, x) for x in own]
        draws = [np.stack([a, 2 * a, a - 1]) if i in drawn else a for i, a in enumerate(case.arguments)]
        arguments += draws
        one_by_one = ([d[s] if i in drawn else d for i, d in enumerate(draws)] for s in range(3))
        expected.append(np.array([case.reference(*a) for a in one_by_one]))
    found = pytensor.function(inputs, outputs, mode=mode(backend), on_unused_input="ignore")(*arguments)
    for out, true in zip(found, expected, strict=True):
        np.testing.assert_allclose(out, true, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", ["python", "numba"])
@pytest.mark.parametrize("shape", [(0, 3, 2), (4, 0, 2), (4, 3, 0), (1, 1, 1), (129, 130, 131)])
def test_affine_of_any_size(backend, shape):
    n, p, k = shape
    rng = np.random.default_rng(3)
    h, W, b, d = rng.normal(size=(n, p)), rng.normal(size=(p, k)), rng.normal(size=k), rng.normal(size=(n, k))
    out, dh, dW, db = sizes_program(backend)(h, W, b, d)
    np.testing.assert_allclose(out, h @ W + b, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dh, d @ W.T, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dW, h.T @ d, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(db, d.sum(axis=0), rtol=1e-12, atol=1e-12)


@cache
def sizes_program(backend):
    h, W, b, d = inputs = [pt.matrix(), pt.matrix(), pt.vector(), pt.matrix()]
    out = ops.affine(h, W, b)
    return pytensor.function(inputs, [out, *pytensor.grad((d * out).sum(), [h, W, b])], mode=mode(backend))


@pytest.mark.parametrize("backend", ["python", "numba"])
def test_any_order_of_memory(backend):
    h, W, b, d = normal(8, 12), normal(6, 10), normal(10), normal(4, 5)
    for arrays in (
        (h[::2, ::2], W[:, ::2], b[::2], d),
        tuple(np.asfortranarray(a) for a in (h, W.repeat(2, 0), b, normal(8, 10))),
    ):
        h_, W_, b_, d_ = arrays
        out, dh, dW, db = sizes_program(backend)(*arrays)
        np.testing.assert_allclose(out, h_ @ W_ + b_, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(dh, d_ @ W_.T, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(dW, h_.T @ d_, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(db, d_.sum(axis=0), rtol=1e-12, atol=1e-12)


def test_gradient_of_the_data_is_not_computed_unasked():
    h, W, b = pt.matrix(), pt.matrix(), pt.vector()
    gradients = pytensor.grad(ops.tanh(ops.affine(h, W, b)).sum(), [W, b])
    operations = {type(v.owner.op).__name__ for v in pytensor.graph.traversal.ancestors(gradients) if v.owner}
    assert "AffineInputs" not in operations


def test_mixed_precision_is_refused():
    with pytest.raises(TypeError, match=r"affine needs arguments of one dtype.*cast them"):
        ops.affine(pt.matrix(dtype="float32"), pt.matrix(dtype="float64"))
    with pytest.raises(TypeError, match="float32 or float64"):
        ops.affine(pt.lmatrix(), pt.lmatrix())
