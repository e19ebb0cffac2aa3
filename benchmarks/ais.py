"""Log Z of a published RBM (784-500, CD-25, binarised MNIST) by annealed importance sampling; its test log-likelihood.

Salakhutdinov & Murray (2008) give 451.28 and -86.34. NumPy takes 49 s for 100 chains and 14,500 temperatures on the two
cores these figures are for; `python ais.py 1001` shows what few temperatures do.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
from common import DATA, GFLOPS, save, table
from sklearn.exceptions import ConvergenceWarning

from reglm.energy.annealing import log_partition
from reglm.energy.free_energy import Theta, free_energy
from reglm.energy.visible import layer

CHAINS = 100
PUBLISHED = 451.28


def machine() -> tuple[Theta, np.ndarray, np.ndarray]:
    """Parameters, training and test rows."""
    data = np.load(DATA / "rbm_cd25_500.npz")
    train, test = (np.unpackbits(data[name], axis=1)[:, :784].astype(np.float32) for name in ("train", "test"))
    W, b, c = (data[name].astype(float) for name in ("W", "b_visible", "c_hidden"))
    return Theta(W, b.ravel(), c.ravel(), np.zeros(784)), train, test


def main() -> None:
    """Anneal with and without the backward run."""
    temperatures = int(sys.argv[1]) if len(sys.argv) > 1 else 14_500
    theta, train, test = machine()
    visible = layer(["bernoulli"] * 784)
    F = float(free_energy(visible, theta, test).mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # two steps, to compile
        log_partition(visible, theta, train, temperatures=[0.0, 0.5, 1.0], rng=np.random.default_rng(1))
    rows, figures = [], {}
    for name, backward in (("forward", False), ("forward and backward", True)):
        wall, cpu = time.perf_counter(), time.process_time()
        found = log_partition(
            visible, theta, train, n_chains=CHAINS, temperatures=temperatures, backward=backward,
            rng=np.random.default_rng(0),
        )  # fmt: skip
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        rate = 2e-9 * 2 * theta.W.size * CHAINS * len(found.betas) / wall / GFLOPS["float32"]
        rows.append([name, wall, cpu, f"{found.log_z:.2f}", found.std_err, f"{found.upper:.2f}", found.upper_std_err,
                     f"{-F - found.log_z:.2f}", found.effective_size, rate])  # fmt: skip
        figures[name] = {"seconds": wall, "cpu": cpu, "log_z": found.log_z, "std_err": found.std_err,
                         "upper": found.upper, "upper_std_err": found.upper_std_err,
                         "test_log_likelihood": -F - found.log_z, "temperatures": len(found.betas)}  # fmt: skip
    columns = ["", "wall s", "cpu s", "log Z", "se", "upper", "se", "test log p", "eff. chains", "of dense roofline"]
    table(f"784-500 RBM, {CHAINS} chains x {temperatures:,} temperatures; published {PUBLISHED}, -86.34", columns, rows)
    save(__file__, figures)


if __name__ == "__main__":
    main()
