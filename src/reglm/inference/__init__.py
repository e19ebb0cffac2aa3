"""Inference from a fitted recursive GLM: covariances, results, summaries."""

from reglm.inference.bands import Effect
from reglm.inference.bootstrap import Bootstrap
from reglm.inference.conformal import Conformal
from reglm.inference.covariances import covariance
from reglm.inference.marginal import MarginalEffects
from reglm.inference.prediction import Prediction
from reglm.inference.regions import LabelSets, PredictionInterval
from reglm.inference.relativities import Relativities
from reglm.inference.results import Results, results, summary
from reglm.inference.tables import Summary

__all__ = [
    "Bootstrap",
    "Conformal",
    "Effect",
    "LabelSets",
    "MarginalEffects",
    "Prediction",
    "PredictionInterval",
    "Relativities",
    "Results",
    "Summary",
    "covariance",
    "results",
    "summary",
]
