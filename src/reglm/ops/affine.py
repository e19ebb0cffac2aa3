"""The affine map ``a = h W + b`` as one Op, and its gradients.

It is the atom of the package: every parametric layer is affine at shared positions, so this is where
per-example derivatives are read off. The three Ops are closed under differentiation:

* `Affine`: (h, W, b) -> h W + b
* `AffineInputs`: (d, W) -> d W', the gradient with respect to h
* `AffineWeights`: (h, d) -> h' d and the column sums of d, the gradient with respect to W and b

The gradient is two Ops, not one, so that a graph which needs no gradient of the data computes none.

In this and the other modules of Ops `infer_shape` takes ``*args``: PyTensor 2 passes the graph, the node and the
shapes of the inputs, PyTensor 3 the last two.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

Variable = Any  # PyTensor's TensorVariable
Shape = tuple[Any, ...]
Array = np.ndarray

SINGLE = 2**18
"""OpenBLAS runs products of up to this many multiplications on one thread, and short of packing its operands."""
BLOCK = 128
"""Short rows are added this many numbers at a time: an inner loop of ten does not vectorise."""


def same_dtype(name: str, *variables: Variable) -> list[Variable]:
    """Convert to tensors and check that all are floats of one precision.

    Raises
    ------
    TypeError
        If the dtypes differ or are not float32 or float64.
    """
    tensors = [pt.as_tensor(v) for v in variables]
    dtypes = [t.type.dtype for t in tensors]
    if len(set(dtypes)) > 1 or dtypes[0] not in ("float32", "float64"):
        raise TypeError(f"{name} needs arguments of one dtype, float32 or float64, got {dtypes}; cast them first.")
    return tensors


def connected(gradient: Variable, output: Variable) -> Variable:
    """Replace the gradient of an output that nothing depends on by zeros."""
    return output.zeros_like() if isinstance(gradient.type, DisconnectedType) else gradient


def rows_at_once(p: int, k: int) -> int:
    """Rows of a product with a p x k matrix that are taken together.

    Thin products are taken in pieces that stay in the cache while the bias is added. They would also gain little
    from threads, and lose much where other work keeps one of them waiting.
    """
    rows = SINGLE // max(p * k, 1)
    return rows if rows >= 256 else 2**62


def is_wide(p: int, k: int) -> bool:
    """Whether products with a p x k matrix are left to BLAS whole, which then uses its threads."""
    return SINGLE // max(p * k, 1) < 256


def pieces(n: int, p: int, k: int) -> Iterator[slice]:
    """Slices of n rows, `rows_at_once` each; one empty slice if there are none."""
    step = rows_at_once(p, k)
    return (slice(start, start + step) for start in range(0, max(n, 1), step))


def add_rows(a: Array, b: Array) -> None:
    """Add the vector b (k,) to every row of the contiguous matrix a (n, k), in place."""
    repeats = BLOCK // (b.size + 1) + 1
    whole = len(a) // repeats * repeats
    blocks = a[:whole].reshape(whole // repeats, repeats * b.size)
    blocks += np.concatenate([b] * repeats)
    a[whole:] += b


def column_sums(d: Array) -> Array:
    """Sum the rows of d (n, k) by BLAS, several times faster than NumPy's sum where k is small."""
    return np.ones(len(d), d.dtype) @ d


