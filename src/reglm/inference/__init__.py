"""Inference from a fitted recursive GLM: covariances, results, summaries."""

from reglm.inference.covariance import Covariance, covariance
from reglm.inference.results import Results, infer
from reglm.inference.tables import Summary

__all__ = ["Covariance", "Results", "Summary", "covariance", "infer"]
