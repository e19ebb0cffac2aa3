"""Layers that read columns of X: selections, embeddings of categories, bases of single numeric inputs.

Each stands first in its branch. Columns are given by number or, for data frames, by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from reglm import ops
from reglm.layers.base import Layer, check_count
from reglm.layers.scope import Batch, Scope, SparseRows
from reglm.links.forms import like
from reglm.parameters import Array, Spec, normal, phases

Columns = Sequence[int | str] | None
Knots = Sequence[Sequence[float]]


def column_numbers(columns: Columns, X: Array | None, names: Sequence[str], layer: str) -> tuple[int, ...]:
    """Turn names into numbers; None means all columns.

    Raises
    ------
    ValueError
        If a column does not exist, or the layer does not stand first in its branch.
    """
    if X is None:
        raise ValueError(f"{layer} reads columns of X, so it must stand first in its branch.")
    if not isinstance(X, np.ndarray):
        raise ValueError(f"{layer} needs dense X, got {type(X).__name__}; pass X.toarray().")
    found = []
    for column in range(X.shape[1]) if columns is None else columns:
        if isinstance(column, str):
            if column not in names:
                raise ValueError(f"{layer}: column {column!r} is not in X; its columns are {list(names)}.")
            column = list(names).index(column)
        if not 0 <= column < X.shape[1]:
            raise ValueError(f"{layer}: column {column} is outside X, which has {X.shape[1]} columns.")
        found.append(int(column))
    return tuple(found)


def _row(values: Sequence[float] | Array) -> Array:
    return np.asarray(values, dtype=float)[None, :]


def _taken(h: Batch, scope: Scope) -> TensorVariable:
    if isinstance(h, SparseRows):
        raise ValueError("layers that read single columns need dense X; pass X.toarray().")
    return ops.take(h, scope.buffer("columns"))


@dataclass(frozen=True)
class Select(Layer):
    """Some columns of X, standardised on request.

    Parameters
    ----------
    columns : sequence of int or str, optional
        All by default.
    standardize : bool
        Subtract the mean of the training rows and divide by their standard deviation.
    center, scale : sequence of float, optional
        Filled in from the data.
    """

    columns: Columns = None
    standardize: bool = False
    center: Sequence[float] | None = None
    scale: Sequence[float] | None = None

    def resolve(self, X: Array | None, names: Sequence[str]) -> Layer:
        """Find the columns and their moments."""
        columns = column_numbers(self.columns, X, names, "Select")
        assert X is not None
        values = X[:, list(columns)]
        center = values.mean(axis=0) if self.standardize else np.zeros(len(columns))
        spread = values.std(axis=0) if self.standardize else np.ones(len(columns))
        scale = np.where(spread > 0, spread, 1.0)
        return replace(self, columns=columns, center=tuple(center.tolist()), scale=tuple(scale.tolist()))

    def width(self, width: int) -> int:
        """Number of columns."""
        return width if self.columns is None else len(self.columns)

    def buffers(self, width: int) -> dict[str, Array]:
        """Column numbers, and moments when standardising."""
        found = {"columns": np.asarray(self.columns, dtype="int64")}
        if self.standardize:
            found |= {"center": _row(self.center or ()), "scale": _row(self.scale or ())}
        return found

    def structure(self) -> tuple[Any, ...]:
        """Say whether it standardises."""
        return ("Select", self.standardize)

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """``(X[:, columns] - center) / scale``."""
        x = _taken(h, scope)
        return (x - scope.buffer("center")) / scope.buffer("scale") if self.standardize else x


@dataclass(frozen=True)
class Embedding(Layer):
    """A learned row of a table for each level of categorical columns.

    The columns hold level numbers 0, 1, ...; a negative number (an unseen level) gives zeros.

    Parameters
    ----------
    columns : sequence of int or str
    dim : int
        Coordinates a level.
    pool : bool
        Add the columns' rows up instead of concatenating them; with ``dim`` equal to the number of linear
        predictors this is the main effect of a factor in a generalized linear model.
    levels : sequence of int, optional
        Levels of each column; from the data by default.
    alpha : float, optional
        L2 penalty of this table in place of the model's: with ``pool=True`` its levels are random effects
        of variance 1 / alpha.
    """

    columns: Columns
    dim: int = 2
    pool: bool = False
    levels: Sequence[int] | None = None
    alpha: float | None = None

    def __post_init__(self) -> None:
        check_count("dim", self.dim)

    def resolve(self, X: Array | None, names: Sequence[str]) -> Layer:
        """Find the columns and count their levels."""
        columns = column_numbers(self.columns, X, names, "Embedding")
        assert X is not None
        levels = self.levels or tuple(max(int(X[:, c].max()) + 1, 1) for c in columns)
        return replace(self, columns=columns, levels=tuple(levels))

    def specs(self, width: int) -> list[Spec]:
        """One stacked table ``E`` (total levels, dim)."""
        spread = 0.0 if self.pool else 0.1
        shape = (sum(self.levels or ()), self.dim)
        return [Spec("E", shape, normal(spread), True, self.alpha)]

    def width(self, width: int) -> int:
        """`dim`, once a column unless pooled."""
        return self.dim if self.pool else self.dim * len(self.columns or ())

    def buffers(self, width: int) -> dict[str, Array]:
        """Column numbers, first table row and number of levels of each column."""
        levels = np.asarray(self.levels, dtype="int64")
        first = np.concatenate([[0], np.cumsum(levels)[:-1]])
        return {
            "columns": np.asarray(self.columns, dtype="int64"),
            "first": first[None, :],
            "levels": levels[None, :],
        }

    def structure(self) -> tuple[Any, ...]:
        """Say whether it pools."""
        return ("Embedding", self.pool)

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """Table rows of the levels."""
        codes = ops.table_rows(_taken(h, scope), scope.buffer("first"), scope.buffer("levels"))
        return scope.lookup(codes, "E", self.pool)


@dataclass(frozen=True)
class PiecewiseLinear(Layer):
    """Ramps between quantiles of single inputs, flat outside (Gorishniy et al. 2022).

    Ramp j of a column rises from 0 to 1 between knots j and j + 1, so that a linear map of the ramps is any
    continuous piecewise-linear function: a network sees kinks, and with close knots steps, as trees do.

    Parameters
    ----------
    columns : sequence of int or str, optional
    bins : int
        Ramps a column, at most; ties in the data give fewer.
    knots : sequence of sequences of float, optional
        Increasing, one sequence a column; quantiles of the training rows by default.
    """

    columns: Columns = None
    bins: int = 10
    knots: Knots | None = None

    def resolve(self, X: Array | None, names: Sequence[str]) -> Layer:
        """Find the columns and their knots."""
        columns = column_numbers(self.columns, X, names, "PiecewiseLinear")
        assert X is not None
        check_count("bins", self.bins)
        return replace(self, columns=columns, knots=found_knots(self.knots, X, columns, self.bins))

    def width(self, width: int) -> int:
        """Total number of ramps."""
        return sum(len(k) - 1 for k in self.knots or ())

    def buffers(self, width: int) -> dict[str, Array]:
        """Column, start and length of every ramp."""
        knots = self.knots or ()
        columns = [c for c, k in zip(self.columns or (), knots, strict=True) for _ in k[1:]]
        return {
            "columns": np.asarray(columns, dtype="int64"),
            "start": _row(np.concatenate([k[:-1] for k in knots])),
            "length": _row(np.concatenate([np.diff(k) for k in knots])),
        }

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """``clip((x - start) / length, 0, 1)``."""
        ramp = (_taken(h, scope) - scope.buffer("start")) / scope.buffer("length")
        return pt.minimum(pt.maximum(ramp, 0), 1)  # `clip` has no NumPy ufunc for the interpreter


def found_knots(knots: Knots | None, X: Array, columns: Sequence[int], bins: int) -> Knots:
    """Knots as given, or quantiles of the columns of `X` (n, p).

    Raises
    ------
    ValueError
        Unless there are two or more increasing knots for each column.
    """
    if knots is None:
        return tuple(tuple(quantile_knots(X[:, c], bins).tolist()) for c in columns)
    if len(knots) != len(columns):
        raise ValueError(f"knots needs one sequence a column, got {len(knots)} for {len(columns)} columns.")
    for k in knots:
        if len(k) < 2 or np.any(np.diff(k) <= 0):
            raise ValueError(f"knots={list(k)} must be two or more increasing numbers.")
    return tuple(tuple(map(float, k)) for k in knots)


def quantile_knots(x: Array, bins: int) -> Array:
    """Distinct quantiles of `x`, the extremes included; two at least.

    Where ties make quantiles coincide, quantiles of the distinct values take their place, and few distinct
    values are all knots: a network should be able to tell them apart.
    """
    distinct = np.unique(x)
    if len(distinct) <= bins + 1:
        knots = distinct
    else:
        knots = np.unique(np.quantile(x, np.linspace(0.0, 1.0, bins + 1)))
        missing = bins + 1 - len(knots)
        knots = np.union1d(knots, np.quantile(distinct, np.linspace(0.0, 1.0, missing + 2)[1:-1]))
    return knots if len(knots) > 1 else np.array([knots[0], knots[0] + 1.0])


@dataclass(frozen=True)
class Spline(Layer):
    """Natural cubic splines of single inputs (Hastie, Tibshirani & Friedman 2009, eq. 5.4-5.5).

    Parameters
    ----------
    columns : sequence of int or str, optional
    bins : int
        Intervals between knots; a column gives as many basis functions, the first of them linear.
    knots : sequence of sequences of float, optional
        Increasing, one sequence a column; quantiles of the training rows by default.
    """

    columns: Columns = None
    bins: int = 5
    knots: Knots | None = None

    def resolve(self, X: Array | None, names: Sequence[str]) -> Layer:
        """Find the columns and their knots."""
        columns = column_numbers(self.columns, X, names, "Spline")
        assert X is not None
        check_count("bins", self.bins)
        return replace(self, columns=columns, knots=found_knots(self.knots, X, columns, self.bins))

    def width(self, width: int) -> int:
        """One linear function and one for each knot but the last two, a column."""
        return sum(len(k) - 1 for k in self.knots or ())

    def buffers(self, width: int) -> dict[str, Array]:
        """Column and range of every basis function, its knot and the last but one, on the unit interval."""
        rows: list[tuple[float, float, float, float, float]] = []
        for k in self.knots or ():
            unit = (np.asarray(k) - k[0]) / (k[-1] - k[0])
            rows.append((k[0], k[-1] - k[0], 0.0, 0.0, 1.0))
            rows += [(k[0], k[-1] - k[0], u, unit[-2], 0.0) for u in unit[:-2]]
        names = ("start", "length", "knot", "last", "linear")
        found = dict(zip(names, np.asarray(rows).T[:, None, :].copy(), strict=True))
        columns = [c for c, k in zip(self.columns or (), self.knots or (), strict=True) for _ in k[1:]]
        return found | {"columns": np.asarray(columns, dtype="int64")}

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """``u`` and ``d_k(u) - d_{K-1}(u)`` with ``d_k(u) = ((u - t_k)_+^3 - (u - 1)_+^3) / (1 - t_k)``."""
        u = (_taken(h, scope) - scope.buffer("start")) / scope.buffer("length")
        end = pt.maximum(u - 1, 0) ** 3

        def d(t: TensorVariable) -> TensorVariable:
            return (pt.maximum(u - t, 0) ** 3 - end) / (1 - t)

        return pt.switch(scope.buffer("linear") > 0, u, d(scope.buffer("knot")) - d(scope.buffer("last")))


@dataclass(frozen=True)
class Periodic(Layer):
    """Waves ``sin(2 pi f x + phase)`` of single standardised inputs, frequencies and phases learned.

    Parameters
    ----------
    columns : sequence of int or str, optional
    waves : int
        Waves a column (Gorishniy et al. 2022).
    spread : float
        Standard deviation of the frequencies' normal start, in cycles per standard deviation of x.
    center, scale : sequence of float, optional
        Filled in from the data.
    """

    columns: Columns = None
    waves: int = 8
    spread: float = 0.3
    center: Sequence[float] | None = None
    scale: Sequence[float] | None = None

    def resolve(self, X: Array | None, names: Sequence[str]) -> Layer:
        """Find the columns and their moments."""
        check_count("waves", self.waves)
        chosen = Select(self.columns, standardize=True).resolve(X, names)
        assert isinstance(chosen, Select)
        return replace(self, columns=chosen.columns, center=chosen.center, scale=chosen.scale)

    def width(self, width: int) -> int:
        """`waves`, once a column."""
        return self.waves * len(self.columns or ())

    def specs(self, width: int) -> list[Spec]:
        """``frequency`` and ``phase``, both (1, waves x columns)."""
        shape = (1, self.width(width))
        return [
            Spec("frequency", shape, normal(self.spread)),
            Spec("phase", shape, phases),
        ]

    def buffers(self, width: int) -> dict[str, Array]:
        """Column numbers and moments, repeated for each wave."""
        found = {name: _row(np.repeat(getattr(self, name), self.waves)) for name in ("center", "scale")}
        return found | {"columns": np.repeat(np.asarray(self.columns, dtype="int64"), self.waves)}

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """``sin(2 pi f (x - center) / scale + phase)``."""
        z = (_taken(h, scope) - scope.buffer("center")) / scope.buffer("scale")
        return pt.sin(like(2.0 * np.pi, z) * z * scope.shared("frequency") + scope.shared("phase"))
