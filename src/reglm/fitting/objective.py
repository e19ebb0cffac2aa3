"""The penalised objective of a fit as the callables that solvers take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reglm.jacobian import GaussNewton, SequentialGaussNewton, fisher
from reglm.likelihood import Data, Likelihood
from reglm.optimize import Problem
from reglm.parameters import Array

BLOCK_ELEMENTS = 20_000_000
"""Objectives over all rows are summed over blocks whose widest arrays hold about this many numbers."""


@dataclass(frozen=True)
class Penalised:
    """Negative log-likelihood plus ``sum penalty theta^2 / 2``, on given rows.

    Parameters
    ----------
    likelihood : Likelihood
    data : Data
        Rows to fit.
    penalty : ndarray (P,)
    rng : numpy.random.Generator
        Draws dropout masks.
    """

    likelihood: Likelihood
    data: Data
    penalty: Array
    rng: np.random.Generator

    @cached_property
    def weight(self) -> float:
        """Total weight."""
        return float(self.data.weights.sum())

    @cached_property
    def shrinkage(self) -> Array | None:
        """Penalty per unit weight (P,) in the model's dtype; None if there is none."""
        return (self.penalty / self.weight).astype(self.likelihood.dtype) if self.penalty.any() else None

    def _noise(self, data: Data) -> list[Array] | None:
        """Dropout draws; None (evaluation mode) for networks that train and predict alike.

        The rows of a sequence share theirs (Gal & Ghahramani 2016).
        """
        widths = self.likelihood.network.noise()
        if not widths and not self.likelihood.has_batch_statistics:
            return None
        draws = [self.rng.random((data.units, width), dtype="float32") for width in widths]
        return [draw[data.X.sequence] for draw in draws] if self.likelihood.is_packed else draws

    def value_grad(self, theta: Array) -> tuple[float, Array]:
        """Objective and gradient over all rows."""
        value, gradient = 0.0, np.zeros_like(theta)
        for rows in self._blocks():
            data = self.data if rows is None else self.data.rows(rows)
            noise = self._noise(data) if self.likelihood.has_batch_statistics else None
            part, slope = self.likelihood.value_grad(theta, data, noise)
            value, gradient = value + part, gradient + slope
        gradient += self.penalty * theta
        return value + 0.5 * float(self.penalty @ theta**2), gradient

    def _blocks(self) -> Iterator[slice | None]:
        """Blocks of rows that bound memory; None for all rows at once, which batch statistics need."""
        n, size = len(self.data.y), max(1, BLOCK_ELEMENTS // self.likelihood.widest())
        if n <= size or self.likelihood.has_batch_statistics or self.likelihood.is_packed:
            return iter([None])
        return (slice(start, start + size) for start in range(0, n, size))

    def batch_value_grad(self, theta: Array, rows: Array) -> tuple[float, Array]:
        """Mean objective and gradient per unit weight on some rows."""
        batch = self.data.rows(rows)
        return self.per_unit_weight(theta, *self.likelihood.value_grad(theta, batch, self._noise(batch)), batch)

    def per_unit_weight(self, theta: Array, value: float, gradient: Array, batch: Data) -> tuple[float, Array]:
        """Objective of a mini-batch and its gradient, divided by its weight, and the penalty's share; in place."""
        weight = max(float(batch.weights.sum()), np.finfo(float).tiny)
        gradient *= 1.0 / weight
        if self.shrinkage is None:
            return value / weight, gradient
        pull = self.shrinkage * theta
        gradient += pull
        return value / weight + 0.5 * float(pull @ theta), gradient

    def information(self, theta: Array) -> tuple[Array, Array]:
        """Gradient and expected information, penalty included."""
        score, information = fisher(self.likelihood, theta, self.data)
        return score + self.penalty * theta, information + np.diag(self.penalty)

    def hessian(self, theta: Array) -> Array:
        """Exact Hessian."""
        return self.likelihood.hessian(theta, self.data) + np.diag(self.penalty)

    def hessp(self, theta: Array, v: Array) -> Array:
        """Exact Hessian product."""
        return self.likelihood.hessp(theta, self.data, v) + self.penalty * v

    def gnp(self, theta: Array) -> Callable[[Array], Array]:
        """Gauss-Newton product at theta."""
        kind = SequentialGaussNewton if self.likelihood.is_packed else GaussNewton
        product = kind(self.likelihood, theta, self.data)
        return lambda v: product(v) + self.penalty * v

    def problem(self, l1: Array | None = None, validation: Data | None = None) -> Problem:
        """Everything a solver can ask for."""
        return Problem(
            value_grad=self.value_grad, n_rows=self.data.units, information=self.information, hessian=self.hessian,
            hessp=self.hessp, gnp=self.gnp, batch_value_grad=self.batch_value_grad, l1=l1, scale=self.weight,
            monitor=None if validation is None else lambda theta: self.held_out(theta, validation),
        )  # fmt: skip

    def held_out(self, theta: Array, validation: Data) -> float:
        """Mean deviance of the validation rows."""
        moments = self.likelihood.batch_moments(theta, self.data)
        self.likelihood.buffers.update(moments)
        return self.likelihood.mean_deviance(theta, validation)
