"""What a kernel regression chose its penalty by, and what its kernel looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from reglm.estimators.nystroem import check_decomposed
from reglm.parameters import Array
from reglm.plots.style import COLORS, INK, PALE, axes, label, legend, next_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {
    "loo": "leave-one-out error", "gcv": "generalised cross-validation", "reml": "minus restricted log-likelihood",
    "ml": "minus log marginal likelihood",
}  # fmt: skip
STEEP = 20.0
"""Ratio of the largest to the smallest error from which their axis is logarithmic."""
FEW = 8
"""Distinct values up to which rows are named by group."""
PIXELS = 500
"""Rows of a kernel matrix that are drawn; of more, evenly spaced ones."""


def penalty_path(
    model: Any, *, criterion: str | None = None, ax: Axes | None = None, name: str | None = None,
    color: str | None = None,
) -> Axes:  # fmt: skip
    """Draw the criterion that chooses the penalty over penalties, with a ring at the chosen one.

    Parameters
    ----------
    model : fitted KernelDualRegressor, KernelDualClassifier or pipeline that ends in one
    criterion : {"loo", "gcv", "reml", "ml"}, optional
        By default the one that the penalty was chosen by, or "loo".
    ax : matplotlib Axes, optional
    name : str, optional
        Entry of the legend.
    color : str, optional

    Returns
    -------
    matplotlib Axes
        Penalties are on a logarithmic axis, with the effective degrees of freedom above it. One curve a target where
        each has its penalty. Errors that differ by much are on a logarithmic axis too.

    Raises
    ------
    ValueError
        If the model has no such criterion.
    """
    fit = kernel_fit(model)
    path = fit.path_
    criterion = criterion or (fit.alpha if isinstance(fit.alpha, str) else "loo")
    if criterion not in path:
        raise ValueError(f"criterion={criterion!r} is not on this path; choose one of {list(path.columns)[:4]}.")
    curves = path[criterion].to_numpy().reshape(len(path), -1)
    penalties = path.index.to_numpy()
    ax = axes(ax)
    for j, (curve, chosen) in enumerate(zip(curves.T, np.ravel(fit.alpha_), strict=True)):
        text = name if curves.shape[1] == 1 else f"target {j}"
        line = next_color(ax, color)
        ax.plot(penalties, curve, color=line, lw=1.8, label=text)
        height = np.interp(np.log(chosen), np.log(penalties), curve)
        ax.plot(chosen, height, "o", ms=9, mfc="none", color=line)
        ax.axvline(chosen, color=line, lw=0.8, ls=":")
    finite = curves[np.isfinite(curves)]
    if criterion in ("loo", "gcv") and finite.max() > STEEP * finite.min() > 0:
        ax.set_yscale("log")
    ax.set_xscale("log")
    is_deviance = criterion == "loo" and fit._solution is not None
    label(ax, "penalty alpha (ring: chosen)", "leave-one-out deviance" if is_deviance else NAMES[criterion])
    if "edf" in path:
        _degrees_above(ax, penalties, path["edf"].to_numpy())
    legend(ax)
    return ax


def _degrees_above(ax: Axes, penalties: Array, edf: Array) -> None:
    """Label penalties above the axes with their effective degrees of freedom."""
    if any(child.get_label() == "edf" for child in ax.child_axes):
        return
    above = ax.secondary_xaxis("top")
    above.set_label("edf")
    at = np.linspace(0, len(penalties) - 1, min(6, len(penalties))).round().astype(int)
    above.set_xticks(penalties[at], [f"{edf[i]:.3g}" for i in at])
    above.minorticks_off()
    above.tick_params(colors=INK, labelsize=9)
    above.spines["top"].set_visible(False)
    above.set_xlabel("effective degrees of freedom", color=INK, fontsize=10)


def spectrum(model: Any, *, ax: Axes | None = None, color: str | None = None) -> Axes:
    """Draw the eigenvalues of the kernel with the share of each that the penalty leaves.

    Parameters
    ----------
    model : fitted KernelDualRegressor, KernelDualClassifier or pipeline that ends in one
    ax : matplotlib Axes, optional
    color : str, optional

    Returns
    -------
    matplotlib Axes
        Eigenvalues d beside the unpenalised part, in descending order, on a logarithmic axis; the penalty as a line (of
        other families than the gaussian divided by the mean information of an observation); on the right the shares
        ``d / (d + penalty)``, whose sum, with the unpenalised coefficients, is about the effective degrees of freedom.
    """
    fit = kernel_fit(model)
    d = fit.dual_.d[::-1]
    d = d[d > max(getattr(fit.dual_, "rounding", 0.0), 0.0)]
    penalty = float(np.mean(fit.alpha_)) / _information(fit)
    ranks = np.arange(1, len(d) + 1)
    ax, color = axes(ax), color or COLORS[0]
    ax.plot(ranks, d, "o", ms=3, color=color, label="eigenvalues")
    ax.axhline(penalty, color=INK, lw=1.0, ls="--", label="penalty")
    ax.set_yscale("log")
    edf = float(np.mean(fit.edf_))
    label(ax, "rank", "eigenvalue of the kernel")
    right = ax.twinx()
    right.fill_between(ranks, d / (d + penalty), color=PALE, alpha=0.6, lw=0, label=f"share left: {edf:.3g} edf")
    right.set_ylim(0, 1.02)
    right.set_zorder(ax.get_zorder() - 1)
    ax.patch.set_visible(False)
    right.spines["top"].set_visible(False)
    right.tick_params(colors=INK, labelsize=9)
    right.set_ylabel("share that the penalty leaves", color=INK, fontsize=10)
    handles = [*ax.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    ax.legend(
        handles=handles, facecolor="white", edgecolor="none", framealpha=1.0, fontsize=9, labelcolor=INK,
        loc="upper right",
    )  # fmt: skip
    return ax


def _information(fit: Any) -> float:
    """Mean information of an observation about its linear predictor: 1 for gaussian responses."""
    if fit._solution is None:
        return 1.0
    information = np.einsum("ikk->ik", fit._solution.information)
    return float(information.sum() / fit._solution.problem.nobs)


def kernel_matrix(model: Any, X: Any, *, by: Any = None, ax: Axes | None = None, cmap: str = "viridis") -> Axes:
    """Draw the kernel between rows, ordered by a variable.

    Parameters
    ----------
    model : fitted KernelDualRegressor, KernelDualClassifier
    X : array or data frame (n, p)
        Rows, as `predict` takes them; the matrix (n, n) itself for "precomputed".
    by : str, int or array-like (n,), optional
        Column of X, or a value for each row, such as the response; the rows keep their order by default.
    ax : matplotlib Axes, optional
    cmap : str
        Colour map.

    Returns
    -------
    matplotlib Axes
        At most 500 rows, evenly spaced in the order; ticks are at values of the variable, in the middle of the rows
        that share one where there are few values, with lines between them.
    """
    fit = kernel_fit(model)
    coded = fit._design.read(X, fit).X
    n = coded.shape[0]
    values = np.arange(n) if by is None else _values(X, by, n)
    order = np.argsort(values, kind="stable")
    order = order[np.unique(np.linspace(0, n - 1, min(n, PIXELS)).round().astype(int))]
    K = coded[np.ix_(order, order)] if fit._X is None else fit.kernel_.gram(coded[order])
    ax = axes(ax, (5.2, 4.4))
    ax.grid(False)
    image = ax.imshow(K, cmap=cmap, interpolation="nearest", aspect="equal")
    ax.figure.colorbar(image, ax=ax, label="kernel", shrink=0.85)
    _name_rows(ax, values[order])
    name = by if isinstance(by, str) else f"column {by}" if isinstance(by, (int, np.integer)) else "value"
    label(ax, "row" if by is None else f"rows by {name}", "")
    return ax


def _name_rows(ax: Axes, values: Array) -> None:
    """Ticks at values of the ordered rows (n,)."""
    levels, first = np.unique(values, return_index=True)
    if len(levels) <= FEW < len(values):
        ends = np.append(first, len(values))
        at, shown = (ends[1:] + ends[:-1] - 1) / 2, levels
        for end in first[1:] - 0.5:
            ax.axhline(end, color="white", lw=0.8)
            ax.axvline(end, color="white", lw=0.8)
    else:
        at = np.linspace(0, len(values) - 1, min(6, len(values))).round().astype(int)
        shown = values[at]
    text = [f"{v:.3g}" if isinstance(v, (int, float, np.number)) else str(v) for v in shown]
    ax.set_xticks(at, text)
    ax.set_yticks(at, text)


def _values(X: Any, by: Any, n: int) -> Array:
    """Variable (n,) to order rows by."""
    if isinstance(by, (str, int, np.integer)):
        column = X[by] if isinstance(by, str) else X.iloc[:, by] if hasattr(X, "iloc") else X[:, by]
        by = column.toarray().ravel() if hasattr(column, "toarray") else column
    found = np.asarray(by)
    if found.shape != (n,):
        raise ValueError(f"by has shape {found.shape} for {n} rows; name a column of X, or give a value for each row.")
    return found


def kernel_fit(model: Any) -> Any:
    """Return the kernel regression in a fitted estimator.

    Raises
    ------
    ValueError
        If there is none, or it was found by conjugate gradients.
    """
    model = model.steps[-1][1] if hasattr(model, "steps") else model
    check_is_fitted(model)
    fit = getattr(model, "regression_", model)
    if not hasattr(fit, "dual_"):
        raise ValueError(f"{type(model).__name__} is no kernel regression; pass a fitted KernelDualRegressor.")
    check_decomposed(fit)
    return fit
