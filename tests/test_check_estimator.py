"""scikit-learn's own contract, with no expected failures."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor

# Several checks fit unpenalised models to fewer rows than columns, or to classes that a column tells apart: warnings
# that say so are right there, and so is the one about a column vector, which a check asks for.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
]


@parametrize_with_checks([RecursiveGLMRegressor(), RecursiveGLMClassifier()])
def test_estimator_keeps_the_contract(estimator, check):
    check(estimator)
