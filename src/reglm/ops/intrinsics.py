"""A few machine-level operations that Numba has no words for, each some lines of LLVM code.

They work on float64 and float32 alike, and vectorise: floating point by fused multiply-adds, integers by
additions and shifts of the float's own bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

# Rounding to an integer: adding 1.5 * 2^mantissa pushes the fraction out, and leaves the integer in the low bits.
LAYOUT = {types.float64: (ir.DoubleType(), 64, 52, 1023), types.float32: (ir.FloatType(), 32, 23, 127)}


def _integer_trick(mantissa: int) -> float:
    return 1.5 * 2.0**mantissa


def polynomial(coefficients: Sequence[float]) -> Callable:
    """Make a function that evaluates ``c[0] + c[1] x + c[2] x^2 + ...`` by Horner's rule.

    The chain is emitted whole: written in Python it would cost Numba a type inference for each step.
    """

    @intrinsic
    def horner(typingctx: Any, x: types.Float) -> tuple:
        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: list) -> ir.Value:
            kind = LAYOUT[x][0]
            value = kind(coefficients[-1])
            for c in reversed(coefficients[:-1]):
                product = builder.fmul(value, args[0], flags=("contract",))
                value = builder.fadd(product, kind(c), flags=("contract",))
            return value

        return x(x), codegen

    return horner


@intrinsic
def nearest_integer(typingctx: Any, x: types.Float) -> tuple:
    """Round to an integer; |x| must be below 2^50 (2^21 in float32)."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: list) -> ir.Value:
        kind, _, mantissa, _ = LAYOUT[x]
        trick = kind(_integer_trick(mantissa))
        return builder.fsub(builder.fadd(args[0], trick), trick)

    return x(x), codegen


@intrinsic
def power_of_two(typingctx: Any, k: types.Float) -> tuple:
    """Return 2^k for a float k that is an integer in the range of normal exponents."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: list) -> ir.Value:
        kind, bits, mantissa, bias = LAYOUT[k]
        whole = ir.IntType(bits)
        exponent = builder.bitcast(builder.fadd(args[0], kind(_integer_trick(mantissa) + bias)), whole)
        return builder.bitcast(builder.shl(exponent, whole(mantissa)), kind)

    return k(k), codegen


def _exponent_bits(builder: ir.IRBuilder, x: ir.Value, layout: tuple) -> tuple[ir.Value, ir.Value]:
    """Bits of x, and the biased exponent of x / sqrt(2): subtract the mantissa of sqrt(2), keep the exponent."""
    _, size, mantissa, _ = layout
    whole = ir.IntType(size)
    bits = builder.bitcast(x, whole)
    root = whole(0x6A09E667F3BCD >> (52 - mantissa))
    return bits, builder.lshr(builder.sub(bits, root), whole(mantissa))


@intrinsic
def exponent_of(typingctx: Any, x: types.Float) -> tuple:
    """Return the float k for which x / 2^k lies in [sqrt(1/2), sqrt(2)); x must be positive and normal."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: list) -> ir.Value:
        kind, size, mantissa, bias = LAYOUT[x]
        whole = ir.IntType(size)
        _, exponent = _exponent_bits(builder, args[0], LAYOUT[x])
        trick = _integer_trick(mantissa)
        as_float = builder.bitcast(builder.add(exponent, builder.bitcast(kind(trick), whole)), kind)
        return builder.fsub(as_float, kind(trick + bias - 1))

    return x(x), codegen


@intrinsic
def fraction_of(typingctx: Any, x: types.Float) -> tuple:
    """Return x / 2^k, which lies in [sqrt(1/2), sqrt(2)), where k is `exponent_of` x."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: list) -> ir.Value:
        kind, size, mantissa, bias = LAYOUT[x]
        whole = ir.IntType(size)
        bits, exponent = _exponent_bits(builder, args[0], LAYOUT[x])
        k = builder.sub(exponent, whole(bias - 1))
        return builder.bitcast(builder.sub(bits, builder.shl(k, whole(mantissa))), kind)

    return x(x), codegen


@intrinsic
def leading_half(typingctx: Any, x: types.Float) -> tuple:
    """Drop the lower half of the mantissa, so that the square of the result is exact."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: list) -> ir.Value:
        kind, bits, mantissa, _ = LAYOUT[x]
        whole = ir.IntType(bits)
        mask = whole(-(1 << (mantissa // 2 + 1)))
        return builder.bitcast(builder.and_(builder.bitcast(args[0], whole), mask), kind)

    return x(x), codegen


@intrinsic
def with_sign(typingctx: Any, x: types.Float, sign: types.Float) -> tuple:
    """Return |x| with the sign of the second argument."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: list) -> ir.Value:
        kind = LAYOUT[x][0]
        function = builder.module.declare_intrinsic("llvm.copysign", [kind], ir.FunctionType(kind, [kind, kind]))
        return builder.call(function, args)

    return x(x, sign), codegen
