"""Find theta: scoring for linear predictors, restarted searches for networks."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from reglm.fitting.intercept import starting_eta
from reglm.fitting.objective import Penalised
from reglm.fitting.rescale import Scaling
from reglm.fitting.separation import Watch
from reglm.fitting.settings import NEWTON_PARAMETERS, Settings, minimise_options
from reglm.fitting.truncated import Walk
from reglm.likelihood import Data, Likelihood
from reglm.ops.affine import is_wide
from reglm.optimize import minimize
from reglm.optimize.irls import irls
from reglm.optimize.problem import Result
from reglm.parameters import Array
from reglm.record import Restart
from reglm.threads import single_threaded

POLISH_OPERATIONS = 50_000_000
"""Rows times squared parameters up to which "auto" ends a search by Newton steps."""
POLISH_ITERATIONS = 20


@dataclass
class Found:
    """The best point of a search, on the scale the search worked on."""

    result: Result
    solver: str
    restarts: list[Restart]
    details: dict[str, Any] = field(default_factory=dict)


def score_linear(likelihood: Likelihood, data: Data, penalty: Array, settings: Settings, null: Array) -> Found:
    """Fit one linear predictor by iteratively reweighted least squares, on X as given.

    Parameters
    ----------
    likelihood : Likelihood
        Without hidden layers; ``theta`` is the coefficients, then the intercept if there is one.
    data : Data
    penalty : ndarray (P,)
    settings : Settings
    null : ndarray (1,)
        Intercept of the null model.
    """
    response, offset = likelihood.response, data.offset[:, 0]
    has_bias = "output.b" in likelihood.layout.slices

    def rows(eta: Array) -> tuple[float, Array, Array]:
        found = response.working(data.y, (eta + offset)[:, None], data.weights)
        return found.objective, found.score[:, 0], found.information[:, 0, 0]

    start = np.zeros(likelihood.layout.size)
    if settings.start is not None:
        start = settings.start
    elif has_bias:
        start[-1] = null[0]
    elif likelihood.link.eta_domain.contains(np.zeros(1))[0]:
        pass
    else:
        target = starting_eta(response, data.y, 1)[:, 0] - offset
        start = np.linalg.lstsq(np.asarray(data.X @ np.eye(data.X.shape[1])), target, rcond=None)[0]
    options: dict[str, Any] = {"max_iter": settings.max_iter or 100}
    if settings.tol is not None:
        options["tol"] = settings.tol
    l2 = penalty if penalty.any() else None
    result = irls(data.X, rows, start, intercept=has_bias, l2=l2, callback=settings.callback, **options)
    details = {"aliased": result.aliased, "condition": result.condition, "method": result.method}
    return Found(result, "irls", [Restart(result.value, result.converged, result.n_iter, result.theta)], details)


def starts(
    likelihood: Likelihood, scaling: Scaling, null: Array, settings: Settings, seeds: list[np.random.SeedSequence]
) -> list[Array]:
    """Start values (P,) for each seed; a warm start replaces the first."""
    found = []
    for i, seed in enumerate(seeds):
        if i == 0 and settings.start is not None:
            found.append(scaling.from_raw(settings.start))
            continue
        theta = likelihood.layout.start(np.random.default_rng(seed)).astype(likelihood.dtype)
        views = likelihood.layout.views(theta)
        if "output.b" in views:
            views["output.b"][:] = null
        if len(likelihood.network.chain.layers) == 1:
            views["output.W"][:] = 0.0
        found.append(theta)
    return found


def one_search(
    penalised: Penalised, l1: Array | None, validation: Data | None, settings: Settings, solver: str, theta: Array,
    seed: np.random.SeedSequence,
) -> Result:  # fmt: skip
    """Run a solver from one start."""
    rng = np.random.default_rng(seed.spawn(1)[0])
    own = replace(penalised, rng=rng)
    problem, options = own.problem(l1, validation), minimise_options(settings, rng)
    if settings.bptt is not None:
        walk = Walk.over(own, settings.bptt, settings.batch_size)
        problem = replace(problem, n_rows=len(walk), batch_value_grad=walk)
        options |= {"batch_size": 1, "shuffle": False}
    state = None if settings.memory is None else settings.memory.state
    with _calm(penalised.likelihood):
        return minimize(problem, theta, solver, callback=settings.callback, state=state, **options)


def _calm(likelihood: Likelihood) -> AbstractContextManager:
    """Return a context of single-threaded BLAS where products are too small for its threads.

    Woken by a solver's own small products, those threads spin for a while on the cores that rows are shared among.
    """
    wide = any(len(spec.shape) == 2 and is_wide(*spec.shape) for spec in likelihood.layout.specs)
    return nullcontext() if wide else single_threaded()


def search(
    likelihood: Likelihood, data: Data, validation: Data | None, penalty: Array, l1: Array | None, settings: Settings,
    solver: str, theta0s: list[Array], seeds: list[np.random.SeedSequence],
) -> Found:  # fmt: skip
    """Search from every start and keep the best point; an interrupt keeps the best so far."""
    penalised = Penalised(likelihood, data, penalty, np.random.default_rng(0))
    fixed = penalised, l1, validation
    tasks = [(*fixed, settings, solver, theta, seed) for theta, seed in zip(theta0s, seeds, strict=True)]
    results = side_by_side(tasks, settings) if settings.n_jobs not in (None, 1) and len(tasks) > 1 else in_turn(tasks)
    best = min(results, key=score)
    if validation is None and settings.solver == "auto" and l1 is None and _polishable(likelihood, data, solver, best):
        best = polish(penalised, best)
    return Found(best, solver, [Restart(r.value, r.converged, r.n_iter, r.theta) for r in results])


def score(result: Result) -> float:
    """What the best of several searches has least of: validation deviance where there is one, else the objective."""
    found = min(result.history["monitor"], default=result.value)
    return found if np.isfinite(found) else np.inf


def in_turn(tasks: list[tuple[Any, ...]]) -> list[Result]:
    """Run searches one after the other; an interrupt ends the series and keeps what there is."""
    results: list[Result] = []
    for task in tasks:
        results.append(one_search(*task))
        if results[-1].interrupted:
            break
    return results


def side_by_side(tasks: list[tuple[Any, ...]], settings: Settings) -> list[Result]:
    """Run searches in `n_jobs` processes; an interrupt keeps the searches that are done."""
    assert isinstance(settings.callback, Watch)
    # The user's callback and the progress bar stay in this process.
    quiet = replace(settings, callback=Watch(settings.callback.lowest))
    tasks = [tuple(quiet if part is settings else part for part in task) for task in tasks]
    results: list[Result] = []
    try:
        for result in Parallel(n_jobs=settings.n_jobs, return_as="generator")(delayed(one_search)(*t) for t in tasks):
            results.append(result)
    except KeyboardInterrupt:
        if not results:
            raise
        results[-1].status = "interrupted"
        results[-1].message = f"interrupted after {len(results)} of {len(tasks)} searches; the best of these was kept"
    return results


def _polishable(likelihood: Likelihood, data: Data, solver: str, best: Result) -> bool:
    P = likelihood.layout.size
    small = P <= NEWTON_PARAMETERS and len(data.y) * P * P <= POLISH_OPERATIONS
    small = small and not likelihood.is_packed  # a product takes a walk along the sequences
    return solver == "lbfgs" and small and not best.interrupted and likelihood.dtype == "float64"


def polish(penalised: Penalised, best: Result) -> Result:
    """End a search by trust-region Newton steps on Hessian products; kept only if the objective does not rise."""
    products = replace(penalised.problem(), hessian=None)
    with _calm(penalised.likelihood):
        end = minimize(products, best.theta, "trust-newton", max_iter=POLISH_ITERATIONS, tol=1e-10)
    if not (np.isfinite(end.value) and end.value <= best.value):
        return best
    end.n_iter += best.n_iter
    end.history = {key: best.history.get(key, []) + values for key, values in end.history.items()}
    if not end.converged:
        end.status, end.message = best.status, best.message
    return end
