"""Kernels of given feature maps, in blocks of rows: what a fitted network's own kernels are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from reglm.parameters import Array

BLOCK_ELEMENTS = 8_000_000
"""Features are held in blocks of rows of about this many numbers, two at a time."""

Features = Callable[[Any], Array]
"""Maps rows (n, p) to their features (n, P)."""


def feature_gram(features: Features, width: int, X: Any, X2: Any | None = None) -> Array:
    """``phi(X) phi(X2)'``.

    Parameters
    ----------
    features : callable
    width : int
        Number of features P.
    X : ndarray or sparse matrix (n, p)
    X2 : ndarray or sparse matrix (m, p), optional
        By default X itself: one half is computed.

    Returns
    -------
    ndarray (n, m)
    """
    height = max(1, BLOCK_ELEMENTS // max(1, width))
    n, m = X.shape[0], (X if X2 is None else X2).shape[0]
    K = np.empty((n, m))
    for start in range(0, n, height):
        rows = slice(start, min(start + height, n))
        left = _double(features(X[rows]))
        if X2 is None:
            K[rows, rows] = left @ left.T
        for other in range(0, start if X2 is None else m, height):
            columns = slice(other, min(other + height, m))
            K[rows, columns] = left @ _double(features((X if X2 is None else X2)[columns])).T
            if X2 is None:
                K[columns, rows] = K[rows, columns].T
    return K


def _double(features: Array) -> Array:
    return np.asarray(features, dtype=np.float64)
