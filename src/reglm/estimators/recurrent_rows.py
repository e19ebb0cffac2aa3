"""From stacked sequences as users have them to packed rows of a `Data` record, and back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_array, check_consistent_length

from reglm.estimators.inputs import check_weights
from reglm.families import Columns, Family, get
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.statespace.packing import Packed, Packing, packing
from reglm.statespace.sequences import Sequences, sequences

OF_CLASSES = ("bernoulli", "multinomial", "ordinal")
"""Families whose responses may be given as labels."""


class Shape(NamedTuple):
    """Sequences of stacked rows, in the user's order and packed."""

    sequences: Sequences
    packing: Packing

    def pack(self, rows: Array) -> Array:
        """Packed rows from the user's."""
        return self.packing.pack(self.sequences.stack(rows))

    def unpack(self, rows: Array) -> Array:
        """Rows in the user's order."""
        return self.sequences.unstack(self.packing.unpack(rows))

    def pack_sequences(self, values: Array) -> Array:
        """Values of the sequences (S, ...), longest sequence first."""
        return np.ascontiguousarray(values[self.packing.ranks])


def shape_of(n: int, lengths: Any, groups: Any, time: Any = None) -> Shape:
    """How n rows divide into sequences; see `reglm.statespace.sequences.sequences`.

    Rows of a sequence come in the order of `time` (n,), in which no two of them may be equal, or as they stand.
    """
    found = sequences(n, lengths, groups)
    if time is not None:
        found = _in_time(found, np.asarray(time))
    return Shape(found, packing(found.lengths))


def _in_time(found: Sequences, time: Array) -> Sequences:
    if time.shape != (found.n,) or _missing(time).any():
        raise ValueError(
            f"time has shape {time.shape} or missing entries; it must say when each of {found.n} rows was."
        )
    number = found.unstack(np.repeat(np.arange(len(found)), found.lengths))
    order = np.lexsort((time, number))
    same = (np.diff(number[order]) == 0) & (time[order][1:] == time[order][:-1])
    if same.any():
        row = order[int(same.argmax())]
        raise ValueError(f"time: two rows of one sequence are at {time[row]!r}, so their order is not known.")
    return replace(found, order=order)


def task_of(task: str, y: Any, shape: Shape) -> str:
    """Return the task: "density" without y, "sequence" for a response a sequence, "step" for one a row.

    Raises
    ------
    ValueError
        If y is there and should not be, or is missing.
    """
    if task == "auto":
        if y is None:
            return "density"
        return "sequence" if rows_in(y) == len(shape.sequences) != shape.sequences.n else "step"
    if task == "density" and y is not None:
        raise ValueError("task='density' models the rows of X, so it takes y=None; use task='step' for a response y.")
    if task != "density" and y is None:
        raise ValueError(
            f"task={task!r} requires y to be passed, but the target y is None; task='density' models the rows of X."
        )
    return task


