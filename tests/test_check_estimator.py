"""scikit-learn's own contract, with no expected failures."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from reglm import ArchitectureSearch, RecursiveGLMClassifier, RecursiveGLMRegressor

# Several checks fit unpenalised models to fewer rows than columns, or to classes that a column tells apart: warnings
# that say so are right there, and so is the one about a column vector, which a check asks for.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
]


ESTIMATORS = [RecursiveGLMRegressor(), RecursiveGLMClassifier()]
SEARCHES = [ArchitectureSearch(estimator, [()]) for estimator in ESTIMATORS]


@parametrize_with_checks([*ESTIMATORS, *SEARCHES])
def test_estimator_keeps_the_contract(estimator, check):
    check(estimator)
