"""Python's operators on tracers, each bound to its op.

Operators are what each op of a traced Python loop pays, so `_forward`, `_reflected` and `_unary`
append to the trace in plain code where no operand needs a cast, and all else goes the general way.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.ops import arithmetic as a
from jittape.ops import compare as c
from jittape.ops import elementwise as e
from jittape.ops.declare import Op
from jittape.tracing.direct import as_float, direct_signature, self_signature
from jittape.tracing.rows import FULL
from jittape.tracing.tracer import Tracer, as_operand, cast, tracer_method
from jittape.types import aval, aval_of

_F8 = np.dtype(np.float64)
_FLOAT64 = aval((), np.float64)
_ACCEPTED = (Tracer, np.ndarray, np.generic, int, float, complex, list, tuple)
_WEAK = (int, float, complex)


def _forward(
    op: Op, compute: Callable[[Any, Any], Any], depth: int = 1, ufunc: Any = None
) -> Callable:
    """The method __op__. depth: how many frames up the user's code is. ufunc: what is called
    in the general case, where this is for the calls of a ufunc."""
    is_operator = ufunc is None
    memo = op.memo
    getframe = sys._getframe
    new = Tracer.__new__
    scalar = None  # the signature of two 0-d float64

    def method(self: Tracer, other: Any) -> Any:
        nonlocal scalar
        trace = self._trace
        frame = getframe(depth)
        if frame is trace.frame or trace.follow(frame):
            left = self._id  # reading the number of a view may record it, so comes first
            a = self._aval
            sig = None
            number: Any
            if type(other) is Tracer and other._trace is trace:
                b = other._aval
                if a is _FLOAT64 and b is _FLOAT64:
                    sig = scalar
                    if sig is None:
                        sig = scalar = memo.get((a, b))
                else:
                    sig = memo.get((a, b))
                number, value, weak = other._id, other._value, other._weak
            elif a.dtype is _F8:
                value = other if type(other) is float else as_float(other)
                if value is not None:
                    sig = memo.get((a, _FLOAT64))
                    weak = type(other) is not np.float64
                    number = trace.literals.get(value) if value else None
                    if number is None:
                        number = trace.literal(value, _F8)
            if sig is not None:
                found = new(Tracer)  # (what its __init__ does, without the call)
                found._trace = trace
                sigs = trace.sigs
                found._id = trace.base + len(sigs)
                found._aval = sig.out
                found._value = compute(self._value, value)
                found._weak = weak and self._weak and is_operator
                found._owned = None
                args = trace.args
                args.append(left)
                args.append(number)
                trace.where.append(trace.start + frame.f_lasti)
                sigs.append(sig.id)
                if len(sigs) >= FULL:
                    trace.pack()
                return found
        return _general(op, self, other, self) if is_operator else ufunc(self, other)

    return method


def _reflected(op: Op, compute: Callable[[Any, Any], Any]) -> Callable:
    """The method __rop__: the other operand is no tracer."""
    memo = op.memo
    getframe = sys._getframe
    new = Tracer.__new__

    def method(self: Tracer, other: Any) -> Any:
        trace = self._trace
        a = self._aval
        if a.dtype is _F8:
            frame = getframe(1)
            if frame is trace.frame or trace.follow(frame):
                value = other if type(other) is float else as_float(other)
                sig = memo.get((_FLOAT64, a))
                if sig is not None and value is not None:
                    right = self._id
                    number = trace.literals.get(value) if value else None
                    if number is None:
                        number = trace.literal(value, _F8)
                    found = new(Tracer)
                    found._trace = trace
                    sigs = trace.sigs
                    found._id = trace.base + len(sigs)
                    found._aval = sig.out
                    found._value = compute(value, self._value)
                    found._weak = self._weak and type(other) is not np.float64
                    found._owned = None
                    args = trace.args
                    args.append(number)
                    args.append(right)
                    trace.where.append(trace.start + frame.f_lasti)
                    sigs.append(sig.id)
                    if len(sigs) >= FULL:
                        trace.pack()
                    return found
        return _general(op, other, self, self)

    return method


def _general(op: Op, left: Any, right: Any, self: Tracer) -> Any:
    other = right if left is self else left
    fractions = sys.modules.get("fractions")  # who has a Fraction has imported it
    if fractions is not None and isinstance(other, fractions.Fraction):
        other = float(other)
    if not isinstance(other, _ACCEPTED):
        if not hasattr(other, "__array__"):
            return NotImplemented
        other = np.asarray(other)
    other = as_operand(other)
    left, right = (self, other) if left is self else (other, self)
    result = op(left, right)
    if isinstance(result, Tracer):
        # Python numbers stay weak (NEP 50) as long as only operators touch them
        kinds = [x._weak if isinstance(x, Tracer) else type(x) in _WEAK for x in (left, right)]
        result._weak = all(kinds)
        pair = [_beside_float(x) for x in (left, right)]
        direct_signature(op, *pair)
    return result


def _beside_float(x: Any) -> Any:
    """The aval under which the fast paths look an operand up."""
    if isinstance(x, Tracer):
        return x._aval
    return _FLOAT64 if as_float(x) is not None else aval_of(x)


def install_binary(name: str, op: Op, compute: Callable[[Any, Any], Any]) -> None:
    """Give Tracer the operator methods __name__ and __rname__ of a binary op."""
    op.scalar = compute
    tracer_method(f"__{name}__")(_forward(op, compute))
    if name not in _COMPARISONS:
        tracer_method(f"__r{name}__")(_reflected(op, compute))


_COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")


def _unary(op: Op, compute: Callable[[Any], Any], depth: int = 1, ufunc: Any = None) -> Callable:
    is_operator = ufunc is None
    memo = op.memo
    getframe = sys._getframe
    new = Tracer.__new__

    def method(self: Tracer) -> Any:
        trace = self._trace
        frame = getframe(depth)
        if frame is trace.frame or trace.follow(frame):
            number = self._id
            sig = memo.get(self._aval) or self_signature(op, self._aval)
            if sig is not None:
                found = new(Tracer)
                found._trace = trace
                sigs = trace.sigs
                found._id = trace.base + len(sigs)
                found._aval = sig.out
                found._value = compute(self._value)
                found._weak = self._weak and is_operator
                found._owned = None
                trace.args.append(number)
                trace.where.append(trace.start + frame.f_lasti)
                sigs.append(sig.id)
                if len(sigs) >= FULL:
                    trace.pack()
                return found
        if not is_operator:
            return ufunc(self)
        result = op(self)
        result._weak = self._weak
        return result

    return method


def of_ufunc(op: Op, ufunc: np.ufunc) -> Callable | None:
    """What a call of a ufunc on tracers is, its name being a Python function while a trace is
    open: one or two operands, the first a tracer."""
    if op.kernel is not ufunc or ufunc.nin > 2:
        return None
    return (_unary if ufunc.nin == 1 else _forward)(op, ufunc, 2, ufunc)  # type: ignore[operator]


def install_unary(name: str, op: Op, compute: Callable[[Any], Any]) -> None:
    """Give Tracer the operator method __name__ of a unary op."""
    tracer_method(f"__{name}__")(_unary(op, compute))


for _name, _op in {
    "add": e.add,
    "sub": e.subtract,
    "mul": e.multiply,
    "truediv": e.divide,
    "floordiv": a.floor_divide,
    "mod": a.remainder,
    "and": c.bitwise_and,
    "or": c.bitwise_or,
    "xor": c.bitwise_xor,
    "lshift": c.left_shift,
    "rshift": c.right_shift,
    "lt": e.less,
    "le": e.less_equal,
    "gt": e.greater,
    "ge": e.greater_equal,
    "eq": e.equal,
    "ne": e.not_equal,
}.items():
    _compute = getattr(operator, {"and": "and_", "or": "or_"}.get(_name, _name))
    install_binary(_name, _op, _compute)

install_unary("neg", e.negative, operator.neg)
install_unary("pos", e.positive, operator.pos)
install_unary("invert", c.invert, operator.invert)
install_unary("abs", a.absolute, operator.abs)


# -- powers --------------------------------------------------------------------------------------

_power = _forward(a.power, np.power, depth=2)
tracer_method("__rpow__")(_reflected(a.power, np.power))
# the exponents that ndarray.__pow__ takes by another ufunc
_SPECIAL = {
    2: _unary(e.square, lambda v: v * v, depth=2),
    0.5: _unary(e.sqrt, np.sqrt, depth=2),
    -1: _unary(e.reciprocal, np.reciprocal, depth=2),
    1: _unary(e.positive, operator.pos, depth=2),
}
# up to NumPy 2.1 also where they are NumPy's numbers, so that arrays keep their dtype
_TAKES_NUMPYS = (np.ones(1, np.float32) ** np.float64(2)).dtype == np.float32


@tracer_method("__pow__")
def power(self: Tracer, exponent: Any, modulo: None = None) -> Any:
    if modulo is not None:
        return NotImplemented
    if _TAKES_NUMPYS and isinstance(exponent, np.generic) and self._aval.shape:
        if exponent.dtype.kind in "iuf" and exponent in (0, *_SPECIAL):
            exponent = exponent.item()
    if type(exponent) in (int, float) and self._aval.dtype.kind in "fc":
        special = _SPECIAL.get(exponent)
        if special is not None:
            return special(self)
    return _power(self, exponent)


@tracer_method("__divmod__")
def quotient_and_remainder(self: Tracer, other: Any) -> Any:
    return self // other, self % other


@tracer_method("__rdivmod__")
def reflected_quotient_and_remainder(self: Tracer, other: Any) -> Any:
    return other // self, other % self


# -- Python's rounding ---------------------------------------------------------------------------


def _to_integer(name: str, op: Op) -> None:
    """math.floor and friends give an integer, as Python does; a traced one, so without a guard."""

    def method(self: Tracer) -> Any:
        if self._aval.shape:
            raise TypeError(f"type numpy.ndarray doesn't define {name} method")
        if self._aval.dtype.kind in "iu":
            return self
        return cast(op(self), np.dtype(np.int64))

    tracer_method(name)(method)


_to_integer("__floor__", a.floor)
_to_integer("__ceil__", a.ceil)
_to_integer("__trunc__", a.trunc)
