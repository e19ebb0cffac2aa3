"""Which rows belong to which sequence.

Rows are stacked. Either `lengths` says how they split, in order, or `groups` names the sequence of every row; rows of
one group keep their order and need not lie together. Only `groups` survives a splitter that cuts the rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from reglm.parameters import Array


@dataclass(frozen=True)
class Sequences:
    """A division of n rows into S sequences.

    Parameters
    ----------
    lengths : ndarray of int (S,)
        All positive.
    order : ndarray of int (n,) or None
        Rows in the order of the sequences, one sequence after the other; None when they are stored so.
    labels : ndarray (S,) or None
        Names of the sequences, where `groups` gave them.
    """

    lengths: Array
    order: Array | None = None
    labels: Array | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.lengths.sum())

    @property
    def edges(self) -> Array:
        """Where sequences start, and n: (S + 1,)."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    def slices(self) -> Iterator[slice]:
        """Yield the rows of each sequence after `stack`."""
        edges = self.edges
        return (slice(int(a), int(b)) for a, b in itertools.pairwise(edges))

    def stack(self, rows: Any) -> Any:
        """Rows as the user has them, in the order of the sequences."""
        return rows if self.order is None else rows[self.order]

    def unstack(self, rows: Array) -> Array:
        """Rows in the order of the sequences, as the user has them: the inverse of `stack`."""
        if self.order is None:
            return rows
        back = np.empty_like(rows)
        back[self.order] = rows
        return back


def sequences(n: int, lengths: Any = None, groups: Any = None) -> Sequences:
    """Return how n rows divide into sequences; one sequence when nothing is said.

    Parameters
    ----------
    n : int
        Number of rows.
    lengths : array-like of int (S,), optional
        Rows of each sequence, in order.
    groups : array-like (n,), optional
        Name of the sequence of each row. Sequences come in the order in which their names first appear.

    Returns
    -------
    Sequences

    Raises
    ------
    ValueError
        If both are given, if lengths are not positive whole numbers that add up to n, or if groups has another length
        or missing entries.
    """
    if lengths is not None and groups is not None:
        raise ValueError("lengths and groups are both given; one of them says where sequences end, drop the other.")
    if groups is not None:
        return _by_name(n, np.asarray(groups))
    if lengths is None:
        return Sequences(np.array([n]))
    given = np.asarray(lengths)
    if given.ndim != 1 or not np.all(np.equal(np.mod(given.astype(float), 1), 0)):
        raise ValueError(f"lengths={lengths!r} must be a vector of whole numbers, the rows of each sequence.")
    given = given.astype(np.int64)
    empty = np.flatnonzero(given < 1)
    if empty.size:
        raise ValueError(f"lengths[{empty[0]}]={given[empty[0]]}: an empty sequence has nothing to fit; drop it.")
    if given.sum() != n:
        raise ValueError(
            f"lengths add up to {given.sum()}, X has {n} rows. A splitter hands the whole of lengths to every fold: "
            "pass groups, the name of each row's sequence, instead."
        )
    return Sequences(given)


def _by_name(n: int, groups: Array) -> Sequences:
    if groups.shape != (n,):
        raise ValueError(f"groups has shape {groups.shape}, X has {n} rows: it must name the sequence of each row.")
    missing = [i for i, name in enumerate(groups.tolist()) if name is None or name != name]
    if missing:
        raise ValueError(f"groups[{missing[0]}] is missing; every row belongs to a sequence.")
    labels, first, code, count = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    by_appearance = np.argsort(first)
    place = np.empty_like(by_appearance)
    place[by_appearance] = np.arange(len(labels))
    ranks = place[code]
    stored = bool(np.all(np.diff(ranks) >= 0))
    order = None if stored else np.argsort(ranks, kind="stable")
    return Sequences(count[by_appearance].astype(np.int64), order, labels[by_appearance])
