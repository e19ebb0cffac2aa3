"""scikit-learn's own contract; sequence models alone are excused from what denies rows their order."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from reglm import (
    ArchitectureSearch,
    Autoencoder,
    DeepBeliefNetwork,
    EchoStateNetwork,
    HiddenMarkovModel,
    LinearGaussianSSM,
    RecurrentGLM,
    RecursiveGLMClassifier,
    RecursiveGLMRegressor,
    RestrictedBoltzmannMachine,
)

# Several checks fit unpenalised models to fewer rows than columns, or to classes that a column tells apart: warnings
# that say so are right there, and so is the one about a column vector, which a check asks for.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
]


ESTIMATORS = [RecursiveGLMRegressor(), RecursiveGLMClassifier()]
SEARCHES = [ArchitectureSearch(estimator, [()]) for estimator in ESTIMATORS]
ENERGIES = [RestrictedBoltzmannMachine(5), DeepBeliefNetwork((4, 3), max_iter=3), Autoencoder(2)]
SEQUENCES = [
    EchoStateNetwork(n_units=10, alphas=5, random_state=0),
    LinearGaussianSSM(max_iter=3),
    RecurrentGLM("elman", 2, max_iter=20),
    RecurrentGLM("elman", 2, "multinomial", max_iter=20),
    HiddenMarkovModel(max_iter=20, random_state=0),
]

ORDER = "what a row says depends on the rows before it"
NEIGHBOURS = "a row of weight zero is not observed, but takes its place; a row left out makes its neighbours meet"
FAILS = {
    "check_methods_sample_order_invariance": ORDER,
    "check_methods_subset_invariance": ORDER,
    "check_sample_weight_equivalence_on_dense_data": NEIGHBOURS,
    "check_sample_weight_equivalence_on_sparse_data": NEIGHBOURS,
}


def excused(estimator):
    return FAILS if type(estimator) in map(type, SEQUENCES) else {}


@parametrize_with_checks([*ESTIMATORS, *SEARCHES, *ENERGIES, *SEQUENCES], expected_failed_checks=excused)
def test_estimator_keeps_the_contract(estimator, check):
    check(estimator)
