"""Where Python asks a tracer for its value: each answer is recorded as a guard."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.ops.guards import guard_equal, guard_true
from jittape.tracing.lost import refuse_array, told
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer, tracer_method


@tracer_method("__bool__")
def to_bool(self: Tracer) -> bool:
    if self.size != 1:
        raise ValueError(
            f"{here()}: the truth value of an array with more than one element is ambiguous. "
            "Use a.any() or a.all()"
        )
    value = concrete(self)
    outcome = bool(value)
    guard_true(self if self.dtype.kind == "b" else self != 0, expected=outcome)
    return outcome


def concrete(t: Tracer) -> Any:
    """The value of a tracer; raises where only its shape is known."""
    if not t._trace.concrete:
        raise TraceError(f"{here()}: {t._trace.remedy}")
    return t._value


def pin(t: Tracer) -> Any:
    """The value of a tracer, with a guard that it stays what it is, bit by bit."""
    value = concrete(t)
    guard_equal(t, expected=np.ascontiguousarray(value).tobytes())
    return value


@tracer_method("__int__")
def to_int(self: Tracer) -> int:
    # pinned before int() may raise: a handler of the user's is a path like any other
    whole = self if self.dtype.kind in "iub" else np.trunc(self) + self.dtype.type(0)
    return int(pin(whole))


@tracer_method("__index__")
def to_index(self: Tracer) -> int:
    if self.dtype.kind not in "iu" or self.ndim:
        raise TypeError(f"{here()}: only integer scalar arrays can be converted to a scalar index")
    return int(pin(self))


@tracer_method("__float__")
def to_float(self: Tracer) -> float:
    told(self)
    return float(pin(self))


@tracer_method("__complex__")
def to_complex(self: Tracer) -> complex:
    told(self)
    return complex(pin(self))


@tracer_method("__array__")
def to_array(self: Tracer, dtype: Any = None, copy: Any = None) -> Any:
    # masks and positions, as in captured[order] and np.int64(x): no derivative is lost, and the
    # guard keeps the tape to these very elements
    if dtype is not None and np.dtype(dtype).kind in "iub":
        return np.array(pin(self.astype(dtype)))
    if self.dtype.kind not in "iub":
        raise refuse_array(self)
    return np.array(pin(self), dtype=dtype)


@tracer_method("__hash__")
def to_hash(self: Tracer) -> int:
    return hash(pin(self).item())
