"""Columns of a design by number, and rows of an embedding table by code.

PyTensor's indexing covers both, but the gradient of its indexing costs seconds of compile time. The
gradients here are plain loops that add into zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from reglm.ops.affine import Variable, same_dtype


class Take(Op):
    """``X[:, columns]``."""

    __props__ = ()
    gufunc_signature = "(n,p),(c)->(n,c)"

    def make_node(self, X: Variable, columns: Variable) -> Apply:
        """Accept X (n, p) and columns (c,)."""
        (X,) = same_dtype("take", X)
        columns = pt.as_tensor(columns)
        return Apply(self, [X, columns], [pt.tensor(dtype=X.dtype, shape=(X.type.shape[0], columns.type.shape[0]))])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        outputs[0][0] = inputs[0].take(inputs[1], axis=1)

    def infer_shape(self, *args: Any) -> list:
        """Rows of X, one column per entry of columns."""
        X, columns = args[-1]
        return [(X[0], columns[0])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Column numbers have no gradient."""
        return [[True], [False]]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Gradient with respect to X."""
        X, columns = inputs
        return [TakeGradient()(output_gradients[0], columns, X.shape[1]), DisconnectedType()()]

    pullback = L_op


class TakeGradient(Op):
    """Zeros (n, p) with column j of d added to column ``columns[j]``."""

    __props__ = ()
    gufunc_signature = "(n,c),(c),()->(n,p)"

    def make_node(self, d: Variable, columns: Variable, p: Variable) -> Apply:
        """Accept d (n, c), columns (c,) and the number of columns p."""
        inputs = [d, columns, pt.as_tensor(p)]
        return Apply(self, inputs, [pt.tensor(dtype=d.dtype, shape=(d.type.shape[0], None))])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        d, columns, p = inputs
        out = np.zeros((len(d), int(p)), d.dtype)
        for j, column in enumerate(columns):
            out[:, column] += d[:, j]
        outputs[0][0] = out

    def infer_shape(self, *args: Any) -> list:
        """Rows of d, p columns."""
        node, shapes = args[-2:]
        return [(shapes[0][0], node.inputs[2])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only d has a gradient."""
        return [[True], [False], [False]]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Gradient with respect to d."""
        return [take(output_gradients[0], inputs[1]), DisconnectedType()(), DisconnectedType()()]

    pullback = L_op


class TableRows(Op):
    """Rows of a stacked table from level numbers; -1 for numbers that are no level."""

    __props__ = ()
    gufunc_signature = "(n,c),(o,c),(o,c)->(n,c)"

    def make_node(self, levels: Variable, first: Variable, counts: Variable) -> Apply:
        """Accept level numbers (n, C), and the first row and number of levels of each column, (1, C)."""
        inputs = [pt.as_tensor(v) for v in (levels, first, counts)]
        return Apply(self, inputs, [pt.tensor(dtype="int64", shape=inputs[0].type.shape)])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        levels, first, counts = inputs
        codes = levels.astype("int64")
        outputs[0][0] = np.where((codes >= 0) & (codes < counts), codes + first, -1)

    def infer_shape(self, *args: Any) -> list:
        """Shape of the level numbers."""
        return [args[-1][0]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Nothing has a gradient."""
        return [[False], [False], [False]]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """No gradient."""
        return [DisconnectedType()() for _ in inputs]

    pullback = L_op


