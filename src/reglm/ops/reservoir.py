"""States of a sparse recurrence with fixed weights, compiled by Numba, one sequence after the other.

Importing this module compiles nothing; the first call takes the compiled program from Numba's cache on disk, or
compiles it in about two seconds.
"""

from __future__ import annotations

from typing import Any

import numba

from reglm.ops import elementary

_tanh, _sigmoid = elementary.tanh(elementary.DOUBLE), elementary.sigmoid(elementary.DOUBLE)

CODES = {"tanh": 0, "sigmoid": 1, "relu": 2, "identity": 3}


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def run(
    drive: Any, edges: Any, start: Any, data: Any, indices: Any, indptr: Any, leak: float, code: int
) -> None:  # fmt: skip
    """Put the states in the place of what drives them.

    Parameters
    ----------
    drive : ndarray (n, H)
        Affine part of the inputs; overwritten with ``h_t = (1 - leak) h_{t-1} + leak f(W h_{t-1} + drive_t)``.
    edges : ndarray of int (S + 1,)
        Rows at which sequences begin, and the end.
    start : ndarray (S, H)
        State before the first row of each sequence.
    data, indices, indptr : ndarray
        W (H, H) as CSR.
    leak : float
    code : int
        Of the activation f, in `CODES`.
    """
    H = drive.shape[1]
    for s in range(len(edges) - 1):
        h = start[s]
        for t in range(edges[s], edges[s + 1]):
            row = drive[t]
            for i in range(H):
                for k in range(indptr[i], indptr[i + 1]):
                    row[i] += data[k] * h[indices[k]]
            if code == 0:
                for i in range(H):
                    row[i] = _tanh(row[i])
            elif code == 1:
                for i in range(H):
                    row[i] = _sigmoid(row[i])
            elif code == 2:
                for i in range(H):
                    row[i] = max(row[i], 0.0)
            for i in range(H):
                row[i] = (1.0 - leak) * h[i] + leak * row[i]
            h = row
