"""Poisson regression with a log link, 300,000 x 40, dense: ours, glum, statsmodels.

    python benchmarks/glm_dense.py

No penalty, so the three maximise one likelihood; their coefficients are compared. Memory is the rise of the peak
during a fit, in a process of its own that has fitted a small model before.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from common import available, forget_peak, in_new_process, in_turns, memory, save, table

N, P = 300_000, 40


def data(n: int = N) -> tuple[np.ndarray, np.ndarray]:
    """Correlated columns, a mean of about one."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, P))
    X[:, 1:] += 0.5 * X[:, :-1]
    beta = rng.normal(size=P) / 20
    return X, rng.poisson(np.exp(X @ beta)).astype(float)


def ours(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Coefficients and intercept of reglm."""
    from reglm import RecursiveGLMRegressor

    model = RecursiveGLMRegressor(family="poisson").fit(X, y)
    return np.append(model.coef_, model.intercept_)


def glum(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same by glum, told to converge to where coefficients agree."""
    from glum import GeneralizedLinearRegressor

    model = GeneralizedLinearRegressor(family="poisson", alpha=0, gradient_tol=1e-7).fit(X, y)
    return np.append(model.coef_, model.intercept_)


def glum_default(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same by glum at its default tolerance."""
    from glum import GeneralizedLinearRegressor

    model = GeneralizedLinearRegressor(family="poisson", alpha=0).fit(X, y)
    return np.append(model.coef_, model.intercept_)


def statsmodels(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same by statsmodels."""
    import statsmodels.api as sm

    model = sm.GLM(y, sm.add_constant(X), family=sm.families.Poisson()).fit()
    return np.append(model.params[1:], model.params[0])


PROGRAMS = {"reglm": ours, "glum": glum, "glum, default tol": glum_default, "statsmodels": statsmodels}


def rise(name: str) -> float:
    """Rise of the peak memory during one fit, in MB."""
    PROGRAMS[name](*data(1000))
    X, y = data()
    before = memory("VmRSS")
    forget_peak()
    PROGRAMS[name](X, y)
    return memory("VmHWM") - before


def main() -> None:
    """Measure, print one table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print(json.dumps(rise(options.peak)))
        return
    peers = available("glum", "statsmodels")
    X, y = data()
    chosen = {name: f for name, f in PROGRAMS.items() if name == "reglm" or name.split(",")[0] in peers}
    timings = in_turns({name: lambda f=f: f(X, y) for name, f in chosen.items()}, options.turns)
    own, rows = timings["reglm"], []
    for name, t in timings.items():
        apart = float(np.max(np.abs(t.result - own.result)))
        rise_mb = in_new_process(__file__, "--peak", name)
        rows.append([name, t.wall, t.median, t.cpu, t.wall / own.wall, t.cpu / own.cpu, rise_mb, apart])
    head = ["", "wall s", "median", "CPU s", "wall/ours", "CPU/ours", "memory MB", "max |difference|"]
    table(f"Poisson log, {N} x {P}, dense", head, rows)
    save(__file__, [dict(zip(head, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
