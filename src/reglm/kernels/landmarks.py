"""Which rows, or points, a regression on landmarks uses.

Uniform draws waste landmarks on crowded places. Ridge leverage scores ``l_i = [K (K + lambda)^-1]_ii`` say how much a
row is needed (Alaoui & Mahoney 2015); they are estimated from few rows, at penalties that fall step by step, each step
using the last one's draw (BLESS: Rudi, Calandriello, Carratino & Rosasco 2018). Centres of clusters are points of
their own.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, sparse
from sklearn.cluster import MiniBatchKMeans

from reglm.kernels.blocks import Gram
from reglm.parameters import Array

KINDS = ("uniform", "leverage", "kmeans")
FALL = 2.0
"""Ratio of one penalty to the next."""
CANDIDATES = 4
"""Candidates for each row of a draw."""
DIAGONAL = 64


def select(kind: str, X: Array, m: int, gram: Gram, rng: np.random.Generator, weights: Array | None = None) -> Array:
    """Choose landmarks.

    Parameters
    ----------
    kind : {"uniform", "leverage", "kmeans"}
    X : ndarray or CSR (n, p)
        Rows of positive weight; k-means needs an array.
    m : int
        Number of landmarks; all rows if there are no more.
    gram : callable
    rng : numpy.random.Generator
    weights : ndarray (n,), optional
        Count for the two that look at the data.

    Returns
    -------
    ndarray or CSR (m, p)

    Raises
    ------
    ValueError
        If `kind` is not known, or k-means is asked for with sparse X.
    """
    n = X.shape[0]
    weights = np.ones(n) if weights is None else weights
    if kind not in KINDS:
        raise ValueError(f"landmarks={kind!r} must be one of {KINDS}.")
    if m >= n:
        return X
    if kind == "uniform":
        return X[np.sort(rng.choice(n, size=m, replace=False))]
    return _by_leverage(X, m, gram, rng, weights) if kind == "leverage" else _by_clusters(X, m, rng, weights)


def _by_clusters(X: Array, m: int, rng: np.random.Generator, weights: Array) -> Array:
    if sparse.issparse(X):
        raise ValueError("landmarks='kmeans' needs a dense X; choose 'uniform' or 'leverage'.")
    clusters = MiniBatchKMeans(m, n_init=1, batch_size=max(1024, m), random_state=int(rng.integers(2**31)))
    return clusters.fit(X, sample_weight=weights).cluster_centers_.astype(X.dtype, copy=False)


def _by_leverage(X: Array, m: int, gram: Gram, rng: np.random.Generator, weights: Array) -> Array:
    """Draw m different rows with probabilities proportional to their leverage at the lowest penalty reached."""
    n = X.shape[0]
    candidates = rng.permutation(n)[: min(n, CANDIDATES * m)]
    scores = weights[candidates] * leverage_scores(X, candidates, m, gram, rng, weights)
    return X[candidates[rng.choice(len(candidates), size=m, replace=False, p=scores / scores.sum())]]


def leverage_scores(
    X: Array, rows: Array, m: int, gram: Gram, rng: np.random.Generator, weights: Array | None = None
) -> Array:
    """Estimate ridge leverage scores of unit weight, at the penalty whose effective dimension is about m / 4.

    Parameters
    ----------
    X : ndarray or CSR (n, p)
    rows : ndarray of int (c,)
        Rows whose scores are wanted.
    m : int
        Most rows of a draw.
    gram : callable
    rng : numpy.random.Generator
    weights : ndarray (n,), optional

    Returns
    -------
    ndarray (c,)
        ``k_i (K + lambda W^-1)^-1`` at the row's own weight divided by the weight: within [0, 1 / weight].
    """
    weights = np.ones(X.shape[0]) if weights is None else weights
    total = weights.sum()
    diagonal = _diagonal(gram, X[rows])
    lam = total * float(np.average(diagonal, weights=weights[rows]))
    scores = diagonal / max(lam, np.finfo(float).tiny)  # of the penalty at which no row matters
    while True:
        dimension = float(np.average(scores, weights=weights[rows])) * total
        if dimension >= m / 4 or lam <= np.finfo(float).eps * total * diagonal.max(initial=0.0):
            return scores
        lam /= FALL
        size = int(min(m, max(10, np.ceil(2 * FALL * dimension)), len(rows)))
        p = weights[rows] * scores
        drawn = rng.choice(len(rows), size=size, p=p / p.sum())
        mass = (p.sum() / size) * weights[rows][drawn] / p[drawn] * (total / weights[rows].sum())
        scores = np.minimum(_scores(X[rows], X[rows[drawn]], mass, lam, gram, diagonal), 1 / weights[rows])


def _scores(X: Array, J: Array, mass: Array, lam: float, gram: Gram, diagonal: Array) -> Array:
    """``(k_ii - k_iJ (K_JJ + lambda / mass)^-1 k_Ji) / lambda`` (Rudi et al. 2018, eq. 3)."""
    K = np.asarray(gram(J, J), dtype=float)
    K[np.diag_indices_from(K)] += lam / mass
    L = linalg.cholesky(K, lower=True, overwrite_a=True)
    half = linalg.solve_triangular(L, np.asarray(gram(J, X), dtype=float), lower=True, overwrite_b=True)
    return np.maximum(diagonal - np.square(half, out=half).sum(axis=0), np.finfo(float).eps * diagonal) / lam


def _diagonal(gram: Gram, X: Array) -> Array:
    """Kernel of each row with itself, (n,)."""
    blocks = [X[start : start + DIAGONAL] for start in range(0, X.shape[0], DIAGONAL)]
    return np.concatenate([np.diagonal(gram(block, block)) for block in blocks]).astype(float)
