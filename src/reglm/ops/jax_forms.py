"""JAX forms of all Ops. Importing this module imports JAX and registers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from pytensor.link.jax.dispatch.basic import jax_funcify

import reglm.ops.kalman_jax  # noqa: F401  (imported for its registrations)
from reglm.ops import jax_chains, jax_density, scalar  # noqa: F401  (the first two for their registrations)
from reglm.ops.affine import Affine, AffineInputs, AffineWeights
from reglm.ops.beside import Apart, Beside
from reglm.ops.coefficients import LOG_SQRT_TWO_PI, MILLS, ONE_OVER_SQRT_TWO_PI
from reglm.ops.gather import Lookup, LookupGradient, TableRows, Take, TakeGradient
from reglm.ops.recurrence import jax_kernels  # noqa: F401  (imported for its registrations)
from reglm.ops.sparse import SparseAffine, SparseAffineWeights
from reglm.ops.triangle import Triangle, TriangleEntries, order


def _mills(t):
    # JAX has no erfcx, and its log_ndtr keeps four digits in float32.
    return jnp.polyval(jnp.asarray(MILLS[::-1], t.dtype), (t - 5) / (t + 5)) / (1 + t)


def _density(x):
    return ONE_OVER_SQRT_TWO_PI * jnp.exp(-0.5 * x * x)


# In both pieces the argument that is not theirs is replaced: `where` differentiates the piece it does not choose, and
# JAX's samplers differentiate these forms themselves.


def _sides(x):
    left = x < 0
    return left, jnp.where(left, jnp.minimum(-x, 1e18), 0), jnp.where(left, 0, jnp.minimum(x, 1e18))


def _log_ndtr(x):
    left, below, above = _sides(x)
    lower = jnp.log(_mills(below)) - 0.5 * jnp.where(left, x, 0) ** 2 - LOG_SQRT_TWO_PI
    return jnp.where(left, lower, jnp.log1p(-_density(above) * _mills(above)))


def _inverse_mills(x):
    left, below, above = _sides(x)
    upper = _density(above) / (1 - _density(above) * _mills(above))
    return jnp.where(x < -1e9, -x, jnp.where(left, 1 / _mills(below), upper))


def _log1mexp(x):
    small = x < 0.6931471805599453
    near, far = jnp.where(small, x, 1), jnp.where(small, 1, x)
    return jnp.where(small, jnp.log(-jnp.expm1(-near)), jnp.log1p(-jnp.exp(-far)))


FORMS: dict[type, Callable] = {
    scalar.Exp: jnp.exp,
    scalar.Expm1: jnp.expm1,
    scalar.Log1p: jnp.log1p,
    scalar.Tanh: jnp.tanh,
    scalar.Sigmoid: jax.nn.sigmoid,
    scalar.Softplus: jax.nn.softplus,
    scalar.Erf: jax.scipy.special.erf,
    scalar.Ndtr: jax.scipy.special.ndtr,
    scalar.LogNdtr: _log_ndtr,
    scalar.InverseMills: _inverse_mills,
    scalar.Gelu: lambda x: jnp.maximum(x, -40) * jax.scipy.special.ndtr(x),
    scalar.Log1mexp: _log1mexp,
}


def _register(op_type: type, form: Callable) -> None:
    @jax_funcify.register(op_type)
    def funcify(op: Any, node: Any = None, **kwargs: Any) -> Callable:
        return form


for _op_type, _form in FORMS.items():
    _register(_op_type, _form)


@jax_funcify.register(Affine)
def _affine(op: Affine, node: Any = None, **kwargs: Any) -> Callable:
    return (lambda h, W, b: h @ W + b) if op.bias else (lambda h, W: h @ W)


@jax_funcify.register(AffineInputs)
def _affine_inputs(op: AffineInputs, node: Any = None, **kwargs: Any) -> Callable:
    return lambda d, W: d @ W.T


@jax_funcify.register(AffineWeights)
def _affine_weights(op: AffineWeights, node: Any = None, **kwargs: Any) -> Callable:
    return (lambda h, d: (h.T @ d, d.sum(axis=0))) if op.bias else (lambda h, d: h.T @ d)


def _row_numbers(indptr, nnz):
    return jnp.repeat(jnp.arange(indptr.shape[0] - 1), jnp.diff(indptr), total_repeat_length=nnz)


@jax_funcify.register(SparseAffine)
def _sparse_affine(op: SparseAffine, node: Any = None, **kwargs: Any) -> Callable:
    def product(data, indices, indptr, W):
        rows = _row_numbers(indptr, data.shape[0])
        out = jnp.zeros((indptr.shape[0] - 1, W.shape[1]), W.dtype)
        return out.at[rows].add(data[:, None] * W[indices])

    return (lambda data, indices, indptr, W, b: product(data, indices, indptr, W) + b) if op.bias else product


@jax_funcify.register(SparseAffineWeights)
def _sparse_affine_weights(op: SparseAffineWeights, node: Any = None, **kwargs: Any) -> Callable:
    def product(data, indices, indptr, d, p):
        rows = _row_numbers(indptr, data.shape[0])
        out = jnp.zeros((int(p), d.shape[1]), d.dtype)
        return out.at[indices].add(data[:, None] * d[rows])

    def with_sums(data, indices, indptr, d, p):
        return product(data, indices, indptr, d, p), d.sum(axis=0)

    return with_sums if op.bias else product


@jax_funcify.register(Take)
def _take(op: Take, node: Any = None, **kwargs: Any) -> Callable:
    return lambda X, columns: X[:, columns]


@jax_funcify.register(TakeGradient)
def _take_gradient(op: TakeGradient, node: Any = None, **kwargs: Any) -> Callable:
    return lambda d, columns, p: jnp.zeros((d.shape[0], int(p)), d.dtype).at[:, columns].add(d)


@jax_funcify.register(TableRows)
def _table_rows(op: TableRows, node: Any = None, **kwargs: Any) -> Callable:
    def table_rows(levels, first, counts):
        codes = levels.astype("int64")
        return jnp.where((codes >= 0) & (codes < counts), codes + first, -1)

    return table_rows


@jax_funcify.register(Lookup)
def _lookup(op: Lookup, node: Any = None, **kwargs: Any) -> Callable:
    def lookup(codes, table):
        rows = jnp.where((codes >= 0)[..., None], table[jnp.maximum(codes, 0)], 0)
        return rows.sum(axis=1) if op.pool else rows.reshape(codes.shape[0], -1)

    return lookup


@jax_funcify.register(LookupGradient)
def _lookup_gradient(op: LookupGradient, node: Any = None, **kwargs: Any) -> Callable:
    def lookup_gradient(codes, gradient, table):
        blocks = gradient[:, None, :] if op.pool else gradient.reshape(*codes.shape, -1)
        blocks = jnp.where((codes >= 0)[..., None], blocks, 0)
        return jnp.zeros(table.shape, gradient.dtype).at[jnp.maximum(codes, 0)].add(blocks)

    return lookup_gradient


@jax_funcify.register(Beside)
def _beside(op: Beside, node: Any = None, **kwargs: Any) -> Callable:
    return lambda left, right: jnp.concatenate([left, right], axis=1)


@jax_funcify.register(Apart)
def _apart(op: Apart, node: Any = None, **kwargs: Any) -> Callable:
    return lambda d, left, right: (d[:, : left.shape[1]], d[:, left.shape[1] :])


@jax_funcify.register(Triangle)
def _triangle(op: Triangle, node: Any = None, **kwargs: Any) -> Callable:
    def triangle(entries: Any) -> Any:
        m = order(entries.shape[0])
        return jnp.zeros((m, m), entries.dtype).at[jnp.triu_indices(m, 1)].set(entries)

    return triangle


@jax_funcify.register(TriangleEntries)
def _triangle_entries(op: TriangleEntries, node: Any = None, **kwargs: Any) -> Callable:
    return lambda W: W[jnp.triu_indices(W.shape[0], 1)]
