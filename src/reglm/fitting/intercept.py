"""Models with nothing but an intercept: the null model, and the balance property.

With a canonical link the score of the intercept is ``sum w (y - mu)``; a fit that ends anywhere but at its optimum (a
stochastic solver, early stopping) is put back on balance by refitting the intercept alone with the rest as an offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pytensor.tensor as pt

from reglm.compiling import evaluate
from reglm.links import Link
from reglm.parameters import Array
from reglm.response import Response

MAX_ITERATIONS = 100
TOLERANCE = 1e-12


class Intercept(NamedTuple):
    """Intercepts (K,) and the deviance they leave."""

    value: Array
    deviance: float


def transform(link: Link, mu: Array) -> Array:
    """``g(mu)`` by NumPy."""
    assert link.forward is not None
    symbol = pt.matrix(dtype=str(mu.dtype))
    return np.asarray(evaluate([link.forward(symbol)], {symbol: mu})[0])


def starting_eta(response: Response, y: Array, K: int) -> Array:
    """Link of the family's starting means, (n, K)."""
    mu = response.family.start(y)
    if response.link.name == "softmax" or mu.shape[1] != K:
        return np.log(mu[:, 1:]) - np.log(mu[:, :1]) if mu.shape[1] == K + 1 else np.zeros((len(y), K))
    return transform(response.link, mu)


def fit_intercept(
    response: Response, y: Array, weights: Array, offset: Array, shape: Mapping[str, Array], start: Array | None = None,
) -> Intercept:  # fmt: skip
    """Fit ``eta = b + offset`` by Fisher scoring with step-halving.

    Parameters
    ----------
    response : Response
    y, weights, offset : arrays (n, Ky), (n, 1), (n, K)
    shape : mapping
        Shape parameters, held fixed.
    start : ndarray (K,), optional

    Returns
    -------
    Intercept
    """
    if start is None:
        share = weights / weights.sum()
        start = (share * (starting_eta(response, y, offset.shape[1]) - offset)).sum(axis=0)
    b = np.asarray(start, dtype=float)
    now = response.working(y, offset + b.astype(offset.dtype), weights, shape)
    for _ in range(MAX_ITERATIONS):
        gradient, information = now.score.sum(axis=0), now.information.sum(axis=0)
        step = np.linalg.lstsq(information.astype(float), gradient.astype(float), rcond=None)[0]
        decrement = float(gradient @ step)
        if not decrement > TOLERANCE**2 * abs(now.objective):
            break
        for _ in range(40):
            trial = response.working(y, offset + (b + step).astype(offset.dtype), weights, shape)
            if trial.objective <= now.objective:
                break
            step = step / 2.0
        else:
            break
        b, now = b + step, trial
    unit = response.unit_deviance(y, offset + b.astype(offset.dtype), shape)
    return Intercept(b, float((weights * unit).sum()))
