"""From `fit`'s and `predict`'s arguments to the arrays of a `Data` record."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_array, check_consistent_length

from reglm.links import Link
from reglm.parameters import Array


def contiguous(X: Any, dtype: str) -> Any:
    """C-contiguous writable array, or CSR with int32 indices, of the model's dtype."""
    if sparse.issparse(X):
        X = sparse.csr_matrix(X, dtype=dtype)
        X.indices, X.indptr = X.indices.astype("int32"), X.indptr.astype("int32")
        return X
    return np.require(X, dtype=dtype, requirements=["C", "W"])


def check_weights(sample_weight: Any, n: int, dtype: str) -> Array:
    """Weights as a column (n, 1), ones by default.

    Raises
    ------
    ValueError
        If they are negative, not finite, of the wrong length or all zero.
    """
    if sample_weight is None:
        return np.ones((n, 1), dtype=dtype)
    w = check_array(sample_weight, ensure_2d=False, dtype="float64", input_name="sample_weight")
    if w.ndim == 0:
        w = np.full(n, float(w))
    if w.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got sample_weight of shape {w.shape}.")
    if len(w) != n:
        raise ValueError(f"sample_weight.shape == {w.shape}, expected {(n,)}!")
    if np.any(w < 0):
        raise ValueError(f"sample_weight must not be negative, got {w.min():g} in row {int(w.argmin())}.")
    if not np.any(w > 0):
        raise ValueError("sample_weight is zero in every row; at least one row needs a positive weight.")
    return w.astype(dtype)[:, None]


def _column(values: Any, name: str, n: int, K: int) -> Array:
    found = check_array(values, ensure_2d=False, dtype="float64", input_name=name)
    if found.shape[:1] != (n,):
        raise ValueError(f"{name} has {found.shape[0] if found.ndim else 1} values for {n} rows; give one a row.")
    found = found.reshape(n, -1)
    if found.shape[1] not in (1, K):
        raise ValueError(f"{name} has {found.shape[1]} columns for {K} linear predictor(s); give one, or one each.")
    return found


def total_offset(
    offset: Any, exposure: Any, named_offset: Array | None, named_exposure: Array | None, link: Link, n: int, K: int,
) -> Array | None:  # fmt: skip
    """Offset plus log exposure as (n, K); None if neither is given.

    Parameters
    ----------
    offset, exposure : array-like (n,) or None
        Arguments of `fit` or `predict`; they take precedence over columns of X.
    named_offset, named_exposure : ndarray (n,) or None
        From columns named in the constructor.
    link : Link
    n, K : int

    Raises
    ------
    ValueError
        If exposure is given without a log link or is not positive, or lengths differ.
    """
    offset = named_offset if offset is None else offset
    exposure = named_exposure if exposure is None else exposure
    if offset is None and exposure is None:
        return None
    total = np.zeros((n, K))
    if offset is not None:
        total = total + _column(offset, "offset", n, K)
    if exposure is not None:
        if link.name != "log":
            raise ValueError(
                f"exposure multiplies the mean, so it needs link='log', got link={link.name!r}; use offset."
            )
        e = _column(exposure, "exposure", n, K)
        if np.any(e <= 0):
            raise ValueError(f"exposure must be positive, got {e.min():g} in row {int(e.argmin())}.")
        total = total + np.log(e)
    return total


def response_names(y: Any, formula_response: str | None) -> list[str]:
    """Names of the columns of y: those of a formula, a series or a data frame, else "y"."""
    if formula_response is not None:
        return [formula_response]
    columns = getattr(y, "columns", None)
    names = [getattr(y, "name", None)] if columns is None else list(columns)
    return [name if isinstance(name, str) and name else "y" for name in names]


def response_matrix(y: Any, n: int | None = None) -> Array:
    """Response as a float matrix (n, Ky).

    Raises
    ------
    ValueError
        If y is missing, not finite or of another length than X.
    """
    if y is None:
        raise ValueError("This estimator requires y to be passed, but the target y is None.")
    found = check_array(y, ensure_2d=False, dtype="float64", input_name="y", ensure_all_finite=True)
    if found.ndim == 0:
        raise ValueError("y must have one value a row, got a single number.")
    if n is not None and len(found) != n:
        check_consistent_length(np.empty(n), found)
    return found.reshape(len(found), -1)
