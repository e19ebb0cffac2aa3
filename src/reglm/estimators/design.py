"""From what users pass as X to the arrays of the model, with the same coding in `predict` as in `fit`.

Numeric columns are taken as they are. A categorical column of a data frame (category, string, enumeration, or objects
that are not all numbers) becomes

* ``"onehot"``: one 0/1 column for each level but the reference, named ``column[level]``. The reference is the level
  with most rows (the first in sorted order among equals); where the user has put the categories in order (pandas
  Categorical, polars Enum) it is the first one that has rows.
* ``"embedding"``: one column of level numbers 0, 1, ... for `reglm.layers.Embedding`; the reference is number 0.

Missing values are a level of their own, ``missing``, if `fit` saw some, but never the reference unless there is no
other level. Levels without rows in `fit` count as unseen. Unseen levels raise; with ``handle_unknown="reference"`` they
are coded as the reference (one-hot) or -1, the zero vector (embedding), and a warning says how many rows that were.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from reglm.estimators import columns
from reglm.estimators.columns import Level
from reglm.parameters import Array

SPARSE_INDICATORS = 100
"""``sparse="auto"`` makes X sparse from this number of 0/1 columns on, if three quarters of X or more are zeros."""

Role = Literal["input", "offset", "exposure"]


class Transformed(NamedTuple):
    """Inputs of the model: X (n, p) C-contiguous float64 or CSR; offset and exposure (n,) if columns hold them."""

    X: Any
    offset: Array | None
    exposure: Array | None


@dataclass(frozen=True)
class Column:
    """One column of the user's X.

    Parameters
    ----------
    name : str
    role : {"input", "offset", "exposure"}
    levels : tuple or None
        Levels seen in `fit`, the reference first; None for a numeric column.
    coded : bool
        Whether the levels become one column of level numbers instead of 0/1 columns.
    """

    name: str
    role: Role = "input"
    levels: tuple[Level, ...] | None = None
    coded: bool = False

    @property
    def width(self) -> int:
        """Columns of the model matrix."""
        if self.role != "input":
            return 0
        return 1 if self.levels is None or self.coded else len(self.levels) - 1

    @property
    def names(self) -> list[str]:
        """Names of those columns."""
        if self.levels is None or self.coded:
            return [self.name] * self.width
        return [f"{self.name}[{level_name(level, self.levels)}]" for level in self.levels[1:]]


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
    names_out: list[str] = field(init=False, compare=False)

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
            Columns that the user's layers read by name: a categorical one among them is coded by level numbers.
        offset, exposure : str or int, optional
            Column to take out of X: a label of a data frame, or a position in an array.
        handle_unknown : {"error", "reference"}
        sparse : {"auto", True, False}
            Whether X with 0/1 columns becomes CSR. "auto": if there are at least `SPARSE_INDICATORS` of them, at most
            a quarter of X is not zero and no layer reads single columns. An X that is sparse already stays so.
        estimator : estimator, optional
            Where scikit-learn's `n_features_in_` and `feature_names_in_` are set, and named in errors.

        Raises
        ------
        ValueError
            If an argument or a column of X cannot be used.
        """
        check_choice("categorical", categorical, ("onehot", "embedding"))
        check_choice("handle_unknown", handle_unknown, ("error", "reference"))
        check_choice("sparse", sparse, ("auto", True, False))
        X = _validated(X, estimator or _Bare(), reset=True)
        frame = columns.is_frame(X)
        names = columns.labels(X) if frame else list(range(X.shape[1]))
        roles = _roles(names, offset, exposure, frame)
        found = []
        for j, label in enumerate(names):
            name = str(label) if frame else f"x{j}"
            column = Column(name, roles.get(j, "input"))
            if frame and columns.is_categorical(columns.series(X, j), name):
                column = _fit_levels(column, columns.factor(columns.series(X, j), name))
                column = replace(column, coded=categorical == "embedding" or name in layer_columns)
            found.append(column)
        wide = _is_wide(found) and not layer_columns if sparse == "auto" else bool(sparse)
        named = frame and all(isinstance(label, str) for label in names)
        return cls(tuple(found), named, wide if frame else _is_sparse(X), handle_unknown)

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
        coded = [column.coded and column.role == "input" for column in self.columns]
        return tuple(start for start, is_coded in zip(first, coded, strict=False) if is_coded)

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
            If X has other columns than in `fit`, holds NaN or infinity in a numeric column, or an unseen level.
        """
        X = _validated(X, estimator or _Bare(self), reset=False)
        parts: dict[str, Array | None] = {"offset": None, "exposure": None}
        if columns.is_frame(X):
            blocks = self._read_frame(X)
            for column, block in zip(self.columns, blocks, strict=True):
                if column.role != "input":
                    parts[column.role] = block
            matrix = self._assemble(blocks, len(X))
        else:
            self._refuse_categorical()
            for j, column in enumerate(self.columns):
                if column.role != "input":
                    parts[column.role] = X[:, [j]].toarray().ravel() if _is_sparse(X) else X[:, j].copy()
            matrix = self._take_inputs(X)
        return Transformed(matrix, parts["offset"], parts["exposure"])

    def _read_frame(self, X: Any) -> list[Array]:
        """Each column as floats or level numbers."""
        return [self._read(columns.series(X, j), column) for j, column in enumerate(self.columns)]

    def _read(self, series: Any, column: Column) -> Array:
        if column.levels is None:
            values = columns.numbers(series, column.name)
            _check_finite(values, column.name)
            return values
        found = columns.factor(series, column.name)
        codes = columns.recode(found, column.levels)
        unseen = codes < 0
        if unseen.any():
            self._report_unseen(column, found, unseen)
        return codes

    def _assemble(self, blocks: list[Array], n: int) -> Any:
        """Place columns and 0/1 columns side by side."""
        inputs = [(column, block) for column, block in zip(self.columns, blocks, strict=True) if column.width]
        if self.is_sparse:
            return _assemble_sparse(inputs, n)
        matrix = np.zeros((n, len(self.names_out)))
        start = 0
        for column, block in inputs:
            if column.levels is None or column.coded:
                matrix[:, start] = block
            else:
                rows = np.flatnonzero(block > 0)
                matrix[rows, start - 1 + block[rows]] = 1.0
            start += column.width
        return matrix

    def _take_inputs(self, X: Any) -> Any:
        """Drop the offset's and the exposure's column from an array."""
        inputs = [j for j, column in enumerate(self.columns) if column.role == "input"]
        matrix = X if len(inputs) == len(self.columns) else X[:, inputs]
        if self.is_sparse:
            return sparse.csr_matrix(matrix)
        return np.ascontiguousarray(matrix.toarray() if _is_sparse(matrix) else matrix)

    def _refuse_categorical(self) -> None:
        for column in self.columns:
            if column.levels is not None:
                raise ValueError(
                    f"X must be a data frame, as it was in fit: its column {column.name!r} is categorical."
                )

    def _report_unseen(self, column: Column, found: columns.Factor, unseen: Array) -> None:
        """Raise, or warn with ``handle_unknown="reference"``."""
        assert column.levels is not None
        new = [found.levels[code] if code >= 0 else None for code in np.unique(found.codes[unseen])]
        text = (
            f"column {column.name!r} of X has {_listed(new)} in {int(unseen.sum())} row(s), first in row "
            f"{int(unseen.argmax())}, which fit did not see"
        )
        if self.handle_unknown == "error":
            raise ValueError(
                f"{text}; it saw {_listed(column.levels)}. Recode the column, or set handle_unknown='reference'."
            )
        coding = "the zero vector" if column.coded else f"the reference level {column.levels[0]!r}"
        warnings.warn(f"{text}; coded as {coding}.", UserWarning, stacklevel=5)

    def to_dict(self) -> dict[str, Any]:
        """JSON form; `from_dict` is its inverse."""
        kept = ("named", "is_sparse", "handle_unknown")
        return {"columns": [asdict(c) for c in self.columns], **{name: getattr(self, name) for name in kept}}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Design:
        """Rebuild a design from `to_dict`'s result, or from what JSON made of it."""
        found = []
        for column in saved["columns"]:
            levels = column["levels"]
            found.append(Column(**{**column, "levels": None if levels is None else tuple(levels)}))
        return cls(tuple(found), saved["named"], saved["is_sparse"], saved["handle_unknown"])


