"""The matrix product of BLAS, called from compiled code.

Numba's `np.dot` is the same call, but it is compiled anew for every order of memory, and again where it
allocates; together that is a third of the time a small network takes to compile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.linalg import ensure_blas

ensure_blas()  # loads SciPy's BLAS and raises where there is none

BYTE, LONG = ir.IntType(8), ir.IntType(64)
POINTER = BYTE.as_pointer()
SIGNATURE = ir.FunctionType(
    ir.IntType(32),
    [BYTE, BYTE, BYTE, LONG, LONG, LONG, POINTER, POINTER, LONG, POINTER, LONG, POINTER, POINTER, LONG],
)
KINDS = {types.float64: "d", types.float32: "s"}


def matrix_product(transpose_left: bool = False, transpose_right: bool = False, add: bool = False) -> Callable:
    """Make ``left, right, out -> None``, which writes the product of two matrices into a third, or adds it there.

    All are contiguous by rows. BLAS reads memory by columns, so it is asked for ``out.T = right.T @ left.T``.
    """
    transposed = {True: BYTE(ord("t")), False: BYTE(ord("n"))}

    @intrinsic
    def product(typingctx: Any, left: types.Array, right: types.Array, out: types.Array) -> tuple | None:
        if not left.layout == right.layout == out.layout == "C" or not left.dtype == right.dtype == out.dtype:
            return None  # tells Numba that there is no such function

        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: list) -> ir.Value:
            arrays = [context.make_array(t)(context, builder, a) for t, a in zip(signature.args, args, strict=True)]
            data = [builder.bitcast(a.data, POINTER) for a in arrays]
            shapes = [cgutils.unpack_tuple(builder, a.shape, 2) for a in arrays]
            widths = [builder.select(builder.icmp_signed(">", w, LONG(0)), w, LONG(1)) for _, w in shapes]
            (n, k), inner = shapes[2], shapes[0][0 if transpose_left else 1]
            number = context.get_value_type(left.dtype)
            scales = (cgutils.alloca_once_value(builder, number(v)) for v in (1.0, float(add)))
            one, keep = (builder.bitcast(scale, POINTER) for scale in scales)
            gemm = cgutils.get_or_insert_function(builder.module, SIGNATURE, "numba_xxgemm")
            sides = [BYTE(ord(KINDS[left.dtype])), transposed[transpose_right], transposed[transpose_left]]
            operands = [one, data[1], widths[1], data[0], widths[0], keep, data[2], widths[2]]
            builder.call(gemm, [*sides, k, n, inner, *operands])
            return context.get_dummy_value()

        return types.void(left, right, out), codegen

    return product
