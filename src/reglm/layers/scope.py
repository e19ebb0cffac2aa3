"""What a layer sees while it builds its part of the graph.

A `Scope` hands out symbolic parameters and buffers by local name and records, for every parameter, the
*tap* from which per-example derivatives follow: with ``a = h W + b`` at a position and ``delta = d eta_k /
d a``, row i of the Jacobian is ``J_i[W] = sum_s h_is (x) delta_is`` and ``J_i[b] = sum_s delta_is``. A
parameter that is not a weight of an affine map is broadcast over the rows and becomes a bias-only tap: its
columns of J are ``delta`` itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from reglm import ops


class SparseRows(NamedTuple):
    """Rows of a sparse matrix in CSR form, as graph inputs."""

    data: TensorVariable
    indices: TensorVariable
    indptr: TensorVariable


class PackedRows(NamedTuple):
    """Rows of sequences in packed order (`reglm.statespace.packing`), as graph inputs.

    Parameters
    ----------
    rows : matrix (n, p)
    sizes : vector of int64 (T,)
        Sequences with a row at each step.
    last : vector of int64 (S,)
        Row that ends each sequence.
    states : tuple of matrices (S, H)
        What recurrent layers start from, in order of use; empty where they start from zero.
    """

    rows: TensorVariable
    sizes: TensorVariable
    last: TensorVariable
    states: tuple[TensorVariable, ...] = ()


Batch = Any
"""A TensorVariable (n, width), or `SparseRows`."""


@dataclass(frozen=True)
class Tap:
    """One affine map of the network: ``a = h W + b``.

    Parameters
    ----------
    kind : {"dense", "transposed", "triangular", "sparse", "lookup", "shared"}
        How `h` is stored: a matrix (W has all entries, is transposed, or has those above its diagonal), CSR rows,
        codes standing for indicator rows, or nothing (bias only).
    h : tuple of variables
    a : variable
        The output, in which eta is differentiated.
    weight, bias : str or None
        Full parameter names.
    """

    kind: str
    h: tuple[TensorVariable, ...]
    a: TensorVariable
    weight: str | None
    bias: str | None


@dataclass
class Trace:
    """What applying a network leaves behind."""

    taps: list[Tap] = field(default_factory=list)
    noise: list[TensorVariable] = field(default_factory=list)
    statistics: dict[str, TensorVariable] = field(default_factory=dict)
    states: list[TensorVariable] = field(default_factory=list)
    flows: list[tuple[TensorVariable, TensorVariable]] = field(default_factory=list)
    """States of recurrences whose gradients are to keep their norm, each with what a departure costs."""


@dataclass(frozen=True)
class Scope:
    """Parameters and buffers under a prefix.

    Parameters
    ----------
    parameters, buffers : mapping from full name to variable
    rows : variable
        Number of rows in the batch.
    dtype : str
    training : bool
        Batch statistics and dropout on.
    per_row : bool
        Broadcast shared parameters over the rows, so that derivatives per example exist.
    packed : PackedRows or None
        The sequences whose rows these are.
    """

    parameters: Mapping[str, TensorVariable]
    buffers: Mapping[str, TensorVariable]
    rows: TensorVariable
    dtype: str
    training: bool = False
    per_row: bool = False
    prefix: str = ""
    packed: PackedRows | None = None
    trace: Trace = field(default_factory=Trace)

    def child(self, name: str) -> Scope:
        """Return the scope one level down."""
        return replace(self, prefix=f"{self.prefix}{name}.")

    def affine(self, h: Batch, weight: str, bias: str | None) -> TensorVariable:
        """``h W + b``, tapped."""
        parameters = [self.parameters[self.prefix + name] for name in (weight, bias) if name is not None]
        if isinstance(h, SparseRows):
            return self._tap("sparse", tuple(h), ops.sparse_affine(*h, *parameters), weight, bias)
        return self._tap("dense", (h,), ops.affine(h, *parameters), weight, bias)

    def transposed(self, h: TensorVariable, weight: str, bias: str) -> TensorVariable:
        """``h W' + b`` with weights that another affine map has too, tapped."""
        W, b = (self.parameters[self.prefix + name] for name in (weight, bias))
        return self._tap("transposed", (h,), ops.affine(h, W.T, b), weight, bias)

    def lookup(self, codes: TensorVariable, table: str, pool: bool) -> TensorVariable:
        """Rows of a table, (n, C) codes to (n, C d), or added up to (n, d); tapped."""
        a = ops.lookup(codes, self.parameters[self.prefix + table], pool)
        return self._tap("lookup", (codes,), a, table, None)

    def triangular(self, h: TensorVariable, entries: str) -> TensorVariable:
        """``h W`` with W zero on and below the diagonal; tapped."""
        W = ops.triangle(self.parameters[self.prefix + entries])
        return self._tap("triangular", (h,), ops.affine(h, W), entries, None)

    def shared(self, name: str) -> TensorVariable:
        """Return a parameter of shape (1, ...) that all rows share."""
        p = pt.specify_broadcastable(self.parameters[self.prefix + name], 0)
        if not self.per_row:
            return p
        rows = pt.alloc(p, self.rows, *(p.shape[i] for i in range(1, p.ndim)))
        return self._tap("shared", (), rows, None, name)

    def _tap(
        self,
        kind: str,
        h: tuple[TensorVariable, ...],
        a: TensorVariable,
        weight: str | None,
        bias: str | None,
    ) -> TensorVariable:
        full = [None if name is None else self.prefix + name for name in (weight, bias)]
        self.trace.taps.append(Tap(kind, h, a, *full))
        return a

    def buffer(self, name: str) -> TensorVariable:
        """Return an array that is not trained."""
        return self.buffers[self.prefix + name]

    def uniform(self) -> TensorVariable:
        """Uniform draws (n, width), an input of the training graph."""
        draws = pt.matrix(f"{self.prefix}noise{len(self.trace.noise)}", dtype="float32")
        self.trace.noise.append(draws)
        return draws

    def sequences(self, layer: str) -> PackedRows:
        """Return the sequences whose rows these are; ValueError where the rows are not those of sequences."""
        if self.packed is None:
            raise ValueError(f"{layer} needs the rows of sequences; use it in RecurrentGLM, or pack them (statespace).")
        return self.packed

    def parameter(self, name: str) -> TensorVariable:
        """Return a parameter that is not tapped: rows it acts on bear on others."""
        return self.parameters[self.prefix + name]

    def states(self, zero: TensorVariable, count: int) -> list[TensorVariable]:
        """Return what a recurrent layer starts from, `count` times `zero` (S, H) unless states are carried over."""
        given = () if self.packed is None else self.packed.states
        done = len(self.trace.states)
        return list(given[done : done + count]) if given else [zero] * count

    def record(self, name: str, value: TensorVariable) -> None:
        """Remember a statistic of the training batch under the name of the buffer it estimates."""
        self.trace.statistics[self.prefix + name] = value
