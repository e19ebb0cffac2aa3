"""Terms of a formula and the columns they give: the only file that knows formulaic.

A term is the product of factors; what factors learn from the data (levels, means, knots) is kept as JSON.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from reglm.estimators.expressions import coded, parse, variables
from reglm.parameters import Array

Term = tuple[tuple[str, str], ...]
"""Factors of a term: expression, and how it gets values ("lookup" of a column, "python", "literal")."""

INTERCEPT: Term = (("1", "literal"),)


class Terms(NamedTuple):
    """A formula taken apart: response, inputs, and what stood in ``offset(...)`` and ``exposure(...)``."""

    response: tuple[Term, ...]
    inputs: tuple[Term, ...]
    offset: tuple[Term, ...]
    exposure: tuple[Term, ...]


def read_formula(formula: str, columns: Sequence[str]) -> Terms:
    """Take a formula apart.

    Parameters
    ----------
    formula : str
    columns : sequence of str
        Columns of the data, which ``.`` stands for.

    Raises
    ------
    ValueError
        If it has no response, cannot be read, or computes what `reglm.estimators.expressions` refuses.
    """
    from formulaic import Formula, SimpleFormula
    from formulaic.errors import FormulaicError

    try:
        read = Formula.from_spec(formula, context={"__formulaic_variables_available__": list(columns)})
    except (FormulaicError, SyntaxError) as error:
        raise ValueError(f"formula={formula!r} cannot be read: {error}") from error
    sides = [getattr(read, side, None) for side in ("lhs", "rhs")]
    if not all(isinstance(side, SimpleFormula) for side in sides):
        raise ValueError(f"formula={formula!r} must have the form 'response ~ terms'.")
    response, right = _as_tuples(read.lhs), _as_tuples(read.rhs)
    roles = [role(term, columns) for term in right]
    parts = [
        tuple(term for term, r in zip(right, roles, strict=True) if r == name)
        for name in ("input", "offset", "exposure")
    ]
    for term in response:
        if role(term, columns) != "input":
            raise ValueError(f"formula={formula!r}: offset and exposure belong on the right of '~'.")
    return Terms(response, *parts)


def _as_tuples(terms: Any) -> tuple[Term, ...]:
    return tuple(tuple((f.expr, f.eval_method.value) for f in term.factors) for term in terms)


def role(term: Term, columns: Sequence[str]) -> str:
    """Say whether a term is an "input", "offset" or "exposure", having checked what it computes."""
    used = term_columns(term, columns)
    calls = [
        node
        for expression, method in term
        if method == "python"
        for node in ast.walk(parse(expression, columns)[0])
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("offset", "exposure")
    ]
    if not calls:
        return "input"
    name = ast.unparse(calls[0].func)
    alone = len(term) == 1 and parse(term[0][0], columns)[0].body
    if len(calls) > 1 or ast.dump(calls[0]) != ast.dump(alone or ast.Pass()) or len(calls[0].args) != 1 or not used:
        raise ValueError(f"formula: {name}(...) takes one expression of columns and must be a term of its own.")
    return name


def term_columns(term: Term, columns: Sequence[str]) -> list[str]:
    """Columns of the data a term uses.

    Raises
    ------
    ValueError
        If a factor is not allowed or a column is missing.
    """
    found: list[str] = []
    for expression, method in term:
        if method == "python":
            found += variables(expression, columns)
        elif method == "lookup":
            found += variables(f"`{expression}`", columns)
        elif method != "literal" or not expression.replace(".", "", 1).isdigit():
            raise ValueError(f"formula: the factor {expression!r} cannot be read.")
    return found


def indicators(terms: Sequence[Term], raw: Any) -> int:
    """Count the columns that come from levels, before any is made.

    Parameters
    ----------
    terms : sequence of Term
    raw : pandas DataFrame
        Categorical columns as such.
    """
    return sum(width for width in (_width(term, raw) for term in terms) if width > 1)


def _width(term: Term, raw: Any) -> int:
    width = 1
    for expression, method in term:
        names = coded(expression, list(raw)) if method == "python" else []
        if method == "lookup" and raw[expression].dtype == "category":
            names = [expression]
        width *= max((raw[name].nunique() for name in names), default=1)
    return width


def materialize(
    terms: Sequence[Term], raw: Any, state: Mapping[str, Any], *, is_sparse: bool, handle_unknown: str
) -> tuple[Any, list[str], dict[str, Any]]:
    """Compute the columns of terms.

    Parameters
    ----------
    terms : sequence of Term
    raw : pandas DataFrame (n, columns)
    state : dict
        What factors have learnt; those that are not in it learn now.
    is_sparse : bool
    handle_unknown : {"error", "reference"}

    Returns
    -------
    matrix : ndarray (n, p) or csr_matrix
    names : list of str
    state : dict
        With what the factors of these terms know.

    Raises
    ------
    ValueError
        If a factor cannot be evaluated, or gives NaN or infinity.
    """
    from formulaic import ModelSpec, SimpleFormula
    from formulaic.errors import DataMismatchWarning, FormulaicError
    from formulaic.parser import types

    spec = ModelSpec(
        formula=SimpleFormula(
            [types.Term([types.Factor(_unmarked(e), eval_method=m) for e, m in term]) for term in terms]
        ),
        materializer="pandas",
        output="sparse" if is_sparse else "numpy",
        na_action="ignore",
        transform_state=_decode(state.get("transforms", {"items": []})),
        encoder_state={
            expression: (types.Factor.Kind.CATEGORICAL, {"categories": list(levels)})
            for expression, levels in state.get("levels", {}).items()
        },
    )
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error" if handle_unknown == "error" else "default", DataMismatchWarning)
        try:
            found = spec.get_model_matrix(raw)
        except FormulaicError as error:
            raise ValueError(f"formula: {error}") from error
        except DataMismatchWarning as error:
            raise ValueError(f"formula: {error} Recode the column, or set handle_unknown='reference'.") from error
    names = [str(name) for name in found.model_spec.column_names]
    matrix = sparse.csr_matrix(found.__wrapped__) if is_sparse else np.asarray(found, dtype=float)
    _check_finite(matrix, names)
    return matrix, names, _learnt(found.model_spec)


def _unmarked(expression: str) -> str:
    """Return x for ``offset(x)`` and ``exposure(x)``: a column of the data may have the name of the mark."""
    marked = re.fullmatch(r"\s*(?:offset|exposure)\s*\((.*)\)\s*", expression, re.DOTALL)
    return marked[1] if marked else expression


def _check_finite(matrix: Any, names: Sequence[str]) -> None:
    if np.isfinite(matrix.data if sparse.issparse(matrix) else matrix).all():
        return
    dense = matrix.toarray() if sparse.issparse(matrix) else matrix
    row, column = np.argwhere(~np.isfinite(dense))[0]
    what = "NaN" if np.isnan(dense[row, column]) else "infinity"
    raise ValueError(f"the term {names[column]!r} of the formula is {what} in row {row}.")


def _learnt(spec: Any) -> dict[str, Any]:
    levels = {
        expression: [_encode(level) for level in known["categories"]]
        for expression, (_, known) in spec.encoder_state.items()
        if "categories" in known
    }
    return {"transforms": _encode(spec.transform_state), "levels": levels}


def _encode(value: Any) -> Any:
    """State as JSON; dictionaries as lists of pairs, because their keys need not be strings."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, np.ndarray):
        return {"array": value.tolist()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    if isinstance(value, dict):
        return {"items": [[_encode(key), _encode(item)] for key, item in value.items()]}
    raise ValueError(f"formula: a transform keeps a {type(value).__name__}, which a saved model cannot hold.")


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return np.asarray(value["array"])
    return {_decode(key): _decode(item) for key, item in value["items"]}


def single_column(term: Term, matrix: Array) -> Array:
    """Return the one column (n,) of a response or an offset.

    Raises
    ------
    ValueError
        If the term gives several.
    """
    if matrix.shape[1] != 1:
        text = ":".join(expression for expression, _ in term)
        raise ValueError(f"formula: {text!r} gives {matrix.shape[1]} columns where one number a row is needed.")
    return np.ascontiguousarray(matrix[:, 0])
