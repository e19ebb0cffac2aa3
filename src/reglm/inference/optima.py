"""The optima that the restarts of a fit ended in.

Two restarts count as the same optimum if they agree in the log-likelihood and describe the same function on the
training rows, whichever of its symmetric images their parameters are: no further apart than a small share of a
standard error in the metric of the expected information about eta.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit, Restart

if TYPE_CHECKING:
    import pandas as pd

SAME_OBJECTIVE = 0.05
"""Units of log-likelihood, penalty included, within which two restarts may be at one optimum."""
SAME_FUNCTION = 1.0
"""Sum over rows of squared distances of eta, each in units of its information, below which they are."""


@dataclass(frozen=True)
class Optimum:
    """A point at which one or more restarts ended.

    Parameters
    ----------
    theta : ndarray (P,)
        Of the best of them.
    objective : float
        Penalty included, at dispersion 1.
    log_likelihood : float
        At its own dispersion where the family estimates one; NaN for quasi families.
    reached : int
        How many restarts ended here.
    converged : int
        How many of them say that they converged.
    chosen : bool
        Whether the estimates are the end of this point.
    """

    theta: Array
    objective: float
    log_likelihood: float
    reached: int
    converged: int
    chosen: bool


def optima(fit: Fit) -> list[Optimum]:
    """Distinct ends of the restarts, best first.

    Parameters
    ----------
    fit : Fit

    Raises
    ------
    ValueError
        If the model was loaded from a file: it has neither rows nor the estimates of its restarts.
    """
    if fit.data is None:
        raise ValueError("optima need the training rows, which a model loaded from a file does not hold; fit it again.")
    found: list[tuple[Array, list[Restart]]] = []
    for restart in sorted(fit.restarts, key=_order):
        eta = fit.likelihood.eta(restart.theta.astype(fit.theta.dtype), fit.data.X, fit.data.offset)
        same = [others for at, others in found if _same(fit, fit.data, restart, others[0], eta, at)]
        if same:
            same[0].append(restart)
        else:
            found.append((eta, [restart]))
    eta = fit.likelihood.eta(fit.theta, fit.data.X, fit.data.offset)
    chosen = int(np.argmin([np.square(at - eta).sum() for at, _ in found])) if found else 0
    return [_optimum(fit, fit.data, restarts, i == chosen) for i, (_, restarts) in enumerate(found)]


def optima_table(fit: Fit) -> pd.DataFrame:
    """`optima` as a table: log-likelihood, BIC, objective, reached, converged, chosen."""
    import pandas as pd

    rows = [
        {
            "log_likelihood": o.log_likelihood,
            "bic": -2.0 * o.log_likelihood + fit.n_parameters * float(np.log(fit.nobs)),
            "objective": o.objective,
            "reached": o.reached,
            "converged": o.converged,
            "chosen": o.chosen,
        }
        for o in optima(fit)
    ]
    return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="optimum"))


def _order(restart: Restart) -> float:
    return restart.objective if np.isfinite(restart.objective) else np.inf


def _same(fit: Fit, data: Data, one: Restart, other: Restart, eta: Array, at: Array) -> bool:
    """Whether two restarts, and their linear predictors (n, K), are one optimum."""
    if not abs(one.objective - other.objective) <= SAME_OBJECTIVE * fit.dispersion:
        return False
    W = fit.likelihood.working(other.theta.astype(fit.theta.dtype), data).information
    apart = eta - at
    return float(np.einsum("nk,nkm,nm->", apart, W, apart)) <= SAME_FUNCTION * fit.dispersion


def _optimum(fit: Fit, data: Data, restarts: list[Restart], chosen: bool) -> Optimum:
    best, converged = restarts[0], sum(restart.converged for restart in restarts)
    value = fit.log_likelihood if chosen else log_likelihood(fit, best.theta, data)
    theta = fit.theta if chosen else best.theta
    return Optimum(theta, best.objective, value, len(restarts), converged, chosen)


def log_likelihood(fit: Fit, theta: Array, data: Data) -> float:
    """Log-likelihood of other parameters (P,), at their own dispersion; NaN for quasi families.

    A Gaussian one is taken at the maximum-likelihood dispersion; other dispersions are those of the fit times the
    ratio of Pearson statistics, so that the divisor is the fit's.
    """
    likelihood = fit.likelihood
    family, response, theta = likelihood.family, likelihood.response, theta.astype(fit.theta.dtype)
    if not family.likelihood:
        return float("nan")
    data = data.rows(data.weights[:, 0] > 0)
    eta, shape, w = likelihood.eta(theta, data.X, data.offset), likelihood.shape(theta), data.weights
    phi = 1.0 if family.dispersion == "fixed" else fit.dispersion
    if family.dispersion != "fixed" and fit.dispersion_method != "given":
        variance = response.variance(eta, shape) / family.size(data.y)
        squares = w * (family.observed(data.y) - response.mean(eta, shape)) ** 2 / variance
        n = (fit.weight_total if fit.freq_weights else len(w)) * squares.shape[1]
        own = float(squares.sum())
        phi = own / n if family.name == "gaussian" else phi * own / float(fit.details["pearson"])
    entries = response.log_density(data.y, eta, phi, None if fit.freq_weights else w, shape)
    return float((w * entries).sum() if fit.freq_weights else entries.sum())
