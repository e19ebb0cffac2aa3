"""Informations of a fit and their inverse factors.

A factor F has ``F F' = H^-1`` for the information H of the objective at dispersion 1, penalty included.
Factors keep the condition number at that of J; J'J would square it (Golub & Van Loan 2013, section 5.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

import numpy as np
from scipy import linalg

from reglm.jacobian import blocks, fisher, jacobian
from reglm.likelihood import Data, Likelihood
from reglm.optimize.crossproduct import normal_equations
from reglm.optimize.irls import CONDITION_LIMIT
from reglm.optimize.least_squares import solve_columns, solve_normal, weighted_qr_step
from reglm.parameters import Array
from reglm.record import Fit

SMALLEST_EIGENVALUE = 1e-10
"""Below this share of the largest, an eigenvalue of the scaled observed information counts as zero."""


def in_double(fit: Fit) -> Fit:
    """Return the fit in double precision, in which derivatives are taken whatever the fit used."""
    old, data = fit.likelihood, fit.data
    if old.dtype == "float64" or data is None:
        return fit
    new = Likelihood(
        old.network,
        old.family,
        old.link,
        backend=old.backend,
        is_sparse=old.is_sparse,
        shape_specs=old.shape_specs,
    )
    new.buffers = {name: value.astype(new.buffers[name].dtype) for name, value in old.buffers.items()}
    exact = Data(*(part.astype("float64") for part in data))
    return replace(fit, likelihood=new, theta=fit.theta.astype("float64"), data=exact)


# -- expected information: J' W J -------------------------------------------------------------------------


def expected_factor(fit: Fit, data: Data, kept: Array) -> Array | None:
    """F (Q, Q) for the kept parameters from the expected information; None if that is singular.

    The cross-product is formed where its condition allows, an orthogonal reduction of the rows else.
    """
    if fit.is_linear and fit.likelihood.network.outputs() == 1:
        return linear_factor(fit, data, kept)
    G = fisher(fit.likelihood, fit.theta, data)[1][np.ix_(kept, kept)] + np.diag(fit.penalty[kept])
    if well_conditioned(G):
        return inverse_cholesky(G)
    rows = chain(weighted_rows(fit, data), [np.diag(np.sqrt(fit.penalty))])
    return inverse_root(triangular_root((block[:, kept] for block in rows), len(kept)))


def linear_factor(fit: Fit, data: Data, kept: Array) -> Array | None:
    """`expected_factor` for one linear predictor, without forming J: X is J."""
    intercept = "output.b" in fit.likelihood.layout.slices
    penalty = fit.penalty[: data.X.shape[1] + intercept]  # the family's shape parameters come after it
    w = fit.likelihood.working(fit.theta, data).information[:, 0, 0]
    if np.all(np.isfinite(w)):
        G = normal_equations(data.X, w, None, intercept)[0] + np.diag(penalty)
        G = G[np.ix_(kept, kept)]
        if well_conditioned(G):
            return inverse_cholesky(G)
    return inverse_root(weighted_qr_step(data.X, w, np.zeros_like(w), intercept, penalty).R[:, kept])


def inverse_cholesky(G: Array) -> Array:
    """Triangular F with ``F F' = G^-1`` for a well-conditioned cross-product."""
    return np.asarray(linalg.lapack.dtrtri(linalg.cholesky(G))[0])


def well_conditioned(G: Array) -> bool:
    """Whether a cross-product, its columns scaled, is safe to work with."""
    return solve_normal(G, np.zeros(len(G)))[1] <= CONDITION_LIMIT


def inverse_root(R: Array) -> Array | None:
    """F with ``F F' = (R'R)^-1``; None if that is singular to working accuracy."""
    size = R.shape[1]
    length = np.linalg.norm(R, axis=0)
    if not np.all(np.isfinite(R)) or np.any(length == 0) or len(R) < size:
        return None
    singular = linalg.svdvals(R / length)
    if singular[-1] < np.sqrt(size) * np.finfo(float).eps * singular[0]:
        return None
    triangle = np.linalg.qr(R / length)[1]
    return linalg.solve_triangular(triangle, np.eye(size)) / length[:, None]


