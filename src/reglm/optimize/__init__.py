"""Solvers over callables; they know no models."""

from reglm.optimize.minimize import SOLVERS, Solver, minimize
from reglm.optimize.problem import Problem, Result
from reglm.optimize.schedules import SCHEDULES

__all__ = ["SCHEDULES", "SOLVERS", "Problem", "Result", "Solver", "minimize"]
