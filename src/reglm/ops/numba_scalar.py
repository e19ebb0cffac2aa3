"""Numba forms of the scalar Ops. Importing this module registers them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from pytensor.link.numba.dispatch.basic import (
    numba_funcify_and_cache_key,
    numba_njit,
    register_funcify_and_cache_key,
)
from pytensor.tensor.elemwise import Elemwise

from reglm.ops import elementary, normal, scalar

VERSION = 2  # raise it whenever a kernel changes: compiled programs are kept on disk under this key

ELEMENTARY: dict[type, Callable] = {
    scalar.Exp: elementary.exp,
    scalar.Expm1: elementary.expm1,
    scalar.Log1p: elementary.log1p,
    scalar.Tanh: elementary.tanh,
    scalar.Sigmoid: elementary.sigmoid,
    scalar.Softplus: elementary.softplus,
    scalar.Log1mexp: elementary.log1mexp,
}
NORMAL: dict[type, Callable] = {
    scalar.Erf: normal.erf,
    scalar.Ndtr: normal.ndtr,
    scalar.LogNdtr: normal.log_ndtr,
    scalar.InverseMills: normal.inverse_mills,
    scalar.Gelu: normal.gelu,
}


@cache
def form(op_type: type, dtype: str) -> Callable:
    """Make the kernel of an Op for one floating-point format."""
    if op_type in NORMAL:
        return NORMAL[op_type] if dtype == "float64" else normal.through_double(NORMAL[op_type])
    return ELEMENTARY[op_type](elementary.DOUBLE if dtype == "float64" else elementary.SINGLE)


@cache
def converting_form(op_type: type, dtype: str) -> Callable:
    """Make the kernel for integer arguments, which become floats first."""
    number, kernel = getattr(np, dtype), form(op_type, dtype)

    @elementary.kernel
    def convert(x):
        return kernel(number(x))

    return convert


def funcify(op: scalar.ElementaryOp, node: Any = None, **kwargs: Any) -> tuple[Callable, str]:
    """Give PyTensor the kernel and the key of its disk cache."""
    given, dtype = node.inputs[0].type.dtype, node.outputs[0].type.dtype
    make: Callable = form if given == dtype else converting_form
    return make(type(op), dtype), f"reglm-{type(op).__name__}-{given}-{dtype}-{VERSION}"


for _op_type in (*ELEMENTARY, *NORMAL):
    register_funcify_and_cache_key(_op_type)(funcify)

_nested_loops = numba_funcify_and_cache_key.dispatch(Elemwise)


@register_funcify_and_cache_key(scalar.Elementwise)
def _elementwise(op: scalar.Elementwise, node: Any = None, **kwargs: Any) -> tuple[Callable, str]:
    if node.outputs[0].type.ndim == 0:
        return _nested_loops(op, node=node, **kwargs)
    kernel, key = funcify(op.scalar_op, node)
    dtype = np.dtype(node.outputs[0].type.dtype)

    @numba_njit(boundscheck=False)
    def fresh(x):
        source = np.ascontiguousarray(x)
        out = np.empty(x.shape, dtype)
        flat, flat_out = source.reshape(x.size), out.reshape(x.size)
        for i in range(flat.size):
            flat_out[i] = kernel(flat[i])
        return out

    @numba_njit(boundscheck=False)
    def in_place(x):
        out = np.ascontiguousarray(x)
        flat = out.reshape(x.size)
        for i in range(flat.size):
            flat[i] = kernel(flat[i])
        return out

    return (in_place, f"{key}-in-place") if op.inplace_pattern else (fresh, f"{key}-fresh")
