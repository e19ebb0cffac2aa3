"""Variances of linear functions of the estimates without forming the information, for very many parameters.

``C V C'`` needs ``(H + P)^-1 C'`` only: conjugate gradients on products with the information (Hestenes & Stiefel
1952), each of the cost of a few gradients, preconditioned by its diagonal in expectation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from reglm.inference.caveats import not_stationary
from reglm.inference.covariances import checked_kind, observed_numbers
from reglm.inference.information import identified, in_double
from reglm.inference.sandwich import POWERS, group_codes, meat, small_sample_factor
from reglm.inference.scores import designs
from reglm.inference.units import estimable
from reglm.jacobian import GaussNewton, blocks
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit

Product = Callable[[Array], Array]
MOST_ITERATIONS = 20
"""Iterations of conjugate gradients for each parameter: exact arithmetic needs one."""


def covariance_of(
    fit: Fit,
    contrasts: Array,
    kind: str | None = None,
    *,
    information: str | None = None,
    groups: Any = None,
    use_correction: bool = True,
    tol: float = 1e-10,
) -> Array:
    """Covariance ``C V C'`` (q, q) of linear functions of theta, without forming V.

    Parameters
    ----------
    fit : Fit
    contrasts : ndarray (q, P)
        C; columns of aliased parameters have to be zero.
    kind, information, groups, use_correction
        As in `reglm.inference.covariances.estimate`; HC2 and HC3 need leverages and so all of V.
    tol : float
        Largest residual of each system, relative to its right-hand side.

    Raises
    ------
    ValueError
        If standard errors mean nothing for this fit, or the information is not positive definite.
    """
    kind, information = checked_kind(fit, kind, information, groups)
    refusal = not_stationary(fit)
    if refusal or fit.data is None:
        raise ValueError(f"no standard errors: {refusal}")
    if POWERS.get(kind, 0.0):
        raise ValueError(
            f"cov={kind!r} divides by 1 - leverage, which takes all of V; use HC0, HC1 or inference({kind!r})."
        )
    exact = in_double(fit)
    data = exact.data
    assert data is not None
    aliased, kept = identified(exact, data)[0], estimable(exact, data)
    if np.any(contrasts[:, aliased]):
        raise ValueError("contrasts: a parameter that others determine is not estimable; leave it out.")
    C, product, penalty = contrasts[:, kept], product_with(exact, data, kept, information), exact.penalty[kept]
    diagonal = expected_diagonal(exact, data)[kept] + penalty
    B = np.stack([conjugate_gradients(lambda v: product(v) + penalty * v, c, diagonal, tol) for c in C], axis=1)
    if kind in POWERS or kind == "cluster":
        codes, count = (None, 0) if groups is None else group_codes(groups, data)
        M = meat(exact, data, kept, B, 0.0, codes)
        assert M is not None
        return M * small_sample_factor(kind, observed_numbers(fit), len(kept), count if use_correction else 0)
    V = C @ B
    return fit.dispersion * ((V + V.T) / 2 - (B.T @ (penalty[:, None] * B) if kind == "frequentist" else 0.0))


def product_with(fit: Fit, data: Data, kept: Array, information: str) -> Product:
    """Product of the information of the likelihood at dispersion 1 with a vector (Q,) of kept parameters."""
    whole: Product
    if information == "expected":
        whole = GaussNewton(fit.likelihood, fit.theta, data)
    else:

        def whole(v: Array) -> Array:
            return fit.likelihood.hessp(fit.theta, data, v)

    padded = np.zeros(len(fit.theta))

    def product(v: Array) -> Array:
        padded[kept] = v
        return whole(padded)[kept]

    return product


def expected_diagonal(fit: Fit, data: Data) -> Array:
    """Diagonal of ``J' W J`` (P,); ones for parameters of which J knows nothing."""
    likelihood, total = fit.likelihood, np.zeros(len(fit.theta))
    for rows in blocks(likelihood, data):
        part = data.rows(rows)
        J = designs(likelihood, fit.theta, part)
        W = likelihood.working(fit.theta, part).information
        total += np.einsum("knp,nkm,mnp->p", J, W, J, optimize=True)
    return np.where(total > 0, total, 1.0)


def conjugate_gradients(product: Product, b: Array, diagonal: Array, tol: float) -> Array:
    """Solve ``A x = b`` for positive definite A, preconditioned by a diagonal.

    Raises
    ------
    ValueError
        If A is not positive definite, or so nearly singular that the solution is out of reach.
    """
    x, r = np.zeros_like(b), b.copy()
    z = r / diagonal
    p, rz = z.copy(), float(r @ z)
    for _ in range(MOST_ITERATIONS * len(b)):
        if np.linalg.norm(r) <= tol * np.linalg.norm(b):
            return x
        Ap = product(p)
        curvature = float(p @ Ap)
        if not curvature > 0:
            raise ValueError("no standard errors: the information is not positive definite.")
        step = rz / curvature
        x += step * p
        r -= step * Ap
        z = r / diagonal
        p, rz = z + (float(r @ z) / rz) * p, float(r @ z)
    raise ValueError(f"no standard errors: the information is too nearly singular to solve with to tol={tol:g}.")
