"""Pictures of sequence models: state paths under the series, chains as graphs, gradients by lag, ranks of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from reglm.parameters import Array
from reglm.plots.style import COLORS, INK, PALE, axes, label, legend, next_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def state_paths(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    column: int = 0,
    states: Any = None,
    times: Any = None,
    share: float = 0.3,
    names: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a series, and under it the paths of a model's states.

    Parameters
    ----------
    model : fitted HiddenMarkovModel, LinearGaussianSSM or RecurrentGLM
        Smoothed probabilities are drawn on top of one another; smoothed means as lines with bands of two standard
        deviations; hidden units as lines.
    X, y : array-like
        Rows of one sequence, as in `fit`.
    column : int
        Of the series.
    states : sequence of int, optional
        Which states or units; all by default, and of a linear-Gaussian model the first.
    times : array-like (n,), optional
        What to draw against.
    share : float
        Of the height, for the states.
    names : sequence of str, optional
        Of the states.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Those of the series; ``ax.child_axes[0]`` holds the states.

    Raises
    ------
    ValueError
        If the model has no states.
    """
    ax = axes(ax, (6.8, 3.8))
    series = np.asarray(X if y is None else y, dtype=float)
    series = series.reshape(len(series), -1)[:, column]
    where = np.arange(len(series)) if times is None else np.asarray(times)
    ax.plot(where, series, color=INK, lw=1.1)
    low, high = np.nanmin(series), np.nanmax(series)
    ax.set_ylim(low - (high - low) * (share + 0.08) / (1 - share), high + 0.05 * (high - low))
    ax.set_yticks([tick for tick in ax.get_yticks() if low - 1e-9 <= tick <= high])
    label(ax, "row" if times is None else "", "series")
    under = axes(ax.inset_axes((0.0, 0.0, 1.0, share)))
    under.sharex(ax)
    under.tick_params(labelbottom=False, bottom=False, left=False, right=True, labelleft=False, labelright=True)
    under.grid(visible=False)
    under.yaxis.set_label_position("right")
    handles, labels = _paths(under, model, X, y, where, states)
    if len(handles) > 1 or names is not None:
        ax.legend(
            handles, labels if names is None else list(names), loc="lower right", bbox_to_anchor=(1.0, 1.0),
            ncols=min(len(handles), 8), frameon=False, fontsize=9, labelcolor=INK, handlelength=1.0,
        )  # fmt: skip
    ax.set_xlim(where[0], where[-1])
    return ax


def _paths(ax: Axes, model: Any, X: Any, y: Any, where: Array, states: Any) -> tuple[list[Any], list[str]]:
    """Draw the states of a model; return what a legend shows."""
    if hasattr(model, "filtered_proba"):
        probability = model.predict_proba(X, y)
        chosen = range(probability.shape[1]) if states is None else states
        label(ax, "", "probability")
        ax.set_ylim(0, 1)
        shades = _shades(probability.shape[1])
        areas = ax.stackplot(where, *(probability[:, k] for k in chosen), colors=[shades[k] for k in chosen], lw=0)
        return areas, [f"state {k}" for k in chosen]
    if not hasattr(model, "states"):
        raise ValueError(f"model={type(model).__name__} has no states; pass a model of sequences that has.")
    is_stochastic = not hasattr(model, "cell")
    found = model.states(X, y) if is_stochastic else model.states(X)
    means = found.mean if is_stochastic else found
    chosen = states if states is not None else [0] if is_stochastic else range(means.shape[1])
    lines: list[Any] = []
    for k in chosen:
        (line,) = ax.plot(where, means[:, k], color=COLORS[len(lines) % len(COLORS)], lw=1.2)
        lines.append(line)
        if is_stochastic:
            half = 2 * np.sqrt(found.cov[:, k, k])
            ax.fill_between(where, means[:, k] - half, means[:, k] + half, color=line.get_color(), alpha=0.2, lw=0)
    word = "state" if is_stochastic else "unit"
    label(ax, "", word)
    return lines, [f"{word} {k}" for k in chosen]


def _shades(count: int) -> Array:
    """Colours (count, 4) from light to dark: states are in the order of their level."""
    import matplotlib

    return matplotlib.colormaps["YlGnBu"](np.linspace(0.1, 0.95, count))


def transition_graph(
    model: Any, *, least: float = 0.02, names: Any = None, ax: Axes | None = None, color: str | None = None
) -> Axes:
    """Draw a Markov chain as a graph: states in the size of their long-run share, arrows in the width of their moves.

    Parameters
    ----------
    model : fitted HiddenMarkovModel, or ndarray (K, K)
        With probabilities i -> j.
    least : float
        Moves that are less probable are left out.
    names : sequence of str, optional
        Of the states; their numbers by default. Below stands the probability of staying.
    ax, color
        See `training_curve`.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the matrix is not square, or its rows do not add up to 1.
    """
    from reglm.statespace.expectation import stationary

    A = np.asarray(model if isinstance(model, np.ndarray) else model.transition_)
    if A.ndim != 2 or A.shape[0] != A.shape[1] or not np.allclose(A.sum(axis=1), 1.0):
        raise ValueError(f"transition probabilities of shape {A.shape}: must be square, with rows that add up to 1.")
    ax = axes(ax, (4.2, 4.2))
    K, color = len(A), next_color(ax, color)
    turn = np.pi / 2 - 2 * np.pi * np.arange(K) / K
    place = np.column_stack([np.cos(turn), np.sin(turn)]) * (K > 1)
    labels = [str(k) for k in range(K)] if names is None else list(names)
    ax.scatter(
        place[:, 0], place[:, 1], s=(16 + 29 * np.sqrt(stationary(A))) ** 2, color=color, alpha=0.25, lw=0, zorder=1
    )
    for k, (x, y) in enumerate(place):
        ax.text(x, y, f"{labels[k]}\n{A[k, k]:.2f}", ha="center", va="center", fontsize=9, color=INK, zorder=3)
    for i, j in np.argwhere((least <= A) & ~np.eye(K, dtype=bool)):
        _arrow(ax, place[i], place[j], float(A[i, j]), color)
    ax.set(xlim=(-1.45, 1.45), ylim=(-1.45, 1.45), aspect="equal")
    ax.axis("off")
    return ax