class Affine(Op):
    """``h @ W + b``, or ``h @ W`` with ``bias=False``."""

    __props__ = ("bias",)

    def __init__(self, bias: bool) -> None:
        self.bias = bias
        self.gufunc_signature = "(n,p),(p,k),(k)->(n,k)" if bias else "(n,p),(p,k)->(n,k)"

    def make_node(self, *inputs: Variable) -> Apply:
        """Accept (h, W, b) or (h, W)."""
        given = same_dtype("affine", *inputs)
        h, W = given[:2]
        return Apply(self, given, [pt.tensor(dtype=h.dtype, shape=(h.type.shape[0], W.type.shape[1]))])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        h, W, *b = inputs
        a = np.empty((len(h), W.shape[1]), h.dtype)
        for rows in pieces(len(h), *W.shape):
            np.matmul(h[rows], W, out=a[rows])
            if self.bias:
                add_rows(a[rows], b[0])
        outputs[0][0] = a

    def infer_shape(self, *args: Any) -> list[Shape]:
        """Rows of h, columns of W."""
        h, W = args[-1][:2]
        return [(h[0], W[1])]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Gradients with respect to h, W and b."""
        h, W = inputs[:2]
        (d,) = output_gradients
        weights = AffineWeights(self.bias)(h, d)
        return [affine_inputs(d, W), *(weights if self.bias else [weights])]

    pullback = L_op


class AffineInputs(Op):
    """``d @ W.T``."""

    __props__ = ()
    gufunc_signature = "(n,k),(p,k)->(n,p)"

    def make_node(self, d: Variable, W: Variable) -> Apply:
        """Accept d (n, k) and W (p, k)."""
        d, W = same_dtype("affine_inputs", d, W)
        return Apply(self, [d, W], [pt.tensor(dtype=d.dtype, shape=(d.type.shape[0], W.type.shape[0]))])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        d, W = inputs
        dh = np.empty((len(d), len(W)), d.dtype)
        for rows in pieces(len(d), *W.shape):
            np.matmul(d[rows], W.T, out=dh[rows])
        outputs[0][0] = dh

    def infer_shape(self, *args: Any) -> list[Shape]:
        """Rows of d, rows of W."""
        d, W = args[-1]
        return [(d[0], W[0])]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Gradients with respect to d and W."""
        d, W = inputs
        (e,) = output_gradients
        return [affine(e, W), AffineWeights(False)(e, d)]

    pullback = L_op


class AffineWeights(Op):
    """``h.T @ d`` and, with ``bias=True``, ``d.sum(axis=0)``."""

    __props__ = ("bias",)

    def __init__(self, bias: bool) -> None:
        self.bias = bias
        self.gufunc_signature = "(n,p),(n,k)->(p,k),(k)" if bias else "(n,p),(n,k)->(p,k)"

    def make_node(self, h: Variable, d: Variable) -> Apply:
        """Accept h (n, p) and d (n, k)."""
        h, d = same_dtype("affine_weights", h, d)
        p, k = h.type.shape[1], d.type.shape[1]
        outputs = [pt.tensor(dtype=h.dtype, shape=(p, k))]
        if self.bias:
            outputs.append(pt.tensor(dtype=h.dtype, shape=(k,)))
        return Apply(self, [h, d], outputs)

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        h, d = inputs
        first, *rest = (np.matmul(h[rows].T, d[rows]) for rows in pieces(len(d), h.shape[1], d.shape[1]))
        outputs[0][0] = sum(rest, first)
        if self.bias:
            outputs[1][0] = column_sums(d)

    def infer_shape(self, *args: Any) -> list[Shape]:
        """Columns of h by columns of d; columns of d."""
        (_, p), (_, k) = args[-1]
        return [(p, k), (k,)] if self.bias else [(p, k)]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Gradients with respect to h and d."""
        h, d = inputs
        G, *g = (connected(e, out) for e, out in zip(output_gradients, outputs, strict=True))
        return [affine_inputs(d, G), affine(h, G, *g)]

    pullback = L_op


def affine(h: Variable, W: Variable, b: Variable | None = None) -> Variable:
    """Return ``h @ W + b``.

    Parameters
    ----------
    h : matrix (n, p)
    W : matrix (p, k)
    b : vector (k,), optional
        None adds nothing.

    Returns
    -------
    matrix (n, k)

    Raises
    ------
    TypeError
        If the dtypes differ or are not float32 or float64.
    """
    return Affine(False)(h, W) if b is None else Affine(True)(h, W, b)


def affine_inputs(d: Variable, W: Variable) -> Variable:
    """Return ``d @ W.T`` for d (n, k) and W (p, k): what an affine map passes back to its inputs."""
    return AffineInputs()(d, W)


def affine_weights(h: Variable, d: Variable) -> list[Variable]:
    """Return ``h.T @ d`` (p, k) and ``d.sum(axis=0)`` (k,) for h (n, p) and d (n, k)."""
    return AffineWeights(True)(h, d)
