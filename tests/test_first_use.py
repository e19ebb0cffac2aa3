"""The tiers of ``backend="auto"``: interpreted first, compiled when that has paid, by a count and never by a clock."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from reglm import RecursiveGLMRegressor, compiling
from reglm.compiling import count_compilations

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(1)
X = RNG.normal(size=(80, 3))
Y = RNG.poisson(np.exp(0.4 * X[:, 0])).astype(float)
OPTIONS = {"hidden": (3,), "family": "poisson", "solver": "lbfgs", "alpha": 0.1, "max_iter": 40, "random_state": 0}


def fit():
    return RecursiveGLMRegressor(**OPTIONS).fit(X, Y)


def test_a_small_first_fit_is_interpreted():
    compiling.clear()
    with count_compilations() as counted:
        fit()
    assert counted == {"python": 1, "numba": 0, "c": 0, "jax": 0}


def test_work_that_pays_is_compiled(monkeypatch):
    monkeypatch.setattr(compiling, "COMPILATION_OPERATIONS", 1_000_000)
    compiling.clear()
    with count_compilations() as counted:
        fit()
    assert counted["numba"] == 1


def test_the_switch_comes_at_the_same_call_each_time(monkeypatch):
    monkeypatch.setattr(compiling, "COMPILATION_OPERATIONS", 3_000_000)
    tiers: list[list[str]] = []
    real = compiling.Program.run

    def recorded(self, tier, arguments):
        tiers[-1].append(tier)
        return real(self, tier, arguments)

    monkeypatch.setattr(compiling.Program, "run", recorded)
    thetas = []
    for forget in (True, False, True):  # a program compiled by an earlier fit must not change the bits of a later one
        if forget:
            compiling.clear()
        tiers.append([])
        thetas.append(fit().fit_.theta)
    assert tiers[0] == tiers[1] == tiers[2]
    assert {"python", "numba"} == set(tiers[0])
    assert tiers[0] == sorted(tiers[0], reverse=True)  # python, then numba, and never back
    np.testing.assert_array_equal(thetas[0], thetas[1])
    np.testing.assert_array_equal(thetas[0], thetas[2])


def test_the_tiers_agree(monkeypatch):
    interpreted = fit()
    monkeypatch.setattr(compiling, "COMPILATION_OPERATIONS", 0)
    compiled = fit()
    np.testing.assert_allclose(compiled.predict(X), interpreted.predict(X), rtol=1e-6)


def test_a_first_glm_loads_no_compiler():
    code = (
        "import sys, numpy as np; from reglm import RecursiveGLMRegressor\n"
        "X = np.arange(20.0).reshape(10, 2) % 7; y = np.arange(10.0) % 3\n"
        "RecursiveGLMRegressor(family='poisson').fit(X, y).predict(X)\n"
        "print([m for m in ('jax', 'torch', 'pymc', 'matplotlib', 'statsmodels.api') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stdout
