"""Which columns of X each weight of a network multiplies, and what they are called.

Columns are followed through the layers until a weight takes them up. What a unit of a dense layer passes on
depends on X through its weights alone, so that an input is without effect where the weights that take it up
are zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, NamedTuple

from reglm.layers import (
    Activation,
    BatchNorm,
    Corrupt,
    Dense,
    Dropout,
    Embedding,
    Layer,
    Parallel,
    Periodic,
    PiecewiseLinear,
    Residual,
    Select,
    Sequential,
    Spline,
    Tied,
)
from reglm.layers.composite import default_names
from reglm.record import Fit

NOWHERE: frozenset[int] = frozenset()
Levels = Mapping[str, Sequence[Any]]


class Column(NamedTuple):
    """Something with a value in every row: its name, and the columns of X it depends on other than by weights."""

    label: str
    sources: frozenset[int] = NOWHERE


@dataclass(frozen=True)
class Rows:
    """What the rows of one weight stand for.

    Parameters
    ----------
    columns : list of Column
        One a row.
    is_table : bool
        Whether a row is a level of a category, read and not multiplied.
    """

    columns: list[Column]
    is_table: bool = False


class Passed(NamedTuple):
    """What a layer passes on, and the rows of the weights in it by their full names."""

    columns: list[Column]
    weights: dict[str, Rows]


def weight_rows(fit: Fit) -> dict[str, Rows]:
    """Rows of every dense weight and table of a fit, by name.

    Tables whose entries are weighted further on are left out of the test of an input: see `followed`.
    """
    network = fit.likelihood.network
    names = [str(name) for name in fit.input_names]
    labels = names if len(names) == network.inputs else numbered("x", network.inputs)
    columns = [Column(label, frozenset([j])) for j, label in enumerate(labels)]
    levels = {str(name): list(values) for name, values in fit.details.get("levels", {}).items()}
    found = dict(followed(network.chain, "", columns, levels).weights)
    return found if network.skip is None else found | followed(network.skip, "skip.", columns, levels).weights


def numbered(stem: str, count: int) -> list[str]:
    """``stem[1]``, ``stem[2]``, ..."""
    return [f"{stem}[{i + 1}]" for i in range(count)]


def union(columns: Iterable[Column]) -> frozenset[int]:
    """Every column of X that some of the columns depend on."""
    return NOWHERE.union(*(column.sources for column in columns))


@singledispatch
def followed(layer: Layer, prefix: str, columns: list[Column], levels: Levels) -> Passed:
    """Follow columns through a layer whose parameters are called ``prefix + name``.

    A layer of which nothing is known mixes all its columns.

    Parameters
    ----------
    layer : Layer
    prefix : str
        Empty or ending in a dot.
    columns : list of Column
        What the layer is given.
    levels : mapping
        Levels of categorical columns by label.
    """
    names = numbered(prefix.rstrip(".") or "h", layer.width(len(columns)))
    return Passed([Column(name, union(columns)) for name in names], {})


@followed.register
def _(layer: Dense, prefix: str, columns: list[Column], levels: Levels) -> Passed:
    weights = {f"{prefix}W{suffix}": Rows(columns) for suffix in (("", "2") if layer.activation == "maxout" else ("",))}
    return Passed([Column(name) for name in numbered(prefix.rstrip("."), layer.units)], weights)


@followed.register(Activation)
@followed.register(Dropout)
@followed.register(BatchNorm)
@followed.register(Corrupt)
def _(layer: Layer, prefix: str, columns: list[Column], levels: Levels) -> Passed:
    return Passed(columns, {})


@followed.register
def _(layer: Select, prefix: str, columns: list[Column], levels: Levels) -> Passed:
    return Passed([columns[int(c)] for c in layer.buffers(len(columns))["columns"]], {})


@followed.register(Spline)
@followed.register(PiecewiseLinear)
@followed.register(Periodic)
def _(layer: Layer, prefix: str, columns: list[Column], levels: Levels) -> Passed:
    read = [columns[int(c)] for c in layer.buffers(len(columns))["columns"]]
    order = [sum(other is column for other in read[: i + 1]) for i, column in enumerate(read)]
    return Passed([Column(f"{c.label}[{i}]", c.sources) for c, i in zip(read, order, strict=True)], {})


@followed.register
def _(layer: Embedding, prefix: str, columns: list[Column], levels: Levels) -> Passed:
    read = [columns[int(c)] for c in layer.columns or ()]
    rows = [
        Column(f"{column.label}[{level}]", column.sources)
        for column, count in zip(read, layer.levels or (), strict=True)
        for level in _levels(levels, column.label, count)
    ]
    table = {f"{prefix}E": Rows(rows, is_table=True)}
    if layer.pool:
        return Passed([Column(name, union(read)) for name in numbered(prefix + "E", layer.dim)], table)
    return Passed([Column(name, c.sources) for c in read for name in numbered(c.label, layer.dim)], table)


def _levels(levels: Levels, label: str, count: int) -> Sequence[Any]:
    """Levels of an embedded column; their numbers where the fit does not know them."""
    known = levels.get(label, ())
    return known if len(known) == count else range(count)


@followed.register
def _(layer: Sequential, prefix: str, columns: list[Column], levels: Levels) -> Passed:
    weights: dict[str, Rows] = {}
    for name, step in zip(layer.names or default_names(layer.layers), layer.layers, strict=True):
        columns, found = followed(step, f"{prefix}{name}.", columns, levels)
        weights |= found
    return Passed(columns, weights)


@followed.register
def _(layer: Tied, prefix: str, columns: list[Column], levels: Levels) -> Passed:
    weights = followed(Sequential(layer.layers), prefix, columns, levels).weights
    return Passed([Column(name) for name in numbered(prefix.rstrip("."), len(columns))], weights)


@followed.register
def _(layer: Residual, prefix: str, columns: list[Column], levels: Levels) -> Passed:
    inner, weights = followed(Sequential(layer.layers), prefix, columns, levels)
    both = zip(inner, columns, strict=True)
    return Passed([Column(own.label, own.sources | given.sources) for own, given in both], weights)


@followed.register
def _(layer: Parallel, prefix: str, columns: list[Column], levels: Levels) -> Passed:
    names = layer.names or default_names(layer.branches, "branch")
    parts = [followed(b, f"{prefix}{name}.", columns, levels) for name, b in zip(names, layer.branches, strict=True)]
    weights = {name: rows for part in parts for name, rows in part.weights.items()}
    if layer.combine == "concatenate":
        return Passed([column for part in parts for column in part.columns], weights)
    groups = zip(*(part.columns for part in parts), strict=True)
    return Passed([Column(group[0].label, union(group)) for group in groups], weights)


def theta_names(fit: Fit) -> list[str]:
    """Names of all parameters (P,): ``"hidden1.W[age, 1]"``, ``"hidden1.b[1]"``; units are counted from one."""
    rows, names = weight_rows(fit), []
    for spec in fit.likelihood.layout.specs:
        if spec.name in rows:
            labels = [column.label for column in rows[spec.name].columns]
            names += [f"{spec.name}[{label}, {j + 1}]" for label in labels for j in range(spec.shape[1])]
        else:
            names += _counted(spec.name, [size for size in spec.shape if size > 1] or [1] * bool(spec.shape))
    return names


def _counted(name: str, shape: Sequence[int]) -> list[str]:
    """``name[1, 1]``, ``name[1, 2]``, ...; the name alone for a number."""
    found = [""]
    for size in shape:
        found = [f"{start}{', ' if start else ''}{i + 1}" for start in found for i in range(size)]
    return [f"{name}[{index}]" if index else name for index in found]
