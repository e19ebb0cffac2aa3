"""The second table of ``reglm demo``: five models with a memory on one series."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

import reglm
from reglm.cli.document import Document
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd

TRAIN = 240
"""Years that the models are fitted to."""


def models() -> dict[str, Any]:
    """Return the models of the comparison, not fitted."""
    options = {"skip": True, "alpha": 3.0, "tol": 1e-3, "random_state": 0}
    return {
        "AR-GLM, 9 years": reglm.Autoregression(reglm.RecursiveGLMRegressor(), order=9),
        "RNN, 3 units": reglm.RecurrentGLM("elman", 3, **options),
        "LSTM, 2 units": reglm.RecurrentGLM("lstm", 2, max_iter=50, **options),
        "HMM, 2 autoregressions": reglm.HiddenMarkovModel(2, order=9, tol=1e-4, random_state=0),
        "linear-Gaussian, cycles": reglm.LinearGaussianSSM(structure="local-level+cycle", tol=1e-2),
    }


def series() -> Array:
    """Return the root of the yearly number of sunspots (309, 1)."""
    return np.sqrt(reglm.datasets.load_sunspots().target.to_numpy(float))[:, None]


def scores() -> pd.DataFrame:
    """Fit the models to the first years and judge them on the rest.

    Returns
    -------
    DataFrame
        Mean log-density of the years fitted and of those after them, each given the years before it; seconds.
    """
    import pandas as pd

    y, found = series(), {}
    for name, model in models().items():
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the LSTM's, which is stopped early
            model.fit(y[:TRAIN])
        seconds = time.perf_counter() - began
        fitted, together = (float(model.logpdf(rows)[0]) for rows in (y[:TRAIN], y))
        found[name] = {"fitted": fitted / TRAIN, "later": (together - fitted) / (len(y) - TRAIN), "seconds": seconds}
    return pd.DataFrame(found).T


def formatted(table: pd.DataFrame) -> pd.DataFrame:
    """Return the comparison as strings."""
    import pandas as pd

    columns = {
        "log score, fitted years": table["fitted"].map("{:.3f}".format),
        "later years": table["later"].map("{:.3f}".format),
        "fit, s": table["seconds"].map("{:.2f}".format),
    }
    return pd.DataFrame(columns)


def section(page: Document, table: pd.DataFrame) -> None:
    """Write the table into the report."""
    years = len(series()) - TRAIN
    page.heading("And a series?")
    page.text(
        f"Yearly numbers of sunspots, square roots. Five models, fitted to {TRAIN} years, forecast each of the "
        f"{years} years after them from all years before it. A recurrent network is a state-space model whose state "
        "moves without chance; the states of the last two models move at random. Since all have a likelihood, one "
        "number judges them: the mean log-density of what was observed."
    )
    page.table(formatted(table), best=str(table["later"].idxmax()))
    page.text("The LSTM is stopped after 50 iterations. Seconds: one fit, one core, compilations included.", "note")