class Lookup(Op):
    """Rows of a table by code, side by side or, pooled, added up."""

    __props__ = ("pool",)

    def __init__(self, pool: bool) -> None:
        self.pool = pool
        self.gufunc_signature = "(n,c),(l,d)->(n,d)" if pool else "(n,c),(l,d)->(n,e)"

    def make_node(self, codes: Variable, table: Variable) -> Apply:
        """Accept codes (n, C) and table (L, d)."""
        (table,) = same_dtype("lookup", table)
        codes = pt.as_tensor(codes)
        C, d = codes.type.shape[1], table.type.shape[1]
        width = d if self.pool else None if C is None or d is None else C * d
        return Apply(self, [codes, table], [pt.tensor(dtype=table.dtype, shape=(codes.type.shape[0], width))])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        codes, table = inputs
        n, C = codes.shape
        rows = table.take(np.maximum(codes, 0), axis=0) if len(table) else np.zeros((n, C, table.shape[1]), table.dtype)
        rows[codes < 0] = 0
        outputs[0][0] = rows.sum(axis=1) if self.pool else rows.reshape(n, C * table.shape[1])

    def infer_shape(self, *args: Any) -> list:
        """Rows of codes; columns of the table, once a column of codes unless pooled."""
        codes, table = args[-1]
        return [(codes[0], table[1] if self.pool else codes[1] * table[1])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Codes have no gradient."""
        return [[False], [True]]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Gradient with respect to the table."""
        codes, table = inputs
        return [DisconnectedType()(), LookupGradient(self.pool)(codes, output_gradients[0], table)]

    pullback = L_op


class LookupGradient(Op):
    """Zeros (L, d) with the gradient of each row added to the table rows it was read from."""

    __props__ = ("pool",)

    def __init__(self, pool: bool) -> None:
        self.pool = pool
        self.gufunc_signature = "(n,c),(n,e),(l,d)->(l,d)"

    def make_node(self, codes: Variable, gradient: Variable, table: Variable) -> Apply:
        """Accept codes (n, C), gradient (n, C d) or (n, d), and the table, for its shape."""
        return Apply(self, [codes, gradient, table], [table.type()])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        codes, gradient, table = inputs
        n, C = codes.shape
        blocks = gradient[:, None, :] if self.pool else gradient.reshape(n, C, table.shape[1])
        blocks = np.broadcast_to(blocks, (n, C, table.shape[1]))
        known = codes >= 0
        index = (codes[known][:, None] * table.shape[1] + np.arange(table.shape[1])).ravel()
        summed = np.bincount(index, weights=blocks[known].ravel(), minlength=table.size)
        outputs[0][0] = summed.reshape(table.shape).astype(gradient.dtype, copy=False)

    def infer_shape(self, *args: Any) -> list:
        """Shape of the table."""
        return [args[-1][2]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only the gradient has a gradient."""
        return [[False], [True], [False]]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Gradient with respect to the incoming gradient."""
        return [DisconnectedType()(), Lookup(self.pool)(inputs[0], output_gradients[0]), DisconnectedType()()]

    pullback = L_op


def take(X: Variable, columns: Variable) -> Variable:
    """Return ``X[:, columns]``; the gradient of a repeated column is summed.

    Parameters
    ----------
    X : matrix (n, p)
    columns : integer vector (c,)
        From 0 to p - 1, not checked.

    Returns
    -------
    matrix (n, c)
    """
    return Take()(X, columns)


def table_rows(levels: Variable, first: Variable, counts: Variable) -> Variable:
    """Return row numbers of a stacked table, for `lookup`.

    Parameters
    ----------
    levels : matrix (n, C)
        Level numbers 0, 1, ..., as floats or integers; others give -1.
    first, counts : integer matrices (1, C)
        First table row and number of levels of each column.

    Returns
    -------
    integer matrix (n, C)
    """
    return TableRows()(levels, first, counts)


def lookup(codes: Variable, table: Variable, pool: bool = False) -> Variable:
    """Return the table rows named by the codes of each observation, side by side.

    Parameters
    ----------
    codes : integer matrix (n, C)
        Row numbers of `table`, not checked; -1 reads zeros.
    table : matrix (L, d)
        Embeddings of all categorical columns, stacked.
    pool : bool
        Add the rows of an observation up.

    Returns
    -------
    matrix (n, C d), pooled (n, d)
    """
    return Lookup(pool)(codes, table)
