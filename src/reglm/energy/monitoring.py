"""What is watched while a machine is trained: pseudo-likelihood, reconstruction error, free-energy gap."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from reglm.energy import annealing, enumeration
from reglm.energy.free_energy import Theta, free_energy
from reglm.energy.visible import Visible
from reglm.parameters import Array

ROWS = 500
"""Rows of each set that are looked at after every epoch."""
SMALL = 14
"""Binary units on the smaller side up to which the log-likelihood on the way is exact."""
BLOWN_UP = 2.0
"""Multiple of what independent columns reach beyond which training counts as diverged."""
NAMES = (
    "pseudo_likelihood", "reconstruction_error", "free_energy_train", "free_energy_validation", "gap",
    "log_likelihood",
)  # fmt: skip
CHAINS, TEMPERATURES = 50, 1000
"""Of annealed importance sampling on the way."""


def pseudo_likelihood(visible: Visible, theta: Theta, V: Array, rng: np.random.Generator) -> float:
    """Mean log pseudo-likelihood of the discrete columns, estimated at one variable of each row (Besag 1975).

    Parameters
    ----------
    visible : Visible
    theta : Theta
    V : (n, D) array
        Complete rows.
    rng : Generator
        Chooses the variables.

    Returns
    -------
    float
        ``sum_i log p(v_i | others)``, Poisson and Gaussian columns taken as given; NaN if there are no others.
    """
    variables = [
        (kind, j, j + 1) if kind == "bernoulli" else (kind, at.start, at.stop)
        for kind, at in visible.parts if kind in ("bernoulli", "categorical")
        for j in (range(at.start, at.stop) if kind == "bernoulli" else (at.start,))
    ]  # fmt: skip
    if not variables:
        return float("nan")
    chosen = [variables[i] for i in rng.integers(len(variables), size=len(V))]
    rows: list[int] = []
    states: list[Array] = []
    own: list[int] = []
    for i, (kind, first, last) in enumerate(chosen):
        v = V[i, first:last]
        others = [v, 1 - v] if kind == "bernoulli" else list(np.eye(last - first))
        own.append(len(rows) + (0 if kind == "bernoulli" else int(np.argmax(v))))
        rows += [i] * len(others)
        states += others
    changed = np.array(V[rows], dtype=float)
    for row, i, state in zip(changed, rows, states, strict=True):
        row[chosen[i][1] : chosen[i][2]] = state
    minus_f = -free_energy(visible, theta, changed)
    edges = np.flatnonzero(np.diff(rows, prepend=-1))
    totals = np.logaddexp.reduceat(minus_f, edges)
    return len(variables) * float(np.mean(minus_f[own] - totals))


def log_likelihood(visible: Visible, theta: Theta, V: Array, rng: np.random.Generator) -> float:
    """Mean log-density of complete rows; log Z exact for small machines, else by short annealed importance sampling."""
    if enumeration.is_small(visible, len(theta.c), SMALL):
        return float(enumeration.log_likelihood(visible, theta, V, SMALL).mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is a rough estimate, and meant to be
        found = annealing.log_partition(
            visible, theta, V, n_chains=CHAINS, temperatures=TEMPERATURES, backward=False, rng=rng
        )
    return float(-free_energy(visible, theta, V).mean() - found.log_z)


def reconstruction_error(visible: Visible, theta: Theta, V: Array, mean: Array) -> float:
    """Squared error of ``E[v | E[h | v]]`` over that of the column means (D,), 1 for independent columns."""
    found = visible.mean(theta.visible_input(theta.hidden_mean(V)))
    return float(((V - found) ** 2).sum() / max(((V - mean) ** 2).sum(), np.finfo(float).tiny))


@dataclass
class Watch:
    """Looks at the same rows after every epoch.

    Parameters
    ----------
    visible : Visible
    base : Theta
        Independent columns, which say what is no good.
    train, validation : arrays (m, D), (m', D)
        Complete rows; there may be no rows for validation.
    seed : int
        Of the variables that the pseudo-likelihood looks at, the same every time.
    every : int
        Epochs between two estimates of the log-likelihood of the rows; 0 for none.
    shift : float
        Added to log-likelihoods: what the scales of columns contribute.

    Attributes
    ----------
    history : dict of lists
        One number for each epoch: `NAMES`.
    """

    visible: Visible
    base: Theta
    train: Array
    validation: Array
    seed: int = 0
    every: int = 0
    shift: float = 0.0
    history: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in NAMES})

    def __post_init__(self) -> None:
        self.mean = self.visible.mean(np.asarray(self.base.b, dtype=float))
        self.judged = self.validation if len(self.validation) else self.train
        self.lowest = self._pseudo(self.base)

    def _pseudo(self, theta: Theta) -> float:
        return pseudo_likelihood(self.visible, theta, self.judged, np.random.default_rng(self.seed))

    def _likelihood(self, theta: Theta) -> float:
        epoch = len(self.history["log_likelihood"]) + 1
        if not self.every or epoch % self.every:
            return float("nan")
        rng = np.random.default_rng([self.seed, epoch])
        return log_likelihood(self.visible, theta, self.judged, rng) + self.shift

    def __call__(self, theta: Theta) -> bool:
        """Look, write down, and say whether training goes on without having blown up."""
        theta = Theta(*(np.asarray(block, dtype=float) for block in theta))
        if not all(np.isfinite(block).all() for block in theta):
            return False
        with np.errstate(over="ignore", invalid="ignore"):
            error = reconstruction_error(self.visible, theta, self.judged, self.mean)
            pseudo = self._pseudo(theta)
            train = float(np.mean(free_energy(self.visible, theta, self.train)))
            new = free_energy(self.visible, theta, self.validation) if len(self.validation) else np.array([np.nan])
        validation = float(np.mean(new))
        figures = (pseudo, error, train, validation, validation - train, self._likelihood(theta))
        for name, figure in zip(NAMES, figures, strict=True):
            self.history[name].append(figure)
        blown = error > BLOWN_UP or pseudo < BLOWN_UP * self.lowest - 1 or not np.isfinite(error + train)
        return not blown

    @property
    def score(self) -> float:
        """How good the parameters looked at last are, higher is better."""
        pseudo = self.history["pseudo_likelihood"][-1]
        return -self.history["reconstruction_error"][-1] if np.isnan(pseudo) else pseudo
