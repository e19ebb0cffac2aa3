"""Likelihood and gradient of linear-Gaussian models: ours and statsmodels, same model, same parameters.

    python benchmarks/kalman.py

Both sides evaluate the log-likelihood and its gradient in the parameters of structural models with exact diffuse start:
local level, local linear trend with 12 seasons (log variances on our side, variances on theirs), and a dynamic factor
model of five series with two factors. statsmodels' `score` takes complex steps, one filter a parameter; ours is the
disturbance smoother, one pass for all of them. The likelihoods are checked to agree first. One thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from common import available, in_turns, save, table

from reglm.statespace.linear_gaussian_fit import Data, Likelihood
from reglm.statespace.linear_gaussian_free import Free
from reglm.statespace.linear_gaussian_structures import Structure, components

SIZES = (100, 1000, 10_000)
CALLS = 5


def series(n: int) -> np.ndarray:
    """Random walk with seasons and errors."""
    rng = np.random.default_rng(0)
    return np.cumsum(rng.normal(size=n)) + np.resize(rng.normal(size=12), n) + rng.normal(size=n)


def structural(n: int, structure: str) -> tuple[Callable, Callable]:
    """Return our program and theirs for one series of n rows."""
    import statsmodels.api as sm

    y = series(n)
    own = Structure(1, 0, components(structure), [])
    likelihood = Likelihood(own, Data(y[:, None], np.zeros((n, 0)), np.array([0, n])), "numba")
    theta = np.log(np.linspace(1.0, 0.1, own.size))
    words: dict[str, Any] = {"level": "llevel"} if structure == "local-level" else {"level": "lltrend", "seasonal": 12}
    peer = sm.tsa.UnobservedComponents(y, use_exact_diffuse=True, **words)
    return partial(likelihood.value_grad, theta), partial(theirs, peer, np.exp(theta))


def factors(n: int) -> tuple[Callable, Callable]:
    """Return our program and theirs for five series with two factors of autoregressive order one."""
    import statsmodels.api as sm

    y = np.random.default_rng(1).normal(size=(n, 5))
    own = Free(5, 0, 2, [], [f"y{j}" for j in range(5)], "stationary")
    likelihood = Likelihood(own, Data(y, np.zeros((n, 0)), np.array([0, n])), "numba")
    loadings, T = np.linspace(0.2, 1.0, 10), np.array([0.5, 0.1, -0.1, 0.4])
    peer = sm.tsa.DynamicFactor(y, k_factors=2, factor_order=1)
    theta = np.concatenate([np.zeros(5), loadings, T])
    return partial(likelihood.value_grad, theta), partial(theirs, peer, np.concatenate([loadings, np.ones(5), T]))


def theirs(model: Any, parameters: np.ndarray) -> tuple[float, np.ndarray]:
    """Log-likelihood and score of a model of statsmodels."""
    return model.loglike(parameters), model.score(parameters)


def many(program: Callable) -> Any:
    """Run a program several times."""
    for _ in range(CALLS - 1):
        program()
    return program()


def main() -> None:
    """Measure, print one table, write the results."""
    available("statsmodels")
    rows, figures = [], {}
    for title, build in (
        ("local level", lambda n: structural(n, "local-level")),
        ("trend and 12 seasons", lambda n: structural(n, "local-linear-trend + seasonal(12)")),
        ("2 factors of 5 series", factors),
    ):
        for n in SIZES:
            ours, peer = build(n)
            assert abs(ours()[0] - peer()[0]) < 1e-6 * n
            found = in_turns({"ours": partial(many, ours), "statsmodels": partial(many, peer)})
            seconds = {name: [t.wall / CALLS, t.cpu / CALLS] for name, t in found.items()}
            ratio = seconds["statsmodels"][1] / seconds["ours"][1]
            rows.append([f"{title}, n = {n:,}", *(1e3 * s for pair in seconds.values() for s in pair), ratio])
            figures[f"{title}, {n}"] = seconds
    table(
        "milliseconds per log-likelihood and gradient", ["", "ours", "cpu", "statsmodels", "cpu", "ratio (cpu)"], rows
    )
    save(__file__, figures)


if __name__ == "__main__":
    main()