class _Bare(BaseEstimator):
    """Stands in for the estimator where a design is used on its own."""

    def __init__(self, design: Design | None = None) -> None:
        if design is not None:
            self.n_features_in_ = design.n_features_in
            if design.feature_names_in is not None:
                self.feature_names_in_ = np.asarray(design.feature_names_in, dtype=object)


def _validated(X: Any, estimator: BaseEstimator, *, reset: bool) -> Any:
    """X after scikit-learn's checks: a frame as it is, anything else as float64 array or CSR."""
    if columns.is_frame(X):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        for axis, what in ((0, "sample(s)"), (1, "feature(s)")):
            if X.shape[axis] == 0:
                raise ValueError(
                    f"Found array with 0 {what} (shape={X.shape}) while a minimum of 1 is required."
                )
        return X
    try:
        return validate_data(estimator, X, reset=reset, accept_sparse="csr", dtype=np.float64)
    except ValueError as error:
        if "could not convert string" in str(error):
            raise ValueError(
                f"{error}; pass categorical columns in a pandas or polars data frame."
            ) from error
        raise


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        raise ValueError(f"{name}={value!r} must be one of {list(choices)}.")


def level_name(level: Level, levels: Sequence[Level]) -> str:
    """Name a level; the one of missing values is ``missing`` unless another one is called so."""
    if level is not None:
        return str(level)
    return "NaN" if "missing" in levels else "missing"


