"""The compiled long short-term memory and its variants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reglm.ops import elementary
from reglm.ops.recurrence import formulas
from reglm.ops.recurrence.cells import Cell
from reglm.ops.recurrence.numba_tools import (
    Format,
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


def _forward_loops(cell: Cell, fmt: Format) -> tuple[Callable, ...]:
    advance, emit, _ = (elementary.kernel(f) for f in formulas.lstm(cell, fmt.one, fmt.activations["tanh"]))
    sigmoid, tanh, plain_input = fmt.activations["sigmoid"], fmt.activations["tanh"], cell.variant == "NIAF"

    @loop
    def squash(a, p, x):
        for j in range(x.size):
            x[j] = sigmoid(a[j] + p[j])

    @loop
    def bend(a, p, x):
        for j in range(x.size):
            x[j] = a[j] + p[j] if plain_input else tanh(a[j] + p[j])

    @loop
    def look(p, v, c):
        for j in range(p.size):
            p[j] += v[j] * c[j]

    @loop
    def update(i, f, z, c, kept):
        for j in range(c.size):
            c[j] = kept[j] = advance(i[j], f[j], z[j], c[j])

    @loop
    def output(o, c, h, kept):
        for j in range(h.size):
            h[j] = kept[j] = emit(o[j], c[j])

    return squash, bend, look, update, output


def _gates_of_a_row(cell: Cell, fmt: Format) -> Callable:
    """Make what turns a row of a and one of p into gates, and the state into the next; p may be changed."""
    ki, kf, ko, kz = (cell.gates.index(g) if g in cell.gates else 0 for g in "ifoz")
    peepholes, has_o = cell.peepholes, "o" in cell.gates
    inner = len(set(cell.gates) & {"i", "f"})
    squash, bend, look, update, output = _forward_loops(cell, fmt)

    @helper
    def row(a, p, v, h, c, x, kept_h, kept_c):
        H = h.size
        if peepholes:
            for k in range(inner):
                look(p[k * H : (k + 1) * H], v[k], c)
        squash(a[: inner * H], p[: inner * H], x[: inner * H])
        low, high = kz * H, (kz + 1) * H
        bend(a[low:high], p[low:high], x[low:high])
        update(x[ki * H : (ki + 1) * H], x[kf * H : (kf + 1) * H], x[low:high], c, kept_c)
        low, high = ko * H, (ko + 1) * H
        if has_o:
            if peepholes:
                look(p[low:high], v[ko], c)
            squash(a[low:high], p[low:high], x[low:high])
        output(x[low:high], kept_c, h, kept_h)

    return row


def forward(cell: Cell, reverse: bool, dtype: str) -> Callable:
    """Make ``sizes, nudge, given -> h, gates, c``."""
    fmt = number_format(dtype)
    product, row = fmt.product, _gates_of_a_row(cell, fmt)
    peepholes, full, last = cell.peepholes, cell.variant == "FGR", 1 + len(cell.extras)

    @helper
    def lstm_forward(sizes, nudge, given):
        a, W = given[0], np.ascontiguousarray(given[1])
        n, H = a.shape[0], W.shape[0]
        h, c = given[last + 1].copy(), given[last + 2].copy()
        v = given[2] if peepholes else h
        R, passed = np.ascontiguousarray(given[last]), np.zeros((h.shape[0] if full else 0, 3 * H), a.dtype)
        gates, kept_h, kept_c = np.empty(a.shape, a.dtype), np.empty((n, H), a.dtype), np.empty((n, H), a.dtype)
        p = np.empty((h.shape[0], a.shape[1]), a.dtype)
        start = first_start(sizes, reverse)
        for k in range(sizes.size):
            low, m, start = step_rows(sizes, start, k, reverse)
            product(h[:m], W, p[:m])
            if full:
                add_rows(np.dot(passed[:m], R), p[:m, : 3 * H])
            for s in range(m):
                i = low + s
                row(a[i], p[s], v, h[s], c[s], gates[i], kept_h[i], kept_c[i])
            if full:
                copy_rows(gates[low : low + m, : 3 * H], passed[:m])
            if nudge.shape[0]:
                add_rows(nudge[low : low + m], h[:m])
        return kept_h, gates, kept_c

    return lstm_forward


def _row_back(cell: Cell, fmt: Format) -> Callable:
    """Make what takes one row a step back: its deltas, and the gradient with respect to c."""
    back = elementary.kernel(formulas.lstm(cell, fmt.one, fmt.activations["tanh"])[2])
    ki, kf, ko, kz = (cell.gates.index(g) if g in cell.gates else 0 for g in "ifoz")
    has_i, has_f, has_o = (g in cell.gates for g in "ifo")
    peepholes, full = cell.peepholes, cell.variant == "FGR"

    @loop
    def inside(i, f, o, z, c, new, vi, vf, vo, g, dh, dc, gi, gf, go, di, df, do, dz):
        for j in range(g.size):
            di[j], df[j], do[j], dz[j], dc[j] = back(
                i[j], f[j], o[j], z[j], c[j], new[j], vi[j], vf[j], vo[j], g[j] + dh[j], dc[j], gi[j], gf[j], go[j]
            )

    @helper
    def row(x, c, new, v, g, dh, dc, passed, d, spare):
        H = g.size
        vi, vf, vo = (v[ki], v[kf], v[ko]) if peepholes else (c, c, c)
        gi, gf, go = (passed[:H], passed[H : 2 * H], passed[2 * H :]) if full else (c, c, c)
        di, df = d[ki * H : (ki + 1) * H] if has_i else spare, d[kf * H : (kf + 1) * H] if has_f else spare
        do, dz = d[ko * H : (ko + 1) * H] if has_o else spare, d[kz * H : (kz + 1) * H]
        i, f = x[ki * H : (ki + 1) * H], x[kf * H : (kf + 1) * H]
        o, z = x[ko * H : (ko + 1) * H], x[kz * H : (kz + 1) * H]
        inside(i, f, o, z, c, new, vi, vf, vo, g, dh, dc, gi, gf, go, di, df, do, dz)

    return row


def _peephole_sums(cell: Cell) -> Callable:
    """Make the gradient of the peepholes: over all rows, deltas times the state that the gate saw."""
    output = cell.gates.index("o") if "o" in cell.gates else -1

    @helper
    def sums(delta, before_c, kept_c, out):
        for i in range(delta.shape[0]):
            for k in range(out.shape[0]):
                seen = kept_c[i] if k == output else before_c[i]
                for j in range(out.shape[1]):
                    out[k, j] += delta[i, k * out.shape[1] + j] * seen[j]

    return sums


def backward(cell: Cell, reverse: bool, dtype: str) -> Callable:
    """Make ``sizes, nudge, given, kept, g, flow -> gradients of given``; kept is what `forward` returns.

    dL/dh of each row is written to `flow` unless that is empty.
    """
    fmt = number_format(dtype)
    product, product_left, row, sums = fmt.product, fmt.product_left, _row_back(cell, fmt), _peephole_sums(cell)
    peepholes, full, last = cell.peepholes, cell.variant == "FGR", 1 + len(cell.extras)
    rows = len(cell.gates) - 1 if peepholes else 0

    @helper
    def through_time(sizes, given, kept, before_c, g, flow, delta, dh, dc):
        H = g.shape[1]
        back, back_R = transpose(given[1]), transpose(given[last])
        v = given[2] if peepholes else dc
        passed = np.zeros((dh.shape[0] if full else 1, 3 * H), delta.dtype)
        spare = np.empty(H, delta.dtype)
        start = first_start(sizes, not reverse)
        for k in range(sizes.size):
            low, m, start = step_rows(sizes, start, k, not reverse)
            for s in range(m):
                i = low + s
                if flow.shape[0]:
                    for j in range(H):
                        flow[i, j] = g[i, j] + dh[s, j]
                earlier = passed[s if full else 0]
                row(kept[1][i], before_c[i], kept[2][i], v, g[i], dh[s], dc[s], earlier, delta[i], spare)
            product(delta[low : low + m], back, dh[:m])
            if full:
                copy_rows(np.dot(columns(delta[low : low + m], 0, 3 * H), back_R), passed[:m])

    @helper
    def from_gates(sizes, gates, delta, h0):
        width = 3 * h0.shape[1]
        before = previous(columns(gates, 0, width), np.zeros((h0.shape[0], width), gates.dtype), sizes, reverse)
        return np.dot(transpose(before), columns(delta, 0, width))

    @helper
    def lstm_backward(sizes, nudge, given, kept, g, flow):
        W, h0, c0 = given[1], given[last + 1], given[last + 2]
        before_c = previous(kept[2], c0, sizes, reverse)
        delta = np.empty(kept[1].shape, kept[1].dtype)
        dh, dc = np.zeros(h0.shape, delta.dtype), np.zeros(h0.shape, delta.dtype)
        through_time(sizes, given, kept, before_c, g, flow, delta, dh, dc)
        dW = np.zeros(W.shape, delta.dtype)
        product_left(previous(moved(kept[0], nudge), h0, sizes, reverse), delta, dW)
        dv = np.zeros((rows, W.shape[0]), delta.dtype)
        if peepholes:
            sums(delta, before_c, kept[2], dv)
        peephole_sums = (dv,) if peepholes else ()
        gate_sums = (from_gates(sizes, kept[1], delta, h0),) if full else ()
        return (delta, dW) + peephole_sums + gate_sums + (dh, dc)  # noqa: RUF005  (Numba knows no stars here)

    return lstm_backward
