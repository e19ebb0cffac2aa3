"""Names of the parameters that tables show: output layer, skip term, and shape parameters of the family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reglm.inference.flow import numbered, weight_rows
from reglm.parameters import Array
from reglm.record import Fit

STEP = float(np.finfo(float).eps ** (1 / 3))


class Term(NamedTuple):
    """One entry of theta as a table names it."""

    label: str
    position: int


@dataclass(frozen=True)
class ShapeTerms:
    """Shape parameters of the family as users know them (M,), and their derivative in theta, (M, P)."""

    labels: list[str]
    values: Array
    slope: Array


def coefficients(fit: Fit) -> list[Term]:
    """Terms of the linear predictors, intercept first, one linear predictor after the other.

    For a generalized linear model they are all its coefficients; for a network the output layer, whose inputs
    are the hidden units, and the skip term.
    """
    inputs = output_inputs(fit)
    found: list[list[Term]] = []
    for k, prefix in enumerate(output_prefixes(fit)):
        terms = [Term(f"{prefix}Intercept", i) for i in _column(fit, "output.b", k)]
        terms += [Term(prefix + name, i) for name, i in zip(inputs, _column(fit, "output.W", k), strict=True)]
        found.append(terms + [Term(prefix + name, i) for name, i in _skip(fit, k)])
    return [term for terms in found for term in terms]


def _column(fit: Fit, name: str, k: int) -> list[int]:
    """Positions in theta of column k of a weight or entry k of a bias; none if there is no such parameter."""
    layout = fit.likelihood.layout
    if name not in layout.slices:
        return []
    return layout.views(np.arange(layout.size))[name][..., k].ravel().tolist()


def output_prefixes(fit: Fit) -> list[str]:
    """Empty for one linear predictor, ``"class: "`` or ``"column: "`` for several."""
    K = fit.likelihood.network.outputs()
    names = list(fit.output_names)[-K:]
    if K == 1:
        return [""]
    return [f"{name}: " for name in names] if len(names) == K else [f"eta{k + 1}: " for k in range(K)]


def output_inputs(fit: Fit) -> list[str]:
    """Names of what the output layer multiplies: inputs, or units of the last hidden layer."""
    width = fit.likelihood.layout.views(fit.theta)["output.W"].shape[0]
    if fit.is_linear:
        return [str(name) for name in fit.input_names] if len(fit.input_names) == width else numbered("x", width)
    names = [str(name) for name in fit.likelihood.network.chain.names or ()][:-1]
    named = [name for name in names if not name.startswith("dropout")]
    return numbered(named[-1] if named else "layer", width)


def _skip(fit: Fit, k: int) -> list[tuple[str, int]]:
    """Terms of the skip part: effects of the inputs, and of the levels of embedded columns."""
    return [
        (f"skip: {column.label}", position)
        for name, rows in weight_rows(fit).items()
        if name.startswith("skip.")
        for column, position in zip(rows.columns, _column(fit, name, k), strict=True)
    ]


def natural_shape(fit: Fit, theta: Array) -> tuple[list[str], Array]:
    """Labels and values of all shape parameters on their natural scale, fixed ones included."""
    likelihood = fit.likelihood
    views = likelihood.layout.views(theta)
    names = [spec.name for spec in likelihood.shape_specs]
    arrays = likelihood.family.natural(**{name.removeprefix("family."): views[name] for name in names})
    flat = {name: np.ravel(value) for name, value in arrays.items()}
    labels = [n for name, v in flat.items() for n in ([name] if v.size == 1 else numbered(name, v.size))]
    return labels, np.concatenate([np.zeros(0), *flat.values()])


def shape_terms(fit: Fit) -> ShapeTerms:
    """Shape parameters on their natural scale; derivatives for the delta method by central differences."""
    layout = fit.likelihood.layout
    slices = [layout.slices[spec.name] for spec in fit.likelihood.shape_specs]
    labels, values = natural_shape(fit, fit.theta.astype(float))
    slope = np.zeros((len(values), len(fit.theta)))
    for i in (i for part in slices for i in range(part.start, part.stop)):
        step = np.zeros(len(fit.theta))
        step[i] = STEP * max(1.0, abs(float(fit.theta[i])))
        ahead, behind = (natural_shape(fit, fit.theta + sign * step)[1] for sign in (1, -1))
        slope[:, i] = (ahead - behind) / (2 * step[i])
    moving = np.any(slope != 0, axis=1)
    return ShapeTerms([label for label, m in zip(labels, moving, strict=True) if m], values[moving], slope[moving])
