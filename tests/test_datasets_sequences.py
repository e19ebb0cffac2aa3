"""Sequences are what they claim to be: closed forms, published numbers, known models."""

import numpy as np
import pandas as pd
import pytest

from reglm import datasets


def test_mackey_glass_follows_the_equation():
    start = np.random.default_rng(0).uniform(0.6, 1.3)
    x = datasets.simulate_mackey_glass(800, burn_in=0).data["x"].to_numpy()
    # until the delay has passed production is constant, and the equation linear
    rest = 2.0 * start / (1.0 + start**10)
    np.testing.assert_allclose(x[:18], rest + (start - rest) * np.exp(-0.1 * np.arange(18)), rtol=1e-9)
    # later: central differences of the series, which is smooth, against the right-hand side
    t = np.arange(400, 799)
    slope = (x[t - 2] - 8 * x[t - 1] + 8 * x[np.minimum(t + 1, 799)] - x[np.minimum(t + 2, 799)])[:-2] / 12
    right = (0.2 * x[t - 17] / (1 + x[t - 17] ** 10) - 0.1 * x[t])[:-2]
    assert np.abs(slope - right).max() < 0.02 * np.abs(right).max()
    assert 0.2 < x[100:].min() < x[100:].max() < 1.4


def test_mackey_glass_gives_the_next_value():
    bunch = datasets.simulate_mackey_glass(50)
    np.testing.assert_array_equal(bunch.target[:-1], bunch.data["x"][1:])
    longer = datasets.simulate_mackey_glass(60)
    np.testing.assert_array_equal(longer.data["x"][:50], bunch.data["x"])


def test_adding_sums_what_is_marked():
    bunch = datasets.simulate_adding(4000, 20, seed=1)
    assert bunch.lengths.sum() == len(bunch.data) == 80_000
    mark = bunch.data["mark"].to_numpy().reshape(4000, 20)
    assert np.all(mark[:, :10].sum(axis=1) == 1)
    assert np.all(mark[:, 10:].sum(axis=1) == 1)
    assert np.all(mark.any(axis=0))
    first = bunch.data[:20]
    assert bunch.target[0] == pytest.approx(first.loc[first["mark"] == 1, "value"].sum())
    assert bunch.target.var() == pytest.approx(1 / 6, rel=0.05)  # the published baseline is 0.1767 on one sample


def test_keys_are_switched_by_the_chord():
    bunch = datasets.simulate_polyphony(200, seed=1)
    assert bunch.lengths.sum() == len(bunch.data)
    keys, chord = bunch.data.to_numpy(), bunch.target.to_numpy()
    assert np.isin(keys, [0, 1]).all()
    assert 2 < keys.sum(axis=1).mean() < 8
    assert len(np.unique(chord)) == 12
    root = np.take_along_axis(keys[:, 24:36], chord[:, None], axis=1).mean()
    other = np.take_along_axis(keys[:, 24:36], (chord[:, None] + 1) % 12, axis=1).mean()
    assert root > 0.3 > 5 * other
    held = np.all(keys[1:] == keys[:-1], axis=1).mean()
    assert 0.45 < held < 0.6


def test_series_of_statsmodels():
    nile = datasets.load_nile()
    assert (nile.data["year"].iloc[0], nile.target.iloc[0], nile.target.iloc[-1]) == (1871, 1120, 740)
    sunspots = datasets.load_sunspots()
    assert sunspots.data["YEAR"].iloc[[0, -1]].tolist() == [1700, 2008]
    assert sunspots.target.max() == pytest.approx(190.2)


@pytest.mark.parametrize("simulate", [datasets.simulate_adding, datasets.simulate_polyphony])
def test_simulations_are_seeded(simulate):
    first, again, other = (simulate(5, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first.frame, again.frame)
    assert not np.array_equal(first.data.to_numpy(), other.data.to_numpy())


def test_simulations_need_a_size():
    for call, message in [
        (lambda: datasets.simulate_mackey_glass(0), "n=0"),
        (lambda: datasets.simulate_mackey_glass(5, tau=0), "tau=0"),
        (lambda: datasets.simulate_adding(0), "n_sequences=0"),
        (lambda: datasets.simulate_adding(3, 1), "length=1"),
        (lambda: datasets.simulate_polyphony(3, n_keys=5), "n_keys=5"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
