"""Series bundled with statsmodels, and simulated sequences on which memory can be measured."""

from __future__ import annotations

import numpy as np
from sklearn.utils import Bunch

from reglm.datasets.tables import bunch_of, from_statsmodels

STEPS = 10
"""Steps of the integration of Mackey & Glass's equation in a unit of time."""


def load_nile() -> Bunch:
    """Volume of the Nile at Aswan in 10^8 cubic metres, 1871 to 1970: a level that falls in 1899.

    Returns
    -------
    sklearn.utils.Bunch
        ``data`` (100, 1): ``year``. ``target`` (100,): ``volume``.

    References
    ----------
    Cobb (1978), Biometrika 65, 243-251. Durbin & Koopman (2012), Time Series Analysis by State Space Methods, 2.2.
    """
    source = "Cobb (1978), as bundled with statsmodels"
    return from_statsmodels("nile", ["volume"], source, "Yearly volume of the Nile at Aswan.")


def load_sunspots() -> Bunch:
    """Yearly mean number of sunspots, 1700 to 2008: cycles of about eleven years, of unequal height.

    Returns
    -------
    sklearn.utils.Bunch
        ``data`` (309, 1): ``YEAR``. ``target`` (309,): ``SUNACTIVITY``, not negative.

    References
    ----------
    Tong (1990), Non-linear Time Series, Oxford University Press, 7.3.
    """
    source = "US National Geophysical Data Center, as bundled with statsmodels (public domain)"
    return from_statsmodels("sunspots", ["SUNACTIVITY"], source, "Yearly mean number of sunspots.")


def simulate_mackey_glass(n: int = 2000, tau: int = 17, seed: int = 0, burn_in: int = 500) -> Bunch:
    """Simulate Mackey & Glass's delayed feedback, ``x' = 0.2 x(t - tau) / (1 + x(t - tau)^10) - 0.1 x``.

    Chaotic from tau = 17 on. Integrated by the fourth-order method of Runge & Kutta in steps of 0.1, delayed values
    between steps being interpolated, from a constant past.

    Parameters
    ----------
    n : int
        Rows, one a unit of time.
    tau : int
        Delay.
    seed : int
        Of the constant past, uniform between 0.6 and 1.3.
    burn_in : int
        Units of time that are left out first.

    Returns
    -------
    sklearn.utils.Bunch
        ``data`` (n, 1): ``x``. ``target`` (n,): ``next``, the value one unit of time later.

    Raises
    ------
    ValueError
        If n or tau is below 1, or burn_in is negative.

    References
    ----------
    Mackey & Glass (1977), Science 197, 287-289.
    """
    import pandas as pd

    if n < 1 or tau < 1 or burn_in < 0:
        raise ValueError(f"n={n} and tau={tau} must be 1 or more, burn_in={burn_in} 0 or more.")
    start = float(np.random.default_rng(seed).uniform(0.6, 1.3))
    x = _mackey_glass(start, (burn_in + n) * STEPS, tau * STEPS, 1.0 / STEPS)[burn_in * STEPS :: STEPS]
    frame = pd.DataFrame({"x": x[:n], "next": x[1 : n + 1]})
    return bunch_of(frame, ["next"], f"simulated, seed {seed}", f"Mackey-Glass series, tau {tau}.")


def _mackey_glass(start: float, steps: int, delay: int, dt: float) -> np.ndarray:
    """Values at 0, dt, ... (steps + 1,) from a past of `start`, the delay in steps."""
    x = [start] * (delay + 1)  # x[i] is the value at i - delay steps
    production = [0.2 * start / (1.0 + start**10)] * (delay + 1)
    for i in range(steps):
        first, last = production[i], production[i + 1]
        middle, now = 0.5 * (first + last), x[-1]
        k1 = first - 0.1 * now
        k2 = middle - 0.1 * (now + 0.5 * dt * k1)
        k3 = middle - 0.1 * (now + 0.5 * dt * k2)
        k4 = last - 0.1 * (now + dt * k3)
        now += dt * (k1 + 2.0 * (k2 + k3) + k4) / 6.0
        x.append(now)
        production.append(0.2 * now / (1.0 + now**10))
    return np.array(x[delay:])


