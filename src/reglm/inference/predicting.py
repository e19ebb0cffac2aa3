"""The part of `Results` that predicts: confidence bands, prediction intervals, conformal prediction, bootstrap."""

from __future__ import annotations

from typing import Any

from reglm.inference.bootstrap import Bootstrap, bootstrap
from reglm.inference.calibration_rows import calibrate
from reglm.inference.conformal import Conformal
from reglm.inference.estimates import Estimates
from reglm.inference.moments import new_rows
from reglm.inference.prediction import Prediction, predict
from reglm.inference.prediction_intervals import parametric
from reglm.inference.regions import LabelSets, PredictionInterval


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

    def prediction_interval(
        self, X: Any = None, alpha: float = 0.05, *, offset: Any = None, exposure: Any = None, trials: Any = None,
        weights: Any = None, method: str = "parametric", n_draws: int = 400, seed: int = 0, **options: Any,
    ) -> PredictionInterval | LabelSets:  # fmt: skip
        """Intervals that hold single responses, or sets of labels for classes.

        Parameters
        ----------
        X : array-like or data frame, optional
            As in `fit`; None for the training rows.
        alpha : float
            Responses fall outside with probability at most alpha.
        offset, exposure : array-like, optional
            As in `fit`.
        trials : int or array-like (n,), optional
            Trials behind each row of a binomial response; 1 by default.
        weights : float or array-like (n,), optional
            Precision weights: an estimated dispersion is divided by them.
        method : {"parametric", "conformal"}
            "parametric" takes the family's distribution with the uncertainty of all parameters; whole numbers for
            counts. "conformal" is `conformal` followed by its ``predict``.
        n_draws, seed : int
            Draws of the parameters.
        **options
            Of `conformal`.

        Returns
        -------
        PredictionInterval or LabelSets

        Raises
        ------
        ValueError
            If the family claims no distribution (quasi families) or there are no standard errors.
        """
        if method == "conformal":
            given = {"offset": offset, "exposure": exposure, "trials": trials, "weights": weights}
            return self.conformal(seed=seed, **options).predict(X, alpha, **given)
        if method != "parametric":
            raise ValueError(f"method={method!r} is not known; choose 'parametric' or 'conformal'.")
        if options:
            raise ValueError(f"{sorted(options)[0]}= is an option of method='conformal', not of method={method!r}.")
        rows = new_rows(self, X, offset, exposure, trials=trials, weights=weights)
        return parametric(self, rows, alpha, n_draws, seed, getattr(X, "index", None))

    def conformal(
        self, X_cal: Any = None, y_cal: Any = None, *, offset: Any = None, exposure: Any = None, method: str = "split",
        score: str | None = None, fraction: float = 0.3, n_folds: int = 10, likelihood_ratio: Any = None,
        seed: int = 0,
    ) -> Conformal:  # fmt: skip
        """Calibrate intervals, or sets of labels, that hold whatever the distribution of the responses.

        Parameters
        ----------
        X_cal, y_cal : optional
            Rows that took no part in the fit or in choosing the model. Without them, training rows are held out
            and the model is fitted again to the others.
        offset, exposure : array-like, optional
            Of `X_cal`.
        method : {"split", "cv+", "jackknife+"}
            "split" fits once and covers at least 1 - alpha; "cv+" leaves out every fold and "jackknife+" every row
            in turn, which wastes no rows but promises 1 - 2 alpha only, though about 1 - alpha is usual.
        score : str, optional
            For numbers "absolute", "pearson" or "distribution", see `reglm.inference.conformity`; for labels "aps"
            or "lac". By default "distribution" ("pearson" for quasi families) and "aps".
        fraction : float
            Share of the training rows that "split" holds out.
        n_folds : int
            Of "cv+".
        likelihood_ratio : array-like (n,), optional
            Density of the new inputs over that of the calibration inputs at each calibration row, up to a constant.
        seed : int

        Returns
        -------
        Conformal
            Its ``predict(X, alpha)`` gives the intervals with their guarantee in words.

        Raises
        ------
        ValueError
            If a score does not suit the family, or the model cannot be fitted again.
        """
        return calibrate(
            self, X_cal, y_cal, offset=offset, exposure=exposure, method=method, score=score, fraction=fraction,
            n_folds=n_folds, likelihood_ratio=likelihood_ratio, seed=seed,
        )  # fmt: skip

    def bootstrap(
        self, n_boot: int = 999, kind: str = "pairs", *, groups: Any = None, multiplier: str = "rademacher",
        n_init: int = 1, n_jobs: int | None = None, random_state: int | None = None, verbose: int = 0,
    ) -> Bootstrap:  # fmt: skip
        """Draw the estimates again and again; the same seed gives the same draws whatever `n_jobs`.

        Refits keep the options of the fit. Ctrl-C keeps those done so far.

        Parameters
        ----------
        n_boot : int
            Replicates.
        kind : {"pairs", "parametric", "wild"}
            "pairs" draws rows with replacement and assumes nothing else; "parametric" draws responses from the
            fitted distribution; "wild" multiplies residuals by random signs and so allows for any variance, for
            families other than the Gaussian by one Newton step from multiplied scores without a refit.
        groups : array-like (n,), optional
            Clusters of the rows, drawn or multiplied as a whole.
        multiplier : {"rademacher", "mammen"}
            Of "wild".
        n_init : int
            Starts of each refit, the first from the estimates, the others at random. With one, draws of weights
            can be compared, but units that have turned into steps stay where they are; with more, draws of means
            show the spread over optima too.
        n_jobs : int, optional
            Processes.
        random_state : int, optional
        verbose : int
            1 shows a progress bar, 2 leaves it on the screen.

        Returns
        -------
        Bootstrap

        Raises
        ------
        ValueError
            If the kind does not suit the model or its weights, or hardly any refit succeeds.
        """
        return bootstrap(
            self, n_boot, kind, groups=groups, multiplier=multiplier, n_init=n_init, n_jobs=n_jobs,
            random_state=random_state, verbose=verbose,
        )  # fmt: skip
