"""What the compiled recurrences share: formats, small loops, walks over packed rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core.compiler import Compiler

from reglm.ops import elementary
from reglm.ops.blas import matrix_product

OPTIONS = {"fastmath": {"contract"}, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class Separate(Compiler):
    """Numba's compiler, told that the arrays handed to a function do not overlap.

    A loop over a dozen arrays does not vectorise otherwise: LLVM gives up on testing each pair for overlap.
    """

    def define_pipelines(self) -> Any:
        """Set the flag; the pipelines are Numba's."""
        self.state.flags.noalias = True
        return super().define_pipelines()


def loop(function: Callable) -> Any:
    """Compile a loop over vectors that do not overlap, in place."""
    return numba.njit(function, pipeline_class=Separate, boundscheck=False, **OPTIONS)


def helper(function: Callable) -> Any:
    """Compile a function that others call."""
    return numba.njit(function, boundscheck=False, **OPTIONS)


class Format(NamedTuple):
    """Activations, number one and matrix products of one kind of number."""

    one: Any
    activations: dict[str, Callable]
    slopes: dict[str, Callable]
    product: Callable
    product_more: Callable
    product_right: Callable
    product_left: Callable


def _slopes(one: Any) -> dict[str, Callable]:
    zero = one - one
    forms = {
        "tanh": lambda y: one - y * y,
        "sigmoid": lambda y: y * (one - y),
        "relu": lambda y: one if y.real > zero else zero,
        "identity": lambda y: one,
    }
    return {name: elementary.kernel(form) for name, form in forms.items()}


def _dual(real: Callable, slope: Callable) -> Callable:
    """Carry a derivative along as the imaginary part (see `arrays`)."""

    @elementary.kernel
    def dual(x):
        y = real(x.real)
        return complex(y, slope(y) * x.imag)

    return dual


@cache
def number_format(dtype: str) -> Format:
    """Return the format of "float64", "float32" or "complex128", which holds dual numbers."""
    precision = elementary.SINGLE if dtype == "float32" else elementary.DOUBLE
    one = precision.kind(1)
    zero, slopes = precision.kind(0), _slopes(one)
    activations = {
        "tanh": elementary.tanh(precision),
        "sigmoid": elementary.sigmoid(precision),
        "relu": elementary.kernel(lambda x: max(x, zero)),
        "identity": elementary.kernel(lambda x: x),
    }
    if dtype == "complex128":
        duals = {name: _dual(form, slopes[name]) for name, form in activations.items()}
        return Format(one, duals, slopes, *_dual_products())
    products = (matrix_product(), matrix_product(add=True), matrix_product(False, True), matrix_product(True, add=True))
    return Format(one, activations, slopes, *products)


def _dual_products() -> tuple[Callable, ...]:
    @helper
    def product(left, right, out):
        np.dot(left, right, out)

    @helper
    def product_more(left, right, out):
        out += np.dot(left, right)

    @helper
    def product_right(left, right, out):
        np.dot(left, np.ascontiguousarray(right.T), out)

    @helper
    def product_left(left, right, out):
        out += np.dot(np.ascontiguousarray(left.T), right)

    return product, product_more, product_right, product_left


@helper
def step_rows(sizes, start, k, reverse):
    """Rows of the k-th step that is run, and the `start` of the one after it."""
    if reverse:
        m = sizes[sizes.size - 1 - k]
        return start - m, m, start - m
    m = sizes[k]
    return start, m, start + m


@helper
def first_start(sizes, reverse):
    """`start` of the first step that is run."""
    total = 0
    if reverse:
        for t in range(sizes.size):
            total += sizes[t]
    return total


@helper
def copy_rows(source, out):
    """Copy a matrix."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = source[i, j]


@helper
def add_rows(source, out):
    """Add a matrix to another."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] += source[i, j]


@helper
def moved(h, nudge):
    """Return h with the nudge added, if there is one."""
    if not nudge.shape[0]:
        return h
    out = h.copy()
    add_rows(nudge, out)
    return out


@helper
def columns(W, start, stop):
    """Return a contiguous copy of some columns."""
    out = np.empty((W.shape[0], stop - start), W.dtype)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = W[i, start + j]
    return out


@helper
def transpose(W):
    """Return a contiguous transpose."""
    out = np.empty((W.shape[1], W.shape[0]), W.dtype)
    for i in range(W.shape[0]):
        for j in range(W.shape[1]):
            out[j, i] = W[i, j]
    return out


@helper
def previous(x, x0, sizes, reverse):
    """Return what stood before each row: the state one step ago, or the initial one."""
    out, state = np.empty_like(x), x0.copy()
    start = first_start(sizes, reverse)
    for k in range(sizes.size):
        low, m, start = step_rows(sizes, start, k, reverse)
        for s in range(m):
            for j in range(x.shape[1]):
                out[low + s, j] = state[s, j]
                state[s, j] = x[low + s, j]
    return out
