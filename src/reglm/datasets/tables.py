"""Tables bundled with statsmodels, NIST's certified problems, and simulated motor claims."""

from __future__ import annotations

from importlib import import_module
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import Bunch

if TYPE_CHECKING:
    import pandas as pd


def bunch_of(frame: pd.DataFrame, responses: list[str], source: str, description: str) -> Bunch:
    """Split a frame into inputs and response; one response name gives a Series, two a DataFrame."""
    data = frame.drop(columns=responses)
    return Bunch(
        data=data,
        target=frame[responses[0]] if len(responses) == 1 else frame[responses],
        frame=frame,
        feature_names=list(data.columns),
        target_names=responses,
        source=source,
        DESCR=description,
    )


def from_statsmodels(name: str, responses: list[str], source: str, description: str) -> Bunch:
    """Read a table bundled with statsmodels."""
    frame = import_module(f"statsmodels.datasets.{name}").load_pandas().data
    return bunch_of(frame, responses, source, description)


def _from_nist(name: str, description: str) -> Bunch:
    """Read one of the NIST tables that ship with this package."""
    import pandas as pd

    with (files("reglm") / "data" / f"{name}.csv").open() as file:
        frame = pd.read_csv(file, dtype=float)
    source = "NIST Statistical Reference Datasets, nonlinear regression (public domain)"
    return bunch_of(frame, ["y"], source, description)


def load_randhie() -> Bunch:
    """Doctor visits in the RAND health insurance experiment, 20,190 person-years.

    The response ``mdvis`` counts outpatient visits to a physician within a year.

    Returns
    -------
    sklearn.utils.Bunch
        ``data`` (20190, 9): ``lncoins`` log of coinsurance + 1, ``idp`` individual deductible plan,
        ``lpi`` log participation incentive, ``fmde`` log of a function of the maximum expenditure,
        ``physlm`` physical limitation, ``disea`` number of chronic diseases, ``hlthg``, ``hlthf``,
        ``hlthp`` self-rated health good, fair, poor (excellent is the omitted level).

    References
    ----------
    Cameron & Trivedi (2005), Microeconometrics, Cambridge University Press, section 20.3.
    """
    source = "RAND Health Insurance Experiment, as bundled with statsmodels (public domain)"
    return from_statsmodels("randhie", ["mdvis"], source, "Yearly outpatient visits to a physician.")


def load_star98() -> Bunch:
    """Pupils above the national median in mathematics, 303 Californian school districts, 1998.

    Returns
    -------
    sklearn.utils.Bunch
        ``target`` (303, 2): ``NABOVE`` successes and ``NBELOW`` failures, a binomial response.
        ``data`` (303, 20): the twelve covariates and eight interactions of the book's example.

    References
    ----------
    Gill (2000), Generalized Linear Models: A Unified Approach, Sage.
    """
    source = "Gill (2000), as bundled with statsmodels"
    return from_statsmodels("star98", ["NABOVE", "NBELOW"], source, "Pupils above and below the median.")


def load_scotland() -> Bunch:
    """Yes votes (per cent) on taxation powers for the Scottish parliament, 32 councils, 1997.

    Returns
    -------
    sklearn.utils.Bunch
        ``target`` (32,): ``YES``, positive. ``data`` (32, 7): council tax, female unemployment,
        mortality, economic activity, gross domestic product, share of ages 5 to 15, one interaction.

    References
    ----------
    Gill (2000), Generalized Linear Models: A Unified Approach, Sage.
    """
    source = "Gill (2000), as bundled with statsmodels"
    return from_statsmodels("scotland", ["YES"], source, "Per cent voting yes, by council.")


def load_spector() -> Bunch:
    """Improved grades after a new method of teaching economics, 32 students.

    Returns
    -------
    sklearn.utils.Bunch
        ``target`` (32,): ``GRADE``, 0 or 1. ``data`` (32, 3): ``GPA`` grade point average, ``TUCE``
        score of an entry test, ``PSI`` whether the student was taught by the new method.

    References
    ----------
    Spector & Mazzeo (1980), Journal of Economic Education 11(2), 37-44.
    """
    source = "Spector & Mazzeo (1980), as bundled with statsmodels"
    return from_statsmodels("spector", ["GRADE"], source, "Improvement in grade, yes or no.")


def load_longley() -> Bunch:
    """Employment in the United States, 16 years: nearly collinear inputs that test a solver's arithmetic.

    Returns
    -------
    sklearn.utils.Bunch
        ``target`` (16,): ``TOTEMP``. ``data`` (16, 6): ``GNPDEFL``, ``GNP``, ``UNEMP``, ``ARMED``,
        ``POP``, ``YEAR``.

    References
    ----------
    Longley (1967), Journal of the American Statistical Association 62, 819-841.
    """
    source = "Longley (1967), as bundled with statsmodels (public domain)"
    return from_statsmodels("longley", ["TOTEMP"], source, "Total employment and six economic series.")


