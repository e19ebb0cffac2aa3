"""Residuals of a fit: against means or inputs, against normal quantiles, and their spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats
from scipy.special import gamma

from reglm.inference import Results
from reglm.inference.envelope import exact_envelope, simulated_envelope
from reglm.inference.residuals import training_rows
from reglm.parameters import Array
from reglm.plots.source import examined, response_name
from reglm.plots.style import COLORS, INK, PALE, axes, label, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMOOTHED = 3000
"""Points up to which the smooth line is computed from all of them; beyond, from that many of them."""
JITTER = 0.16
"""Half the width over which rows of one level are spread."""
LABELLED = 3
HALF_NORMAL_ROOT = 2**0.25 * gamma(0.75) / np.sqrt(np.pi)
"""Mean of the root of the absolute value of a standard normal number."""


def residuals(
    result: Any,
    kind: str | None = None,
    against: str = "fitted",
    *,
    studentized: bool = False,
    smooth: bool = True,
    seed: int = 0,
    output: int = 0,
    ax: Axes | None = None,
    color: str | None = None,
) -> Axes:
    """Draw residuals against fitted means, the linear predictor, the order of rows, or an input.

    Parameters
    ----------
    result : Results, fitted estimator or Fit
    kind : str, optional
        See `Results.resid`. By default quantile residuals, which look the same for every family when the model is
        right; deviance residuals for quasi families, which have no distribution.
    against : str
        ``"fitted"``, ``"eta"``, ``"row"``, or the name of an input: of one the model leaves out nothing is known
        here.
    studentized : bool
        See `Results.resid`.
    smooth : bool
        Draw a LOWESS line (Cleveland 1979): away from zero, the mean is wrong there.
    seed : int
        Of quantile residuals and of the jitter.
    output : int
        Response or class.
    ax, color
        See `training_curve`.

    Returns
    -------
    matplotlib Axes
    """
    results = examined(result)
    kind = kind or _natural_kind(results)
    y = _column(results.resid(kind, studentized=studentized, seed=seed), output)
    x, levels, name = _abscissa(results, against, output)
    ax = axes(ax)
    spread = np.random.default_rng([seed, 1]).uniform(-JITTER, JITTER, len(x)) if levels else 0.0
    _points(ax, x + spread, y, color)
    ax.axhline(0.0, color="#888888", lw=1.0, ls=(0, (4, 3)), zorder=1)
    if levels:
        ax.set_xticks(range(len(levels)), [str(level) for level in levels])
        _level_means(ax, x, y)
    elif smooth:
        _smooth(ax, x, y)
    label(ax, name, f"{'studentized ' if studentized else ''}{kind} residual")
    return ax


def qq(
    result: Any,
    *,
    simulations: int = 0,
    level: float = 0.95,
    seed: int = 0,
    output: int = 0,
    ax: Axes | None = None,
    name: str | None = None,
    color: str | None = None,
) -> Axes:
    """Draw sorted quantile residuals against normal quantiles; studentized deviance residuals for quasi families.

    Parameters
    ----------
    result : Results, fitted estimator or Fit
    simulations : int
        Take the envelope from so many refits to simulated responses, which allow for estimated parameters; 0
        takes the exact one of independent normal numbers.
    level : float
        Of the envelope at each point; some points of a good model lie outside.
    seed : int
    output : int
        Response.
    ax, name, color
        See `training_curve`.

    Returns
    -------
    matplotlib Axes
        On the line, the family's distribution fits: bends at the ends are tails too heavy or too light.
    """
    results = examined(result)
    kind, values = _standardised(results, None, seed)
    y = np.sort(_column(values, output))
    n = len(y)
    x = stats.norm.ppf((np.arange(1, n + 1) - 0.5) / n)
    low, high = simulated_envelope(results.fit, simulations, level, seed) if simulations else exact_envelope(n, level)
    ax = axes(ax, (4.6, 4.2))
    ax.fill_between(x, low, high, color=PALE, alpha=0.6, lw=0, zorder=1)
    ax.axline((0.0, 0.0), slope=1.0, color="#888888", lw=1.0, ls=(0, (4, 3)), zorder=2)
    ax.plot(x, y, "o", ms=3.5, mec="none", alpha=0.8, color=color or COLORS[0], label=name, zorder=3)
    ax.set_xlim(1.08 * x[0], 1.08 * x[-1])
    ax.set_ylim(1.08 * min(x[0], y[0], low[0]), 1.08 * max(x[-1], y[-1], high[-1]))
    label(ax, f"normal quantile ({level:.0%} envelope)", f"sorted {kind} residual")
    legend(ax, loc="upper left")
    return ax


def scale_location(
    result: Any,
    kind: str | None = None,
    *,
    seed: int = 0,
    output: int = 0,
    ax: Axes | None = None,
    color: str | None = None,
) -> Axes:
    """Draw the root of the absolute residual against the fitted mean.

    Parameters
    ----------
    result : Results, fitted estimator or Fit
    kind : {"quantile", "deviance", "pearson"}, optional
        The last two are studentized. The default is that of `residuals`.
    seed : int
        Of quantile residuals.
    output : int
        Response.
    ax, color
        See `training_curve`.

    Returns
    -------
    matplotlib Axes
        A level line means that the variance depends on the mean as the family says. The dashed line is where
        normal residuals of variance one have it.
    """
    results = examined(result)
    kind, values = _standardised(results, kind, seed)
    y = np.sqrt(np.abs(_column(values, output)))
    x, _, name = _abscissa(results, "fitted", output)
    ax = axes(ax)
    _points(ax, x, y, color)
    _smooth(ax, x, y)
    ax.axhline(HALF_NORMAL_ROOT, color="#888888", lw=1.0, ls=(0, (4, 3)), zorder=1)
    ax.set_ylim(bottom=0.0)
    label(ax, name, f"root of |{kind} residual|")
    return ax


# -- parts ------------------------------------------------------------------------------------------------


def _natural_kind(results: Results) -> str:
    return "quantile" if results.fit.likelihood.family.likelihood else "deviance"


def _standardised(results: Results, kind: str | None, seed: int) -> tuple[str, Array]:
    """Residuals with variance near one, and what they are called."""
    kind = kind or _natural_kind(results)
    if kind == "quantile":
        return kind, results.resid(kind, seed=seed)
    return f"studentized {kind}", results.resid(kind, studentized=True)


def _column(values: Array, output: int) -> Array:
    return values if values.ndim == 1 else values[:, output]


def _abscissa(results: Results, against: str, output: int) -> tuple[Array, list[Any] | None, str]:
    """Values (n,), the levels they number if they are categories, and the name of the axis."""
    rows = training_rows(results.fit)
    if against == "fitted":
        return rows.mean[:, output], None, f"fitted mean of {response_name(results, output)}"
    if against == "eta":
        return rows.eta[:, min(output, rows.eta.shape[1] - 1)], None, "linear predictor"
    if against == "row":
        return np.arange(len(rows.eta), dtype=float), None, "row"
    reader, names = results.reader, results.fit.input_names
    groups = {name: (i,) for i, name in enumerate(names)} if reader is None else reader.columns
    if against not in groups:
        raise ValueError(f"against={against!r} is not known; choose fitted, eta, row or one of {list(groups)}.")
    X = rows.data.X[:, list(groups[against])]
    X = np.asarray(X.toarray() if hasattr(X, "toarray") else X)
    levels = None if reader is None else reader.levels(None, against)
    if levels is None or len(levels) == X.shape[1] + 1:
        numbers = X[:, 0] if levels is None else X @ np.arange(1, len(levels))
        return numbers, levels, against
    return X[:, 0], levels, against


def _points(ax: Axes, x: Array, y: Array, color: str | None) -> None:
    """Draw points that stay apart when there are many."""
    many = len(x) > 500
    ax.plot(x, y, "o", ms=3.0 if many else 4.5, mec="none", alpha=0.35 if many else 0.6, color=color or COLORS[0])


def _smooth(ax: Axes, x: Array, y: Array) -> None:
    """Draw a LOWESS line."""
    from statsmodels.nonparametric.smoothers_lowess import lowess

    kept = np.flatnonzero(np.isfinite(y))
    if len(kept) > SMOOTHED:
        kept = kept[np.argsort(x[kept])][:: len(kept) // SMOOTHED + 1]
    if len(np.unique(x[kept])) < 4:
        return
    line = lowess(y[kept], x[kept], frac=2 / 3, delta=0.01 * np.ptp(x[kept]))
    ax.plot(line[:, 0], line[:, 1], color=COLORS[1], lw=1.8, zorder=4)


def _level_means(ax: Axes, x: Array, y: Array) -> None:
    """Mark the mean of each level with its 95% interval."""
    for value in np.unique(x):
        part = y[x == value]
        half = 1.96 * part.std(ddof=1) / np.sqrt(len(part)) if len(part) > 1 else np.nan
        ax.errorbar(value, part.mean(), half, fmt="s", ms=5, color=COLORS[1], elinewidth=1.6, zorder=4)


def mark_rows(ax: Axes, x: Array, y: Array, order: Array) -> None:
    """Write the numbers of the most extreme rows beside their points."""
    for place, row in enumerate(order[:LABELLED]):
        left, below = x[row] > 0.7 * ax.get_xlim()[1], place % 2
        ax.annotate(
            str(row), (x[row], y[row]), xytext=(-5 if left else 5, -9 if below else 3), textcoords="offset points",
            ha="right" if left else "left", fontsize=8, color=INK,
        )  # fmt: skip
