"""Fit a recursive GLM: solver, restarts, rescaling, balance, dispersion."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace

import numpy as np

from reglm.fitting.finish import goodness, on_balance, refit_output
from reglm.fitting.intercept import fit_intercept, rough_intercept
from reglm.fitting.rescale import Scaling, scaling
from reglm.fitting.search import Found, score_linear, search, starts
from reglm.fitting.separation import watch
from reglm.fitting.settings import Memory, Settings, choose_solver, is_stochastic, split_rows
from reglm.likelihood import Data, Likelihood
from reglm.parameters import Array
from reglm.record import Fit

__all__ = ["Memory", "Settings", "choose_solver", "fit"]


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
    can_balance = _balances(likelihood, settings)
    indicator = likelihood.layout.penalised()
    penalty, l1 = likelihood.layout.penalties(settings.alpha), settings.l1 * indicator
    shape = likelihood.shape(likelihood.layout.start(np.random.default_rng(0)))
    null = fit_intercept(likelihood.response, data.y, data.weights, data.offset, shape)
    _check_offset(likelihood, data, null.deviance)
    # A first batch may hold a single class, whose own intercept is infinite.
    first = null.value
    if settings.partial:
        first = rough_intercept(likelihood.response, data.y, data.weights, data.offset, shape)
    found, theta, scale = _estimate(likelihood, data, settings, solver, penalty, l1, first)
    likelihood.buffers.update(likelihood.batch_moments(theta, data))
    result = found.result
    balanced = can_balance and not settings.partial and result.status != "diverging"
    if balanced:
        theta = _rebalance(likelihood, theta, data, settings, penalty, found)
    if likelihood.shape_specs and likelihood.family.intercept:
        # Both deviances are taken at the estimated shape; an ordinal model's cutpoints are its null model.
        null = fit_intercept(likelihood.response, data.y, data.weights, data.offset, likelihood.shape(theta))
    n_rows = int((data.weights > 0).sum())
    total = float(data.weights.sum())
    aliased = int(np.sum(found.details.get("aliased", 0)))
    rank = likelihood.layout.size - aliased
    good = goodness(likelihood, theta, data, rank, settings.dispersion, settings.freq_weights)
    elsewhere = settings.early_stopping or likelihood.has_priced_gradients
    stationary = not (is_stochastic(solver) or elsewhere or l1.any())
    return Fit(
        likelihood=likelihood, theta=theta, data=data, dispersion=good.dispersion, dispersion_method=good.method,
        penalty=penalty, l1=l1, solver=found.solver, converged=result.converged, message=result.message,
        n_iter=result.n_iter, objective=result.value, n_rows=n_rows, weight_total=total,
        freq_weights=settings.freq_weights, restarts=found.restarts, at_optimum=stationary, input_names=input_names,
        output_names=output_names, balanced=balanced, history=result.history, null_deviance=null.deviance,
        deviance=good.deviance, log_likelihood=good.log_likelihood,
        details={**found.details, "status": result.status, "pearson": good.pearson,
                 "memory": Memory(scale, result.state)},
        refit=Again(likelihood, replace(settings, callback=None, verbose=0, memory=None, partial=False, n_jobs=None),
                    input_names, output_names),
    )  # fmt: skip


@dataclass(frozen=True)
class Again:
    """The same fit with other rows, for the bootstrap, cross-validation and tests: a `reglm.record.Refit`."""

    likelihood: Likelihood
    settings: Settings = field(repr=False)
    input_names: list[str] = field(repr=False)
    output_names: list[str] = field(repr=False)

    def __call__(self, data: Data, *, start: Array | None = None, n_init: int = 1, seed: int = 0) -> Fit:
        """Fit; the arguments are those of `reglm.record.Refit`."""
        settings = replace(self.settings, start=start, n_init=n_init, seed=seed)
        likelihood = copy(self.likelihood)  # whose buffers are those of the rows it was fitted to
        likelihood.buffers = dict(likelihood.buffers)
        return fit(likelihood, data, settings, self.input_names, self.output_names)


def _estimate(
    likelihood: Likelihood, data: Data, settings: Settings, solver: str, penalty: Array, l1: Array, null: Array
) -> tuple[Found, Array, Scaling | None]:
    """Search; return what was found, theta for X as given, and the scale the search worked on."""
    if solver == "irls":
        perfection = watch(likelihood, data, null, settings.callback)
        found = score_linear(likelihood, data, penalty, replace(settings, callback=perfection), null)
        perfection.name(found.result)
        return found, found.result.theta, None
    root = np.random.SeedSequence(settings.seed)
    split, *seeds = root.spawn(settings.n_init + 1)
    scale = settings.memory.scaling if settings.memory else None
    scale = scale or scaling(likelihood.network, likelihood.layout, data.X, data.weights)
    train, validation = data._replace(X=scale.apply(data.X)), None
    if settings.early_stopping and not settings.partial:
        kept, held = split_rows(data.units, settings.validation_fraction, np.random.default_rng(split))
        train, validation = train.rows(kept), train.rows(held)
    perfection = watch(likelihood, train, null, settings.callback)
    settings = replace(settings, callback=perfection)
    theta0s = starts(likelihood, scale, null, settings, seeds)
    found = search(
        likelihood, train, validation, scale.penalty(penalty, 2), scale.penalty(l1, 1) if l1.any() else None, settings,
        solver, theta0s, seeds,
    )  # fmt: skip
    perfection.name(found.result)
    found.restarts = [replace(restart, theta=scale.to_raw(restart.theta)) for restart in found.restarts]
    return found, scale.to_raw(found.result.theta), scale


def _check_offset(likelihood: Likelihood, data: Data, null_deviance: float) -> None:
    """Raise ValueError where offsets leave no finite mean to start from."""
    low, high = float(data.offset.min()), float(data.offset.max())
    if np.isfinite(null_deviance) or low == high:
        return
    raise ValueError(
        f"offset ranges from {low:g} to {high:g}: under link {likelihood.link.name!r} the mean of some rows overflows "
        "at an intercept that suits the others. Offsets are added to the linear predictor; give exposures as exposure=."
    )


def _balances(likelihood: Likelihood, settings: Settings) -> bool:
    """Whether totals are to agree; raises ValueError where that is asked for and cannot be had."""
    wanted = settings.balance
    if wanted not in (True, False, "auto", "output"):
        raise ValueError(f"balance={wanted!r} is not known; choose 'auto', True, False or 'output'.")
    if wanted == "output":
        if likelihood.network.outputs() > 1:
            raise ValueError("balance='output' refits one linear predictor; use balance=True with several.")
        return True
    possible = likelihood.family.canonical_link == likelihood.link.name and "output.b" in likelihood.layout.slices
    if wanted is True and not possible:
        raise ValueError(
            f"balance=True needs an output bias and the canonical link, which for family={likelihood.family.name!r} is "
            f"{likelihood.family.canonical_link!r}; here the link is {likelihood.link.name!r}. Use balance='auto'."
        )
    return possible and wanted is not False


def _rebalance(
    likelihood: Likelihood, theta: Array, data: Data, settings: Settings, penalty: Array, found: Found
) -> Array:
    """Put totals on balance where the solver did not do it."""
    if settings.balance == "output":
        return refit_output(likelihood, theta, data, penalty)
    return theta if found.solver == "irls" and found.result.converged else on_balance(likelihood, theta, data)
