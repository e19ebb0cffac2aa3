"""``reglm demo``: a GLM, a network and three other models on 20,190 rows of doctor visits, and five on a series."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import reglm
from reglm.cli import series
from reglm.cli.document import Document
from reglm.cli.figures import calibration_figure, effects_figure, training_figure
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.utils import Bunch

GLM, NETWORK, TREES = "GLM", "recursive GLM", "gradient boosting"
FLOOR = 0.1
"""Smallest mean that kernel ridge may predict: it knows no positive means."""
VISITS = "mean number of visits a year"
INPUTS = {
    "lncoins": "log(coinsurance rate in % + 1)",
    "disea": "chronic diseases (index)",
    "lpi": "log participation incentive",
    "physlm": "physical limitation (0 to 1)",
}
CODE = """import reglm
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

data = reglm.datasets.load_randhie()
model = make_pipeline(
    StandardScaler().set_output(transform="pandas"),
    reglm.RecursiveGLMRegressor(
        hidden=(2,), skip=True, family="poisson", alpha=300.0, n_init=3, random_state=0
    ),
)
model.fit(data.data, data.target)
model[-1].summary()"""


def run(args: argparse.Namespace) -> int:
    """Fit, print, write the report."""
    from rich.console import Console

    with threadpool_limits(1):  # so that the times compare, on machines that are busy too
        _run(args, Console(highlight=False))
    return 0


def _run(args: argparse.Namespace, console: Any) -> None:
    began = time.perf_counter()
    data = reglm.datasets.load_randhie()
    X, y = sample(data, args.rows)
    console.print(f"Yearly visits to a physician, {len(y):,} person-years of the RAND experiment.\n")
    candidates = models()
    fitted = {name: candidates[name].fit(X, y) for name in (GLM, NETWORK)}
    summaries = {name: model[-1].summary() for name, model in fitted.items()}
    for summary in summaries.values():
        console.print(summary.as_text(), "\n", markup=False, soft_wrap=True)
    with console.status("Five-fold cross-validation ..."):
        found = reglm.compare(candidates, X, y, family="poisson", cv=households(X), groups=household(X))
    table = found.as_frame()
    show(console, formatted(table), "Held-out rows of a five-fold cross-validation", str(table["deviance"].idxmin()))
    with console.status("Fitting models of a series ..."):
        memory = series.scores()
    title = "\nSunspots a year, by the years before: models of sequences, fitted to 240 years, judged on 69 later ones"
    show(console, series.formatted(memory), title, str(memory["later"].idxmax()))
    with console.status("Writing the report ..."):
        page = report(data, X, y, fitted, summaries, table)
        series.section(page, memory)
        page.heading("Do it yourself")
        page.code(CODE)
        page.write(args.output)
    console.print(f"\nReport: {args.output}   ({time.perf_counter() - began:.0f} s)", soft_wrap=True)


def sample(data: Bunch, rows: int | None) -> tuple[pd.DataFrame, pd.Series]:
    """Return the data, or `rows` of them evenly spread."""
    n = len(data.target)
    if rows is None:
        return data.data, data.target
    if not 100 <= rows <= n:
        raise ValueError(f"rows={rows} must lie between 100 and {n}.")
    kept = np.linspace(0, n - 1, rows).astype(int)
    return data.data.iloc[kept].reset_index(drop=True), data.target.iloc[kept].reset_index(drop=True)


def household(X: pd.DataFrame) -> Array:
    """Return the number of each row's household, as far as inputs that its members share reveal it."""
    return X.groupby(["disea", "lpi", "fmde"]).ngroup().to_numpy()


def households(X: pd.DataFrame) -> list[tuple[Array, Array]]:
    """Return five folds that keep a household together."""
    return list(GroupKFold(5, shuffle=True, random_state=0).split(X, groups=household(X)))


def models() -> dict[str, Any]:
    """Return the models of the comparison, not fitted."""
    glm = reglm.RecursiveGLMRegressor(family="poisson")
    network = reglm.RecursiveGLMRegressor(
        hidden=(2,), skip=True, family="poisson", alpha=300.0, n_init=3, random_state=0
    )
    features = RBFSampler(gamma=0.1, n_components=300, random_state=0)
    ridge = make_pipeline(StandardScaler(), features, Ridge(alpha=1.0))
    return {
        GLM: standardised(glm),
        NETWORK: standardised(network),
        "kernel ridge (RBF)": TransformedTargetRegressor(
            ridge, func=np.asarray, inverse_func=floored, check_inverse=False
        ),
        TREES: HistGradientBoostingRegressor(
            loss="poisson", learning_rate=0.05, max_iter=150, min_samples_leaf=50, random_state=0
        ),
    }


def standardised(model: Any) -> Pipeline:
    """Return the model behind a scaler that keeps the names of the columns."""
    return make_pipeline(StandardScaler().set_output(transform="pandas"), model)


def floored(mu: Array) -> Array:
    """Means, none below `FLOOR`."""
    return np.maximum(mu, FLOOR)


