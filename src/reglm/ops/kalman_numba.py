"""Likelihood of linear state-space models and its gradient as loops for Numba.

The formulas are those of `reglm.ops.kalman_numpy`, one number at a time; here what the smoother needs lies in arrays of
all rows, so that nothing is allocated on the way.
"""

from __future__ import annotations

import numba
import numpy as np

from reglm.ops.kalman_numpy import DIFFUSE, LOG_TWO_PI

kernel = numba.njit(nogil=True, cache=True, error_model="numpy", no_cfunc_wrapper=True)
part = numba.njit(error_model="numpy", cache=True, no_cfunc_wrapper=True, no_cpython_wrapper=True)


@part
def _copy(x, out):
    """Copy a vector; a loop, since Numba's assignments of arrays take seconds to compile."""
    for i in range(len(x)):
        out[i] = x[i]


@part
def _keep(a, P, out_a, out_P):
    """Copy a state's mean (m,) and covariances (2, m, m)."""
    _copy(a, out_a)
    for o in range(2):
        for i in range(len(a)):
            _copy(P[o, i], out_P[o, i])


@part
def _factor(H, observed, q, L, h):
    """Factor the observed part of H into L diag(h) L', L unit lower triangular."""
    for j in range(q):
        h[j] = H[observed[j], observed[j]]
        for k in range(j):
            h[j] -= L[j, k] * L[j, k] * h[k]
        L[j, j] = 1.0
        for i in range(j + 1, q):
            L[i, j] = 0.0
            if h[j].real > 0:
                L[i, j] = H[observed[i], observed[j]]
                for k in range(j):
                    L[i, j] -= L[i, k] * L[j, k] * h[k]
                L[i, j] /= h[j]


@part
def _decorrelate(y, d, Z, H, observed, L, h, e, loadings):
    """Fill in what one row has to say, errors made independent; return how many numbers are observed."""
    q = 0
    for i in range(len(y)):
        if not np.isnan(y[i]):
            observed[q] = i
            q += 1
    _factor(H, observed, q, L, h)
    for i in range(q):
        e[i] = y[observed[i]] - d[observed[i]]
        for m in range(Z.shape[1]):
            loadings[i, m] = Z[observed[i], m]
        for j in range(i):
            if L[i, j] != 0:
                e[i] -= L[i, j] * e[j]
                for m in range(Z.shape[1]):
                    loadings[i, m] -= L[i, j] * loadings[j, m]
    return q


@part
def _times(P, z, out):
    """Store P z and return z'P z."""
    total = out[0] * 0
    for i in range(len(z)):
        out[i] = 0
        for j in range(len(z)):
            out[i] += P[i, j] * z[j]
        total += z[i] * out[i]
    return total


@part
def _read(e, z, h, a, P, k, inverse, M, limit, diffuse):
    """Read one number, moving a and P; fill k (2, m) and inverse (2,); return the error, density and diffuseness."""
    m = len(z)
    v, size = e, 0.0
    for i in range(m):
        v -= z[i] * a[i]
        size += z[i].real * z[i].real
        k[1, i] = 0
    F = _times(P[0], z, M[0]) + h
    F_inf = _times(P[1], z, M[1]) if diffuse else F * 0
    inverse[0] = 0
    inverse[1] = 0
    if diffuse and F_inf.real > limit * size:
        inverse[1] = 1 / F_inf
        density = -0.5 * (LOG_TWO_PI + np.log(F_inf))
        for i in range(m):
            k[0, i] = M[1, i] / F_inf
            k[1, i] = (M[0, i] - k[0, i] * F) / F_inf
            a[i] += k[0, i] * v
        largest = 0.0
        for i in range(m):
            for j in range(m):
                P[0, i, j] -= k[0, i] * M[0, j] + k[1, i] * M[1, j]
                P[1, i, j] -= k[0, i] * M[1, j]
                largest = max(largest, abs(P[1, i, j].real))
        return v, density, largest > limit
    if not F.real > 0:
        for i in range(m):
            k[0, i] = 0
        return v, F * 0 - np.inf, diffuse
    inverse[0] = 1 / F
    for i in range(m):
        k[0, i] = M[0, i] * inverse[0]
        a[i] += k[0, i] * v
    for i in range(m):
        for j in range(m):
            P[0, i, j] -= k[0, i] * M[0, j]
    return v, -0.5 * (LOG_TWO_PI + np.log(F) + v * v * inverse[0]), diffuse


