"""Normal emissions with full, diagonal, spherical or common covariances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import ndtr

from reglm.parameters import Array
from reglm.statespace.emissions.base import Emission, Parameters, Rows, Variable
from reglm.threads import map_rows

COVARIANCES = ("full", "diagonal", "spherical", "tied")
LOG_TWO_PI = float(np.log(2 * np.pi))
BLOCK = 8192


@dataclass(frozen=True)
class Gaussian(Emission):
    """Normal vectors; parameters "mean" (K, d) and "covariance" (K, d, d).

    Parameters
    ----------
    covariance : {"full", "diagonal", "spherical", "tied"}
        "tied" is one full matrix for all states.
    scale : ndarray (d,)
        Standard deviations of the columns over all rows.
    floor : float
        Least eigenvalue of a covariance after the columns are divided by `scale`.
    strength : float
        Rows' worth of a conjugate prior, whose scatter is that of all rows, divided by K^(2/d).
    """

    covariance: str
    scale: Array
    floor: float = 1e-6
    strength: float = 0.0

    def log_density(self, parameters: Parameters, rows: Rows) -> Array:
        """Densities of the observed entries of each row."""
        mean, covariance = parameters["mean"], parameters["covariance"]
        out = np.empty((len(rows.y), len(mean)))
        for chosen, seen in _patterns(rows.y):
            y = rows.y[chosen][:, seen] if chosen is not None else rows.y
            roots = [_inverse_root(c[np.ix_(seen, seen)]) for c in covariance]
            found = _densities(y, mean[:, seen], roots)
            if chosen is None:
                return found
            out[chosen] = found
        return out

    def maximise(self, parameters: Parameters | None, rows: Rows, gamma: Array) -> dict[str, Array]:
        """Weighted means and covariances; entries not observed by their conditional moments (Little & Rubin 2002)."""
        size = np.maximum(gamma.sum(axis=0), 1e-300)
        if not np.isnan(rows.y).any():
            mean = gamma.T @ rows.y / size[:, None]
            scatter = _scatter(rows.y, mean, gamma)
        else:
            mean, scatter = self._completed(parameters, rows.y, gamma, size)
        return {"mean": mean, "covariance": self._covariance(scatter, size)}

    def _completed(self, parameters: Parameters | None, y: Array, gamma: Array, size: Array) -> tuple[Array, Array]:
        K, d = gamma.shape[1], y.shape[1]
        if parameters is None:
            centre = np.nanmean(y, axis=0)
            parameters = {"mean": np.tile(centre, (K, 1)), "covariance": np.tile(np.diag(self.scale**2), (K, 1, 1))}
        mean, scatter = np.empty((K, d)), np.zeros((K, d, d))
        for k in range(K):
            filled, extra = _fill(y, parameters["mean"][k], parameters["covariance"][k], gamma[:, k])
            mean[k] = gamma[:, k] @ filled / size[k]
            scatter[k] = extra + _scatter(filled, mean[k : k + 1], gamma[:, k : k + 1])[0]
        return mean, scatter

    def _covariance(self, scatter: Array, size: Array) -> Array:
        """Most likely covariances of the kind, eigenvalues kept above the floor."""
        K, d = len(scatter), len(self.scale)
        scatter = scatter + self.strength * np.diag(self.scale**2) / K ** (2 / d)
        size = size + self.strength
        if self.covariance == "tied":
            found = np.tile(scatter.sum(axis=0) / size.sum(), (K, 1, 1))
        else:
            found = scatter / size[:, None, None]
        unit = found / np.outer(self.scale, self.scale)
        if self.covariance in ("diagonal", "spherical"):
            variances = np.einsum("kii->ki", unit if self.covariance == "diagonal" else found)
            if self.covariance == "spherical":
                variances = np.tile(variances.mean(axis=1)[:, None], d)
                least = self.floor * (self.scale**2).mean()
                return np.maximum(variances, least)[:, :, None] * np.eye(d)
            return np.maximum(variances, self.floor)[:, :, None] * np.diag(self.scale**2)
        values, vectors = np.linalg.eigh(unit)
        if values.min() >= self.floor:
            return found
        unit = (vectors * np.maximum(values, self.floor)[:, None, :]) @ vectors.transpose(0, 2, 1)
        return unit * np.outer(self.scale, self.scale)

    def at_floor(self, parameters: Parameters) -> Array:
        """States whose covariance is held from becoming singular, (K,)."""
        unit = parameters["covariance"] / np.outer(self.scale, self.scale)
        if self.covariance == "spherical":
            return unit[:, 0, 0] * self.scale[0] ** 2 <= 1.01 * self.floor * (self.scale**2).mean()
        return np.linalg.eigvalsh(unit)[:, 0] <= 1.01 * self.floor

    def log_prior(self, parameters: Parameters) -> float:
        """Inverse Wishart, up to a constant."""
        if not self.strength:
            return 0.0
        K, d = parameters["mean"].shape
        centre = np.diag(self.scale**2) / K ** (2 / d)
        values = [np.trace(np.linalg.solve(c, centre)) + np.linalg.slogdet(c)[1] for c in parameters["covariance"]]
        return -0.5 * self.strength * float(sum(values))

    def size(self, parameters: Parameters) -> int:
        """Means and distinct entries of covariances."""
        K, d = parameters["mean"].shape
        full = d * (d + 1) // 2
        return K * d + {"full": K * full, "diagonal": K * d, "spherical": K, "tied": full}[self.covariance]

    def simulate(self, rng: np.random.Generator, parameters: Parameters, states: Array, rows: Rows) -> Array:
        """Draw."""
        roots = np.linalg.cholesky(parameters["covariance"])
        z = rng.normal(size=(len(states), parameters["mean"].shape[1]))
        return parameters["mean"][states] + np.einsum("nij,nj->ni", roots[states], z)

    def cdf(self, parameters: Parameters, rows: Rows, y: Array) -> Array:
        """Normal."""
        deviation = np.sqrt(np.einsum("kii->ki", parameters["covariance"]))
        return ndtr((y[:, None] - parameters["mean"]) / deviation)

    def level(self, parameters: Parameters) -> Array:
        """First mean."""
        return parameters["mean"][:, 0]

    def free(self, parameters: Parameters) -> dict[str, Array]:
        """Means, and the lower triangular root of each precision, its diagonal as logarithms."""
        roots = np.array([_inverse_root(c) for c in parameters["covariance"]])
        d = roots.shape[1]
        roots[:, range(d), range(d)] = np.log(np.diagonal(roots, axis1=1, axis2=2))
        if self.covariance == "tied":
            roots = roots[:1]
        elif self.covariance == "diagonal":
            roots = np.diagonal(roots, axis1=1, axis2=2)
        elif self.covariance == "spherical":
            roots = roots[:, :1, 0]
        return {"mean": parameters["mean"], "root": roots.copy()}

    def natural(self, free: Parameters) -> dict[str, Array]:
        """Inverse of `free`."""
        K, d = free["mean"].shape
        roots = free["root"]
        if roots.ndim == 2:
            covariance = np.exp(-2 * np.broadcast_to(roots, (K, d)))[:, :, None] * np.eye(d)
        else:
            lower = np.tril(roots, -1) + np.exp(np.einsum("kii->ki", roots))[:, :, None] * np.eye(d)
            inverse = np.linalg.inv(lower)
            covariance = np.broadcast_to(inverse @ inverse.transpose(0, 2, 1), (K, d, d))
        return {"mean": free["mean"], "covariance": covariance}

    def fixed(self, free: Parameters) -> dict[str, Array]:
        """Entries above the diagonal of a root."""
        root = np.zeros(free["root"].shape, bool)
        if root.ndim == 3:
            root |= np.triu(np.ones(root.shape[1:], bool), 1)
        return {"mean": np.zeros(free["mean"].shape, bool), "root": root}

    def graph(self, free: Mapping[str, Variable], rows: Rows) -> Variable:
        """Standardised by triangular roots, state by state."""
        import pytensor.tensor as pt

        seen = ~np.isnan(rows.y)
        d, K = rows.y.shape[1], int(free["mean"].type.shape[0])
        if not seen.all() and self.covariance in ("full", "tied"):
            raise ValueError("rows with unobserved entries and full covariances have no graph")
        y, mask = np.where(seen, rows.y, 0.0), seen.astype(float)
        columns = []
        for k in range(K):
            residual = (y - free["mean"][k]) * mask
            if self.covariance in ("full", "tied"):
                root = free["root"][0 if self.covariance == "tied" else k]
                diagonal = (root * np.eye(d)).sum(axis=1)
                lower = root * np.tril(np.ones((d, d)), -1) + pt.exp(diagonal) * np.eye(d)
                z, log_det = residual @ lower.T, diagonal.sum()
            else:
                diagonal = free["root"][k] + np.zeros(d)
                z, log_det = residual * pt.exp(diagonal), (mask * diagonal).sum(axis=1)
            columns.append(log_det - (z**2).sum(axis=1) / 2)
        return pt.stack(columns, axis=1) - mask.sum(axis=1)[:, None] * LOG_TWO_PI / 2

    def table(self, parameters: Parameters) -> dict[str, Array]:
        """Means, standard deviations and, of full matrices, correlations."""
        mean, covariance = parameters["mean"], parameters["covariance"]
        d = mean.shape[1]
        deviation = np.sqrt(np.einsum("kii->ki", covariance))
        found = {"mean": mean, "std. dev.": deviation}
        if self.covariance in ("full", "tied") and d > 1:
            correlation = covariance / (deviation[:, :, None] * deviation[:, None, :])
            found["correlation"] = correlation[:, *np.tril_indices(d, -1)]
        return found


def _patterns(y: Array) -> list[tuple[Array | None, Any]]:
    """Rows by which entries are observed; (None, all) where nothing is missing."""
    seen = ~np.isnan(y)
    if seen.all():
        return [(None, np.arange(y.shape[1]))]
    patterns, code = np.unique(seen, axis=0, return_inverse=True)
    return [(np.flatnonzero(code.ravel() == k), np.flatnonzero(p)) for k, p in enumerate(patterns)]


def _inverse_root(covariance: Array) -> Array:
    """Lower triangular L^-1 with ``L L' = covariance``."""
    if not len(covariance):
        return covariance
    root = np.linalg.cholesky(covariance)
    return solve_triangular(root, np.eye(len(root)), lower=True)


