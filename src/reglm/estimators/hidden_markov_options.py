"""From the constructor's arguments of a hidden Markov model to the model that is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reglm import families
from reglm.links import Link
from reglm.parameters import Array
from reglm.statespace.emissions import COVARIANCES, Counts, Emission, Gaussian, Mixture, Product, Regression
from reglm.statespace.hidden_markov import Model
from reglm.statespace.transitions import DrivenTransitions, Transitions

SOLVERS = ("em", "gradient", "auto")
COVARIATES = ("emission", "transition", "both")
INITS = ("clusters", "random")
PRIORS = ("initial", "transition", "emission")
BLOCKS = ("multinomial", "ordinal", "binomial")
"""Families of which all columns are one response."""


class HiddenMarkovOptions:
    """Constructor arguments of `HiddenMarkovModel`; each has a default."""

    def __init__(
        self,
        n_states: int = 2,
        family: Any = "gaussian",
        *,
        covariance: str = "full",
        n_mixtures: int = 1,
        order: int = 0,
        transitions: Any = None,
        covariates: str = "emission",
        link: Any = None,
        hidden: Any = (),
        activation: str = "tanh",
        alpha: float = 0.0,
        priors: dict[str, Any] | None = None,
        solver: str = "em",
        init: str = "clusters",
        n_init: int = 1,
        max_iter: int = 200,
        tol: float = 1e-6,
        covariance_floor: float = 1e-6,
        backend: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_states = n_states
        self.family = family
        self.covariance = covariance
        self.n_mixtures = n_mixtures
        self.order = order
        self.transitions = transitions
        self.covariates = covariates
        self.link = link
        self.hidden = hidden
        self.activation = activation
        self.alpha = alpha
        self.priors = priors
        self.solver = solver
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.covariance_floor = covariance_floor
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose


def check_options(model: Any) -> None:
    """Refuse constructor arguments that are out of range.

    Raises
    ------
    ValueError
        Names the argument, its value and what would be right.
    """
    for name, least in (("n_states", 1), ("n_mixtures", 1), ("order", 0), ("n_init", 1), ("max_iter", 1)):
        value = getattr(model, name)
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name}={value!r} must be a whole number from {least} on.")
    for name, known in (("solver", SOLVERS), ("covariance", COVARIANCES), ("covariates", COVARIATES), ("init", INITS)):
        if getattr(model, name) not in known:
            raise ValueError(f"{name}={getattr(model, name)!r} is not known; choose one of {known}.")
    for name in ("alpha", "tol", "covariance_floor"):
        value = getattr(model, name)
        if not np.isfinite(value) or value < 0:
            raise ValueError(f"{name}={value!r} must not be negative.")
    unknown = set(model.priors or {}) - set(PRIORS)
    if unknown:
        raise ValueError(f"priors has {sorted(unknown)}; it takes {PRIORS}.")
    if model.backend not in ("auto", "python", "numba"):
        raise ValueError(f"backend={model.backend!r} is not known; choose 'auto', 'python' or 'numba'.")
    hidden(model)


def hidden(model: Any) -> int:
    """Units of the hidden layer of each state's predictor.

    Raises
    ------
    ValueError
        If there is more than one layer.
    """
    sizes = tuple(np.atleast_1d(model.hidden).tolist())
    if len(sizes) > 1 or any(not isinstance(s, int) or s < 1 for s in sizes):
        raise ValueError(f"hidden={model.hidden!r}: a state's predictor has at most one hidden layer, such as (8,).")
    return sizes[0] if sizes else 0


def allowed(transitions: Any, K: int) -> Array:
    """Moves that may happen, (K, K).

    Raises
    ------
    ValueError
        If the mask has another shape, or a state without a way out of itself or to stay.
    """
    if transitions is None:
        return np.ones((K, K), bool)
    if isinstance(transitions, str):
        if transitions != "left-right":
            raise ValueError(f"transitions={transitions!r}: 'left-right', a mask of shape ({K}, {K}), or None.")
        return np.eye(K, dtype=bool) | np.eye(K, k=1, dtype=bool)
    mask = np.asarray(transitions).astype(bool)
    if mask.shape != (K, K):
        raise ValueError(f"transitions has shape {mask.shape}; a mask for n_states={K} has ({K}, {K}).")
    if not mask.any(axis=1).all():
        raise ValueError(f"transitions: state {int(mask.any(axis=1).argmin())} can neither stay nor leave.")
    return mask


def family_list(family: Any, m: int) -> list[families.Family] | families.Family:
    """One family for all columns, or a list of one each.

    Raises
    ------
    ValueError
        If their number is not that of the columns, or one claims no likelihood.
    """
    if isinstance(family, list | tuple):
        found = [families.get(name) for name in family]
        if len(found) != m:
            raise ValueError(f"family names {len(found)} columns, the response has {m}.")
        blocks = [f.name for f in found if f.name in BLOCKS]
        if blocks:
            raise ValueError(f"family={blocks[0]!r} takes several columns, so it cannot be one of a list.")
    else:
        found = [families.get(family)]
    for one in found:
        if not one.likelihood:
            raise ValueError(f"family={one.name!r} claims no likelihood, so it gives no hidden Markov model.")
    return found if isinstance(family, list | tuple) else found[0]


def emissions(model: Any, y: Array, n_inputs: int, seed: int) -> Emission:
    """Emissions of the constructor's arguments for responses y (n, m) and so many covariates."""
    family = family_list(model.family, y.shape[1])
    if isinstance(family, list):
        given = [model.link] * len(family) if model.link is None or isinstance(model.link, str) else model.link
        pairs = enumerate(zip(family, given, strict=True))
        return Product(tuple((f"y{j}", (j,), _block(model, f, k, y[:, [j]], n_inputs, seed)) for j, (f, k) in pairs))
    if family.name in BLOCKS or y.shape[1] == 1 or not family.specs(_seen(y)):
        return _block(model, family, model.link, y, n_inputs, seed)
    blocks = ((j, _block(model, family, model.link, y[:, [j]], n_inputs, seed)) for j in range(y.shape[1]))
    return Product(tuple((f"y{j}", (j,), block) for j, block in blocks))


