"""Echo state networks one row after the other: streams, simulated sequences, forecasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from reglm.estimators.echo_state_rows import Asked, EchoStateRows, standardised
from reglm.parameters import Array
from reglm.statespace.forecasts import Forecast, summarise
from reglm.statespace.sequences import Sequences

if TYPE_CHECKING:
    from reglm.estimators.readouts import Readouts


class StreamState(NamedTuple):
    """Where a stream stands.

    Parameters
    ----------
    h : ndarray (1, H)
        State after the rows so far.
    past : ndarray (1, columns)
        What is fed back at the next row, standardised; (1, 0) without feedback.
    seen : int
        Rows so far.
    """

    h: Array
    past: Array
    seen: int


class Paths(EchoStateRows):
    """What is asked one row after the other."""

    readouts_: Readouts

    def step(self, X: Any, state: StreamState | None = None, y: Any = None) -> tuple[Array, StreamState]:
        """Take the next rows of a stream.

        Parameters
        ----------
        X : array or data frame (k, p)
        state : StreamState, optional
            As returned after the rows before; None at the start.
        y : array-like (k,) or (k, d), optional
            With `feedback`, the responses that are fed back after each row; by default those predicted.

        Returns
        -------
        prediction : ndarray (k,) or (k, d)
            Mean response of each row; after ``fit(X)`` without y, the mean of the row that comes after it.
        state : StreamState

        Raises
        ------
        ValueError
            For a response per sequence.
        """
        check_is_fitted(self)
        if self.task_ == "sequence":
            raise ValueError("step predicts row by row; this model has one response per sequence.")
        inputs = self._density_rows(X) if self.task_ == "density" else self._coded(X)
        state = self._origin() if state is None else state
        target = None if y is None or self._response_scale is None else self._new_target(y, len(inputs))
        u = standardised(inputs, self._input_scale)
        F, after = self._steps(u, state, target, None)
        number = state.seen + np.arange(len(u)) + (self.task_ == "density")
        return self._shaped(self._means(F, number < self.washout_, None)), after

    def _means(self, F: Array, washed: Array, offset: Array | None) -> Array:
        """Mean responses at regressors."""
        whole = Sequences(np.array([len(F)]))
        return self._answers(lambda models, etas, at: models.means(etas), Asked(whole, whole, F, offset, washed))

    def _origin(self) -> StreamState:
        """State before the first row."""
        none = np.zeros((1, 0 if self._response_scale is None else len(self._response_scale[0])))
        return StreamState(self.reservoir_.rest()[None], none, 0)

    def _steps(
        self, u: Array, state: StreamState, target: Array | None, offset: Array | None
    ) -> tuple[Array, StreamState]:
        """Regressors (k, features) of the rows of one sequence, and the state after them."""
        h, past, seen = state
        F = np.empty((len(u), self.n_units + u.shape[1] + past.shape[1]))
        for t in range(len(u)):
            row = np.hstack([u[t : t + 1], past])
            h = self.reservoir_.step(h, row)
            F[t] = np.hstack([h, row])[0]
            if self._response_scale is not None:
                shift = None if offset is None else offset[t : t + 1]
                washed = np.array([seen + t < self.washout_])
                last = self._means(F[t : t + 1], washed, shift) if target is None else target[t : t + 1]
                past = standardised(last, self._response_scale)
        return F, StreamState(h, past, seen + len(u))

    def _fed_back(self, rows: Sequences, u: Array, offset: Array | None) -> Array:
        """Regressors of sequences that run on their own predictions, stacked."""
        parts = [
            self._steps(u[at], self._origin(), None, None if offset is None else offset[at])[0] for at in rows.slices()
        ]
        return np.vstack(parts)

    # -- simulation -----------------------------------------------------------------------------------------------

    def sample(self, n: int = 1, lengths: Any = None, random_state: Any = None) -> Array:
        """Simulate sequences from the fitted density.

        Parameters
        ----------
        n : int
            Rows of one sequence.
        lengths : array-like of int (S,), optional
            Rows of several sequences instead.
        random_state : int, Generator or None
            The constructor's by default.

        Returns
        -------
        ndarray (n, d)
            Rows of all sequences, stacked.

        Raises
        ------
        ValueError
            If `fit` was given y, or the lengths are not positive.
        """
        self._check_density("sample")
        sizes = np.atleast_1d(np.asarray(n if lengths is None else lengths))
        if sizes.ndim != 1 or not np.issubdtype(sizes.dtype, np.integer) or np.any(sizes < 1):
            raise ValueError(f"n={n!r}, lengths={lengths!r}: rows of sequences must be positive whole numbers.")
        h = np.repeat(self._origin().h, len(sizes), axis=0)
        u = np.zeros((len(sizes), len(self._input_scale[0])))
        seen = np.zeros(len(sizes), dtype=int)
        drawn = self._continued(h, u, seen, int(sizes.max()), self._rng(random_state))
        return np.vstack([path[:size] for path, size in zip(drawn, sizes, strict=True)])

    def forecast(
        self, X: Any, steps: int = 1, lengths: Any = None, groups: Any = None, *, n_samples: int = 1000,
        level: float = 0.95, random_state: Any = None,
    ) -> Forecast:  # fmt: skip
        """Continue sequences by simulation from the fitted density.

        Parameters
        ----------
        X : array (n, d)
            Rows so far.
        steps : int
            Rows to come.
        lengths, groups
            As in `fit`.
        n_samples : int
            Paths simulated for each sequence; the errors of the estimates are not part of them.
        level : float
            Of the intervals, in (0, 1).
        random_state : int, Generator or None
            The constructor's by default.

        Returns
        -------
        Forecast

        Raises
        ------
        ValueError
            If `fit` was given y, or an argument is out of range.
        """
        self._check_density("forecast")
        if not (steps >= 1 and n_samples >= 1 and 0.0 < level < 1.0):
            raise ValueError(f"{steps=} and {n_samples=} must be 1 or more, {level=} between 0 and 1.")
        rows, inputs = self._read(X, lengths, groups)
        ends = rows.edges[1:] - 1
        last = standardised(rows.stack(inputs)[ends], self._input_scale)
        before = self.reservoir_.states(self._driven(rows, inputs, None), rows)[ends]
        h, u = (np.repeat(part, n_samples, axis=0) for part in (self.reservoir_.step(before, last), last))
        seen = np.repeat(rows.lengths, n_samples)
        drawn = self._continued(h, u, seen, steps, self._rng(random_state))
        draws = drawn.reshape(len(rows), n_samples, steps, -1).swapaxes(0, 1)
        return summarise(draws, level)

    def _check_density(self, method: str) -> None:
        check_is_fitted(self)
        if self.task_ != "density":
            raise ValueError(f"{method} needs the density of the rows: fit(X) without y.")

    def _rng(self, random_state: Any) -> np.random.Generator:
        return self._generator() if random_state is None else np.random.default_rng(random_state)

    def _continued(self, h: Array, u: Array, seen: Array, steps: int, rng: np.random.Generator) -> Array:
        """Draw the next rows, (k, steps, d), from states (k, H), the last inputs (k, d) and the rows so far (k,)."""
        drawn, whole = [], Sequences(np.array([len(h)]))
        for t in range(steps):
            asked = Asked(whole, whole, np.hstack([h, u]), None, seen + t < self.washout_)
            drawn.append(self._answers(lambda models, etas, at: models.simulate(rng, etas), asked))
            u = standardised(drawn[-1], self._input_scale)
            h = self.reservoir_.step(h, u)
        return np.stack(drawn, axis=1)
