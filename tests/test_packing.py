"""Packed sequences: rows go there and back, and choosing sequences keeps their rows in order."""

import numpy as np
import pytest

from reglm.likelihood import Data
from reglm.statespace.packing import Packed, packing

LENGTHS = [np.array([3, 1, 5, 3, 2]), np.array([4]), np.array([1, 1, 1]), np.array([2, 2])]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_packed_rows_are_those_of_the_sequences_step_by_step(lengths):
    n, edges = lengths.sum(), np.concatenate([[0], np.cumsum(lengths)])
    found, rows = packing(lengths), np.arange(n)
    packed = found.pack(rows)
    expected = [
        edges[s] + t for t in range(lengths.max()) for s in np.argsort(-lengths, kind="stable") if lengths[s] > t
    ]
    np.testing.assert_array_equal(packed, expected)
    np.testing.assert_array_equal(found.unpack(packed), rows)
    np.testing.assert_array_equal(found.unpack_sequences(packed[found.last]), edges[1:] - 1)
    assert found.sizes.dtype == found.last.dtype == "int64"


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_chosen_sequences_are_packed_as_if_alone(lengths):
    rng = np.random.default_rng(0)
    found, X = packing(lengths), np.arange(lengths.sum(), dtype=float)[:, None]
    packed = Packed(found.pack(X), found.sizes)
    np.testing.assert_array_equal(packed.last, found.last)
    data = Data(packed, packed.rows, packed.rows, packed.rows)
    assert data.units == len(lengths)
    which = rng.permutation(len(lengths))[: max(1, len(lengths) // 2)]
    part = data.rows(which)
    alone = packing(lengths[found.ranks[np.sort(which)]])
    edges = np.cumsum(lengths) - lengths
    stacked = np.concatenate([np.arange(edges[s], edges[s] + lengths[s]) for s in found.ranks[np.sort(which)]])
    np.testing.assert_array_equal(part.X.rows[:, 0], alone.pack(stacked))
    np.testing.assert_array_equal(part.y, part.X.rows)
    np.testing.assert_array_equal(part.X.sizes, alone.sizes)
    per_sequence = data._replace(
        y=found.ranks[:, None].astype(float), offset=found.ranks[:, None], weights=packed.rows[packed.last]
    )
    part = per_sequence.rows(which)
    np.testing.assert_array_equal(part.y[:, 0], found.ranks[np.sort(which)])
