"""From X as users have it to what a kernel regression reads: the kernel's columns and the unpenalised part's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils.validation import validate_data

from reglm.estimators.coding import listed
from reglm.estimators.columns import is_frame
from reglm.estimators.design import Design
from reglm.estimators.inputs import contiguous
from reglm.parameters import Array


class Rows(NamedTuple):
    """Coded rows.

    Parameters
    ----------
    X : ndarray or CSR (n, p)
        What the kernel sees.
    linear : ndarray (n, q)
        Unpenalised part, a column of ones first if there is an intercept.
    offset, exposure : ndarray (n,) or None
        From the columns named in the constructor.
    """

    X: Any
    linear: Array
    offset: Array | None
    exposure: Array | None


@dataclass(frozen=True)
class KernelDesign:
    """A fitted coding.

    Parameters
    ----------
    design : Design or None
        None where X is the kernel matrix itself.
    seen, linear : ndarray of int
        Coded columns of the kernel and of the linear part.
    intercept : bool
    labels : sequence of str, optional
        Names of the linear part's columns; those of X by default.
    """

    design: Design | None
    seen: Array
    linear: Array
    intercept: bool
    labels: Sequence[str] | None = None

    @classmethod
    def fit(
        cls, X: Any, *, linear: bool | Sequence[str | int] | None, intercept: bool, precomputed: bool,
        offset: str | int | None, exposure: str | int | None, handle_unknown: str, estimator: Any,
    ) -> KernelDesign:  # fmt: skip
        """Learn the coding; see `reglm.KernelDualRegressor` for the arguments.

        Raises
        ------
        ValueError
            If a column is not there, or none is left to the kernel.
        """
        none = np.empty(0, dtype=int)
        if precomputed:
            if linear or offset is not None or exposure is not None:
                raise ValueError(
                    f"linear={linear!r}, offset={offset!r}, exposure={exposure!r}: with kernel='precomputed' X has no "
                    "columns to name; pass the offset to fit, or a kernel instead of its matrix."
                )
            shape = validate_data(estimator, X, reset=True, dtype="float64").shape
            if shape[0] != shape[1]:
                raise ValueError(f"X must be square with kernel='precomputed', got shape {shape}.")
            return cls(None, none, none, intercept)
        wide = "auto" if not is_frame(X) else False
        design = Design.fit(
            X, offset=offset, exposure=exposure, handle_unknown=handle_unknown, sparse=wide, estimator=estimator
        )
        everything = np.arange(len(design.names_out))
        chosen = _chosen(design, linear)
        seen = everything if linear is True else np.setdiff1d(everything, chosen)
        if not len(seen):
            raise ValueError(f"linear={linear!r} leaves no column to the kernel; linear=True leaves it all of them.")
        return cls(design, seen, chosen, intercept)

    @property
    def names(self) -> list[str]:
        """Names of the columns of the unpenalised part."""
        coded = [] if self.design is None else [self.design.names_out[j] for j in self.linear]
        coded = coded if self.labels is None else list(self.labels)
        return ["Intercept", *coded] if self.intercept else coded

    def read(self, X: Any, estimator: Any) -> Rows:
        """Code rows.

        Raises
        ------
        ValueError
            If X has other columns than in `fit`, or what the design refuses.
        """
        if self.design is None:
            matrix = validate_data(estimator, X, reset=False, dtype="float64")
            return Rows(matrix, self._with_intercept(np.empty((len(matrix), 0))), None, None)
        coded = self.design.transform(X, estimator)
        part = coded.X[:, self.linear]
        linear = part.toarray() if sparse.issparse(part) else part
        seen = coded.X if len(self.seen) == coded.X.shape[1] else coded.X[:, self.seen]
        return Rows(contiguous(seen, "float64"), self._with_intercept(linear), coded.offset, coded.exposure)

    def _with_intercept(self, linear: Array) -> Array:
        return np.column_stack([np.ones(len(linear)), linear]) if self.intercept else linear


def _chosen(design: Design, linear: bool | Sequence[str | int] | None) -> Array:
    """Coded columns of the linear part."""
    if linear is None or linear is False:
        return np.empty(0, dtype=int)
    if linear is True:
        return np.arange(len(design.names_out))
    groups = design.groups
    found: set[int] = set()
    for item in [linear] if isinstance(linear, str) else linear:
        position = isinstance(item, (int, np.integer)) and 0 <= item < len(design.columns)
        name = design.columns[int(item)].name if position else item
        if name not in groups:
            raise ValueError(f"linear: {item!r} is not an input; the inputs are {listed(list(groups), 30)}.")
        found.update(groups[name])
    return np.array(sorted(found), dtype=int)
