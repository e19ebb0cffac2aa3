"""Covariances of recurrent models, whose rows act on one another: sequences are what is independent."""

from __future__ import annotations

import numpy as np

from reglm.inference.information import observed_factor
from reglm.likelihood import Data, Likelihood
from reglm.parameters import Array
from reglm.record import Fit

KINDS = ("observed", "posterior", "frequentist", "HC0", "HC1")
"""Covariances that need no linear predictor to depend on its own row alone."""


def sequence_scores(likelihood: Likelihood, theta: Array, data: Data) -> Array:
    """Derivatives of the log-likelihood of each sequence in theta (S, P), at dispersion 1 and without penalty.

    Parameters
    ----------
    likelihood : Likelihood
        Of a recurrent network.
    theta : ndarray (P,)
    data : Data
        Packed sequences.
    """
    parts = (data.rows(np.array([s])) for s in range(data.units))
    return -np.stack([likelihood.value_grad(theta, part)[1] for part in parts])


def check_kind(kind: str) -> None:
    """Raise unless a covariance is one that recurrent models have.

    Raises
    ------
    ValueError
        Names those there are.
    """
    if kind not in KINDS:
        raise ValueError(
            f"cov={kind!r} needs rows that do not act on one another, which those of a recurrent model do; "
            f"choose one of {list(KINDS)}. Sandwiches sum scores by sequence."
        )


def half(fit: Fit, data: Data, kind: str) -> Array | str:
    """L (P, Q) with the covariance ``L L'``, or why there is none.

    Parameters
    ----------
    fit : Fit
        In double precision.
    data : Data
        Its training sequences.
    kind : str
        One of `KINDS`; "HC1" multiplies "HC0" by ``S / (S - 1)``.
    """
    P = fit.likelihood.layout.size
    factor = observed_factor(fit, data, np.arange(P))
    if factor is None:
        return "the observed information is not positive definite."
    if kind in ("observed", "posterior"):
        return np.sqrt(fit.dispersion) * factor
    if kind == "frequentist":
        shares = np.eye(P) - factor.T @ (fit.penalty[:, None] * factor)
        values, vectors = np.linalg.eigh(shares)
        return np.sqrt(fit.dispersion) * factor @ (vectors * np.sqrt(np.maximum(values, 0.0)))
    S = data.units
    if S < 2:
        return f"cov={kind!r} is told by the spread between sequences, and there is one."
    scores = sequence_scores(fit.likelihood, fit.theta, data)
    return np.sqrt(S / (S - 1.0) if kind == "HC1" else 1.0) * (factor @ (factor.T @ scores.T))
