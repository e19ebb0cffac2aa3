"""What is computed once theta is known: dispersion, deviance, log-likelihood, and the balance of totals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from reglm.fitting.intercept import fit_intercept
from reglm.likelihood import Data, Likelihood
from reglm.optimize.irls import irls
from reglm.parameters import Array


class Goodness(NamedTuple):
    """Dispersion and the numbers that depend on it."""

    dispersion: float
    method: str
    deviance: float
    pearson: float
    log_likelihood: float


def goodness(
    likelihood: Likelihood, theta: Array, data: Data, rank: int, dispersion: str | float, freq_weights: bool
) -> Goodness:
    """Deviance, Pearson statistic, dispersion and log-likelihood of a fit.

    Parameters
    ----------
    likelihood : Likelihood
    theta : ndarray (P,)
    data : Data
    rank : int
        Parameters that the data can tell apart; the dispersion is divided by n - rank, and where that is not positive
        by n, as the method then says.
    dispersion : {"auto", "pearson", "deviance", "ml"} or float
    freq_weights : bool
        Weights are repetitions: densities are multiplied by them, dispersions are not divided.
    """
    response, shape, family = likelihood.response, likelihood.shape(theta), likelihood.family
    keep = data.weights[:, 0] > 0
    if not (keep.all() or likelihood.is_packed):  # a row of a sequence bears on later ones, whatever its weight
        data = data.rows(keep)
    eta = likelihood.eta(theta, data.X, data.offset)
    if likelihood.is_packed:
        eta, data = eta[keep], Data(None, *(part[keep] for part in data[1:]))
    w = data.weights
    deviance = float((w * response.unit_deviance(data.y, eta, shape)).sum())
    residual = family.observed(data.y) - response.mean(eta, shape)
    variance = response.variance(eta, shape) / family.size(data.y)
    columns = residual.shape[1] if variance.shape == residual.shape and residual.shape[1] == eta.shape[1] else 1
    with np.errstate(divide="ignore", invalid="ignore"):
        pearson = float((w * residual**2 / variance).sum())
    n = float(w.sum() if freq_weights else len(w)) * columns

    def density(phi: float) -> float:
        entries = response.log_density(data.y, eta, phi, None if freq_weights else w, shape)
        return float((w * entries).sum() if freq_weights else entries.sum())

    phi, method = 1.0, "fixed"
    if family.dispersion == "estimated" or not isinstance(dispersion, str):
        phi, method = _dispersion(dispersion, pearson, deviance, n - rank, n, density)
    if not family.likelihood:
        return Goodness(phi, method, deviance, pearson, float("nan"))
    at = pearson / n if family.name == "gaussian" and isinstance(dispersion, str) else phi
    return Goodness(phi, method, deviance, pearson, density(at) if at > 0 else float("inf"))


def _dispersion(
    wanted: str | float, pearson: float, deviance: float, df: float, n: float, density: object
) -> tuple[float, str]:
    if not isinstance(wanted, str):
        return float(wanted), "given"
    method = "pearson" if wanted == "auto" else wanted
    if method == "ml":
        assert callable(density)
        guess = np.log(max(pearson / n, 1e-300))
        found = minimize_scalar(lambda s: -density(np.exp(s)), bracket=(guess - 0.5, guess + 0.5), tol=1e-10)
        return float(np.exp(found.x)), "ml"
    total = pearson if method == "pearson" else deviance
    return (total / df, method) if df > 0 else (total / n, f"{method} / n, as n <= P")


def on_balance(likelihood: Likelihood, theta: Array, data: Data) -> Array:
    """Refit the output bias with the rest as an offset, so that totals agree under a canonical link."""
    theta = theta.copy()
    b = likelihood.layout.views(theta)["output.b"]
    offset = likelihood.eta(theta, data.X, data.offset) - b
    refit = fit_intercept(likelihood.response, data.y, data.weights, offset, likelihood.shape(theta), start=b.copy())
    b[:] = refit.value
    return theta


def refit_output(likelihood: Likelihood, theta: Array, data: Data, penalty: Array) -> Array:
    """Refit the output layer as a generalized linear model on the learned features (one linear predictor)."""
    theta = theta.copy()
    views = likelihood.layout.views(theta)
    W, b = views["output.W"], views.get("output.b")
    seed = np.ones((1, 1))
    features = next(h[0] for tap, h, _ in likelihood.taps(theta, data, seed) if tap.weight == "output.W")
    start = np.concatenate([W[:, 0], [] if b is None else b])
    offset = likelihood.eta(theta, data.X, data.offset)[:, 0] - features @ W[:, 0] - (0.0 if b is None else b[0])

    def rows(eta: Array) -> tuple[float, Array, Array]:
        found = likelihood.response.working(data.y, (eta + offset)[:, None], data.weights, likelihood.shape(theta))
        return found.objective, found.score[:, 0], found.information[:, 0, 0]

    l2 = likelihood.layout.views(penalty)["output.W"][:, 0]
    result = irls(features, rows, start, intercept=b is not None, l2=np.concatenate([l2, [] if b is None else [0.0]]))
    W[:, 0] = result.theta[: len(W)]
    if b is not None:
        b[:] = result.theta[len(W) :]
    return theta
