"""Hidden units whose weights the data do not determine: dead, duplicated, or running off to infinity.

A unit of a sigmoid kind may fit best as a step (weights in that grow without bound) or as a straight line
(weights in that vanish while those out grow). Both are limits that no finite weights reach, so estimates and
standard errors are those of the solver's stopping rule, not of the data. Here the limits are tried: if
the penalised log-likelihood does not fall on the way there, the unit has run off.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse

from reglm.inference.canonical import HOMOGENEOUS, HiddenLayer, hidden_layers
from reglm.inference.information import identified
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit

SATURATING = frozenset({"tanh", "logit", "probit", "cloglog", "loglog", "cauchit"})
KINKED = frozenset({"softplus", "elu", "gelu"})
"""Activations whose scaled versions ``f(c a) / c`` have a kink as their limit."""
FLAT = 0.05
"""Fall of the log-likelihood on the way to a limit below which a unit counts as having reached it."""
UNBOUNDED = 1.92
"""Fall below which the 95% likelihood-ratio interval reaches to the limit: half the quantile of chi2(1)."""
FACTORS = (2.0, 10.0, 1000.0)
STEEP, SHALLOW = 3.0, 0.5
"""Standard deviations of a unit's affine part from which on the limits are worth trying."""
CONSTANT = 1e-7
"""Spread of a unit's output, relative to its size, below which it counts as constant."""
SAME = 1e-6
"""Distance of an absolute correlation from one below which two units count as the same."""


class Finding(NamedTuple):
    """Something that keeps the weights of a unit from being identified.

    Attributes
    ----------
    unit : str
        As tables name it, ``"hidden1[2]"``.
    state : str
        "constant", "without effect", "duplicate", "free scale", "step", "kink", "line", or the last three with
        "near " before them.
    reason : str
        One clause that says so in full.
    """

    unit: str
    state: str
    reason: str

    @property
    def fatal(self) -> bool:
        """Whether standard errors mean nothing because of it."""
        return not (self.state.startswith("near ") or self.state == "free scale")


class Outputs(NamedTuple):
    """Of a layer's units over the rows: affine parts (n, units), None for maxout, and outputs (n, units)."""

    a: Array | None
    h: Array


def findings(fit: Fit, data: Data) -> list[Finding]:
    """Findings about every unit of the dense hidden layers, in their order; empty if there is nothing to say.

    Parameters
    ----------
    fit : Fit
        In double precision.
    data : Data
        Its training rows.
    """
    data = data.rows(data.weights[:, 0] > 0)
    outputs = unit_outputs(fit, fit.theta, data)
    found: list[Finding] = []
    for layer in hidden_layers(fit.likelihood.network):
        known = _still(fit, layer, outputs[layer.name].h)
        found += known.values()
        for j in range(layer.incoming.shape[1]):
            if j not in known:
                found += _limits(fit, data, layer, outputs[layer.name], j)
    return found


def unit_outputs(fit: Fit, theta: Array, data: Data) -> dict[str, Outputs]:
    """Affine parts and outputs of the units of each layer that `hidden_layers` names."""
    likelihood = fit.likelihood
    taps = likelihood.taps(theta, data, np.ones((1, likelihood.network.outputs())))
    inputs: dict[str, Array] = {}
    for tap, h, _ in taps:
        if tap.kind in ("dense", "sparse") and tap.weight is not None:
            shape = (len(data.y), len(likelihood.layout.views(theta)[tap.weight]))
            inputs[tap.weight] = h[0] if tap.kind == "dense" else sparse.csr_matrix(tuple(h), shape=shape)
    views = likelihood.layout.views(theta)
    found = {}
    for layer in hidden_layers(likelihood.network):
        weight = f"{layer.name}.W"
        a = inputs[weight] @ views[weight] + views.get(f"{layer.name}.b", 0.0)
        found[layer.name] = Outputs(None if layer.activation == "maxout" else a, inputs[f"{layer.next}.W"])
    return found


def _name(layer: HiddenLayer, j: int) -> str:
    return f"{layer.name}[{j + 1}]"


# -- at the estimates -----------------------------------------------------------------------------------------


def _still(fit: Fit, layer: HiddenLayer, h: Array) -> dict[int, Finding]:
    """Findings that the outputs (n, units) tell by themselves: constant, without effect, duplicate, free scale."""
    centred, size = h - h.mean(axis=0), np.abs(h).max(axis=0)
    spread = centred.std(axis=0)
    out = np.abs(fit.theta[layer.outgoing]).max(axis=0)
    found: dict[int, Finding] = {}
    for j in range(h.shape[1]):
        unit = _name(layer, j)
        if spread[j] <= CONSTANT * max(size[j], CONSTANT):
            found[j] = Finding(unit, "constant", f"{unit} has the same output, {h[0, j]:.3g}, in every row")
        elif out[j] * spread[j] <= CONSTANT * max((out * spread).max(), CONSTANT):
            found[j] = Finding(unit, "without effect", f"{unit} has weights out of zero, so those into it do nothing")
    for i, j in _pairs(centred, [j for j in range(h.shape[1]) if j not in found]):
        if j not in found:
            reason = f"{_name(layer, j)} does the work of {_name(layer, i)}: their outputs have correlation one"
            found[j] = Finding(_name(layer, j), "duplicate", reason)
    for j in range(h.shape[1]):
        unit = _name(layer, j)
        if j not in found and _has_free_scale(fit, layer, j):
            reason = f"{unit} is {layer.activation} without a penalty: the weights into it trade scale with those out"
            found[j] = Finding(unit, "free scale", reason)
    return found


