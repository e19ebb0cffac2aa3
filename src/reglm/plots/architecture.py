"""What a search of architectures found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from reglm.plots.style import COLORS, INK, PALE, axes, label, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {"aic": "AIC", "aicc": "AICc", "bic": "BIC", "tic": "TIC", "cv": "mean held-out deviance"}


def architecture(search: Any, *, x: str = "units", ax: Axes | None = None, color: str | None = None) -> Axes:
    """Draw the criterion of all candidates by their hidden units, inputs or parameters.

    Parameters
    ----------
    search : fitted ArchitectureSearch
    x : {"units", "inputs", "parameters"}
        Units are counted over all hidden layers.
    ax, color
        See `training_curve`.

    Returns
    -------
    matplotlib Axes
        A point for every candidate with a finite criterion, a line through the best of each number, with bars of a
        standard error for held-out deviances, and a ring at the chosen one.

    Raises
    ------
    ValueError
        If `x` is not known.
    """
    from matplotlib.ticker import MaxNLocator

    check_is_fitted(search)
    found = search.results_frame()
    counts = {
        "units": [sum(hidden) for hidden in found["hidden"]],
        "inputs": [len(names) for names in search.cv_results_["param_inputs"]],
        "parameters": found["n_parameters"],
    }
    if x not in counts:
        raise ValueError(f"x={x!r} is not known; choose one of {list(counts)}.")
    found = found.assign(count=np.asarray(counts[x]))
    finite = found[np.isfinite(found[search.criterion])]
    best = finite.loc[finite.groupby("count")[search.criterion].idxmin()]
    ax = axes(ax)
    color = color or COLORS[0]
    ax.plot(finite["count"], finite[search.criterion], "o", ms=4, color=PALE, label="candidates")
    error = best["std_err"] if best["std_err"].notna().any() else None
    ax.errorbar(best["count"], best[search.criterion], error, color=color, marker="o", ms=5, lw=1.8, capsize=3,
                label="best of each number")  # fmt: skip
    chosen = finite[finite["chosen"]]
    ax.plot(chosen["count"], chosen[search.criterion], "o", ms=12, mfc="none", color=INK, label="chosen")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    label(ax, {"units": "hidden units"}.get(x, x), NAMES[search.criterion])
    legend(ax)
    return ax
