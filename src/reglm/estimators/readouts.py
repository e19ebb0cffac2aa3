"""Generalized linear models on states: one for each column of a response, or one for a family that needs them all."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from reglm import families
from reglm.estimators.kernel_options import is_number
from reglm.estimators.regressor import RecursiveGLMRegressor
from reglm.families import Family
from reglm.fitting.intercept import fit_intercept
from reglm.kernels.irls_criteria import CRITERIA
from reglm.kernels.primal import Chosen, Decomposition
from reglm.parameters import Array
from reglm.response import Response

AT_THE_EDGE = ("bernoulli", "poisson")
"""Families whose constant columns would have infinite linear predictors: they get Jeffreys's constant."""
WHOLE = ("binomial", "quasibinomial", "multinomial", "ordinal")
"""Families whose response takes several columns together."""


@dataclass(frozen=True, eq=False)
class Training:
    """What a readout is fitted to.

    Parameters
    ----------
    F : ndarray (n, p)
        Rows that are observed.
    names : list of str
    y : ndarray (n, columns)
    weights : ndarray (n,)
    offset : ndarray (n, K)
    """

    F: Array
    names: list[str]
    y: Array
    weights: Array
    offset: Array

    def fit(self, response: Response, alpha: float, dispersion: str | float) -> RecursiveGLMRegressor:
        """Fit a generalized linear model with everything that comes with it."""
        model = RecursiveGLMRegressor(
            family=response.family, link=response.link.name, alpha=alpha, dispersion=dispersion
        )
        offset = self.offset if self.offset.any() else None
        model.fit(self.F, self.y[:, 0] if self.y.shape[1] == 1 else self.y, self.weights, offset)
        named = zip(model.design_.columns, self.names, strict=True)
        # a data frame would say so too, at twice the time
        model.design_ = replace(model.design_, columns=tuple(replace(column, name=name) for column, name in named))
        model.fit_.input_names, model.feature_names_in_ = self.names, np.asarray(self.names, dtype=object)
        return model