def _has_free_scale(fit: Fit, layer: HiddenLayer, j: int) -> bool:
    """Whether the weights into a unit may be multiplied, and those out divided, at no cost."""
    free = layer.activation.split("(")[0] in HOMOGENEOUS
    return free and not np.any(fit.penalty[[*layer.lengths[:, j], *layer.outgoing[:, j]]])


def held_scales(fit: Fit) -> Array:
    """Positions of weights that fix the scale of units where it is free: the largest one out of each.

    With these held at their estimates the information is that of what the units can tell apart. Variances of
    means, effects and predictions are the same whichever weights are held. (Units of the identity trade more than
    their scale and have none.)
    """
    held = []
    for layer in hidden_layers(fit.likelihood.network):
        for j in range(layer.outgoing.shape[1]) if layer.activation != "identity" else []:
            if _has_free_scale(fit, layer, j):
                out = layer.outgoing[:, j]
                held.append(out[np.argmax(np.abs(fit.theta[out]))])
    return np.array(held, dtype=int)


def estimable(fit: Fit, data: Data) -> Array:
    """Positions of the parameters that the data determine: neither aliased nor held to fix a scale."""
    aliased = identified(fit, data)[0]
    aliased[held_scales(fit)] = True
    return np.flatnonzero(~aliased)


def _pairs(centred: Array, units: list[int]) -> Iterator[tuple[int, int]]:
    """Pairs i < j of units whose outputs, up to sign, scale and a constant, are the same."""
    scaled = centred[:, units] / np.linalg.norm(centred[:, units], axis=0)
    same = np.triu(np.abs(scaled.T @ scaled) > 1.0 - SAME, 1)
    return ((units[i], units[j]) for i, j in np.argwhere(same))


# -- on the way to infinity -------------------------------------------------------------------------------------


def _limits(fit: Fit, data: Data, layer: HiddenLayer, outputs: Outputs, j: int) -> Iterator[Finding]:
    """Limits that one unit has reached, or that the data do not rule out."""
    if layer.activation not in SATURATING | KINKED or outputs.a is None:
        return
    spread = outputs.a[:, j].std()
    if spread > STEEP:
        end = "step" if layer.activation in SATURATING else "kink"
        falls = [_fall(fit, data, _steeper(fit.theta, layer, j, c)) for c in FACTORS]
        reason = f"the weights into {_name(layer, j)} grow without bound: it is a {end}"
        yield from _judged(layer, j, end, reason, falls)
    if spread < SHALLOW and layer.biases is not None:
        falls = [_fall(fit, data, _flatter(fit, data, layer, j, c, outputs)) for c in FACTORS]
        reason = f"{_name(layer, j)} is a straight line: the weights into it vanish while those out grow without bound"
        yield from _judged(layer, j, "line", reason, falls)


def _judged(layer: HiddenLayer, j: int, state: str, reason: str, falls: list[float]) -> Iterator[Finding]:
    unit = _name(layer, j)
    if max(falls) <= FLAT:
        yield Finding(unit, state, reason)
    elif falls[-1] <= UNBOUNDED:
        text = f"the data do not rule out that {unit} is a {state}: there the log-likelihood is {falls[-1]:.2g} lower"
        if falls[-1] <= 0:
            text = f"{unit} fits better as a {state}, which no finite weights reach: {-falls[-1]:.2g} log-likelihood"
        yield Finding(unit, f"near {state}", text)


def _fall(fit: Fit, data: Data, theta: Array) -> float:
    """Fall of the penalised log-likelihood from the estimates to other parameters."""

    def objective(theta: Array) -> float:
        return fit.likelihood.working(theta, data).objective + float(fit.penalty @ theta**2) / 2.0

    return (objective(theta) - objective(fit.theta)) / fit.dispersion


def _steeper(theta: Array, layer: HiddenLayer, j: int, factor: float) -> Array:
    """Parameters with the weights in of a unit multiplied; kinked ones keep their slope."""
    theta = theta.copy()
    theta[layer.incoming[:, j]] *= factor
    if layer.activation in KINKED:
        theta[layer.outgoing[:, j]] /= factor
    return theta


def _flatter(fit: Fit, data: Data, layer: HiddenLayer, j: int, factor: float, outputs: Outputs) -> Array:
    """Parameters with a unit's affine part shrunk towards its mean, and its weights out grown in turn."""
    assert outputs.a is not None
    assert layer.biases is not None
    theta = fit.theta.copy()
    bias = np.setdiff1d(layer.incoming[:, j], layer.lengths[:, j])
    if len(bias):
        theta[bias] += (1.0 - 1.0 / factor) * (outputs.a[:, j].mean() - theta[bias])
    theta[layer.lengths[:, j]] /= factor
    theta[layer.outgoing[:, j]] *= factor
    before, after = outputs.h[:, j].mean(), unit_outputs(fit, theta, data)[layer.name].h[:, j].mean()
    theta[layer.biases] += fit.theta[layer.outgoing[:, j]] * before - theta[layer.outgoing[:, j]] * after
    return theta