def weighted_rows(fit: Fit, data: Data) -> Iterator[Array]:
    """Yield blocks (rows K, P) of ``W^(1/2) J``; their cross-product is the information at dispersion 1."""
    likelihood = fit.likelihood
    K = likelihood.network.outputs()
    for rows in blocks(likelihood, data):
        part = data.rows(rows)
        J = np.stack([jacobian(likelihood, fit.theta, part, k) for k in range(K)])
        root = _root(likelihood.working(fit.theta, part).information)
        yield np.einsum("irk,kip->irp", root, J, optimize=True).reshape(-1, J.shape[2])


def _root(W: Array) -> Array:
    """R (n, K, K) with R'R = W for symmetric, positive semi-definite W."""
    if W.shape[1] == 1:
        return np.sqrt(W)
    values, vectors = np.linalg.eigh(W)
    return np.sqrt(np.maximum(values, 0.0))[:, :, None] * vectors.transpose(0, 2, 1)


def triangular_root(rows: Iterable[Array], size: int) -> Array:
    """R (at most P, P) of the QR decomposition of stacked blocks of rows."""
    R: Array = np.zeros((0, size))
    for block in rows:
        R = np.asarray(np.linalg.qr(np.concatenate([R, block]), mode="r"))
    return R


# -- observed information: the Hessian --------------------------------------------------------------------


def observed_factor(fit: Fit, data: Data, kept: Array) -> Array | None:
    """F (Q, Q) for the kept parameters from the exact Hessian; None unless that is positive definite."""
    H = fit.likelihood.hessian(fit.theta, data)[np.ix_(kept, kept)] + np.diag(fit.penalty[kept])
    diagonal = np.diag(H)
    if not np.all(np.isfinite(H)) or np.any(diagonal <= 0):
        return None
    if well_conditioned(H):
        return inverse_cholesky(H)
    scale = 1.0 / np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(scale[:, None] * H * scale)
    if values[0] <= SMALLEST_EIGENVALUE * values[-1]:
        return None
    return scale[:, None] * vectors / np.sqrt(values)


# -- rank of a linear predictor ---------------------------------------------------------------------------


def identified(fit: Fit, data: Data) -> tuple[Array, Array]:
    """Aliased parameters (P,), and theta (P,) with those at NaN and their share moved to the ones that stay.

    Only linear predictors are looked at. A column of X is aliased if the intercept and the columns before it
    determine it; R's `glm` drops the same ones. A penalty determines what it reaches: penalised columns stay.
    """
    layout = fit.likelihood.layout
    aliased, theta = np.zeros(layout.size, dtype=bool), fit.theta.astype("float64")
    if not fit.is_linear:
        return aliased, theta
    intercept = "output.b" in layout.slices
    positions = _by_output(fit, intercept)
    seen = (data.weights[:, 0] > 0).astype("float64")
    penalty = fit.penalty[positions[:, 0]]
    if well_conditioned(normal_equations(data.X, seen, None, intercept)[0] + np.diag(penalty)):
        return aliased, theta
    root = weighted_qr_step(data.X, seen, np.zeros_like(seen), intercept, penalty)
    if root.aliased.any():
        kept, dropped = positions[~root.aliased], positions[root.aliased]
        for k in range(positions.shape[1]):
            theta[kept[:, k]] += solve_columns(root.R[:, ~root.aliased], root.R[:, root.aliased] @ theta[dropped[:, k]])
        aliased[dropped] = True
        theta[dropped] = np.nan
    return aliased, theta


def _by_output(fit: Fit, intercept: bool) -> Array:
    """Positions in theta (p [+ 1], K) of the coefficients of each linear predictor, intercept last."""
    layout = fit.likelihood.layout
    views = layout.views(np.arange(layout.size))
    weights = views["output.W"]
    return np.concatenate([weights, views["output.b"][None, :]]) if intercept else weights
