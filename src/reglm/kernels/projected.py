"""The kernel that landmarks make, ``K_XZ K_ZZ^-1 K_ZX``, decomposed as a kernel of its own.

In the letters of `reglm.kernels.lowrank`, ``P = M Phi~ V`` has ``P'P = D``: the eigenvectors of ``M K~ M`` are
``G = P D^-1/2``. What scores in eigenvectors, `reglm.kernels.irls_dual`, then needs n r numbers and not n^2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg

from reglm.kernels.duals import Dual
from reglm.kernels.lowrank import LowRank
from reglm.parameters import Array


class Projected(NamedTuple):
    """A regression on landmarks as a kernel regression.

    Parameters
    ----------
    dual : Dual
        Of the landmarks' kernel between the rows, eigenvalues of zero left out.
    features : ndarray (n, r)
        ``Phi``.
    R : ndarray (r, r)
        Factor of the kernel between the landmarks.
    """

    dual: Dual
    features: Array
    R: Array

    def coefficients(self, a: Array) -> Array:
        """Coefficients of the landmarks (r, k) from those of the rows (n, k)."""
        return linalg.solve_triangular(self.R, self.features.T @ a)

    def cross(self, K: Array) -> Array:
        """Kernel (n0, n) of new rows with the training rows, from the one with the landmarks (n0, r)."""
        return linalg.solve_triangular(self.R, K.T, trans="T").T @ self.features.T


def projected(model: LowRank) -> Projected:
    """Return a decomposition's regression as one on the landmarks' kernel.

    Parameters
    ----------
    model : LowRank
        With its features.
    """
    rows, some = model.rows, model.d > 0
    features = np.concatenate([np.array(block, dtype=float) for _, block in model.features or ()])
    roots = np.sqrt(model.d[some])
    P = np.sqrt(rows.weights)[:, None] * (features @ model.V) - rows.Q @ model.C
    rounding = len(model.d) * np.finfo(float).eps * float(model.d.max(initial=0.0))
    dual = Dual(
        model.d[some], P[:, some] / roots, model.t[some] / roots[:, None], rows.Q, rows.T, rows.u, model.C @ model.C.T,
        model.C[:, some] * roots, rows.weights, rows.kept, rows.copies, rounding,
    )  # fmt: skip
    return Projected(dual, features, model.R)
