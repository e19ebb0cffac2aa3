"""Kernel matrices between many rows and few landmarks, some rows at a time under a stated amount of memory.

The blocks are what large n costs. They are kept from one pass to the next where they fit, made anew where not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from reglm.parameters import Array
from reglm.threads import map_rows

Gram = Callable[[Array, Array], Array]
"""Kernel between the rows of two arrays, (n, p) and (m, p), as (n, m)."""

MOST_ROWS = 8192
"""Larger blocks are no faster."""
LEAST_ROWS = 64
SHARE_ROWS = 256
"""Rows of a block that are worth a thread."""
COPIES = 3
"""Arrays of the size of a block that exist at once: the block, what its kernel is made from, what it is turned into."""
SQUARES = 8
"""Matrices (m, m) that exist at once: kernel of the landmarks, its factor, the sums, their eigenvectors, workspace."""


def rows_within(memory: int, n: int, m: int, itemsize: int) -> tuple[int, bool]:
    """Rows of a block, and whether all blocks can be kept.

    Parameters
    ----------
    memory : int
        Bytes for everything: blocks and (m, m) matrices.
    n, m : int
        Rows and landmarks.
    itemsize : int
        Bytes of a number in a block.

    Raises
    ------
    ValueError
        If the memory does not hold blocks of 64 rows.
    """
    squares, row = SQUARES * 8 * m * m, itemsize * m
    least = min(n, LEAST_ROWS)
    if memory < squares + COPIES * least * row:
        raise ValueError(
            f"{m} landmarks need {(squares + COPIES * least * row) / 1e6:.4g} MB at least, memory_limit allows "
            f"{memory / 1e6:.4g} MB; raise memory_limit or lower n_landmarks."
        )
    rows = min((memory - squares) // (COPIES * row), MOST_ROWS, n)
    return rows, memory >= squares + (n + COPIES * rows) * row


@dataclass(frozen=True)
class Blocks:
    """Kernel between rows and landmarks, iterated as ``(rows, block)`` in order.

    Parameters
    ----------
    gram : callable
    X : ndarray (n, p)
    Z : ndarray (m, p)
        Landmarks.
    rows : int
        Of a block.
    keep : bool
        Keep the blocks for the next pass.
    finish : callable
        What a block (rows, m), C-contiguous, is turned into; may overwrite it.
    dtype : str
        Of the blocks.
    """

    gram: Gram
    X: Array
    Z: Array
    rows: int
    keep: bool
    finish: Callable[[Array], Array]
    dtype: str = "float64"
    _kept: dict[int, Array] = field(default_factory=dict, repr=False, compare=False)

    def __iter__(self) -> Iterator[tuple[slice, Array]]:
        for start in range(0, self.X.shape[0], self.rows):
            block = self._kept[start] if start in self._kept else self.finish(self._made(start))
            if self.keep:
                self._kept[start] = block
            yield slice(start, start + len(block)), block

    def forget(self) -> None:
        """Let go of the blocks that were kept; the next pass makes them anew."""
        self._kept.clear()

    def _made(self, start: int) -> Array:
        X = self.X[start : start + self.rows]
        block = np.empty((X.shape[0], self.Z.shape[0]), dtype=self.dtype)

        def fill(first: int, last: int) -> None:
            block[first:last] = self.gram(X[first:last], self.Z)

        list(map_rows(fill, X.shape[0], SHARE_ROWS))
        return block


@dataclass(frozen=True)
class Gaussian:
    """The kernel ``exp(-gamma ||x - z||^2)`` as one matrix product and one exponential.

    Parameters
    ----------
    gamma : float
    centre : ndarray (p,)
        Subtracted from both arguments first: distances far from the origin lose digits.
    """

    gamma: float
    centre: Array

    def __call__(self, X: Array, Z: Array) -> Array:
        """Kernel between the rows of two arrays, (n, m)."""
        X, Z = X - self.centre, Z - self.centre
        left = np.hstack([X, (X**2).sum(axis=1, keepdims=True), np.ones((len(X), 1), dtype=X.dtype)])
        squares = (Z**2).sum(axis=1, keepdims=True)
        right = np.hstack([-2 * Z, np.ones((len(Z), 1), dtype=Z.dtype), squares])
        K = left @ right.T
        np.maximum(K, 0, out=K)
        K *= K.dtype.type(-self.gamma)
        return np.exp(K, out=K)
