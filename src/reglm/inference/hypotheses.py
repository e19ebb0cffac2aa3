"""Linear hypotheses about parameters, ``R b = r``, read from text or built for an input of a network."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from reglm.inference.flow import Rows, theta_names, union, weight_rows
from reglm.parameters import Array
from reglm.record import Fit


class Hypothesis(NamedTuple):
    """``R b = r``: R (q, M), r (q,) and a label for each row."""

    R: Array
    r: Array
    labels: list[str]


# -- text -------------------------------------------------------------------------------------------------


def read(text: str, names: Sequence[str]) -> Hypothesis:
    """Linear hypotheses from text such as ``"x1 = x2, 2 * x3 + 1 = 0"``.

    Commas part hypotheses; without ``=`` an expression is set to zero, and ``a = b = c`` is two hypotheses.

    Parameters
    ----------
    text : str
    names : sequence of str
        Of the parameters (M,). They may hold any characters; between backticks they are taken as they stand.

    Raises
    ------
    ValueError
        If a name is not known, or an expression is not linear in the parameters or holds none.
    """
    positions = {name: i for i, name in reversed(list(enumerate(names)))}
    rows: list[Array] = []
    labels: list[str] = []
    for clause in _marked(text, positions).split(","):
        sides = [_linear(side, clause, text, names) for side in clause.split("=")]
        label = re.sub(r"_p(\d+)_", lambda m: names[int(m[1])], clause).strip()
        pairs = list(pairwise(sides)) or [(sides[0], np.zeros(len(names) + 1))]
        rows += [left - right for left, right in pairs]
        labels += [label if "=" in label else f"{label} = 0"] * len(pairs)
    found = np.array(rows)
    for row, label in zip(found, labels, strict=True):
        if not row[:-1].any():
            raise ValueError(f"hypothesis {label!r} holds no parameter; write for example '{names[-1]} = 0'.")
    return Hypothesis(found[:, :-1], -found[:, -1], labels)


def _marked(text: str, positions: Mapping[str, int]) -> str:
    """Text with the names of parameters replaced by identifiers, the longest first."""
    words = sorted((name for name in positions if not _is_number(name)), key=len, reverse=True)
    quoted = [f"`{re.escape(name)}`" for name in sorted(positions, key=len, reverse=True)]
    bare = [rf"(?<![\w.]){re.escape(name)}(?![\w\[.])" for name in words]
    return re.sub("|".join(quoted + bare), lambda m: f"_p{positions[m[0].strip('`')]}_", text)


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _linear(side: str, clause: str, text: str, names: Sequence[str]) -> Array:
    """Coefficients of the parameters and the constant (M + 1,) of one side of an equation."""
    try:
        tree = ast.parse(side.strip(), mode="eval").body
        return _value(tree, len(names))
    except (SyntaxError, TypeError, ZeroDivisionError) as problem:
        shown = re.sub(r"_p(\d+)_", lambda m: names[int(m[1])], clause).strip()
        known = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise ValueError(
            f"hypothesis {shown!r} of {text!r} cannot be read as linear in the parameters, which are {known}; "
            "put names with other characters than letters and digits between backticks."
        ) from problem


def _value(node: ast.expr, size: int) -> Array:
    """Evaluate sums, differences, and products and quotients with numbers."""
    unit = np.zeros(size + 1)
    match node:
        case ast.Constant(value=int() | float() as number):
            unit[-1] = number
            return unit
        case ast.Name(id=name) if re.fullmatch(r"_p\d+_", name):
            unit[int(name[2:-1])] = 1.0
            return unit
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=inner):
            return _value(inner, size) * (-1.0 if isinstance(sign, ast.USub) else 1.0)
        case ast.BinOp(left=left, op=operation, right=right):
            return _combined(_value(left, size), operation, _value(right, size))
    raise TypeError(f"{ast.unparse(node)} is no parameter or number")


def _combined(a: Array, operation: ast.operator, b: Array) -> Array:
    match operation:
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.Mult() if not a[:-1].any():
            return a[-1] * b
        case ast.Mult() if not b[:-1].any():
            return a * b[-1]
        case ast.Div() if not b[:-1].any() and b[-1]:
            return a / b[-1]
    raise TypeError("not linear")


# -- inputs -----------------------------------------------------------------------------------------------


def without_input(fit: Fit, columns: Sequence[int], name: str) -> Hypothesis:
    """Hypothesis about theta that an input has no effect: every weight that takes it up is zero.

    Effects of levels that enter eta as they are have to equal that of the first level.

    Parameters
    ----------
    fit : Fit
    columns : sequence of int
        Columns of the model matrix that the input fills.
    name : str

    Raises
    ------
    ValueError
        If the input reaches the response mixed with others, other than by weights (radial units).
    """
    own, layout = frozenset(columns), fit.likelihood.layout
    positions = layout.views(np.arange(layout.size))
    rows: list[Array] = []
    weights = weight_rows(fit)
    for weight, found in weights.items():
        touched = [i for i, column in enumerate(found.columns) if column.sources & own]
        if union(found.columns[i] for i in touched) - own:
            raise ValueError(
                f"input {name!r} reaches {weight} mixed with other inputs, so that no set of weights holds its "
                "effect; compare with a fit without it."
            )
        if touched and not (found.is_table and is_weighted(weight, weights, own)):
            rows += _rows_of(positions[weight], touched, found, layout.size)
    if not rows:
        raise ValueError(f"input {name!r} enters no weight of this network.")
    R, names = np.array(rows), theta_names(fit)
    held = [[names[i] for i in np.flatnonzero(row)] for row in R]
    labels = [" = ".join(pair if len(pair) == 2 else [*pair, "0"]) for pair in held]
    return Hypothesis(R, np.zeros(len(R)), labels)


def is_weighted(table: str, weights: Mapping[str, Rows], own: frozenset[int]) -> bool:
    """Whether the entries of a table are weighted by a layer further on, in the same part of the network."""
    skip = table.startswith("skip.")
    others = [rows for name, rows in weights.items() if name.startswith("skip.") == skip and not rows.is_table]
    return any(column.sources & own for rows in others for column in rows.columns)


def _rows_of(weight: Array, touched: Sequence[int], rows: Rows, size: int) -> list[Array]:
    """Rows of R (.., P): entries of a weight are zero, or those of a table equal their first."""
    chosen = weight[list(touched)]
    identity = np.eye(size)
    if not rows.is_table:
        return list(identity[chosen.ravel()])
    return list((identity[chosen[1:]] - identity[chosen[:1]]).reshape(-1, size))
