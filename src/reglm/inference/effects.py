"""What a fitted model says about its inputs, with uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reglm.inference import dependence, interactions, marginal
from reglm.inference.bands import Effect
from reglm.inference.estimates import Estimates
from reglm.inference.importance import METHODS, permutation_importance, refit_importance, responses
from reglm.inference.marginal import MarginalEffects
from reglm.inference.relativities import Relativities, relativities
from reglm.inference.sample import sample

if TYPE_CHECKING:
    import pandas as pd


class Effects(Estimates):
    """Effects of the inputs on the mean.

    Methods that take rows read `X` as the estimator does. Without X they take the training rows in coded form:
    inputs are then the columns of the model matrix, and categorical inputs where the names of its columns tell
    their levels. ``weights`` (n,) say how much each row counts; ``offset`` and ``exposure`` are those of `predict`.
    With an exposure, means are rates and rows count by their exposure; the name of a column that the model reads
    itself will do.
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

    def partial_dependence(
        self,
        X: Any,
        column: str | Sequence[str],
        *,
        points: int | None = None,
        scale: str = "response",
        output: int = 0,
        max_rows: int = 2000,
        weights: Any = None,
        offset: Any = None,
        exposure: Any = None,
    ) -> Effect:
        """Average mean as one input, or two, take the values of a grid and the others stay as they are.

        Parameters
        ----------
        X : data frame or array (n, columns), or None
        column : str or pair of str
            The input or inputs. Levels, and numbers with few distinct values, are taken one by one.
        points : int, optional
            Values of a numeric input, from the 1st to the 99th percentile; 40, or 12 for each of two inputs.
        scale : {"response", "link"}
        output : int
            Response or class.
        max_rows : int
            Rows averaged over, evenly spread over X.
        weights, offset, exposure : array-like (n,), optional
            See the class.

        Returns
        -------
        Effect
            The averages (Friedman 2001) with pointwise or simultaneous bands by the delta method; the rows count
            as fixed.

        Raises
        ------
        ValueError
            If an input or a choice is not known.
        """
        rows = sample(self, X, weights=weights, offset=offset, exposure=exposure)
        return dependence.partial_dependence(
            self, rows, column, points=points, scale=scale, output=output, max_rows=max_rows
        )

    def ale(
        self,
        X: Any,
        column: str,
        *,
        bins: int = 20,
        order: str = "similarity",
        scale: str = "response",
        output: int = 0,
        weights: Any = None,
        offset: Any = None,
        exposure: Any = None,
    ) -> Effect:
        """Accumulated local effect of an input: differences over short steps, from rows that are there.

        Unlike partial dependence it does not pull apart inputs that go together.

        Parameters
        ----------
        X : data frame or array (n, columns), or None
        column : str
        bins : int
            Steps of a numeric input, between its quantiles.
        order : {"similarity", "levels"}
            Order in which the effects of levels accumulate: by their likeness in the other inputs, or as the
            model has them.
        scale, output
            See `partial_dependence`.
        weights, offset, exposure : array-like (n,), optional
            See the class.

        Returns
        -------
        Effect
            At the edges of the steps, with average zero over the rows (Apley & Zhu 2020), and bands by the delta
            method; the rows count as fixed.

        Raises
        ------
        ValueError
            If an input or a choice is not known, or the input is constant in X.
        """
        rows = sample(self, X, weights=weights, offset=offset, exposure=exposure)
        return dependence.ale(self, rows, column, bins=bins, order=order, scale=scale, output=output)

    def individual_curves(
        self,
        X: Any,
        column: str,
        *,
        points: int | None = None,
        centred: bool = False,
        scale: str = "response",
        output: int = 0,
        max_rows: int = 50,
        offset: Any = None,
        exposure: Any = None,
    ) -> pd.DataFrame:
        """Mean of every single row as one input varies.

        Parameters
        ----------
        X : data frame or array (n, columns), or None
        column : str
        points, scale, output
            See `partial_dependence`.
        centred : bool
            Whether curves start at zero.
        max_rows : int
            Rows shown, evenly spread over X.
        offset, exposure : array-like (n,), optional
            See the class.

        Returns
        -------
        DataFrame (rows, values)
            Where curves are not parallel, another input changes the effect of this one (Goldstein et al. 2015).

        Raises
        ------
        ValueError
            If an input or a choice is not known.
        """
        rows = sample(self, X, offset=offset, exposure=exposure)
        return dependence.individual_curves(
            self, rows, column, points=points, centred=centred, scale=scale, output=output, max_rows=max_rows
        )

    def h_statistic(
        self,
        X: Any,
        columns: Sequence[str] | None = None,
        *,
        scale: str = "link",
        output: int = 0,
        max_rows: int = 50,
        weights: Any = None,
        offset: Any = None,
        exposure: Any = None,
    ) -> pd.DataFrame:
        """How much pairs of inputs interact.

        Parameters
        ----------
        X : data frame or array (n, columns), or None
        columns : sequence of str, optional
            Inputs; all by default.
        scale : {"link", "response"}
            Whether inputs that add up on the scale of the linear predictor, or of the mean, do not interact.
        output : int
            Response or class.
        max_rows : int
            Rows used, evenly spread over X; every pair takes this number squared of predictions.
        weights, offset, exposure : array-like (n,), optional
            See the class.

        Returns
        -------
        DataFrame (pairs, 4)
            ``first``, ``second``; ``H`` from 0 to about 1, the root of the share of the two inputs' joint partial
            dependence that is no sum of theirs (Friedman & Popescu 2008, eq. 44); ``strength``, the root of its
            numerator, on the chosen scale, by which pairs are sorted: H alone makes much of inputs without effect.

        Raises
        ------
        ValueError
            If there are less than two inputs, or a name is not known.
        """
        rows = sample(self, X, weights=weights, offset=offset, exposure=exposure)
        return interactions.h_statistic(self, rows, columns, scale=scale, output=output, max_rows=max_rows)

    def importance(
        self,
        X: Any = None,
        y: Any = None,
        columns: Sequence[str] | None = None,
        *,
        method: str = "permutation",
        repeats: int = 10,
        n_init: int = 1,
        seed: int = 0,
        weights: Any = None,
        offset: Any = None,
        exposure: Any = None,
    ) -> pd.DataFrame:
        """Increase of the mean deviance without the information in an input.

        Parameters
        ----------
        X, y : optional
            Rows to judge by, best ones the model has not seen; its training rows by default.
        columns : sequence of str, optional
            Inputs; all by default.
        method : {"permutation", "refit"}
            Whether the values of the input change places, or the model is fitted again without it.
        repeats : int
            Permutations.
        n_init : int
            Starts of each refit.
        seed : int
        weights, offset, exposure : array-like (n,), optional
            As in `fit` and `predict`; an exposure that the model reads from X need not be named.

        Returns
        -------
        DataFrame (inputs, 3)
            ``importance``, its standard deviation ``sd`` over the permutations (NaN for refits) and ``relative``,
            its ratio to the mean deviance of the model.

        Raises
        ------
        ValueError
            If a choice or an input is not known, or the responses of X are missing.
        """
        if method not in METHODS:
            raise ValueError(f"method={method!r} is not known; choose one of {list(METHODS)}.")
        rows = sample(self, X, weights=weights, offset=offset, exposure=exposure, rates=False)
        given = responses(self, rows, y)
        if method == "refit":
            return refit_importance(self, rows, given, columns, n_init=n_init, seed=seed)
        return permutation_importance(self, rows, given, columns, repeats=repeats, seed=seed)

    def relativities(
        self,
        X: Any = None,
        columns: Sequence[str] | None = None,
        *,
        output: int = 0,
        weights: Any = None,
        offset: Any = None,
        exposure: Any = None,
    ) -> Relativities:
        """Factors by which levels multiply the mean (log link) or the odds (logit), against the largest level.

        For ``hidden=()`` they are ``exp(beta)``, for networks ratios of averages over the rows (with a logit link,
        of the odds of average probabilities).

        Parameters
        ----------
        X : data frame or array (n, columns), optional
        columns : sequence of str, optional
            Categorical inputs; all by default.
        output : int
            Response.
        weights, offset, exposure : array-like (n,), optional
            See the class. The share of a level is that of its exposure, or with a log link of ``exp(offset)``.

        Returns
        -------
        Relativities
            With intervals from the covariance of contrasts on the log scale.

        Raises
        ------
        ValueError
            If the link is another one, or there is no categorical input.
        """
        rows = sample(self, X, weights=weights, offset=offset, exposure=exposure)
        return relativities(self, rows, columns, output=output)
