"""Hidden Markov models as scikit-learn estimators."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import stats
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from reglm.estimators.hidden_markov_fitting import fit_model, rows_of, sequence_weights
from reglm.estimators.hidden_markov_options import HiddenMarkovOptions, build, check_options
from reglm.estimators.hidden_markov_paths import Paths
from reglm.estimators.saving import Saving
from reglm.parameters import Array
from reglm.statespace import expectation
from reglm.statespace.emissions import Rows
from reglm.statespace.hidden_markov import Model, Parameters
from reglm.statespace.sequences import Sequences, sequences

if TYPE_CHECKING:
    from reglm.inference.tables import Summary


class HiddenMarkovModel(Paths, HiddenMarkovOptions, Saving, BaseEstimator):
    """Hidden Markov model: rows are independent given the state of a Markov chain (Zucchini et al. 2016).

    Without y the columns of X are the response: a density model of sequences. With y the model is one of y given the
    covariates X: emissions, transitions or both are generalized linear models in X, an input-output hidden Markov model
    (Bengio & Frasconi 1995).

    Rows are stacked; `lengths` says how they divide into sequences, or `groups` names the sequence of every row. NaN
    in the response is unobserved. States are ordered by the emissions' level, increasing: the first mean (gaussian),
    the sum of the means (bernoulli, poisson), the intercept (regressions); with constraints on transitions they keep
    their order.

    Parameters
    ----------
    n_states : int
    family : str, Family, or list of them
        Of the response given the state; a list names one for each column. Columns are independent given the state, but
        for gaussian ones with full covariances and for multinomial, ordinal and binomial ones, which form one response.
    covariance : {"full", "diagonal", "spherical", "tied"}
        Of gaussian columns without covariates.
    n_mixtures : int
        Gaussian components in each state.
    order : int
        Rows before, within the sequence, on which emissions depend: an autoregressive hidden Markov model. What lies
        before the first row counts as 0.
    transitions : None, "left-right" or array of bool (K, K)
        Moves that may happen. "left-right" starts in the first state and stays or advances by one.
    covariates : {"emission", "transition", "both"}
        What depends on X where y is given.
    link : str, optional
    hidden : int or tuple
        Units of one hidden layer in each state's predictor: a recursive GLM.
    activation : str
    alpha : float
        L2 penalty of coefficients of (standardised) covariates.
    priors : dict, optional
        Pseudo-counts "initial" (number or (K,)) and "transition" (number or (K, K)): parameters of Dirichlet priors
        less 1; "emission": rows' worth of a conjugate prior at the mean of all rows, for gaussian, bernoulli and
        poisson.
    solver : {"em", "gradient", "auto"}
        EM, L-BFGS on the likelihood, or EM and then L-BFGS. L-BFGS uses no priors.
    init : {"clusters", "random"}
        First guess of the states: clusters of the rows, or one at random for each row, which makes all states nearly
        alike at first and often ends higher where there are many. Chains that never return start from stretches of each
        sequence.
    n_init : int
        Starts; those after the first are random ones. The best is kept.
    max_iter : int
    tol : float
        Stop when the log-likelihood gains less than this a row.
    covariance_floor : float
        Least eigenvalue of a covariance after columns are scaled to unit variance.
    backend : {"auto", "python", "numba"}
    random_state : int, RandomState or None
    verbose : int

    Attributes
    ----------
    initial_ : ndarray (K,)
    transition_ : ndarray (K, K)
        Probabilities i -> j; averaged over the training rows where they depend on covariates.
    emission_ : dict of ndarray
        Parameters of the emissions, states first.
    converged_, n_iter_, history_
        Whether EM converged, its steps, and the log-posterior after each.
    loglik_ : float
        Log-likelihood of the training sequences, weighted.
    state_weights_ : ndarray (K,)
        Rows expected in each state, weighted.
    restarts_ : list of float
        Log-posteriors that the starts ended at.
    n_rows_ : int
        Training rows.
    n_agree_ : int
        How many of them agree with the best to within 0.1% of its gain over the worst, or to 1e-3.
    """

    model_: Model
    parameters_: Parameters
    _training: tuple[Rows, Sequences, Array]

    # -- fitting -------------------------------------------------------------------------------------------------------

    def fit(
        self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None, sample_weight: Any = None,
        offset: Any = None,
    ) -> Self:  # fmt: skip
        """Fit to sequences.

        Parameters
        ----------
        X : array-like (n, p)
            The response, or covariates where y is given.
        y : array-like (n,) or (n, m), optional
        lengths : array-like of int (S,), optional
        groups : array-like (n,), optional
        sample_weight : array-like (n,), optional
            A sequence's log-likelihood is multiplied by the mean weight of its rows.
        offset : array-like (n,), optional
            Added to the linear predictors of y.

        Raises
        ------
        ValueError
            If arguments do not suit each other; the message says what would.
        """
        check_options(self)
        data = validate_data(self, X, dtype="float64", ensure_all_finite=y is not None or "allow-nan")
        self.conditional_ = y is not None
        self._scaling = _scaling(data) if self.conditional_ else None
        division = sequences(len(data), lengths, groups)
        response = data if y is None else _response(y, len(data))
        if np.isnan(response).all():
            raise ValueError("the response is nowhere observed (all NaN): nothing to fit.")
        self.n_columns_ = response.shape[1]
        rows = rows_of(self, data, response, offset, division)
        weights = sequence_weights(sample_weight, division)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        n_inputs, n_moved = (0 if part is None else part.shape[1] for part in (rows.X, rows.Z))
        self.model_ = build(self, rows.y, n_inputs, n_moved, seed)
        self._report(*fit_model(self, self.model_, rows, division, weights, seed), weights)
        self._training, self.n_rows_ = (rows, division, weights), division.n
        return self

    def _report(self, run: Any, ends: list[float], found: Any, moves: Array, weights: Array) -> None:
        """Set the public attributes, and warn where something is wrong."""
        self.parameters_ = run.parameters
        self.initial_, self.emission_, self.transition_ = run.parameters.initial, run.parameters.emission, moves
        self.history_, self.converged_, self.n_iter_ = run.history, run.converged, len(run.history) - 1
        self.restarts_, self.loglik_ = ends, float(weights @ found.loglik)
        self.state_weights_ = found.states.sum(axis=0)
        slack = max(1e-3, 1e-3 * (max(ends) - min(ends)))
        self.n_agree_ = sum(end > max(ends) - slack for end in ends)
        empty = np.flatnonzero(self.state_weights_ < 1e-3)
        if empty.size:
            warnings.warn(
                f"state {empty[0]} is never visited, its parameters tell nothing; try fewer states or other starts.",
                ConvergenceWarning, stacklevel=3,
            )  # fmt: skip
        if not run.converged:
            warnings.warn(
                f"EM stopped after max_iter={self.max_iter} steps; the last gained "
                f"{run.history[-1] - run.history[-2]:.3g}. Raise max_iter or tol.", ConvergenceWarning, stacklevel=3,
            )  # fmt: skip

    # -- states --------------------------------------------------------------------------------------------------------

    def _read(
        self, X: Any, y: Any, lengths: Any, groups: Any, offset: Any = None
    ) -> tuple[Sequences, Rows, tuple[Array, Array, Array]]:
        """Sequences, their rows, and logarithms of initial and transition probabilities and of densities."""
        check_is_fitted(self)
        data = validate_data(self, X, dtype="float64", reset=False, ensure_all_finite=self.conditional_ or "allow-nan")
        division = sequences(len(data), lengths, groups)
        unknown = np.full((len(data), self.n_columns_), np.nan)
        response = data if not self.conditional_ else unknown if y is None else _response(y, len(data))
        if response.shape[1] != self.n_columns_:
            raise ValueError(f"y has {response.shape[1]} columns, it had {self.n_columns_} when fitted.")
        rows = rows_of(self, data, response, offset, division)
        return division, rows, self.model_.logs(self.parameters_, rows)

    def predict(self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None, offset: Any = None) -> Array:
        """Most probable path of states of each sequence (Viterbi), (n,); here and below, y not given is unobserved."""
        division, _, logs = self._read(X, y, lengths, groups, offset)
        return division.unstack(expectation.viterbi(*logs, division.lengths)[0])

    def predict_proba(
        self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None, offset: Any = None
    ) -> Array:
        """Smoothed probabilities of states, given the whole sequence, (n, K)."""
        division, _, logs = self._read(X, y, lengths, groups, offset)
        step = expectation.EStep(division.lengths, np.ones(len(division)), self.backend)
        return division.unstack(step(*logs).states)

    def filtered_proba(
        self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None, offset: Any = None
    ) -> Array:
        """Filtered probabilities of states, given the rows up to each, (n, K)."""
        division, _, logs = self._read(X, y, lengths, groups, offset)
        return division.unstack(expectation.filtered(*logs, division.lengths))

    # -- density -------------------------------------------------------------------------------------------------------

    def logpdf(self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None, offset: Any = None) -> Array:
        """Log-density of each sequence, (S,).

        Raises
        ------
        ValueError
            If the model is one of y given X, and y is not given.
        """
        if self.conditional_ and y is None:
            raise ValueError("this model was fitted to y given X, and has no density without y: pass y too.")
        division, _, logs = self._read(X, y, lengths, groups, offset)
        step = expectation.EStep(division.lengths, np.ones(len(division)), self.backend)
        return step(*logs).loglik

    def score(self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None, offset: Any = None) -> float:
        """Mean log-density of a row (hmmlearn's `score` is the sum)."""
        found = self.logpdf(X, y, lengths, groups, offset)
        return float(found.sum() / len(X))

    @property
    def stationary_(self) -> Array:
        """Long-run distribution of the states, (K,)."""
        return expectation.stationary(self.transition_)

    def pseudo_residuals(
        self,
        X: Any,
        y: Any = None,
        lengths: Any = None,
        groups: Any = None,
        offset: Any = None,
        random_state: Any = None,
    ) -> Array:
        """Normal quantiles of each entry's distribution function given the rows before it (Zucchini et al. 2016, 6.2).

        They are standard normal, independent over time, if the model is right. Discrete responses are drawn uniformly
        between the function's values on both sides of the jump (Dunn & Smyth 1996).

        Returns
        -------
        ndarray (n, m)
            NaN where the response is not observed.
        """
        check_is_fitted(self)
        division, rows, logs = self._read(X, y, lengths, groups, offset)
        weight = expectation.predicted(*logs, division.lengths)[:, :, None]
        emission, values = self.model_.emission, self.parameters_.emission
        upper = (weight * emission.cdf(values, rows, rows.y)).sum(axis=1)
        lower = (weight * emission.cdf(values, rows, rows.y - 1e-9 * (1 + np.abs(rows.y)))).sum(axis=1)
        u = check_random_state(random_state if random_state is not None else self.random_state).uniform(
            size=upper.shape
        )
        return division.unstack(stats.norm.ppf(lower + u * (upper - lower)))

    # -- choice --------------------------------------------------------------------------------------------------------

    @property
    def n_parameters_(self) -> int:
        """Free parameters."""
        return self.model_.size(self.parameters_)

    def aic(self) -> float:
        """Akaike's criterion at the training rows."""
        return -2 * self.loglik_ + 2 * self.n_parameters_

    def bic(self) -> float:
        """Schwarz's criterion at the training rows, log n of all rows."""
        return -2 * self.loglik_ + np.log(self.n_rows_) * self.n_parameters_

    def icl(self) -> float:
        """Integrated completed likelihood: `bic` at the most probable path (Biernacki et al. 2000)."""
        rows, division, weights = self._trained()
        joint = expectation.viterbi(*self.model_.logs(self.parameters_, rows), division.lengths)[1]
        return -2 * float(weights @ joint) + np.log(self.n_rows_) * self.n_parameters_

    def _trained(self) -> tuple[Rows, Sequences, Array]:
        """Rows, sequences and weights of `fit`."""
        if not hasattr(self, "_training"):
            raise ValueError("a loaded model does not hold the rows it was fitted to, which this needs: fit again.")
        return self._training

    def summary(self, level: float = 0.95) -> Summary:
        """Estimates with standard errors from the observed information.

        Parameters
        ----------
        level : float
            Of the intervals.
        """
        from reglm.estimators.hidden_markov_summary import summary

        check_is_fitted(self)
        return summary(self, level)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "parameters_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.target_tags.multi_output = True
        return tags


def _response(y: Any, n: int) -> Array:
    """Response (n, m), NaN allowed.

    Raises
    ------
    ValueError
        If it has another length than X.
    """
    found = check_array(y, ensure_2d=False, dtype="float64", input_name="y", ensure_all_finite="allow-nan")
    if len(found) != n:
        raise ValueError(f"y has {len(found)} rows, X has {n}.")
    return found.reshape(n, -1)


def _scaling(X: Array) -> tuple[Array, Array]:
    """Means and standard deviations of covariates, 1 for constant ones."""
    spread = X.std(axis=0)
    return X.mean(axis=0), np.where(spread > 0, spread, 1.0)
