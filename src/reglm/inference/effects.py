"""What a fitted model says about its inputs, with uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reglm.inference import marginal
from reglm.inference.estimates import Estimates
from reglm.inference.marginal import MarginalEffects
from reglm.inference.sample import sample


class Effects(Estimates):
    """Effects of the inputs on the mean.

    Methods that take rows read `X` as the estimator does. Without X they take the training rows in coded form,
    that is the columns of the model matrix; categorical inputs then cannot be looked at. ``weights`` (n,) say how
    much each row counts; ``offset`` and ``exposure`` are those of `predict`. With an exposure, means are rates
    and rows count by their exposure; the name of a column that the model reads itself will do.
    """

    def marginal_effects(
        self,
        X: Any = None,
        columns: Sequence[str] | None = None,
        *,
        at: str = "overall",
        scale: str = "response",
        output: int = 0,
        dummy: bool = False,
        weights: Any = None,
        offset: Any = None,
        exposure: Any = None,
    ) -> MarginalEffects:
        """Marginal effects: average slopes of the mean, and average differences between levels.

        Parameters
        ----------
        X : data frame or array (n, columns), optional
        columns : sequence of str, optional
            Inputs; all by default.
        at : {"overall", "mean"}
            Averages over the rows, or the effect at the average row of the model matrix.
        scale : {"response", "link"}
            Effects on the mean or on the linear predictor.
        output : int
            Response or class.
        dummy : bool
            Whether the effect of a numeric input that is 0 or 1 is the difference between these two.
        weights, offset, exposure : array-like (n,), optional
            See the class.

        Returns
        -------
        MarginalEffects
            With standard errors by the delta method (Greene 2018, section 17.3); the rows count as fixed.

        Raises
        ------
        ValueError
            If an input or a choice is not known.
        """
        rows = sample(self, X, weights=weights, offset=offset, exposure=exposure)
        return marginal.marginal_effects(self, rows, columns, at=at, scale=scale, output=output, dummy=dummy)
