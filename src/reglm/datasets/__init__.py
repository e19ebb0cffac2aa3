"""Small real tables and series, certified test problems, simulated claims and sequences. Nothing is downloaded.

Conventions
-----------
Every loader returns a scikit-learn `Bunch` with

- ``data`` : pandas DataFrame (n, p), the inputs
- ``target`` : pandas Series (n,), or DataFrame (n, 2) of successes and failures
- ``frame`` : pandas DataFrame, inputs and response side by side
- ``feature_names``, ``target_names`` : list of str
- ``source`` : str, where the numbers come from
- ``DESCR`` : str, what they are
- ``lengths`` : ndarray of int (S,), rows of each sequence, where there are several

Tables bundled with statsmodels are read from there; the NIST problems ship with this package.
"""

from reglm.datasets.sequences import (
    load_nile,
    load_sunspots,
    simulate_adding,
    simulate_mackey_glass,
    simulate_polyphony,
)
from reglm.datasets.tables import (
    load_boxbod,
    load_danwood,
    load_longley,
    load_randhie,
    load_rat42,
    load_scotland,
    load_spector,
    load_star98,
    simulate_claims,
)

__all__ = [
    "load_boxbod",
    "load_danwood",
    "load_longley",
    "load_nile",
    "load_randhie",
    "load_rat42",
    "load_scotland",
    "load_spector",
    "load_star98",
    "load_sunspots",
    "simulate_adding",
    "simulate_claims",
    "simulate_mackey_glass",
    "simulate_polyphony",
]
