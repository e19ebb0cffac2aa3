"""Parameters of a kernel by the gradient of the criterion that chooses the penalty.

At each value of the parameters one decomposition gives the best penalty, and by the envelope theorem the derivative of
the profile is the one at a fixed penalty (`reglm.kernels.gradients`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from reglm.kernels.criteria import best, grid
from reglm.kernels.duals import Dual
from reglm.kernels.gradients import value_and_gradient
from reglm.kernels.grams import GramSource
from reglm.kernels.hermite import SeriesWarning
from reglm.parameters import Array


class Tuned(NamedTuple):
    """A kernel at its best parameters.

    Parameters
    ----------
    source : GramSource
    restarts : list of dict
        ``start`` and ``theta`` (parameters,), ``value`` of the criterion, ``converged``, in the order they were run.
    """

    source: GramSource
    restarts: list[dict[str, Any]]


def tune(
    source: GramSource, X: Any, dual_of: Callable[[Array], Dual], name: str, penalty: float | None,
    n_restarts: int, rng: np.random.Generator, report: Callable[[dict[str, Any]], None] = lambda restart: None,
) -> Tuned:  # fmt: skip
    """Minimise a criterion over a kernel's parameters and, unless it is given, the penalty.

    Parameters
    ----------
    source : GramSource
        Its parameters are the first start.
    X : array or CSR (n, p)
    dual_of : callable
        Kernel matrix -> `Dual`.
    name : str
        Criterion, see `reglm.kernels.criteria`.
    penalty : float or None
        Fixed penalty; None chooses it by the same criterion.
    n_restarts : int
        Further starts, drawn uniformly within the bounds of the parameters' logarithms.
    rng : numpy.random.Generator
    report : callable, optional
        Called with each element of `Tuned.restarts` when it is there.

    Raises
    ------
    ValueError
        If the kernel has no parameters.
    """
    if not len(source.theta):
        raise ValueError("optimize_kernel: the kernel has no free parameters; set optimize_kernel=None.")
    low, high = source.bounds.T
    drawn = rng.uniform(low, high, size=(n_restarts, len(low)))
    restarts: list[dict[str, Any]] = []
    for start in [source.theta, *drawn]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SeriesWarning)  # the kernel that is chosen gives it once
            found = minimize(
                profile, start, args=(source, X, dual_of, name, penalty), jac=True, method="L-BFGS-B",
                bounds=source.bounds,
            )  # fmt: skip
        restarts.append({"start": start, "theta": found.x, "value": float(found.fun), "converged": bool(found.success)})
        report(restarts[-1])
    chosen = min(restarts, key=lambda restart: restart["value"])
    return Tuned(source.at(chosen["theta"]), restarts)


def profile(
    theta: Array, source: GramSource, X: Any, dual_of: Callable[[Array], Dual], name: str, penalty: float | None
) -> tuple[float, Array]:
    """Criterion at the best penalty, and its derivatives in the kernel's parameters."""
    K, derivatives = source.at(theta).derivatives(X)
    dual = dual_of(K)
    lam = float(best(dual, name, grid(dual))[0]) if penalty is None else penalty
    value, inner = value_and_gradient(dual, name, lam)
    return value, np.tensordot(inner, derivatives, 2)
