"""Emissions of any family, whose mean may depend on covariates through a recursive GLM of each state's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytensor
import pytensor.tensor as pt
from scipy.optimize import minimize

from reglm import families, links, ops
from reglm.compiling import Graph, Tiered, evaluate, function
from reglm.parameters import Array
from reglm.statespace.emissions.base import Emission, Parameters, Rows, Variable

STEPS = 6
"""Iterations of an M-step: it need not be solved, only improved (Dempster, Laird & Rubin 1977)."""
FLOOR = 1e-6
"""Least variance about a line, relative to that of all rows."""


@dataclass(frozen=True)
class Regression(Emission):
    """``eta = offset + X B + c`` in each state, or ``f(X W + b) B + c`` with a hidden layer.

    Parameters are "intercept" (K, q), "coef" (K, p or H, q), with a hidden layer "hidden_coef" (K, p, H) and
    "hidden_intercept" (K, H); "log_dispersion" (K, q) where the family's dispersion is estimated; and the shapes.

    Parameters
    ----------
    family : Family
    link : Link
    hidden : int
        Units of the hidden layer, 0 for none.
    activation : str
    alpha : float
        L2 penalty of weights, in each state.
    n_inputs : int
    seed : int
        Of the hidden weights' starts.
    """

    family: families.Family
    link: links.Link
    hidden: int = 0
    activation: str = "tanh"
    alpha: float = 0.0
    n_inputs: int = 0
    seed: int = 0

    # -- one state -----------------------------------------------------------------------------------------------------

    def _density(self, y: Variable, X: Variable, offset: Variable, part: Mapping[str, Variable]) -> Variable:
        """Log-density of each entry (n, m), or row (n, 1), in a state with parameters `part`."""
        h = X
        if self.hidden:
            h = links.get(self.activation).inverse(ops.affine(X, part["hidden_coef"], part["hidden_intercept"]))
        eta = ops.affine(h, part["coef"], part["intercept"]) + offset
        known = {*self._names}
        shape = {name: value for name, value in part.items() if name not in known}
        phi = ops.exp(part["log_dispersion"]).dimshuffle("x", 0) if "log_dispersion" in part else 1.0
        return self.family.log_density(y, families.Mean(self.link, eta), phi, 1.0, **shape)

    @property
    def _names(self) -> tuple[str, ...]:
        hidden = ("hidden_coef", "hidden_intercept") if self.hidden else ()
        return (*hidden, "coef", "intercept", *(["log_dispersion"] if self.family.dispersion == "estimated" else []))

    @property
    def _weights(self) -> tuple[str, ...]:
        """Parameters that are penalised."""
        return ("hidden_coef", "coef") if self.hidden else ("coef",)

    def _program(self, dims: Mapping[str, int], task: str) -> Tiered:
        """Compiled log-density of rows, or the weighted sum and its gradient, for one state."""

        def build() -> Graph:
            y, X, w = pt.matrix("y"), pt.matrix("X"), pt.matrix("w")
            offset = pt.tensor("offset", dtype="float64", shape=(None, 1))
            part = {name: pt.tensor(name, dtype="float64", shape=(None,) * d) for name, d in dims.items()}
            density = self._density(y, X, offset, part)
            if task == "density":
                return Graph([y, X, offset, *part.values()], [density])
            total = (w * density).sum()
            gradient = pytensor.grad(total, list(part.values()), disconnected_inputs="ignore")
            return Graph([y, X, offset, w, *part.values()], [total, *gradient])

        options = (self.family.structure(), self.link.name, self.hidden and self.activation, *dims.items())
        return function(build, ("emission", task, *options))

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _given(self, rows: Rows) -> tuple[Array, Array, Array, Array]:
        """Response with a value of the support where it is not observed, X, offset; what is observed (n, m or 1)."""
        seen, y = ~np.isnan(rows.y), rows.y
        if self.family.name in ("multinomial", "ordinal", "binomial"):
            seen = seen.all(axis=1, keepdims=True)
        if not seen.all():
            y = np.where(seen, y, [y[own, j][0] if own.any() else self._anything for j, own in self._columns(seen, y)])
        X = np.zeros((len(y), 0)) if rows.X is None else rows.X
        offset = np.zeros((len(y), 1)) if rows.offset is None else rows.offset
        return np.ascontiguousarray(y), np.ascontiguousarray(X), np.ascontiguousarray(offset), seen

    def _columns(self, seen: Array, y: Array) -> list[tuple[int, Array]]:
        """Columns of y, and the rows in which each is observed."""
        return [(j, seen[:, j % seen.shape[1]]) for j in range(y.shape[1])]

    @property
    def _anything(self) -> float:
        """A value of the support."""
        return 0.5 if self.family.name == "beta" else 1.0

    def log_density(self, parameters: Parameters, rows: Rows) -> Array:
        """Evaluate the family's log-density at each state's predictor."""
        y, X, offset, seen = self._given(rows)
        program = self._program({name: v.ndim - 1 for name, v in parameters.items()}, "density")
        K = len(parameters["intercept"])
        parts = [[np.asarray(v[k], order="C") for v in parameters.values()] for k in range(K)]
        return np.stack([np.where(seen, program(y, X, offset, *part)[0], 0.0).sum(axis=1) for part in parts], axis=1)

    def maximise(self, parameters: Parameters | None, rows: Rows, gamma: Array) -> dict[str, Array]:
        """Raise the weighted log-density, state by state: lines under normal errors by least squares, else L-BFGS."""
        y, X, offset, seen = self._given(rows)
        if parameters is None:
            whole = seen.all(axis=1)
            parameters = self._start(y[whole], X, gamma[whole]) if whole.any() else self._start(y, X, gamma)
        states = [{n: np.asarray(v[k]) for n, v in parameters.items()} for k in range(gamma.shape[1])]
        weights = [np.ascontiguousarray(g[:, None] * seen) for g in gamma.T]
        lines = self.family.name == "gaussian" and self.link.name == "identity" and not self.hidden
        rise = self._line if lines and self.family.dispersion == "estimated" else self._raise
        found = [rise(s, (y, X, offset, w)) for s, w in zip(states, weights, strict=True)]
        return {name: np.stack([part[name] for part in found]) for name in parameters}

    def _line(self, part: dict[str, Array], given: tuple[Array, ...]) -> dict[str, Array]:
        """Weighted least squares for each column, the penalty at the dispersion so far, and then the dispersion."""
        y, X, offset, weights = given
        new = {name: v.copy() for name, v in part.items()}
        Z, p = np.column_stack([np.ones(len(X)), X]), X.shape[1]
        for j, w in enumerate(weights.T):
            if w.sum() < 1e-8:  # a state that is never visited tells nothing
                continue
            ridge = np.sqrt(self.alpha * np.exp(part["log_dispersion"][j])) * np.eye(p, p + 1, 1)
            root, z = np.sqrt(w), y[:, j] - offset[:, 0]
            line = np.linalg.lstsq(np.vstack([root[:, None] * Z, ridge]), np.r_[root * z, np.zeros(p)], rcond=None)[0]
            new["intercept"][j], new["coef"][:, j] = line[0], line[1:]
            spread = w @ (z - Z @ line) ** 2 / w.sum()
            new["log_dispersion"][j] = np.log(max(spread, FLOOR * np.var(y[:, j]), np.finfo(float).tiny))
        return new

    def _raise(self, part: dict[str, Array], given: tuple[Array, ...]) -> dict[str, Array]:
        if given[3].sum() < 1e-8:  # a state that is never visited tells nothing
            return part
        program = self._program({name: v.ndim for name, v in part.items()}, "gradient")
        sizes = np.cumsum([v.size for v in part.values()])[:-1]
        penalty = np.concatenate([np.full(v.size, self.alpha * (n in self._weights)) for n, v in part.items()])
        size = given[3].sum()

        def unpack(theta: Array) -> list[Array]:
            pieces = np.split(theta, sizes)
            return [p.reshape(v.shape) for p, v in zip(pieces, part.values(), strict=True)]

        def objective(theta: Array) -> tuple[float, Array]:
            with np.errstate(all="ignore"):
                total, *gradient = program(*given, *unpack(theta))
            slope = penalty * theta - np.concatenate([g.ravel() for g in gradient])
            value = penalty @ theta**2 / 2 - float(total)
            if not np.isfinite(value) or not np.isfinite(slope).all():
                return 1e300, np.zeros_like(theta)
            return value / size, slope / size

        start = np.concatenate([v.ravel() for v in part.values()])
        before = objective(start)[0]
        found = minimize(
            objective, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS, "gtol": 1e-9, "ftol": 1e-13}
        )
        return dict(zip(part, unpack(found.x if found.fun <= before else start), strict=True))

    def _start(self, y: Array, X: Array, gamma: Array) -> dict[str, Array]:
        """Level of each state from its weighted mean, no effects, and hidden weights at random."""
        K, q, rng = gamma.shape[1], self.family.outputs(y), np.random.default_rng(self.seed)
        size = np.maximum(gamma.sum(axis=0), 1e-300)[:, None]
        found: dict[str, Array] = {}
        p = X.shape[1]
        if self.hidden:
            found["hidden_coef"] = rng.normal(size=(K, p, self.hidden)) / np.sqrt(max(p, 1))
            found["hidden_intercept"] = 0.1 * rng.normal(size=(K, self.hidden))
        found["coef"] = np.zeros((K, self.hidden or p, q))
        mean = gamma.T @ self.family.start(y) / size
        found["intercept"] = np.zeros((K, q))
        if self.family.intercept and self.family.name != "ordinal":
            found["intercept"] = self._level(mean)
        if self.family.dispersion == "estimated":
            found["log_dispersion"] = np.zeros((K, q))
            found["log_dispersion"] += (
                np.log(np.maximum(np.var(self.family.observed(y), axis=0), 1e-8))
                if (self.family.name == "gaussian")
                else 0.0
            )
        for spec in self.family.specs(y):
            found[spec.name] = np.tile(spec.init(rng, spec.shape), (K, *([1] * len(spec.shape))))
        return found

    def _level(self, mean: Array) -> Array:
        """Linear predictors of means (K, q)."""
        if self.family.name == "multinomial":
            return np.log(mean[:, 1:] / mean[:, :1])
        if self.link.forward is None:
            return np.zeros_like(mean)
        mu = pt.matrix("mu")
        return evaluate([self.link.forward(mu)], {mu: mean})[0]

    # -- the rest ------------------------------------------------------------------------------------------------------

    def log_prior(self, parameters: Parameters) -> float:
        """Minus the penalty."""
        return -self.alpha / 2 * sum(float((parameters[name] ** 2).sum()) for name in self._weights)

    def size(self, parameters: Parameters) -> int:
        """All entries."""
        return sum(v.size for v in parameters.values())

    def level(self, parameters: Parameters) -> Array:
        """Intercept, summed over linear predictors; the first shape parameter of ordinal responses."""
        if self.family.name == "ordinal":
            return -parameters["first_cut"]
        sign = -1.0 if self.link.name in ("inverse", "inverse_squared") else 1.0
        return sign * parameters["intercept"].sum(axis=1)

    def free(self, parameters: Parameters) -> dict[str, Array]:
        """Parameters are unconstrained."""
        return dict(parameters)

    def natural(self, free: Parameters) -> dict[str, Array]:
        """Parameters are unconstrained."""
        return dict(free)

    def fixed(self, free: Parameters) -> dict[str, Array]:
        """Intercepts of ordinal responses, whose level the cutpoints hold."""
        fixed = super().fixed(free)
        fixed["intercept"] |= self.family.name == "ordinal"
        return fixed

    def graph(self, free: Mapping[str, Variable], rows: Rows) -> Variable:
        """One graph a state."""
        y, X, offset, seen = (pt.constant(part) for part in self._given(rows))
        K = int(free["intercept"].type.shape[0])
        parts = [{name: v[k] for name, v in free.items()} for k in range(K)]
        return pt.stack([(self._density(y, X, offset, part) * seen).sum(axis=1) for part in parts], axis=1)

    def predictor(self, parameters: Parameters, rows: Rows) -> Array:
        """Linear predictors of every state, (n, K, q)."""
        _, X, offset, _ = self._given(rows)
        h = np.broadcast_to(X, (len(parameters["intercept"]), *X.shape))
        if self.hidden:
            a = h @ parameters["hidden_coef"] + parameters["hidden_intercept"][:, None]
            x = pt.tensor3("a")
            h = evaluate([links.get(self.activation).inverse(x)], {x: a})[0]
        eta = h @ parameters["coef"] + parameters["intercept"][:, None]
        return eta.transpose(1, 0, 2) + offset[:, None]

    def shapes(self, parameters: Parameters, k: int) -> dict[str, Array]:
        """Shape parameters of a state, by name."""
        return {name: v[k] for name, v in parameters.items() if name not in self._names}

    def located(self, parameters: Parameters, rows: Rows) -> list[Array]:
        """Location of the family's distribution in each state, arrays (n, q)."""
        found = []
        for k, eta in enumerate(self.predictor(parameters, rows).transpose(1, 0, 2)):
            e = pt.matrix("eta")
            shape = {name: pt.constant(v) for name, v in self.shapes(parameters, k).items()}
            found.append(evaluate([self.family.location(families.Mean(self.link, e), **shape)], {e: eta})[0])
        return found

    def simulate(self, rng: np.random.Generator, parameters: Parameters, states: Array, rows: Rows) -> Array:
        """Draw."""
        out = np.zeros((len(states), rows.y.shape[1]))
        for k, mu in enumerate(self.located(parameters, rows)):
            own = states == k
            if own.any():
                phi = np.exp(parameters["log_dispersion"][k]) if "log_dispersion" in parameters else 1.0
                size = np.ones((own.sum(), 1)) if self.family.name != "binomial" else self.family.size(rows.y[own])
                out[own] = self.family.simulate(rng, mu[own], phi, size, **self.shapes(parameters, k))
        return out

    def cdf(self, parameters: Parameters, rows: Rows, y: Array) -> Array:
        """Distribution function of the family.

        Raises
        ------
        ValueError
            If the response has several columns that belong together.
        """
        if self.family.name in ("multinomial", "ordinal", "binomial"):
            raise ValueError(
                f"family={self.family.name!r}: a response of several columns has no distribution function."
            )
        found = []
        for k, mu in enumerate(self.located(parameters, rows)):
            phi = np.exp(parameters["log_dispersion"][k]) if "log_dispersion" in parameters else 1.0
            found.append(self.family.distribution(mu, phi, **self.shapes(parameters, k)).cdf(y))
        return np.stack(found, axis=1)

    def table(self, parameters: Parameters) -> dict[str, Array]:
        """Coefficients, and dispersion and shapes as users know them."""
        found = {name: parameters[name] for name in self._names if name != "log_dispersion"}
        if not found["coef"].size:
            del found["coef"]
        if "log_dispersion" in parameters:
            found["dispersion"] = np.exp(parameters["log_dispersion"])
        K = len(parameters["intercept"])
        natural = [self.family.natural(**self.shapes(parameters, k)) for k in range(K)]
        return found | {name: np.stack([part[name] for part in natural]) for name in natural[0]}