@part
def _transform(T, P, work):
    """Replace P by T P T'; zeros of T, of which structural models have many, cost nothing."""
    m = len(T)
    for i in range(m):
        for j in range(m):
            work[i, j] = 0
        for k in range(m):
            if T[i, k] != 0:
                for j in range(m):
                    work[i, j] += T[i, k] * P[k, j]
    for i in range(m):
        for j in range(m):
            P[i, j] = 0
        for k in range(m):
            if T[i, k] != 0:
                for j in range(m):
                    P[i, j] += T[i, k] * work[j, k]


@part
def _predict(c, T, V, a, P, work, diffuse):
    """Move a and P to the next row."""
    m = len(a)
    for i in range(m):
        work[0, i] = c[i]
        for j in range(m):
            work[0, i] += T[i, j] * a[j]
    _copy(work[0], a)
    _transform(T, P[0], work)
    for i in range(m):
        for j in range(m):
            P[0, i, j] += V[i, j]
    if diffuse:
        _transform(T, P[1], work)


@part
def _diffuse_limit(P1_inf):
    largest = 0.0
    for i in range(len(P1_inf)):
        for j in range(len(P1_inf)):
            largest = max(largest, abs(P1_inf[i, j]))
    return DIFFUSE * largest


@part
def _start(a1, P1, P1_inf, a, P):
    for i in range(len(a1)):
        a[i] = a1[i]
        for j in range(len(a1)):
            P[0, i, j] = P1[i, j]
            P[1, i, j] = P1_inf[i, j]


@part
def _unread(z, k, inverse, v, r, N, work, diffuse):
    """Go back over one number, moving r (2, m) and N (2, m, m); fill -du/da and return u and -du/dd.

    `work` is (7, m): N0 k0, N0 k1, N1 k0, and -du/da of both orders in rows 3 and 4.
    """
    m = len(z)
    orders = 2 if diffuse else 1
    for i in range(m):
        for b in range(3):
            work[b, i] = 0
        for j in range(m):
            work[0, i] += N[0, i, j] * k[0, j]
            if diffuse:
                work[1, i] += N[0, i, j] * k[1, j]
                work[2, i] += N[1, i, j] * k[0, j]
    u0, u1, s0, s1 = v * inverse[0], v * inverse[1], z[0] * 0, z[0] * 0
    for i in range(m):
        u0 -= k[0, i] * r[0, i]
        s0 += k[0, i] * work[0, i]
        if diffuse:
            u1 -= k[0, i] * r[1, i] + k[1, i] * r[0, i]
            s1 += k[0, i] * (work[1, i] + work[2, i]) + k[1, i] * work[0, i]
    for i in range(m):
        for j in range(m):
            N[0, i, j] += z[i] * z[j] * (inverse[0] + s0) - work[0, i] * z[j] - z[i] * work[0, j]
            if diffuse:
                mixed = (work[1, i] + work[2, i]) * z[j] + z[i] * (work[1, j] + work[2, j])
                N[1, i, j] += z[i] * z[j] * (inverse[1] + s1) - mixed
        work[3, i] = z[i] * (inverse[0] + s0) - work[0, i]
        work[4, i] = z[i] * (inverse[1] + s1) - work[1, i] - work[2, i]
        r[0, i] += z[i] * u0
        if orders == 2:
            r[1, i] += z[i] * u1
    return u0, inverse[0] + s0


