"""States of linear-Gaussian models: the Kalman filter in square-root form with an exact diffuse start.

``y_t = d_t + Z a_t + e_t``, e ~ N(0, H); ``a_{t+1} = c_t + T a_t + w_t``, w ~ N(0, V); ``a_1 ~ N(a1, P1)`` plus a part
of infinite variance. The state given the rows so far is kept as ``a + S u + A delta`` with u ~ N(0, I) and delta flat
but for what the rows say, ``R delta ~ N(q, I)`` (de Jong 1991). Covariances are propagated by orthogonal
transformations of their factors S (Morf & Kailath 1975) and of R: nothing is subtracted, so they cannot become
indefinite. As soon as the rows determine delta it is absorbed in a and S.

Likelihoods and gradients: `reglm.ops.kalman`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from reglm.ops.kalman_numpy import System
from reglm.parameters import Array

UNDETERMINED = 1e-9
"""Share of a direction's length that lies where the rows say nothing, from which on its variance is infinite."""


class Moments(NamedTuple):
    """Means and covariances of all rows; NaN and infinite variances where the rows say nothing yet.

    Parameters
    ----------
    mean : ndarray (n, k)
    cov : ndarray (n, k, k)
    """

    mean: Array
    cov: Array


class Belief(NamedTuple):
    """A state as ``a + S u + A delta`` with ``R delta ~ N(q, I)``.

    Parameters
    ----------
    a : ndarray (m,)
    S : ndarray (m, m)
    A : ndarray (m, f)
        f is 0 once the rows determine the start.
    R : ndarray (f, f)
        Upper triangular.
    q : ndarray (f,)
    """

    a: Array
    S: Array
    A: Array
    R: Array
    q: Array


class Filtered(NamedTuple):
    """What the filter finds.

    Parameters
    ----------
    predicted : Moments
        Of the state at t given the rows before t.
    filtered : Moments
        Of the state at t given the rows up to t.
    forecast : Moments
        Of the row y_t given the rows before t.
    residuals : ndarray (n, p)
        Standardised one-step prediction errors: independent standard normal under the model, numbers of a row in their
        order. NaN where y is unobserved or the rows before do not determine its forecast.
    beliefs : list of Belief
        Of the state at t given the rows before t.
    """

    predicted: Moments
    filtered: Moments
    forecast: Moments
    residuals: Array
    beliefs: list[Belief]


def upper(M: Array) -> Array:
    """Upper triangular R with ``R'R = M'M``, by QR."""
    return np.asarray(np.linalg.qr(M, mode="r"))


def lower(M: Array) -> Array:
    """Lower triangular L with ``L L' = M M'``."""
    return upper(M.T).T


def root(C: Array) -> Array:
    """Return a factor G (m, rank) of a positive semidefinite matrix, ``G G' = C``.

    Raises
    ------
    ValueError
        If it is not positive semidefinite.
    """
    values, vectors = np.linalg.eigh((C + C.T) / 2)
    largest = values.max(initial=0.0)
    if values.min(initial=0.0) < -1e-10 * max(largest, 1e-300):
        raise ValueError(f"a covariance matrix has the negative eigenvalue {values.min():.3g}.")
    kept = values > 1e-15 * largest
    return vectors[:, kept] * np.sqrt(values[kept])


def start(system: System, P1_inf: Array) -> Belief:
    """Belief about the first state."""
    m, A = len(system.a1), root(P1_inf)
    S = np.zeros((m, m))
    proper = root(system.P1)
    S[:, : proper.shape[1]] = proper
    f = A.shape[1]
    return Belief(system.a1, S, A, np.zeros((f, f)), np.zeros(f))


def moments(belief: Belief, M: Array | None = None) -> tuple[Array, Array]:
    """Mean (k,) and covariance (k, k) of ``M a_t``, of the state itself by default."""
    a, S, A = belief[:3] if M is None else (M @ belief.a, M @ belief.S, M @ belief.A)
    return combine(a, S, A, belief.R, belief.q)


