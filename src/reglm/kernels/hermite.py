"""Expectations of any activation by its Hermite series.

With ``a_k(q) = E f(sqrt(q) z) h_k(z)``, z standard normal and h_k the normalised Hermite polynomials,
``E f(u) f(u') = sum_k a_k(q) a_k(q') r^k`` at correlation r (Daniely et al. 2016): the quadrature is over one
dimension and once a variable, where a product rule would be over two and once a pair. The terms beyond degree K are
at most ``sqrt(t t')``, ``t = E f(u)^2 - sum_{k <= K} a_k^2`` (Cauchy-Schwarz), so the error is known, not guessed.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytensor.tensor as pt

from reglm.compiling import Graph, function
from reglm.kernels.analytic import SLACK, clip, continued, reciprocal, root
from reglm.links import Link
from reglm.parameters import Array

DEGREE = 256
"""Largest degree of the series."""
TOLERANCE = 1e-12
"""Terms are left out while the bound on their sum is below this part of the largest expectation."""
NOTHING = 1e-30
"""Products of coefficients below this part of the largest are rounding errors of zeros."""
WARN = 1e-6
"""Relative error bound beyond which the user is told."""
EDGES = np.concatenate([[0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5], np.arange(1.0, 13.6, 0.5)])
"""Panels of the quadrature on the right half-line: narrow where activations bend, and none across a kink at zero."""
PANEL_NODES = 16


class SeriesWarning(UserWarning):
    """The series of an activation ends too early for its variances."""


@cache
def nodes() -> tuple[Array, Array]:
    """Return nodes (N,) on the line and ``w_i h_k(z_i)`` (DEGREE + 1, N), w being weights of the normal law.

    Gauss-Legendre rules on panels; the density beyond the last one is below 1e-39, its root, which is what
    ``phi h_k`` decays like, below 1e-19.
    """
    x, w = np.polynomial.legendre.leggauss(PANEL_NODES)
    half = np.diff(EDGES) / 2
    right = (half[:, None] * (x + 1) + EDGES[:-1, None]).ravel()
    weights = (half[:, None] * w).ravel() * np.exp(-(right**2) / 2) / math.sqrt(2 * math.pi)
    z, weights = np.concatenate([-right[::-1], right]), np.concatenate([weights[::-1], weights])
    h = np.empty((DEGREE + 1, len(z)))
    h[0], h[1] = weights, weights * z
    for k in range(1, DEGREE):
        h[k + 1] = (z * h[k] - math.sqrt(k) * h[k - 1]) / math.sqrt(k + 1)
    return z, h


def derivatives(link: Link, x: Array) -> list[Array]:
    """``f, f', f''`` at x, of any shape."""

    def build() -> Graph:
        u = pt.vector("u", dtype="float64")
        orders = [link.inverse(u)]
        for _ in range(2):
            orders.append(pt.grad(orders[-1].sum(), u, disconnected_inputs="ignore"))
        return Graph([u], orders)

    run = function(build, ("derivatives of an activation", link.name), "python")
    return [value.reshape(x.shape) for value in run(np.ascontiguousarray(x.ravel()))]


def coefficients(link: Link, q: Array) -> tuple[Array, Array, Array]:
    """Hermite coefficients of f and of f', and what is left of their squares.

    Parameters
    ----------
    link : Link
    q : ndarray (n,)
        Variances.

    Returns
    -------
    a, b : ndarray (DEGREE + 1, n)
    tails : ndarray (2, DEGREE + 1, n)
        ``E f(u)^2 - sum_{j <= k} a_j^2`` and the same of f'.
    """
    z, weighted = nodes()
    s = root(q)
    argument = z[:, None] * s
    f, slope, bend = derivatives(link, argument.real)
    is_complex = np.iscomplexobj(q)
    values = [
        continued(argument, f, slope if is_complex else None),
        continued(argument, slope, bend if is_complex else None),
    ]
    a, b = (weighted @ value for value in values)
    squares = [weighted[0] @ value.real**2 for value in values]
    tails = [square - np.cumsum(found.real**2, axis=0) for square, found in zip(squares, (a, b), strict=True)]
    return a, b, np.maximum(tails, 0.0)


@dataclass(frozen=True)
class HermiteDual:
    """The expectations of an elementwise link, see `reglm.kernels.activations.DualActivation`.

    Parameters
    ----------
    link : Link
    """

    link: Link

    def error(self, q: Array) -> tuple[float, float]:
        """Bounds on the errors of the two expectations, over all pairs of variances q (n,)."""
        tails = coefficients(self.link, q)[2][:, -1]
        return float(tails[0].max()), float(tails[1].max())

    def rows(self, q: Array) -> tuple[Array, ...]:
        """Reciprocal standard deviations (n,), then (degree + 1, n): coefficients and relative tails of f, and of f'.

        Warns of a large error.
        """
        a, b, tails = coefficients(self.link, q)
        scale = np.maximum(tails[:, 0].max(axis=1) + np.max([a[0].real ** 2, b[0].real ** 2], axis=1), 1e-300)
        tails /= scale[:, None, None]
        relative = tails.max(axis=2)
        if relative[:, -1].max() > WARN:
            warnings.warn(
                f"activation={self.link.name!r}: expectations by a Hermite series of degree {DEGREE} have errors of up "
                f"to {relative[0, -1]:.1e} (values) and {relative[1, -1]:.1e} (derivatives) of the largest; kinks and "
                "large variances cause this. Closed forms (relu, erf, probit, ...) and smaller variances do not.",
                SeriesWarning,
                stacklevel=2,
            )
        return SLACK * reciprocal(root(q)), a, tails[0], b, tails[1]

    def pairs(self, left: tuple[Array, ...], c: Array, right: tuple[Array, ...]) -> tuple[Array, Array]:
        """``sum_k a_k a_k' r^k`` and ``sum_k b_k b_k' r^k``, by Horner's rule."""
        r = clip(c * left[0] * right[0])
        return _series(r, left[1:3], right[1:3]), _series(r, left[3:], right[3:])


def _series(r: Array, left: tuple[Array, ...], right: tuple[Array, ...]) -> Array:
    """``sum_k a_k a_k' r^k`` to the degree these pairs need: the rest is at most ``r^(k+1) sqrt(t_k t_k')``."""
    (a, tail), (b, other) = left, right
    largest = float(np.abs(r.real).max(initial=0.0))
    rest = np.sqrt(tail.reshape(len(a), -1).max(axis=1) * other.reshape(len(b), -1).max(axis=1))
    small = rest * largest ** np.arange(1, len(a) + 1) < TOLERANCE
    degree = int(np.argmax(small)) if small.any() else len(a) - 1
    size = np.abs(a.real).reshape(len(a), -1).max(axis=1) * np.abs(b.real).reshape(len(b), -1).max(axis=1)
    present = size > NOTHING * size.max(initial=0.0)  # odd and even functions have every second term
    total, term = np.zeros_like(r), np.empty_like(r)
    for k in range(degree, -1, -1):
        total *= r
        if present[k]:
            total += np.multiply(a[k], b[k], out=term)
    return total
