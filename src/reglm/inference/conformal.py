"""Conformal prediction: intervals and sets that hold new responses with stated probability, whatever the truth.

Split conformal (Papadopoulos et al. 2002; Lei et al. 2018) scores rows that took no part in the fit; CV+ and
jackknife+ (Barber, Candes, Ramdas & Tibshirani 2021) use every row for both; weighted conformal (Tibshirani,
Barber, Candes & Ramdas 2019) allows for inputs that are distributed otherwise than in calibration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from reglm.inference import conformity
from reglm.inference.estimates import Estimates
from reglm.inference.moments import new_rows
from reglm.inference.prediction import check_alpha
from reglm.inference.regions import LabelSets, PredictionInterval, interval
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit

ROUNDING = 1e-9
"""What ``(1 - alpha) (n + 1)`` may exceed a whole number by rounding."""
BLOCK_ELEMENTS = 4_000_000


def rank(n: int, alpha: float) -> int:
    """``ceil((1 - alpha) (n + 1))``: which of n ordered scores bounds a new one with probability 1 - alpha."""
    return math.ceil((1.0 - alpha) * (n + 1) - ROUNDING)


def bound(scores: Array, alpha: float) -> Array:
    """Bound (K,) of new scores: the `rank`-th smallest of scores (n, K); infinite where n is too small."""
    k = rank(len(scores), alpha)
    return np.sort(scores, axis=0)[k - 1] if k <= len(scores) else np.full(scores.shape[1], np.inf)


def weighted_bounds(scores: Array, alpha: float, ratio: Array, new_ratio: Array) -> Array:
    """Bounds (m, K) of new scores under a change of distribution (Tibshirani et al. 2019, lemma 3).

    Parameters
    ----------
    scores : ndarray (n, K)
    alpha : float
    ratio : ndarray (n,)
        Likelihood ratio, new over calibration, of the inputs of each calibration row, up to a constant.
    new_ratio : ndarray (m,)
        The same of each new row.

    Returns
    -------
    ndarray (m, K)
        Smallest score below or at which lies the share 1 - alpha of all weights, that of the new row at infinity.
    """
    order = np.argsort(scores, axis=0)
    sums = np.cumsum(ratio[order], axis=0)
    target = (1.0 - alpha) * (ratio.sum() + new_ratio) * (1.0 - ROUNDING)
    ranked = np.concatenate([np.take_along_axis(scores, order, axis=0), np.full((1, scores.shape[1]), np.inf)])
    return np.stack([ranked[np.searchsorted(sums[:, k], target), k] for k in range(scores.shape[1])], axis=1)


@dataclass(frozen=True, eq=False, repr=False)
class Conformal:
    """A calibrated model.

    Parameters
    ----------
    results : Estimates
        Reads new rows.
    method : {"split", "cv+", "jackknife+"}
    score : str
    fits : list of Fit
        One, or one a fold; none of them saw the rows it scores.
    scores : list of ndarray (m, K)
        Scores of the rows that each fit did not see; (m, 1) of the true class for labels.
    ratio : ndarray (n,) or None
        Likelihood ratios of the calibration rows.
    seed : int
        Of the uniform variables within jumps.
    """

    results: Estimates
    method: str
    score: str
    fits: list[Fit]
    scores: list[Array]
    ratio: Array | None = None
    seed: int = 0

    @property
    def n(self) -> int:
        """Calibration rows."""
        return sum(map(len, self.scores))

    def predict(
        self, X: Any, alpha: float = 0.05, *, offset: Any = None, exposure: Any = None, trials: Any = None,
        weights: Any = None, likelihood_ratio: Any = None,
    ) -> PredictionInterval | LabelSets:  # fmt: skip
        """Intervals, or sets of labels, for new rows.

        Parameters
        ----------
        X, offset, exposure
            As in `fit`.
        alpha : float
        trials, weights : array-like (n,), optional
            As in `Results.prediction_interval`.
        likelihood_ratio : array-like (n,), optional
            For a model that was calibrated with one.

        Raises
        ------
        ValueError
            If alpha is not between 0 and 1, there are no new rows, or likelihood ratios are given at one end only.
        """
        check_alpha(alpha)
        if X is None:
            raise ValueError("X=None asks for the training rows, which are not new to the model; pass new rows.")
        rows = new_rows(self.results, X, offset, exposure, trials=trials, weights=weights)
        ratio = self._new_ratio(likelihood_ratio, len(rows.y))
        notes = list(self._notes(alpha))
        region: dict[str, Any] = {
            "alpha": alpha, "method": f"{self.method}, {self.score} score", "guarantee": self._guarantee(alpha),
            "notes": notes, "index": getattr(X, "index", None),
        }  # fmt: skip
        u = np.random.default_rng([self.seed, 1]).uniform(size=(len(rows.y), 1))
        if self.score in conformity.CLASSES:
            return LabelSets(contains=self._sets(rows, alpha, u, ratio), **region)
        lower, upper = self._split_ends(rows, alpha, ratio) if self.method == "split" else self._cross_ends(rows, alpha)
        low, high = conformity.support(self.fits[0], rows)
        lower, upper = np.clip(lower, low, high), np.clip(upper, low, high)
        if not np.isfinite(upper - lower).all() and not notes:
            notes.append("Some intervals are infinite: their rows weigh more than calibration rows can bound.")
        return interval(lower, upper, **region)

    def _new_ratio(self, ratio: Any, n: int) -> Array | None:
        if (ratio is None) != (self.ratio is None):
            raise ValueError("likelihood_ratio= must be given for both calibration and new rows, or for neither.")
        return None if ratio is None else checked_ratio(ratio, n)

    def _bounds(self, alpha: float, ratio: Array | None) -> Array:
        """Bounds (1 or n, K) of split conformal."""
        (scores,) = self.scores
        if ratio is None or self.ratio is None:
            return bound(scores, alpha)[None]
        return weighted_bounds(scores, alpha, self.ratio, ratio)

    def _split_ends(self, rows: Data, alpha: float, ratio: Array | None) -> tuple[Array, Array]:
        q = self._bounds(alpha, ratio)[:, None]
        lower, upper = conformity.NUMERIC[self.score].ends(self.fits[0], rows, q)
        return lower[:, 0], upper[:, 0]

    def _cross_ends(self, rows: Data, alpha: float) -> tuple[Array, Array]:
        """Order statistics of the ends that every left-out score gives (Barber et al. 2021, equation 10)."""
        n, k = self.n, rank(self.n, alpha)
        if k > n:
            blank = np.full((len(rows.y), self.scores[0].shape[1]), np.inf)
            return -blank, blank
        size = max(1, BLOCK_ELEMENTS // n)
        lower, upper = [], []
        ends = conformity.NUMERIC[self.score].ends
        for start in range(0, len(rows.y), size):
            part = rows.rows(slice(start, start + size))
            found = [ends(fit, part, scores[None]) for fit, scores in zip(self.fits, self.scores, strict=True)]
            low, high = (np.concatenate(each, axis=1) for each in zip(*found, strict=True))
            lower.append(np.partition(low, n - k, axis=1)[:, n - k])
            upper.append(np.partition(high, k - 1, axis=1)[:, k - 1])
        return np.concatenate(lower), np.concatenate(upper)

    def _sets(self, rows: Data, alpha: float, u: Array, ratio: Array | None) -> Array:
        """Classes (n, C) that too few left-out scores lie below."""
        function = conformity.CLASSES[self.score]
        if self.method == "split":
            return function(self.fits[0], rows, u) <= self._bounds(alpha, ratio)
        below = np.zeros((len(rows.y), 1))
        for fit, scores in zip(self.fits, self.scores, strict=True):
            below = below + np.searchsorted(np.sort(scores[:, 0]), function(fit, rows, u), side="left")
        return below < (1.0 - alpha) * (self.n + 1) - ROUNDING

    def _guarantee(self, alpha: float) -> str:
        n, level = self.n, 1.0 - alpha
        given = f"if the {n} calibration rows and the new row are exchangeable"
        if self.method == "split" and self.ratio is not None:
            return (
                f"At least {level:.4g} of new responses fall inside, whatever their distribution given the inputs, "
                "if the likelihood ratios are right."
            )
        if self.method == "split":
            return (
                f"At least {level:.4g} of new responses fall inside, whatever their distribution, {given}; "
                f"at most {min(1.0, rank(n, alpha) / (n + 1)):.4g} for scores without ties and exact sets."
            )
        least = 1.0 - 2.0 * alpha - self._loss()
        return (
            f"At least {max(0.0, least):.4g} of new responses fall inside, whatever their distribution, {given}; "
            f"about {level:.4g} where leaving out a fold hardly moves the fit."
        )

    def _loss(self) -> float:
        """What folds of several rows take from ``1 - 2 alpha`` (Barber et al. 2021, theorem 4)."""
        n, K = self.n, len(self.fits)
        return min(2 * (1 - 1 / K) / (n / K + 1), (1 - K / n) / (K + 1))

    def _notes(self, alpha: float) -> list[str]:
        needed = math.ceil(1.0 / alpha - ROUNDING) - 1
        if self.ratio is not None or self.n >= needed:
            return []
        return [
            f"{self.n} calibration rows are too few for alpha={alpha:g}: every response is inside. At least {needed} "
            "are needed."
        ]


def checked_ratio(ratio: Any, n: int) -> Array:
    """Likelihood ratios (n,).

    Raises
    ------
    ValueError
        Unless they are n finite numbers from 0 upwards.
    """
    found = np.asarray(ratio, dtype=float)
    if found.shape != (n,) or not np.all(np.isfinite(found) & (found >= 0)):
        raise ValueError(f"likelihood_ratio must hold {n} finite numbers from 0 upwards, one a row; got {found.shape}.")
    return found