def combine(a: Array, S: Array, A: Array, R: Array, q: Array) -> tuple[Array, Array]:
    """Mean and covariance of ``a + S u + A delta``, infinite in directions of delta that R leaves open."""
    cov = S @ S.T
    if not A.shape[1]:
        return a, cov
    U, size, right = np.linalg.svd(R)
    known = size > UNDETERMINED * size.max(initial=1e-300)
    spread = (A @ right.T)[:, known] / size[known]
    length = np.sqrt((A**2).sum(axis=1))
    open_ = np.sqrt(((A @ right.T)[:, ~known] ** 2).sum(axis=1)) > UNDETERMINED * np.maximum(length, 1e-300)
    mean, cov = a + spread @ (U.T @ q)[known], cov + spread @ spread.T
    cov[open_], cov[:, open_] = np.nan, np.nan
    cov[open_, open_] = np.inf
    return np.where(open_, np.nan, mean), cov


def kalman_filter(y: Array, system: System, P1_inf: Array) -> Filtered:
    """Filter one sequence.

    Parameters
    ----------
    y : ndarray (n, p)
        NaN is unobserved.
    system : reglm.ops.kalman_numpy.System
        d and c of these rows.
    P1_inf : ndarray (m, m)
        Diffuse part of the covariance of the start.

    Returns
    -------
    Filtered

    Raises
    ------
    ValueError
        If H is not positive definite, or V, P1 or P1_inf are not positive semidefinite.
    """
    noise, error = root(system.V), error_factor(system.H)
    belief, beliefs = start(system, P1_inf), []
    before, after, rows = [], [], []
    residuals = np.full(y.shape, np.nan)
    for t in range(len(y)):
        beliefs.append(belief)
        before.append(moments(belief))
        mean, cov = moments(belief, system.Z)
        rows.append((system.d[t] + mean, cov + system.H))
        e, seen = y[t] - system.d[t], np.flatnonzero(~np.isnan(y[t]))
        if len(seen):
            belief, residuals[t, seen] = _update(belief, e[seen], system.Z[seen], lower(error[seen]))
        after.append(moments(belief))
        T = system.T
        S = lower(np.hstack([T @ belief.S, noise]))
        belief = belief._replace(a=system.c[t] + T @ belief.a, S=S, A=T @ belief.A)
    return Filtered(_stacked(before), _stacked(after), _stacked(rows), residuals, beliefs)


def _stacked(found: list[tuple[Array, Array]]) -> Moments:
    mean, cov = zip(*found, strict=True)
    return Moments(np.array(mean), np.array(cov))


def error_factor(H: Array) -> Array:
    """Lower triangular factor of H (p, p); raises ValueError where it is singular."""
    try:
        return np.linalg.cholesky(H)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"H has the smallest eigenvalue {np.linalg.eigvalsh(H)[0]:.3g}: states are filtered where every row has an "
            "error of positive variance. Give it a small one."
        ) from None


def _update(belief: Belief, e: Array, Z: Array, error: Array) -> tuple[Belief, Array]:
    """Belief after the numbers e (less d) of a row have been read, and their standardised errors."""
    a, S, A, R, q = belief
    k, m = len(e), len(a)
    joint = lower(np.block([[error, Z @ S], [np.zeros((m, k)), S]]))
    F, gain, S = joint[:k, :k], joint[k:, :k], joint[k:, k:]
    v = solve_triangular(F, e - Z @ a, lower=True)
    if not A.shape[1]:
        return Belief(a + gain @ v, S, A, R, q), v * np.sign(np.diag(F))
    E = solve_triangular(F, Z @ A, lower=True)
    f = A.shape[1]
    stacked = upper(np.vstack([np.column_stack([R, q]), np.column_stack([E, v])]))
    R, q = np.zeros((f, f)), np.zeros(f)
    R[: len(stacked)], q[: len(stacked)] = stacked[:f, :f], stacked[:f, f]
    return collapse(Belief(a + gain @ v, S, A - gain @ E, R, q)), np.full(k, np.nan)


def collapse(belief: Belief) -> Belief:
    """Absorb delta in the mean and the factor of the state, if the rows determine it."""
    a, S, A, R, q = belief
    size = np.abs(np.diag(R))
    if np.linalg.cond(R) > 1 / UNDETERMINED or not size.all():
        return belief
    spread = solve_triangular(R, A.T, trans="T").T
    nothing = np.zeros(0)
    return Belief(a + spread @ q, lower(np.hstack([S, spread])), A[:, :0], np.zeros((0, 0)), nothing)