def _roles(
    names: list[Any], offset: int | str | None, exposure: int | str | None, frame: bool
) -> dict[int, Role]:
    """Positions of the offset's and the exposure's column."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"X has {names.count(twice)} columns named {twice!r}; rename them.")
    roles: dict[int, Role] = {}
    wanted: list[tuple[Role, int | str | None]] = [("offset", offset), ("exposure", exposure)]
    for role, label in wanted:
        if label is None:
            continue
        if label not in names:
            kind = f"labels are {names}" if frame else f"positions are 0 to {len(names) - 1}"
            raise ValueError(f"{role}={label!r} is not a column of X, whose {kind}.")
        if names.index(label) in roles:
            raise ValueError(f"offset and exposure name the same column {label!r}; give it once.")
        roles[names.index(label)] = role
    return roles


def _fit_levels(column: Column, found: columns.Factor) -> Column:
    """Levels that have rows, the reference first and that of missing values last."""
    if column.role != "input":
        raise ValueError(f"{column.role}={column.name!r} names a categorical column; it must be numeric.")
    rows = np.bincount(found.codes + 1, minlength=len(found.levels) + 1)
    seen = np.flatnonzero(rows[1:])
    levels = [found.levels[code] for code in seen]
    if levels and not found.declared:
        levels.insert(0, levels.pop(int(np.argmax(rows[1:][seen]))))
    if rows[0]:
        levels.append(None)
    return replace(column, levels=tuple(levels))


def _is_wide(found: Sequence[Column]) -> bool:
    factors = [c for c in found if c.levels is not None and not c.coded and c.width]
    width = sum(c.width for c in found)
    filled = sum(c.role == "input" for c in found if c not in factors) + len(factors)
    return sum(c.width for c in factors) >= SPARSE_INDICATORS and 4 * filled <= width


def _is_sparse(X: Any) -> bool:
    return bool(sparse.issparse(X))


def _assemble_sparse(inputs: Sequence[tuple[Column, Array]], n: int) -> sparse.csr_matrix:
    """CSR rows: each column of X fills one place of each row, or none for a reference level or a zero."""
    values = np.empty((n, len(inputs)))
    places = np.empty((n, len(inputs)), dtype=np.int32)
    start = 0
    for k, (column, block) in enumerate(inputs):
        onehot = column.levels is not None and not column.coded
        values[:, k] = block > 0 if onehot else block
        places[:, k] = start - 1 + np.maximum(block, 1) if onehot else start
        start += column.width
    filled = values != 0
    indptr = np.concatenate([[0], np.cumsum(filled.sum(axis=1))]).astype(np.int32)
    return sparse.csr_matrix((values[filled], places[filled], indptr), shape=(n, start))


def _check_finite(values: Array, name: str) -> None:
    """Refuse NaN and infinity in scikit-learn's words, and say where."""
    finite = np.isfinite(values)
    if finite.all():
        return
    row = int(finite.argmin())
    what = "NaN" if np.isnan(values[row]) else "infinity"
    raise ValueError(
        f"Input X contains {what}: column {name!r}, row {row} ({int((~finite).sum())} such rows). "
        "Drop the rows or impute the values, with sklearn.impute.SimpleImputer for example."
    )


def _listed(levels: Sequence[Level], shown: int = 8) -> str:
    names = ", ".join("missing values" if level is None else repr(level) for level in levels[:shown])
    return names if len(levels) <= shown else f"{names} and {len(levels) - shown} more"
