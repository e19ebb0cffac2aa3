"""Gaussian likelihood of linear state-space models and its gradient, in NumPy.

Rows are read one number at a time (Koopman & Durbin 2000), so that nothing is inverted, entries of a row may be
missing and the exact diffuse start needs divisions by scalars only (Koopman & Durbin 2003). A row whose errors are
correlated is first multiplied by the inverse of the unit triangular factor of H.

In a diffuse phase every quantity is a series in the variance kappa of the start, of which the terms that survive in the
limit are kept: ``P = P* + kappa P_inf`` forwards, ``r0 + r1 / kappa`` and ``N0 + N1 / kappa`` backwards, each pair
stacked along a first axis of length 2. That axis has length 1 once nothing is diffuse any more.

All functions are analytic in the system, which may be complex: a complex step gives exact directional derivatives.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

Array = np.ndarray

DIFFUSE = 1e-10
"""A share of the diffuse variance below which there is none."""
STEP = 1e-30
"""Complex step: nothing is subtracted, so the smaller the better."""
LOG_TWO_PI = 1.8378770664093453


class System(NamedTuple):
    """What the likelihood is differentiated with respect to, or derivatives of the same shapes.

    ``y_t = d_t + Z a_t + e_t``, e ~ N(0, H); ``a_{t+1} = c_t + T a_t + w_t``, w ~ N(0, V); ``a_1 ~ N(a1, P1)``.

    Parameters
    ----------
    d : ndarray (n, p)
    c : ndarray (n, m)
        The last row of each sequence is not used.
    Z : ndarray (p, m)
    H : ndarray (p, p)
    T, V : ndarray (m, m)
    a1 : ndarray (m,)
    P1 : ndarray (m, m)
    """

    d: Array
    c: Array
    Z: Array
    H: Array
    T: Array
    V: Array
    a1: Array
    P1: Array

    def symmetric(self) -> System:
        """Return the system with covariances as their symmetric parts."""
        return self._replace(**{name: (M + M.T) / 2 for name in ("H", "V", "P1") if (M := getattr(self, name)).size})


class Step(NamedTuple):
    """One number that was read: its loading, prediction error, gain and the inverse of its variance.

    Parameters
    ----------
    z : ndarray (m,)
    v : scalar
    k : ndarray (1, m) or (2, m)
        ``k[0] + k[1] / kappa``.
    inverse : (2,)
        ``inverse[0] + inverse[1] / kappa``.
    """

    z: Array
    v: complex
    k: Array
    inverse: tuple[complex, complex]


class Row(NamedTuple):
    """One row that was read: the state predicted and filtered (P stacks P* and P_inf), and what was read.

    Parameters
    ----------
    a, filtered_a : ndarray (m,)
    P, filtered_P : ndarray (1, m, m) or (2, m, m)
    observed : ndarray of int (q,)
        Numbers of the row that are there.
    L : ndarray (q, q) or None
        Unit triangular factor of their errors' covariance; None if they are independent.
    steps : list of Step (q,)
    """

    a: Array
    P: Array
    filtered_a: Array
    filtered_P: Array
    observed: Array
    L: Array | None
    steps: list[Step]


def log_likelihood(y: Array, edges: Array, P1_inf: Array, system: System) -> Array:
    """Log-likelihood of each sequence.

    Parameters
    ----------
    y : ndarray (n, p)
        NaN is unobserved.
    edges : ndarray of int (S + 1,)
        First row of each sequence, and n.
    P1_inf : ndarray (m, m)
        Diffuse part of the covariance of the start.
    system : System

    Returns
    -------
    ndarray (S,)
        Minus infinity where an observation has no variance. With a diffuse start that of Durbin & Koopman (2012, sec.
        7.2.2).
    """
    system = system.symmetric()
    return np.array([_filter(y, a, b, P1_inf, system)[0] for a, b in itertools.pairwise(edges)])


def _filter(y: Array, start: int, stop: int, P1_inf: Array, s: System) -> tuple[complex, list[Row]]:
    """Log-likelihood of the rows start:stop, and what the smoother needs of each."""
    value: complex = 0.0
    rows: list[Row] = []
    limit = DIFFUSE * np.abs(P1_inf).max(initial=0.0)
    a, P = s.a1, np.stack([s.P1, P1_inf.astype(s.P1.dtype)]) if limit else s.P1[None]
    independent = not (s.H - np.diag(np.diag(s.H))).any()
    for t in range(start, stop):
        before, steps = (a, P), []
        observed, e, Z, h, L = decorrelate(y[t] - s.d[t], s.Z, s.H, independent)
        for i in range(len(observed)):
            step, P, density = _read(e[i] - Z[i] @ a, Z[i], h[i], P, limit)
            a = a + step.k[0] * step.v
            value += density
            steps.append(step)
        rows.append(Row(*before, a, P, observed, L, steps))
        a, P = s.c[t] + s.T @ a, s.T @ P @ s.T.T
        P[0] += s.V
    return value, rows


def decorrelate(e: Array, Z: Array, H: Array, independent: bool) -> tuple[Array, Array, Array, Array, Array | None]:
    """Observed numbers of a row and their loadings with errors made independent.

    Returns
    -------
    observed : ndarray of int (q,)
    e : ndarray (q,)
    Z : ndarray (q, m)
    h : ndarray (q,)
        Variances of the errors.
    L : ndarray (q, q) or None
        Unit lower triangular: ``L @ e`` and ``L @ Z`` are those that were given.
    """
    observed = np.flatnonzero(~np.isnan(e.real))
    if independent:
        return observed, e[observed], Z[observed], np.diag(H)[observed], None
    L, h = factor(H[np.ix_(observed, observed)])
    inverse = np.linalg.inv(L)
    return observed, inverse @ e[observed], inverse @ Z[observed], h, L


def factor(H: Array) -> tuple[Array, Array]:
    """Unit lower triangular L and h (q,) with ``H = L diag(h) L'``; H may be singular."""
    L, h = np.eye(len(H), dtype=H.dtype), np.zeros(len(H), H.dtype)
    for j in range(len(H)):
        h[j] = H[j, j] - (L[j, :j] ** 2 * h[:j]).sum()
        if h[j].real > 0:
            L[j + 1 :, j] = (H[j + 1 :, j] - L[j + 1 :, :j] @ (h[:j] * L[j, :j])) / h[j]
    return L, h


