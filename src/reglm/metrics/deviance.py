"""Deviances of predictions, derived from the log-density of the family."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from scipy.special import xlogy

from reglm import families
from reglm.families import Family
from reglm.fitting.intercept import fit_intercept
from reglm.links import Link
from reglm.parameters import Array
from reglm.response import Response

CLASSES = frozenset({"multinomial", "ordinal"})


def unit_deviance(y: Any, mu: Any, family: str | Family = "gaussian") -> Array:
    """Deviance of each row: twice what its log-likelihood lacks to a perfect one, at dispersion 1.

    Parameters
    ----------
    y : array-like (n,) or (n, m)
        Responses as the family takes them: two columns of successes and failures for the binomial, one
        column a class for multinomial and ordinal.
    mu : array-like (n,) or (n, K)
        Predicted means: shares for the binomial, class probabilities for multinomial and ordinal.
    family : str or Family
        Shape parameters must be given, as in ``"negative_binomial(0.5)"`` or ``"tweedie(1.5)"``.

    Returns
    -------
    ndarray (n,)
        Infinite where the prediction rules out what was observed.

    Raises
    ------
    ValueError
        If y or mu lie outside the family's range, their lengths differ, or a shape parameter is missing.
    """
    f = families.get(family)
    y, mu = _matrix(y, "y"), _matrix(mu, "mu")
    f.check_response(y)
    if (f.specs(y) and f.name not in CLASSES) or f.name == "tobit":
        raise ValueError(f"family={f.name!r}: its deviance does not follow from means alone; {_remedy(f)}.")
    observed = np.asarray(f.observed(y))
    if mu.shape != observed.shape:
        raise ValueError(f"mu has shape {mu.shape}, but y asks for {observed.shape} under family {f.name!r}.")
    if f.name in CLASSES:
        with np.errstate(divide="ignore"):
            return 2.0 * (xlogy(y, observed) - xlogy(y, mu)).sum(axis=1)
    on_edge = (mu == f.domain.low) | (mu == f.domain.high)
    outside = ~(f.domain.contains(mu) | on_edge)
    if outside.any():
        row = int(np.argwhere(outside)[0][0])
        raise ValueError(f"mu[{row}] = {mu[outside][0]:g} lies outside {f.domain}, the means of family {f.name!r}.")
    unit = Response(f, families.mean.SATURATED).unit_deviance(y, mu)
    ruled_out = on_edge & (observed != mu)
    return np.where(ruled_out, np.inf, unit).sum(axis=1)


def _matrix(values: Any, name: str) -> Array:
    array = np.asarray(values, dtype=float)
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must have one or two dimensions, got shape {array.shape}.")
    return array.reshape(len(array), -1)


def _remedy(f: Family) -> str:
    options = ", ".join(field.name for field in fields(f))
    return f"give its shape parameters ({options})" if options and f.name != "tobit" else "use the model's `logpdf`"


def mean_deviance(y: Any, mu: Any, family: str | Family = "gaussian", sample_weight: Any = None) -> float:
    """Weighted mean of `unit_deviance`.

    Parameters
    ----------
    y, mu, family
        See `unit_deviance`.
    sample_weight : array-like (n,), optional

    Returns
    -------
    float
    """
    return float(np.average(unit_deviance(y, mu, family), weights=_weights(sample_weight)))


def _weights(sample_weight: Any) -> Array | None:
    return None if sample_weight is None else np.asarray(sample_weight, dtype=float).ravel()


def d2_deviance(
    y: Any, mu: Any, family: str | Family = "gaussian", sample_weight: Any = None, null: Any = None
) -> float:
    """Share of the null deviance that the predictions explain, ``1 - D(mu) / D(null)``.

    Parameters
    ----------
    y, mu, family, sample_weight
        See `mean_deviance`.
    null : array-like of the shape of `mu`, optional
        Means of the null model; the weighted mean of y by default. With an offset or exposure: `null_mean`.

    Returns
    -------
    float
        At most 1; negative if the predictions are worse than the null model.
    """
    if null is None:
        null = null_mean(y, family, sample_weight)
    return 1.0 - mean_deviance(y, mu, family, sample_weight) / mean_deviance(y, null, family, sample_weight)


def null_mean(
    y: Any,
    family: str | Family = "gaussian",
    sample_weight: Any = None,
    offset: Any = None,
    link: str | Link | None = None,
) -> Array:
    """Means (n, K) of the model with an intercept only.

    Parameters
    ----------
    y, family, sample_weight
        See `mean_deviance`.
    offset : array-like (n,), optional
        Added to the intercept on the scale of the link; the logarithm of an exposure.
    link : str or Link, optional
        The family's default; matters with an offset only.

    Returns
    -------
    ndarray (n, K)
    """
    f = families.get(family)
    y = _matrix(y, "y")
    observed = np.asarray(f.observed(y))
    w = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=float).ravel()
    average = np.average(observed, axis=0, weights=np.broadcast_to((w * np.ravel(f.size(y)))[:, None], observed.shape))
    if offset is None:
        return np.broadcast_to(average, observed.shape).copy()
    shift = np.broadcast_to(_matrix(offset, "offset"), (len(y), f.outputs(y)))
    response = Response(f, f.resolve_link(link))
    return response.mean(fit_intercept(response, y, w[:, None], shift, {}).value + shift)
