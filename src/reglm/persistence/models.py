"""Estimators as JSON: class, constructor arguments, fitted attributes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import reglm
from reglm.persistence.tables import ESTIMATORS, Unstorable

if TYPE_CHECKING:
    from reglm.persistence.codec import Encoder


def is_estimator(value: Any) -> bool:
    """Whether files can hold an object, fitted: it is of a class in `ESTIMATORS`, not of a subclass."""
    name = type(value).__name__
    return name in ESTIMATORS and type(value) is getattr(reglm, name)


def described(estimator: Any, encode: Encoder) -> dict[str, Any]:
    """JSON form of an estimator.

    Raises
    ------
    ValueError
        If a public attribute cannot be stored.
    """
    name = type(estimator).__name__
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
    return {"class": name, "options": options, "fitted": fitted}


def rebuilt(model: Mapping[str, Any], decode: Callable[[Any], Any]) -> Any:
    """Estimator from its JSON form.

    Raises
    ------
    ValueError
        If the class is not in `ESTIMATORS`, or an attribute is not one that fitting sets.
    """
    if model["class"] not in ESTIMATORS:
        raise ValueError(f"class {model['class']!r:.60} is not one of {ESTIMATORS}")
    estimator = getattr(reglm, model["class"])(**{key: decode(value) for key, value in model["options"].items()})
    for key, value in model["fitted"].items():
        if not key.isidentifier() or key.startswith("__") or hasattr(type(estimator), key):
            raise ValueError(f"{key!r:.60} is not the name of a fitted attribute")
        setattr(estimator, key, decode(value))
    return estimator
