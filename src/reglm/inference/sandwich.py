"""Sandwich covariances: right where the variance, or the independence of rows, is not as the family says.

``V = B (sum_g s_g s_g') B`` with the bread B, an inverse information, and scores s_g summed over rows that
belong together (White 1982; Liang & Zeger 1986). It holds no dispersion: that of the bread cancels that of
the scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from reglm.inference.scores import LARGEST_LEVERAGE, designs, leverages, scores_along, without_own_pull
from reglm.jacobian import blocks
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit

POWERS = {"HC0": 0.0, "HC1": 0.0, "HC2": 0.5, "HC3": 1.0}
"""Power of ``1 - leverage`` that scores are divided by (MacKinnon & White 1985)."""


def group_codes(groups: Any, data: Data) -> tuple[Array, int]:
    """Numbers (n,) of the clusters of the rows, and how many of them have positive weight.

    Raises
    ------
    ValueError
        If there is not one cluster label a row, one is missing, or there are fewer than two.
    """
    labels = np.asarray(groups)
    n = data.y.shape[0]
    if labels.shape != (n,):
        raise ValueError(f"groups has shape {labels.shape}; give one label for each of the {n} rows of the fit.")
    missing = np.array([label is None or label != label for label in labels.tolist()])
    if missing.any():
        raise ValueError(f"groups[{missing.argmax()}] is missing; give every row a cluster.")
    codes = np.unique(labels, return_inverse=True)[1]
    count = len(np.unique(codes[data.weights[:, 0] > 0]))
    if count < 2:
        raise ValueError("groups: fewer than two clusters hold rows, so nothing can be told from their spread.")
    return codes, count


def meat(
    fit: Fit, data: Data, kept: Array, factor: Array, power: float = 0.0, codes: Array | None = None
) -> Array | None:
    """``sum_g F' s_g s_g' F`` (q, q), for F (Q, q): a factor of the bread ``B = F F'``, or some of its columns.

    Parameters
    ----------
    fit : Fit
    data : Data
    kept : ndarray of int (Q,)
        Parameters that are not aliased.
    factor : ndarray (Q, q)
    power : float
        Power of ``1 - leverage`` that scores are divided by.
    codes : ndarray of int (n,), optional
        Clusters, whose scores are summed; by default every row is one, and with frequency weights every
        repetition of it.

    Returns
    -------
    ndarray (q, q) or None
        None if scores have to be divided by ``1 - leverage`` and that is zero for a row.
    """
    q = factor.shape[1]
    total = np.zeros((q, q))
    sums = np.zeros((0 if codes is None else int(codes.max()) + 1, q))
    for rows in blocks(fit.likelihood, data):
        part = data.rows(rows)
        U = _scores(fit, part, kept, factor, power)
        if U is None:
            return None
        if codes is not None:
            members = sparse.csr_matrix((np.ones(len(U)), (codes[rows], np.arange(len(U)))), (len(sums), len(U)))
            sums += members @ U
        else:
            U /= np.sqrt(_repetitions(fit, part))
            total += U.T @ U
    return total if codes is None else sums.T @ sums


def _repetitions(fit: Fit, data: Data) -> Array:
    """How often each row (n, 1) was seen; rows of weight zero have no score and count once."""
    return np.where(data.weights > 0, data.weights, 1.0) if fit.freq_weights else np.ones_like(data.weights)


def _scores(fit: Fit, data: Data, kept: Array, factor: Array, power: float) -> Array | None:
    """``F' s_i`` of every row, (n, q); None where a row has leverage 1."""
    likelihood = fit.likelihood
    eta = likelihood.eta(fit.theta, data.X, data.offset)
    s, *shape = likelihood.response.row_scores(data.y, eta, data.weights, likelihood.shape(fit.theta))
    J = designs(likelihood, fit.theta, data)
    if power:
        W = likelihood.working(fit.theta, data).information / _repetitions(fit, data)[:, :, None]
        A = leverages(W, J[:, :, kept] @ factor)
        if np.linalg.eigvals(A).real.max() >= LARGEST_LEVERAGE:
            return None
        s = without_own_pull(s, A, power)
    return scores_along(likelihood, J, s, shape)[:, kept] @ factor


def small_sample_factor(kind: str, n: float, P: int, groups: int) -> float:
    """``n / (n - P)`` for HC1, ``G/(G-1) (n-1)/(n-P)`` for G clusters (Cameron & Miller 2015), 1 for others."""
    if kind == "HC1":
        return n / (n - P)
    return groups / (groups - 1) * (n - 1) / (n - P) if groups else 1.0