@dataclass(frozen=True, eq=False)
class Readout:
    """A fitted generalized linear model on states.

    Parameters
    ----------
    columns : list of int
        Columns of the response that it models.
    response : Response
        Family and link.
    coef, intercept : ndarray (p, K), (K,)
    alpha : float
        Penalty.
    dispersion : float
    shape : dict of ndarray
        Shape parameters of the family.
    chosen : Chosen or None
        How the penalty was found; None where it was given and the family has shape parameters, or is zero.
    training : Training or None
        None in loaded models.
    """

    columns: list[int]
    response: Response
    coef: Array
    intercept: Array
    alpha: float
    dispersion: float
    shape: Mapping[str, Array]
    chosen: Chosen | None
    training: Training | None

    @classmethod
    def of_choice(cls, chosen: Chosen, columns: list[int], response: Response, training: Training) -> Readout:
        """Take the coefficients that came with the penalty."""
        phi = 1.0 if response.family.dispersion == "fixed" else max(chosen.dispersion, np.finfo(float).tiny)
        return cls(columns, response, chosen.coef, chosen.intercept, chosen.alpha, phi, {}, chosen, training)

    @classmethod
    def of_fit(cls, alpha: float, columns: list[int], response: Response, training: Training) -> Readout:
        """Fit at a given penalty."""
        model = training.fit(response, alpha, "auto")
        coef, intercept = np.atleast_2d(model.coef_).T, np.atleast_1d(model.intercept_)
        shape, phi = model._shape(), model.dispersion_
        return cls(columns, model.fit_.likelihood.response, coef, intercept, alpha, phi, shape, None, training)

    def stored(self) -> Readout:
        """Return what files hold: no training rows."""
        return replace(self, training=None)

    @cached_property
    def model(self) -> RecursiveGLMRegressor:
        """The same model with all that inference needs."""
        if self.training is None:
            raise ValueError("a loaded model does not hold the rows it was fitted to: fit again for inference.")
        given = self.chosen is None or self.response.family.dispersion == "fixed"
        return self.training.fit(self.response, self.alpha, "auto" if given else self.dispersion)

    def eta(self, F: Array, offset: Array) -> Array:
        """Linear predictors (n, K)."""
        return F @ self.coef + self.intercept + offset

    def mean(self, eta: Array) -> Array:
        """Expected responses (n, columns)."""
        return self.response.mean(eta, self.shape)

    def quantile(self, eta: Array, level: float) -> Array:
        """Quantile of the family's distribution, (n, columns)."""
        mu = self.response.location(eta, self.shape)
        found = self.response.family.distribution(mu, self.dispersion, **self.shape)
        return np.asarray(found.ppf(level), dtype=float)

    def log_density(self, y: Array, eta: Array, weights: Array | None = None) -> Array:
        """Log-density of each row of y (n, columns), (n,); zero where it is not observed."""
        family, found, (seen, y) = self.response.family, np.zeros(len(y)), self._observed(y)
        if not family.likelihood:
            raise ValueError(f"family={family.name!r} claims no likelihood, so it has no logpdf.")
        w = None if weights is None else weights[seen, None]
        found[seen] = self.response.log_density(y, eta[seen], self.dispersion, w, self.shape).sum(axis=1)
        return found

    def deviance(self, y: Array, eta: Array) -> Array:
        """Deviance of each row, (n,); zero where it is not observed."""
        found, (seen, y) = np.zeros(len(y)), self._observed(y)
        found[seen] = self.response.unit_deviance(y, eta[seen], self.shape).sum(axis=1)
        return found

    def _observed(self, y: Array) -> tuple[Array, Array]:
        """Which rows are observed, and their responses."""
        seen = ~np.isnan(y[:, self.columns]).any(axis=1)
        self.response.family.check_response(y[seen][:, self.columns])
        return seen, y[seen][:, self.columns]

    def null_deviance(self, y: Array, offset: Array, weights: Array) -> float:
        """Weighted deviance of the best constant with the same offset."""
        seen = ~np.isnan(y[:, self.columns]).any(axis=1)
        if not seen.any():
            return 0.0
        parts = y[seen][:, self.columns], weights[seen, None], offset[seen]
        return float(fit_intercept(self.response, *parts, self.shape).deviance)

    def simulate(self, rng: np.random.Generator, eta: Array) -> Array:
        """Draw responses (n, columns)."""
        mu = self.response.location(eta, self.shape)
        drawn = self.response.family.simulate(rng, mu, self.dispersion, **self.shape)
        return np.reshape(drawn, (len(eta), -1))


@dataclass(frozen=True)
class Readouts:
    """All the models on the same states.

    Parameters
    ----------
    parts : list of Readout
    """

    parts: list[Readout]

    def split(self, offset: Array | None, n: int) -> list[Array]:
        """Offset (n, 1), or (n, all linear predictors), of each model."""
        widths = [len(part.intercept) for part in self.parts]
        total = np.zeros((n, 1)) if offset is None else offset
        if total.shape[1] == 1:
            return [np.repeat(total, width, axis=1) for width in widths]
        return np.split(total, np.cumsum(widths)[:-1], axis=1)

    def etas(self, F: Array, offset: Array | None = None) -> list[Array]:
        """Linear predictors of each model."""
        return [part.eta(F, o) for part, o in zip(self.parts, self.split(offset, len(F)), strict=True)]

    def means(self, etas: Sequence[Array]) -> Array:
        """Expected responses (n, columns)."""
        return np.hstack([part.mean(eta) for part, eta in zip(self.parts, etas, strict=True)])

    def log_density(self, y: Array, etas: Sequence[Array], weights: Array | None = None) -> Array:
        """Log-density of what is observed in each row, (n,)."""
        return sum((p.log_density(y, e, weights) for p, e in zip(self.parts, etas, strict=True)), np.zeros(len(y)))

    def simulate(self, rng: np.random.Generator, etas: Sequence[Array]) -> Array:
        """Draw a response for each row, (n, columns)."""
        return np.hstack([part.simulate(rng, eta) for part, eta in zip(self.parts, etas, strict=True)])

    def deviance(self, y: Array, etas: Sequence[Array]) -> Array:
        """Deviance of what is observed in each row, (n,)."""
        return sum((part.deviance(y, eta) for part, eta in zip(self.parts, etas, strict=True)), np.zeros(len(y)))

    def null_deviance(self, y: Array, offset: Array | None, weights: Array) -> float:
        """Weighted deviance of the best constants with the same offsets."""
        shifts = self.split(offset, len(y))
        return sum(part.null_deviance(y, shift, weights) for part, shift in zip(self.parts, shifts, strict=True))

    def quantiles(self, etas: Sequence[Array], level: float) -> Array:
        """Quantile of each response, (n, columns)."""
        return np.hstack([part.quantile(eta, level) for part, eta in zip(self.parts, etas, strict=True)])

    @property
    def loss(self) -> float:
        """Sum of the leave-one-out losses; NaN where a model chose no penalty."""
        return float(sum(np.nan if part.chosen is None else part.chosen.loss for part in self.parts))


