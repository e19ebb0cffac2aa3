"""Save fitted models and load them: JSON and arrays, versioned, no pickle.

A loaded model predicts at once by NumPy; nothing is compiled. It does not hold its training data, so it has
no standard errors. A damaged or hostile file raises and executes nothing: see `reglm.persistence.archive`.
"""

from __future__ import annotations

import inspect
import os
import warnings
from typing import Any

import reglm
from reglm.persistence import archive
from reglm.persistence.codec import Decoder, Encoder, Unstorable

ESTIMATORS = ("RecursiveGLMRegressor", "RecursiveGLMClassifier")
"""Classes that files may name."""

__all__ = ["load", "save"]


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted model to a file.

    Parameters
    ----------
    estimator : RecursiveGLMRegressor or RecursiveGLMClassifier
    path : path
        Replaced if it exists. By custom the name ends in ``.reglm``.

    Raises
    ------
    ValueError
        If the estimator is of another class or not fitted.

    Warns
    -----
    UserWarning
        If constructor arguments cannot be stored (functions, random generators); the loaded model has their
        defaults.
    """
    name = type(estimator).__name__
    if name not in ESTIMATORS or type(estimator) is not getattr(reglm, name):
        raise ValueError(f"cannot save a {name}; models of these classes can be saved: {ESTIMATORS}.")
    if not hasattr(estimator, "fit_"):
        raise ValueError(f"cannot save this {name}: it is not fitted; call fit first.")
    encode = Encoder()
    defaults = {p.name: p.default for p in inspect.signature(type(estimator)).parameters.values()}
    given = estimator.get_params(deep=False)
    options = {key: encode.option(key, value, defaults[key]) for key, value in given.items()}
    fitted = {}
    for key, value in vars(estimator).items():
        if key in given:
            continue
        try:
            fitted[key] = encode(value)
        except Unstorable as error:
            if not key.startswith("_"):  # what is private to scikit-learn is made again when needed
                raise ValueError(f"cannot save this {name}: {key} holds a {error}.") from None
    if encode.dropped:
        listed = ", ".join(dict.fromkeys(encode.dropped))
        warnings.warn(f"not stored, the loaded model has the defaults: {listed}.", UserWarning, stacklevel=2)
    model = {"class": name, "options": options, "fitted": fitted}
    archive.write(path, model, encode.arrays, reglm.__version__)


def load(path: str | os.PathLike[str]) -> Any:
    """Read a model that `save` wrote.

    Parameters
    ----------
    path : path

    Returns
    -------
    RecursiveGLMRegressor or RecursiveGLMClassifier
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
        return _rebuilt(*archive.read(path))
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


def _rebuilt(model: Any, arrays: list[Any]) -> Any:
    """Estimator from the parts of a file."""
    decode = Decoder(arrays)
    if model["class"] not in ESTIMATORS:
        raise ValueError(f"class {model['class']!r:.60} is not one of {ESTIMATORS}")
    estimator = getattr(reglm, model["class"])(**{key: decode(value) for key, value in model["options"].items()})
    for key, value in model["fitted"].items():
        if not key.isidentifier() or key.startswith("__") or hasattr(type(estimator), key):
            raise ValueError(f"{key!r:.60} is not the name of a fitted attribute")
        setattr(estimator, key, decode(value))
    return estimator
