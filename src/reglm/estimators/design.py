"""From what users pass as X to the arrays of the model, coded in `predict` as in `fit`.

Numeric columns are taken as they are, booleans as 0 and 1. A categorical column of a data frame (category,
string, enumeration, or objects that are not all numbers) becomes

* ``"onehot"``: one 0/1 column for each level but the reference, named ``column[level]``. The reference is the
  level with most rows (the first in sorted order among equals); where the user has put the categories in
  order (pandas Categorical, polars Enum) it is the first one that has rows.
* ``"embedding"``: one column of level numbers 0, 1, ... for `reglm.layers.Embedding`; the reference is 0.

Missing values are a level of their own, ``missing``, if `fit` saw some, but never the reference unless there
is no other level. Levels without rows in `fit` count as unseen. Unseen levels raise; with
``handle_unknown="reference"`` they are coded as the reference (one-hot) or -1, the zero vector (embedding),
and a warning counts the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from reglm.estimators import columns as frames
from reglm.estimators.coding import (
    Column,
    Role,
    assemble_dense,
    assemble_sparse,
    check_choice,
    column_from_dict,
    listed,
    pays_sparse,
    read,
    with_levels,
)
from reglm.estimators.columns import Level
from reglm.parameters import Array


class Transformed(NamedTuple):
    """Inputs of the model.

    Parameters
    ----------
    X : ndarray (n, p), C-contiguous float64, or csr_matrix
    offset, exposure : ndarray (n,) or None
        From the columns named in `Design.fit`.
    """

    X: Any
    offset: Array | None
    exposure: Array | None


@dataclass(frozen=True)
class Design:
    """A fitted coding of the columns of X.

    Parameters
    ----------
    columns : tuple of Column
        In the order of X.
    named : bool
        Whether X was a data frame whose columns have names.
    is_sparse : bool
        Whether `transform` gives CSR.
    handle_unknown : {"error", "reference"}
    """

    columns: tuple[Column, ...]
    named: bool = False
    is_sparse: bool = False
    handle_unknown: str = "error"
    names_out: list[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        names = [name for column in self.columns for name in column.names]
        object.__setattr__(self, "names_out", names)

    @classmethod
    def fit(
        cls,
        X: Any,
        *,
        categorical: str = "onehot",
        layer_columns: Sequence[int | str] = (),
        offset: int | str | None = None,
        exposure: int | str | None = None,
        handle_unknown: str = "error",
        sparse: str | bool = "auto",
        estimator: BaseEstimator | None = None,
    ) -> Design:
        """Learn the coding.

        Parameters
        ----------
        X : array, sparse matrix or data frame (n, columns)
        categorical : {"onehot", "embedding"}
        layer_columns : sequence of str or int
            Columns that the user's layers read by name: a categorical one among them becomes level numbers.
        offset, exposure : str or int, optional
            Column to take out of X: a label of a data frame, or a position in an array.
        handle_unknown : {"error", "reference"}
        sparse : {"auto", True, False}
            Whether the coded columns of a data frame become CSR. "auto": if at least
            `reglm.estimators.coding.SPARSE_INDICATORS` of them are 0/1, three quarters of the entries or more
            are zero, and no layer reads single columns. Arrays stay dense and sparse matrices sparse.
        estimator : estimator, optional
            Where scikit-learn's `n_features_in_` and `feature_names_in_` are set; errors name it.

        Raises
        ------
        ValueError
            If an argument or a column of X cannot be used.
        """
        check_choice("categorical", categorical, ("onehot", "embedding"))
        check_choice("handle_unknown", handle_unknown, ("error", "reference"))
        check_choice("sparse", sparse, ("auto", True, False))
        if frames.is_frame(X):
            labels = frames.labels(X)
            X = _validated(X, estimator or _Bare(), reset=True)
            embedded = set(labels) if categorical == "embedding" else set(layer_columns)
            found = _frame_columns(X, _roles(labels, offset, exposure, "labels"), embedded)
            wide = pays_sparse(found) and not layer_columns if sparse == "auto" else bool(sparse)
            return cls(found, all(isinstance(label, str) for label in labels), wide, handle_unknown)
        X = _validated(X, estimator or _Bare(), reset=True)
        roles = _roles(range(X.shape[1]), offset, exposure, "positions")
        found = tuple(Column(f"x{j}", roles.get(j, "input")) for j in range(X.shape[1]))
        return cls(found, is_sparse=_is_sparse(X), handle_unknown=handle_unknown)

    @property
    def has_intercept(self) -> bool:
        """Whether the output layer may have a bias; a formula can say no."""
        return True

    @property
    def n_features_in(self) -> int:
        """Columns of X, those of offset and exposure included."""
        return len(self.columns)

    @property
    def feature_names_in(self) -> list[str] | None:
        """Names of the columns of X; None for arrays and for frames whose labels are not strings."""
        return [column.name for column in self.columns] if self.named else None

    @property
    def categorical_columns(self) -> tuple[int, ...]:
        """Columns of the model matrix that hold level numbers."""
        first = np.cumsum([0, *(column.width for column in self.columns)]).tolist()
        return tuple(start for start, column in zip(first, self.columns, strict=False) if column.coded)

    @property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """Columns of the model matrix that come from each input."""
        first = np.cumsum([0, *(column.width for column in self.columns)]).tolist()
        placed = zip(first, self.columns, strict=False)
        return {c.name: tuple(range(start, start + c.width)) for start, c in placed if c.role == "input"}

    @property
    def levels(self) -> dict[str, list[Level]]:
        """Levels of the categorical columns, the reference first; None is the level of missing values."""
        return {column.name: list(column.levels) for column in self.columns if column.levels is not None}

    def transform(self, X: Any, estimator: BaseEstimator | None = None) -> Transformed:
        """Code new rows.

        Parameters
        ----------
        X : array, sparse matrix or data frame (n, n_features_in)
        estimator : estimator, optional
            Whose `n_features_in_` and `feature_names_in_` X is checked against; the design's own by default.

        Raises
        ------
        ValueError
            If X has other columns than in `fit`, NaN or infinity in a numeric column, or an unseen level.
        """
        X = _validated(X, estimator or _Bare(self), reset=False)
        matrix = self._code_frame(X) if frames.is_frame(X) else self._code_array(X)
        return Transformed(matrix, self._extract(X, "offset"), self._extract(X, "exposure"))

    def _extract(self, X: Any, role: Role) -> Array | None:
        """Offset or exposure (n,), if a column of X holds it."""
        for j, column in enumerate(self.columns):
            if column.role == role:
                if frames.is_frame(X):
                    return read(column, frames.series(X, j), self.handle_unknown)
                return X[:, [j]].toarray().ravel() if _is_sparse(X) else X[:, j].copy()
        return None

    def _code_frame(self, X: Any) -> Any:
        assemble = assemble_sparse if self.is_sparse else assemble_dense
        return assemble(self._inputs(X), X.shape[0], len(self.names_out))

    def _inputs(self, X: Any) -> Iterator[tuple[Column, Array]]:
        """Yield the inputs with their values or level numbers (n,)."""
        for j, column in enumerate(self.columns):
            if column.role == "input":
                yield column, read(column, frames.series(X, j), self.handle_unknown)

    def _code_array(self, X: Any) -> Any:
        """Drop the offset's and the exposure's column."""
        for column in self.columns:
            if column.levels is not None:
                raise ValueError(
                    f"X must be a data frame, as it was in fit: its column {column.name!r} is categorical."
                )
        inputs = [j for j, column in enumerate(self.columns) if column.role == "input"]
        matrix = X if len(inputs) == len(self.columns) else X[:, inputs]
        if self.is_sparse:
            return sparse.csr_matrix(matrix)
        return np.ascontiguousarray(matrix.toarray() if _is_sparse(matrix) else matrix)

    def to_dict(self) -> dict[str, Any]:
        """JSON form; `from_dict` is its inverse."""
        kept = ("named", "is_sparse", "handle_unknown")
        return {"columns": [asdict(c) for c in self.columns], **{name: getattr(self, name) for name in kept}}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Design:
        """Rebuild a design from `to_dict`'s result, or from what JSON made of it."""
        found = tuple(column_from_dict(column) for column in saved["columns"])
        return cls(found, saved["named"], saved["is_sparse"], saved["handle_unknown"])


