"""Moves between hidden states: one matrix of probabilities, or logits that depend on covariates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from reglm.ops import chains
from reglm.parameters import Array

Parameters = Mapping[str, Array]
Variable = Any
STEPS = 10


@dataclass(frozen=True)
class Transitions:
    """A matrix of probabilities; parameter "transition" (K, K).

    Parameters
    ----------
    allowed : ndarray of bool (K, K)
        Moves i -> j that may happen.
    prior : ndarray (K, K)
        Pseudo-counts: parameters of Dirichlet priors of the rows, less 1.
    """

    allowed: Array
    prior: Array

    def log(self, parameters: Parameters, X: Array | None) -> Array:
        """Log probabilities (K, K)."""
        with np.errstate(divide="ignore"):
            return np.log(parameters["transition"])

    def maximise(self, parameters: Parameters, moves: Array, X: Array | None) -> dict[str, Array]:
        """Relative frequencies of the expected moves (K, K); a row without any stays as it is."""
        counts = np.where(self.allowed, moves + self.prior, 0.0)
        total = counts.sum(axis=1, keepdims=True)
        return {"transition": np.where(total > 0, counts / np.where(total > 0, total, 1.0), parameters["transition"])}

    def start(self, moves: Array, X: Array | None) -> dict[str, Array]:
        """Probabilities from counted moves, no allowed one left out."""
        even = self.allowed / self.allowed.sum(axis=1, keepdims=True)
        return self.maximise({"transition": even}, moves + self.allowed, X)

    def log_prior(self, parameters: Parameters) -> float:
        """Dirichlet log-density up to a constant."""
        used = (self.prior > 0) & self.allowed
        return float((self.prior[used] * np.log(parameters["transition"][used])).sum())

    def permute(self, parameters: Parameters, order: Array) -> dict[str, Array]:
        """States in another order."""
        return {"transition": parameters["transition"][np.ix_(order, order)]}

    def average(self, parameters: Parameters, X: Array | None) -> Array:
        """Matrix of probabilities (K, K)."""
        return parameters["transition"]

    def size(self, parameters: Parameters) -> int:
        """Allowed moves, less one in each row."""
        return int(self.allowed.sum() - len(self.allowed))

    def free(self, parameters: Parameters) -> dict[str, Array]:
        """Log probabilities, 0 where a move is not made."""
        p = parameters["transition"]
        return {"logit": np.log(np.where(p > 0, p, 1.0))}

    def natural(self, free: Parameters, parameters: Parameters) -> dict[str, Array]:
        """Inverse of `free` for moves that are made under `parameters`."""
        p = np.where(parameters["transition"] > 0, np.exp(free["logit"]), 0.0)
        return {"transition": p / p.sum(axis=1, keepdims=True)}

    def fixed(self, parameters: Parameters) -> dict[str, Array]:
        """Moves that are not made (nearly never: there the likelihood is flat), and the likeliest of each row."""
        p = parameters["transition"]
        return {"logit": (p < 1e-8) | (np.arange(len(p)) == p.argmax(axis=1)[:, None])}

    def graph(self, free: Mapping[str, Variable], parameters: Parameters, X: Array | None) -> Variable:
        """Log probabilities as a graph."""
        import pytensor.tensor as pt

        with np.errstate(divide="ignore"):
            closed = np.where(parameters["transition"] > 0, 0.0, -np.inf)
        logit = free["logit"] + closed
        return logit - pt.log(pt.exp(logit).sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class DrivenTransitions:
    """Multinomial logits in each row's covariates; "intercept" (K, K) and "coef" (K, p, K), zero for staying.

    Parameters
    ----------
    allowed, prior : ndarray (K, K)
        As in `Transitions`; pseudo-counts are not used.
    alpha : float
        L2 penalty of coefficients.
    """

    allowed: Array
    prior: Array
    alpha: float = 0.0

    def _logits(self, intercept: Array, coef: Array, X: Array) -> Array:
        closed = np.where(self.allowed, 0.0, -np.inf)
        logit = intercept + np.einsum("tp,ipj->tij", X, coef) + closed
        return logit - chains.log_sum(logit, axis=2)[:, :, None]

    def log(self, parameters: Parameters, X: Array | None) -> Array:
        """Log probabilities (n, K, K) of the moves into each row."""
        assert X is not None
        return self._logits(parameters["intercept"], parameters["coef"], X)

    def maximise(self, parameters: Parameters, moves: Array, X: Array | None) -> dict[str, Array]:
        """Logistic regressions on expected moves (n, K, K), improved by L-BFGS."""
        assert X is not None
        K = len(self.allowed)
        intercept, coef = parameters["intercept"].copy(), parameters["coef"].copy()
        for i in range(K):
            open_ = self.allowed[i] & (np.arange(K) != self._base()[i])
            if open_.any() and moves[:, i].sum() > 1e-8:
                start = np.vstack([intercept[i], coef[i]])[:, open_]
                found = self._regress(start, X, moves[:, i], i, open_)
                intercept[i, open_], coef[i][:, open_] = found[0], found[1:]
        return {"intercept": intercept, "coef": coef}

    def _regress(self, start: Array, X: Array, counts: Array, i: int, open_: Array) -> Array:
        design, total = np.hstack([np.ones((len(X), 1)), X]), counts.sum(axis=1, keepdims=True)
        closed, size = np.where(self.allowed[i], 0.0, -np.inf), counts.sum()

        def objective(theta: Array) -> tuple[float, Array]:
            B = np.zeros((design.shape[1], len(open_)))
            B[:, open_] = theta.reshape(start.shape)
            logit = design @ B + closed
            log_p = logit - chains.log_sum(logit, axis=1)[:, None]
            value = -(counts * np.where(np.isfinite(log_p), log_p, 0.0)).sum() + self.alpha / 2 * (B[1:] ** 2).sum()
            slope = design.T @ (total * np.exp(log_p) - counts)
            slope[1:] += self.alpha * B[1:]
            return value / size, slope[:, open_].ravel() / size

        found = minimize(objective, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
        better = found.fun <= objective(start.ravel())[0]
        return (found.x if better else start.ravel()).reshape(start.shape)

    def _base(self) -> Array:
        """Move of each row whose logit is zero: staying, or the first allowed one."""
        return np.where(np.diag(self.allowed), np.arange(len(self.allowed)), self.allowed.argmax(axis=1))

    def start(self, moves: Array, X: Array | None) -> dict[str, Array]:
        """Logits from counted moves, no effects."""
        assert X is not None
        K = len(self.allowed)
        p = np.where(self.allowed, moves + 1.0, 1.0)
        logit = np.log(p) - np.log(p[range(K), self._base()])[:, None]
        return {"intercept": np.where(self.allowed, logit, 0.0), "coef": np.zeros((K, X.shape[1], K))}

    def log_prior(self, parameters: Parameters) -> float:
        """Minus the penalty."""
        return -self.alpha / 2 * float((parameters["coef"] ** 2).sum())

    def permute(self, parameters: Parameters, order: Array) -> dict[str, Array]:
        """States in another order."""
        return {
            "intercept": parameters["intercept"][np.ix_(order, order)],
            "coef": parameters["coef"][order][:, :, order],
        }

    def average(self, parameters: Parameters, X: Array | None) -> Array:
        """Matrix (K, K) of probabilities averaged over rows; at covariates 0 without rows."""
        rows = np.zeros((1, parameters["coef"].shape[1])) if X is None else X
        return np.exp(self.log(parameters, rows)).mean(axis=0)

    def size(self, parameters: Parameters) -> int:
        """Free logits, each with its coefficients."""
        return int((self.allowed.sum() - len(self.allowed)) * (1 + parameters["coef"].shape[1]))

    def free(self, parameters: Parameters) -> dict[str, Array]:
        """Logits are unconstrained."""
        return dict(parameters)

    def natural(self, free: Parameters, parameters: Parameters) -> dict[str, Array]:
        """Logits are unconstrained."""
        return dict(free)

    def fixed(self, parameters: Parameters) -> dict[str, Array]:
        """Moves that are not allowed, and the base of each row."""
        closed = ~self.allowed | (np.arange(len(self.allowed)) == self._base()[:, None])
        return {"intercept": closed, "coef": np.broadcast_to(closed[:, None], parameters["coef"].shape).copy()}

    def graph(self, free: Mapping[str, Variable], parameters: Parameters, X: Array | None) -> Variable:
        """Log probabilities as a graph (n, K, K)."""
        import pytensor.tensor as pt

        assert X is not None
        K = len(self.allowed)
        rows = [pt.dot(X, free["coef"][i]) + free["intercept"][i] for i in range(K)]
        logit = pt.stack(rows, axis=1) + np.where(self.allowed, 0.0, -np.inf)
        return logit - pt.log(pt.exp(logit).sum(axis=2, keepdims=True))