def _densities(y: Array, mean: Array, roots: list[Array]) -> Array:
    """Normal log-densities (n, K)."""
    n, d = y.shape
    constants = np.array([np.log(np.diag(root)).sum() for root in roots]) - d * LOG_TWO_PI / 2
    out = np.empty((n, len(mean)))

    def part(start: int, stop: int) -> None:
        for begin in range(start, stop, BLOCK):
            block = y[begin : min(begin + BLOCK, stop)]
            for k, root in enumerate(roots):
                z = (block - mean[k]) @ root.T
                out[begin : begin + len(block), k] = constants[k] - np.einsum("ni,ni->n", z, z) / 2

    list(map_rows(part, n, BLOCK, hold=False))
    return out


def _scatter(y: Array, mean: Array, gamma: Array) -> Array:
    """``sum_t gamma_tk (y_t - mean_k)(y_t - mean_k)'``, (K, d, d)."""

    def part(start: int, stop: int) -> Array:
        total = np.zeros((len(mean), y.shape[1], y.shape[1]))
        for begin in range(start, stop, BLOCK):
            rows = slice(begin, min(begin + BLOCK, stop))
            for k in range(len(mean)):
                r = y[rows] - mean[k]
                total[k] += (r * gamma[rows, k : k + 1]).T @ r
        return total

    return sum(map_rows(part, len(y), BLOCK, hold=False))  # type: ignore[return-value]  # there is at least one part


def _fill(y: Array, mean: Array, covariance: Array, weight: Array) -> tuple[Array, Array]:
    """Conditional means of unobserved entries, and the sum of their weighted conditional covariances."""
    filled, extra = y.copy(), np.zeros_like(covariance)
    for chosen, seen in _patterns(y):
        if chosen is None:
            break
        lost = np.setdiff1d(np.arange(y.shape[1]), seen)
        slope = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, lost)])
        filled[np.ix_(chosen, lost)] = mean[lost] + (y[np.ix_(chosen, seen)] - mean[seen]) @ slope
        rest = covariance[np.ix_(lost, lost)] - covariance[np.ix_(lost, seen)] @ slope
        extra[np.ix_(lost, lost)] += weight[chosen].sum() * rest
    return filled, extra
