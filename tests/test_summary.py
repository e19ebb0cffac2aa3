"""The printed summary: what it says, how it is laid out, and that names cannot break it."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor, datasets, layers, network
from reglm.inference import results, summary
from reglm.inference.describe import network_name, restarts_at_best
from reglm.record import Restart

RNG = np.random.default_rng(5)
X = pd.DataFrame(RNG.normal(size=(120, 2)), columns=["age", "<b>size</b>"])
Y = RNG.poisson(np.exp(0.3 + 1.2 * np.tanh(X["age"] - 0.5)))

SCOTLAND = """\
                       Generalized Linear Model Results
==============================================================================
Dep. Variable:                     YES  No. Observations:                   32
Model Family:                    gamma  Parameters:                          8
Link Function:                     log  Df Residuals:                       24
Network:                           7-1  Log-Likelihood:               -83.1096
Solver:                           irls  AIC:                           182.219
Iterations:                          #  BIC:                           193.945
Converged:                         yes  Deviance:                    0.0879878
Covariance Type:              expected  Pearson chi2:                0.0862241
                                        D2:                             0.8359
                                        Dispersion:       0.00359267 (Pearson)
==============================================================================
                      coef    std err          z      P>|z|    [0.025   0.975]
"""


@pytest.fixture(scope="module")
def glm():
    return RecursiveGLMRegressor(family="poisson").fit(X, Y)


def header(text):
    """Names and values of the two columns above the table."""
    block = text.split("=" * 78 + "\n")[1]
    pairs = re.findall(r"([A-Z][\w .\-]*?[\w2]): +(.+?)(?:  |$)", block, flags=re.MULTILINE)
    return {name: value.strip() for name, value in pairs}


def test_summary_of_a_glm_reads_like_statsmodels(glm):
    text = glm.summary().as_text()
    assert str(glm.summary()) == text
    found = header(text)
    assert found["Model Family"] == "poisson"
    assert found["Link Function"] == "log"
    assert found["Network"] == "2-1"
    assert found["Solver"] == "irls"
    assert found["Converged"] == "yes"
    assert found["No. Observations"] == "120"
    assert found["Parameters"] == "3"
    assert found["Df Residuals"] == "117"
    assert found["Covariance Type"] == "expected"
    assert found["Dispersion"] == "1 (fixed)"
    fit = glm.fit_
    for name, value in {
        "Log-Likelihood": fit.log_likelihood, "Deviance": fit.deviance, "AIC": 6 - 2 * fit.log_likelihood,
        "BIC": 3 * np.log(120) - 2 * fit.log_likelihood, "D2": 1 - fit.deviance / fit.null_deviance,
    }.items():  # fmt: skip
        assert float(found[name]) == pytest.approx(value, rel=1e-3), name
    assert all(len(line) <= 78 for line in text.splitlines())
    assert "Notes" not in text


def test_table_of_coefficients(glm):
    found, frame = glm.inference(), glm.summary(alpha=0.1).as_frame()
    assert list(frame.columns) == ["coef", "std err", "z", "P>|z|", "[0.05", "0.95]"]
    assert list(frame.index) == ["Intercept", "age", "<b>size</b>"]
    np.testing.assert_array_equal(frame["std err"], found.bse)
    np.testing.assert_array_equal(frame.iloc[:, 4:], found.conf_int(0.1))
    row = next(line for line in glm.summary().as_text().splitlines() if line.startswith("age"))
    np.testing.assert_allclose([float(v) for v in row.split()[1:4]], frame.loc["age"].iloc[:3], atol=6e-4)


def test_html_escapes_names(glm):
    html = glm.summary()._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;size&lt;/b&gt;" in html
    assert html.count("<table") == html.count("</table>") == 2
    assert html.count("<tr>") == html.count("</tr>")
    assert html.count("<td") == html.count("</td>")
    tables = pd.read_html(__import__("io").StringIO(html), flavor="lxml") if _has_lxml() else None
    if tables:
        assert tables[1].shape == (3, 7)


def _has_lxml():
    import importlib.util

    return importlib.util.find_spec("lxml") is not None


def test_summary_of_a_network(glm):
    model = RecursiveGLMRegressor((1,), family="poisson", n_init=4, random_state=0).fit(X, Y)
    found = model.summary()
    pairs = header(found.as_text())
    assert found.title == "Recursive Generalized Linear Model Results"
    assert pairs["Network"] == "2-1-1 tanh"
    assert re.fullmatch(r"[1-4] of 4", pairs["Restarts at best"])
    assert pairs["Covariance Type"] == "observed"
    assert list(found.as_frame().index) == ["Intercept", "hidden1[1]"]
    assert any("allow for all parameters" in note for note in found.notes)


def test_restarts_are_counted_in_units_of_log_likelihood(glm):
    objectives = [10.0, 10.004, 10.02, np.nan, 11.0]
    fit = replace(glm.fit_, objective=10.0, restarts=[Restart(v, True, 1) for v in objectives])
    assert restarts_at_best(fit) == 2
    assert restarts_at_best(replace(fit, dispersion=5.0)) == 3
    assert "2 of 5" in summary(fit).as_text()


@pytest.mark.parametrize(
    ("net", "name"),
    [
        (network.multilayer((), (), 2, 1), "2-1"),
        (network.multilayer((4, 3), ("relu", "tanh"), 2, 1), "2-4-3-1 relu, tanh"),
        (network.multilayer((4, 3), ("tanh", "tanh"), 2, 3, skip=True), "2-4-3-3 tanh + skip"),
        (network.multilayer((4,), ("tanh",), 2, 1, dropout=0.1), "2-4-1 tanh"),
        (network.compose([layers.Spline(), layers.Dense(3, "relu")], 2, 1), "2-Spline-3-1 relu"),
    ],
)
def test_networks_are_named_by_their_widths(net, name):
    assert network_name(net) == name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"family": "gaussian"}, "maximum-likelihood dispersion RSS / n"),
        ({"family": "gamma"}, "at the Pearson dispersion"),
        ({"family": "gamma", "dispersion": "deviance"}, "at the deviance dispersion"),
        ({"family": "gamma", "dispersion": "ml"}, "at the ML dispersion"),
        ({"family": "quasipoisson"}, "no log-likelihood, AIC or BIC"),
        (
            {"family": "poisson", "alpha": 2.5},
            "L2 penalty alpha = 2.5 on 2 of 3 parameters, for the columns of X as given",
        ),
        ({"family": "poisson", "l1": 0.5}, "L1 penalty = 0.5"),
        ({"family": "poisson", "l1": 0.5}, "No standard errors: the L1 penalty"),
        ({"family": "poisson", "freq_weights": True}, "Weights are repetitions"),
        ({"family": "poisson", "solver": "lbfgs", "max_iter": 2}, "NOT CONVERGED"),
        ({"family": "poisson", "hidden": (2,), "solver": "adam", "max_iter": 2}, "intercept was refitted at the end"),
        ({"family": "poisson", "hidden": (2,), "solver": "adam", "max_iter": 2}, "No standard errors: adam was not"),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_notes_say_what_a_reader_should_know(options, said):
    model = RecursiveGLMRegressor(random_state=0, **options).fit(X, Y + (options["family"] == "gamma"))
    assert said in " ".join(model.summary().notes)
    assert said.split()[0] in model.summary().as_text()


def test_l1_fits_show_coefficients_alone():
    model = RecursiveGLMRegressor(family="poisson", l1=0.5).fit(X, Y)
    frame = model.summary().as_frame()
    assert list(frame.columns) == ["coef"]
    np.testing.assert_array_equal(frame["coef"].iloc[1:], model.coef_)


def test_quasi_families_have_no_likelihood_but_standard_errors():
    model = RecursiveGLMRegressor(family="quasipoisson").fit(X, Y)
    found = header(model.summary().as_text())
    assert found["Log-Likelihood"] == found["AIC"] == "nan"
    plain = RecursiveGLMRegressor(family="poisson").fit(X, Y).inference().bse
    np.testing.assert_allclose(model.inference().bse, plain * np.sqrt(model.dispersion_), rtol=1e-8)


def test_several_linear_predictors_and_long_names():
    wide = X.rename(columns={"age": "a name that is a good deal longer than most others are"})
    model = RecursiveGLMClassifier().fit(wide, np.array(["low", "mid", "high"])[np.minimum(Y, 2)])
    text = model.summary().as_text()
    rows = [line for line in text.splitlines() if line.startswith(("low: ", "mid: "))]
    assert len(rows) == 6
    assert len({len(line) for line in rows}) == 1  # columns stay aligned


def test_aliased_coefficients_are_printed_as_nan():
    model = RecursiveGLMRegressor(family="poisson").fit(X.assign(again=X["age"]), Y)
    text = model.summary().as_text()
    assert re.search(r"again +nan +nan +nan +nan +nan +nan", text)
    assert "rank 3 of 4" in text
    assert header(text)["Parameters"] == "3"


def test_scotland_in_full():
    data = datasets.load_scotland()
    model = RecursiveGLMRegressor(family="gamma").fit(data.data, data.target)
    fit = replace(model.fit_, output_names=["YES"])
    text = re.sub(r"(Iterations: +) \d+", r"\1 #", summary(fit).as_text())
    for line in SCOTLAND.splitlines()[:12]:
        assert line in text
    assert "[1] Log-likelihood, AIC and BIC are taken at the Pearson dispersion." in text


def test_titles_and_reprs(glm):
    assert summary(glm.fit_, title="Claims").as_text().splitlines()[0].strip() == "Claims"
    assert repr(results(glm.fit_)).startswith("<Results: poisson, 3 parameters, deviance")
    assert repr(glm.summary()) == glm.summary().as_text()
