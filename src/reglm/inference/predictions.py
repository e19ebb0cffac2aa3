"""The part of `Results` that predicts: confidence bands, prediction intervals, conformal prediction, bootstrap."""

from __future__ import annotations

from typing import Any

from reglm.inference.estimates import Estimates
from reglm.inference.prediction import Prediction, predict


class Predictions(Estimates):
    """Intervals for means and responses."""

    def get_prediction(
        self, X: Any = None, offset: Any = None, exposure: Any = None, *, method: str = "delta", n_draws: int = 1000,
        seed: int = 0,
    ) -> Prediction:  # fmt: skip
        """Predict means and linear predictors with standard errors and confidence bands.

        Parameters
        ----------
        X : array-like or data frame, optional
            As in `fit`; None for the training rows.
        offset, exposure : array-like, optional
            As in `fit`.
        method : {"delta", "simulation"}
            "delta" linearises in theta; "simulation" draws theta from its asymptotic normal distribution and
            takes quantiles, which follows the curvature of a network.
        n_draws, seed : int
            Of the simulation.

        Returns
        -------
        Prediction

        Raises
        ------
        ValueError
            If there are no standard errors; the message says why.
        """
        return predict(self, X, offset, exposure, method=method, n_draws=n_draws, seed=seed)