def _seen(y: Array) -> Array:
    whole = y[~np.isnan(y).any(axis=1)]
    return whole if len(whole) else np.ones((1, y.shape[1]))


def _block(
    model: Any, family: families.Family, link: str | Link | None, y: Array, n_inputs: int, seed: int
) -> Emission:
    resolved = family.resolve_link(link)
    _check_response(family, y)
    strength = float((model.priors or {}).get("emission", 0.0))
    plain = n_inputs == 0 and resolved.name == family.default_link
    if plain and family.name == "gaussian":
        spread = np.nanstd(y, axis=0)
        scale = np.where(spread > 0, spread, 1.0)
        component = Gaussian(model.covariance, scale, model.covariance_floor, strength)
        return Mixture(component, model.n_mixtures, seed) if model.n_mixtures > 1 else component
    if model.n_mixtures > 1:
        raise ValueError(f"n_mixtures={model.n_mixtures} needs family='gaussian' without covariates.")
    if plain and family.name in ("bernoulli", "poisson"):
        seen = ~np.isnan(y)
        centre = (np.nansum(y, axis=0) + 0.5) / (seen.sum(axis=0) + 1)
        return Counts(family.name, centre, strength)
    if strength:
        raise ValueError("priors['emission'] is for gaussian, bernoulli and poisson without covariates; use alpha.")
    return Regression(family, resolved, hidden(model) if n_inputs else 0, model.activation, model.alpha, n_inputs, seed)


def _check_response(family: families.Family, y: Array) -> None:
    """Check observed rows; rows of which only some entries are observed are checked with what the others hold."""
    whole = ~np.isnan(y).any(axis=1)
    if family.name in BLOCKS:
        part = ~whole & ~np.isnan(y).all(axis=1)
        if part.any():
            raise ValueError(f"row {int(part.argmax())} is observed in part: family {family.name!r} needs whole rows.")
        family.check_response(y[whole])
        return
    for j in range(y.shape[1]):
        column = y[~np.isnan(y[:, j]), j : j + 1]
        if not len(column):
            raise ValueError(f"column {j} of the response is nowhere observed; drop it.")
        family.check_response(column)


def chain(model: Any, K: int, n_moved: int) -> tuple[Any, Array, Array]:
    """Transitions, states in which a sequence may begin, and pseudo-counts of first states."""
    priors: Mapping[str, Any] = model.priors or {}
    mask = allowed(model.transitions, K)
    prior = np.broadcast_to(np.asarray(priors.get("transition", 0.0), float), (K, K))
    first_prior = np.broadcast_to(np.asarray(priors.get("initial", 0.0), float), (K,))
    if prior.min() < 0 or first_prior.min() < 0:
        raise ValueError("priors: pseudo-counts of transition and initial must not be negative.")
    first = np.ones(K, bool)
    if isinstance(model.transitions, str):
        first = np.arange(K) == 0
    kind = DrivenTransitions(mask, prior, model.alpha) if n_moved else Transitions(mask, prior)
    return kind, first, first_prior


def build(model: Any, y: Array, n_inputs: int, n_moved: int, seed: int) -> Model:
    """Model of the constructor's arguments."""
    transitions, first, prior = chain(model, model.n_states, n_moved)
    return Model(emissions(model, y, n_inputs, seed), transitions, first, prior)
