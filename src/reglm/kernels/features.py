"""Random features: inner products of few columns that estimate a kernel without bias.

A kernel that is a mean over random directions, ``k(x, x') = E[f(w'x) f(w'x')]``, is estimated by averaging over m drawn
directions; the m values ``f(w'x) / sqrt(m)`` are then ordinary columns for any model. Directions here are normal, each
standard on its own; orthogonal blocks of them leave the mean as it is and lower the variance (Yu et al. 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytensor.tensor as pt
from scipy.special import erf
from sklearn.utils.extmath import safe_sparse_dot

from reglm import links
from reglm.compiling import evaluate

Array = np.ndarray
Unit = Callable[[Array], Array]
"""Map of the projections (n, m), which it may overwrite, to values (n, m)."""
BESIDE_LINKS: dict[str, Unit] = {
    "erf": erf, "cos": np.cos, "sin": np.sin, "sin+cos": lambda A: np.sin(A) + np.cos(A),
}  # fmt: skip
"""Activations that are no links, as in `reglm.kernels.activations`."""


def normal_directions(rng: np.random.Generator, p: int, m: int, orthogonal: bool) -> Array:
    """Draw m directions in p dimensions, each standard normal on its own.

    Parameters
    ----------
    rng : numpy.random.Generator
    p, m : int
    orthogonal : bool
        Within blocks of p the directions are orthogonal: uniform rotations with lengths drawn from the chi
        distribution with p degrees of freedom (Yu et al. 2016). Otherwise they are independent.

    Returns
    -------
    ndarray (p, m)
    """
    if not orthogonal:
        return rng.standard_normal((p, m))
    blocks = [_rotation(rng, p) for _ in range(-(-m // p))]
    return np.hstack(blocks)[:, :m] * np.sqrt(rng.chisquare(p, size=m))


def _rotation(rng: np.random.Generator, p: int) -> Array:
    """Orthogonal (p, p) matrix, uniform over all of them; the signs of R make the factorisation unique."""
    Q, R = np.linalg.qr(rng.standard_normal((p, p)))
    return Q * np.sign(np.diagonal(R))


def project(X: Any, W: Array, b: Array) -> Array:
    """Return ``X W + b`` (n, m) for dense or sparse X (n, p), W (p, m) and b (m,)."""
    A = np.asarray(safe_sparse_dot(X, W, dense_output=True))
    return np.add(A, b, out=A)


def fourier(A: Array, n_components: int) -> Array:
    """Return cosines and sines of projections, divided by sqrt(n_components / 2) (Rahimi & Recht 2007).

    Pairs of a cosine and a sine do not depend on a phase, and their rows have length one, as k(x, x) = 1 asks. An odd
    number of columns leaves the last cosine without its sine: unbiased if its projection has a uniform phase.

    Parameters
    ----------
    A : ndarray (n, m)
        m is half of `n_components`, rounded up.
    n_components : int

    Returns
    -------
    ndarray (n, n_components)
    """
    m = A.shape[1]
    features = np.empty((len(A), n_components), dtype=A.dtype)
    np.cos(A, out=features[:, :m])
    np.sin(A[:, : n_components - m], out=features[:, m:])
    features *= A.dtype.type(np.sqrt(2 / n_components))
    return features


def arc_cosine(degree: int) -> Unit:
    """Return ``sqrt(2) max(a, 0)^degree``, whose kernel is the arc-cosine kernel (Cho & Saul 2009, eq. 1).

    Parameters
    ----------
    degree : int
        0 for threshold units, 1 for rectified linear ones, and so on.
    """

    def unit(A: Array) -> Array:
        if degree == 0:
            return np.where(A > 0, A.dtype.type(np.sqrt(2)), A.dtype.type(0))
        np.maximum(A, 0, out=A)
        return np.sqrt(A.dtype.type(2)) * A**degree

    return unit


def activation(name: str) -> Unit:
    """Return an activation, a link's or one of `BESIDE_LINKS`; its kernel is ``E[f(u) f(u')]`` of a wide layer.

    Raises
    ------
    ValueError
        If there is no activation of this name, or it does not map a real number to one.
    """
    if name in BESIDE_LINKS:
        return BESIDE_LINKS[name]
    link = links.get(name)
    if not link.elementwise or link.eta_domain != links.REAL:
        raise ValueError(f"kernel={name!r} does not map every real number to one; choose another activation.")

    def unit(A: Array) -> Array:
        a = pt.matrix("a", dtype=str(A.dtype))
        return evaluate([link.inverse(a)], {a: A})[0]

    return unit


def mean_of_units(A: Array, unit: Unit) -> Array:
    """Return ``f(A) / sqrt(m)`` (n, m), so that inner products are means over the m directions."""
    return unit(A) / np.sqrt(A.dtype.type(A.shape[1]))
