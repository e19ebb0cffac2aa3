"""Fit a recursive GLM: solver, restarts, rescaling, balance, dispersion."""

from __future__ import annotations

import numpy as np

from reglm.fitting.finish import goodness, on_balance, refit_output
from reglm.fitting.intercept import fit_intercept
from reglm.fitting.rescale import scaling
from reglm.fitting.search import Found, is_stochastic, score_linear, search, starts
from reglm.fitting.settings import Settings, choose_solver, split_rows
from reglm.likelihood import Data, Likelihood
from reglm.parameters import Array
from reglm.record import Fit

__all__ = ["Settings", "choose_solver", "fit"]


def fit(likelihood: Likelihood, data: Data, settings: Settings, input_names: list[str], output_names: list[str]) -> Fit:
    """Estimate theta and everything that follows from it.

    Parameters
    ----------
    likelihood : Likelihood
    data : Data
        In the likelihood's dtype, C-contiguous.
    settings : Settings
    input_names, output_names : list of str
        Columns of X; linear predictors.

    Returns
    -------
    Fit
    """
    solver = choose_solver(settings, likelihood, data)
    indicator = likelihood.layout.penalised()
    penalty, l1 = likelihood.layout.penalties(settings.alpha), settings.l1 * indicator
    shape = likelihood.shape(likelihood.layout.start(np.random.default_rng(0)))
    null = fit_intercept(likelihood.response, data.y, data.weights, data.offset, shape)
    found, theta = _estimate(likelihood, data, settings, solver, penalty, l1, null.value)
    likelihood.buffers.update(likelihood.batch_moments(theta, data))
    theta, balanced = _rebalance(likelihood, theta, data, settings, solver, penalty)
    result = found.result
    n_rows = int((data.weights > 0).sum())
    total = float(data.weights.sum())
    aliased = int(np.sum(found.details.get("aliased", 0)))
    df_resid = (total if settings.freq_weights else n_rows) - (likelihood.layout.size - aliased)
    good = goodness(likelihood, theta, data, df_resid, settings.dispersion, settings.freq_weights)
    stationary = not (is_stochastic(solver) or settings.early_stopping or l1.any())
    return Fit(
        likelihood=likelihood, theta=theta, data=data, dispersion=good.dispersion, dispersion_method=good.method,
        penalty=penalty, l1=l1, solver=found.solver, converged=result.converged, message=result.message,
        n_iter=result.n_iter, objective=result.value, n_rows=n_rows, weight_total=total,
        freq_weights=settings.freq_weights, restarts=found.restarts, at_optimum=stationary, input_names=input_names,
        output_names=output_names, balanced=balanced, history=result.history, null_deviance=null.deviance,
        deviance=good.deviance, log_likelihood=good.log_likelihood,
        details={**found.details, "status": result.status, "pearson": good.pearson, "state": result.state},
    )  # fmt: skip


def _estimate(
    likelihood: Likelihood, data: Data, settings: Settings, solver: str, penalty: Array, l1: Array, null: Array
) -> tuple[Found, Array]:
    """Search, and return what was found with theta on the scale of X as given."""
    if solver == "irls":
        found = score_linear(likelihood, data, penalty, settings, null)
        return found, found.result.theta
    root = np.random.SeedSequence(settings.seed)
    split, *seeds = root.spawn(settings.n_init + 1)
    train, validation = data, None
    scale = scaling(likelihood.network, likelihood.layout, data.X)
    data = data._replace(X=scale.apply(data.X))
    train = data
    if settings.early_stopping:
        kept, held = split_rows(len(data.y), settings.validation_fraction, np.random.default_rng(split))
        train, validation = data.rows(kept), data.rows(held)
    theta0s = starts(likelihood, scale, null, settings, seeds)
    found = search(
        likelihood, train, validation, scale.penalty(penalty, 2), scale.penalty(l1, 1) if l1.any() else None, settings,
        solver, theta0s, seeds,
    )  # fmt: skip
    return found, scale.to_raw(found.result.theta)


def _rebalance(
    likelihood: Likelihood, theta: Array, data: Data, settings: Settings, solver: str, penalty: Array
) -> tuple[Array, bool]:
    """Put totals on balance where the link is canonical and the solver did not do it."""
    if settings.balance == "output":
        return refit_output(likelihood, theta, data, penalty), True
    canonical = likelihood.family.canonical_link == likelihood.link.name
    possible = canonical and "output.b" in likelihood.layout.slices
    if settings.balance is True and not possible:
        raise ValueError("balance=True needs the family's canonical link and an output bias.")
    if not possible or settings.balance is False or solver == "irls":
        return theta, possible and settings.balance is not False
    return on_balance(likelihood, theta, data), True
