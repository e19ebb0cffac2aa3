"""Solvers over callables; they know no models."""

from reglm.optimize.crossproduct import normal_equations, weighted_crossproduct
from reglm.optimize.irls import IRLSResult, irls
from reglm.optimize.least_squares import LeastSquares, solve_normal, weighted_qr_step
from reglm.optimize.minimize import SOLVERS, Solver, minimize
from reglm.optimize.problem import Problem, Result
from reglm.optimize.schedules import SCHEDULES

__all__ = [
    "SCHEDULES", "SOLVERS", "IRLSResult", "LeastSquares", "Problem", "Result", "Solver", "irls", "minimize",
    "normal_equations", "solve_normal", "weighted_crossproduct", "weighted_qr_step",
]  # fmt: skip