def load_rat42() -> Bunch:
    """NIST Rat42: pasture yield against growing time, ``y = b1 / (1 + exp(b2 - b3 x))``.

    As a network: one logistic hidden unit and an identity output without bias.

    Returns
    -------
    sklearn.utils.Bunch
        ``data`` (9, 1), ``target`` (9,).

    References
    ----------
    Ratkowsky (1983), Nonlinear Regression Modeling, Dekker, 61 and 88.
    """
    return _from_nist("rat42", "Pasture yield against growing time.")


def load_boxbod() -> Bunch:
    """NIST BoxBOD: biochemical oxygen demand against days, ``y = b1 (1 - exp(-b2 x))``.

    As a network: one hidden unit with activation ``1 - exp(eta)`` (the inverse of the ``logc``
    link), no biases.

    Returns
    -------
    sklearn.utils.Bunch
        ``data`` (6, 1), ``target`` (6,).

    References
    ----------
    Box, Hunter & Hunter (1978), Statistics for Experimenters, Wiley, 483-487.
    """
    return _from_nist("boxbod", "Biochemical oxygen demand against incubation time in days.")


def load_danwood() -> Bunch:
    """NIST DanWood: radiated energy of a carbon filament against temperature, ``y = b1 x^b2``.

    As a GLM: Gaussian response, log link, ``log x`` as the input.

    Returns
    -------
    sklearn.utils.Bunch
        ``data`` (6, 1): absolute temperature in 1000 K. ``target`` (6,).

    References
    ----------
    Daniel & Wood (1980), Fitting Equations to Data, 2nd ed., Wiley, 428-431.
    """
    return _from_nist("danwood", "Energy radiated per cm^2 and second against absolute temperature in 1000 K.")


_REGIONS = {"city": 0.25, "coast": 0.0, "hills": -0.15, "plain": -0.05, "suburb": 0.1}


def _log_frequency(frame: pd.DataFrame) -> np.ndarray:
    """Log claims a year (n,): a U in age, a step at new cars, the young in strong cars, the rest linear."""
    age, power = frame["driver_age"].to_numpy(), frame["power"].to_numpy()
    young = 1.0 / (1.0 + np.exp((age - 24.0) / 2.0))
    return (
        -2.7
        + 1.2 * young
        + 0.05 * np.maximum(age - 60.0, 0.0)
        + 0.02 * young * (power - 90.0)
        + 0.7 * (frame["vehicle_age"].to_numpy() == 0)
        + 0.15 * (np.log(frame["density"].to_numpy()) - 6.0)
        + 0.1 * (frame["fuel"] == "diesel").to_numpy()
        + frame["region"].map(_REGIONS).to_numpy(dtype=float)
    )


def simulate_claims(n: int = 20_000, seed: int = 0) -> Bunch:
    """Simulate motor insurance policies whose claim frequency is known.

    The claims of policy *i* are Poisson with mean ``exposure_i * frequency_i``. The log frequency is
    linear in log density, fuel and region. It also bends with the driver's age, steps down after a
    car's first year and lets young drivers of strong cars claim more often, which a GLM with linear
    terms misses.

    Parameters
    ----------
    n : int, default=20000
        Policies.
    seed : int, default=0
        Seed of the NumPy generator; the same seed gives the same table.

    Returns
    -------
    sklearn.utils.Bunch
        ``data`` (n, 7): ``driver_age`` and ``vehicle_age`` in years, ``power`` in kW, ``density``
        inhabitants per square kilometre, categorical ``fuel`` and ``region``, and ``exposure`` in
        years, in (0, 1]. ``target`` (n,): ``claims``. ``frequency`` (n,): the true expected
        claims a year, not part of ``data``.

    Raises
    ------
    ValueError
        If `n` is not positive.
    """
    import pandas as pd

    if n < 1:
        raise ValueError(f"n={n} policies cannot be simulated; n must be 1 or more.")
    rng = np.random.default_rng(seed)
    regions = sorted(_REGIONS)
    frame = pd.DataFrame(
        {
            "driver_age": 18 + np.floor(68 * rng.beta(1.6, 2.6, n)).astype(int),
            "vehicle_age": np.minimum(rng.geometric(0.12, n) - 1, 25),
            "power": np.round(50 + 150 * rng.beta(1.5, 4.0, n)),
            "density": np.round(np.exp(rng.normal(6.0, 1.5, n))) + 1.0,
            "fuel": pd.Categorical.from_codes((rng.random(n) < 0.4).astype(int), ["petrol", "diesel"]),
            "region": pd.Categorical.from_codes(rng.choice(5, n, p=[0.2, 0.15, 0.1, 0.25, 0.3]), regions),
            "exposure": np.where(rng.random(n) < 0.5, 1.0, np.round(1.0 - 0.95 * rng.random(n), 2)),
        }
    )
    frequency = np.exp(_log_frequency(frame))
    frame["claims"] = rng.poisson(frame["exposure"] * frequency)
    bunch = bunch_of(frame, ["claims"], f"simulated, seed {seed}", "Motor policies with known claim frequency.")
    bunch["frequency"] = frequency
    return bunch
