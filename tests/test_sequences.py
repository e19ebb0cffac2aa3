"""Rows into sequences: by lengths, by names, and what is refused."""

import numpy as np
import pytest

from reglm.statespace.sequences import sequences


def test_one_sequence_by_default():
    s = sequences(5)
    assert len(s) == 1
    assert s.n == 5
    assert list(s.slices()) == [slice(0, 5)]


def test_lengths():
    s = sequences(6, lengths=[1, 3, 2])
    assert s.edges.tolist() == [0, 1, 4, 6]
    rows = np.arange(6)
    assert s.stack(rows) is rows
    assert s.unstack(rows) is rows


def test_groups_apart():
    groups = np.array(["b", "a", "b", "c", "a", "b"])
    s = sequences(6, groups=groups)
    assert s.labels.tolist() == ["b", "a", "c"]
    assert s.lengths.tolist() == [3, 2, 1]
    rows = np.arange(6)
    assert s.stack(rows).tolist() == [0, 2, 5, 1, 4, 3]
    assert np.array_equal(s.unstack(s.stack(rows)), rows)


def test_groups_together_need_no_copy():
    s = sequences(4, groups=[7, 7, 3, 3])
    assert s.order is None
    assert s.labels.tolist() == [7, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lengths": [2, 2]}, r"add up to 4, X has 5 rows.*pass groups"),
        ({"lengths": [5, 0]}, r"lengths\[1\]=0"),
        ({"lengths": [2.5, 2.5]}, "whole numbers"),
        ({"lengths": [[5]]}, "vector"),
        ({"lengths": [5], "groups": np.zeros(5)}, "both given"),
        ({"groups": np.zeros(4)}, r"shape \(4,\), X has 5 rows"),
        ({"groups": [1.0, 1.0, np.nan, 1.0, 1.0]}, r"groups\[2\] is missing"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        sequences(5, **arguments)
