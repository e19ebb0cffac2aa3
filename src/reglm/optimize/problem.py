"""What is minimised and what comes back.

Conventions
-----------
theta : (P,) flat parameter vector; its dtype is the dtype of the fit and is preserved.
objective : sum over rows of the negative log-likelihood plus the smooth penalty, plus ``sum(l1 * |theta|)``.
scale : total weight of the rows; "per unit weight" means divided by it, so that tolerances, learning
    rates and gradient norms do not depend on the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray
ValueGrad = tuple[float, Array]


@dataclass
class Problem:
    """A smooth objective with an optional L1 penalty, given by callables.

    Parameters
    ----------
    value_grad : callable
        ``theta -> (float, (P,))``, the smooth objective over all rows and its gradient.
    n_rows : int
        Number of rows that mini-batches are drawn from.
    value : callable, optional
        ``theta -> float``, the smooth objective alone where that is cheaper.
    information : callable, optional
        ``theta -> ((P,), (P, P))``, the gradient and the expected information, penalty included.
    hessian : callable, optional
        ``theta -> (P, P)``, the exact Hessian of the smooth objective.
    hessp : callable, optional
        ``(theta, v) -> (P,)``, exact Hessian product.
    gnp : callable, optional
        ``theta -> (v -> (P,))``, Gauss-Newton (expected information) products.
    batch_value_grad : callable, optional
        ``(theta, rows) -> (float, (P,))``, the *mean* smooth objective per unit weight on the rows with these
        numbers, plus the smooth penalty divided by ``scale``. `theta` is updated in place between calls.
    l1 : (P,) array, optional
        L1 penalty of each coordinate of the sum objective.
    scale : float, optional
        Total weight; the number of rows by default.
    monitor : callable, optional
        ``theta -> float``, held-out deviance for early stopping; lower is better.
    """

    value_grad: Callable[[Array], ValueGrad]
    n_rows: int
    value: Callable[[Array], float] | None = None
    information: Callable[[Array], tuple[Array, Array]] | None = None
    hessian: Callable[[Array], Array] | None = None
    hessp: Callable[[Array, Array], Array] | None = None
    gnp: Callable[[Array], Callable[[Array], Array]] | None = None
    batch_value_grad: Callable[[Array, Array], ValueGrad] | None = None
    l1: Array | None = None
    scale: float | None = None
    monitor: Callable[[Array], float] | None = None

    @property
    def weight(self) -> float:
        """Total weight of the rows."""
        return float(self.n_rows if self.scale is None else self.scale)

    def l1_mean(self, dtype: np.dtype) -> Array | None:
        """L1 penalties (P,) of the objective per unit weight."""
        return None if self.l1 is None else (self.l1 / self.weight).astype(dtype)


@dataclass
class Result:
    """The best parameters found and how the search went.

    Attributes
    ----------
    theta : (P,) array
        Best finite parameters: lowest monitor where there is one, lowest objective else.
    value : float
        Objective at `theta`, L1 penalty included.
    grad_norm : float
        Largest absolute entry of the (minimum-norm sub)gradient at `theta`, per unit weight.
    n_iter, n_eval : int
        Iterations (epochs of the stochastic solvers); passes over all rows.
    status : str
        ``"converged"``, ``"stopped early"`` (monitor), ``"callback"``, ``"interrupted"``, ``"max_iter"``,
        ``"stalled"`` (no further decrease possible, tolerance not met), ``"diverging"`` (no finite optimum:
        separation) or ``"non-finite"``.
    message : str
        The same in words, with the remedy where there is one.
    history : dict of lists
        ``objective``, ``monitor`` and ``step`` (step length, or learning rate) by iteration.
    state : object
        Memory of a stochastic solver, to be passed to the next `minimize` call that continues this one.
    """

    theta: Array
    value: float
    grad_norm: float
    n_iter: int
    n_eval: int
    status: str
    message: str
    history: dict[str, list[float]] = field(default_factory=dict)
    state: Any = None

    @property
    def converged(self) -> bool:
        """Whether a convergence criterion was met; early stopping is not convergence."""
        return self.status == "converged"

    @property
    def interrupted(self) -> bool:
        """Whether the user interrupted the fit (Ctrl-C)."""
        return self.status == "interrupted"


def subgradient(theta: Array, gradient: Array, l1: Array | None) -> Array:
    """Minimum-norm subgradient of the penalised objective; zero exactly at its minimum.

    Parameters
    ----------
    theta, gradient : (P,) arrays
        Parameters and the gradient of the smooth part there.
    l1 : (P,) array or None
        L1 penalties on the scale of `gradient`.

    Returns
    -------
    (P,) array
    """
    if l1 is None:
        return gradient
    at_zero = np.sign(gradient) * np.maximum(np.abs(gradient) - l1, 0)
    return np.where(theta == 0, at_zero, gradient + l1 * np.sign(theta))


def soft_threshold(theta: Array, threshold: Array | float) -> None:
    """Shrink `theta` towards zero by `threshold`, in place: the proximal step of the L1 penalty.

    Parameters
    ----------
    theta : (P,) array
        Changed in place.
    threshold : (P,) array or float
        How far; entries within it become exactly zero.
    """
    np.subtract(theta, np.clip(theta, -threshold, threshold), out=theta)
