"""Densities of rows given the state of a hidden Markov model."""

from reglm.statespace.emissions.base import Emission, Parameters, Rows
from reglm.statespace.emissions.counts import Counts
from reglm.statespace.emissions.gaussian import COVARIANCES, Gaussian
from reglm.statespace.emissions.mixture import Mixture
from reglm.statespace.emissions.product import Product
from reglm.statespace.emissions.regression import Regression

__all__ = ["COVARIANCES", "Counts", "Emission", "Gaussian", "Mixture", "Parameters", "Product", "Regression", "Rows"]
