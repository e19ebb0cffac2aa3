"""EM of a Gaussian hidden Markov model against hmmlearn: seconds of ten steps from the same start.

    python benchmarks/gaussian_hmm.py            # the table; writes benchmarks/results/gaussian_hmm.json
    python benchmarks/gaussian_hmm.py --quick    # one turn

10 states, 50,000 x 4 rows, full covariances, as one sequence and as 100. Both sides start from the same parameters and
end at the same log-likelihood, which is printed.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

import numpy as np
from common import available, in_turns, save, table

from reglm.parameters import Array
from reglm.statespace.emissions import Gaussian, Rows
from reglm.statespace.expectation import EStep
from reglm.statespace.hidden_markov import Model, Parameters, em
from reglm.statespace.transitions import Transitions

K, N, D, STEPS = 10, 50_000, 4, 10


def data() -> tuple[Array, Parameters]:
    """Rows of a chain with overlapping states, and where both sides start."""
    rng = np.random.default_rng(0)
    z = np.repeat(rng.integers(0, K, N // 10), 10)
    centres = 2 * rng.normal(size=(K, D))
    y = centres[z] + rng.normal(size=(N, D))
    transition = np.full((K, K), 0.05) + 0.5 * np.eye(K)
    start = {"mean": centres + rng.normal(size=(K, D)), "covariance": np.tile(np.eye(D), (K, 1, 1))}
    return y, Parameters(np.full(K, 1 / K), {"transition": transition / transition.sum(axis=1, keepdims=True)}, start)


def ours(y: Array, start: Parameters, lengths: Array) -> Callable[[], float]:
    """Ten steps of `em`."""
    moves = Transitions(np.ones((K, K), bool), np.zeros((K, K)))
    model = Model(Gaussian("full", y.std(axis=0), floor=1e-9), moves, np.ones(K, bool), np.zeros(K))
    step = EStep(lengths, np.ones(len(lengths)), "numba")
    return lambda: em(model, Rows(y), step, start, max_iter=STEPS - 1, tol=0).objective


def theirs(y: Array, start: Parameters, lengths: Array) -> Callable[[], float]:
    """Ten steps of hmmlearn."""
    from hmmlearn.hmm import GaussianHMM

    def program() -> float:
        peer = GaussianHMM(
            K,
            "full",
            init_params="",
            n_iter=STEPS,
            tol=-np.inf,
            min_covar=0,
            covars_prior=0,
            covars_weight=0,
            means_weight=0,
        )
        peer.startprob_, peer.transmat_ = start.initial, start.moves["transition"]
        peer.means_, peer.covars_ = start.emission["mean"], start.emission["covariance"]
        peer.fit(y, lengths)
        return float(peer.monitor_.history[-1])

    return program


def main() -> None:
    """Print the table and write the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    turns = 1 if parser.parse_args().quick else 5
    y, start = data()
    rows, figures = [], {}
    for S in (1, 100):
        lengths = np.full(S, N // S)
        programs = {"reglm": ours(y, start, lengths)}
        if available("hmmlearn"):
            programs["hmmlearn"] = theirs(y, start, lengths)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = in_turns(programs, turns)
        for name, timing in found.items():
            rows.append([f"{name}, {S} sequence(s)", timing.wall, timing.cpu, timing.median, f"{timing.result:.6f}"])
            figures[f"{name} {S}"] = {"wall": timing.wall, "cpu": timing.cpu, "loglik": timing.result}
        if "hmmlearn" in found:
            rows.append([f"ratio, {S}", found["hmmlearn"].wall / found["reglm"].wall, "", "", ""])
    columns = ["", "wall s", "CPU s", "median s", "log-likelihood"]
    table(f"{STEPS} EM steps, K={K}, {N:,} x {D}, full covariances", columns, rows)
    save(__file__, figures)


if __name__ == "__main__":
    main()
