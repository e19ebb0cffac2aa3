"""Echo state networks of 100 units, Mackey-Glass series one step ahead: ours with its defaults beside reservoirpy.

    python benchmarks/echo_state.py
    python benchmarks/echo_state.py --seeds 10

The series (tau 17) is scaled to [-1, 1]; 2,000 rows are fitted after a washout of 100, the next 500 predicted.
reservoirpy has the settings of its tutorial, leak 0.5, spectral radius 0.9 and ridge 1e-7, and the ridges 1e-9 and
1e-11 besides, as its penalty is the user's to choose; ours is chosen by leave-one-out on the fitted rows. Seconds are
those of one fit and one prediction; errors are root mean squares over the seeds' reservoirs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from common import available, in_turns, save, table

from reglm import EchoStateNetwork, datasets

TRAIN, TEST, WASHOUT = 2_000, 500, 100
RIDGES = (1e-7, 1e-9, 1e-11)
COLUMNS = ("model", "RMSE, least", "median", "largest", "seconds", "CPU seconds", "times ours")


def series() -> Any:
    """Rows (n, 1) between -1 and 1."""
    x = datasets.simulate_mackey_glass(TRAIN + TEST + 1).data.to_numpy()
    return 2 * (x - x.min()) / (x.max() - x.min()) - 1


def ours(x: Any, seed: int) -> Any:
    """Predictions of the test rows."""
    model = EchoStateNetwork(washout=WASHOUT, random_state=seed).fit(x[:TRAIN], x[1 : TRAIN + 1, 0])
    return model.predict(x[:-1])[TRAIN:]


def theirs(x: Any, seed: int, ridge: float) -> Any:
    """Predictions of the test rows by reservoirpy, which goes on from the state it was left in."""
    from reservoirpy.nodes import Reservoir, Ridge

    model = Reservoir(100, lr=0.5, sr=0.9, seed=seed) >> Ridge(ridge=ridge)
    model.fit(x[:TRAIN], x[1 : TRAIN + 1], warmup=WASHOUT)
    return model.run(x[TRAIN:-1])[:, 0]


def errors(program: Callable[[int], Any], x: Any, seeds: int) -> list[float]:
    """Least, median and largest root mean square error."""
    found = [float(np.sqrt(np.mean((program(seed) - x[TRAIN + 1 :, 0]) ** 2))) for seed in range(seeds)]
    return [min(found), float(np.median(found)), max(found)]


def main() -> None:
    """Measure, print one table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    x = series()
    programs: dict[str, Callable[[int], Any]] = {"ours": partial(ours, x)}
    if available("reservoirpy"):
        programs |= {f"reservoirpy, ridge {ridge:g}": partial(theirs, x, ridge=ridge) for ridge in RIDGES}
    times = in_turns({name: partial(program, 0) for name, program in programs.items()}, options.turns)
    rows = [
        [
            name,
            *errors(program, x, options.seeds),
            times[name].wall,
            times[name].cpu,
            times[name].wall / times["ours"].wall,
        ]
        for name, program in programs.items()
    ]
    table(f"Mackey-Glass one step ahead, {options.seeds} reservoirs", COLUMNS, rows)
    save(__file__, [dict(zip(COLUMNS, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
