"""Coverage of intervals and size of tests for a network whose weights are known.

    python benchmarks/interval_coverage.py                     # 2,000 replications a case, resumed where it was stopped
    python benchmarks/interval_coverage.py --replications 200  # a quick look

The truth is a network of three inputs and two tanh units; inputs are independent standard normal draws, new in each
replication. Coverage is that of nominal 95% intervals, averaged over 25 fixed points (means, new responses) or over
the three inputs (average marginal effects, given the inputs drawn). The size of a test is the share of p-values below
0.05 where its hypothesis holds: for input tests the third input has no weights. A replication whose standard errors
are refused counts as refused and takes no part in the coverage; conformal intervals need none.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, save, table

W = np.array([[1.2, -0.6], [-0.8, 1.0], [0.5, 0.9]])
B = np.array([0.3, -0.4])
V = np.array([1.5, -1.2])
C = {"gaussian": 0.5, "poisson": 2.5, "bernoulli": 0.5}
"""Counts are large enough for intervals that end in whole numbers to come near their level."""
WITHOUT = np.array([[1.2, 0.9], [-1.0, 1.1], [0.0, 0.0]])
"""Weights under which the third input has no say, and the two units do different things without it."""
SIGMA = 0.5
POINTS = np.random.default_rng(12345).normal(size=(25, 3))
CASES = {
    "gaussian": ("gaussian", 500), "poisson": ("poisson", 500), "bernoulli": ("bernoulli", 5_000),
    "bernoulli 500": ("bernoulli", 500),
}  # fmt: skip
BOOTSTRAPPED, N_BOOT = 40, 199
"""Replications that are bootstrapped as well, and refits of each."""
SIZES, SMALL = 1_000, 500
"""Replications in which tests are run, and those of the case in which most fits are refused."""


def linear_predictor(family: str, X: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the true linear predictor (n,)."""
    return np.tanh(X @ weights + B) @ V + C[family]


def mean(family: str, eta: np.ndarray) -> np.ndarray:
    """Return the true mean (n,)."""
    return {"gaussian": eta, "poisson": np.exp(eta), "bernoulli": 1 / (1 + np.exp(-eta))}[family]


