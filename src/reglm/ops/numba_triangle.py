"""Numba forms of `Triangle` and `TriangleEntries`. Importing this module registers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key

from reglm.ops.triangle import Triangle, TriangleEntries

VERSION = 1


@register_funcify_default_op_cache_key(Triangle)
def _triangle(op: Triangle, node: Any = None, **kwargs: Any) -> tuple[Callable, int]:
    @numba_njit
    def triangle(entries):
        m = 1
        while m * (m - 1) // 2 < entries.size:
            m += 1
        W, at = np.zeros((m, m), entries.dtype), 0
        for i in range(m):
            for j in range(i + 1, m):
                W[i, j] = entries[at]
                at += 1
        return W

    return triangle, VERSION


@register_funcify_default_op_cache_key(TriangleEntries)
def _entries(op: TriangleEntries, node: Any = None, **kwargs: Any) -> tuple[Callable, int]:
    @numba_njit
    def triangle_entries(W):
        m = W.shape[0]
        entries, at = np.empty(m * (m - 1) // 2, W.dtype), 0
        for i in range(m):
            for j in range(i + 1, m):
                entries[at] = W[i, j]
                at += 1
        return entries

    return triangle_entries, VERSION