def named_column(X: Any, role: str, name: str) -> Array:
    """Column (n,) of a data frame.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    columns = list(getattr(X, "columns", ()))
    if name not in columns:
        raise ValueError(f"{role}={name!r} is not a column of X; its columns are {columns}.")
    return np.asarray(X[name])


def rows_in(values: Any) -> int:
    """Number of rows of an array, a data frame or a list."""
    shape = values.shape if hasattr(values, "shape") else np.shape(np.asarray(values))
    return int(shape[0]) if shape else 0


def shifted(rows: Array, start: Array, lengths: Array) -> Array:
    """Return what each row of the stacked sequences is predicted from: the row before it, or `start` (p,).

    Unobserved entries are replaced by those of `start`.
    """
    before = np.empty_like(rows)
    before[1:] = rows[:-1]
    before[np.cumsum(lengths) - lengths] = start
    return np.where(np.isnan(before), start, before)


@dataclass(frozen=True)
class ResponseCoding:
    """How responses as users have them become columns that the family understands.

    Parameters
    ----------
    family : Family
    classes : ndarray (K,) or None
        Labels, where the response is one.
    is_vector : bool
        Whether y had one dimension.
    """

    family: Family
    classes: Array | None = None
    is_vector: bool = False

    @classmethod
    def fit(cls, y: Any, family: Family, *, is_density: bool = False) -> ResponseCoding:
        """Learn the labels of a response of one column under a family of classes.

        A matrix of one column is warned about unless it holds the rows of a density.

        Raises
        ------
        ValueError
            If there are fewer than two classes, or more than two for Bernoulli.
        """
        y = y if hasattr(y, "shape") else np.asarray(y)
        ndim = len(y.shape)
        single = ndim == 1 or (ndim == 2 and y.shape[1] == 1)
        if not (single and family.name in OF_CLASSES):
            return cls(family, None, ndim == 1)
        if ndim == 2 and not is_density:
            warnings.warn(
                "A column-vector y was passed when a 1d array was expected.", DataConversionWarning, stacklevel=5
            )
        labels = _labels(y)
        seen = labels[~_missing(labels)]
        assert_all_finite(seen, input_name="y")
        check_classification_targets(seen)
        classes = np.unique(seen)
        if len(classes) < 2:
            found = f"only one class: {classes[0]!r}" if len(classes) else "no label"
            raise ValueError(f"family={family.name!r} needs at least 2 classes in the data, but y contains {found}.")
        if family.name == "bernoulli" and len(classes) > 2:
            raise ValueError(f"family='bernoulli' has two classes, y has {len(classes)}; use family='multinomial'.")
        return cls(family, classes, ndim == 1)

    def code(self, y: Any, n: int) -> Array:
        """Response (n, Ky); rows that are not observed are NaN."""
        if self.classes is None:
            found = check_array(y, ensure_2d=False, dtype="float64", input_name="y", ensure_all_finite="allow-nan")
            check_consistent_length(np.empty(n), found)
            return found.reshape(len(found), -1)
        labels = _labels(y)
        check_consistent_length(np.empty(n), labels)
        missing = _missing(labels)
        codes = np.zeros(len(labels), dtype=int)
        codes[~missing] = np.searchsorted(self.classes, labels[~missing]).clip(max=len(self.classes) - 1)
        unknown = ~missing & (self.classes[codes] != labels)
        if unknown.any():
            raise ValueError(
                f"y holds the label {labels[unknown][0]!r}, which is not among the classes {list(self.classes)}."
            )
        one_hot = np.eye(len(self.classes))[codes]
        one_hot[missing] = np.nan
        return one_hot[:, 1:] if self.family.name == "bernoulli" else one_hot


def _labels(y: Any) -> Array:
    return np.asarray(y).reshape(-1)


def _missing(labels: Array) -> Array:
    """Whether labels (n,) are None or NaN."""
    if labels.dtype.kind == "O":
        return np.array([label is None or label != label for label in labels])
    return np.asarray(labels != labels)


class Observed(NamedTuple):
    """A response without gaps (m, Ky), and its weights (m, 1): zero where it is not observed."""

    y: Array
    weights: Array


def observed(y: Array, weights: Array, family: Family) -> Observed:
    """Give rows with unobserved entries a weight of zero and the values of an observed row.

    Columns with gaps get their indicators, and lose only what is not observed.

    Raises
    ------
    ValueError
        If no row is observed, or one does not suit the family.
    """
    if isinstance(family, Columns) and family.gaps:
        seen = ~np.isnan(y)
        y = np.where(seen, y, y[seen.argmax(axis=0), np.arange(y.shape[1])])
        y = np.hstack([y, np.where(seen.any(axis=1, keepdims=True), seen, np.nan)])
    missing = np.isnan(y).any(axis=1)
    if missing.all():
        raise ValueError("no row of the response is observed: every row of it holds NaN.")
    y = np.where(missing[:, None], y[int(missing.argmin())], y)
    family.check_response(y)
    weights = np.where(missing[:, None], 0.0, weights)
    if not weights.any():
        raise ValueError("sample_weight is zero in every observed row; at least one needs a positive weight.")
    return Observed(y, weights)


def family_of(family: Any, link: Any) -> tuple[Family, Any]:
    """Family and link: a list of families, with a list of links or None, makes independent columns.

    Raises
    ------
    ValueError
        If a name is unknown, or the lists differ in length.
    """
    if isinstance(family, str) or not isinstance(family, Sequence):
        return get(family), link
    links = [None] * len(family) if link is None else link
    if isinstance(links, str) or len(links) != len(family):
        raise ValueError(f"link={link!r} must be a list of {len(family)} links, one a family, or None.")
    runs = [(key, len(list(run))) for key, run in groupby(zip(map(get, family), links, strict=True))]
    parts, part_links = zip(*(key for key, _ in runs), strict=True)
    return Columns(parts, tuple(width for _, width in runs), part_links), None


def with_gaps(family: Family, link: Any, y: Array) -> tuple[Family, Any]:
    """Let a family of independent columns have gaps where rows of y (n, Ky) are observed in part.

    Raises
    ------
    ValueError
        If a column is not observed at all.
    """
    missing = np.isnan(y)
    partly = missing.any(axis=1) & ~missing.all(axis=1)
    if not partly.any():
        return family, link
    if missing.all(axis=0).any():
        raise ValueError(f"column {int(missing.all(axis=0).argmax())} of the response is NaN in every row.")
    if isinstance(family, Columns):
        return replace(family, gaps=True), link
    if family.name in ("multinomial", "ordinal", "binomial", "quasibinomial"):
        return family, link
    return Columns((family,), (y.shape[1],), (link,), gaps=True), None


def row_weights(sample_weight: Any, shape: Shape, m: int) -> Array:
    """Weights (m, 1) from one a row, or one a sequence."""
    S = len(shape.sequences)
    if sample_weight is not None and np.shape(np.asarray(sample_weight)) == (S,) != (m,):
        values = check_weights(sample_weight, S, "float64")
        return shape.sequences.unstack(np.repeat(values, shape.sequences.lengths, axis=0))
    return check_weights(sample_weight, m, "float64")


def pack(inputs: Array, response: Observed, shift: Array, shape: Shape, *, per_sequence: bool, dtype: str) -> Data:
    """Packed `Data` from rows (n, ...) in the user's order; response and shift have S rows where `per_sequence`."""
    order: Callable[[Array], Array] = shape.pack_sequences if per_sequence else shape.pack
    rest = (np.ascontiguousarray(order(part), dtype=dtype) for part in (response.y, shift, response.weights))
    return Data(Packed(np.ascontiguousarray(shape.pack(inputs), dtype=dtype), shape.packing.sizes), *rest)