@dataclass(frozen=True)
class Wanted:
    """What is to be fitted.

    Parameters
    ----------
    family : str, Family or sequence of them
        One for each column where there are several.
    link : str or None
    alpha : str or float
    alphas : int or ndarray (L,)
    """

    family: Any
    link: str | None
    alpha: str | float
    alphas: Any

    def families(self, m: int) -> list[tuple[Family, list[int]]]:
        """Families, each with its columns of a response of m columns.

        Raises
        ------
        ValueError
            If there is not one for each column.
        """
        if isinstance(self.family, (list, tuple)):
            if len(self.family) != m:
                raise ValueError(f"family names {len(self.family)} families, the response has {m} columns: one each.")
            return [(families.get(name), [j]) for j, name in enumerate(self.family)]
        family = families.get(self.family)
        return [(family, list(range(m)))] if family.name in WHOLE and m > 1 else [(family, [j]) for j in range(m)]

    def fit(self, F: Array, names: Sequence[str], y: Array, weights: Array, offset: Array | None) -> Readouts:
        """Fit a model to each part of y (n, m) on states F (n, p), leaving out rows where it is NaN."""
        groups: dict[tuple[bytes, bool], list[tuple[Family, list[int]]]] = {}
        for family, columns in self.families(y.shape[1]):
            seen = ~np.isnan(y[:, columns]).any(axis=1) & (weights > 0)
            if not seen.any():
                raise ValueError(f"column {columns[0]} of the response is never observed with a positive weight.")
            groups.setdefault((seen.tobytes(), _is_direct(family, self.link)), []).append((family, columns))
        parts = [
            part
            for (seen, direct), group in groups.items()
            for part in self._group(F, names, y, weights, offset, np.frombuffer(seen, dtype=bool), direct, group)
        ]
        return Readouts(sorted(parts, key=lambda part: part.columns[0]))

    def _group(
        self, F: Array, names: Sequence[str], y: Array, weights: Array, offset: Array | None, seen: Array,
        direct: bool, group: list[tuple[Family, list[int]]],
    ) -> list[Readout]:  # fmt: skip
        """Fit the models that share rows and therefore a decomposition."""
        F, y, weights = F[seen], y[seen], weights[seen]
        if len(F) < 2:
            raise ValueError(f"n_samples={len(F)} observed after the washout: at least 2 are needed.")
        parts = []
        for family, columns in group:
            shift = self._shift(offset, seen, family, columns, y)
            parts.append(Training(F, list(names), y[:, columns], weights, shift))
            family.check_response(parts[-1].y)
        responses = [Response(family, family.resolve_link(self.link)) for family, _ in group]
        columns_of = [columns for _, columns in group]
        if self.alpha == 0 or any(family.specs(part.y) for (family, _), part in zip(group, parts, strict=True)):
            self._check_given(group, y)
            each = zip(columns_of, responses, parts, strict=True)
            return [Readout.of_fit(float(self.alpha), *part) for part in each]
        decomposition = Decomposition(F, weights)
        if direct:
            targets = np.hstack([part.y - part.offset for part in parts])
            found = decomposition.gaussian(targets, self._alphas, self._criterion)
        else:
            found = [self._chosen(decomposition, *part) for part in zip(responses, parts, strict=True)]
        every = zip(found, columns_of, responses, parts, strict=True)
        return [Readout.of_choice(*part) for part in every]

    def _shift(self, offset: Array | None, seen: Array, family: Family, columns: list[int], y: Array) -> Array:
        K = family.outputs(y[:, columns])
        if offset is None:
            return np.zeros((len(y), K))
        return np.repeat(offset[seen], K, axis=1) if offset.shape[1] == 1 else offset[seen][:, columns]

    @property
    def _criterion(self) -> str:
        return self.alpha if isinstance(self.alpha, str) else "loo"

    @property
    def _alphas(self) -> Any:
        if not isinstance(self.alpha, str):
            return np.array([float(self.alpha)])
        whole = isinstance(self.alphas, (int, np.integer))
        return int(self.alphas) if whole else np.unique(np.asarray(self.alphas, dtype=float))

    def _check_given(self, group: list[tuple[Family, list[int]]], y: Array) -> None:
        """Raise ValueError if a penalty is to be chosen for a family with shape parameters to estimate."""
        for family, columns in group:
            names = ", ".join(spec.name for spec in family.specs(y[:, columns]))
            if isinstance(self.alpha, str) and names:
                raise ValueError(
                    f"alpha={self.alpha!r}: family={family.name!r} has shape parameters to estimate ({names}), for "
                    "which no penalty is chosen here. Give alpha a number and choose among numbers by "
                    "cross-validation, or fix them where the family takes them, as in 'negative_binomial(0.5)'."
                )

    def _chosen(self, decomposition: Decomposition, response: Response, part: Training) -> Chosen:
        if response.family.name in AT_THE_EDGE and not np.ptp(part.y) and part.y[0] in (0.0, 1.0):
            return _constant(decomposition, response, part)
        null = fit_intercept(response, part.y, part.weights[:, None], part.offset, {})
        found = decomposition.any_family(
            part.y, part.offset, response, part.offset + null.value, self._alphas, self._criterion
        )
        if not found.converged:
            warnings.warn(
                f"EchoStateNetwork: scoring of the readout did not converge at alpha={found.alpha:.3g}; raise alpha.",
                ConvergenceWarning, stacklevel=5,
            )  # fmt: skip
        return found