@part
def _back_to_row_start(z, k, G, i, q, D):
    """Take G (p, 2, m) of the numbers after i back over number i, and fill the row and column i of D."""
    m = len(z)
    for j in range(i + 1, q):
        s0, s1 = z[0] * 0, z[0] * 0
        for b in range(m):
            s0 += k[0, b] * G[j, 0, b]
            s1 += k[0, b] * G[j, 1, b] + k[1, b] * G[j, 0, b]
        D[i, j] = -s0
        D[j, i] = -s0
        for b in range(m):
            G[j, 0, b] -= z[b] * s0
            G[j, 1, b] -= z[b] * s1


@part
def _recorrelate(L, q, u, D, G):
    """Multiply u, D (both sides) and G by the inverse of L'."""
    for i in range(q - 1, -1, -1):
        for j in range(i):
            if L[i, j] != 0:
                u[j] -= L[i, j] * u[i]
                for b in range(G.shape[1]):
                    G[j, b] -= L[i, j] * G[i, b]
                for b in range(q):
                    D[j, b] -= L[i, j] * D[i, b]
    for i in range(q - 1, -1, -1):
        for j in range(i):
            if L[i, j] != 0:
                for b in range(q):
                    D[b, j] -= L[i, j] * D[b, i]


@part
def _observation_gradient(row, g, observed, q, u, D, GP, L, a, P, r, dd, dZ, dH, diffuse):
    """Add what one row says about d, Z and H; `GP` (p, m) is G P on entry."""
    m = len(a)
    _recorrelate(L, q, u, D, GP)
    for i in range(q):
        oi = observed[i]
        dd[row, oi] += g * u[i]
        for j in range(q):
            dH[oi, observed[j]] += 0.5 * g * (u[i] * u[j] - D[i, j])
    for b in range(m):
        mean = a[b]
        for j in range(m):
            mean += P[0, b, j] * r[0, j]
            if diffuse:
                mean += P[1, b, j] * r[1, j]
        for i in range(q):
            dZ[observed[i], b] += g * (u[i] * mean - GP[i, b])


@part
def _transition_gradient(row, g, T, back, fa, fP, r, N, S, work, dc, dT, dV, diffuse):
    """Add what the step after a row says about c, T and V, and move r and N to before the step."""
    m = len(fa)
    orders = 2 if diffuse else 1
    for i in range(m):
        dc[row, i] += g * r[0, i]
        for j in range(m):
            S[0, i, j] = r[0, i] * r[0, j] - N[0, i, j]
            S[1, i, j] = r[0, i] * r[1, j] + r[1, i] * r[0, j] - N[1, i, j]
            dV[i, j] += 0.5 * g * S[0, i, j]
            dT[i, j] += g * r[0, i] * fa[j]
    for o in range(orders):
        for i in range(m):
            for j in range(m):
                work[i, j] = 0
        for b in range(m):
            for j in range(m):
                if T[b, j] != 0:
                    for i in range(m):
                        work[i, j] += S[o, i, b] * T[b, j]
        for i in range(m):
            for b in range(m):
                for j in range(m):
                    dT[i, j] += g * work[i, b] * fP[o, b, j]
        for i in range(m):
            work[0, i] = 0
            for j in range(m):
                work[0, i] += back[i, j] * r[o, j]
        _copy(work[0], r[o])
        _transform(back, N[o], work)