def _arrow(ax: Axes, start: Array, end: Array, p: float, color: str) -> None:
    """Draw a bent arrow with its probability beside the middle."""
    ax.annotate(
        "", tuple(end), tuple(start), zorder=2,
        arrowprops={
            "arrowstyle": "-|>", "connectionstyle": "arc3,rad=0.18", "color": color, "lw": 0.6 + 4 * p, "alpha": 0.8,
            "shrinkA": 24, "shrinkB": 24, "mutation_scale": 10,
        },
    )  # fmt: skip
    along = end - start
    x, y = (start + end) / 2 + 0.15 * np.array([along[1], -along[0]])
    ax.text(x, y, f"{p:.2f}", ha="center", va="center", fontsize=8, color=INK, zorder=4)


def gradient_norms(
    model: Any,
    X: Any,
    *,
    lags: int = 40,
    ends: int = 40,
    lengths: Any = None,
    groups: Any = None,
    ax: Axes | None = None,
    name: str | None = None,
    color: str | None = None,
) -> Axes:
    """Draw how much of a linear predictor's gradient reaches the hidden state so many rows before.

    Median and range from the tenth to the ninetieth percentile over rows, relative to lag 0, on a logarithmic axis: a
    straight line that falls is a gradient that vanishes, one that rises explodes (Pascanu et al. 2013).

    Parameters
    ----------
    model : fitted RecurrentGLM
    X, lags, ends, lengths, groups
        See `reglm.RecurrentGLM.gradient_norms`.
    ax, name, color
        See `training_curve`.

    Returns
    -------
    matplotlib Axes
    """
    norms = model.gradient_norms(X, lags, ends, lengths, groups)
    ratios = norms / np.maximum(norms[:, :1], np.finfo(float).tiny)
    low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9], axis=0)
    ax = axes(ax)
    color, lag = next_color(ax, color), np.arange(norms.shape[1])
    ax.fill_between(lag, low, high, color=color, alpha=0.18, lw=0)
    ax.plot(lag, middle, color=color, lw=1.6, label=name)
    ax.set_yscale("log")
    label(ax, "lag, rows", "norm of the gradient, relative to lag 0")
    legend(ax)
    return ax


def rank_histogram(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    lengths: Any = None,
    groups: Any = None,
    bins: int = 10,
    ax: Axes | None = None,
    name: str | None = None,
    color: str | None = None,
) -> Axes:
    """Draw where rows fall in the distributions forecast for them one step before.

    If the forecasts are right, these ranks (probability integral transforms; Dawid 1984) are uniform. A hump means
    that the forecasts are too wide, a valley too narrow, a slope that they are biased.

    Parameters
    ----------
    model : fitted HiddenMarkovModel, LinearGaussianSSM or RecurrentGLM, or array-like of ranks in [0, 1]
        Ranks of discrete responses are drawn between the values of the distribution function on both sides of its jump.
    X, y, lengths, groups
        Rows, as in `fit`.
    bins : int
    ax, name, color
        See `training_curve`.

    Returns
    -------
    matplotlib Axes
        With a 95% interval of the share in a bin if the forecasts are right.

    Raises
    ------
    ValueError
        If the model does not say how rows rank, or ranks are not in [0, 1].
    """
    found = _ranks(model, X, y, lengths, groups)
    found = found[~np.isnan(found)]
    if not len(found) or found.min() < 0 or found.max() > 1:
        raise ValueError("ranks must lie between 0 and 1, and there must be some.")
    ax = axes(ax)
    low, high = stats.binom.ppf([0.025, 0.975], len(found), 1 / bins) / len(found)
    share = np.histogram(found, bins, (0, 1))[0] / len(found)
    color = next_color(ax, color)
    ax.axhspan(low, high, color=PALE, alpha=0.5, lw=0)
    ax.axhline(1 / bins, color=INK, lw=0.8, ls=(0, (4, 3)))
    ax.bar((np.arange(bins) + 0.5) / bins, share, 0.9 / bins, color=color, alpha=0.8, label=name)
    ax.set_xlim(0, 1)
    label(ax, "rank in the one-step forecast", "share of rows")
    legend(ax)
    return ax


def _ranks(model: Any, X: Any, y: Any, lengths: Any, groups: Any) -> Array:
    """Ranks of all entries, NaN where not observed."""
    asked = {"lengths": lengths, "groups": groups}
    if hasattr(model, "pseudo_residuals"):
        z = model.pseudo_residuals(X, y, **asked)
    elif hasattr(model, "residuals"):
        z = model.residuals(X, y, **asked)
    elif isinstance(model, np.ndarray | list | tuple):
        return np.asarray(model, dtype=float).ravel()
    else:
        raise ValueError(f"model={type(model).__name__} does not say how rows rank: pass their ranks.")
    return stats.norm.cdf(np.asarray(z).ravel())
