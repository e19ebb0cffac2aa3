"""Whether the data determine the parameters: rank and weakest direction of the information, units without a say."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from reglm.inference.flow import theta_names
from reglm.inference.information import SMALLEST_EIGENVALUE, in_double, triangular_root, weighted_rows
from reglm.inference.units import Finding, findings, held_scales
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit
from reglm.response import has_information

if TYPE_CHECKING:
    import pandas as pd

EDGE = 1e-8
"""Distance of a mean from the end of its range below which it counts as being there."""
SHOWN = 3
"""Entries of the weakest direction that are shown."""
WIDTH = 78


@dataclass(frozen=True)
class Spectrum:
    """What the information matrix, scaled to a diagonal of ones, says.

    Parameters
    ----------
    kind : {"expected", "observed"}
    rank : int
        Eigenvalues above `reglm.inference.information.SMALLEST_EIGENVALUE` times the largest.
    smallest : float
        Smallest eigenvalue; negative where the point is no minimum of the objective.
    direction : ndarray (P,)
        Eigenvector that belongs to it, in scaled parameters.
    """

    kind: str
    rank: int
    smallest: float
    direction: Array


@dataclass(frozen=True, repr=False)
class Identifiability:
    """Report on what the data determine.

    Parameters
    ----------
    labels : list of str
        Names of theta.
    spectra : tuple of Spectrum
        Of the expected information, where the family has one, and of the observed one; penalties included.
    units : tuple of Finding
        Units that are constant, without effect, duplicated, without a scale, or running off to a limit.
    edge : int
        Rows whose fitted mean is at the end of its range, such as probabilities of zero or one.
    refusal : str
        Why there are no standard errors; empty if there are.
    """

    labels: list[str]
    spectra: tuple[Spectrum, ...]
    units: tuple[Finding, ...]
    edge: int
    refusal: str

    @property
    def identified(self) -> bool:
        """Whether every information has full rank and no unit is without a say."""
        full = all(s.rank == len(self.labels) and s.smallest > 0 for s in self.spectra)
        return full and not any(unit.fatal for unit in self.units)

    def direction(self, kind: str = "observed") -> pd.Series:
        """Direction that the data say least about (P,), largest entries first.

        Parameters
        ----------
        kind : {"expected", "observed"}

        Raises
        ------
        ValueError
            If there is no such information.
        """
        import pandas as pd

        known = {spectrum.kind: spectrum.direction for spectrum in self.spectra}
        if kind not in known:
            raise ValueError(f"kind={kind!r} is not known here; choose one of {list(known)}.")
        series = pd.Series(known[kind], self.labels)
        return series.loc[series.abs().sort_values(ascending=False, kind="stable").index]

    def lines(self) -> list[str]:
        """Sentences of the report."""
        found = [self._spectrum_line(spectrum) for spectrum in self.spectra]
        found += [f"{unit.reason}." for unit in self.units]
        if self.edge:
            found.append(f"{self.edge} rows have a fitted mean at the end of its range.")
        if not self.units:
            found.append("No hidden unit is constant, duplicated or running off to infinity.")
        return [*found, f"No standard errors: {self.refusal}" if self.refusal else "Standard errors are given."]

    def _spectrum_line(self, spectrum: Spectrum) -> str:
        top = self.direction(spectrum.kind)[:SHOWN]
        entries = ", ".join(f"{name} {value:.2f}" for name, value in top.items())
        return (
            f"{spectrum.kind.capitalize()} information: rank {spectrum.rank} of {len(self.labels)}, smallest "
            f"eigenvalue {spectrum.smallest:.2g} of the scaled matrix; weakest direction {entries}."
        )

    def _repr_html_(self) -> str:
        return f"<ul class='reglm-identifiability'>{''.join(f'<li>{escape(line)}</li>' for line in self.lines())}</ul>"

    def __str__(self) -> str:
        wrap = partial(textwrap.wrap, width=WIDTH, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(["Identifiability", *(part for line in self.lines() for part in wrap(line))])

    __repr__ = __str__


def identifiability(fit: Fit, refusal: str = "") -> Identifiability:
    """Return the report for a fit.

    Parameters
    ----------
    fit : Fit
    refusal : str
        Why there are no standard errors, as far as known.

    Raises
    ------
    ValueError
        If the model was loaded from a file.
    """
    if fit.data is None:
        raise ValueError("identifiability needs the training rows, which a model loaded from a file does not hold.")
    exact = in_double(fit)
    data = exact.data
    assert data is not None
    units = () if fit.is_linear else tuple(findings(exact, data))
    labels = theta_names(fit)
    return Identifiability(labels, tuple(_spectra(exact, data)), units, _edge(exact, data), refusal)


FREE_SCALE = (
    "Without a penalty the weights into a rectified unit trade scale with those out. The largest weight out of each "
    "is held at its estimate and has no standard error; those of means, effects and predictions do not depend on it."
)


def verdict(fit: Fit, data: Data) -> tuple[str, list[str]]:
    """Refusal of standard errors that hidden units force, empty if none does, and notes on those near a limit.

    Parameters
    ----------
    fit : Fit
        In double precision.
    data : Data
        Its training rows.
    """
    if fit.is_linear:
        return "", []
    found = findings(fit, data)
    reasons = [f.reason for f in found if f.fatal]
    more = f" (and {len(reasons) - 1} more like it)" if len(reasons) > 1 else ""
    refusal = f"{reasons[0]}{more}; try fewer units or a penalty, and see identifiability()." if reasons else ""
    near = [f"{f.reason[0].upper()}{f.reason[1:]}." for f in found if f.state.startswith("near ")]
    return refusal, [*near, *([FREE_SCALE] if len(held_scales(fit)) else [])]


def _spectra(fit: Fit, data: Data) -> list[Spectrum]:
    found = []
    if not fit.likelihood.shape_specs and has_information(fit.likelihood.family):
        R = triangular_root(weighted_rows(fit, data), len(fit.theta))
        found.append(_spectrum("expected", R.T @ R + np.diag(fit.penalty)))
    H = fit.likelihood.hessian(fit.theta, data) + np.diag(fit.penalty)
    return [*found, _spectrum("observed", H)]


def _spectrum(kind: str, H: Array) -> Spectrum:
    H = np.nan_to_num(H)
    diagonal = np.abs(np.diag(H))
    known = diagonal > 0
    scale = np.where(known, 1.0 / np.sqrt(np.where(known, diagonal, 1.0)), 0.0)
    values, vectors = linalg.eigh(scale[:, None] * H * scale)
    rank = int(np.sum(values > SMALLEST_EIGENVALUE * values[-1]))
    return Spectrum(kind, rank, float(values[0]), vectors[:, 0])


def _edge(fit: Fit, data: Data) -> int:
    """Rows with a fitted mean at a finite end of the family's range."""
    likelihood, domain = fit.likelihood, fit.likelihood.family.domain
    mu = likelihood.response.location(likelihood.eta(fit.theta, data.X, data.offset), likelihood.shape(fit.theta))
    return int(np.any((mu - domain.low < EDGE) | (domain.high - mu < EDGE), axis=1).sum())
