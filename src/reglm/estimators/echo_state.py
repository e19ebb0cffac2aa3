"""Echo state networks: generalized linear models on the states of a fixed random recurrence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from reglm.estimators.echo_state_paths import Paths
from reglm.estimators.echo_state_rows import Asked, Question
from reglm.estimators.inputs import check_weights
from reglm.estimators.readouts import Readouts, Wanted
from reglm.estimators.saving import Saving
from reglm.parameters import Array
from reglm.statespace.reservoir import draw
from reglm.statespace.sequences import sequences

if TYPE_CHECKING:
    import pandas as pd

    from reglm.inference import Results, Summary


class EchoStateNetwork(Paths, Saving, RegressorMixin, BaseEstimator):
    """Echo state network (Jaeger 2001): only the readout, a penalised generalized linear model, is fitted.

    The states ``h_t = (1 - leak) h_{t-1} + leak f(W h_{t-1} + V u_t + b)`` have fixed random weights. The response has
    a distribution of any family with linear predictor ``h_t'B + u_t'C + c``. Its penalty is chosen by leave-one-out:
    exact for gaussian responses, one Newton step from the fit to all rows for others.

    Rows are stacked; `lengths` or `groups` say where sequences end, see `reglm.statespace.sequences.sequences`. There
    are three tasks: a response for each row; a response for each sequence; and, with ``y=None``, the density of
    the rows of X themselves, each given the rows before it. NaN in a response is unobserved.

    Parameters
    ----------
    n_units : int
    spectral_radius : float
        Largest modulus of an eigenvalue of W: below 1 the past fades. With `leak` it sets the memory.
    leak : float
        Share of a state that is new at each row, in (0, 1].
    density : float
        Share of the weights of W that are not zero.
    input_scaling, bias_scaling : float
        Bounds of the weights of inputs in standard deviations, and of the biases: small values leave the units nearly
        linear.
    washout : int or "auto"
        First rows of each sequence, whose states do not yet describe their past: the readout is not fitted to them,
        and they are predicted from what drives the states alone (inputs, the row or response before). "auto" is a tenth
        of a single sequence, 100 at most, and 0 for several.
    feedback : bool
        The response before enters the states, `predict` without y runs on its own predictions.
    activation : {"tanh", "sigmoid", "relu", "identity"}
    family, link : str, Family; str, optional
        Of the response. Columns of a response are independent given the states; a list names a family for each.
    alpha : {"loo", "gcv", "reml", "ml"} or float
        Penalty of the readout, or what chooses it for each column; see `reglm.RecursiveGLMRegressor` for its scale.
    alphas : int or sequence of float
        Size of the grid, between whose points the minimum is then sought, or the penalties to choose among.
    skip : bool
        Let the inputs enter the readout as well.
    task : {"auto", "step", "sequence"}
        "auto": a response for each sequence if y has as many entries as there are sequences, fewer than rows.
    pool : {"mean", "last"}
        States that the response of a sequence is read from.
    n_init : int
        Reservoirs drawn; the one with the least leave-one-out loss is kept.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    reservoir_ : reglm.statespace.reservoir.Reservoir
    readouts_ : reglm.estimators.readouts.Readouts
        One generalized linear model for each column of the response, or for all; ``parts[0].model`` is the
        `RecursiveGLMRegressor`, fitted when first asked for.
    alpha_, edf_, loo_ : ndarray (readouts,)
        Penalties, effective degrees of freedom, leave-one-out losses (squared errors or deviances) per observation.
    washout_ : int
    starts_ : reglm.estimators.readouts.Readouts or None
        The models of the rows that are washed out.
    task_ : {"step", "sequence", "density"}
    feature_names_out_ : list of str
        States, and with `skip` what drives them, as they are in `features`.
    n_features_in_, feature_names_in_

    Examples
    --------
    >>> from reglm import EchoStateNetwork, datasets
    >>> series = datasets.simulate_mackey_glass(1500).data.to_numpy()
    >>> model = EchoStateNetwork(random_state=0).fit(series[:1000])
    >>> error = model.predict(series)[1000:, 0] - series[1000:, 0]
    >>> bool((error**2).mean() ** 0.5 < 2e-3)
    True
    """

    def fit(
        self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None, sample_weight: Any = None,
        offset: Any = None,
    ) -> Self:  # fmt: skip
        """Draw the reservoir and fit the readout.

        Parameters
        ----------
        X : array or data frame (n, p)
            With ``y=None`` an array (n, d), the responses themselves.
        y : array-like (n,), (n, d) or (S,), optional
        lengths : array-like of int (S,), optional
            Rows of each sequence.
        groups : array-like (n,), optional
            Sequence of each row; survives splitters.
        sample_weight : array-like (n,) or (S,), optional
            Precision weights of the responses.
        offset : array-like (n,) or (n, d), optional
            Known part of the linear predictors.

        Returns
        -------
        self
        """
        self._check_options()
        inputs, target = self._first_read(X, y)
        rows = sequences(len(inputs), lengths, groups)
        self.task_ = self._task_of(rows, target)
        own = rows if self.task_ != "sequence" else sequences(len(rows))
        y_rows = own.stack(self._matrix(target, own.n))
        weights = own.stack(check_weights(sample_weight, own.n, "float64")[:, 0])
        shift = self._offset(offset, own, y_rows.shape[1])
        self._scale_by(inputs, y_rows)
        u = self._driven(rows, inputs, y_rows)
        wanted = Wanted(self.family, self.link, self.alpha, self.alphas)
        self.washout_, self.starts_ = self._first_rows(rows), None
        fitted = weights if self.task_ == "sequence" else np.where(self._washed_out(rows), 0.0, weights)
        if not np.any(fitted[~np.isnan(y_rows).all(axis=1)] > 0):
            raise ValueError(f"washout={self.washout!r}: no observed row with a positive weight is left to fit.")
        if self.washout_ and self.task_ != "sequence":
            self.starts_ = wanted.fit(u, self._names(u.shape[1])[self.n_units :], y_rows, weights, shift)
        best: Readouts | None = None
        rng = self._generator()
        for _ in range(self.n_init):
            reservoir = draw(rng, self.n_units, u.shape[1], **self._reservoir_options())
            F = self._pooled(reservoir.states(u, rows), u, rows)
            found = wanted.fit(self._seen(F), self._names(u.shape[1])[: self._width(F)], y_rows, fitted, shift)
            if best is None or found.loss < best.loss:
                best, self.reservoir_ = found, reservoir
        assert best is not None
        self.readouts_, self.feature_names_out_ = best, self._names(u.shape[1])
        if not self.skip:
            self.feature_names_out_ = self.feature_names_out_[: self.n_units]
        chosen = [part.chosen for part in best.parts]
        self.alpha_ = np.array([part.alpha for part in best.parts])
        self.edf_ = np.array([np.nan if c is None else c.edf for c in chosen])
        self.loo_ = np.array([np.nan if c is None else c.loss for c in chosen])
        return self

    # -- asking ----------------------------------------------------------------------------------------------------

    def features(self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None) -> pd.DataFrame:
        """Regressors of the readout: states and, with `skip`, standardised inputs.

        Parameters
        ----------
        X, y, lengths, groups
            As in `fit`; y counts only with `feedback`.

        Returns
        -------
        pandas.DataFrame (n, features), or (S, features) for a response per sequence
            What methods of `inference` take as rows.
        """
        import pandas as pd

        rows, inputs = self._read(X, lengths, groups)
        F = self._features(rows, inputs, y)
        F = self._seen(F if self.task_ == "sequence" else rows.unstack(F))
        return pd.DataFrame(F, columns=self.feature_names_out_)

    def _asked(self, X: Any, y: Any, lengths: Any, groups: Any, offset: Any) -> Asked:
        """Read new rows."""
        rows, inputs = self._read(X, lengths, groups)
        own = rows if self.task_ != "sequence" else sequences(len(rows))
        shift = self._offset(offset, own, sum(len(part.columns) for part in self.readouts_.parts))
        washed = np.zeros(own.n, dtype=bool) if own is not rows else self._washed_out(rows)
        return Asked(rows, own, self._features(rows, inputs, y, shift), shift, washed)

    def predict(
        self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None, offset: Any = None, *,
        kind: str = "mean", level: float = 0.5,
    ) -> Array:  # fmt: skip
        """Predict each row, or sequence; the rows of X from those before them if `fit` had ``y=None``.

        Parameters
        ----------
        X, y, lengths, groups, offset
            As in `fit`; y counts only with `feedback`: the responses that are fed back.
        kind : {"mean", "link", "quantile"}
            "link" is the linear predictor, "quantile" that of the fitted distribution at `level`.
        level : float
            In (0, 1).

        Returns
        -------
        ndarray (n,), (n, d) or (S,)
        """
        if kind not in ("mean", "link", "quantile"):
            raise ValueError(f"kind={kind!r} must be 'mean', 'link' or 'quantile'.")
        if not 0.0 < level < 1.0:
            raise ValueError(f"level={level!r} must be between 0 and 1.")
        asked = self._asked(X, y, lengths, groups, offset)
        questions: dict[str, Question] = {
            "mean": lambda models, etas, at: models.means(etas), "link": lambda models, etas, at: np.hstack(etas),
            "quantile": lambda models, etas, at: models.quantiles(etas, level),
        }  # fmt: skip
        return self._shaped(asked.own.unstack(self._answers(questions[kind], asked)))

    def _observations(self, asked: Asked, X: Any, y: Any) -> Array:
        """Responses, stacked."""
        if self.task_ == "density":
            return asked.own.stack(self._density_rows(X))
        if y is None:
            raise ValueError("This estimator was fitted with y, so y has to be passed, but the target y is None.")
        return asked.own.stack(self._new_target(y, asked.own.n))

    def logpdf(
        self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None, sample_weight: Any = None,
        offset: Any = None,
    ) -> Array:  # fmt: skip
        """Log-density of what is observed of each sequence, (S,), its first rows included.

        Parameters
        ----------
        X, y, lengths, groups, sample_weight, offset
            As in `fit`.
        """
        asked = self._asked(X, y, lengths, groups, offset)
        found = self._log_density(asked, self._observations(asked, X, y), sample_weight)
        return found if self.task_ == "sequence" else np.add.reduceat(found, asked.rows.edges[:-1])

    def _log_density(self, asked: Asked, target: Array, sample_weight: Any = None) -> Array:
        """Log-density of each response, stacked."""
        weights = self._weights(asked, sample_weight)
        return self._answers(lambda models, etas, at: models.log_density(target[at], etas, weights[at]), asked)

    def _weights(self, asked: Asked, sample_weight: Any) -> Array:
        return asked.own.stack(check_weights(sample_weight, asked.own.n, "float64")[:, 0])

    def score(
        self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None, sample_weight: Any = None,
        offset: Any = None,
    ) -> float:  # fmt: skip
        """Share of the deviance explained; the mean log-density of a row if `fit` had ``y=None``.

        hmmlearn's `score` is the sum of log-densities, which is the sum of `logpdf`.

        Parameters
        ----------
        X, y, lengths, groups, sample_weight, offset
            As in `fit`.
        """
        asked = self._asked(X, y, lengths, groups, offset)
        target, weights = self._observations(asked, X, y), self._weights(asked, sample_weight)
        if self.task_ == "density":
            return float(np.average(self._log_density(asked, target), weights=weights))
        found = weights @ self._answers(lambda models, etas, at: models.deviance(target[at], etas), asked)
        null = self.readouts_.null_deviance(target, asked.offset, weights)
        rounding = float(weights.sum()) * (16.0 * np.finfo(float).eps * np.nanmax(np.abs(target))) ** 2
        return float(1.0 - found / null if null > rounding else found <= rounding)

    def inference(self, output: int = 0, cov: str | None = None, *, use_t: bool = False, **options: Any) -> Results:
        """Standard errors, tests and intervals of a readout, given the reservoir and its penalty.

        Parameters
        ----------
        output : int
            Number of the readout: a column of the response.
        cov, use_t, **options
            See `reglm.RecursiveGLMRegressor.inference`. Rows that its methods take are those of `features`.
        """
        check_is_fitted(self)
        return self.readouts_.parts[output].model.inference(cov, use_t=use_t, **options)

    def summary(self, output: int = 0, cov: str | None = None, alpha: float = 0.05, **options: Any) -> Summary:
        """Table of a readout in the style of statsmodels; arguments as in `inference`."""
        return self.inference(output, cov, **options).summary(alpha)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "readouts_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = self.family not in ("multinomial", "ordinal", "binomial")
        return tags
