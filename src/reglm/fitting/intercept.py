"""Models with nothing but an intercept: the null model, and the balance property.

With a canonical link the score of the intercept is ``sum w (y - mu)``; a fit that ends anywhere but at its optimum (a
stochastic solver, early stopping) is put back on balance by refitting the intercept alone with the rest as an offset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pytensor.tensor as pt

from reglm.compiling import evaluate
from reglm.families.base import ExponentialDispersion
from reglm.links import Link
from reglm.parameters import Array
from reglm.response import Response, Working

MAX_ITERATIONS = 50
MAX_HALVINGS = 30
FLAT = 1e-14
"""Directions with less than this share of the largest information are not moved along."""


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


def rough_intercept(response: Response, y: Array, weights: Array, offset: Array, shape: Mapping[str, Array]) -> Array:
    """Intercepts (K,) in the right region, finite even where all rows are zero or of one class."""
    target = starting_eta(response, y, offset.shape[1])
    target = np.where(np.isfinite(target), target, 0.0) - offset
    mean = (weights / weights.sum() * target).sum(axis=0)
    if np.ptp(offset) == 0.0 or np.isfinite(response.working(y, offset + mean, weights, shape).objective):
        return mean
    return np.median(target, axis=0)  # a few offsets far from the others


def fit_intercept(
    response: Response, y: Array, weights: Array, offset: Array, shape: Mapping[str, Array],
    start: Array | None = None,
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
    if start is None and len(y) > 1 and is_one_row(response, y, offset, shape):
        total = weights.sum(keepdims=True)
        average = (weights / total * y).sum(axis=0, keepdims=True).astype(y.dtype)
        b = fit_intercept(response, average, total, offset[:1], shape).value
        return Intercept(b, null_deviance(response, y, weights, offset, b, shape))
    if start is None:
        start = rough_intercept(response, y, weights, offset, shape)
    b = np.asarray(start, dtype=float)

    def at(b: Array) -> Working:
        return response.working(y, offset + b.astype(offset.dtype), weights, shape)

    now = at(b)
    step, decrement = scoring_step(now)
    precision = float(np.sqrt(np.finfo(offset.dtype).eps))
    for _ in range(MAX_ITERATIONS):
        if not np.isfinite(decrement):
            break
        # Near the optimum the objective drowns in rounding; there a step is good if it shrinks the next one.
        near = decrement <= precision * abs(now.objective)
        found = (b + step, at(b + step)) if near else lower(at, b, step, now.objective)
        if found is None:
            break
        next_step, next_decrement = scoring_step(found[1])
        if near and not next_decrement < decrement / 4.0:
            break
        (b, now), step, decrement = found, next_step, next_decrement
    return Intercept(b, null_deviance(response, y, weights, offset, b, shape))


def is_one_row(response: Response, y: Array, offset: Array, shape: Mapping[str, Array]) -> bool:
    """Whether the intercept sees only the average response: one offset, and a kernel linear in y."""
    linear = isinstance(response.family, ExponentialDispersion) and y.shape[1] == offset.shape[1] and not shape
    return linear and not np.ptp(offset, axis=0).any()


def null_deviance(
    response: Response, y: Array, weights: Array, offset: Array, b: Array, shape: Mapping[str, Array]
) -> float:
    """Deviance of ``eta = b + offset``."""
    unit = response.unit_deviance(y, offset + b.astype(offset.dtype), shape)
    return float((weights * unit).sum())


def scoring_step(now: Working) -> tuple[Array, float]:
    """Scoring step (K,) of the intercepts and its decrement; negative curvature counts by its size."""
    gradient, information = now.score.sum(axis=0).astype(float), now.information.sum(axis=0).astype(float)
    if not (np.isfinite(gradient).all() and np.isfinite(information).all()):
        return np.zeros_like(gradient), float("nan")
    values, vectors = np.linalg.eigh(information)
    sizes = np.abs(values)
    along = np.divide(vectors.T @ gradient, sizes, out=np.zeros_like(gradient), where=sizes > FLAT * sizes.max())
    step = vectors @ along
    return step, float(gradient @ step)


def lower(at: Callable[[Array], Working], b: Array, step: Array, objective: float) -> tuple[Array, Working] | None:
    """Halve a step from `b` (K,) until the objective falls; None if it never does."""
    for _ in range(MAX_HALVINGS):
        trial = at(b + step)
        if trial.objective <= objective:
            return b + step, trial
        step = step / 2.0
    return None
