"""Gaussian likelihood of linear state-space models and its gradient, in NumPy.

Rows are read one number at a time (Koopman & Durbin 2000), so that nothing is inverted, entries of a row may be
missing and the exact diffuse start needs divisions by scalars only (Koopman & Durbin 2003). A row whose errors are
correlated is first multiplied by the inverse of the unit triangular factor of H.

In a diffuse phase every quantity is a series in the variance kappa of the start, of which the terms that survive in the
limit are kept: ``P = P* + kappa P_inf`` forwards, ``r0 + r1 / kappa`` and ``N0 + N1 / kappa`` backwards, each pair
stacked along a first axis of length 2.

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
    k : ndarray (2, m)
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
    P, filtered_P : ndarray (2, m, m)
    observed : ndarray of int (q,)
        Numbers of the row that are there.
    L : ndarray (q, q)
        Unit triangular factor of their errors' covariance.
    steps : list of Step (q,)
    """

    a: Array
    P: Array
    filtered_a: Array
    filtered_P: Array
    observed: Array
    L: Array
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
    a, P = s.a1, np.stack([s.P1, P1_inf.astype(s.P1.dtype)])
    limit = DIFFUSE * np.abs(P1_inf).max(initial=0.0)
    for t in range(start, stop):
        before, steps = (a, P), []
        observed, e, Z, h, L = decorrelate(y[t] - s.d[t], s.Z, s.H)
        for i in range(len(observed)):
            step, P, density = _read(e[i] - Z[i] @ a, Z[i], h[i], P, limit)
            a = a + step.k[0] * step.v
            value += density
            steps.append(step)
        rows.append(Row(*before, a, P, observed, L, steps))
        a, P = s.c[t] + s.T @ a, s.T @ P @ s.T.T
        P[0] += s.V
    return value, rows


def decorrelate(e: Array, Z: Array, H: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Observed numbers of a row and their loadings with errors made independent.

    Returns
    -------
    observed : ndarray of int (q,)
    e : ndarray (q,)
    Z : ndarray (q, m)
    h : ndarray (q,)
        Variances of the errors.
    L : ndarray (q, q)
        Unit lower triangular: ``L @ e`` and ``L @ Z`` are those that were given.
    """
    observed = np.flatnonzero(~np.isnan(e.real))
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
    M, M_inf = P @ z
    F, F_inf = z @ M + h, z @ M_inf
    if F_inf.real > limit * (z.real @ z.real):
        k0 = M_inf / F_inf
        k1 = (M - k0 * F) / F_inf
        after = P - np.stack([np.outer(k0, M) + np.outer(k1, M_inf), np.outer(k0, M_inf)])
        if np.abs(after[1].real).max() <= limit:
            after[1] = 0.0
        return Step(z, v, np.stack([k0, k1]), (0.0, 1 / F_inf)), after, -0.5 * (LOG_TWO_PI + np.log(F_inf))
    if not F.real > 0:
        return Step(z, v, np.zeros_like(P[0][:2]), (0.0, 0.0)), P, -np.inf
    k = np.stack([M / F, np.zeros_like(M)])
    after = P - np.stack([np.outer(k[0], M), np.zeros_like(P[1])])
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
    system = system.symmetric()
    total = System(*(np.zeros(x.shape, np.result_type(x, g)) for x in system))
    for weight, (start, stop) in zip(g, itertools.pairwise(edges), strict=True):
        _smooth(y, start, stop, P1_inf, system, weight, total)
    return total


def _smooth(y: Array, start: int, stop: int, P1_inf: Array, s: System, g: complex, total: System) -> None:
    """Add the gradient of one sequence: r (2, m) and N (2, m, m) go backwards."""
    _, rows = _filter(y, start, stop, P1_inf, s)
    m = len(s.a1)
    r, N = np.zeros((2, m), s.Z.dtype), np.zeros((2, m, m), s.Z.dtype)
    for t in range(stop - 1, start - 1, -1):
        row = rows[t - start]
        if t < stop - 1:
            S = _curvature(r, N)
            total.c[t] += g * r[0]
            total.V[:] += g / 2 * S[0]
            total.T[:] += g * (np.outer(r[0], row.filtered_a) + (S @ s.T @ row.filtered_P).sum(axis=0))
            r, N = r @ s.T, s.T.T @ N @ s.T
        u, D = np.zeros(len(row.steps), s.Z.dtype), np.zeros(row.L.shape, s.Z.dtype)
        G: list[Array] = []
        for i in range(len(row.steps) - 1, -1, -1):
            r, N, u[i], G = _unread(row.steps[i], i, r, N, D, G)
        back = np.linalg.inv(row.L).T
        u, D = back @ u, back @ D @ back.T
        o = row.observed
        total.d[t, o] += g * u
        total.H[np.ix_(o, o)] += g / 2 * (np.outer(u, u) - D)
        if len(o):
            smoothed = row.a + (row.P @ r[:, :, None]).sum(axis=0)[:, 0]
            loadings = np.einsum("jsm,smk->jk", np.stack(G[::-1]), row.P)
            total.Z[o] += g * (np.outer(u, smoothed) - back @ loadings)
    total.a1[:] += g * r[0]
    total.P1[:] += g / 2 * _curvature(r, N)[0]


def _curvature(r: Array, N: Array) -> Array:
    """Terms of ``r r' - N``, (2, m, m)."""
    cross = np.outer(r[0], r[1])
    return np.stack([np.outer(r[0], r[0]), cross + cross.T]) - N


def _unread(
    step: Step, i: int, r: Array, N: Array, D: Array, G: list[Array]
) -> tuple[Array, Array, complex, list[Array]]:
    """Go back over one number: r, N and u before it; fill row and column i of D = -du/dd and extend G = -du/da."""
    z, v, (k0, k1), (inverse, inverse1) = step
    u = v * inverse - k0 @ r[0]
    u1 = v * inverse1 - k0 @ r[1] - k1 @ r[0]
    N0k0, N0k1, N1k0 = N[0] @ k0, N[0] @ k1, N[1] @ k0
    D[i, i] = inverse + k0 @ N0k0
    for below, other in zip(G, range(len(D) - 1, i, -1), strict=True):
        D[i, other] = D[other, i] = -below[0] @ k0
    G = [_before(below, z, k0, k1) for below in G]
    own0 = z * inverse - (N0k0 - z * (k0 @ N0k0))
    own1 = z * inverse1 - (N0k1 + N1k0) + z * (k0 @ (N0k1 + N1k0) + k1 @ N0k0)
    before = [np.outer(z, z) * inverse, np.outer(z, z) * inverse1]
    L0, L1 = np.eye(len(z)) - np.outer(k0, z), -np.outer(k1, z)
    cross = L0.T @ N[0] @ L1
    N = np.stack([before[0] + L0.T @ N[0] @ L0, before[1] + L0.T @ N[1] @ L0 + cross + cross.T])
    return r + np.outer((u, u1), z), N, u, [*G, np.stack([own0, own1])]


def _before(g: Array, z: Array, k0: Array, k1: Array) -> Array:
    """Take the derivatives g (2, m) with respect to the state back over one number."""
    return np.stack([g[0] - z * (k0 @ g[0]), g[1] - z * (k0 @ g[1] + k1 @ g[0])])


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
    gradient = pullback(y, edges, P1_inf, moved, g)
    values = log_likelihood(y, edges, P1_inf, moved)
    return System(*(x.imag / STEP for x in gradient)), values.imag / STEP
