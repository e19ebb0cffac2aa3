"""How much worse the model fits without an input: by permutation, or by refitting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from reglm.inference.coded import coded_reader
from reglm.inference.estimates import Estimates
from reglm.inference.sample import Sample
from reglm.likelihood import Data
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("permutation", "refit")


def permutation_importance(
    results: Estimates,
    rows: Sample,
    y: Array,
    columns: Sequence[str] | None = None,
    *,
    repeats: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """Increase of the mean deviance when the values of an input change places (Breiman 2001; Fisher et al. 2019).

    Parameters
    ----------
    results : Estimates
    rows : Sample
    y : ndarray (n, Ky)
        Coded as the family says.
    columns : sequence of str, optional
    repeats : int
        Permutations; the same for every input.
    seed : int

    Returns
    -------
    DataFrame (inputs, 3)
        ``importance``, its standard deviation ``sd`` over the permutations, and ``relative``, its ratio to the
        deviance of the model; the most important input first.

    Raises
    ------
    ValueError
        If `repeats` is not positive or an input is not known.
    """
    if repeats < 1:
        raise ValueError(f"repeats={repeats} must be 1 or more.")
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(y)) for _ in range(repeats)]
    base = deviance(results, rows, y)
    found = {}
    for name in rows.reader.columns if columns is None else columns:
        values = rows.raw(name)
        found[name] = np.array([deviance(results, rows.at(name, values[order]), y) for order in orders]) - base
    return _table(found, base)


def refit_importance(
    results: Estimates, rows: Sample, y: Array, columns: Sequence[str] | None = None, *, n_init: int = 1, seed: int = 0
) -> pd.DataFrame:
    """Increase of the mean deviance when the model is fitted again without an input.

    The columns of the input are zero in both the fit and the rows, so that its weights have no effect.

    Parameters
    ----------
    results, rows, y, columns
        See `permutation_importance`.
    n_init, seed : int
        Starts of each fit, the first at the present estimates.

    Raises
    ------
    ValueError
        If the model was loaded from a file or an input is not known.
    """
    fit = results.fit
    if fit.refit is None or fit.data is None:
        raise ValueError("method='refit': a model loaded from a file cannot be fitted again; use 'permutation'.")
    reader = results.reader or coded_reader(fit, None)
    matrix, offset = rows.coded()
    base = deviance(results, rows, y)
    found = {}
    for name in reader.columns if columns is None else columns:
        if name not in reader.columns:
            raise ValueError(f"input {name!r} is not known; the inputs are {list(reader.columns)[:30]}.")
        without = list(reader.columns[name])
        again = fit.refit(fit.data._replace(X=_zeroed(fit.data.X, without)), start=fit.theta, n_init=n_init, seed=seed)
        data = _data(again.likelihood.dtype, _zeroed(matrix, without), y, offset, rows.weights)
        found[name] = np.array([again.likelihood.mean_deviance(again.theta, data) - base])
    return _table(found, base)


def deviance(results: Estimates, rows: Sample, y: Array) -> float:
    """Weighted mean deviance of rows with responses (n, Ky)."""
    likelihood = results.fit.likelihood
    X, offset = rows.coded()
    return likelihood.mean_deviance(results.fit.theta, _data(likelihood.dtype, X, y, offset, rows.weights))


def _data(dtype: str, X: Any, y: Array, offset: Array, weights: Array) -> Data:
    return Data(*(part.astype(dtype) for part in (X, y, offset, weights[:, None])))


def _zeroed(X: Any, columns: list[int]) -> Any:
    """X with some columns zero."""
    keep = np.ones(X.shape[1], dtype=X.dtype)
    keep[columns] = 0.0
    return sparse.csr_matrix(X @ sparse.diags(keep)) if sparse.issparse(X) else X * keep


def _table(found: dict[str, Array], base: float) -> pd.DataFrame:
    import pandas as pd

    mean = np.array([increase.mean() for increase in found.values()])
    sd = [increase.std(ddof=1) if len(increase) > 1 else np.nan for increase in found.values()]
    table = pd.DataFrame({"importance": mean, "sd": sd, "relative": mean / base}, index=list(found))
    return table.sort_values("importance", ascending=False)


def responses(results: Estimates, rows: Sample, y: Any) -> Array:
    """Responses (n, Ky) of rows, those of the fit if none are given.

    Raises
    ------
    ValueError
        If the rows are not those of the fit and come without responses.
    """
    fit = results.fit
    if y is not None:
        return (results.reader or rows.reader).response(y)
    if fit.data is None or rows.X is not fit.data.X:
        raise ValueError("y=None: pass the responses of the rows of X, or neither for the training rows.")
    return fit.data.y
