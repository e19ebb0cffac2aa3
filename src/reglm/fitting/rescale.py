"""Solve on standardised columns, report on the columns as given.

The network is the same function either way: ``x W + b = z (s W) + (b + m W)`` with ``z = (x - m) / s``. Only the
conditioning changes, and the start values, which are drawn for inputs of order one. Penalties keep their meaning on the
scale of X as given: an L2 penalty alpha on W is alpha / s^2 on s W.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from reglm.network import Network
from reglm.parameters import Array, Layout
from reglm.statespace.packing import Packed

LARGEST = 30.0
"""No standardised value is larger: rare indicators keep a moderate scale."""


@dataclass(frozen=True)
class Scaling:
    """Centre and scale of each column of X (p,), and where they enter the parameters."""

    network: Network
    layout: Layout
    center: Array
    scale: Array

    def apply(self, X: Any) -> Any:
        """Standardised copy of X; X itself if there is nothing to do."""
        if not self.center.any() and np.all(self.scale == 1.0):
            return X
        if isinstance(X, Packed):
            return X.replaced(self.apply(X.rows))
        if sparse.issparse(X):
            return sparse.csr_matrix(X @ sparse.diags(1.0 / self.scale))
        return np.ascontiguousarray((X - self.center) / self.scale)

    def _map(self, theta: Array, *, to_raw: bool) -> Array:
        theta = theta.copy()
        views = self.layout.views(theta)
        for r in self.network.rescalings:
            columns = list(r.columns)
            rows = views[r.weight][r.row : r.row + len(columns)]
            center, scale = self.center[columns], self.scale[columns, None]
            if to_raw:
                rows /= scale
            if r.bias is not None:
                views[r.bias] += (-1.0 if to_raw else 1.0) * (center @ rows)
            if not to_raw:
                rows *= scale
        return theta

    def to_raw(self, theta: Array) -> Array:
        """Parameters for X as given, from those for standardised columns."""
        return self._map(theta, to_raw=True)

    def from_raw(self, theta: Array) -> Array:
        """Parameters for standardised columns, from those for X as given."""
        return self._map(theta, to_raw=False)

    def penalty(self, penalty: Array, power: int) -> Array:
        """Penalties for standardised columns: divided by ``s ** power`` (2 for L2, 1 for L1)."""
        penalty = penalty.copy()
        views = self.layout.views(penalty)
        for r in self.network.rescalings:
            views[r.weight][r.row : r.row + len(r.columns)] /= self.scale[list(r.columns), None] ** power
        return penalty


def moments(X: Any, weights: Array) -> tuple[Array, Array]:
    """Weighted mean and bounded standard deviation (p,) of the columns; scale 1 for constant ones.

    Parameters
    ----------
    X : array or CSR (n, p)
    weights : ndarray (n, 1)
        Rows of weight zero have no part in it, and a weight counts as so many rows.
    """
    w = np.asarray(weights[:, 0], dtype="float64")
    if not w.all():
        X, w = X[w > 0], w[w > 0]
    if sparse.issparse(X):
        mean, square = X.T @ w / w.sum(), X.multiply(X).T @ w / w.sum()
        sd = np.sqrt(np.maximum(square - mean**2, 0.0))
        largest = np.asarray(abs(X).max(axis=0).todense()).ravel()
    elif np.all(w == w[0]):
        mean, sd = X.mean(axis=0, dtype="float64"), X.std(axis=0, dtype="float64")
        largest = np.maximum(X.max(axis=0) - mean, mean - X.min(axis=0))
    else:
        mean = np.average(X, axis=0, weights=w)
        sd = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=w))
        largest = np.maximum(X.max(axis=0) - mean, mean - X.min(axis=0))
    scale = np.maximum(sd, largest / LARGEST)
    return mean, np.where(scale > 0, scale, 1.0)


def scaling(network: Network, layout: Layout, X: Any, weights: Array) -> Scaling:
    """Choose centres and scales for the columns that the network's rescalings cover."""
    inputs = network.inputs
    center, scale = np.zeros(inputs), np.ones(inputs)
    if network.rescalings:
        mean, spread = moments(X.rows, np.ones((len(X.rows), 1))) if isinstance(X, Packed) else moments(X, weights)
        covered = list(network.rescalings[0].columns)
        scale[covered] = spread[covered]
        if not sparse.issparse(X) and all(r.bias is not None for r in network.rescalings):
            center[covered] = mean[covered]
    return Scaling(network, layout, center.astype(X.dtype), scale.astype(X.dtype))
