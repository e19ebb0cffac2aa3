"""Relativities: exp(beta) of refits with another reference, and ratios of averages by hand."""

import numpy as np
import pandas as pd
import pytest
from network_cases import differences

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor

N = 200
RNG = np.random.default_rng(10)
CODES = RNG.choice(4, N, p=[0.1, 0.3, 0.4, 0.2])
FRAME = pd.DataFrame({"x": RNG.normal(size=N), "g": np.array(list("abcd"))[CODES], "e": RNG.uniform(0.2, 1.0, N)})
FRAME["h"] = pd.Categorical(np.where(RNG.random(N) < 0.5, "u", "v"))
COUNTS = RNG.poisson(FRAME["e"] * np.exp(0.2 * CODES + 0.3 * FRAME["x"])).astype(float)
BINARY = (RNG.random(N) < 1 / (1 + np.exp(1 - 0.5 * CODES))).astype(int)


def based(level):
    """The frame with another level of g as the reference of the model."""
    order = [level, *(other for other in "abcd" if other != level)]
    return FRAME.assign(g=pd.Categorical(FRAME["g"], order))


@pytest.fixture(scope="module")
def glm():
    return RecursiveGLMRegressor(family="poisson", exposure="e").fit(based("a"), COUNTS).inference()


def test_they_are_exp_beta_of_a_model_with_that_reference(glm):
    largest = FRAME["e"].groupby(FRAME["g"]).sum().idxmax()
    other = RecursiveGLMRegressor(family="poisson", exposure="e").fit(based(largest), COUNTS).inference()
    found = glm.relativities(based("a")).as_frame(0.1).loc["g"]
    ends = other.conf_int(0.1)
    for level in "abcd":
        if level == largest:
            assert found.loc[level, ["relativity", "std err", "low", "high"]].tolist() == pytest.approx([1, 0, 1, 1])
            continue
        name = f"g[{level}]"
        assert found.loc[level, "relativity"] == pytest.approx(np.exp(other.params[name]), rel=1e-7)
        assert found.loc[level, "std err"] == pytest.approx(other.bse[name], rel=1e-7)
        np.testing.assert_allclose(found.loc[level, ["low", "high"]].astype(float), np.exp(ends.loc[name]), rtol=1e-7)
    shares = FRAME["e"].groupby(FRAME["g"]).sum() / FRAME["e"].sum()
    np.testing.assert_allclose(found["exposure"], shares[found.index], rtol=1e-12)


def test_training_rows_and_named_exposure_give_the_same(glm):
    expected = glm.relativities(based("a")).as_frame()
    for other in (glm.relativities(), glm.relativities(based("a"), exposure="e")):
        pd.testing.assert_frame_equal(other.as_frame(), expected, rtol=1e-9, check_exact=False)
    assert glm.relativities(columns=["h"]).as_frame().index.tolist() == [("h", "u"), ("h", "v")]
    assert f"largest exposure: g[{expected.loc['g']['exposure'].idxmax()}], h[" in str(glm.relativities())


def test_odds_ratios_of_a_logistic_regression():
    frame = FRAME[["x", "g"]]
    inference = RecursiveGLMClassifier().fit(frame, BINARY).inference()
    found = inference.relativities(frame).as_frame().loc["g"]
    b = inference.params.reindex([f"g[{level}]" for level in "abcd"]).fillna(0.0).to_numpy()
    largest = np.argmax(found["exposure"].reindex(list("abcd")))
    np.testing.assert_allclose(found["odds ratio"].reindex(list("abcd")), np.exp(b - b[largest]), rtol=1e-7)


@pytest.mark.parametrize("family", ["poisson", "bernoulli"])
def test_networks_have_ratios_of_averages(family):
    frame, y = FRAME[["x", "g"]], COUNTS if family == "poisson" else BINARY
    model = RecursiveGLMRegressor((2,), family=family, alpha=0.5, random_state=0).fit(frame, y)
    inference = model.inference()
    rows = frame.iloc[:50]
    found = inference.relativities(rows).effects["g"]
    base = found.grid["level"][int(np.argmax(found.grid["exposure"]))]

    def value(theta):
        def mean(level):
            eta = model.fit_.likelihood.eta(theta, inference.reader.rows(rows.assign(g=level))[0])
            return np.exp(eta).mean() if family == "poisson" else (1 / (1 + np.exp(-eta))).mean()

        averages = np.array([mean(level) for level in found.grid["level"]])
        measure = averages if family == "poisson" else averages / (1 - averages)
        return np.log(measure / measure[found.grid["level"].index(base)])

    np.testing.assert_allclose(found.value, value(model.fit_.theta), rtol=1e-9, atol=1e-12)
    G = differences(value, model.fit_.theta)
    np.testing.assert_allclose(found.covariance, G @ inference.cov_theta() @ G.T, rtol=1e-4, atol=1e-9)


def test_trials_are_exposure():
    trials = RNG.integers(1, 9, N)
    wins = RNG.binomial(trials, 0.4)
    model = RecursiveGLMRegressor(family="binomial").fit(FRAME[["g"]], np.column_stack([wins, trials - wins]))
    found = model.inference().relativities().as_frame().loc["g"]["exposure"]
    expected = pd.Series(trials).groupby(FRAME["g"]).sum() / trials.sum()
    np.testing.assert_allclose(found, expected[found.index], rtol=1e-12)


def test_what_cannot_be_asked_for(glm):
    with pytest.raises(ValueError, match=r"\['x'\] are numeric inputs"):
        glm.relativities(based("a"), ["x"])
    with pytest.raises(ValueError, match="need a log or logit link"):
        RecursiveGLMRegressor().fit(FRAME, COUNTS).inference().relativities(FRAME)
    with pytest.raises(ValueError, match="no categorical input to show"):
        RecursiveGLMRegressor(family="poisson").fit(FRAME[["x"]], COUNTS).inference().relativities()
