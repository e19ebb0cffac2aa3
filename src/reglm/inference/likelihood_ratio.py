"""Likelihood-ratio tests between nested fits, and what has to hold for their reference distribution."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from reglm.inference.covariances import observed_numbers
from reglm.inference.information import identified, in_double
from reglm.inference.test_result import TestOutcome
from reglm.jacobian import jacobian
from reglm.network import Network
from reglm.record import Fit

WORSE = 1e-3
"""Units of log-likelihood by which a larger model may fit worse before it counts as a failed search."""
UNITS_DROPPED = (
    "The smaller model has fewer hidden units: without a unit the weights into it are not identified, so the {} "
    "reference is not valid (Davies 1987); take bootstrap=999."
)


class Pair(NamedTuple):
    """Two nested fits to the same responses, with the degrees of freedom between them and left by the larger."""

    larger: Fit
    smaller: Fit
    df: int
    df_resid: float


def lr_test(larger: Fit, smaller: Fit) -> TestOutcome:
    """Test a smaller model against a larger one that contains it.

    Parameters
    ----------
    larger, smaller : Fit

    Returns
    -------
    TestOutcome
        ``2 (ll1 - ll0)`` against chi-square where the dispersion is fixed, given or estimated by maximum
        likelihood; ``(D0 - D1) / (df phi1)`` against F where it is estimated from Pearson's statistic or the
        deviance, as R's `anova.glm` has it.

    Raises
    ------
    ValueError
        If the fits cannot be nested; the message says why.
    """
    return outcome(paired(larger, smaller))


def paired(larger: Fit, smaller: Fit) -> Pair:
    """Check two fits and count the parameters between them."""
    if larger.data is None or smaller.data is None:
        raise ValueError("likelihood-ratio tests need the training rows of both models; one was loaded from a file.")
    one, other = larger.likelihood, smaller.likelihood
    if (one.family.name, one.link.name) != (other.family.name, other.link.name):
        raise ValueError(
            f"the models have families {one.family.name!r} and {other.family.name!r} with links {one.link.name!r} and "
            f"{other.link.name!r}: a likelihood-ratio test needs the same ones."
        )
    for part in ("y", "weights"):
        if not np.array_equal(getattr(larger.data, part), getattr(smaller.data, part)):
            raise ValueError(f"{part} of the two fits differ: a likelihood-ratio test needs the same rows in both.")
    ranks = [rank(fit) for fit in (larger, smaller)]
    if ranks[1] >= ranks[0]:
        raise ValueError(f"smaller has {ranks[1]} parameters and the larger model {ranks[0]}: exchange them.")
    return Pair(larger, smaller, ranks[0] - ranks[1], observed_numbers(larger) - ranks[0])


def rank(fit: Fit) -> int:
    """Return the number of parameters that the data tell apart in a linear predictor; all of a network."""
    exact = in_double(fit)
    assert exact.data is not None
    return fit.n_parameters - int(identified(exact, exact.data)[0].sum())


def reference(pair: Pair) -> str:
    """Name the reference distribution: "F" where the dispersion is estimated from residuals, else "chi2"."""
    if "n <= P" in pair.larger.dispersion_method:
        raise ValueError(f"{pair.larger.n_rows} rows leave the larger model no degrees of freedom for the dispersion.")
    return "F" if pair.larger.dispersion_method in ("pearson", "deviance") else "chi2"


def statistic(pair: Pair) -> float:
    """Value of the statistic."""
    larger, smaller = pair.larger, pair.smaller
    if reference(pair) == "F":
        return (smaller.deviance - larger.deviance) / (pair.df * larger.dispersion)
    if larger.dispersion_method == "given":
        return (smaller.deviance - larger.deviance) / larger.dispersion
    return 2.0 * (larger.log_likelihood - smaller.log_likelihood)


def outcome(pair: Pair, name: str = "likelihood-ratio test") -> TestOutcome:
    """Test with its asymptotic p-value and the reasons to doubt it."""
    value, kind = statistic(pair), reference(pair)
    df = (pair.df, pair.df_resid) if kind == "F" else pair.df
    law = stats.f(*df) if isinstance(df, tuple) else stats.chi2(df)
    return TestOutcome(name, value, df, float(law.sf(value)), kind, tuple(caveats(pair, value, kind)))


def caveats(pair: Pair, value: float, kind: str) -> list[str]:
    """Say what keeps the reference distribution from being right."""
    found = []
    if hidden_units(pair.smaller) < hidden_units(pair.larger):
        found.append(UNITS_DROPPED.format(kind))
    if np.any(pair.larger.penalty) or np.any(pair.larger.l1):
        found.append(f"The fits are penalised, so the {kind} reference is not valid; take bootstrap=999.")
    if value < -WORSE:
        found.append("The larger model fits worse, so its search ended in a poor optimum: fit it with a larger n_init.")
    if not (pair.larger.converged and pair.smaller.converged):
        found.append("A fit has not converged.")
    return found


def hidden_units(fit: Fit) -> int:
    """Units of all hidden layers."""
    *hidden, _ = fit.likelihood.network.chain.layers
    return sum(int(getattr(layer, "units", 0)) for layer in hidden)


# -- a model without one of its inputs ------------------------------------------------------------------------


def without_columns(fit: Fit, columns: tuple[int, ...], *, n_init: int = 3, seed: int = 0) -> Pair:
    """Pair of a fit and its refit with columns of X at zero, whose weights then have no effect.

    Parameters
    ----------
    fit : Fit
    columns : tuple of int
        Of the model matrix.
    n_init : int
        Starts of the refit, the first from the estimates.
    seed : int

    Raises
    ------
    ValueError
        If the model was loaded from a file.
    """
    if fit.data is None or fit.refit is None:
        raise ValueError("dropping an input needs a refit, for which a model loaded from a file has no rows.")
    data = fit.data._replace(X=_zeroed(fit.data.X, columns))
    smaller = fit.refit(data, start=fit.theta, n_init=1 if fit.is_linear else n_init, seed=seed)
    counted = _data_rank if fit.is_linear else _design_rank
    df = counted(fit) - counted(smaller)
    if df < 1:
        raise ValueError("the input has no parameters of its own: other inputs determine it, or its units are dead.")
    return Pair(fit, smaller, df, observed_numbers(fit) - rank(fit))


def _zeroed(X: Any, columns: tuple[int, ...]) -> Any:
    if not hasattr(X, "tocsc"):
        X = X.copy()
        X[:, columns] = 0.0
        return X
    keep = np.ones(X.shape[1], dtype=X.dtype)
    keep[list(columns)] = 0.0
    scaled = X.multiply(keep).tocsr()
    scaled.eliminate_zeros()
    return scaled


def _data_rank(fit: Fit) -> int:
    """Rank of a linear predictor by the data alone: a penalty determines also what they do not."""
    return rank(replace(fit, penalty=np.zeros_like(fit.penalty)))


def _design_rank(fit: Fit) -> int:
    """Rank of the design matrix J at arbitrary parameters, where no unit happens to be redundant.

    Columns are put on one scale, on which arbitrary parameters saturate no unit.
    """
    exact = in_double(fit)
    likelihood, data = exact.likelihood, exact.data
    assert data is not None
    data = data._replace(X=_on_one_scale(likelihood.network, data.X))
    rng = np.random.default_rng(0)
    theta = likelihood.layout.start(rng) + 0.1 * rng.normal(size=likelihood.layout.size)
    J = np.concatenate([jacobian(likelihood, theta, data, k) for k in range(likelihood.network.outputs())])
    length = np.linalg.norm(J, axis=0)
    return int(np.linalg.matrix_rank(J[:, length > 0] / length[length > 0], tol=1e-7))


def _on_one_scale(network: Network, X: Any) -> Any:
    """Centre and scale the columns that weights multiply; sparse columns are scaled only."""
    columns = sorted({column for r in network.rescalings for column in r.columns})
    if hasattr(X, "tocsc"):
        spread = np.sqrt(np.asarray(X.multiply(X).mean(axis=0)).ravel())
        return X.multiply(1.0 / np.where(spread > 0, spread, 1.0)).tocsr()
    X = X.copy()
    spread = X[:, columns].std(axis=0)
    X[:, columns] = (X[:, columns] - X[:, columns].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return X