def draw(family: str, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw responses (n,)."""
    mu = mean(family, linear_predictor(family, X, weights))
    if family == "gaussian":
        return mu + SIGMA * rng.normal(size=len(X))
    return (rng.poisson(mu) if family == "poisson" else rng.random(len(X)) < mu).astype(float)


def effects(family: str, X: np.ndarray) -> np.ndarray:
    """Return the true average marginal effects (3,) at these rows."""
    units, mu = np.tanh(X @ W + B), mean(family, linear_predictor(family, X, W))
    slope = {"gaussian": np.ones_like(mu), "poisson": mu, "bernoulli": mu * (1 - mu)}[family]
    return (slope[:, None] * (((1 - units**2) * V) @ W.T)).mean(axis=0)


def model(family: str, seed: int, alpha: float = 0.0) -> Any:
    """Return an estimator of the true form."""
    from reglm import RecursiveGLMRegressor

    return RecursiveGLMRegressor((2,), family=family, n_init=3, alpha=alpha, backend="numba", random_state=seed)


def share(low: np.ndarray, high: np.ndarray, truth: np.ndarray) -> float:
    """Share of the truths within their intervals."""
    return float(np.mean((low <= truth) & (truth <= high)))


def means_covered(results: Any, truth: np.ndarray) -> float:
    """Coverage of the means at the points."""
    found = results.get_prediction(POINTS).summary_frame()
    return share(found["mean_ci_lower"].to_numpy(), found["mean_ci_upper"].to_numpy(), truth)


def intervals(case: str, r: int) -> dict[str, float]:
    """Coverages of one replication; only "refused" where standard errors are."""
    family, n = CASES[case]
    rng = np.random.default_rng([list(CASES).index(case), r])
    X = rng.normal(size=(n, 3))
    y, truth = draw(family, X, W, rng), mean(family, linear_predictor(family, POINTS, W))
    new = draw(family, POINTS, W, rng)
    found: dict[str, float] = {}
    fitted = model(family, r).fit(X, y)
    results = fitted.inference()
    found["refused"] = float(bool(results.refusal))
    found["noted"] = float(bool(results.notes))
    if not results.refusal:
        found["mean"] = means_covered(results, truth)
        table_ = results.marginal_effects(X).as_frame()
        found["effect"] = share(table_["[0.025"].to_numpy(), table_["0.975]"].to_numpy(), effects(family, X))
        if family != "bernoulli":
            within = results.prediction_interval(POINTS)
            found["response"] = share(np.asarray(within.lower), np.asarray(within.upper), new)
    if family != "bernoulli" and r % 4 == 0:
        held = results.conformal(seed=r).predict(POINTS)
        found["conformal response"] = share(np.asarray(held.lower), np.asarray(held.upper), new)
    penalised = model(family, r, alpha=0.5).fit(X, y).inference()
    found["penalised refused"] = float(bool(penalised.refusal))
    if not penalised.refusal:
        found["penalised mean"] = means_covered(penalised, truth)
    return found


def bootstraps(case: str, r: int) -> dict[str, float]:
    """Coverage of the means by bootstrap intervals, in the replication `intervals` has under this number."""
    family, n = CASES[case]
    rng = np.random.default_rng([list(CASES).index(case), r])
    X = rng.normal(size=(n, 3))
    results = model(family, r).fit(X, draw(family, X, W, rng)).inference()
    draws = results.bootstrap(N_BOOT, random_state=r).get_prediction(POINTS).summary_frame()
    truth = mean(family, linear_predictor(family, POINTS, W))
    return {
        "mean": share(draws["mean_ci_lower"], draws["mean_ci_upper"], truth),
        "delta": means_covered(results, truth),
    }


def sizes(case: str, r: int) -> dict[str, float]:
    """P-values of tests whose hypotheses hold: the third input has no say, two units are enough."""
    family, n = CASES[case]
    rng = np.random.default_rng([100 + list(CASES).index(case), r])
    X = rng.normal(size=(n, 3))
    y = draw(family, X, WITHOUT, rng)
    full, less = model(family, r).fit(X, y).inference(), model(family, r).fit(X[:, :2], y).inference()
    found = {"refused": float(bool(full.refusal))}
    if not full.refusal:
        found["Wald"] = full.wald_test_input("x2").pvalue
        found["LR"] = full.drop_input_test("x2").pvalue
    if not less.refusal:
        found["score, input"] = less.score_test_input(X[:, 2]).pvalue
        found["score, unit"] = less.score_test_hidden_unit().pvalue
    return found


def one(kind: str, case: str, r: int) -> dict[str, Any]:
    """Run one replication on one thread."""
    from threadpoolctl import threadpool_limits

    run = {"intervals": intervals, "sizes": sizes, "bootstraps": bootstraps}[kind]
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found: dict[str, Any] = run(case, r)
        except (ValueError, np.linalg.LinAlgError) as error:
            found = {"failed": f"{type(error).__name__}: {error}"}
    return {"kind": kind, "case": case, "r": r, **found}


def replicate(path: Path, replications: int, cases: list[str], jobs: int) -> None:
    """Run what the file does not hold yet; every line is one replication."""
    from joblib import Parallel, delayed

    done = {(d["kind"], d["case"], d["r"]) for d in read(path)}
    wanted = [("intervals", case, r) for r in range(replications) for case in cases if r < SMALL or "500" not in case]
    wanted += [("sizes", case, r) for r in range(min(SIZES, replications)) for case in cases if case != "bernoulli 500"]
    wanted += [
        ("bootstraps", case, r) for r in range(BOOTSTRAPPED) for case in ("gaussian", "poisson") if case in cases
    ]
    tasks = [task for task in wanted if task not in done]
    start = time.perf_counter()
    with path.open("a") as out:
        for i, found in enumerate(Parallel(n_jobs=jobs, return_as="generator")(delayed(one)(*task) for task in tasks)):
            out.write(json.dumps(found) + "\n")
            out.flush()
            if i % 200 == 199:
                print(f"{i + 1} of {len(tasks)}, {time.perf_counter() - start:.0f} s", flush=True)


def read(path: Path) -> list[dict[str, Any]]:
    """Replications done so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Coverage or size with its standard error, by case and quantity."""
    figures = []
    for kind, case in dict.fromkeys((d["kind"], d["case"]) for d in rows):
        mine = [d for d in rows if (d["kind"], d["case"]) == (kind, case)]
        figures.append({"kind": kind, "case": case, "of": "failed", "n": len(mine),
                        "share": np.mean(["failed" in d for d in mine]), "se": 0.0})  # fmt: skip
        for name in dict.fromkeys(key for d in mine for key in d if key not in ("kind", "case", "r", "failed")):
            x = np.array([d[name] for d in mine if name in d], dtype=float)
            if kind == "sizes" and name != "refused":
                x = (x < 0.05).astype(float)
            se = float(x.std() / np.sqrt(len(x)))
            figures.append({"kind": kind, "case": case, "of": name, "n": len(x), "share": float(x.mean()), "se": se})
    return figures


def main() -> None:
    """Run, print one table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=2_000)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument(
        "--scratch", type=Path, default=RESULTS / "interval_coverage.jsonl", help="replications, one a line"
    )
    options = parser.parse_args()
    options.scratch.parent.mkdir(exist_ok=True)
    replicate(options.scratch, options.replications, options.cases, options.jobs)
    figures = summarise(read(options.scratch))
    rows = [[f["kind"], f["case"], f["of"], str(f["n"]), f"{f['share']:.4f}", f"{f['se']:.4f}"] for f in figures]
    table("nominal 95% intervals and 5% tests", ["kind", "case", "of", "replications", "share", "se"], rows)
    save(__file__, figures)


if __name__ == "__main__":
    main()
