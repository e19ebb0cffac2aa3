"""Poisson regression on categorical columns with many levels: ours on a pandas frame, glum with tabmat.

    python benchmarks/glm_categorical.py

200,000 rows, three categorical columns of 300, 100 and 40 levels and five numeric ones. Ours codes the frame as CSR
indicators, or hands level codes to an embedding of one dimension (an L2-penalised network term, so compared by
deviance only). A small L2 penalty on everything but the intercept keeps the optimum unique; both leave out each
column's reference level.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from common import available, in_turns, save, table

N, LEVELS, NUMERIC, ALPHA = 200_000, (300, 100, 40), 5, 1.0


def data() -> tuple[pd.DataFrame, np.ndarray]:
    """Levels of unequal frequency, a mean of about one."""
    rng = np.random.default_rng(0)
    eta = np.zeros(N)
    frame = pd.DataFrame(rng.normal(size=(N, NUMERIC)), columns=[f"x{j}" for j in range(NUMERIC)])
    eta += frame.to_numpy() @ (rng.normal(size=NUMERIC) / 10)
    for j, size in enumerate(LEVELS):
        share = rng.dirichlet(np.full(size, 2.0))
        codes = rng.choice(size, N, p=share)
        eta += (rng.normal(size=size) / 3)[codes]
        frame[f"c{j}"] = pd.Categorical.from_codes(codes, [f"level{k}" for k in range(size)])
    return frame, rng.poisson(np.exp(eta)).astype(float)


def ours(frame: pd.DataFrame, y: np.ndarray) -> np.ndarray:
    """Fitted means of reglm with sparse indicators."""
    from reglm import RecursiveGLMRegressor

    model = RecursiveGLMRegressor(family="poisson", alpha=ALPHA, handle_unknown="reference").fit(frame, y)
    return model.predict(frame)


def embedded(frame: pd.DataFrame, y: np.ndarray) -> np.ndarray:
    """The same linear predictor with one effect a level, looked up instead of multiplied."""
    from reglm import RecursiveGLMRegressor, layers

    names = [name for name in frame if name.startswith("c")]
    effects = layers.Embedding(tuple(names), 1, pool=True, alpha=ALPHA)
    effects = layers.Parallel((effects, layers.Select(tuple(range(NUMERIC)))))
    model = RecursiveGLMRegressor(family="poisson", layers=[effects], alpha=ALPHA).fit(frame, y)
    return model.predict(frame)


def glum(frame: pd.DataFrame, y: np.ndarray) -> np.ndarray:
    """Fitted means of glum, whose penalty is of the mean objective, on tabmat's categorical matrices."""
    from glum import GeneralizedLinearRegressor

    model = GeneralizedLinearRegressor(
        family="poisson", alpha=ALPHA / N, l1_ratio=0, drop_first=True, gradient_tol=1e-7
    ).fit(frame, y)
    return model.predict(frame)


def deviance(y: np.ndarray, mu: np.ndarray) -> float:
    """Mean Poisson deviance."""
    return float(2 * np.mean(mu - y + np.where(y > 0, y * np.log(np.where(y > 0, y, 1) / mu), 0)))


def main() -> None:
    """Measure, print one table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--embedded", action="store_true", help="also the embedded form")
    options = parser.parse_args()
    programs = {"reglm, CSR": ours} | ({"reglm, embedded": embedded} if options.embedded else {})
    programs |= {"glum": glum} if available("glum") else {}
    frame, y = data()
    timings = in_turns({name: lambda f=f: f(frame, y) for name, f in programs.items()}, options.turns)
    own = timings["reglm, CSR"]
    head = ["", "wall s", "median", "CPU s", "wall/ours", "CPU/ours", "mean deviance"]
    rows = [
        [name, t.wall, t.median, t.cpu, t.wall / own.wall, t.cpu / own.cpu, f"{deviance(y, t.result):.8f}"]
        for name, t in timings.items()
    ]
    table(f"Poisson log, {N} rows, levels {LEVELS}, {NUMERIC} numeric columns, fit and predict", head, rows)
    save(__file__, [dict(zip(head, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
