"""What rows of the scalar sweep compute of numbers, or of vectors of them, in LLVM IR.
Imports llvmlite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from jittape.passes import opcodes as op

_I8, _D = ir.IntType(8), ir.DoubleType()


def _amul(b: Any, g: Any, v: Any) -> Any:
    zero = ir.Constant(g.type, 0.0 if g.type == _D else [0.0] * g.type.count)
    both = b.and_(b.fcmp_unordered("!=", g, zero), b.fcmp_unordered("!=", v, zero))
    return b.select(both, b.fmul(g, v), zero)


def _scalar_amul(b: Any, g: Any, v: Any) -> Any:
    """0 * inf and 0 * nan show as a nan of the product, which is rare."""
    product = b.fmul(g, v)
    before, odd, after = b.block, b.append_basic_block("nan"), b.append_basic_block("product")
    b.cbranch(b.fcmp_unordered("uno", product, product), odd, after).set_weights([1, 2000])
    b.position_at_end(odd)
    other = _amul(b, g, v)
    b.branch(after)
    b.position_at_end(after)
    result = b.phi(_D)
    result.add_incoming(product, before)
    result.add_incoming(other, odd)
    return result


def _intrinsic(name: str) -> Callable[[Any, Any], Any]:
    def call(b: Any, x: Any) -> Any:
        kind = "f64" if x.type == _D else f"v{x.type.count}f64"
        signature = ir.FunctionType(x.type, [x.type])
        return b.call(b.module.declare_intrinsic(f"{name}.{kind}", (), signature), [x])

    return call


def _library(name: str) -> Callable[[Any, Any], Any]:
    def call(b: Any, x: Any) -> Any:
        f = b.module.globals.get(name) or ir.Function(b.module, ir.FunctionType(_D, [_D]), name)
        return b.call(f, [x])

    return call


def _one(kind: Any) -> Any:
    return ir.Constant(kind, 1.0 if kind == _D else [1.0] * kind.count)


def _compare(sign: str) -> Callable[[Any, Any, Any], Any]:
    def compare(b: Any, x: Any, y: Any) -> Any:
        found = b.fcmp_unordered(sign, x, y) if sign == "!=" else b.fcmp_ordered(sign, x, y)
        return b.zext(found, _I8)

    return compare


TWO: dict[int, Callable[[Any, Any, Any], Any]] = {
    op.ADD: lambda b, x, y: b.fadd(x, y),
    op.SUBTRACT: lambda b, x, y: b.fsub(x, y),
    op.MULTIPLY: lambda b, x, y: b.fmul(x, y),
    op.DIVIDE: lambda b, x, y: b.fdiv(x, y),
    op.AMUL: _amul,
    op.GREATER: _compare(">"),
    op.LESS: _compare("<"),
    op.GREATER_EQUAL: _compare(">="),
    op.LESS_EQUAL: _compare("<="),
    op.EQUALS: _compare("=="),
    op.NOT_EQUAL: _compare("!="),
}
ONE: dict[int, Callable[[Any, Any], Any]] = {
    op.NEGATIVE: lambda b, x: b.fneg(x),
    op.SQRT: _intrinsic("llvm.sqrt"),
    op.SQUARE: lambda b, x: b.fmul(x, x),
    op.EXP: _library("exp"),
    op.LOG: _library("log"),
    op.SIN: _library("sin"),
    op.COS: _library("cos"),
    op.TANH: _library("tanh"),
    op.ABSOLUTE: _intrinsic("llvm.fabs"),
    op.RECIPROCAL: lambda b, x: b.fdiv(_one(x.type), x),
    op.COPIED: lambda b, x: x,
}


def value_of(b: Any, which: int, xs: list[Any]) -> Any:
    if which == op.AMUL and xs[0].type == _D:
        return _scalar_amul(b, *xs)
    return (ONE if which in ONE else TWO)[which](b, *xs)