def _read(v: complex, z: Array, h: complex, P: Array, limit: float) -> tuple[Step, Array, complex]:
    """Read one number: its step, the covariances after it, its log-density."""
    M = P @ z
    F, F_inf = z @ M[0] + h, z @ M[1] if len(P) == 2 else 0.0
    if F_inf.real > limit * (z.real @ z.real):
        k0 = M[1] / F_inf
        k1 = (M[0] - k0 * F) / F_inf
        after = P - np.stack([np.outer(k0, M[0]) + np.outer(k1, M[1]), np.outer(k0, M[1])])
        if np.abs(after[1].real).max() <= limit:
            after = after[:1]
        return Step(z, v, np.stack([k0, k1]), (0.0, 1 / F_inf)), after, -0.5 * (LOG_TWO_PI + np.log(F_inf))
    if not F.real > 0:
        return Step(z, v, 0 * M[:1], (0.0, 0.0)), P, -np.inf
    k = M[:1] / F
    after = (P[0] - k.T * M[0])[None]
    if len(P) == 2:
        after = np.concatenate([after, P[1:]])
    return Step(z, v, k, (1 / F, 0.0)), after, -0.5 * (LOG_TWO_PI + np.log(F) + v * v / F)


def pullback(y: Array, edges: Array, P1_inf: Array, system: System, g: Array) -> System:
    """Gradient of ``g' log_likelihood``: the disturbance smoother (Koopman & Shephard 1992).

    Parameters
    ----------
    y, edges, P1_inf, system
        See `log_likelihood`.
    g : ndarray (S,)

    Returns
    -------
    System
        Gradients; those of covariances are symmetric, zero where y is unobserved.
    """
    return value_and_gradient(y, edges, P1_inf, system, g)[1]


def value_and_gradient(y: Array, edges: Array, P1_inf: Array, system: System, g: Array) -> tuple[Array, System]:
    """Return `log_likelihood` and `pullback` of one pass over the rows."""
    system = system.symmetric()
    total = System(*(np.zeros(x.shape, np.result_type(x, g)) for x in system))
    values = [
        _smooth(y, start, stop, P1_inf, system, weight, total)
        for weight, (start, stop) in zip(g, itertools.pairwise(edges), strict=True)
    ]
    return np.array(values), total


def _smooth(y: Array, start: int, stop: int, P1_inf: Array, s: System, g: complex, total: System) -> complex:
    """Add the gradient of one sequence and return its value: r (o, m) and N (o, m, m) go backwards."""
    value, rows = _filter(y, start, stop, P1_inf, s)
    r, N = np.zeros_like(rows[-1].filtered_P[:, 0]), np.zeros_like(rows[-1].filtered_P)
    for t in range(stop - 1, start - 1, -1):
        row = rows[t - start]
        if t < stop - 1:
            S = _curvature(r, N)
            total.c[t] += g * r[0]
            total.V[:] += g / 2 * S[0]
            total.T[:] += g * (np.outer(r[0], row.filtered_a) + (S @ s.T @ row.filtered_P).sum(axis=0))
            r, N = r @ s.T, s.T.T @ N @ s.T
        r, N = _row_gradient(row, t, r, N, g, total)
    total.a1[:] += g * r[0]
    total.P1[:] += g / 2 * _curvature(r, N)[0]
    return value


