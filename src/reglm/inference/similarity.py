"""An order of the levels of a categorical input in which neighbours are alike in the other inputs."""

from __future__ import annotations

import numpy as np

from reglm.inference.sample import Sample
from reglm.parameters import Array


def similarity_order(rows: Sample, name: str, present: list[int]) -> list[int]:
    """Level numbers in the order of a one-dimensional scaling of their distances (Apley & Zhu 2020, appendix E).

    Parameters
    ----------
    rows : Sample
    name : str
        Categorical input.
    present : list of int
        Its levels that have rows; ties in the scaling keep this order.
    """
    if len(present) < 3:
        return present
    reader = rows.reader
    codes = reader.values(rows.X, name).astype(int)
    D = np.zeros((len(present),) * 2)
    for other in reader.columns:
        if other != name:
            D += _distances(reader.values(rows.X, other), reader.levels(rows.X, other) is None, codes, present)
    return [present[i] for i in np.argsort(_scaling(D), kind="stable")]


def _distances(values: Array, is_numeric: bool, codes: Array, present: list[int]) -> Array:
    """Largest distance of the distribution functions of a numeric input, total variation of a categorical one."""
    distinct, at = np.unique(values, return_inverse=True)
    shares = np.array([np.bincount(at[codes == code], minlength=len(distinct)) for code in present], dtype=float)
    shares /= shares.sum(axis=1, keepdims=True)
    if is_numeric:
        shares = shares.cumsum(axis=1)
    gaps = np.abs(shares[:, None] - shares[None])
    return gaps.max(axis=2) if is_numeric else gaps.sum(axis=2) / 2


def _scaling(D: Array) -> Array:
    """First principal coordinate (Gower 1966); its sign makes the first level the lower end."""
    centred = D**2 - (D**2).mean(axis=0)
    centred = -(centred - centred.mean(axis=1, keepdims=True)) / 2
    roots, vectors = np.linalg.eigh((centred + centred.T) / 2)
    first = vectors[:, -1] * np.sqrt(max(roots[-1], 0.0))
    return first if first[0] <= first[-1] else -first
