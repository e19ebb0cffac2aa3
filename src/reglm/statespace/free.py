"""Hidden Markov models on an unconstrained scale: gradients, maximum likelihood by L-BFGS, observed information.

The gradient is Fisher's identity: expected counts times derivatives of logarithms. Second derivatives go through the
Op of `ops.forward_backward`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from scipy.optimize import minimize

from reglm.compiling import Interpreted
from reglm.ops.forward_backward import chain_log_likelihood
from reglm.parameters import Array
from reglm.statespace.emissions import Rows
from reglm.statespace.expectation import EStep
from reglm.statespace.hidden_markov import Model, Parameters, Run

Variable = Any


@dataclass(frozen=True)
class Free:
    """Free parameters as one vector, about given estimates.

    Parameters
    ----------
    model : Model
    at : Parameters
        Probabilities of zero there stay zero.
    """

    model: Model
    at: Parameters

    def arrays(self, parameters: Parameters) -> dict[str, Array]:
        """Unconstrained arrays by name; those of the chain first."""
        p = parameters.initial
        moves = self.model.transitions.free(parameters.moves)
        emission = self.model.emission.free(parameters.emission)
        found = {"initial": np.log(np.where(p > 0, p, 1.0))}
        found |= {f"moves.{name}": v for name, v in moves.items()} | {f"emission.{n}": v for n, v in emission.items()}
        return {name: np.ascontiguousarray(v, float) for name, v in found.items()}

    def chosen(self) -> Array:
        """Indicator of estimated entries among all entries of `arrays`."""
        p = self.at.initial
        fixed = {"initial": (p < 1e-8) | (np.arange(len(p)) == p.argmax())}
        fixed |= {f"moves.{n}": v for n, v in self.model.transitions.fixed(self.at.moves).items()}
        emission = self.model.emission
        fixed |= {f"emission.{n}": v for n, v in emission.fixed(emission.free(self.at.emission)).items()}
        return ~np.concatenate([fixed[name].ravel() for name in self.arrays(self.at)])

    def split(self, flat: Array) -> dict[str, Array]:
        """Arrays from all their entries."""
        like = self.arrays(self.at)
        pieces = np.split(flat, np.cumsum([v.size for v in like.values()])[:-1])
        return {name: piece.reshape(v.shape) for piece, (name, v) in zip(pieces, like.items(), strict=True)}

    def parameters(self, arrays: dict[str, Array]) -> Parameters:
        """Inverse of `arrays`."""
        p = np.where(self.at.initial > 0, np.exp(arrays["initial"]), 0.0)
        moves = self.model.transitions.natural(_under("moves.", arrays), self.at.moves)
        return Parameters(p / p.sum(), moves, self.model.emission.natural(_under("emission.", arrays)))

    # -- graphs --------------------------------------------------------------------------------------------------------

    def variables(self) -> dict[str, Variable]:
        """Symbols of the arrays, shapes known."""
        return {name: pt.tensor(name, dtype="float64", shape=v.shape) for name, v in self.arrays(self.at).items()}

    def logs(self, symbols: dict[str, Variable], rows: Rows) -> tuple[Variable, Variable, Variable]:
        """Logarithms of initial and transition probabilities and of densities, as graphs."""
        with np.errstate(divide="ignore"):
            logit = symbols["initial"] + np.where(self.at.initial > 0, 0.0, -np.inf)
        moves = self.model.transitions.graph(_under("moves.", symbols), self.at.moves, rows.Z)
        density = self.model.emission.graph(_under("emission.", symbols), rows)
        return logit - pt.log(pt.exp(logit).sum()), moves, density


def _under(prefix: str, named: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): v for name, v in named.items() if name.startswith(prefix)}


class Gradient:
    """Minus the weighted log-likelihood and its gradient in the estimated entries, per row.

    Parameters
    ----------
    free : Free
    rows : Rows
    step : EStep
    """

    def __init__(self, free: Free, rows: Rows, step: EStep) -> None:
        self.free, self.rows, self.step = free, rows, step
        self.chosen = free.chosen()
        self.base = np.concatenate([v.ravel() for v in free.arrays(free.at).values()])
        symbols = free.variables()
        logs = free.logs(symbols, rows)
        counts = [x.type() for x in logs]
        # a count of zero beside a logarithm of zero adds nothing
        total = sum(pt.switch(pt.eq(c, 0), 0.0, c * x).sum() for c, x in zip(counts, logs, strict=True))
        gradient = pytensor.grad(total, list(symbols.values()), disconnected_inputs="ignore")
        self._run = Interpreted([*symbols.values(), *counts], [*logs, *gradient])
        self._logs = Interpreted(list(symbols.values()), list(logs))

    def arrays(self, theta: Array) -> dict[str, Array]:
        """Arrays with estimated entries theta."""
        flat = self.base.copy()
        flat[self.chosen] = theta
        return self.free.split(flat)

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """Value and gradient."""
        given, n = list(self.arrays(theta).values()), len(self.rows.y)
        logs = self._logs(*given)
        found = self.step(*logs)
        value = -float(self.step.weights @ found.loglik) / n
        if not np.isfinite(value):
            return 1e300, np.zeros_like(theta)
        gradient = self._run(*given, found.first, found.moves, found.states)[3:]
        return value, -np.concatenate([np.ravel(g) for g in gradient])[self.chosen] / n


def ascend(model: Model, rows: Rows, step: EStep, start: Parameters, *, max_iter: int, tol: float) -> Run:
    """Maximise the likelihood by L-BFGS from `start`; priors are not used.

    Returns
    -------
    Run
        With the log-likelihoods at the start and at the end.
    """
    free = Free(model, start)
    gradient = Gradient(free, rows, step)
    theta = gradient.base[gradient.chosen]
    before = gradient(theta)[0]
    options = {"maxiter": max_iter, "ftol": 1e-15, "gtol": max(tol, 1e-9), "maxls": 40}
    found = minimize(gradient, theta, jac=True, method="L-BFGS-B", options=options)
    n, better = len(rows.y), found.fun <= before
    parameters = free.parameters(gradient.arrays(found.x)) if better else start
    return Run(parameters, [-before * n, -min(found.fun, before) * n], bool(found.status == 0))


def information(free: Free, rows: Rows, lengths: Array, weights: Array) -> Array:
    """Observed information of the estimated entries, (P, P): minus the Hessian of the log-likelihood."""
    symbols = free.variables()
    loglik = chain_log_likelihood(*free.logs(symbols, rows), pt.constant(lengths.astype(np.int64)))
    names = list(symbols.values())
    gradient = pytensor.grad((loglik * weights).sum(), names, disconnected_inputs="ignore")
    direction = [x.type() for x in names]
    along = sum((g * v).sum() for g, v in zip(gradient, direction, strict=True))
    product = Interpreted([*names, *direction], pytensor.grad(along, names, disconnected_inputs="ignore"))
    chosen, given = free.chosen(), list(free.arrays(free.at).values())
    H = np.empty((chosen.sum(), chosen.sum()))
    for row, j in enumerate(np.flatnonzero(chosen)):
        e = np.zeros(len(chosen))
        e[j] = 1.0
        found = product(*given, *free.split(e).values())
        H[row] = -np.concatenate([np.ravel(x) for x in found])[chosen]
    return (H + H.T) / 2


def slopes(free: Free, function: Any) -> Array:
    """Jacobian (m, P) of a function of `Parameters` in the estimated entries, by central differences."""
    chosen = free.chosen()
    base = np.concatenate([v.ravel() for v in free.arrays(free.at).values()])
    columns = []
    for j in np.flatnonzero(chosen):
        h = 1e-5 * max(1.0, abs(base[j]))
        sides = []
        for sign in (1, -1):
            moved = base.copy()
            moved[j] += sign * h
            sides.append(function(free.parameters(free.split(moved))))
        columns.append((sides[0] - sides[1]) / (2 * h))
    return np.stack(columns, axis=1)