class _Bare(BaseEstimator):
    """Stands in for the estimator where a design is used on its own."""

    def __init__(self, design: Design | None = None) -> None:
        if design is not None:
            self.n_features_in_ = design.n_features_in
            if design.feature_names_in is not None:
                self.feature_names_in_ = np.asarray(design.feature_names_in, dtype=object)


def _validated(X: Any, estimator: BaseEstimator, *, reset: bool) -> Any:
    """X after scikit-learn's checks: a frame as it is, anything else as float64 array or CSR."""
    if frames.is_frame(X):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        for size, what in zip(X.shape, ("sample(s)", "feature(s)"), strict=True):
            if size == 0:
                raise ValueError(f"Found array with 0 {what} (shape={X.shape}) while a minimum of 1 is required.")
        return X
    try:
        return validate_data(estimator, X, reset=reset, accept_sparse="csr", dtype=np.float64)
    except ValueError as error:
        if "could not convert string" in str(error):
            raise ValueError(f"{error}; pass categorical columns in a pandas or polars data frame.") from error
        raise


def _frame_columns(X: Any, roles: Mapping[int, Role], embedded: Set[Any]) -> tuple[Column, ...]:
    """Coding of each column of a frame; the categorical ones among `embedded` become level numbers."""
    found = []
    for j, label in enumerate(frames.labels(X)):
        column, series = Column(str(label), roles.get(j, "input")), frames.series(X, j)
        if frames.is_categorical(series, column.name):
            levels = with_levels(column, frames.factor(series, column.name))
            column = replace(levels, coded=label in embedded)
        found.append(column)
    return tuple(found)


def _roles(labels: Sequence[Any], offset: int | str | None, exposure: int | str | None, what: str) -> dict[int, Role]:
    """Positions of the offset's and the exposure's column."""
    roles: dict[int, Role] = {}
    wanted: list[tuple[Role, int | str | None]] = [("offset", offset), ("exposure", exposure)]
    for role, label in wanted:
        if label is None:
            continue
        if label not in labels:
            raise ValueError(f"{role}={label!r} is not a column of X; its {what} are {listed(list(labels), 30)}.")
        if labels.index(label) in roles:
            raise ValueError(f"offset and exposure both name column {label!r}; give it once.")
        roles[labels.index(label)] = role
    return roles


def _is_sparse(X: Any) -> bool:
    return bool(sparse.issparse(X))
