"""The package's own PyTensor Ops: the affine map, activations, and gathers.

Every Op has a NumPy form (what the interpreter runs), a Numba and a JAX form, and a gradient made of the
same Ops.
"""

from reglm.ops.affine import affine, affine_inputs, affine_weights
from reglm.ops.beside import beside
from reglm.ops.gather import lookup, table_rows, take
from reglm.ops.memory import keep_freed_memory
from reglm.ops.registration import register_on_demand
from reglm.ops.scalar import (
    erf,
    exp,
    expm1,
    gelu,
    inverse_mills,
    log1mexp,
    log1p,
    log_ndtr,
    ndtr,
    sigmoid,
    softplus,
    tanh,
)
from reglm.ops.sparse import sparse_affine
from reglm.ops.triangle import triangle

__all__ = [
    "affine",
    "affine_inputs",
    "affine_weights",
    "beside",
    "erf",
    "exp",
    "expm1",
    "gelu",
    "inverse_mills",
    "log1mexp",
    "log1p",
    "log_ndtr",
    "lookup",
    "ndtr",
    "sigmoid",
    "softplus",
    "sparse_affine",
    "table_rows",
    "take",
    "tanh",
    "triangle",
]

register_on_demand()
keep_freed_memory()
