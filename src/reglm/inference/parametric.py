"""The parametric bootstrap of likelihood-ratio statistics: what they are when the smaller model is true.

Responses are drawn from the smaller fit, both models are fitted to them, and the p-value is the share of statistics
at least as large as the observed one, the observed one included (Davison & Hinkley 1997, section 4.2). It
needs no identified parameters under the smaller model, and so is the test for the number of hidden units.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from reglm.inference.likelihood_ratio import WORSE, Pair, outcome, statistic
from reglm.inference.test_result import TestOutcome
from reglm.parameters import Array
from reglm.record import Fit


def bootstrap_test(
    pair: Pair,
    replications: int,
    *,
    n_init: int = 2,
    seed: int = 0,
    n_jobs: int | None = None,
    verbose: int = 0,
    name: str = "likelihood-ratio test",
) -> TestOutcome:
    """Likelihood-ratio test whose p-value is had by simulation from the smaller fit.

    Parameters
    ----------
    pair : Pair
    replications : int
        Simulated samples.
    n_init : int
        Starts of each refit, the first from the estimates.
    seed : int
        The p-value depends on it alone, not on `n_jobs`.
    n_jobs : int, optional
        Processes, as `joblib.Parallel` has them.
    verbose : int
        Positive for a progress bar.
    name : str

    Raises
    ------
    ValueError
        If the family has no distribution to draw from, weights stand for something that cannot be drawn, a
        model was loaded from a file, or `replications` is below one.
    """
    _check(pair, replications)
    observed = outcome(pair, name)
    draws = np.array(list(_draws(pair, replications, n_init, seed, n_jobs, verbose)))
    larger = int(np.sum(draws >= observed.statistic))
    notes = [note for note in observed.notes if "reference is not valid" not in note]
    failed = int(np.sum(draws < -WORSE))
    if failed:
        notes.append(f"In {failed} of {replications} samples the larger model fitted worse: a larger n_init is due.")
    notes.append(f"p-value from {replications} samples of the smaller model.")
    pvalue = (1 + larger) / (replications + 1)
    return replace(observed, df=float("nan"), pvalue=pvalue, distribution="bootstrap", notes=tuple(notes))


def _check(pair: Pair, replications: int) -> None:
    smaller = pair.smaller
    if replications < 1:
        raise ValueError(f"bootstrap={replications!r} must be at least 1; 999 gives p-values of three digits.")
    if pair.larger.refit is None or smaller.refit is None:
        raise ValueError("the bootstrap refits both models, for which a model loaded from a file has no rows.")
    if not smaller.likelihood.family.likelihood:
        raise ValueError(f"family {smaller.likelihood.family.name!r} has no distribution to draw responses from.")
    assert smaller.data is not None
    counts = smaller.freq_weights or smaller.likelihood.family.dispersion == "fixed"
    if counts and np.any(smaller.data.weights[smaller.data.weights > 0] != 1.0):
        raise ValueError("weights that multiply log-densities stand for several responses; give each its own row.")


def _draws(pair: Pair, replications: int, n_init: int, seed: int, n_jobs: int | None, verbose: int) -> Iterable[float]:
    """Statistics of simulated samples, as they become known."""
    from joblib import Parallel, delayed

    seeds = np.random.SeedSequence(seed).spawn(replications)
    run = Parallel(n_jobs=n_jobs, return_as="generator")
    found: Iterable[float] = run(delayed(_draw)(pair, child, n_init) for child in seeds)
    if verbose > 0:
        from rich.progress import track

        return track(found, description="bootstrap", total=replications)
    return found


def _draw(pair: Pair, seed: np.random.SeedSequence, n_init: int) -> float:
    """Statistic of one simulated sample."""
    y = simulated(pair.smaller, np.random.default_rng(seed))
    start = int(seed.generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of single refits; poor ones show in the statistic
        larger, smaller = (_refitted(fit, y, n_init, start) for fit in (pair.larger, pair.smaller))
    return statistic(pair._replace(larger=larger, smaller=smaller))


def _refitted(fit: Fit, y: Array, n_init: int, seed: int) -> Fit:
    assert fit.data is not None
    assert fit.refit is not None
    starts = 1 if fit.is_linear else n_init
    return fit.refit(fit.data._replace(y=y), start=fit.theta, n_init=starts, seed=seed)


def simulated(fit: Fit, rng: np.random.Generator) -> Array:
    """Responses (n, Ky) at the training rows, drawn from the fit."""
    likelihood, data = fit.likelihood, fit.data
    assert data is not None
    shape = likelihood.shape(fit.theta)
    mu = likelihood.response.location(likelihood.eta(fit.theta, data.X, data.offset), shape)
    phi = fit.dispersion / np.where(data.weights > 0, data.weights, 1.0)
    drawn = likelihood.family.simulate(rng, mu, phi, likelihood.family.size(data.y), **shape)
    return np.asarray(drawn, dtype=data.y.dtype).reshape(data.y.shape)
