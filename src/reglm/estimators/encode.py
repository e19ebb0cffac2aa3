"""Which coding an estimator fits: that of the columns, or a formula's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from reglm.estimators.design import Design
from reglm.estimators.formula import FormulaDesign


def fit_design(
    X: Any,
    y: Any,
    *,
    formula: str | None = None,
    categorical: str = "onehot",
    layer_columns: Sequence[int | str] = (),
    offset: int | str | None = None,
    exposure: int | str | None = None,
    handle_unknown: str = "error",
    estimator: BaseEstimator,
) -> tuple[Design | FormulaDesign, Any]:
    """Learn the coding of X, by columns or by a formula.

    Parameters
    ----------
    X : array, sparse matrix or data frame (n, columns)
    y : array-like (n,) or (n, k), or None
        Returned as it is without a formula; with one, the formula's response takes its place (scikit-learn's
        tools pass y along).
    formula : str, optional
    categorical, layer_columns, offset, exposure, handle_unknown
        See `reglm.estimators.design.Design.fit`.
    estimator : estimator
        Where `n_features_in_` and `feature_names_in_` are set.

    Returns
    -------
    design : Design or FormulaDesign
    y : array-like

    Raises
    ------
    ValueError
        If an argument or a column cannot be used.
    """
    if formula is None:
        design = Design.fit(
            X,
            categorical=categorical,
            layer_columns=layer_columns,
            offset=offset,
            exposure=exposure,
            handle_unknown=handle_unknown,
            estimator=estimator,
        )
        return design, y
    if categorical != "onehot":
        raise ValueError(f"categorical={categorical!r} needs formula=None: formulas code by contrasts.")
    terms, response = FormulaDesign.fit(
        formula, X, offset=_label(offset), exposure=_label(exposure), handle_unknown=handle_unknown,
        sparse=False if layer_columns else "auto",
    )  # fmt: skip
    estimator.n_features_in_ = terms.n_features_in
    estimator.feature_names_in_ = np.asarray(terms.feature_names_in, dtype=object)
    return terms, response


def _label(column: int | str | None) -> str | None:
    return None if column is None else str(column)


def design_from_dict(saved: Mapping[str, Any]) -> Design | FormulaDesign:
    """Rebuild what `fit_design` returned from its `to_dict`."""
    return FormulaDesign.from_dict(saved) if "formula" in saved else Design.from_dict(saved)
