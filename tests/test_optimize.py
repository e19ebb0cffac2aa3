"""What every solver in the registry must do."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from optimize_cases import logistic_data, logistic_problem, rosenbrock_problem

from reglm.optimize import SOLVERS, Problem, minimize

X, Y = logistic_data()
REFERENCE = sm.Logit(Y, X).fit(disp=0, tol=1e-14, maxiter=50)
RATES = {"gd": 0.5, "sgd": 0.05, "adagrad": 0.3, "adam": 0.03}
STOCHASTIC = [name for name, solver in SOLVERS.items() if solver.kind == "stochastic"]
EXACT = [name for name, solver in SOLVERS.items() if solver.kind != "stochastic"]


def options(solver):
    """Options that make the stochastic solvers converge on the small problem."""
    if SOLVERS[solver].kind != "stochastic":
        return {"learning_rate": RATES.get(solver)}
    return {
        "learning_rate": RATES.get(solver), "schedule": "cosine", "patience": 1000, "batch_size": 50,
        "rng": np.random.default_rng(1),
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("solver", SOLVERS)
def test_reaches_the_optimum_and_keeps_the_dtype(solver, dtype):
    start = np.zeros(4, dtype)
    result = minimize(logistic_problem(X.astype(dtype), Y.astype(dtype)), start, solver, **options(solver))
    tolerance = 3e-2 if solver in STOCHASTIC else 2e-3 if dtype == np.float32 else 1e-4
    np.testing.assert_allclose(result.theta, REFERENCE.params, atol=tolerance)
    assert result.theta.dtype == dtype
    assert not start.any()
    assert result.value == pytest.approx(-REFERENCE.llf, rel=1e-4)
    assert result.n_iter == len(result.history["objective"]) == len(result.history["step"])


@pytest.mark.parametrize("solver", EXACT)
def test_converged_means_a_vanishing_gradient(solver):
    problem = logistic_problem(X, Y)
    result = minimize(problem, np.zeros(4), solver, **options(solver))
    assert result.converged
    gradient = np.abs(problem.value_grad(result.theta)[1]).max() / len(Y)
    assert gradient == pytest.approx(result.grad_norm, abs=1e-12)
    assert gradient <= 1.1e-5
    short = minimize(problem, np.zeros(4), solver, max_iter=1, **options(solver))
    assert short.status == "max_iter"
    assert not short.converged
    assert "max_iter" in short.message


@pytest.mark.parametrize("solver", SOLVERS)
def test_callback_stops_and_sees_the_iterations(solver):
    seen = []

    def callback(iteration, value, theta):
        seen.append((iteration, value))
        return iteration == 2

    result = minimize(logistic_problem(X, Y), np.zeros(4), solver, callback=callback, **options(solver))
    assert [iteration for iteration, _ in seen] == [1, 2]
    assert result.status == "callback"
    assert result.n_iter == 2
    assert not result.converged
    assert result.history["objective"] == [value for _, value in seen]


@pytest.mark.parametrize("solver", SOLVERS)
def test_interrupt_keeps_the_best_parameters(solver):
    def callback(iteration, value, theta):
        if iteration == 2:
            raise KeyboardInterrupt

    problem = logistic_problem(X, Y)
    result = minimize(problem, np.zeros(4), solver, callback=callback, **options(solver))
    assert result.interrupted
    assert not result.converged
    assert problem.value_grad(result.theta)[0] < problem.value_grad(np.zeros(4))[0]


@pytest.mark.parametrize("solver", SOLVERS)
def test_interrupt_inside_the_objective(solver):
    calls = []

    def interrupted(function):
        def call(*arguments):
            calls.append(1)
            if len(calls) == 30 or (len(calls) == 4 and SOLVERS[solver].kind != "stochastic"):
                raise KeyboardInterrupt
            return function(*arguments)

        return call

    good = logistic_problem(X, Y)
    problem = logistic_problem(
        X, Y, value_grad=interrupted(good.value_grad), batch_value_grad=interrupted(good.batch_value_grad)
    )
    result = minimize(problem, np.zeros(4), solver, batch_size=10)
    assert result.interrupted
    assert result.value == pytest.approx(good.value_grad(result.theta)[0])
    assert result.value < good.value_grad(np.zeros(4))[0]


@pytest.mark.parametrize("solver", EXACT)
def test_warm_start_needs_no_step(solver):
    found = minimize(logistic_problem(X, Y), np.zeros(4), solver, tol=1e-6, **options(solver))
    again = minimize(logistic_problem(X, Y), found.theta, solver, tol=1e-5, **options(solver))
    assert again.converged
    assert again.n_iter == 0
    np.testing.assert_array_equal(again.theta, found.theta)


@pytest.mark.parametrize("solver", STOCHASTIC)
def test_state_continues_a_stochastic_search(solver):
    thetas = []

    def run(epochs, start, state):
        return minimize(
            logistic_problem(X, Y), start, solver, max_iter=epochs, shuffle=False, schedule="inverse",
            state=state, patience=99, callback=lambda iteration, value, theta: thetas.append(theta.copy()),
        )  # fmt: skip

    run(6, np.zeros(4), None)
    whole = thetas[-1]
    half = run(3, np.zeros(4), None)
    rest = run(3, thetas[-1], half.state)
    np.testing.assert_array_equal(thetas[-1], whole)
    assert rest.state.epochs == 6


@pytest.mark.parametrize("solver", SOLVERS)
def test_same_seed_same_bits(solver):
    runs = [minimize(logistic_problem(X, Y), np.zeros(4), solver, max_iter=3, **options(solver)) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].theta, runs[1].theta)


@pytest.mark.parametrize("solver", SOLVERS)
def test_early_stopping_restores_the_best_monitor(solver):
    deviances = []

    def monitor(theta):
        # Lowest on the way to the optimum, at a quarter of the optimal coefficients.
        deviances.append(float(np.sum((theta - 0.25 * REFERENCE.params) ** 2)))
        return deviances[-1]

    problem = logistic_problem(X, Y, monitor=monitor)
    kept = {"learning_rate": None if solver == "adadelta" else 0.01}
    result = minimize(problem, np.zeros(4), solver, patience=3, max_iter=300, **kept)
    best = float(np.sum((result.theta - 0.25 * REFERENCE.params) ** 2))
    assert best == pytest.approx(min(deviances))
    assert not (result.status == "stopped early" and result.converged)
    if SOLVERS[solver].kind == "stochastic":
        assert result.status == "stopped early"


@pytest.mark.parametrize("solver", SOLVERS)
def test_objective_that_becomes_nan_is_reported(solver):
    calls = []

    def poisoned(function):
        def call(*arguments):
            calls.append(1)
            value, gradient = function(*arguments)
            return (value if len(calls) < 4 else np.nan), gradient

        return call

    good = logistic_problem(X, Y)
    problem = logistic_problem(
        X, Y, value_grad=poisoned(good.value_grad), batch_value_grad=poisoned(good.batch_value_grad)
    )
    result = minimize(problem, np.full(4, 0.1), solver)
    assert not result.converged
    assert result.status in ("non-finite", "stalled")
    assert np.isfinite(result.theta).all()


@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_divergence_names_the_remedy(solver):
    def value_grad(theta):
        with np.errstate(over="ignore", invalid="ignore"):
            return np.square(theta @ theta), 4 * theta * (theta @ theta)

    problem = Problem(value_grad, 10, batch_value_grad=lambda theta, rows: value_grad(theta))
    result = minimize(problem, np.full(2, 3.0), solver, learning_rate=10.0)
    assert result.status == "non-finite"
    assert "learning_rate" in result.message
    assert np.isfinite(result.theta).all()


@pytest.mark.parametrize("solver", ["newton", "trust-newton", "newton-cg", "fisher", "lbfgs"])
@pytest.mark.parametrize("start", [(-1.2, 1.0), (0.0, 0.0), (-3.0, -4.0), (0.0, 1.0)])
def test_rosenbrock(solver, start):
    result = minimize(rosenbrock_problem(), np.array(start), solver)
    assert result.converged
    np.testing.assert_allclose(result.theta, 1.0, atol=1e-6)
    assert result.n_eval < 80


@pytest.mark.parametrize("solver", ["gd", "lbfgs", "newton", "trust-newton", "newton-cg", "fisher"])
def test_quadratic_closed_form(solver):
    rng = np.random.default_rng(5)
    root = rng.normal(size=(6, 4))
    A, b = root.T @ root + np.eye(4), rng.normal(size=4)
    problem = Problem(
        lambda x: (0.5 * x @ A @ x - b @ x, A @ x - b), 1, hessian=lambda x: A, gnp=lambda x: A.__matmul__,
        information=lambda x: (A @ x - b, A),
    )  # fmt: skip
    result = minimize(problem, np.zeros(4), solver, learning_rate=0.05)
    np.testing.assert_allclose(result.theta, np.linalg.solve(A, b), atol=1e-4 if solver == "gd" else 2e-6)
    if SOLVERS[solver].kind == "second-order" and solver != "newton-cg":
        assert result.n_iter <= 3


def test_unknown_solver_missing_derivative_and_l1_are_refused():
    with pytest.raises(ValueError, match=r"solver='bfgs' is not known; use one of"):
        minimize(logistic_problem(X, Y), np.zeros(4), "bfgs")
    with pytest.raises(ValueError, match=r"solver='newton' needs Problem\.hessian"):
        minimize(logistic_problem(X, Y, hessian=None), np.zeros(4), "newton")
    for solver in ("newton", "fisher", "newton-cg", "trust-newton"):
        with pytest.raises(ValueError, match=r"use solver='lbfgs'"):
            minimize(logistic_problem(X, Y, l1=np.ones(4)), np.zeros(4), solver)
