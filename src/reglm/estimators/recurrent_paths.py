"""Recurrent GLMs one row after the other: states, streams, simulated sequences, forecasts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from reglm.estimators.options import seed_of
from reglm.estimators.recurrent_fitting import BaseRecurrentGLM
from reglm.parameters import Array
from reglm.statespace.forecasts import Forecast, summarise
from reglm.statespace.packing import Packed


class StreamState(NamedTuple):
    """Where a stream stands.

    Parameters
    ----------
    states : tuple of ndarray (B, H)
        What the recurrent layers go on from, for each of B streams.
    """

    states: tuple[Array, ...]


class Paths(BaseRecurrentGLM):
    """What is asked one row after the other."""

    def states(self, X: Any, lengths: Any = None, groups: Any = None) -> Array:
        """Hidden states of all rows, layers side by side.

        Parameters
        ----------
        X, lengths, groups
            As in `fit`. The state of a row of a density holds the rows before it.

        Returns
        -------
        ndarray (n, H_1 + H_2 + ...)
            Without the inner states c of an LSTM.
        """
        shape, data, _ = self._read(X, lengths, groups, None, needs_offset=False)
        found = self.fit_.likelihood.forward(self.fit_.theta, data.X, data.offset)[1]
        return np.hstack([shape.unpack(h) for h in self._hidden_states(found)])

    def _hidden_states(self, found: list[Array]) -> list[Array]:
        """States h, without c."""
        return found[::2] if self.cell == "lstm" else found

    def step(self, X: Any, state: StreamState | None = None, offset: Any = None) -> tuple[Array, StreamState]:
        """Take the next rows of a stream.

        Parameters
        ----------
        X : array or data frame (k, p)
        state : StreamState, optional
            As returned after the rows before; None at the start.
        offset : array-like (k,), optional
            As in `fit`.

        Returns
        -------
        prediction : ndarray (k,) or (k, m)
            Mean response of each row; after ``fit(X)`` without y, the mean of the row that comes after it.
        state : StreamState

        Raises
        ------
        ValueError
            For a response a sequence, or layers that run backwards.
        """
        check_is_fitted(self)
        self._check_forward("step")
        if self.ordered:
            raise ValueError("step predicts from rows before; under ordered=True a row's own columns are needed too.")
        begun, density = state is not None, self.task_ == "density"
        if density:
            coded = self._coding.code(self._density_rows(X, reset=False), len(X))
            rows = np.where(np.isnan(coded), self._start, coded)
            rows = rows if begun else np.vstack([self._start, rows])
        else:
            rows = self._designed(X)
        shift = None if offset is None else self._stream_offset(offset, len(rows))
        eta, state = self._go_on(rows[:, None, :], self._origin(1) if state is None else state, shift)
        mean = self.fit_.likelihood.response.mean(eta[1:] if density and not begun else eta, self._shape())
        return (mean[:, 0] if mean.shape[1] == 1 and self._coding.is_vector else mean), state

    def _stream_offset(self, offset: Any, n: int) -> Array:
        values = np.asarray(offset, dtype=float).reshape(len(offset), -1)
        if len(values) != n:
            raise ValueError(f"offset has {len(values)} rows, the stream {n}: give one a row.")
        return np.broadcast_to(values, (n, self.network_.outputs())).astype(self.fit_.likelihood.dtype)

    def _check_forward(self, method: str) -> None:
        if self.task_ == "sequence" or self.bidirectional:
            kind = "one response a sequence" if self.task_ == "sequence" else "layers that run backwards"
            raise ValueError(f"{method} goes from row to row; this model has {kind}.")

    def _origin(self, streams: int) -> StreamState:
        """State before the first row."""
        dtype = self.fit_.likelihood.dtype
        return StreamState(tuple(np.zeros((streams, H), dtype) for H in self.network_.states()))

    def _go_on(self, rows: Array, state: StreamState, offset: Array | None = None) -> tuple[Array, StreamState]:
        """Linear predictors (T B, K) of rows (T, B, p) of B streams, step by step, and the state after them."""
        T, B, p = rows.shape
        likelihood = self.fit_.likelihood
        flat = np.ascontiguousarray(rows.reshape(T * B, p), dtype=likelihood.dtype)
        packed = Packed(flat, np.full(T, B, dtype="int64"), state.states)
        eta, states = likelihood.forward(self.fit_.theta, packed, offset)
        return eta, StreamState(tuple(np.ascontiguousarray(h[-B:]) for h in states))

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
            Rows of all sequences, stacked; labels (n, 1) where the rows are labels.

        Raises
        ------
        ValueError
            If `fit` was given y, or the lengths are not positive.
        """
        self._check_density("sample")
        sizes = np.atleast_1d(np.asarray(n if lengths is None else lengths))
        if sizes.ndim != 1 or not np.issubdtype(sizes.dtype, np.integer) or np.any(sizes < 1):
            raise ValueError(f"n={n!r}, lengths={lengths!r}: rows of sequences must be positive whole numbers.")
        first = np.repeat(self._start[None], len(sizes), axis=0)
        drawn = self._continued(first, self._origin(len(sizes)), int(sizes.max()), self._rng(random_state))
        rows = np.vstack([drawn[:size, s] for s, size in enumerate(sizes)])
        return self._labels_of(rows) if self._coding.classes is not None else rows

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
            Of labels: of their indicators, so that means are probabilities.

        Raises
        ------
        ValueError
            If `fit` was given y, or an argument is out of range.
        """
        self._check_density("forecast")
        if not (steps >= 1 and n_samples >= 1 and 0.0 < level < 1.0):
            raise ValueError(f"{steps=} and {n_samples=} must be 1 or more, {level=} between 0 and 1.")
        shape, data, coded = self._read(X, lengths, groups, None)
        _, states = self.fit_.likelihood.forward(self.fit_.theta, data.X)
        ends = data.X.last[np.argsort(shape.packing.ranks)]
        assert coded is not None
        last = shape.sequences.stack(coded)[shape.sequences.edges[1:] - 1]
        last = np.where(np.isnan(last), self._start, last)
        state = StreamState(tuple(np.repeat(h[ends], n_samples, axis=0) for h in states))
        drawn = self._continued(np.repeat(last, n_samples, axis=0), state, steps, self._rng(random_state))
        draws = drawn.reshape(steps, len(last), n_samples, -1).transpose(2, 1, 0, 3)
        return summarise(draws, level)

    def _check_density(self, method: str) -> None:
        check_is_fitted(self)
        if self.task_ != "density":
            raise ValueError(f"{method} needs the density of the rows: fit(X) without y.")
        if self.uses_offset_:
            raise ValueError(f"{method} knows no offsets of rows to come; fit without offset=.")
        if self._size is None:
            raise ValueError(f"{method} knows no trials of rows to come: those of the rows in fit differ.")

    def _rng(self, random_state: Any) -> np.random.Generator:
        return np.random.default_rng(seed_of(self.random_state if random_state is None else random_state))

    def _continued(self, rows: Array, state: StreamState, steps: int, rng: np.random.Generator) -> Array:
        """Draw the next rows (steps, B, d) of streams that stand at rows (B, d)."""
        drawn: list[Array] = []
        assert self._size is not None
        response, shape = self.fit_.likelihood.response, self._shape()
        for _ in range(steps):
            if self.ordered:
                rows, state = self._drawn_in_order(rows, state, rng)
            else:
                eta, state = self._go_on(rows[None], state)
                rows = self.family_.simulate(rng, response.location(eta, shape), self.dispersion_, self._size, **shape)
            rows = rows[:, : self.network_.inputs]  # without indicators of what is observed
            drawn.append(rows)
        return np.stack(drawn)

    def _drawn_in_order(self, rows: Array, state: StreamState, rng: np.random.Generator) -> tuple[Array, StreamState]:
        """Next rows (B, d), one column after the other, and the state after them."""
        assert self._size is not None
        response, shape = self.fit_.likelihood.response, self._shape()
        own = np.zeros_like(rows)
        for j in range(rows.shape[1]):
            eta, after = self._go_on(np.hstack([rows, own])[None], state)
            mean = response.location(eta, shape)
            own[:, j] = self.family_.simulate(rng, mean, self.dispersion_, self._size, **shape)[:, j]
        return own, after

    def _labels_of(self, rows: Array) -> Array:
        """Labels (n, 1) of indicator rows."""
        codes = rows[:, 0].astype(int) if rows.shape[1] == 1 else rows.argmax(axis=1)
        return self.classes_[codes][:, None]
