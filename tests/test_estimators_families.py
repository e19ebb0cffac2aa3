"""Every family of the registry through the estimator: fitted, asked for means and scores, with an offset."""

from __future__ import annotations

import numpy as np
import pytest

from reglm import RecursiveGLMRegressor, families

N = 80
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 2))
OFFSET = RNG.uniform(-0.1, 0.1, N)
MEAN = np.exp(0.3 * X[:, 0])
SUCCESSES = RNG.binomial(5, 0.4, N)
TRIALS = np.column_stack([SUCCESSES, 5 - SUCCESSES]).astype(float)
CLASSES = np.eye(3)[RNG.integers(3, size=N)]
COUNTS = RNG.poisson(MEAN).astype(float)

RESPONSES = {
    "gaussian": MEAN + RNG.normal(size=N),
    "bernoulli": (RNG.random(N) < 0.5).astype(float),
    "binomial": TRIALS,
    "quasibinomial": TRIALS,
    "poisson": COUNTS,
    "quasipoisson": COUNTS,
    "negative_binomial": RNG.negative_binomial(2, 2 / (2 + MEAN)).astype(float),
    "gamma": RNG.gamma(3.0, MEAN / 3.0),
    "inverse_gaussian": RNG.wald(MEAN, 3.0),
    "tweedie": np.where(RNG.random(N) < 0.3, 0.0, RNG.gamma(3.0, MEAN / 3.0)),
    "beta": RNG.beta(2.0, 3.0, N),
    "student_t": MEAN + RNG.standard_t(4, N),
    "tobit": np.maximum(MEAN - 1.0 + RNG.normal(size=N), 0.0),
    "multinomial": CLASSES,
    "ordinal": CLASSES,
    "columns": np.column_stack([MEAN + RNG.normal(size=N), COUNTS]),
}


@pytest.mark.parametrize("options", [{}, {"hidden": (2,), "alpha": 0.5, "random_state": 0}], ids=["glm", "network"])
@pytest.mark.parametrize("family", sorted(families.REGISTRY))
def test_every_family_fits(family, options):
    y = RESPONSES[family]
    model = RecursiveGLMRegressor(family=family, **options).fit(X, y, offset=OFFSET)
    assert model.converged_
    mu = model.predict(X, offset=OFFSET)
    assert len(mu) == N
    assert np.isfinite(mu).all()
    assert -0.05 < model.score(X, y, offset=OFFSET) < 1.0
    assert model.score(X, y, offset=OFFSET, sample_weight=np.full(N, 2.0)) == pytest.approx(
        model.score(X, y, offset=OFFSET), abs=1e-8
    )
    if families.get(family).likelihood:
        total = model.logpdf(X, y, offset=OFFSET).sum()
        assert np.isfinite(total)
        if family != "gaussian":  # whose log-likelihood is quoted at RSS / n, not at the estimated dispersion
            assert total == pytest.approx(model.fit_.log_likelihood, rel=1e-8)


@pytest.mark.parametrize("family", ["negative_binomial", "student_t"])
def test_null_deviance_is_taken_at_the_estimated_shape(family):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    y = {
        "negative_binomial": rng.negative_binomial(0.3, 0.3 / (0.3 + np.exp(X[:, 0]))).astype(float),
        "student_t": X[:, 0] + rng.standard_t(4, size=400),
    }[family]
    model = RecursiveGLMRegressor(family=family).fit(X, y)
    d2 = 1.0 - model.fit_.deviance / model.fit_.null_deviance
    assert 0.0 < d2 < 1.0
    assert d2 == pytest.approx(model.score(X, y), abs=1e-8)
