"""How far the sorted quantile residuals of a good model stray from the normal quantiles."""

from __future__ import annotations

import numpy as np
from scipy import stats

from reglm.inference.residuals import quantile, training_rows
from reglm.parameters import Array
from reglm.record import Fit


def exact_envelope(n: int, level: float = 0.95) -> tuple[Array, Array]:
    """Pointwise limits (n,) of the order statistics of n independent standard normal numbers.

    The i-th of n uniform ones is Beta(i, n + 1 - i) (David & Nagaraja 2003, 2.1).

    Parameters
    ----------
    n : int
    level : float
    """
    i = np.arange(1, n + 1)
    ends = (stats.norm.ppf(stats.beta.ppf(q, i, n + 1 - i)) for q in ((1 - level) / 2, (1 + level) / 2))
    low, high = ends
    return low, high


def simulated_envelope(fit: Fit, simulations: int, level: float = 0.95, seed: int = 0) -> tuple[Array, Array]:
    """Pointwise limits (n,) from responses drawn from the model, to each of which it is fitted again.

    Unlike `exact_envelope` they allow for estimated parameters (Atkinson 1985, section 4.2).

    Parameters
    ----------
    fit : Fit
    simulations : int
    level : float
    seed : int

    Raises
    ------
    ValueError
        If the model was loaded from a file.
    """
    rows = training_rows(fit)
    family, refit = rows.fit.likelihood.family, fit.refit
    if refit is None or fit.data is None:
        raise ValueError("simulations need a fit that can be repeated; fit the model again.")
    phi = fit.dispersion / rows.precision if family.dispersion == "estimated" else fit.dispersion
    location = rows.fit.likelihood.response.location(rows.eta, rows.shape)
    rng = np.random.default_rng(seed)
    drawn = []
    for number in range(simulations):
        y = np.asarray(family.simulate(rng, location, phi, rows.size, **rows.shape), dtype=fit.data.y.dtype)
        again = refit(fit.data._replace(y=y), start=fit.theta)
        drawn.append(np.sort(quantile(training_rows(again), seed + number).ravel()))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
