"""States of linear-Gaussian models given all rows: two filters that meet, in square-root form.

Backwards, what the rows from t on say about the state is ``W a_t ~ N(b, I)`` (an information filter, which needs no
start); forwards, what those before say is a `Belief`. Together they are one least squares problem a row, solved by QR
(Mayne 1966; Kailath, Sayed & Hassibi 2000, sec. 10.4). Neither V nor P1 is inverted, so both may be singular.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from reglm.ops.kalman_numpy import System
from reglm.parameters import Array
from reglm.statespace.linear_gaussian import (
    Belief,
    Filtered,
    Moments,
    combine,
    error_factor,
    kalman_filter,
    lower,
    root,
    upper,
)


def smooth(y: Array, system: System, P1_inf: Array, found: Filtered | None = None) -> Moments:
    """Means and covariances of the states given all rows of a sequence.

    Parameters
    ----------
    y, system, P1_inf
        See `reglm.statespace.linear_gaussian.kalman_filter`, whose errors it raises.
    found : Filtered, optional
        What the filter found, if it has been run.

    Returns
    -------
    Moments
        Mean (n, m), cov (n, m, m); NaN and infinite variances where the rows do not determine a diffuse start.
    """
    beliefs = (found or kalman_filter(y, system, P1_inf)).beliefs
    m = len(system.a1)
    noise, error = root(system.V), error_factor(system.H)
    means, covs = np.empty((len(y), m)), np.empty((len(y), m, m))
    W, b = np.zeros((0, m)), np.zeros(0)
    for t in range(len(y) - 1, -1, -1):
        W, b = _before_transition(W, b, system.c[t], system.T, noise)
        W, b = _with_row(W, b, y[t] - system.d[t], system.Z, error)
        means[t], covs[t] = _meet(beliefs[t], W, b)
    return Moments(means, covs)


def _before_transition(W: Array, b: Array, c: Array, T: Array, noise: Array) -> tuple[Array, Array]:
    """What is known about the state before a transition from what is known after it."""
    if not len(W):
        return W, b
    factor = lower(np.hstack([np.eye(len(W)), W @ noise]))
    return solve_triangular(factor, W @ T, lower=True), solve_triangular(factor, b - W @ c, lower=True)


def _with_row(W: Array, b: Array, e: Array, Z: Array, error: Array) -> tuple[Array, Array]:
    """Add a row to what is known about its state, in at most m equations."""
    seen = np.flatnonzero(~np.isnan(e))
    if not len(seen):
        return W, b
    whitened = solve_triangular(lower(error[seen]), np.column_stack([Z[seen], e[seen]]), lower=True)
    R = upper(np.vstack([np.column_stack([W, b]), whitened]))
    m = W.shape[1]
    return R[:m, :m], R[:m, m]


def _meet(belief: Belief, W: Array, b: Array) -> tuple[Array, Array]:
    """Mean and covariance of the state from both sides."""
    a, S, A, R, q = belief
    m, f = A.shape
    basis = np.hstack([S, A])
    equations = np.vstack([
        np.column_stack([np.eye(m), np.zeros((m, f + 1))]),
        np.column_stack([W @ basis, b - W @ a]),
        np.column_stack([np.zeros((f, m)), R, q]),
    ])  # fmt: skip
    triangle = upper(equations)
    size = m + f
    first, rest = triangle[:m, :m], triangle[m:size, m:size]
    shift = triangle[:size, size]
    # u given delta, then delta: x = a + S u + A delta with first u + cross delta ~ N(shift, I)
    spread = solve_triangular(first, S.T, trans="T").T
    return combine(a + spread @ shift[:m], spread, A - spread @ triangle[:m, m:size], rest, shift[m:])
