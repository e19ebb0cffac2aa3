"""Linear-Gaussian models whose matrices are left to the data.

``y_t = x_t B + Z a_t + e_t`` with independent errors, ``a_{t+1} = T a_t + w_t`` with w ~ N(0, I), which fixes the scale
of the states. Their rotation stays open: any orthogonal matrix gives the same likelihood, so only functions that do not
depend on it are reported, and `Free.rotated` states the rule by which the states themselves are shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reglm.parameters import Array
from reglm.statespace.linear_gaussian_structures import Matrices, Specification, stationary


@dataclass(frozen=True)
class Free(Specification):
    """A model with m states; parameters: log variances of errors (p,), Z, T, the start, B.

    Parameters
    ----------
    m : int
        States.
    columns : list of str
        Names of the rows of B (k,).
    series : list of str
        Names of the series (p,).
    initial : {"estimated", "stationary"}
    spread : bool
        Whether the covariance of an estimated start is a parameter; it is the identity otherwise, that of a step.
    """

    m: int
    columns: list[str]
    series: list[str]
    initial: str = "estimated"
    spread: bool = False

    @property
    def sizes(self) -> list[int]:
        """Parameters of errors, Z, T, the start's mean, the factor of its covariance, B."""
        p, m = self.p, self.m
        estimated = self.initial == "estimated"
        factor = m * (m + 1) // 2 if estimated and self.spread else 0
        return [p, p * m, m * m, m if estimated else 0, factor, self.k * p]

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(self.sizes)

    @property
    def n_free(self) -> int:
        """All but the rotation of the states."""
        return self.size - self.m * (self.m - 1) // 2

    @property
    def P1_inf(self) -> Array:
        """Nothing is diffuse."""
        return np.zeros((self.m, self.m))

    def split(self, theta: Array) -> list[Array]:
        """Parameters by kind, see `sizes`."""
        return np.split(theta, np.cumsum(self.sizes)[:-1])

    def matrices(self, theta: Array) -> Matrices:
        """Matrices of the model; analytic in theta."""
        m, p = self.m, self.p
        errors, Z, T, a1, factor, B = self.split(theta)
        Z, T, V = Z.reshape(p, m), T.reshape(m, m), np.eye(m, dtype=theta.dtype)
        if self.initial == "stationary":
            a1, P1 = np.zeros(m, theta.dtype), stationary(T, V)
        elif self.spread:
            L = np.zeros((m, m), theta.dtype)
            L[np.tril_indices(m)] = factor
            P1 = L @ L.T
        else:
            P1 = V
        return Matrices(Z, np.diag(np.exp(errors)), T, V, a1, P1, B.reshape(self.k, p))

    def pack(self, M: Matrices) -> Array:
        """Parameters of matrices, the inverse of `matrices`."""
        estimated = self.initial == "estimated"
        factor = np.linalg.cholesky(M.P1)[np.tril_indices(self.m)] if estimated and self.spread else np.zeros(0)
        start = M.a1 if estimated else np.zeros(0)
        return np.concatenate([np.log(np.diag(M.H)), M.Z.ravel(), M.T.ravel(), start, factor, M.B.ravel()])

    @property
    def names(self) -> list[str]:
        """Variances of errors, Z and T where a single state leaves only its sign open, eigenvalues of T else, B."""
        errors = [f"sigma2.{name}" for name in self.series]
        if self.m == 1:
            dynamics = [*(f"loading.{name}" for name in self.series), "transition"]
        else:
            numbers = range(1, self.m + 1)
            dynamics = [f"eigenvalue{i}.{part}" for part in ("real", "imag") for i in numbers]
        B = [f"{column}.{name}" if self.p > 1 else column for column in self.columns for name in self.series]
        return [*errors, *dynamics, *B]

    def natural(self, theta: Array) -> Array:
        """Functions of the parameters that no rotation changes, see `names`."""
        errors, Z, T, _, _, B = self.split(theta)
        if self.m == 1:
            return np.concatenate([np.exp(errors), Z, T, B])
        values = np.linalg.eigvals(T.reshape(self.m, self.m))
        values = values[np.lexsort((-values.imag, -np.round(np.abs(values), 10)))]
        return np.concatenate([np.exp(errors), values.real, values.imag, B])

    def start(self, y: Array, X: Array, rng: np.random.Generator | None = None) -> Array:
        """Parameters to start from: principal components of rows beside the rows after them, and regressions.

        `rng` draws the directions at random instead.
        """
        p, m = self.p, self.m
        B = np.column_stack([np.linalg.lstsq(X[s], y[s, j], rcond=None)[0] for j, s in enumerate((~np.isnan(y)).T)])
        rest = np.nan_to_num(y - X @ B)
        lags = min(1 if m <= p else -(-m // p) + 1, len(rest))
        wide = np.column_stack([rest[i : len(rest) - lags + 1 + i] for i in range(lags)])
        scale = np.maximum(wide.std(axis=0), 1e-4)
        x = wide / scale @ self._directions(wide / scale, rng)
        x = x / np.maximum(x.std(axis=0), 1e-4)
        T = np.linalg.lstsq(x[:-1], x[1:], rcond=None)[0].T if len(x) > 1 else 0.5 * np.eye(m)
        T = T * min(1.0, 0.95 / max(np.abs(np.linalg.eigvals(T)).max(), 0.1))
        steps = x[1:] - x[:-1] @ T.T
        L = np.linalg.cholesky(steps.T @ steps / max(len(steps), 1) + 0.05 * np.eye(m))
        Z = np.linalg.lstsq(x, rest[: len(x)], rcond=None)[0].T
        errors = np.maximum((rest[: len(x)] - x @ Z.T).var(axis=0), 0.1 * scale[:p] ** 2)
        T = np.linalg.solve(L, T @ L)
        return self.pack(Matrices(Z @ L, np.diag(errors), T, np.eye(m), np.zeros(m), np.eye(m), B))

    def _directions(self, wide: Array, rng: np.random.Generator | None) -> Array:
        """Directions of the first states in rows beside those after them, (columns, m)."""
        drawn = (rng or np.random.default_rng(0)).normal(size=(wide.shape[1], self.m))
        if rng is None:
            found = np.linalg.svd(wide, full_matrices=False)[2][: self.m].T
            drawn[:, : found.shape[1]] = found
        return drawn

    def rotated(self, theta: Array, second: Array) -> Array:
        """Rotate the states to the principal axes of their second moments, the largest first.

        Parameters
        ----------
        theta : ndarray (size,)
        second : ndarray (m, m)
            Mean of ``E[a_t a_t' | y]``.

        Returns
        -------
        ndarray (size,)
            Of the same likelihood; the largest loading of each state is positive.
        """
        M = self.matrices(theta)
        U = np.linalg.eigh(second)[1][:, ::-1]
        Z = M.Z @ U
        U = U * np.where(Z[np.abs(Z).argmax(axis=0), np.arange(self.m)] < 0, -1.0, 1.0)
        return self.pack(M._replace(Z=M.Z @ U, T=U.T @ M.T @ U, a1=U.T @ M.a1, P1=U.T @ M.P1 @ U))