def formatted(table: pd.DataFrame) -> pd.DataFrame:
    """Return the comparison as strings."""
    shown = table[["log_score", "deviance", "d2", "seconds"]].assign(
        log_score=table["log_score"].map("{:.4f}".format),
        deviance=table["deviance"].map("{:.4f}".format),
        d2=table["d2"].map("{:.2%}".format),
        seconds=table["seconds"].map("{:.2f}".format),
    )
    errors = [f"{d:.4f} ({se:.4f})" for d, se in zip(table["deviance_diff"], table["deviance_se"], strict=True)]
    shown.insert(2, "to the best", errors)
    heads = {"log_score": "log score", "d2": "D2", "seconds": "fit, s"}
    return shown.rename(columns=heads)


def show(console: Any, strings: pd.DataFrame, title: str, best: str) -> None:
    """Print a comparison, the row called `best` in bold."""
    from rich.table import Table

    shown = Table(title=title, title_justify="left")
    shown.add_column("")
    for column in strings:
        shown.add_column(column, justify="right", no_wrap=True)
    for name, row in strings.iterrows():
        shown.add_row(str(name), *row, style="bold" if name == best else None)
    console.print(shown)


def report(
    data: Bunch, X: pd.DataFrame, y: pd.Series, fitted: dict[str, Any], summaries: dict[str, Any],
    table: pd.DataFrame,
) -> Document:  # fmt: skip
    """Return the page on the visits."""
    page = Document(
        "Doctor visits: a GLM, and a GLM that recurses",
        f"Yearly outpatient visits to a physician, {len(y):,} person-years. {data.source}.",
    )
    page.text(
        f"People visited a physician {y.mean():.2f} times a year on average; {np.mean(y == 0):.0%} did not go at "
        f"all, and the variance, {y.var():.1f}, is far above the mean. Nine inputs describe their insurance plan "
        "and their health. All models below have Poisson means, or are judged as if they had."
    )
    at_random = reglm.compare({TREES: models()[TREES]}, X, y, family="poisson").as_frame().loc[TREES, "d2"]
    _comparison(page, table, float(at_random))
    _models(page, summaries, fitted[GLM][-1])
    _figures(page, X, y, fitted)
    return page


def _comparison(page: Document, table: pd.DataFrame, at_random: float) -> None:
    page.heading("Which model predicts best?")
    page.text(
        "Each model was fitted to four fifths of the households and judged on the fifth left out, five times. The "
        "held-out deviance is twice the log-likelihood lost against a perfect prediction, per row; D2 is the share of "
        "the null model's that a model explains. In brackets are standard errors of the difference to the best model, "
        "row by row, households taken as independent. The log score is the mean log-probability of what was observed."
    )
    page.table(formatted(table), best=str(table["deviance"].idxmin()))
    page.text(
        f"A household is in the data for several years, so rows split at random would be judged in part on people "
        f"already seen. Gradient boosting, which can single out a household, would then seem to explain "
        f"{at_random:.1%}. There is no household number: rows alike in disea, lpi and fmde count as one household."
    )
    page.text(
        f"Null: the mean. Kernel ridge: 300 random Fourier features, squared loss, means below {FLOOR} raised to "
        f"{FLOOR}. Gradient boosting: scikit-learn's histogram trees with Poisson loss. Seconds: one fit, one core.",
        "note",
    )


def _models(page: Document, summaries: dict[str, Any], glm: Any) -> None:
    page.heading("The generalized linear model")
    page.text(
        "Without hidden layers a recursive GLM is a GLM, with the usual table. Inputs are standardised: a "
        "coefficient is the change of the log mean for one standard deviation."
    )
    page.summary(summaries[GLM])
    results = glm.inference()
    ratio = results.pearson_chi2 / results.df_resid
    page.text(
        f"Pearson's chi2 is {ratio:.1f} times its degrees of freedom: the visits vary more than a Poisson variable "
        f"would. The fitted means do not suffer, but these standard errors are too small by a factor of about "
        f"{np.sqrt(ratio):.1f}; family='quasipoisson' scales them."
    )
    page.heading("The recursive generalized linear model")
    page.text(
        "The inputs of this Poisson GLM are two GLMs of the original inputs, their inverse link the tanh, and the "
        "original inputs themselves: the GLM above, with room to bend. The penalty keeps the bending modest. The "
        "table shows that last GLM; its standard errors allow for the estimation of the hidden units."
    )
    page.summary(summaries[NETWORK])


def _figures(page: Document, X: pd.DataFrame, y: pd.Series, fitted: dict[str, Any]) -> None:
    held_out = {name: cross_val_predict(models()[name], X, y, cv=households(X)) for name in fitted}
    page.heading("Is it right on average?")
    page.figure(
        calibration_figure(held_out, y=y, response=VISITS),
        "Observed against predicted means, by tenths of the rows; each household was predicted by a fit without it. "
        "Bars are 95% intervals of the observed means, rows taken as independent. On the dashed line a model is right "
        "on average.",
        "Calibration by decile",
    )  # fmt: skip
    page.heading("What did it learn?")
    page.figure(
        effects_figure(fitted, X, tuple(INPUTS), INPUTS, VISITS),
        "Mean of the fitted values when one input has the value on the axis for everybody and the others stay as they "
        "are. Grey bars show where the data lie.",
        "Partial effects of four inputs",
    )  # fmt: skip
    page.heading("How was it fitted?")
    page.figure(
        training_figure(fitted),
        "Minus the log-likelihood with its penalty, per row and up to a constant, as the solver lowers it.",
        "Training curves",
    )
