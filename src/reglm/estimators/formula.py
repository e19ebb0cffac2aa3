"""Formulas, ``y ~ a + C(b) + offset(log(e))``, as another way from a data frame to the model matrix.

formulaic reads the formula and codes the terms; transforms that learn from the data (``scale``, ``poly``,
``bs``) keep what they learnt in `fit`. Besides:

* ``offset(...)`` terms add to the linear predictor, ``exposure(...)`` multiplies the mean; `predict`
  evaluates both on its own data.
* Categorical columns and ``C(...)`` have treatment contrasts against the first level in sorted or declared
  order, as in R and statsmodels. Missing values of a categorical column are a level of their own,
  ``missing``; missing numbers raise.
* The intercept is the bias of the output layer: ``0 + ...`` or ``- 1`` switches it off.
* Terms may call formulaic's transforms and NumPy's functions, nothing else (`reglm.estimators.expressions`),
  so that a formula means the same wherever a saved model is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reglm.estimators import columns as frames
from reglm.estimators.coding import (
    SPARSE_INDICATORS,
    Column,
    check_choice,
    column_from_dict,
    level_name,
    read,
    with_levels,
)
from reglm.estimators.columns import Level
from reglm.estimators.design import Transformed
from reglm.estimators.terms import (
    INTERCEPT,
    Term,
    Terms,
    indicators,
    materialize,
    read_formula,
    single_column,
    term_columns,
)
from reglm.parameters import Array


@dataclass(frozen=True)
class FormulaDesign:
    """A fitted formula; it stands where `reglm.estimators.design.Design` does.

    Parameters
    ----------
    formula : str
        As the user wrote it.
    inputs, offset, exposure : tuple of Term
    columns : tuple of Column
        Columns of the data that those use.
    names_out : list of str
        formulaic's names of the model matrix's columns, the intercept left out.
    state : dict
        What the terms learnt from the data, as JSON.
    is_sparse : bool
    handle_unknown : {"error", "reference"}
    """

    formula: str
    inputs: tuple[Term, ...]
    offset: tuple[Term, ...]
    exposure: tuple[Term, ...]
    columns: tuple[Column, ...]
    names_out: list[str]
    state: dict[str, Any]
    is_sparse: bool = False
    handle_unknown: str = "error"

    @classmethod
    def fit(
        cls,
        formula: str,
        data: Any,
        *,
        offset: str | None = None,
        exposure: str | None = None,
        handle_unknown: str = "error",
        sparse: str | bool = "auto",
    ) -> tuple[FormulaDesign, Array]:
        """Learn the coding.

        Parameters
        ----------
        formula : str
        data : data frame (n, columns)
        offset, exposure : str, optional
            Columns to use as if ``offset(column)`` or ``exposure(column)`` stood in the formula.
        handle_unknown : {"error", "reference"}
        sparse : {"auto", True, False}
            As for `reglm.estimators.design.Design.fit`.

        Returns
        -------
        design : FormulaDesign
        y : ndarray (n,) or (n, k)
            The response: a column as it is, or numbers, one column for each term left of ``~``.

        Raises
        ------
        ValueError
            If the formula cannot be read or evaluated.
        """
        check_choice("handle_unknown", handle_unknown, ("error", "reference"))
        check_choice("sparse", sparse, ("auto", True, False))
        names = _check_frame(data)
        found = _with_named(read_formula(formula, names), offset, exposure)
        used = [name for part in found[1:] for term in part for name in term_columns(term, names)]
        columns = tuple(_fit_column(name, data) for name in dict.fromkeys(used))
        raw = _raw_frame(columns, data, handle_unknown)
        wide = indicators(found.inputs, raw) >= SPARSE_INDICATORS if sparse == "auto" else bool(sparse)
        matrix, terms, state = materialize(found.inputs, raw, {}, is_sparse=wide, handle_unknown=handle_unknown)
        if sparse == "auto" and wide:
            wide = 4 * matrix.nnz <= matrix.shape[0] * matrix.shape[1]
        for term in (*found.offset, *found.exposure):
            state = _joined(state, _numbers(term, raw, {}, handle_unknown)[1])
        terms = terms[INTERCEPT in found.inputs :]
        design = cls(formula, *found[1:], columns, terms, state, wide, handle_unknown)
        return design, _response(found.response, data)

    @property
    def has_intercept(self) -> bool:
        """Whether the output layer is to have a bias."""
        return INTERCEPT in self.inputs

    @property
    def response(self) -> str:
        """What stands left of ``~``."""
        return self.formula.split("~")[0].strip()

    @property
    def categorical_columns(self) -> tuple[int, ...]:
        """Columns of level numbers: none, formulas give 0/1 columns and contrasts."""
        return ()

    @property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """Columns of the model matrix in which each column of the data takes part."""
        bare = [re.sub(r"\[[^\]]*\]", "", name) for name in self.names_out]
        found = {}
        for column in self.columns:
            word = re.compile(rf"(?<![\w.]){re.escape(column.name)}(?![\w.])")
            found[column.name] = tuple(j for j, name in enumerate(bare) if word.search(name))
        return {name: columns for name, columns in found.items() if columns}

    @property
    def levels(self) -> dict[str, list[Level]]:
        """Levels of the categorical columns, the reference first."""
        return {column.name: list(column.levels) for column in self.columns if column.levels is not None}

    @property
    def n_features_in(self) -> int:
        """Columns of the data that the formula uses."""
        return len(self.columns)

    @property
    def feature_names_in(self) -> list[str]:
        """Names of these columns; the data may hold more, in any order."""
        return [column.name for column in self.columns]

    def transform(self, X: Any, estimator: Any = None) -> Transformed:
        """Evaluate the right-hand side.

        Parameters
        ----------
        X : data frame (n, columns)
            With at least `feature_names_in`.
        estimator : ignored
            For the signature of `reglm.estimators.design.Design.transform`.

        Raises
        ------
        ValueError
            If a column is missing, a level unseen or a number missing.
        """
        raw = _raw_frame(self.columns, X, self.handle_unknown)
        matrix, names, _ = materialize(
            self.inputs, raw, self.state, is_sparse=self.is_sparse, handle_unknown=self.handle_unknown
        )
        if self.has_intercept:  # it comes first
            matrix, names = matrix[:, 1:], names[1:]
        if names != self.names_out:
            raise ValueError(f"formula: the terms are {names}, in fit they were {self.names_out}; check X's dtypes.")
        matrix = matrix if self.is_sparse else np.ascontiguousarray(matrix)
        return Transformed(matrix, self._total("offset", raw), self._total("exposure", raw))

    def _total(self, role: str, raw: Any) -> Array | None:
        """Sum of offsets or product of exposures (n,)."""
        terms = self.offset if role == "offset" else self.exposure
        if not terms:
            return None
        values = [_numbers(term, raw, self.state, self.handle_unknown)[0] for term in terms]
        return (np.sum if role == "offset" else np.prod)(values, axis=0)

    def to_dict(self) -> dict[str, Any]:
        """JSON form; `from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> FormulaDesign:
        """Rebuild a design from `to_dict`'s result, or from what JSON made of it.

        Raises
        ------
        ValueError
            If a term computes anything that `reglm.estimators.expressions` refuses.
        """
        columns = tuple(column_from_dict(column) for column in saved["columns"])
        names = [column.name for column in columns]
        parts = {}
        for part in ("inputs", "offset", "exposure"):
            parts[part] = tuple(tuple((e, m) for e, m in term) for term in saved[part])
            for term in parts[part]:
                term_columns(term, names)
        return cls(**{**saved, **parts, "columns": columns})


def _check_frame(data: Any) -> list[str]:
    if not frames.is_frame(data):
        raise ValueError(f"a formula needs a pandas or polars data frame, got {type(data).__name__}.")
    if data.shape[0] == 0:
        raise ValueError("the data have no rows.")
    return [str(label) for label in frames.labels(data)]


def _with_named(terms: Terms, offset: str | None, exposure: str | None) -> Terms:
    """Add the columns named beside the formula."""
    extra = {
        role: ((f"{role}(`{column}`)", "python"),)
        for role, column in (("offset", offset), ("exposure", exposure))
        if column is not None
    }
    return terms._replace(**{role: (*getattr(terms, role), term) for role, term in extra.items()})


def _fit_column(name: str, data: Any) -> Column:
    series = frames.series(data, _check_frame(data).index(name))
    column = Column(name)
    if not frames.is_categorical(series, name):
        return column
    return with_levels(column, frames.factor(series, name), frequent_first=False)


def _raw_frame(columns: Sequence[Column], data: Any, handle_unknown: str) -> Any:
    """Return the columns as a pandas frame: numbers, and categoricals with the levels of `fit`."""
    import pandas as pd

    names = _check_frame(data)
    missing = [column.name for column in columns if column.name not in names]
    if missing:
        raise ValueError(f"X lacks the column(s) {missing}, which the formula uses; it has {names}.")
    found: dict[str, Any] = {}
    for column in columns:
        series = frames.series(data, names.index(column.name))
        values = read(column, series, handle_unknown)
        if column.levels is None:
            found[column.name] = frames.as_stored(series, values)
        else:
            known = [level_name(level, column.levels) if level is None else level for level in column.levels]
            found[column.name] = pd.Categorical.from_codes(np.maximum(values, 0), known)
    return pd.DataFrame(found, index=range(data.shape[0]))


def _numbers(term: Term, raw: Any, state: Mapping[str, Any], handle_unknown: str) -> tuple[Array, dict[str, Any]]:
    """Values (n,) of a term that must be one number a row, and what it learnt."""
    matrix, _, learnt = materialize([term], raw, state, is_sparse=False, handle_unknown=handle_unknown)
    return single_column(term, matrix), learnt


def _joined(state: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    transforms = {"items": state["transforms"]["items"] + new["transforms"]["items"]}
    return {"transforms": transforms, "levels": state["levels"] | new["levels"]}


def _response(terms: Sequence[Term], data: Any) -> Array:
    """Return a bare column as it is, so that class labels stay labels; otherwise numbers."""
    names = _check_frame(data)
    if len(terms) == 1 and len(terms[0]) == 1 and terms[0][0][1] == "lookup":
        name = terms[0][0][0]
        series = frames.series(data, names.index(name))
        if frames.is_categorical(series, name):
            return np.asarray(series.to_numpy())
        return frames.as_stored(series, frames.numbers(series, name))
    used = dict.fromkeys(name for term in terms for name in term_columns(term, names))
    raw = _raw_frame([_fit_column(name, data) for name in used], data, "error")
    values = [_numbers(term, raw, {}, "error")[0] for term in terms]
    return values[0] if len(values) == 1 else np.column_stack(values)
