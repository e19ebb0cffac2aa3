"""Layers from which recursive GLMs are composed."""

from reglm.layers.base import Layer, from_config, inner_layers
from reglm.layers.composite import Parallel, Residual, Sequential
from reglm.layers.inputs import Embedding, Periodic, PiecewiseLinear, Select, Spline
from reglm.layers.ordered import Ordered
from reglm.layers.recurrent import Last, Recurrent
from reglm.layers.scope import Batch, PackedRows, Scope, SparseRows, Tap, Trace
from reglm.layers.tied import Corrupt, Tied
from reglm.layers.units import RBF, Activation, BatchNorm, Dense, Dropout

__all__ = [
    "RBF",
    "Activation",
    "Batch",
    "BatchNorm",
    "Corrupt",
    "Dense",
    "Dropout",
    "Embedding",
    "Last",
    "Layer",
    "Ordered",
    "PackedRows",
    "Parallel",
    "Periodic",
    "PiecewiseLinear",
    "Recurrent",
    "Residual",
    "Scope",
    "Select",
    "Sequential",
    "SparseRows",
    "Spline",
    "Tap",
    "Tied",
    "Trace",
    "from_config",
    "inner_layers",
]