def _constant(decomposition: Decomposition, response: Response, part: Training) -> Chosen:
    """The constant that half an observation of 0 and half one of 1 make, for a column that is always the same."""
    y, weights = np.vstack([part.y, [[0.0], [1.0]]]), np.r_[part.weights, 0.5, 0.5][:, None]
    eta = fit_intercept(response, y, weights, np.vstack([part.offset, np.zeros((2, 1))]), {}).value
    total = float(part.weights.sum())
    loss = float(part.weights @ response.unit_deviance(part.y, part.offset + eta)[:, 0]) / total
    alpha = float(decomposition.grid(2)[-1])
    return Chosen(alpha, loss, 1.0, 1.0, np.zeros((part.F.shape[1], 1)), eta, True)


def _is_direct(family: Family, link: str | None) -> bool:
    return family.name == "gaussian" and family.resolve_link(link).name == "identity"


def check_alpha(alpha: Any, alphas: Any) -> None:
    """Raise ValueError for penalties that are none."""
    if isinstance(alpha, str):
        if alpha not in CRITERIA:
            raise ValueError(f"alpha={alpha!r} must be a number from 0 on or one of {list(CRITERIA)}.")
        given = np.asarray(alphas, dtype=float)
        is_grid = given.ndim == 0 and given % 1 == 0 and given >= 2
        if not (is_grid or (given.ndim == 1 and given.size and np.all(given > 0))):
            raise ValueError(f"alphas={alphas!r} must be the size of a grid, 2 or more, or positive penalties.")
    elif not (is_number(alpha) and alpha >= 0):
        raise ValueError(f"alpha={alpha!r} must be a number from 0 on or one of {list(CRITERIA)}.")
