"""Inference from a fitted recursive GLM: results, and what their methods return."""

from reglm.inference.bands import Effect
from reglm.inference.bootstrap import Bootstrap
from reglm.inference.conformal import Conformal
from reglm.inference.contrasts import Contrasts, WaldOutcome
from reglm.inference.covariances import covariance
from reglm.inference.identifiability import Identifiability
from reglm.inference.influence import Influence
from reglm.inference.marginal import MarginalEffects
from reglm.inference.prediction import Prediction
from reglm.inference.regions import LabelSets, PredictionInterval
from reglm.inference.relativities import Relativities
from reglm.inference.results import Results, results, summary
from reglm.inference.tables import Summary
from reglm.inference.test_result import TestOutcome

__all__ = [
    "Bootstrap",
    "Conformal",
    "Contrasts",
    "Effect",
    "Identifiability",
    "Influence",
    "LabelSets",
    "MarginalEffects",
    "Prediction",
    "PredictionInterval",
    "Relativities",
    "Results",
    "Summary",
    "TestOutcome",
    "WaldOutcome",
    "covariance",
    "results",
    "summary",
]
