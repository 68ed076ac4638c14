"""Signatures for the fast paths of operators: where no operand needs a cast."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops.declare import Op, Signature, signature
from jittape.types import Aval, aval

_FLOAT64 = aval((), np.float64)


def self_signature(op: Op, a: Aval) -> Signature | None:
    """The signature of a unary op where its operand needs no cast, for the fast path."""
    found = op.memo.get(a, 0)
    if found == 0:
        found = None
        try:
            if op.kernel.resolve_dtypes((a.dtype, None))[0] == a.dtype:
                found = signature(op, (), (a,))
        except TypeError:
            found = None  # the slow path raises it with the user's line
        op.memo[a] = found
    return found


def direct_signature(op: Op, left: Aval, right: Aval) -> Signature | None:
    """The signature of a binary op where no operand needs a cast, for the fast paths."""
    found = op.memo.get((left, right), 0)
    if found == 0:
        found = None
        if isinstance(op.kernel, np.ufunc):
            try:
                dtypes = op.kernel.resolve_dtypes((left.dtype, right.dtype, None))
                if dtypes[0] == left.dtype and dtypes[1] == right.dtype:
                    found = signature(op, (), (left, right))
            except (TypeError, ValueError):
                found = None  # the slow path raises it with the user's line
        op.memo[(left, right)] = found
    return found


_EXACT = 1 << 53  # Python integers up to here are float64 numbers


def as_float(x: Any) -> float | None:
    """A Python or NumPy number as the float64 literal it is beside a float64, or None."""
    kind = type(x)
    if kind is float or kind is np.float64 or (kind is int and -_EXACT < x < _EXACT):
        return float(x)
    return None


def bare(x: Any) -> Aval | None:
    """The aval under which the fast paths look up a number beside a float64."""
    return None if as_float(x) is None else _FLOAT64
