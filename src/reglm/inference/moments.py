"""Rows to predict, and the covariance of linear predictors and means at them by the delta method.

With J the derivatives of the linear predictors and V the covariance of theta, ``cov(eta) = J V J'``; means are
smooth functions of eta and, in some families, of shape parameters (Greene 2018, section 4.6). Everything runs in
blocks of rows, so that J is never held for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from reglm.inference.estimates import Estimates
from reglm.inference.information import in_double
from reglm.jacobian import blocks, jacobian
from reglm.likelihood import Data, Likelihood
from reglm.parameters import Array
from reglm.record import Fit

STEP = float(np.finfo(float).eps ** (1 / 3))
DRAWN_ELEMENTS = 4_000_000
"""Means of all draws are held for blocks of rows of about this many numbers."""


class Moments(NamedTuple):
    """Linear predictors (n, K) and means (n, M), and the variances that the estimation of theta gives them."""

    eta: Array
    mean: Array
    eta_variance: Array
    mean_variance: Array


def new_rows(
    results: Estimates, X: Any = None, offset: Any = None, exposure: Any = None, *, trials: Any = None,
    weights: Any = None,
) -> Data:  # fmt: skip
    """Rows to predict; their y holds nothing but the number of trials.

    Parameters
    ----------
    results : Estimates
    X : array-like or data frame, optional
        As in `fit`; the model matrix for results without a reader. None for the training rows.
    offset, exposure : array-like, optional
    trials : int or array-like (n,), optional
        Trials behind each row, for counts out of a total; 1 by default, those of the training rows for X=None.
    weights : float or array-like (n,), optional
        Precision weights; 1 by default, those of the training rows for X=None (1 for frequencies).

    Raises
    ------
    ValueError
        If X is None and the model holds no training rows, or an offset or exposure is given for them.
    """
    fit = in_double(results.fit)
    if X is None:
        rows = _training_rows(fit, offset, exposure)
    else:
        matrix, total = _read(results, X, offset, exposure)
        n = matrix.shape[0]
        y = np.zeros((n, _response_columns(fit)))
        y[:, 0] = 1.0
        rows = Data(matrix, y, total, np.ones((n, 1)))
    if trials is not None:
        y = np.zeros_like(rows.y)
        y[:, 0] = trials
        rows = rows._replace(y=y)
    if weights is not None:
        rows = rows._replace(weights=np.broadcast_to(np.asarray(weights, dtype=float).reshape(-1, 1), (len(rows.y), 1)))
    return rows


def _training_rows(fit: Fit, offset: Any, exposure: Any) -> Data:
    if fit.data is None:
        raise ValueError("X=None asks for the training rows, which a model loaded from a file does not hold; pass X.")
    if offset is not None or exposure is not None:
        raise ValueError("offset and exposure belong to new rows, but X=None asks for the training rows; pass X.")
    return fit.data._replace(weights=np.ones_like(fit.data.weights)) if fit.freq_weights else fit.data


def _read(results: Estimates, X: Any, offset: Any, exposure: Any) -> tuple[Any, Array]:
    """Model matrix (n, p) and offset (n, K), both in double precision."""
    if results.reader is not None:
        matrix, total = results.reader.rows(X, offset, exposure)
        return matrix.astype(float), np.asarray(total, dtype=float)
    if exposure is not None:
        raise ValueError("exposure is read by estimators only; pass offset=np.log(exposure).")
    matrix = X if hasattr(X, "indptr") else np.asarray(X, dtype=float)
    K = results.fit.likelihood.network.outputs()
    given = np.zeros((matrix.shape[0], K)) if offset is None else np.asarray(offset, dtype=float)
    return matrix, np.broadcast_to(given[:, None] if given.ndim == 1 else given, (matrix.shape[0], K))


def _response_columns(fit: Fit) -> int:
    """Columns of y."""
    if fit.data is not None:
        return fit.data.y.shape[1]
    K = fit.likelihood.network.outputs()
    name = fit.likelihood.family.name
    if name == "ordinal":
        return len(fit.likelihood.family.natural(**fit.likelihood.shape(fit.theta))["cutpoints"]) + 1
    return K + 1 if name in ("multinomial", "binomial", "quasibinomial") else K


def moments(likelihood: Likelihood, theta: Array, V: Array, rows: Data) -> Moments:
    """Linear predictors, means and their variances.

    Parameters
    ----------
    likelihood : Likelihood
    theta : ndarray (P,)
    V : ndarray (P, P)
    rows : Data
    """
    parts = [_moments(likelihood, theta, V, rows.rows(block)) for block in blocks(likelihood, rows)]
    return Moments(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _moments(likelihood: Likelihood, theta: Array, V: Array, rows: Data) -> Moments:
    eta = likelihood.eta(theta, rows.X, rows.offset)
    mean = likelihood.response.mean(eta, likelihood.shape(theta))
    K = eta.shape[1]
    C = joint_covariance(likelihood, theta, V, rows)
    D = mean_slopes(likelihood, theta, eta, mean.shape[1])
    variances = np.diagonal(C[:, :K, :K], axis1=1, axis2=2), np.einsum("nmi,nij,nmj->nm", D, C, D)
    return Moments(eta, mean, *(np.maximum(v, 0.0) for v in variances))


def joint_covariance(likelihood: Likelihood, theta: Array, V: Array, rows: Data) -> Array:
    """Covariance (n, K + S, K + S) of the linear predictors of each row and the S shape parameters."""
    K = likelihood.network.outputs()
    S = sum(math.prod(spec.shape) for spec in likelihood.shape_specs)
    Js = [jacobian(likelihood, theta, rows, k) for k in range(K)]
    C = np.zeros((len(rows.y), K + S, K + S))
    last = slice(len(theta) - S, len(theta))
    C[:, K:, K:] = V[last, last]
    for k, Jk in enumerate(Js):
        JV = Jk @ V
        C[:, k, K:] = C[:, K:, k] = JV[:, last]
        for m, Jm in enumerate(Js[: k + 1]):
            C[:, k, m] = C[:, m, k] = np.einsum("np,np->n", JV, Jm)
    return C


def mean_slopes(likelihood: Likelihood, theta: Array, eta: Array, outputs: int) -> Array:
    """Derivatives (n, M, K + S) of the M means of each row in its linear predictors and the shape parameters."""
    response, shape = likelihood.response, likelihood.shape(theta)
    inner = np.stack([response.mean_slope(eta, m, shape) for m in range(outputs)], axis=1)
    S = sum(math.prod(spec.shape) for spec in likelihood.shape_specs)
    columns = []
    for i in range(len(theta) - S, len(theta)):
        step = np.zeros(len(theta))
        step[i] = STEP * max(1.0, abs(float(theta[i])))
        ahead, behind = (response.mean(eta, likelihood.shape(theta + sign * step)) for sign in (1, -1))
        columns.append((ahead - behind) / (2 * step[i]))
    return np.concatenate([inner, *(column[:, :, None] for column in columns)], axis=2)


def draw_theta(theta: Array, V: Array, n_draws: int, rng: np.random.Generator) -> Array:
    """Draws (D, P) from the normal distribution with mean theta and covariance V, which may be singular."""
    return rng.multivariate_normal(theta, V, size=n_draws, method="eigh", check_valid="ignore")


def drawn(likelihood: Likelihood, draws: Array, rows: Data, what: str) -> Iterator[Array]:
    """What is predicted at every draw of theta: arrays (D, rows of a block, M), block by block.

    Parameters
    ----------
    likelihood : Likelihood
    draws : ndarray (D, P)
    rows : Data
    what : {"linpred", "mean", "location"}
    """
    n = len(rows.y)
    size = max(1, DRAWN_ELEMENTS // (len(draws) * max(rows.y.shape[1], likelihood.network.outputs())))
    for start in range(0, n, size):
        part = rows.rows(slice(start, start + size))
        etas = [likelihood.eta(theta, part.X, part.offset) for theta in draws]
        if what == "linpred":
            yield np.stack(etas)
        else:
            function = getattr(likelihood.response, what)
            pairs = zip(draws, etas, strict=True)
            yield np.stack([function(eta, likelihood.shape(theta)) for theta, eta in pairs])


def known(results: Estimates) -> tuple[Array, Array]:
    """Theta (P,) and its covariance (P, P), with aliased parameters at zero.

    Raises
    ------
    ValueError
        If there are no standard errors; the message says why.
    """
    if results.refusal:
        raise ValueError(
            f"no standard errors: {results.refusal} Intervals without them: bootstrap(n_init=3) for means, "
            "prediction_interval(method='conformal') for responses."
        )
    return np.nan_to_num(results.theta), np.nan_to_num(results.cov_theta())
