"""Responses of one row in order, each predicted from those before it."""

from __future__ import annotations

from dataclasses import dataclass

from pytensor.tensor.variable import TensorVariable

from reglm.layers.base import Layer
from reglm.layers.scope import Batch, Scope, SparseRows
from reglm.parameters import Spec


@dataclass(frozen=True)
class Ordered(Layer):
    """``a_j = sum_{i < j} L_ij y_i``: what the columns before it say about a column.

    Given these, the columns of a response are independent, so that the density of a row is the product of theirs
    (Frey 1998, logistic autoregressive networks). With it binary vectors need no partition function.
    """

    def specs(self, width: int) -> list[Spec]:
        """``L`` (width (width - 1) / 2,): the entries above the diagonal, row by row."""
        return [Spec("L", (width * (width - 1) // 2,), penalised=True)]

    def width(self, width: int) -> int:
        """As many columns as there are."""
        return width

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """Linear predictors (n, width)."""
        if isinstance(h, SparseRows):
            raise ValueError("Ordered needs dense rows; pass X.toarray().")
        return scope.triangular(h, "L")
