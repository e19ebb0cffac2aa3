"""How a fit was specified and obtained, in words: network, penalties, restarts, convergence, likelihood."""

from __future__ import annotations

import numpy as np

from reglm.inference.tables import number
from reglm.layers import Dense, Dropout, Layer, Parallel
from reglm.network import Network
from reglm.record import Fit

NEAR_BEST = 1e-2
"""Restarts within this many units of log-likelihood of the best one count as having reached it."""


def network_name(network: Network) -> str:
    """Widths and activations: ``"9-10-1 tanh"``; layers other than dense ones by name."""
    *hidden, _ = network.chain.layers
    widths = [str(network.inputs), *(_width(layer) for layer in hidden if not isinstance(layer, Dropout))]
    activations = list(dict.fromkeys(layer.activation for layer in hidden if isinstance(layer, Dense)))
    words = ["-".join([*widths, str(network.outputs())]), ", ".join(activations)]
    return " ".join([w for w in words if w] + (["+ skip"] if network.skip is not None else []))


def _width(layer: Layer) -> str:
    if isinstance(layer, Parallel):
        return "(" + "+".join(_width(branch) for branch in layer.branches) + ")"
    return str(layer.units) if isinstance(layer, Dense) else type(layer).__name__


def restarts_at_best(fit: Fit) -> int:
    """Return the number of restarts that reached the best objective."""
    objectives = np.array([restart.objective for restart in fit.restarts])
    tolerance = max(NEAR_BEST * fit.dispersion, 1e-9 * abs(fit.objective))
    return int(np.sum(objectives <= np.nanmin(objectives) + tolerance)) if len(objectives) else 0


def method_name(fit: Fit) -> str:
    """Name the method by which the dispersion was had, as it is written."""
    method = fit.dispersion_method
    return "ML" if method == "ml" else method.replace("pearson", "Pearson")


def dispersion_name(fit: Fit) -> str:
    """Dispersion and where it comes from."""
    if "log_phi" in fit.likelihood.shape(fit.theta):
        return "phi, see table"
    return f"{number(fit.dispersion)} ({method_name(fit)})"


def likelihood_note(fit: Fit) -> str:
    """Say at which dispersion the log-likelihood was taken; empty if there is none to choose."""
    family = fit.likelihood.family
    if not family.likelihood:
        return "A quasi family claims no likelihood: there is no log-likelihood, AIC or BIC."
    if family.dispersion == "fixed":
        return ""
    if family.name == "gaussian":
        return "Log-likelihood, AIC and BIC are taken at the maximum-likelihood dispersion RSS / n."
    return f"Log-likelihood, AIC and BIC are taken at the {method_name(fit)} dispersion."


def penalty_notes(fit: Fit) -> list[str]:
    """Say which penalties were on, on how many parameters and on which scale."""
    found = []
    for name, penalty in (("L2 penalty alpha", fit.penalty), ("L1 penalty", fit.l1)):
        if np.any(penalty):
            values = np.unique(penalty[penalty > 0])
            size = f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"
            found.append(
                f"{name} = {size} on {np.count_nonzero(penalty)} of {penalty.size} parameters, for the "
                "columns of X as given (not standardised); biases and shape parameters are free."
            )
    return found


def fit_notes(fit: Fit) -> list[str]:
    """Say what a reader should know about the fit itself."""
    found = [likelihood_note(fit), *penalty_notes(fit)]
    if not fit.converged and fit.at_optimum:
        found.append(f"NOT CONVERGED: {fit.message}")
    if fit.balanced and not fit.is_linear:
        found.append("The intercept was refitted at the end, so that fitted and observed totals agree.")
    if fit.freq_weights:
        found.append("Weights are repetitions: observations and degrees of freedom count weights, not rows.")
    return [note for note in found if note]
