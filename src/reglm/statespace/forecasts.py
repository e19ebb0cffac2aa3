"""Simulated continuations of sequences, summed up."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reglm.parameters import Array


class Forecast(NamedTuple):
    """Simulated continuations of sequences.

    Parameters
    ----------
    mean : ndarray (S, steps, d)
    lower, upper : ndarray (S, steps, d)
        Pointwise quantiles of the draws.
    draws : ndarray (n_samples, S, steps, d)
    """

    mean: Array
    lower: Array
    upper: Array
    draws: Array


def summarise(draws: Array, level: float) -> Forecast:
    """Mean of draws (n_samples, S, steps, d) and the quantiles that hold a share `level` of them."""
    lower, upper = np.quantile(draws, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=0)
    return Forecast(draws.mean(axis=0), lower, upper, draws)


class NormalForecast(NamedTuple):
    """Continuations of sequences whose distribution is normal.

    Parameters
    ----------
    mean : ndarray (S, steps, d)
    lower, upper : ndarray (S, steps, d)
        Pointwise intervals.
    error : ndarray (S, steps, d)
        Standard deviations.
    """

    mean: Array
    lower: Array
    upper: Array
    error: Array
