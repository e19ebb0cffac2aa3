"""Save fitted models and load them: JSON and arrays, versioned, no pickle.

A loaded model predicts at once by NumPy; nothing is compiled. A recursive GLM does not hold its training data, so it
has no standard errors; a kernel regression holds its support and what its variances need, a linear-Gaussian model the
series that its forecasts continue. A damaged or hostile file raises and executes nothing: see
`reglm.persistence.archive`; how a class joins: `reglm.persistence.tables`.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

import reglm
from reglm.persistence import archive
from reglm.persistence.codec import Decoder, Encoder
from reglm.persistence.models import described, is_estimator, rebuilt
from reglm.persistence.tables import ESTIMATORS

__all__ = ["load", "save"]


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted model to a file.

    Parameters
    ----------
    estimator : estimator
        Of a class in `reglm.persistence.tables.ESTIMATORS`.
    path : path
        Replaced if it exists. By custom the name ends in ``.reglm``.

    Raises
    ------
    ValueError
        If the estimator is of another class, not fitted, or holds what no file can: a kernel that is a function.

    Warns
    -----
    UserWarning
        If constructor arguments cannot be stored (functions, random generators); the loaded model has their
        defaults.
    """
    name = type(estimator).__name__
    if not is_estimator(estimator):
        raise ValueError(f"cannot save a {name}; models of these classes can be saved: {ESTIMATORS}.")
    if hasattr(estimator, "fit"):
        try:
            check_is_fitted(estimator)
        except NotFittedError:
            raise ValueError(f"cannot save this {name}: it is not fitted; call fit first.") from None
    encode = Encoder()
    model = described(estimator, encode)
    if encode.dropped:
        listed = ", ".join(dict.fromkeys(encode.dropped))
        warnings.warn(f"not stored, the loaded model has the defaults: {listed}.", UserWarning, stacklevel=2)
    archive.write(path, model, encode.arrays, reglm.__version__)


def load(path: str | os.PathLike[str]) -> Any:
    """Read a model that `save` wrote.

    Parameters
    ----------
    path : path

    Returns
    -------
    estimator
        Ready to predict.

    Raises
    ------
    ValueError
        If the file is not a saved model or is damaged; the message says what is wrong. Nothing in it is
        executed.
    OSError
        If it cannot be opened.
    """
    try:
        model, arrays = archive.read(path)
        return rebuilt(model, Decoder(arrays))
    except OSError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        said = str(error) or type(error).__name__
        raise ValueError(f"{os.fspath(path)!r} is not a readable reglm model: {said}.") from error
