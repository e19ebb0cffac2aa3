"""Claim frequencies of 678,013 French motor policies: a GLM, recursive GLMs, and their ensemble.

    python benchmarks/fremtpl2.py validate   # choices: 10% of the training part held out
    python benchmarks/fremtpl2.py test       # the published split of Schelldorfer & Wüthrich (2019), once

Reads ``fremtpl2freq.npz`` from ../shared/data (or $REGLM_DATA) and skips, saying so, where it is absent. Figures are
Poisson deviances x 100 per policy; ClaimNb is capped at 4, Exposure at 1.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd

from reglm import RecursiveGLMRegressor, layers

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("REGLM_DATA", HERE.parent.parent / "shared" / "data"))
NUMERIC = ["VehPower", "VehAge", "DrivAge", "BonusMalus", "Density", "Area"]
FACTORS = ["VehBrand", "VehGas", "Region"]
CROSSES = ["Density*Region", "VehBrand*VehPower*VehAge*VehGas", "BonusMalus*VehBrand", "DrivAge*BonusMalus"]


def load() -> tuple[pd.DataFrame, np.ndarray]:
    """Policies as a frame, and the indicator of the training part."""
    stored = np.load(FOLDER / "fremtpl2freq.npz", allow_pickle=False)
    d = {name: stored[name] for name in stored.files}
    train = np.unpackbits(d.pop("train"))[: len(d["ClaimNb"])].astype(bool)
    frame = pd.DataFrame({name: d[name].astype(float) for name in NUMERIC})
    for name in FACTORS:
        frame[name] = pd.Categorical.from_codes(d[name], [str(v) for v in d[f"{name}_levels"]])
    frame["ClaimNb"] = np.minimum(d["ClaimNb"], 4).astype(float)
    frame["Exposure"] = np.minimum(d["Exposure"], 1).astype(float)
    return frame, train


def deviance(y: np.ndarray, mu: np.ndarray) -> float:
    """Poisson deviance x 100 per policy."""
    return float(200 * np.mean(mu - y + np.where(y > 0, y * np.log(np.where(y > 0, y, 1) / mu), 0)))


def glm1_columns(d: pd.DataFrame) -> pd.DataFrame:
    """The 48 columns of the published GLM1."""
    cut = {"VehAge": [1, 11], "DrivAge": [21, 26, 31, 41, 51, 71]}
    out = pd.DataFrame({"Area": d["Area"] + 1, "BonusMalus": d["BonusMalus"].clip(upper=150)})
    out["Density"] = np.log(d["Density"])
    out["VehPower"] = d["VehPower"].clip(upper=9).astype(int).astype(str)
    for name, points in cut.items():
        out[name] = np.digitize(d[name], points).astype(str)
    return out.join(d[[*FACTORS, "Exposure"]])


def network_columns(d: pd.DataFrame, train: np.ndarray) -> pd.DataFrame:
    """Inputs of the network: numbers, factors, and crosses of factors for the random effects."""
    out = d[[*NUMERIC, *FACTORS, "Exposure"]].copy()
    out["Density"] = np.log(d["Density"])
    for cross in CROSSES:
        code = np.zeros(len(d), dtype=np.int64)
        for name in cross.split("*"):
            values = d[name].cat.codes if name in FACTORS else d[name]
            levels, part = np.unique(values, return_inverse=True)
            code = code * len(levels) + part
        out[cross] = pd.Categorical(code, np.unique(code[train])).astype("category")
    return out


def knots(d: pd.DataFrame) -> list[np.ndarray]:
    """Every value of the whole numbers up to a far quantile; 40 quantiles of the log density."""
    found = []
    for name in NUMERIC:
        x = d[name].to_numpy()
        if name == "Density":
            found.append(np.unique(np.quantile(x, np.linspace(0, 1, 41))))
        else:
            found.append(np.unique(np.r_[np.unique(x[x <= np.quantile(x, 0.999)]), x.max()]))
    return found


def network(d: pd.DataFrame, seed: int, options: dict) -> RecursiveGLMRegressor:
    """Return a 64-32 network on ramps and embeddings, with the GLM and ridge random effects of crosses beside it."""
    ramps = layers.PiecewiseLinear(NUMERIC, knots=knots(d))
    drop = layers.Dropout(options["dropout"])
    body = [
        layers.Parallel([ramps, layers.Embedding(FACTORS, 4)]),
        layers.Dense(64, "relu"), drop, layers.Dense(32, "relu"), drop,
    ]  # fmt: skip
    linear = layers.Sequential([ramps, layers.Dense(1, bias=False, init="zeros")])
    effects = layers.Embedding(FACTORS, 1, pool=True)
    crosses = layers.Embedding(CROSSES, 1, pool=True, alpha=options["random_effects"])
    return RecursiveGLMRegressor(
        layers=body, skip=layers.Parallel([linear, effects, crosses], "sum"), family="poisson", exposure="Exposure",
        handle_unknown="reference", solver="adam", batch_size=2000, max_iter=options["epochs"], tol=0.0,
        learning_rate=options["learning_rate"], schedule="cosine", dtype="float32", backend="numba", random_state=seed,
    )  # fmt: skip


def report(name: str, y: np.ndarray, mu: np.ndarray, fitted: np.ndarray, seconds: float, rows: list[dict]) -> None:
    """Print and keep one line of the table."""
    inside, outside = deviance(y[fitted], mu[fitted]), deviance(y[~fitted], mu[~fitted])
    balance = mu[fitted].sum() / y[fitted].sum() - 1
    rows.append({"model": name, "in": inside, "out": outside, "balance": balance, "seconds": seconds})
    print(f"{name:24s} in {inside:9.5f}  out {outside:9.5f}  balance {balance:+.1e}  {seconds:6.1f} s", flush=True)


def main() -> None:
    """Fit, predict, tabulate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["validate", "test"])
    parser.add_argument("--members", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--learning-rate", type=float, default=0.005)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--random-effects", type=float, default=20.0)
    parser.add_argument("--no-glm", action="store_true")
    options = vars(parser.parse_args())
    if not (FOLDER / "fremtpl2freq.npz").exists():
        print("skipped: fremtpl2freq.npz is not in", FOLDER.name)
        return
    frame, train = load()
    if options["part"] == "validate":
        frame = frame[train].reset_index(drop=True)
        order = np.random.default_rng(2018).permutation(len(frame))
        train = np.ones(len(frame), dtype=bool)
        train[order[: len(frame) // 10]] = False
    y, rows = frame["ClaimNb"].to_numpy(), []
    if not options["no_glm"]:
        began = time.perf_counter()
        columns = glm1_columns(frame)
        glm = RecursiveGLMRegressor(family="poisson", exposure="Exposure").fit(columns[train], y[train])
        report("GLM1", y, glm.predict(columns), train, time.perf_counter() - began, rows)
    columns = network_columns(frame, train)
    total = np.zeros(len(y))
    for member in range(options["members"]):
        began = time.perf_counter()
        model = network(columns[train], member, options).fit(columns[train], y[train])
        mu = model.predict(columns).astype(float)
        report(f"network, seed {member}", y, mu, train, time.perf_counter() - began, rows)
        total += mu
        if member:
            spent = sum(r["seconds"] for r in rows if r["model"].startswith("network"))
            report(f"mean of {member + 1}", y, total / (member + 1), train, spent, rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory {peak:.2f} GB")
    (HERE / "results").mkdir(exist_ok=True)
    result = {"options": options, "rows": rows, "peak_gb": peak}
    (HERE / "results" / f"fremtpl2_{options['part']}.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
