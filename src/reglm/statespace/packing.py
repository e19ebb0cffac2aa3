"""Sequences of unequal lengths as one matrix without padding.

Sequences are sorted by length, the longest first. First come the first rows of all of them, then the second rows of
those that have one, and so on: step t holds ``sizes[t]`` rows, which continue as many first rows of step t - 1.
Whatever acts on rows one by one (affine maps, families, offsets, weights) acts on packed rows as on any.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from reglm.parameters import Array


@dataclass(frozen=True)
class Packing:
    """How the rows of S stacked sequences become packed rows.

    Parameters
    ----------
    order : ndarray of int (n,)
        Stacked row of each packed row.
    sizes : ndarray of int64 (T,)
        Sequences with a row at each step; never increasing.
    last : ndarray of int64 (S,)
        Packed row that ends each sequence, longest sequence first.
    ranks : ndarray of int (S,)
        Stacked sequence of each packed one: the numbers of the sequences, longest first.
    """

    order: Array
    sizes: Array
    last: Array
    ranks: Array

    def pack(self, rows: Array) -> Array:
        """Packed rows from stacked ones."""
        return np.ascontiguousarray(rows[self.order])

    def unpack(self, rows: Array) -> Array:
        """Stacked rows from packed ones: the inverse of `pack`."""
        stacked = np.empty_like(rows)
        stacked[self.order] = rows
        return stacked

    def unpack_sequences(self, values: Array) -> Array:
        """Values of the sequences as stacked, from those in packed order (S, ...)."""
        stacked = np.empty_like(values)
        stacked[self.ranks] = values
        return stacked


def packing(lengths: Array) -> Packing:
    """Sort out the rows of stacked sequences.

    Parameters
    ----------
    lengths : ndarray of int (S,)
        All positive.

    Returns
    -------
    Packing
    """
    ranks = np.argsort(-lengths, kind="stable")
    sizes = sizes_of(lengths[ranks])
    starts = (np.cumsum(lengths) - lengths)[ranks]
    step = np.arange(len(sizes))
    order = (starts[None, :] + step[:, None])[_present(sizes, np.arange(len(lengths)))]
    return Packing(order, sizes, last_rows(sizes), ranks)


def sizes_of(lengths: Array) -> Array:
    """Sequences with a row at each step (T,), for lengths (S,) in any order."""
    reached = np.bincount(lengths)[1:]
    return reached[::-1].cumsum()[::-1].astype("int64")


def last_rows(sizes: Array) -> Array:
    """Packed row that ends each sequence (S,)."""
    lengths = np.searchsorted(-sizes, -np.arange(sizes[0]), side="left")
    return first_rows(sizes)[lengths - 1] + np.arange(sizes[0], dtype="int64")


def first_rows(sizes: Array) -> Array:
    """Packed row with which each step begins (T,)."""
    return np.cumsum(sizes) - sizes


def _present(sizes: Array, sequences: Array) -> Array:
    """Whether sequences (B,) have a row at each step, (T, B)."""
    return sequences[None, :] < sizes[:, None]


@dataclass(frozen=True, eq=False)
class Packed:
    """Rows of S sequences in packed order.

    Parameters
    ----------
    rows : ndarray (n, p)
    sizes : ndarray of int64 (T,)
        Sequences with a row at each step; never increasing.
    states : tuple of ndarray (S, H)
        What recurrent layers start from; empty where they start from zero.
    """

    rows: Array
    sizes: Array
    states: tuple[Array, ...] = ()

    def __len__(self) -> int:
        return int(self.sizes[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the rows, (n, p)."""
        return self.rows.shape

    @property
    def dtype(self) -> Any:
        """Type of the rows."""
        return self.rows.dtype

    @cached_property
    def last(self) -> Array:
        """Row that ends each sequence, (S,)."""
        return last_rows(self.sizes)

    @cached_property
    def sequence(self) -> Array:
        """Sequence of each row, (n,)."""
        return np.concatenate([np.arange(size) for size in self.sizes])

    def chosen(self, which: Array | slice) -> tuple[Array, Array]:
        """Rows of some of the sequences, in packed order, and their `sizes`.

        Parameters
        ----------
        which : ndarray of int (B,), in increasing order, or slice
        """
        numbers = np.arange(len(self))[which]
        present = _present(self.sizes, numbers)
        sizes = present.sum(axis=1)
        rows = (first_rows(self.sizes)[:, None] + numbers[None, :])[present]
        return rows, sizes[sizes > 0]

    def steps(self, start: int, stop: int) -> slice:
        """Rows of some of the steps, which lie together."""
        first = int(self.sizes[:start].sum())
        return slice(first, first + int(self.sizes[start:stop].sum()))

    def replaced(self, rows: Array) -> Packed:
        """Other rows of the same sequences."""
        return Packed(rows, self.sizes, self.states)

    def astype(self, dtype: str) -> Packed:
        """Rows and states of another type."""
        return Packed(self.rows.astype(dtype), self.sizes, tuple(state.astype(dtype) for state in self.states))
