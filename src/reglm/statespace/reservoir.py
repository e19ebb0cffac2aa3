"""Echo state recursion: fixed random weights, whose states are regressors (Jaeger 2001; Lukosevicius 2012).

    h_t = (1 - leak) h_{t-1} + leak f(W h_{t-1} + V u_t + b)

Nothing here is estimated: W, V and b are drawn, W is scaled to a spectral radius. Inputs have mean 0, and sequences
begin in the state to which zeros lead.

Conventions
-----------
H units, m inputs, n rows stacked sequence by sequence, S sequences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse, special
from scipy.sparse.linalg import ArpackError, eigs

from reglm.parameters import Array
from reglm.statespace.sequences import Sequences
from reglm.threads import map_rows

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh, "sigmoid": special.expit, "relu": lambda a: np.maximum(a, 0.0), "identity": lambda a: a,
}  # fmt: skip
COMPILING_PAYS = 1000
"""Rows from which a compiled loop is loaded; fewer are interpreted."""
SETTLING = 50
"""Steps after which a state counts as settled, at leak 1."""
DENSE = 300
"""Units up to which all eigenvalues are computed, which is then quicker than the largest alone."""


@dataclass(frozen=True)
class Reservoir:
    """A recurrence with fixed weights.

    Parameters
    ----------
    W : scipy.sparse.csr_array (H, H)
        Row i holds what unit i hears from the others.
    V : ndarray (m, H)
    b : ndarray (H,)
    leak : float
        Share of a state that is new, in (0, 1].
    activation : str
        In `ACTIVATIONS`.
    """

    W: sparse.csr_array
    V: Array
    b: Array
    leak: float
    activation: str

    def step(self, h: Array, u: Array) -> Array:
        """States (k, H) after one more row of inputs (k, m) each."""
        return self._moved(h, u @ self.V + self.b)

    def _moved(self, h: Array, drive: Array) -> Array:
        """States (k, H) from those before and the affine part of the inputs."""
        new = ACTIVATIONS[self.activation]((self.W @ h.T).T + drive)
        return (1.0 - self.leak) * h + self.leak * new

    def rest(self) -> Array:
        """State (H,) where inputs at their means lead to, in which sequences begin."""
        h, none = np.zeros((1, len(self.b))), np.zeros((1, len(self.V)))
        for _ in range(round(SETTLING / self.leak)):
            h = self.step(h, none)
        return h[0]

    def states(self, u: Array, rows: Sequences, start: Array | None = None) -> Array:
        """States after each row of inputs.

        Parameters
        ----------
        u : ndarray (n, m)
            Stacked: one sequence after the other.
        rows : Sequences
        start : ndarray (S, H), optional
            States before the first rows; `rest` by default.

        Returns
        -------
        ndarray (n, H)
        """
        drive = u @ self.V + self.b
        start = np.tile(self.rest(), (len(rows), 1)) if start is None else start
        if len(u) < COMPILING_PAYS:
            for h, part in zip(start, rows.slices(), strict=True):
                for t in range(part.start, part.stop):
                    drive[t] = h = self._moved(h[None], drive[t : t + 1])[0]
            return drive
        self._compiled(drive, rows.edges, start)
        return drive

    def _compiled(self, drive: Array, edges: Array, start: Array) -> None:
        """Run the sequences over the threads, in place."""
        from reglm.ops import reservoir  # compiles with Numba, which small problems need not load

        code = reservoir.CODES[self.activation]

        def some(first: int, last: int) -> None:
            reservoir.run(
                drive, edges[first : last + 1], start[first:last], self.W.data, self.W.indices, self.W.indptr,
                self.leak, code,
            )  # fmt: skip

        list(map_rows(some, len(start), 1))


def draw(
    rng: np.random.Generator, units: int, inputs: int, *, spectral_radius: float = 0.9, leak: float = 1.0,
    density: float = 0.1, input_scaling: float = 0.5, bias_scaling: float = 0.5, activation: str = "tanh",
) -> Reservoir:  # fmt: skip
    """Draw a reservoir.

    Each unit hears from the same number of others, with normal weights, which are then scaled. Weights of inputs are
    uniform between plus and minus ``input_scaling / sqrt(m)``, biases between plus and minus `bias_scaling`.

    Parameters
    ----------
    rng : numpy.random.Generator
    units, inputs : int
        H and m.
    spectral_radius : float
        Largest modulus of an eigenvalue of W.
    leak : float
    density : float
        Share of the weights of W that are not zero; at least one a unit.
    input_scaling, bias_scaling : float
    activation : str

    Returns
    -------
    Reservoir
    """
    each = max(1, round(density * units))
    chosen = np.argpartition(rng.random((units, units)), each - 1, axis=1)[:, :each]
    indices = np.sort(chosen, axis=1).ravel().astype(np.int32)
    indptr = np.arange(0, units * each + 1, each, dtype=np.int32)
    W = sparse.csr_array((rng.normal(size=units * each), indices, indptr), shape=(units, units))
    W.data *= spectral_radius / radius(W)
    V = rng.uniform(-1.0, 1.0, (inputs, units)) * (input_scaling / np.sqrt(max(inputs, 1)))
    return Reservoir(W, V, rng.uniform(-bias_scaling, bias_scaling, units), leak, activation)


def radius(W: sparse.csr_array) -> float:
    """Spectral radius of W (H, H): all eigenvalues of a small matrix, the largest by Arnoldi's method of a large one.

    Returns
    -------
    float
        1 for a nilpotent matrix, which no factor gives another radius.
    """
    if W.shape[0] > DENSE:
        try:
            start = np.random.default_rng(0).normal(size=W.shape[0])
            found = eigs(W, k=4, which="LM", return_eigenvectors=False, v0=start, maxiter=10 * W.shape[0])
            return float(np.abs(found).max())
        except ArpackError:  # it does not always converge
            pass
    found = float(np.abs(linalg.eigvals(W.toarray(), check_finite=False)).max())
    return found if found > np.finfo(float).eps else 1.0
