"""The compiled simple and leaky cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reglm.ops.recurrence.cells import Cell
from reglm.ops.recurrence.numba_tools import (
    add_rows,
    copy_rows,
    first_start,
    helper,
    loop,
    moved,
    number_format,
    previous,
    step_rows,
    transpose,
)


def forward(cell: Cell, reverse: bool, dtype: str) -> Callable:
    """Make ``sizes, nudge, given -> h``, for leaky ``-> h, f(a + h W)``."""
    fmt = number_format(dtype)
    product_more, activation, is_leaky = fmt.product_more, fmt.activations[cell.activation], cell.kind == "leaky"

    @loop
    def emit(x, alpha, h, kept):
        for j in range(x.size):
            y = activation(x[j])
            x[j] = y
            h[j] = kept[j] = y + alpha[j] * (h[j] - y) if is_leaky else y

    @helper
    def simple_forward(sizes, nudge, given):
        a, W = given[0], np.ascontiguousarray(given[1])
        h = given[3 if is_leaky else 2].copy()
        alpha = given[2] if is_leaky else W
        kept, y = np.empty(a.shape, a.dtype), np.empty(a.shape, a.dtype)
        start = first_start(sizes, reverse)
        for k in range(sizes.size):
            low, m, start = step_rows(sizes, start, k, reverse)
            block = y[low : low + m]
            copy_rows(a[low : low + m], block)
            product_more(h[:m], W, block)
            for s in range(m):
                emit(block[s], alpha[0], h[s], kept[low + s])
            if nudge.shape[0]:
                add_rows(nudge[low : low + m], h[:m])
        return (kept, y) if is_leaky else (kept,)

    return simple_forward


def backward(cell: Cell, reverse: bool, dtype: str) -> Callable:
    """Make ``sizes, nudge, given, kept, g, flow -> gradients of given``; kept is what `forward` returns.

    dL/dh of each row is written to `flow` unless that is empty.
    """
    fmt = number_format(dtype)
    product_more, product_left, one = fmt.product_more, fmt.product_left, fmt.one
    slope, is_leaky = fmt.slopes[cell.activation], cell.kind == "leaky"

    @loop
    def inside(y, alpha, before, g, dh, delta, dalpha):
        for j in range(y.size):
            d = g[j] + dh[j]
            if is_leaky:
                dalpha[j] += d * (before[j] - y[j])
                dh[j] = alpha[j] * d
                d = d * (one - alpha[j])
            else:
                dh[j] = 0
            delta[j] = d * slope(y[j])

    @helper
    def simple_backward(sizes, nudge, given, kept, g, flow):
        W, h0 = given[1], given[3 if is_leaky else 2]
        alpha = given[2] if is_leaky else W
        y = kept[1 if is_leaky else 0]
        before = previous(moved(kept[0], nudge), h0, sizes, reverse)
        delta, dh, back = np.empty(y.shape, y.dtype), np.zeros(h0.shape, y.dtype), transpose(W)
        dalpha = np.zeros((1, W.shape[0]), y.dtype)
        start = first_start(sizes, not reverse)
        for k in range(sizes.size):
            low, m, start = step_rows(sizes, start, k, not reverse)
            for s in range(m):
                i = low + s
                if flow.shape[0]:
                    for j in range(y.shape[1]):
                        flow[i, j] = g[i, j] + dh[s, j]
                inside(y[i], alpha[0], before[i], g[i], dh[s], delta[i], dalpha[0])
            product_more(delta[low : low + m], back, dh[:m])
        dW = np.zeros(W.shape, y.dtype)
        product_left(before, delta, dW)
        return (delta, dW, dalpha, dh) if is_leaky else (delta, dW, dh)

    return simple_backward