def _row_gradient(row: Row, t: int, r: Array, N: Array, g: complex, total: System) -> tuple[Array, Array]:
    """Add what one row says about d, Z and H, and return r and N before it."""
    q, o = len(row.steps), row.observed
    u, D, G = np.zeros(q, r.dtype), np.zeros((q, q), r.dtype), np.zeros((0, *r.shape), r.dtype)
    for i in range(q - 1, -1, -1):
        if len(row.steps[i].k) > len(r):
            r, N, G = (np.concatenate([x, 0 * x], axis=x.ndim - y) for x, y in ((r, 2), (N, 3), (G, 2)))
        r, N, u[i], G = _unread(row.steps[i], i, r, N, D, G)
    if not q:
        return r, N
    loadings = sum(G[:, j] @ P for j, P in enumerate(row.P))
    if row.L is not None:
        back = np.linalg.inv(row.L).T
        u, D, loadings = back @ u, back @ D @ back.T, back @ loadings
    smoothed = row.a + (row.P @ r[:, :, None]).sum(axis=0)[:, 0]
    total.d[t, o] += g * u
    total.H[np.ix_(o, o)] += g / 2 * (np.outer(u, u) - D)
    total.Z[o] += g * (np.outer(u, smoothed) - loadings)
    return r, N


def _curvature(r: Array, N: Array) -> Array:
    """Terms of ``r r' - N``, (o, m, m)."""
    first = np.outer(r[0], r[0])
    if len(r) == 1:
        return first - N
    cross = np.outer(r[0], r[1])
    return np.stack([first, cross + cross.T]) - N


def _unread(step: Step, i: int, r: Array, N: Array, D: Array, G: Array) -> tuple[Array, Array, complex, Array]:
    """Go back over one number: r, N and u before it, and G = -du/da (numbers, o, m) with that of u itself in front.

    Row and column i of D = -du/dd are filled in.
    """
    z, v, k, (inverse, inverse1) = step
    k0 = k[0]
    N0k0 = N[0] @ k0
    u, D[i, i] = v * inverse - k0 @ r[0], inverse + k0 @ N0k0
    below = G[:, 0] @ k0
    D[i, i + 1 :] = D[i + 1 :, i] = -below
    own = [z * D[i, i] - N0k0]
    cross = np.outer(N0k0, z)
    before, change, shift = [N[0] - cross - cross.T + D[i, i] * np.outer(z, z)], [u], [below]
    if len(r) == 2:
        k1 = k[1] if len(k) == 2 else 0 * k0
        mixed = N[0] @ k1 + N[1] @ k0
        size = inverse1 + k0 @ mixed + k1 @ N0k0
        cross = np.outer(mixed, z)
        own.append(z * size - mixed)
        before.append(N[1] - cross - cross.T + size * np.outer(z, z))
        change.append(v * inverse1 - k0 @ r[1] - k1 @ r[0])
        shift.append(G[:, 1] @ k0 + G[:, 0] @ k1)
    G = G - np.stack(shift, axis=1)[:, :, None] * z
    return r + np.outer(change, z), np.stack(before), u, np.concatenate([np.stack(own)[None], G])


def smoothed(y: Array, edges: Array, system: System) -> tuple[Array, Array]:
    """Means (n, m) and covariances (n, m, m) of the states given all rows of their sequences; no diffuse start.

    The covariances are differences, fit for sums over the rows; `reglm.statespace.linear_gaussian_smoother` works with
    square roots, at several times the cost.
    """
    s = system.symmetric()
    m = len(s.a1)
    mean, cov = np.empty((len(y), m)), np.empty((len(y), m, m))
    for start, stop in itertools.pairwise(edges):
        _, rows = _filter(y, start, stop, np.zeros((m, m)), s)
        r, N = np.zeros(m), np.zeros((m, m))
        for t in range(stop - 1, start - 1, -1):
            row = rows[t - start]
            for step in reversed(row.steps):
                k, z, inverse = step.k[0], step.z, step.inverse[0]
                Nk = N @ k
                r = r + z * (step.v * inverse - k @ r)
                cross = np.outer(Nk, z)
                N = N - cross - cross.T + (inverse + k @ Nk) * np.outer(z, z)
            P = row.P[0]
            mean[t], cov[t] = row.a + P @ r, P - P @ N @ P
            r, N = r @ s.T, s.T.T @ N @ s.T
    return mean, cov


def tangent(y: Array, edges: Array, P1_inf: Array, system: System, g: Array, along: System) -> tuple[System, Array]:
    """Derivatives along a direction of the gradient, and of the log-likelihoods.

    Parameters
    ----------
    y, edges, P1_inf, system, g
        See `pullback`.
    along : System
        The direction.

    Returns
    -------
    System
        ``H v`` for the Hessian H of ``g' log_likelihood``. Where H is singular and has errors that are correlated, its
        factor does not move in directions that would make it regular.
    ndarray (S,)
    """
    moved = System(*(x + 1j * STEP * v for x, v in zip(system, along, strict=True)))
    values, gradient = value_and_gradient(y, edges, P1_inf, moved, g)
    return System(*(x.imag / STEP for x in gradient)), values.imag / STEP
