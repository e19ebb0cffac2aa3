"""The compiled gated recurrent unit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reglm.ops import elementary
from reglm.ops.recurrence import formulas
from reglm.ops.recurrence.cells import Cell
from reglm.ops.recurrence.numba_tools import (
    add_rows,
    columns,
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
    """Make ``sizes, nudge, given -> h, gates``: u, r, z and, with the reset gate after the product, what it scales."""
    fmt = number_format(dtype)
    mix = elementary.kernel(formulas.gru(fmt.one)[0])
    product, sigmoid, tanh, after = fmt.product, fmt.activations["sigmoid"], fmt.activations["tanh"], cell.reset_after

    @loop
    def squash(a, p, x):
        for j in range(x.size):
            x[j] = sigmoid(a[j] + p[j])

    @loop
    def scale(r, h, out):
        for j in range(r.size):
            out[j] = r[j] * h[j]

    @loop
    def emit_after(a, p, bias, r, u, z, q, h, kept):
        for j in range(h.size):
            q[j] = p[j] + bias[j]
            z[j] = tanh(a[j] + r[j] * q[j])
            h[j] = kept[j] = mix(u[j], z[j], h[j])

    @loop
    def emit_before(a, p, u, z, h, kept):
        for j in range(h.size):
            z[j] = tanh(a[j] + p[j])
            h[j] = kept[j] = mix(u[j], z[j], h[j])

    @helper
    def step(a, x, h, kept, bias, W_gates, W_z, p, q):
        m, H = h.shape
        product(h, W_gates, p)
        for s in range(m):
            squash(a[s, : 2 * H], p[s, : 2 * H], x[s, : 2 * H])
            u, r, z = x[s, :H], x[s, H : 2 * H], x[s, 2 * H : 3 * H]
            if after:
                emit_after(a[s, 2 * H :], p[s, 2 * H :], bias, r, u, z, x[s, 3 * H :], h[s], kept[s])
            else:
                scale(r, h[s], p[s, :H])
        if not after:
            copy_rows(p[:, :H], q[0])
            product(q[0], W_z, q[1])
            for s in range(m):
                emit_before(a[s, 2 * H :], q[1][s], x[s, :H], x[s, 2 * H :], h[s], kept[s])

    @helper
    def gru_forward(sizes, nudge, given):
        a, W = given[0], np.ascontiguousarray(given[1])
        n, H = a.shape[0], W.shape[0]
        h = given[3 if after else 2].copy()
        bias, S = given[2][0], h.shape[0]
        W_gates, W_z = columns(W, 0, (3 if after else 2) * H), columns(W, 2 * H, 3 * H)
        gates, kept = np.empty((n, (4 if after else 3) * H), a.dtype), np.empty((n, H), a.dtype)
        p, q, r = np.empty((S, W_gates.shape[1]), a.dtype), np.empty((S, H), a.dtype), np.empty((S, H), a.dtype)
        start = first_start(sizes, reverse)
        for k in range(sizes.size):
            low, m, start = step_rows(sizes, start, k, reverse)
            high = low + m
            step(a[low:high], gates[low:high], h[:m], kept[low:high], bias, W_gates, W_z, p[:m], (q[:m], r[:m]))
            if nudge.shape[0]:
                add_rows(nudge[low:high], h[:m])
        return kept, gates

    return gru_forward


def backward(cell: Cell, reverse: bool, dtype: str) -> Callable:
    """Make ``sizes, nudge, given, kept, g, flow -> gradients of given``; kept is what `forward` returns.

    dL/dh of each row is written to `flow` unless that is empty.
    """
    fmt = number_format(dtype)
    _, back, reset = (elementary.kernel(f) for f in formulas.gru(fmt.one))
    product, product_more, product_left, after = fmt.product, fmt.product_more, fmt.product_left, cell.reset_after

    @loop
    def inside(u, z, before, g, dh, du, dz):
        for j in range(u.size):
            du[j], dz[j], dh[j] = back(u[j], z[j], before[j], g[j] + dh[j])

    @loop
    def reset_after(r, q, dz, dr, dq):
        for j in range(r.size):
            dr[j] = reset(r[j], q[j], dz[j])
            dq[j] = dz[j] * r[j]

    @loop
    def reset_before(r, before, p, dh, dr):
        for j in range(r.size):
            dr[j] = reset(r[j], before[j], p[j])
            dh[j] += p[j] * r[j]

    @helper
    def step(x, before, g, dh, delta, inner, back_gates, back_z, q, p):
        m, H = dh.shape
        for s in range(m):
            u, r, z = x[s, :H], x[s, H : 2 * H], x[s, 2 * H : 3 * H]
            inside(u, z, before[s], g[s], dh[s], delta[s, :H], delta[s, 2 * H :])
            if after:
                reset_after(r, x[s, 3 * H :], delta[s, 2 * H :], delta[s, H : 2 * H], inner[s, 2 * H :])
        if not after:
            copy_rows(delta[:, 2 * H :], q)
            product(q, back_z, p)
            for s in range(m):
                reset_before(x[s, H : 2 * H], before[s], p[s], dh[s], delta[s, H : 2 * H])
        copy_rows(delta[:, : 2 * H], inner[:, : 2 * H])
        product_more(inner, back_gates, dh)

    @helper
    def weights(x, before, inner, delta, dW):
        n, H = before.shape
        split = inner.shape[1]
        left = np.zeros((H, split), delta.dtype)
        product_left(before, inner, left)
        copy_rows(left, dW[:, :split])
        if not after:
            scaled, right = np.empty((n, H), delta.dtype), np.zeros((H, H), delta.dtype)
            for i in range(n):
                for j in range(H):
                    scaled[i, j] = x[i, H + j] * before[i, j]
            product_left(scaled, columns(delta, 2 * H, 3 * H), right)
            copy_rows(right, dW[:, split:])

    @helper
    def gru_backward(sizes, nudge, given, kept, g, flow):
        W, h0, x = given[1], given[3 if after else 2], kept[1]
        (n, H), S = kept[0].shape, h0.shape[0]
        split = (3 if after else 2) * H
        before = previous(moved(kept[0], nudge), h0, sizes, reverse)
        delta, inner = np.empty((n, 3 * H), x.dtype), np.empty((n, split), x.dtype)
        dh, q, p = np.zeros((S, H), x.dtype), np.empty((S, H), x.dtype), np.empty((S, H), x.dtype)
        back_gates, back_z = transpose(W[:, :split]), transpose(W[:, 2 * H :])
        start = first_start(sizes, not reverse)
        for k in range(sizes.size):
            low, m, start = step_rows(sizes, start, k, not reverse)
            high = low + m
            if flow.shape[0]:
                copy_rows(g[low:high], flow[low:high])
                add_rows(dh[:m], flow[low:high])
            step(
                x[low:high], before[low:high], g[low:high], dh[:m], delta[low:high], inner[low:high],
                back_gates, back_z, q[:m], p[:m],
            )  # fmt: skip
        dW, bias = np.empty(W.shape, x.dtype), np.zeros((1, H), x.dtype)
        weights(x, before, inner, delta, dW)
        for i in range(n if after else 0):
            for j in range(H):
                bias[0, j] += inner[i, 2 * H + j]
        return (delta, dW, bias, dh) if after else (delta, dW, dh)

    return gru_backward