@kernel
def value_and_gradient(y, edges, P1_inf, d, c, Z, H, T, V, a1, P1, g, gradient):
    """Log-likelihoods (S,) and the gradient of their sum weighted by g; zeros instead where `gradient` is false.

    See `reglm.ops.kalman_numpy.pullback`. Arrays are contiguous, covariances symmetric. One function serves both, since
    compiling is what takes long.
    """
    p, m = Z.shape
    kind = Z.dtype
    dd, dc, dZ, dH = np.zeros(d.shape, kind), np.zeros(c.shape, kind), np.zeros((p, m), kind), np.zeros((p, p), kind)
    dT, dV, da, dP = np.zeros((m, m), kind), np.zeros((m, m), kind), np.zeros(m, kind), np.zeros((m, m), kind)
    longest = 0
    for s in range(len(edges) - 1):
        longest = max(longest, edges[s + 1] - edges[s])
    ra, rP = np.empty((longest, m), kind), np.empty((longest, 2, m, m), kind)
    fa, fP = np.empty((longest, m), kind), np.empty((longest, 2, m, m), kind)
    z, k, v = np.empty((longest, p, m), kind), np.empty((longest, p, 2, m), kind), np.empty((longest, p), kind)
    inverse, L = np.empty((longest, p, 2), kind), np.empty((longest, p, p), kind)
    observed, counts, phases = (
        np.empty((longest, p), np.int64),
        np.empty(longest, np.int64),
        np.empty(longest, np.bool_),
    )
    h, e, u, D = np.empty(p, kind), np.empty(p, kind), np.empty(p, kind), np.empty((p, p), kind)
    G, GP, work, wide = (
        np.zeros((p, 2, m), kind),
        np.empty((p, m), kind),
        np.empty((m, m), kind),
        np.empty((5, m), kind),
    )
    a, P, r, N = np.empty(m, kind), np.empty((2, m, m), kind), np.empty((2, m), kind), np.empty((2, m, m), kind)
    S, M, nothing, back = (
        np.empty((2, m, m), kind),
        np.empty((2, m), kind),
        np.zeros((2, m, m), kind),
        np.empty((m, m), kind),
    )
    for i in range(m):
        for j in range(m):
            back[i, j] = T[j, i]
    values = np.zeros(len(edges) - 1, kind)
    limit = _diffuse_limit(P1_inf)
    for s in range(len(edges) - 1):
        first, size = edges[s], edges[s + 1] - edges[s]
        _start(a1, P1, P1_inf, a, P)
        diffuse = limit > 0
        for t in range(size):
            _keep(a, P, ra[t], rP[t])
            phases[t] = diffuse
            q = _decorrelate(y[first + t], d[first + t], Z, H, observed[t], L[t], h, e, z[t])
            counts[t] = q
            for i in range(q):
                v[t, i], density, diffuse = _read(e[i], z[t, i], h[i], a, P, k[t, i], inverse[t, i], M, limit, diffuse)
                values[s] += density
            _keep(a, P, fa[t], fP[t])
            _predict(c[first + t], T, V, a, P, work, diffuse)
        if not gradient:
            continue
        _keep(nothing[0, 0], nothing, r[0], N)
        _copy(nothing[0, 0], r[1])
        for t in range(size - 1, -1, -1):
            diffuse, q = phases[t], counts[t]
            if t < size - 1:
                _transition_gradient(first + t, g[s], T, back, fa[t], fP[t], r, N, S, work, dc, dT, dV, diffuse)
            for i in range(q - 1, -1, -1):
                _back_to_row_start(z[t, i], k[t, i], G, i, q, D)
                u[i], D[i, i] = _unread(z[t, i], k[t, i], inverse[t, i], v[t, i], r, N, wide, diffuse)
                _copy(wide[3], G[i, 0])
                _copy(wide[4], G[i, 1])
            for i in range(q):
                for j in range(m):
                    GP[i, j] = 0
                    for b in range(m):
                        GP[i, j] += G[i, 0, b] * rP[t, 0, b, j]
                        if diffuse:
                            GP[i, j] += G[i, 1, b] * rP[t, 1, b, j]
            _observation_gradient(first + t, g[s], observed[t], q, u, D, GP, L[t], ra[t], rP[t], r, dd, dZ, dH, diffuse)
        for i in range(m):
            da[i] += g[s] * r[0, i]
            for j in range(m):
                dP[i, j] += 0.5 * g[s] * (r[0, i] * r[0, j] - N[0, i, j])
    return values, dd, dc, dZ, dH, dT, dV, da, dP
