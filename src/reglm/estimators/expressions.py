"""What a factor of a formula may compute.

formulaic evaluates factors as Python. A formula may come from a file (a saved model), so each factor is read
first and refused unless it is arithmetic on columns and calls of the functions listed here.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

import numpy as np

TRANSFORMS = frozenset(
    {"C", "I", "bs", "cc", "center", "cr", "cs", "poly", "scale", "standardize"}
    | {"exp", "exp10", "exp2", "log", "log10", "log2", "exposure", "offset"}
)
"""Functions; those of NumPy (``np.sqrt``, ``np.where``) come on top."""

CODINGS = frozenset({"Diff", "Helmert", "Poly", "Sum", "Treatment"})
"""Contrasts under patsy's names; those of ``contr`` come on top."""

NAMESPACES = {
    "np": frozenset({name for name in dir(np) if isinstance(getattr(np, name), np.ufunc)})
    | {"clip", "where", "pi", "e"},
    "contr": frozenset({"SAS", "custom", "diff", "helmert", "poly", "sum", "treatment"}),
}

_OPERATORS = (
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.BitAnd, ast.BitOr,
    ast.UAdd, ast.USub, ast.Invert, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE,
)  # fmt: skip
_PARTS = (ast.Expression, ast.keyword, ast.Load, ast.Constant, *_OPERATORS)
_LITERALS = (ast.List, ast.Tuple, ast.Dict)


def variables(expression: str, columns: Collection[str]) -> list[str]:
    """Names of the columns that a factor uses, in order.

    Parameters
    ----------
    expression : str
        Python; names that Python would not allow stand in backticks.
    columns : collection of str
        Columns of the data.

    Raises
    ------
    ValueError
        If it is not made of arithmetic, comparisons and the functions listed, or a column is missing.
    """
    tree, aliases = parse(expression, columns)
    found = [aliases.get(name, name) for name in _names(tree.body, expression)]
    for name in found:
        if name not in columns:
            raise ValueError(
                f"the formula uses {name!r}, which is not a column of the data; they are {sorted(columns)}."
            )
    return list(dict.fromkeys(found))


def parse(expression: str, columns: Collection[str]) -> tuple[ast.Expression, dict[str, str]]:
    """Read a factor; names in backticks become identifiers, whose meaning the second result tells."""
    from formulaic.utils.code import sanitize_variable_names

    aliases: dict[str, str] = {}
    plain = sanitize_variable_names(expression, dict.fromkeys(columns), aliases)
    try:
        return ast.parse(plain, mode="eval"), aliases
    except SyntaxError as error:
        raise ValueError(f"formula: {expression!r} cannot be read: {error.msg}.") from error


def coded(expression: str, columns: Collection[str]) -> list[str]:
    """Names of the columns inside ``C(...)``: those whose values become levels."""
    tree, aliases = parse(expression, columns)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "C"]
    names = [node.id for call in calls for node in ast.walk(call) if isinstance(node, ast.Name)]
    return [aliases.get(name, name) for name in names if aliases.get(name, name) in columns]


def _names(node: ast.AST, expression: str) -> Iterator[str]:
    """Yield the names of data under a node, refusing what a factor must not hold."""
    if isinstance(node, ast.Name):
        if node.id not in CODINGS:
            yield node.id
        return
    if isinstance(node, ast.Attribute):
        _check_namespace(node, expression)
        return
    parts = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Call):
        _check_function(node, expression)
        parts = [part for part in parts if part is not node.func]
    elif isinstance(node, ast.BinOp):
        _check_arithmetic(node, expression)
    elif not isinstance(node, (*_PARTS, *_LITERALS, ast.UnaryOp, ast.Compare)):
        raise _refusal(expression, ast.unparse(node))
    for part in parts:
        yield from _names(part, expression)


def _check_namespace(node: ast.Attribute, expression: str) -> None:
    space = node.value.id if isinstance(node.value, ast.Name) else ""
    if node.attr not in NAMESPACES.get(space, ()):
        raise _refusal(expression, ast.unparse(node))


def _check_function(node: ast.Call, expression: str) -> None:
    if isinstance(node.func, ast.Attribute):
        _check_namespace(node.func, expression)
    elif not isinstance(node.func, ast.Name) or node.func.id not in TRANSFORMS | CODINGS:
        raise _refusal(expression, ast.unparse(node.func))
    if any(keyword.arg is None or keyword.arg == "out" for keyword in node.keywords):
        raise _refusal(expression, ast.unparse(node))


def _check_arithmetic(node: ast.BinOp, expression: str) -> None:
    """Refuse powers of plain numbers and repetitions of text, which can be made to fill any memory."""
    for side in (node.left, node.right):
        if isinstance(side, _LITERALS) or (isinstance(side, ast.Constant) and isinstance(side.value, str)):
            raise _refusal(expression, ast.unparse(node))
    has_data = any(isinstance(part, ast.Name) for part in ast.walk(node))
    if isinstance(node.op, ast.Pow) and not has_data:
        raise _refusal(expression, ast.unparse(node))


def _refusal(expression: str, part: str) -> ValueError:
    return ValueError(
        f"formula: {part!r} in {expression!r} is not allowed. Factors hold columns, arithmetic, comparisons "
        f"and the functions {', '.join(sorted(TRANSFORMS))}, np.* and contr.*; "
        "compute the rest as a column of the data."
    )
