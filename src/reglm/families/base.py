"""What a family is: one log-density, and everything else derived from it.

Conventions
-----------
y : (n, m) floats, encoded as the family says; m is 1 unless said otherwise, or K independent columns.
eta : (n, K) linear predictors. mu : (n, K) means.
phi : dispersion, a number or (n, 1). Weights w are precision weights: they stand for phi / w in families
whose dispersion is estimated and multiply the log-density in the others.
shape : the family's own parameters (negative binomial alpha, ...), by name, on the unconstrained scale in
which solvers see them: positive ones as logarithms.

Signatures here say ``*_, **shape``; a family puts the names of its own shape parameters there, and those that
it does not estimate default to None.

The log-density is ``kernel(y, mean) / phi + base(y, phi)``. The kernel holds all that depends on the mean or
on an estimated shape parameter, so the base takes no part in a fit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import pytensor
import pytensor.tensor as pt

from reglm import links
from reglm.families.mean import Mean
from reglm.links import Interval, Link
from reglm.links.record import Variable
from reglm.parameters import Array, Spec

Number = Array | float

IDENTITY = links.get("identity")


def slope(f: Variable, x: Variable) -> Variable:
    """Return df_i / dx_i for f elementwise in x; zero where f does not depend on x."""
    return pytensor.grad(f.sum(), x, disconnected_inputs="ignore")


@dataclass(frozen=True)
class Family(ABC):
    """A response distribution. Dataclass fields are options, shape parameters held fixed among them.

    Attributes
    ----------
    name : str
    domain : Interval
        Values of the mean.
    support : Interval
        Values of an entry of y.
    links : tuple of str
        Admissible links; "power" admits every power.
    default_link : str
    canonical_link : str or None
    intercept : bool
        False where the shape parameters already hold the level of eta.
    likelihood : bool
        False for quasi families, which claim no density.
    remedy : str
        What to do about a response outside the support.
    """

    name: ClassVar[str]
    domain: ClassVar[Interval]
    support: ClassVar[Interval]
    links: ClassVar[tuple[str, ...]]
    default_link: ClassVar[str]
    remedy: ClassVar[str]
    intercept: ClassVar[bool] = True
    likelihood: ClassVar[bool] = True

    # -- the log-density -----------------------------------------------------------------------------

    @abstractmethod
    def kernel(self, y: Variable, mean: Mean, *_: Any, **shape: Any) -> Variable:
        """Part of the log-density at phi = 1 that any parameter enters, (n, K) or (n, 1)."""

    @abstractmethod
    def base(self, y: Variable, phi: Variable) -> Variable:
        """Rest of the log-density: free of the mean and of estimated shape parameters."""

    def log_density(
        self, y: Variable, mean: Mean, phi: Variable = 1.0, weights: Variable = 1.0, *_: Any, **shape: Any
    ) -> Variable:
        """Log-density of each entry of y, (n, K) or (n, 1).

        Parameters
        ----------
        y : variable (n, m)
        mean : Mean
        phi : variable
            Ignored where the dispersion is fixed.
        weights : variable (n, 1)
            Positive.
        **shape : variables
            The family's shape parameters, by name.
        """
        kernel = self.kernel(y, mean, **shape)
        if self.dispersion == "fixed":
            return weights * (kernel + self.base(y, 1.0))
        return kernel * (weights / phi) + self.base(y, phi / weights)

    def objective(self, y: Variable, mean: Mean, weights: Variable, *_: Any, **shape: Any) -> Variable:
        """Log-density at phi = 1 up to terms that no parameter enters: what a fit maximises the sum of."""
        return weights * self.kernel(y, mean, **shape)

    # -- derived quantities --------------------------------------------------------------------------

    def saturated(self, y: Variable, *_: Any, **shape: Any) -> Variable:
        """Largest kernel that any mean reaches, entry by entry: that of mu = y."""
        return self.kernel(y, Mean.at(y), **shape)

    def unit_deviance(self, y: Variable, mean: Mean, *_: Any, **shape: Any) -> Variable:
        """Twice the distance of the kernel from its saturated value (McCullagh & Nelder 1989, 2.3)."""
        return 2 * (self.saturated(y, **shape) - self.kernel(y, mean, **shape))

    def score(self, y: Variable, mean: Mean, *_: Any, **shape: Any) -> Variable:
        """Differentiate the kernel in eta, (n, K)."""
        return slope(self.kernel(y, mean, **shape), mean.eta)

    def curvature(self, y: Variable, mean: Mean, *_: Any, **shape: Any) -> Variable:
        """Observed information about eta at phi = 1, (n, K), for families whose columns are independent."""
        return -slope(self.score(y, mean, **shape), mean.eta)

    @abstractmethod
    def information(self, y: Variable, mean: Mean, *_: Any, **shape: Any) -> Variable | None:
        """Return the expected information about eta at phi = 1: (n, K), or (n, K, K) if columns are coupled.

        None where only the observed information is offered.
        """

    @abstractmethod
    def variance(self, mu: Variable, *_: Any, **shape: Any) -> Variable:
        """Variance of an entry of y at phi = 1, as a function of `location`."""

    # -- from eta to what is predicted and drawn -----------------------------------------------------

    def location(self, mean: Mean, *_: Any, **shape: Any) -> Variable:
        """Parameter that `simulate`, `distribution` and `variance` take: the mean, or class probabilities."""
        return mean.value

    def response(self, mean: Mean, *_: Any, **shape: Any) -> Variable:
        """Return the expected response, which is what predictions are."""
        return self.location(mean, **shape)

    def distribution(self, mu: Array, phi: Number = 1.0, size: Number = 1, *_: Any, **shape: Any) -> Any:
        """Frozen `scipy.stats` distribution of the entries of y, for quantiles, intervals and draws.

        Raises
        ------
        ValueError
            If SciPy has none, or the family claims no likelihood.
        """
        raise ValueError(f"family {self.name!r} has no distribution here, so it gives no quantiles or draws.")

    def simulate(
        self, rng: np.random.Generator, mu: Array, phi: Number = 1.0, size: Number = 1, *_: Any, **shape: Any
    ) -> Array:
        """Draw responses, encoded as the family says.

        Parameters
        ----------
        rng : numpy Generator
        mu : array (n, K)
            `location`.
        phi : float or array (n, 1)
        size : array (n, 1)
            Trials, for counts out of a total: `size` of the observed y.
        **shape : arrays
        """
        drawn = np.asarray(self.distribution(mu, phi, size, **shape).rvs(random_state=rng), dtype=float)
        return drawn if drawn.ndim == np.ndim(mu) else drawn.reshape(np.shape(mu))  # SciPy squeezes a single row

    # -- facts about data ----------------------------------------------------------------------------

    def outputs(self, y: Array) -> int:
        """Columns of eta that a response with these columns needs."""
        return y.shape[1]

    def observed(self, y: Variable) -> Variable:
        """Response on the scale of the mean; works on arrays and on variables."""
        return y

    def size(self, y: Variable) -> Variable:
        """Trials behind each row, by which information multiplies."""
        return 1

    def start(self, y: Array) -> Array:
        """Means (n, K) from which scoring starts: halfway between y and its average."""
        return (y + y.mean(axis=0)) / 2

    def specs(self, y: Array) -> tuple[Spec, ...]:
        """Shape parameters to estimate, with starts taken from the data."""
        return ()

    def natural(self, *_: Any, **shape: Any) -> dict[str, Array]:
        """Shape parameters as users know them, fixed ones included: ``log_alpha`` becomes ``alpha``."""
        return {}

    def check_response(self, y: Array) -> None:
        """Raise unless every entry of y (n, m) belongs to the support.

        Raises
        ------
        ValueError
            Names the first offending value, its row and the remedy.
        """
        self.reject(~np.isfinite(y), y, "finite numbers")
        self.reject(~self.support.contains(y), y, f"values in {self.support}")

    def reject(self, bad: Array, y: Array, wanted: str) -> None:
        """Raise if any entry of the indicator `bad` (n, m) is true."""
        if bad.any():
            row, column = np.argwhere(bad)[0]
            value = float(y[row, column])
            raise ValueError(f"y[{row}] = {value:g}: family {self.name!r} needs {wanted}. {self.remedy}")

    # -- links and identity --------------------------------------------------------------------------

    @property
    def dispersion(self) -> str:
        """``"fixed"`` at 1, or ``"estimated"`` after the means."""
        return "fixed"

    @property
    def canonical_link(self) -> str | None:
        """Link at which the fitted total equals the observed one, None if there is none here."""
        return None

    def resolve_link(self, name: str | Link | None = None) -> Link:
        """Return the link of this name, the default one for None.

        Raises
        ------
        ValueError
            If the family does not admit it.
        """
        link = links.get(self.default_link if name is None else name)
        powers = "power" in self.links and link.name.startswith("power(")
        if link.name not in self.links and not powers:
            known = ", ".join(self.links)
            raise ValueError(f"link={link.name!r} does not suit family {self.name!r}; choose one of {known}.")
        return link

    def structure(self) -> tuple[Any, ...]:
        """Key under which graphs of this family may be shared: its name and options."""
        return (self.name, *(getattr(self, option.name) for option in fields(self)))

    def to_dict(self) -> dict[str, Any]:
        """Name and options, JSON-ready."""
        return {"name": self.name} | {option.name: getattr(self, option.name) for option in fields(self)}


@dataclass(frozen=True)
class ExponentialDispersion(Family):
    """Families with kernel ``y theta - b(theta)``, for which the kernel alone tells variance and information.

    ``d kernel / dy`` is the canonical parameter theta up to a term free of the mean, so
    ``V = 1 / (dtheta / dmu)`` and the expected information is ``(dmu / deta) (dtheta / deta)``, a form
    without the 0 / 0 that ``(dmu / deta)^2 / V`` becomes in the tails.
    """

    def canonical_parameter(self, mean: Mean, *_: Any, **shape: Any) -> Variable:
        """Differentiate the kernel in y, taken at y = 0."""
        y = pt.zeros_like(mean.eta)
        return slope(self.kernel(y, mean, **shape), y)

    def information(self, y: Variable, mean: Mean, *_: Any, **shape: Any) -> Variable:
        """``size (dmu / deta) (dtheta / deta)``, (n, K)."""
        theta = self.canonical_parameter(mean, **shape)
        return self.size(y) * slope(mean.value, mean.eta) * slope(theta, mean.eta)

    def variance(self, mu: Variable, *_: Any, **shape: Any) -> Variable:
        """Return V(mu), (n, K)."""
        return 1 / slope(self.canonical_parameter(Mean(IDENTITY, mu), **shape), mu)
