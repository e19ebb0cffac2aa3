"""Families: response distributions, each one log-density on a mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reglm.families.base import Family
from reglm.families.categorical import Multinomial, Ordinal
from reglm.families.columns import Columns
from reglm.families.continuous import Beta, StudentT, Tobit
from reglm.families.exponential import (
    Bernoulli,
    Binomial,
    Gamma,
    Gaussian,
    InverseGaussian,
    Poisson,
    QuasiBinomial,
    QuasiPoisson,
)
from reglm.families.mean import Mean
from reglm.families.overdispersed import NegativeBinomial, Tweedie

_CLASSES: tuple[type[Family], ...] = (
    Gaussian, Bernoulli, Binomial, Poisson, Gamma, InverseGaussian, QuasiBinomial, QuasiPoisson,
    NegativeBinomial, Tweedie, Multinomial, Ordinal, Beta, StudentT, Tobit, Columns,
)  # fmt: skip

__all__ = ["ALIASES", "REGISTRY", "Family", "Mean", "from_dict", "get", *(c.__name__ for c in _CLASSES)]

REGISTRY: dict[str, type[Family]] = {c.name: c for c in _CLASSES}
"""Every family by name; calling an entry makes the family with its options."""

ALIASES: dict[str, str] = {
    "normal": "gaussian", "binary": "bernoulli", "inverse.gaussian": "inverse_gaussian",
    "inversegaussian": "inverse_gaussian", "negbin": "negative_binomial", "nb": "negative_binomial",
    "categorical": "multinomial", "t": "student_t", "student": "student_t",
    "quasi_binomial": "quasibinomial", "quasi_poisson": "quasipoisson",
}  # fmt: skip
"""Other names of the same families."""


def get(name: str | Family) -> Family:
    """Look a family up by name.

    Parameters
    ----------
    name : str or Family
        A name in `REGISTRY` or `ALIASES`, with options in brackets if wanted: ``"tweedie(1.5)"``. A `Family`
        passes through.

    Returns
    -------
    Family

    Raises
    ------
    ValueError
        If the name is unknown or an option is out of range.
    """
    if isinstance(name, Family):
        return name
    called = re.fullmatch(r"([\w.]+)(?:\(([-+.\deE, ]*)\))?", name) if isinstance(name, str) else None
    key = ALIASES.get(called[1], called[1]) if called else ""
    if called is None or key not in REGISTRY:
        known = ", ".join(sorted(REGISTRY))
        raise ValueError(f"unknown family {name!r}; choose one of {known}, or pass a Family.")
    options = [float(part) for part in (called[2] or "").split(",") if part.strip()]
    return _make(key, options, {})


def from_dict(record: Mapping[str, Any]) -> Family:
    """Return the family that `Family.to_dict` described.

    Raises
    ------
    ValueError
        If the record names no known family or unknown options.
    """
    name = record.get("name")
    if not isinstance(name, str) or name not in REGISTRY:
        raise ValueError(f"unknown family {name!r}; choose one of {', '.join(sorted(REGISTRY))}.")
    return _make(name, [], {key: value for key, value in record.items() if key != "name"})


def _make(name: str, options: list[float], named: Mapping[str, Any]) -> Family:
    try:
        return REGISTRY[name](*options, **named)
    except TypeError as error:
        raise ValueError(f"family {name!r} does not take these options: {error}") from None
