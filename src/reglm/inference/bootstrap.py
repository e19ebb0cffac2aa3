"""The bootstrap: draws of the estimates, and intervals from them (Davison & Hinkley 1997, chapter 5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special, stats

from reglm.inference import resampling
from reglm.inference.estimates import Estimates
from reglm.inference.information import in_double
from reglm.inference.moments import new_rows
from reglm.inference.prediction import Prediction, check_alpha
from reglm.inference.replicates import Replicate, run
from reglm.inference.sandwich import group_codes
from reglm.inference.terms import coefficients, natural_shape, shape_terms
from reglm.parameters import Array
from reglm.record import Fit

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("percentile", "basic", "bca", "normal")
AROUND = "Every refit starts at the estimates, so draws show the spread around this optimum alone."
ANY_OPTIMUM = "Refits have other starts too: draws may be at other optima or symmetric images. Read means, not weights."
STUCK = "The fit has no standard errors: refits may not leave the estimates, and bands be too narrow. Take n_init=3."


@dataclass(frozen=True, eq=False, repr=False)
class Bootstrap:
    """Draws of the estimates.

    Parameters
    ----------
    results : Estimates
        The fit that was resampled.
    kind : {"pairs", "parametric", "wild"}
    theta : ndarray (B, P)
        Draws of all parameters, aligned to the fit if every refit starts at its estimates (``n_init=1``).
    dispersion : ndarray (B,)
    codes : ndarray (n,) or None
        Clusters of the rows.
    n_failed, n_unconverged : int
        Refits that gave no estimates, which are left out, and those that stopped early, which are kept.
    notes : list of str
    """

    results: Estimates
    kind: str
    theta: Array
    dispersion: Array
    codes: Array | None = None
    n_failed: int = 0
    n_unconverged: int = 0
    notes: list[str] = field(default_factory=list)

    @cached_property
    def params(self) -> pd.DataFrame:
        """Draws (B, M) of what `Results.params` shows."""
        import pandas as pd

        fit = self.results.fit
        shown, shape = [term.position for term in coefficients(fit)], set(shape_terms(fit).labels)
        values = self.theta[:, shown]
        if shape:
            moving = [label in shape for label in natural_shape(fit, self.theta[0])[0]]
            natural = np.stack([natural_shape(fit, theta)[1][moving] for theta in self.theta])
            values = np.concatenate([values, natural], axis=1)
        return pd.DataFrame(values, columns=self.results.names)

    @property
    def bse(self) -> pd.Series:
        """Standard errors (M,): standard deviations of the draws."""
        return self.params.std(ddof=1)

    def cov_theta(self) -> Array:
        """Covariance matrix (P, P) of the draws."""
        return np.cov(self.theta, rowvar=False).reshape((self.theta.shape[1],) * 2)

    def conf_int(self, alpha: float = 0.05, method: str = "percentile") -> pd.DataFrame:
        """Intervals (M, 2) of level ``1 - alpha`` for `params`, with columns 0 and 1.

        Parameters
        ----------
        alpha : float
        method : {"percentile", "basic", "bca", "normal"}
            "bca" corrects quantiles for bias and skewness (Efron 1987), with the acceleration of the infinitesimal
            jackknife; "normal" is the estimate less the bias, plus and minus a multiple of the standard error.

        Raises
        ------
        ValueError
            If alpha is not between 0 and 1 or the method is not known.
        """
        import pandas as pd

        estimate = self.results.params.to_numpy()
        acceleration = self._acceleration() if method == "bca" else None
        ends = intervals(self.params.to_numpy(), estimate, alpha, method, acceleration)
        return pd.DataFrame(ends, index=self.results.names)

    def _acceleration(self) -> Array:
        """Acceleration (M,) from the influence of every row or cluster."""
        fit = self.results.fit
        change = resampling.influences(fit, self.codes)
        shown = change[:, [term.position for term in coefficients(fit)]]
        return skewness(np.concatenate([shown, change @ shape_terms(fit).slope.T], axis=1))

    def summary_frame(self, alpha: float = 0.05, method: str = "percentile") -> pd.DataFrame:
        """Estimates, their bias and standard errors by the bootstrap, and intervals.

        Parameters
        ----------
        alpha : float
        method : str
            As in `conf_int`.
        """
        ends = self.conf_int(alpha, method)
        frame = self.results.params.to_frame("coef")
        frame["bias"] = self.params.mean() - self.results.params
        frame["std err"] = self.bse
        frame[f"[{alpha / 2:g}"], frame[f"{1 - alpha / 2:g}]"] = ends[0], ends[1]
        return frame

    def apply(self, function: Callable[[Fit], Any]) -> Array:
        """Values (B, ...) of a function of the fit, at every draw of theta and dispersion, on the training rows.

        Parameters
        ----------
        function : callable ``Fit -> number or array``
        """
        fit = self.results.fit
        pairs = zip(self.theta, self.dispersion, strict=True)
        return np.stack([np.asarray(function(replace(fit, theta=theta, dispersion=phi))) for theta, phi in pairs])

    def get_prediction(self, X: Any = None, offset: Any = None, exposure: Any = None) -> Prediction:
        """Predictions whose bands are quantiles over the draws.

        Standard errors are those of the delta method with the covariance of the draws.

        Parameters
        ----------
        X, offset, exposure
            As in `Results.get_prediction`.
        """
        rows = new_rows(self.results, X, offset, exposure)
        exact = in_double(self.results.fit)
        index = getattr(X, "index", None)
        V = self.cov_theta()
        return Prediction(exact.likelihood, np.asarray(exact.theta), V, rows, stats.norm(), self.theta, index)

    def __repr__(self) -> str:
        lines = [f"<Bootstrap: {len(self.theta)} draws, kind={self.kind!r}>", *self.notes]
        return "\n".join(lines)


def intervals(draws: Array, estimate: Array, alpha: float, method: str, acceleration: Array | None = None) -> Array:
    """Bootstrap intervals (M, 2).

    Parameters
    ----------
    draws : ndarray (B, M)
    estimate : ndarray (M,)
    alpha : float
    method : {"percentile", "basic", "bca", "normal"}
    acceleration : ndarray (M,), optional
        For "bca".
    """
    check_alpha(alpha)
    if method not in METHODS:
        raise ValueError(f"method={method!r} is not known; choose one of {list(METHODS)}.")
    levels = np.array([alpha / 2, 1 - alpha / 2])
    if method == "normal":
        z = stats.norm.isf(alpha / 2) * draws.std(axis=0, ddof=1)
        centre = 2 * estimate - draws.mean(axis=0)
        return np.stack([centre - z, centre + z], axis=1)
    if method == "bca":
        assert acceleration is not None
        each = bca_levels(draws, estimate, levels, acceleration)
        return np.stack([np.quantile(draws[:, j], each[j]) for j in range(len(estimate))])
    ends = np.quantile(draws, levels, axis=0).T
    return 2 * estimate[:, None] - ends[:, ::-1] if method == "basic" else ends


def bca_levels(draws: Array, estimate: Array, levels: Array, acceleration: Array) -> Array:
    """Levels (M, 2) of the quantiles that correct for bias and skewness (Efron 1987, equation 2.3)."""
    below = ((draws < estimate).mean(axis=0) + (draws <= estimate).mean(axis=0)) / 2
    below = below.clip(0.5 / len(draws), 1 - 0.5 / len(draws))  # an estimate outside the draws counts half a draw
    z0 = special.ndtri(below)[:, None]
    z = z0 + special.ndtri(levels)
    return special.ndtr(z0 + z / (1 - acceleration[:, None] * z))


def skewness(change: Array) -> Array:
    """Acceleration ``sum l^3 / (6 (sum l^2)^(3/2))`` (M,) of influences l (n, M)."""
    return (change**3).sum(axis=0) / (6 * (change**2).sum(axis=0) ** 1.5)


def bootstrap(
    results: Estimates, n_boot: int = 999, kind: str = "pairs", *, groups: Any = None, multiplier: str = "rademacher",
    n_init: int = 1, n_jobs: int | None = None, random_state: int | None = None, verbose: int = 0,
) -> Bootstrap:  # fmt: skip
    """Return the draws of `Predictions.bootstrap`, where the arguments are described."""
    fit = results.fit
    resampling.check_kind(fit, kind, multiplier, groups is not None)
    if n_boot < 2:
        raise ValueError(f"n_boot={n_boot!r} must be at least 2.")
    if np.isnan(results.theta).any():
        raise ValueError("some columns are determined by others, so their coefficients are arbitrary; drop them first.")
    assert fit.data is not None
    codes = None if groups is None else group_codes(groups, fit.data)[0]
    if kind == "wild" and fit.likelihood.family.name != "gaussian":
        draw = resampling.MULTIPLIERS[multiplier]
        theta = resampling.score_draws(fit, results.theta, n_boot, random_state, draw, codes)
        notes = ["Draws are one Newton step each from multiplied scores; nothing was fitted again."]
        return Bootstrap(results, kind, theta, np.full(n_boot, fit.dispersion), codes, notes=notes)
    seeds = np.random.SeedSequence(random_state).spawn(n_boot)
    found = run(fit, kind, multiplier, codes, seeds, n_jobs, verbose, n_init)
    return _summed(results, kind, codes, found, n_boot, n_init)


def _summed(
    results: Estimates, kind: str, codes: Array | None, found: list[Replicate], n_boot: int, n_init: int = 1
) -> Bootstrap:
    """Leave out failures and say what went wrong."""
    kept = [one for one in found if not one.trouble]
    failed = [one.trouble for one in found if one.trouble]
    unfinished = sum(not one.converged for one in kept)
    if len(kept) < 2:
        raise ValueError(f"{len(failed)} of {len(found)} refits gave no estimates: {failed[:1]}.")
    notes = [f"Interrupted: {len(found)} of {n_boot} refits were done."] if len(found) < n_boot else []
    if failed:
        notes.append(f"{len(failed)} of {len(found)} refits gave no estimates and are left out ({failed[0]}).")
    if unfinished:
        notes.append(f"{unfinished} of {len(found)} refits did not converge; their estimates are kept.")
    if not results.fit.is_linear:
        notes.append(AROUND if n_init == 1 else ANY_OPTIMUM)
        if n_init == 1 and results.refusal:
            notes.append(STUCK)
    theta, phi = np.stack([one.theta for one in kept]), np.array([one.dispersion for one in kept])
    return Bootstrap(results, kind, theta, phi, codes, len(failed), unfinished, notes)
