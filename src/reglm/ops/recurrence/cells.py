"""The kinds of cells: their gates, parameters and what they keep for the gradient."""

from __future__ import annotations

from dataclasses import dataclass

ACTIVATIONS = ("tanh", "relu", "sigmoid", "identity")
VARIANTS = (None, "NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG", "FGR")
ABSENT = {"NIG": "i", "NFG": "f", "NOG": "o", "CIFG": "f"}
"""The gate that a variant of the LSTM has no parameters for."""


@dataclass(frozen=True)
class Cell:
    """One kind of cell with its options; made by `elman`, `leaky`, `gru` and `lstm`."""

    kind: str
    activation: str = "tanh"
    reset_after: bool = False
    variant: str | None = None
    peepholes: bool = False

    @property
    def gates(self) -> tuple[str, ...]:
        """Names of the blocks of H columns of `a` and `W`, in their order."""
        if self.kind == "lstm":
            return tuple(g for g in "ifoz" if g != ABSENT.get(self.variant or ""))
        return ("u", "r", "z") if self.kind == "gru" else ("h",)

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the initial states."""
        return ("h0", "c0") if self.kind == "lstm" else ("h0",)

    @property
    def saved(self) -> tuple[int, ...]:
        """Widths, in multiples of H, of what is kept beside h: the gates, and for lstm the state c."""
        if self.kind == "lstm":
            return (len(self.gates), 1)
        return {"elman": (), "leaky": (1,), "gru": (3 + self.reset_after,)}[self.kind]

    @property
    def extras(self) -> tuple[str, ...]:
        """Names of the parameters beside W."""
        return tuple(name for name in self.shapes(1) if name != "W")

    def shapes(self, H: int) -> dict[str, tuple[int, int]]:
        """Parameters of H units in the order in which `run` takes them, with their shapes."""
        shapes = {"W": (H, len(self.gates) * H)}
        if self.kind == "leaky":
            shapes["alpha"] = (1, H)
        if self.reset_after:
            shapes["bias"] = (1, H)
        if self.peepholes:
            shapes["peepholes"] = (len(self.gates) - 1, H)
        if self.variant == "FGR":
            shapes["R"] = (3 * H, 3 * H)
        return shapes


def _known(activation: str) -> str:
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation={activation!r} of a recurrent cell is not known; choose one of {ACTIVATIONS}.")
    return activation


def elman(activation: str = "tanh") -> Cell:
    """Return the simple cell ``h' = f(a + h W)`` (Elman 1990).

    Raises
    ------
    ValueError
        For an activation that is not in `ACTIVATIONS`.
    """
    return Cell("elman", _known(activation))


def leaky(activation: str = "tanh") -> Cell:
    """Return the leaky cell ``h' = alpha h + (1 - alpha) f(a + h W)``.

    Raises
    ------
    ValueError
        For an activation that is not in `ACTIVATIONS`.
    """
    return Cell("leaky", _known(activation))


def gru(reset_after: bool = False) -> Cell:
    """Return the gated recurrent unit (Cho et al. 2014), the reset gate before or after the product with W."""
    return Cell("gru", reset_after=reset_after)


def lstm(variant: str | None = None, peepholes: bool = False) -> Cell:
    """Return the long short-term memory (Hochreiter & Schmidhuber 1997; Gers & Schmidhuber 2000).

    Parameters
    ----------
    variant : {None, "NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG", "FGR"}
        What it lacks or has more, after Greff et al. (2015).
    peepholes : bool
        Whether the gates see c; "NP" has none in any case.

    Raises
    ------
    ValueError
        For another variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant={variant!r} of the LSTM is not known; choose one of {VARIANTS}.")
    return Cell("lstm", variant=variant, peepholes=peepholes and variant != "NP")