def simulate_adding(n_sequences: int = 1000, length: int = 50, seed: int = 0) -> Bunch:
    """Simulate the adding problem: the response is the sum of the two numbers of a sequence that are marked.

    One mark lies in the first half of the sequence, one in the second. A constant has mean squared error 1/6.

    Parameters
    ----------
    n_sequences : int
    length : int
        Rows of each sequence.
    seed : int

    Returns
    -------
    sklearn.utils.Bunch
        ``data`` (n_sequences * length, 2): ``value`` uniform between 0 and 1, ``mark`` 0 or 1. ``target``
        (n_sequences,): ``sum``, one for each sequence. ``frame``: data alone. ``lengths`` (n_sequences,).

    Raises
    ------
    ValueError
        If there is no sequence, or length is below 2.

    References
    ----------
    Hochreiter & Schmidhuber (1997), Neural Computation 9, 1735-1780, 5.4. Le, Jaitly & Hinton (2015), 4.1.
    """
    import pandas as pd

    if n_sequences < 1 or length < 2:
        raise ValueError(f"n_sequences={n_sequences} must be 1 or more, length={length} 2 or more.")
    rng = np.random.default_rng(seed)
    value, mark, rows = rng.random((n_sequences, length)), np.zeros((n_sequences, length)), np.arange(n_sequences)
    mark[rows, rng.integers(0, length // 2, n_sequences)] = 1.0
    mark[rows, rng.integers(length // 2, length, n_sequences)] = 1.0
    data = pd.DataFrame({"value": value.ravel(), "mark": mark.ravel()})
    return Bunch(
        data=data, target=pd.Series((value * mark).sum(axis=1), name="sum"), frame=data,
        feature_names=list(data.columns), target_names=["sum"], source=f"simulated, seed {seed}",
        DESCR="Sum of the two marked numbers of each sequence.", lengths=np.full(n_sequences, length),
    )  # fmt: skip


_STEPS_OF_CHORDS = {-5: 0.15, 5: 0.25, 2: 0.12, -3: 0.12, 4: 0.06, 0: 0.3}
"""Semitones by which the root moves from one chord to the next, and how often."""


def simulate_polyphony(n_sequences: int = 100, length: int = 60, n_keys: int = 48, seed: int = 0) -> Bunch:
    """Simulate keys of a piano, pressed or not, whose probabilities are switched by a hidden chord.

    In place of chorales where there are none at hand. The root of a chord moves at random, mostly along the circle of
    fifths, and more often to notes of the piece's own scale. In half of the rows the keys before are held; otherwise
    each key is pressed independently, with a probability given by the chord, the scale and its height.

    Parameters
    ----------
    n_sequences : int
    length : int
        Mean number of rows of a sequence, which varies by a third up and down.
    n_keys : int
        Keys, from the lowest C on.
    seed : int

    Returns
    -------
    sklearn.utils.Bunch
        ``data`` (n, n_keys): 0 or 1. ``target`` (n,): ``chord``, the hidden root, 0 to 11. ``lengths`` (n_sequences,).

    Raises
    ------
    ValueError
        If there is no sequence, or length is below 3 or n_keys below 12.
    """
    import pandas as pd

    if n_sequences < 1 or length < 3 or n_keys < 12:
        raise ValueError(f"n_sequences={n_sequences} must be 1 or more, length={length} 3, n_keys={n_keys} 12 or more.")
    rng = np.random.default_rng(seed)
    lengths = rng.integers(length - length // 3, length + length // 3 + 1, n_sequences)
    pieces = [_piece(rng, int(size), n_keys) for size in lengths]
    keys, chords = (np.concatenate(part) for part in zip(*pieces, strict=True))
    frame = pd.DataFrame(keys, columns=[f"key{j}" for j in range(n_keys)]).assign(chord=chords)
    bunch = bunch_of(frame, ["chord"], f"simulated, seed {seed}", "Keys of a piano, pressed by a hidden chord.")
    bunch["lengths"] = lengths
    return bunch


def _piece(rng: np.random.Generator, length: int, n_keys: int) -> tuple[np.ndarray, np.ndarray]:
    """Keys (length, n_keys) and chords (length,) of one piece."""
    tonic = int(rng.integers(12))
    scale = np.isin((np.arange(12) - tonic) % 12, [0, 2, 4, 5, 7, 9, 11])
    moves, shares = np.array(list(_STEPS_OF_CHORDS)), np.array(list(_STEPS_OF_CHORDS.values()))
    height = np.exp(-(((np.arange(n_keys) - 0.5 * n_keys) / (0.3 * n_keys)) ** 2))
    keys, chords = np.zeros((length, n_keys)), np.empty(length, dtype=int)
    root = tonic
    for t in range(length):
        held = t > 0 and rng.random() < 0.5
        if not held:
            likely = shares * np.where(scale[(root + moves) % 12], 5.0, 1.0)
            root = int((root + rng.choice(moves, p=likely / likely.sum())) % 12) if t else tonic
            kind = (np.arange(n_keys) - root) % 12
            triad = np.isin(kind, [0, 7]) | (kind == (4 if scale[(root + 4) % 12] else 3))
            p = height * np.where(triad, 0.45, np.where(scale[np.arange(n_keys) % 12], 0.03, 0.004))
        keys[t] = keys[t - 1] if held else rng.random(n_keys) < p
        chords[t] = root
    return keys, chords
