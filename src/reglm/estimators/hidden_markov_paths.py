"""Hidden Markov models simulated: sequences from the start, and continuations of given ones."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from reglm.estimators.hidden_markov_fitting import lagged, rows_of
from reglm.parameters import Array
from reglm.statespace import expectation
from reglm.statespace.forecasts import Forecast, summarise
from reglm.statespace.hidden_markov import Model, Parameters, continued, draw, simulate
from reglm.statespace.sequences import sequences


class Paths:
    """What is drawn from a fitted model."""

    order: int
    conditional_: bool
    n_columns_: int
    random_state: Any
    model_: Model
    parameters_: Parameters
    _read: Callable[..., Any]

    def sample(self, n: int = 1, lengths: Any = None, X: Any = None, random_state: Any = None) -> tuple[Array, Array]:
        """Draw sequences.

        Parameters
        ----------
        n : int
            Rows, of one sequence unless `lengths` says otherwise.
        lengths : array-like of int, optional
        X : array-like (n, p), optional
            Covariates, where the model has them; n is theirs then.
        random_state : int, RandomState or None

        Returns
        -------
        ndarray (n, m), ndarray of int (n,)
            Rows and states.

        Raises
        ------
        ValueError
            If covariates are missing or not known to the model, or if it has both covariates and `order`.
        """
        check_is_fitted(self)
        data = None if X is None else validate_data(self, X, dtype="float64", reset=False)
        if self.conditional_ != (data is not None):
            raise ValueError("X is for models fitted to y given X, and those need it.")
        size = len(data) if data is not None else n if lengths is None else int(np.sum(lengths))
        division = sequences(size, lengths)
        rng = self._generator(random_state)
        if not self.order:
            rows = rows_of(self, data, np.ones((size, self.n_columns_)), None, division)
            states, y = simulate(self.model_, self.parameters_, rows, division.lengths, rng)
            return y, states
        if data is not None:
            raise ValueError(f"order={self.order} with covariates: rows cannot be drawn before those they depend on.")
        first = draw(np.tile(self.parameters_.initial, (len(division), 1)), rng)
        before = np.zeros((len(division), self.order * self.n_columns_))
        shape = int(division.lengths.max()), self.n_columns_
        passed, drawn = continued(self.model_, self.parameters_, first, before, shape, rng)
        cut = [(drawn[:size, s], passed[:size, s]) for s, size in enumerate(division.lengths)]
        return np.vstack([y for y, _ in cut]), np.concatenate([z for _, z in cut])

    def forecast(
        self, X: Any, steps: int = 1, lengths: Any = None, groups: Any = None, *, n_samples: int = 1000,
        level: float = 0.95, random_state: Any = None,
    ) -> Forecast:  # fmt: skip
        """Continue sequences by simulation: states from the filtered probabilities, then the chain and its emissions.

        Parameters
        ----------
        X : array-like (n, m)
            Rows so far.
        steps : int
            Rows to come.
        lengths, groups
            As in `fit`.
        n_samples : int
            Paths simulated for each sequence; the errors of the estimates are not part of them.
        level : float
            Of the intervals, in (0, 1).
        random_state : int, RandomState or None

        Returns
        -------
        reglm.statespace.forecasts.Forecast

        Raises
        ------
        ValueError
            For models of y given covariates, or an argument out of range.
        """
        check_is_fitted(self)
        if self.conditional_:
            raise ValueError("forecast knows no covariates of rows to come: it needs a model fitted to X alone.")
        if not (steps >= 1 and n_samples >= 1 and 0.0 < level < 1.0):
            raise ValueError(f"{steps=} and {n_samples=} must be 1 or more, {level=} between 0 and 1.")
        division, rows, (initial, moves, density) = self._read(X, None, lengths, groups)
        rng = self._generator(random_state)
        last = expectation.filtered(initial, moves, density, division.lengths)[division.edges[1:] - 1]
        ahead = np.repeat(last @ np.exp(moves), n_samples, axis=0)
        before = np.repeat(self._before(rows.y, division.edges), n_samples, axis=0)
        shape = steps, self.n_columns_
        _, drawn = continued(self.model_, self.parameters_, draw(ahead, rng), before, shape, rng)
        return summarise(drawn.reshape(steps, len(division), n_samples, -1).transpose(2, 1, 0, 3), level)

    def _before(self, y: Array, edges: Array) -> Array:
        """The rows (S, order m) on which the first rows to come depend."""
        if not self.order:
            return np.zeros((len(edges) - 1, 0))
        blank = np.zeros((1, y.shape[1]))
        parts = [np.vstack([y[a:b], blank]) for a, b in pairwise(edges)]
        return np.vstack([lagged(part, np.array([len(part)]), self.order)[-1:] for part in parts])

    def _generator(self, random_state: Any) -> np.random.Generator:
        chosen = self.random_state if random_state is None else random_state
        return np.random.default_rng(check_random_state(chosen).randint(2**31 - 1))
