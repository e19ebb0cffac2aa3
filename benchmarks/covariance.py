"""Covariance of all parameters of a network: seconds and memory, and the Hessian in units of P gradients.

    python benchmarks/covariance.py
    python benchmarks/covariance.py --rows 2000 --parameters 100

One hidden tanh layer, poisson, 20,000 rows. Nothing is fitted: y is its mean at drawn weights, so that these are the
optimum, and a small penalty keeps the information from being singular. Each size runs in a process of its own; memory
is the rise of its peak. "one variance" solves for a single parameter by conjugate gradients, without any matrix.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from common import forget_peak, in_new_process, memory, save, table

ROWS, SIZES = 20_000, (100, 1_000, 5_000)
INPUTS = {100: 9, 1_000: 35, 5_000: 98}
"""Columns of X; units follow from them."""
ALPHA = 1.0
COLUMNS = ("P", "gradient", "expected", "observed", "Hessian / P gradients", "peak MB, expected", "peak MB, observed",
           "one variance")  # fmt: skip


def drawn(n: int, P: int) -> Any:
    """A record of a network of about P parameters over n rows, at drawn weights."""
    from reglm import families
    from reglm.likelihood import Data, Likelihood
    from reglm.network import multilayer
    from reglm.record import Fit

    p = INPUTS.get(P, 8)
    network = multilayer((P // (p + 2),), ("tanh",), p, 1)
    family = families.get("poisson")
    likelihood = Likelihood(network, family, family.resolve_link(None), backend="numba")
    rng = np.random.default_rng(0)
    X, theta = rng.normal(size=(n, p)), likelihood.layout.start(rng)
    y = np.exp(likelihood.eta(theta, X))
    data = Data(X, y, np.zeros((n, 1)), np.ones((n, 1)))
    penalty = np.full(len(theta), ALPHA)
    return Fit(likelihood, theta, data, 1.0, "fixed", penalty, 0 * penalty, "none", True, "", 0, 0.0, n, float(n))


def seconds(program: Callable[[], Any], turns: int = 1) -> float:
    """Least wall time of the turns."""
    taken = []
    for _ in range(turns):
        start = time.perf_counter()
        program()
        taken.append(time.perf_counter() - start)
    return min(taken)


def rise(program: Callable[[], Any]) -> tuple[float, float]:
    """Seconds, and rise of the peak memory in MB, of one run."""
    before = memory("VmRSS")
    forget_peak()
    taken = seconds(program)
    return taken, memory("VmHWM") - before


def measured(n: int, P: int) -> list[float]:
    """One line of the table, after the programs have been compiled on few rows."""
    from reglm.inference import covariance
    from reglm.inference.iterative import covariance_of

    small, fit = drawn(50, P), drawn(n, P)
    one = np.eye(len(fit.theta))[:1]
    covariance_of(small, one, "observed")
    small.likelihood.value_grad(small.theta, small.data)
    fit.likelihood.value_grad(fit.theta, fit.data)
    fit.likelihood.hessp(fit.theta, fit.data, one[0])
    gradient = seconds(lambda: fit.likelihood.value_grad(fit.theta, fit.data), 5)
    expected, expected_peak = rise(lambda: covariance(fit, "expected"))
    observed, observed_peak = rise(lambda: covariance(fit, "observed"))
    product = seconds(lambda: fit.likelihood.hessp(fit.theta, fit.data, one[0]), 5)
    single = seconds(lambda: covariance_of(fit, one, "observed"))
    ratio = product / gradient  # a Hessian is P products
    return [len(fit.theta), gradient, expected, observed, ratio, expected_peak, observed_peak, single]


def main() -> None:
    """Measure, print one table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--parameters", type=int, nargs="+", default=SIZES)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.rows, options.one)))
        return
    lines = [in_new_process(__file__, "--rows", str(options.rows), "--one", str(P)) for P in options.parameters]
    table(f"covariance, {options.rows} rows", COLUMNS, [[str(line[0]), *line[1:]] for line in lines])
    save(__file__, dict(zip(map(str, options.parameters), lines, strict=True)))


if __name__ == "__main__":
    main()
