"""Columns as users have them, and as the visible units of a Boltzmann machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reglm.energy.visible import KINDS, Visible, layer
from reglm.parameters import Array

NAMES = ("auto", *sorted(KINDS))


@dataclass(frozen=True)
class Columns:
    """Kinds of columns, the levels of categorical ones, and scales of Gaussian ones.

    Parameters
    ----------
    kinds : tuple of str
        One for each column.
    levels : tuple of ndarray
        Sorted levels of each column; empty where it is not categorical.
    center, scale : ndarray (D,)
        Of coded columns, 0 and 1 where they are not Gaussian.
    """

    kinds: tuple[str, ...]
    levels: tuple[Array, ...]
    center: Array
    scale: Array

    @property
    def visible(self) -> Visible:
        """The visible layer."""
        return layer(
            ("categorical", len(levels)) if kind == "categorical" else kind
            for kind, levels in zip(self.kinds, self.levels, strict=True)
        )

    def encode(self, X: Array) -> Array:
        """Code rows (n, p) as (n, D) numbers, NaN where unobserved.

        Raises
        ------
        ValueError
            If a value does not belong to its column.
        """
        if "categorical" in self.kinds:
            V = np.concatenate([_coded(X[:, j], self.levels[j], j) for j in range(len(self.kinds))], axis=1)
        else:
            V = _numbers(X, "number")
        self.visible.check(V)
        return V

    def decode(self, V: Array) -> Array:
        """Turn coded rows (n, D) into rows (n, p); of a categorical block the largest number says the level."""
        columns: list[Array] = []
        at = 0
        for levels in self.levels:
            width = max(len(levels), 1)
            block = V[:, at : at + width]
            columns.append(levels[np.argmax(block, axis=1)] if len(levels) else block[:, 0])
            at += width
        return np.stack(columns, axis=1)


def learn(X: Array, kinds: Any, *, standardize: bool = True) -> Columns:
    """Find out what the columns of X (n, p) are.

    Parameters
    ----------
    X : ndarray (n, p)
        Numbers or objects; NaN or None is unobserved.
    kinds : str or sequence of str
        "auto", or a kind for all or for each of the columns. "auto" is "bernoulli" where all values lie in [0, 1], else
        "gaussian"; given for all columns it looks at all of them together.
    standardize : bool
        Learn centre and scale of Gaussian columns.

    Returns
    -------
    Columns

    Raises
    ------
    ValueError
        If kinds are unknown or not one for each column, if a value does not belong to its kind, or a row or column
        holds nothing.
    """
    named = resolve(X, kinds)
    missing = is_missing(X)
    for axis, what in ((1, "rows"), (0, "columns")):
        empty = np.flatnonzero(missing.all(axis=axis))
        if len(empty):
            raise ValueError(f"X holds no value at all in {what} {empty[:5].tolist()}; leave them out.")
    levels = tuple(
        np.unique(X[~missing[:, j], j]) if kind == "categorical" else np.empty(0) for j, kind in enumerate(named)
    )
    plain = Columns(named, levels, np.zeros(0), np.ones(0))
    visible = plain.visible
    center, scale = np.zeros(visible.size), np.ones(visible.size)
    is_gaussian = visible.columns_of("gaussian")
    V = plain.encode(X)
    if standardize and is_gaussian.any():
        values = V[:, is_gaussian]
        spread = np.nanstd(values, axis=0)
        center[is_gaussian], scale[is_gaussian] = np.nanmean(values, axis=0), np.where(spread > 0, spread, 1.0)
    return Columns(named, levels, center, scale)


def resolve(X: Array, kinds: Any) -> tuple[str, ...]:
    """Return one kind for each column of X, "auto" replaced by what it stands for."""
    p = X.shape[1]
    if isinstance(kinds, str):
        _known(kinds)
        return ((_guess(X) if kinds == "auto" else kinds),) * p
    if not isinstance(kinds, Sequence) or len(kinds) != p:
        raise ValueError(
            f"visible={kinds!r} must be one of {NAMES}, or a list with one of them for each of {p} columns."
        )
    for kind in kinds:
        _known(kind)
    return tuple(_guess(X[:, [j]]) if kind == "auto" else kind for j, kind in enumerate(kinds))


def _known(kind: Any) -> None:
    if kind not in NAMES:
        raise ValueError(f"visible={kind!r} is not known; choose one of {NAMES}, or a list with one for each column.")


def _guess(X: Array) -> str:
    values = _numbers(X, "auto")
    inside = (values >= 0) & (values <= 1) | np.isnan(values)
    return "bernoulli" if inside.all() else "gaussian"


def is_missing(X: Array) -> Array:
    """Return which values are NaN or None."""
    if X.dtype.kind in "biu":
        return np.zeros(X.shape, dtype=bool)
    return np.isnan(X) if X.dtype.kind == "f" else np.array([[v is None or v != v for v in row] for row in X])


def _numbers(values: Array, kind: str) -> Array:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"X holds text in a column of visible kind {kind!r} ({error}); say visible='categorical' for it."
        ) from None


def _coded(column: Array, levels: Array, j: int) -> Array:
    """Numbers (n, 1), or indicators of the levels (n, levels)."""
    if not len(levels):
        return _numbers(column, "number")[:, None]
    missing = is_missing(column[:, None])[:, 0]
    place = np.zeros(len(column), dtype=int)
    place[~missing] = np.minimum(np.searchsorted(levels, column[~missing]), len(levels) - 1)
    wrong = ~missing & (levels[place] != column)
    if wrong.any():
        raise ValueError(f"X holds {column[wrong][0]!r} in column {j}, whose levels are {levels.tolist()}.")
    coded = np.eye(len(levels))[place]
    coded[missing] = np.nan
    return coded
