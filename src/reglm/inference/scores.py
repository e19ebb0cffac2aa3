"""Scores of single rows, and what deleting a row does to them."""

from __future__ import annotations

import numpy as np

from reglm.jacobian import jacobian
from reglm.likelihood import Data, Likelihood
from reglm.parameters import Array

LARGEST_LEVERAGE = 1.0 - 1e-10
"""A row whose leverage reaches this fits itself: without it a parameter is not determined."""


def row_scores(likelihood: Likelihood, theta: Array, data: Data) -> Array:
    """Derivatives of each row's log-likelihood in theta (n, P), at dispersion 1 and without penalty.

    ``sum_k J_ik s_ik`` and, for shape parameters of the family, their own derivatives. Weights multiply; the
    column sums are minus the gradient of `Likelihood.value_grad`.
    """
    eta = likelihood.eta(theta, data.X, data.offset)
    s, *shape = likelihood.response.row_scores(data.y, eta, data.weights, likelihood.shape(theta))
    return scores_along(likelihood, designs(likelihood, theta, data), s, shape)


def designs(likelihood: Likelihood, theta: Array, data: Data) -> Array:
    """J of every linear predictor, (K, n, P)."""
    return np.stack([jacobian(likelihood, theta, data, k) for k in range(likelihood.network.outputs())])


def scores_along(likelihood: Likelihood, J: Array, s: Array, shape: list[Array]) -> Array:
    """``sum_k J_ik s_ik`` (n, P), the scores (n, 1) of the shape parameters in their own columns.

    Parameters
    ----------
    likelihood : Likelihood
    J : ndarray (K, n, P)
    s : ndarray (n, K)
    shape : list of ndarray (n, 1)
    """
    U = np.einsum("knp,nk->np", J, s)
    if shape:
        columns = np.arange(U.shape[1] - len(shape), U.shape[1])  # shape parameters stand last in theta
        U[:, columns] += np.concatenate(shape, axis=1)
    return U


def leverages(W: Array, JF: Array) -> Array:
    """``W_i J_i V J_i'`` (n, K, K): the part of row i in its own fitted linear predictors.

    With one linear predictor that is the leverage, the diagonal of ``W^(1/2) J V J' W^(1/2)`` (McCullagh &
    Nelder 1989, section 12.3).

    Parameters
    ----------
    W : ndarray (n, K, K)
        Expected information about eta at dispersion 1.
    JF : ndarray (K, n, Q)
        J of every linear predictor times a factor F of ``V = F F'``, the inverse information.
    """
    return np.einsum("nkj,jnq,mnq->nkm", W, JF, JF, optimize=True)


def without_own_pull(s: Array, A: Array, power: float) -> Array:
    """``(I - A_i)^-power s_i`` (n, K): scores freed of what each row does to its own fit.

    Power 1/2 makes squares of residuals unbiased under homoscedasticity (HC2), power 1 is the jackknife (HC3)
    (MacKinnon & White 1985; for blocks Bell & McCaffrey 2002).

    Parameters
    ----------
    s : ndarray (n, K)
    A : ndarray (n, K, K)
        From `leverages`.
    power : float
    """
    if A.shape[1] == 1:
        return s / (1.0 - A[:, :, 0]) ** power
    values, vectors = np.linalg.eig(A)
    along = np.linalg.solve(vectors, s[:, :, None])[:, :, 0]
    return np.real(np.einsum("nkm,nm->nk", vectors, along * (1.0 - values) ** -power))
