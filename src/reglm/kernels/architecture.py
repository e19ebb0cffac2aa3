"""The recursion from layer to layer of a wide network's kernels, over all pairs of rows, in blocks.

``S_1 = T_1 = s_w^2 x.x' / d + s_b^2``, then ``S_{l+1} = s_w^2 E f(u) f(u') + s_b^2`` with (u, u') normal with
covariances S_l (Lee et al. 2018) and ``T_{l+1} = S_{l+1} + T_l s_w^2 E f'(u) f'(u')`` (Jacot et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from reglm.kernels.activations import DualActivation, Rows
from reglm.parameters import Array
from reglm.threads import map_rows

HEIGHT, WIDTH = 64, 256
"""Tiles of pairs that go through all layers together: their few arrays stay in cache."""
SHARED = 1 << 16
"""Pairs below which a share of the work is not worth a thread."""


@dataclass(frozen=True)
class Architecture:
    """A dense network whose layers are infinitely wide.

    Parameters
    ----------
    activations : sequence of DualActivation
        One a hidden layer; none for the linear model.
    weight_variance, bias_variance : float or complex
        ``s_w^2`` and ``s_b^2``; complex for a derivative, see `reglm.kernels.analytic`.
    tangent : bool
        Whether the kernel is the tangent kernel T, not the covariance S of the outputs.
    skip : bool
        Whether the output holds the linear predictor of the inputs, ``s_w^2 x.x' / d`` in both kernels.
    """

    activations: Sequence[DualActivation]
    weight_variance: complex
    bias_variance: complex
    tangent: bool
    skip: bool = False

    def recursion(self, products: Array, left: Sequence[Rows], right: Sequence[Rows]) -> Array:
        """Kernel of pairs.

        Parameters
        ----------
        products : ndarray
            ``x.x' / d``.
        left, right : sequences of Rows
            What each activation knows of the two rows; broadcast against `products`.

        Returns
        -------
        ndarray
            In the shape of `products`.
        """
        w, b = self.weight_variance, self.bias_variance
        linear = w * products
        S = T = linear + b
        for activation, one, other in zip(self.activations, left, right, strict=True):
            value, slope = activation.pairs(one, S, other)
            S = w * value + b
            if self.tangent:
                T = S + T * (w * slope)
        kernel = T if self.tangent else S
        return kernel + linear if self.skip else kernel

    def rows(self, squares: Array) -> list[Rows]:
        """What each activation knows of rows with ``x.x / d`` = `squares` (n,)."""
        found: list[Rows] = []
        S = self.weight_variance * squares + self.bias_variance
        for activation in self.activations:
            found.append(activation.rows(S))
            S = self.weight_variance * activation.pairs(found[-1], S, found[-1])[0] + self.bias_variance
        return found

    def diagonal(self, X: Array) -> Array:
        """Kernel (n,) of each row of X (n, d) with itself."""
        squares = _squares(X)
        rows = self.rows(squares)
        return self.recursion(squares, rows, rows)

    def gram(self, X: Array, Y: Array | None = None) -> Array:
        """Kernel (n, m) of the rows of X (n, d) with those of Y (m, d), or with each other."""
        rows = self.rows(_squares(X))
        others = rows if Y is None else self.rows(_squares(Y))
        right = [tuple(part[..., None, :] for part in layer) for layer in others]
        left = [tuple(part[..., :, None] for part in layer) for layer in rows]
        Z = X if Y is None else Y
        K = np.empty((len(X), len(Z)), dtype=np.result_type(float, self.weight_variance, self.bias_variance))

        def fill(rows: slice, columns: slice) -> None:
            K[rows, columns] = self.recursion(
                X[rows] @ Z[columns].T / X.shape[1],
                [tuple(part[..., rows, :] for part in layer) for layer in left],
                [tuple(part[..., columns] for part in layer) for layer in right],
            )
            if Y is None and columns.stop <= rows.start:
                K[columns, rows] = K[rows, columns].T

        if Y is None:
            _lower_half(fill, len(X))
            np.fill_diagonal(K, self.recursion(_squares(X), rows, rows))
            _symmetrise_squares(K)
        else:
            _all_tiles(fill, len(X), len(Z))
        return K


def _squares(X: Array) -> Array:
    return np.einsum("ij,ij->i", X, X) / X.shape[1]


def _symmetrise_squares(K: Array) -> None:
    """Copy one half of the squares along the diagonal to the other: rounding may differ between them."""
    for rows in _slices(0, len(K), HEIGHT):
        square = K[rows, rows]
        K[rows, rows] = np.tril(square) + np.tril(square, -1).T


def _slices(start: int, stop: int, step: int) -> Iterator[slice]:
    return (slice(low, min(low + step, stop)) for low in range(start, stop, step))


def _all_tiles(fill: Callable[[slice, slice], None], n: int, columns: int) -> None:
    """Call ``fill(rows, columns)`` for all tiles of an (n, columns) matrix, on all threads."""

    def part(start: int, stop: int) -> None:
        for rows in _slices(start, stop, HEIGHT):
            for tile in _slices(0, columns, WIDTH):
                fill(rows, tile)

    _run(part, n, max(1, SHARED // max(1, columns)))


def _lower_half(fill: Callable[[slice, slice], None], n: int) -> None:
    """The same for tiles below the diagonal and squares on it; rows from both ends, so that threads have equal work."""
    strips = list(_slices(0, n, HEIGHT))
    half = (len(strips) + 1) // 2

    def part(start: int, stop: int) -> None:
        for number in sorted({*range(start, stop), *range(len(strips) - stop, len(strips) - start)}):
            rows = strips[number]
            fill(rows, rows)
            for tile in _slices(0, rows.start, WIDTH):
                fill(rows, tile)

    _run(part, half, max(1, SHARED // (2 * HEIGHT * max(1, n))))


def _run(part: Callable[[int, int], None], n: int, smallest: int) -> None:
    for _ in map_rows(part, n, smallest):
        pass
