"""Rows as users have them, and the regressors that a reservoir makes of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from reglm.estimators.design import Design
from reglm.estimators.echo_state_options import EchoStateOptions
from reglm.estimators.inputs import total_offset
from reglm.estimators.readouts import Readouts
from reglm.links import get as get_link
from reglm.parameters import Array
from reglm.statespace.reservoir import Reservoir
from reglm.statespace.sequences import Sequences, sequences

Scale = tuple[Array, Array]
Question = Callable[[Readouts, list[Array], Any], Array]
"""What readouts answer at their linear predictors, row by row, for some of the rows."""
MOST_WASHED = 100
"""Rows of a long sequence that are washed out by default."""


class Asked(NamedTuple):
    """New rows, stacked: sequences, the division of the responses, states with what drives them, offset, washed out."""

    rows: Sequences
    own: Sequences
    F: Array
    offset: Array | None
    washed: Array


class EchoStateRows(EchoStateOptions):
    """Reading and states."""

    reservoir_: Reservoir
    readouts_: Readouts
    starts_: Readouts | None
    task_: str
    washout_: int
    _design: Design | None
    _is_vector: bool
    _fed_back: Callable[[Sequences, Array, Array | None], Array]

    # -- reading --------------------------------------------------------------------------------------------------

    def _first_read(self, X: Any, y: Any) -> tuple[Array, Array]:
        """Inputs (n, p) and responses, the coding learned."""
        self._design = None
        if y is None:
            if self.feedback or self.task == "sequence":
                raise ValueError("y=None models the rows of X: use feedback=False and task='auto', or pass y.")
            found = self._density_rows(X, reset=True)
            self._input_names = [f"lag_{name}" for name in getattr(self, "feature_names_in_", self._columns(found))]
            self._is_vector = False
            return found, found
        self._design = Design.fit(X, estimator=self)
        self._input_names = list(self._design.names_out)
        inputs, target = self._coded(X), self._numbers(y)
        self._is_vector = target.ndim < 2
        if target.ndim == 2 and target.shape[1] == 1 and not hasattr(y, "columns"):
            message = "A column-vector y was passed when a 1d array was expected."
            warnings.warn(message, DataConversionWarning, stacklevel=3)
        return inputs, target

    @staticmethod
    def _numbers(y: Any) -> Array:
        found = check_array(y, ensure_2d=False, dtype="float64", input_name="y", ensure_all_finite="allow-nan")
        return np.asarray(found)

    @staticmethod
    def _columns(X: Array) -> list[str]:
        return [f"x{j}" for j in range(X.shape[1])]

    def _density_rows(self, X: Any, *, reset: bool = False) -> Array:
        found = validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan")
        if reset and np.isnan(found).all(axis=0).any():
            raise ValueError(f"column {int(np.isnan(found).all(axis=0).argmax())} of X is NaN in every row.")
        return np.asarray(found)

    def _coded(self, X: Any) -> Array:
        assert self._design is not None
        matrix = self._design.transform(X, self).X
        return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=float)

    def _read(self, X: Any, lengths: Any, groups: Any) -> tuple[Sequences, Array]:
        """Sequences and inputs of new rows."""
        check_is_fitted(self)
        inputs = self._density_rows(X) if self.task_ == "density" else self._coded(X)
        return sequences(len(inputs), lengths, groups), inputs

    def _task_of(self, rows: Sequences, target: Array) -> str:
        if self._design is None:
            return "density"
        whole = self.task == "sequence" or (self.task == "auto" and np.size(target, 0) == len(rows) < rows.n)
        if whole and self.feedback:
            raise ValueError("feedback=True feeds the response before back, of which a response per sequence has none.")
        return "sequence" if whole else "step"

    def _matrix(self, y: Array, n: int) -> Array:
        if y.ndim == 0 or len(y) != n:
            what = "sequences" if self.task_ == "sequence" else "rows"
            raise ValueError(f"inconsistent numbers of samples: y has {np.size(y)} entries for {n} {what} of X.")
        return y.reshape(n, -1)

    def _shaped(self, values: Array) -> Array:
        return values[:, 0] if self._is_vector and values.shape[1] == 1 else values

    def _new_target(self, y: Any, n: int) -> Array:
        found = self._matrix(self._numbers(y), n)
        columns = sum(len(part.columns) for part in self.readouts_.parts)
        if found.shape[1] != columns:
            raise ValueError(f"y has {found.shape[1]} columns, in fit it had {columns}.")
        return found

    def _offset(self, offset: Any, rows: Sequences, columns: int) -> Array | None:
        total = total_offset(offset, None, None, None, get_link("identity"), rows.n, columns)
        return None if total is None else rows.stack(total)

    def _first_rows(self, rows: Sequences) -> int:
        """Rows at the beginning of each sequence that are washed out."""
        if self.washout != "auto":
            return int(self.washout)
        return min(MOST_WASHED, rows.n // 10) if len(rows) == 1 else 0

    def _washed_out(self, rows: Sequences) -> Array:
        """Which rows the states do not describe, (n,)."""
        return np.arange(rows.n) - np.repeat(rows.edges[:-1], rows.lengths) < self.washout_

    # -- states ---------------------------------------------------------------------------------------------------

    def _scale_by(self, inputs: Array, y: Array) -> None:
        """Learn what takes inputs, and responses that are fed back, to mean 0 and variance 1."""
        self._input_scale = _moments(inputs)
        self._response_scale = _moments(y) if self.feedback else None

    def _driven(self, rows: Sequences, inputs: Array, y: Array | None) -> Array:
        """What drives the reservoir at each row, stacked and standardised, (n, m)."""
        u = standardised(rows.stack(inputs), self._input_scale)
        if self.task_ == "density":
            return _lagged(u, rows)
        if self._response_scale is None:
            return u
        assert y is not None
        return np.hstack([u, _lagged(standardised(y, self._response_scale), rows)])

    def _width(self, F: Array) -> int:
        """Columns of F that the readout sees: with `skip` all, otherwise the states."""
        return F.shape[1] if self.skip else self.n_units

    def _seen(self, F: Array) -> Array:
        return F[:, : self._width(F)]

    def _pooled(self, h: Array, u: Array, rows: Sequences) -> Array:
        """States and what drives them, (n, H + m) or (S, H + m)."""
        F = np.hstack([h, u])
        if self.task_ != "sequence":
            return F
        if self.pool == "last":
            return F[rows.edges[1:] - 1]
        kept = ~self._washed_out(rows)
        kept[rows.edges[1:] - 1] = True
        number = np.repeat(np.arange(len(rows)), rows.lengths)[kept]
        counts = np.bincount(number)
        return np.add.reduceat(F[kept], np.r_[0, np.cumsum(counts)[:-1]], axis=0) / counts[:, None]

    def _names(self, m: int) -> list[str]:
        """Names of states and of the m columns that drive them."""
        inputs = [*self._input_names, *(f"lag_y{j}" for j in range(m - len(self._input_names)))]
        return [f"h{i + 1}" for i in range(self.n_units)] + inputs

    def _answers(self, question: Question, asked: Asked) -> Array:
        """What the readouts answer, and the models of the beginning where rows are washed out."""
        found = question(self.readouts_, self.readouts_.etas(self._seen(asked.F), asked.offset), slice(None))
        if self.starts_ is not None and asked.washed.any():
            at = asked.washed
            shift = None if asked.offset is None else asked.offset[at]
            found[at] = question(self.starts_, self.starts_.etas(asked.F[at, self.n_units :], shift), at)
        return found

    def _features(self, rows: Sequences, inputs: Array, y: Any = None, offset: Array | None = None) -> Array:
        """States and what drives them, in the order of the sequences."""
        if self._response_scale is None:
            u = self._driven(rows, inputs, None)
        elif y is not None:
            u = self._driven(rows, inputs, rows.stack(self._new_target(y, rows.n)))
        else:
            return self._fed_back(rows, standardised(rows.stack(inputs), self._input_scale), offset)
        return self._pooled(self.reservoir_.states(u, rows), u, rows)


def _moments(X: Array) -> Scale:
    """Means and standard deviations (p,) of what is observed; 1 for constants."""
    mean, sd = np.nanmean(X, axis=0), np.nanstd(X, axis=0)
    return mean, np.where(sd > 1e-12 * np.maximum(np.abs(mean), 1e-300), sd, 1.0)


def standardised(X: Array, scale: Scale) -> Array:
    """Rows at mean 0 and variance 1; what is not observed is at the mean."""
    return np.nan_to_num((X - scale[0]) / scale[1], nan=0.0)


def _lagged(u: Array, rows: Sequences) -> Array:
    """Row before each row, zeros before the first of a sequence."""
    found = np.vstack([np.zeros((1, u.shape[1])), u[:-1]])
    found[rows.edges[:-1]] = 0.0
    return found
