"""Truncated backpropagation through time (Williams & Peng 1990): sequences in pieces, their state carried along."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from reglm.fitting.objective import Penalised
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.statespace.packing import Packed


@dataclass
class Walk:
    """A walk over all pieces of all mini-batches of sequences: a stochastic solver's ``batch_value_grad``.

    Mini-batches hold sequences of similar length and come in random order; the pieces of one come in turn, each from
    the states in which the one before ended, and no gradient goes back beyond its own start.

    Parameters
    ----------
    penalised : Penalised
        Objective and sequences.
    length : int
        Steps of a piece.
    batches : list of ndarray
        Sequences of each mini-batch.
    pieces : list of (int, int)
        Mini-batch and number of each piece, in turn.
    """

    penalised: Penalised
    length: int
    batches: list[Array]
    pieces: list[tuple[int, int]] = field(default_factory=list)
    _batch: Data | None = None
    _states: tuple[Array, ...] = ()
    _noise: list[Array] | None = None

    @classmethod
    def over(cls, penalised: Penalised, length: int, batch_size: int) -> Walk:
        """Walk over all the sequences."""
        S = penalised.data.units
        starts = range(0, S, batch_size)
        found = cls(penalised, length, [np.arange(start, min(start + batch_size, S)) for start in starts])
        found._plan()
        return found

    def __len__(self) -> int:
        return len(self.pieces)

    def _plan(self) -> None:
        """Put the mini-batches in a new order."""
        lengths = np.searchsorted(-self.penalised.data.X.sizes, -np.array([b[0] for b in self.batches]))
        counts = -(-lengths // self.length)
        order = self.penalised.rng.permutation(len(self.batches))
        self.pieces = [(int(b), piece) for b in order for piece in range(counts[b])]

    def __call__(self, theta: Array, rows: Array) -> tuple[float, Array]:
        """Mean objective and gradient per unit weight on the piece of this number, one entry of `rows`."""
        at = int(rows[0])
        batch, piece = self.pieces[at]
        if piece == 0:
            self._begin(self.batches[batch])
        found = self._on_piece(theta, piece * self.length)
        if at == len(self) - 1:
            self._plan()
        return found

    def _begin(self, batch: Array) -> None:
        """Take up a mini-batch: zero states, and a dropout mask for each sequence."""
        likelihood = self.penalised.likelihood
        self._batch = self.penalised.data.rows(batch)
        self._states = tuple(np.zeros((len(batch), H), likelihood.dtype) for H in likelihood.network.states())
        widths = likelihood.network.noise()
        draws = [self.penalised.rng.random((len(batch), width), dtype="float32") for width in widths]
        self._noise = draws or None

    def _on_piece(self, theta: Array, start: int) -> tuple[float, Array]:
        assert self._batch is not None
        X: Packed = self._batch.X
        stop, at = start + self.length, X.steps(start, start + self.length)
        sizes = X.sizes[start:stop]
        states = tuple(np.ascontiguousarray(state[: sizes[0]]) for state in self._states)
        part = Data(Packed(X.rows[at], sizes, states), *(values[at] for values in self._batch[1:]))
        noise = None if self._noise is None else [draw[part.X.sequence] for draw in self._noise]
        value, gradient, ends = self.penalised.likelihood.value_grad_states(theta, part, noise)
        self._states = tuple(ends)
        return self.penalised.per_unit_weight(theta, value, gradient, part)
