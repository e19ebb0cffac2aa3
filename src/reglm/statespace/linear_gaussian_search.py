"""Starts, solvers and scales of a fit by maximum likelihood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from reglm.parameters import Array
from reglm.statespace.linear_gaussian_fit import Data, Fitted, Likelihood, by_em, by_gradient, has_em, smoothed
from reglm.statespace.linear_gaussian_free import Free
from reglm.statespace.linear_gaussian_structures import Specification, Structure

WARM = 30
"""Iterations of EM before L-BFGS."""


def search(
    specification: Specification, data: Data, *, solver: str, n_init: int, max_iter: int, tol: float, backend: str,
    constant: bool, rng: np.random.Generator, report: Callable[[str], Any] | None = None,
) -> tuple[Fitted, list[dict[str, Any]]]:  # fmt: skip
    """Maximise the likelihood from one start or several.

    Series and covariates are brought to a common scale meanwhile.

    Parameters
    ----------
    specification : Specification
    data : Data
    solver : {"auto", "em", "gradient"}
    n_init : int
        Starts of a free structure.
    max_iter, tol, backend
        See `reglm.LinearGaussianSSM`.
    constant : bool
        Whether the first column of X is the constant.
    rng : numpy.random.Generator
        Draws all starts but the first.
    report : callable, optional
        Given a line for each start.

    Returns
    -------
    Fitted
        The best, in the scale of the data but for its history.
    list of dict
        ``loglik`` (of the standardised series) and ``converged`` of each start.
    """
    standard, scales = standardise(data, constant)
    free = isinstance(specification, Free)
    likelihood = Likelihood(specification, standard, backend)
    best, restarts = None, []
    for i in range(n_init if free else 1):
        theta = start(specification, standard, rng if i else None)
        found = _maximise(likelihood, theta, solver, max_iter, tol)
        restarts.append({"loglik": found.loglik, "converged": found.converged})
        if report is not None:
            report(f"start {i + 1}: log-likelihood {found.loglik:.6g} of the standardised series, {found.message}")
        if best is None or found.loglik > best.loglik:
            best = found
    assert best is not None
    theta = best.theta
    if isinstance(specification, Free):
        mean, cov = smoothed(likelihood, specification.matrices(theta))
        theta = specification.rotated(theta, (cov + mean[:, :, None] * mean[:, None, :]).mean(axis=0))
    return best._replace(theta=rescale(specification, theta, *scales)), restarts


def start(specification: Specification, data: Data, rng: np.random.Generator | None) -> Array:
    """Parameters to start from."""
    if isinstance(specification, Free):
        return specification.start(data.y, data.X, rng)
    assert isinstance(specification, Structure)
    return specification.start(data.y, data.X)


def _maximise(likelihood: Likelihood, theta: Array, solver: str, max_iter: int, tol: float) -> Fitted:
    """Run EM, L-BFGS, or one after the other."""
    if solver == "em":
        return by_em(likelihood, theta, max_iter, tol)
    before: list[float] = []
    if solver == "auto" and isinstance(likelihood.specification, Free) and has_em(likelihood.specification):
        warm = by_em(likelihood, theta, min(WARM, max_iter), tol)
        theta, before = warm.theta, warm.history
    found = by_gradient(likelihood, theta, max_iter, tol)
    return found._replace(history=before + found.history, n_iter=max(len(before) - 1, 0) + found.n_iter)


def standardise(data: Data, constant: bool) -> tuple[Data, tuple[Array, Array, Array]]:
    """Series and covariates of unit variance; covariates centred where there is a constant.

    Returns
    -------
    Data
    tuple of ndarray
        Scales of series (p,), centres and scales of covariates (k,).
    """
    y, X, edges = data
    spread = np.nanstd(y, axis=0)
    size = np.where(spread > 0, spread, np.maximum(np.nanmax(np.abs(y), axis=0), 1e-300))
    size = np.where(size > 1e-300, size, 1.0)
    centre, width = np.zeros(X.shape[1]), np.ones(X.shape[1])
    first = int(constant)
    if constant:
        centre[1:] = X[:, 1:].mean(axis=0)
    deviation = X[:, first:].std(axis=0)
    width[first:] = np.where(deviation > 0, deviation, 1.0)
    return Data(y / size, (X - centre) / width, edges), (size, centre, width)


def rescale(specification: Specification, theta: Array, size: Array, centre: Array, width: Array) -> Array:
    """Parameters for the data as they were from those for the standardised ones."""
    k, p, new = specification.k, specification.p, theta.copy()
    B = theta[specification.coefficients].reshape(k, p) / width[:, None] * size
    if k and centre.any():
        B[0] -= centre[1:] @ B[1:]
    if isinstance(specification, Free):
        new[:p] += 2 * np.log(size)
        new[p : p + p * specification.m] = (theta[p : p + p * specification.m].reshape(p, -1) * size[:, None]).ravel()
    else:
        assert isinstance(specification, Structure)
        new[: len(specification.variances)] += 2 * np.log(size[0])
    new[specification.coefficients] = B.ravel()
    return new
