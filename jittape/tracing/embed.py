"""Opening inner traces, and pasting what they recorded into the trace around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.evaluate import evaluate
from jittape.tape import Tape
from jittape.tracing.buffers import buffers_of
from jittape.tracing.recorder import Trace, here, open_traces
from jittape.tracing.tracer import Tracer, number_of, trace_of, value_of
from jittape.tracing.views import snapshot
from jittape.types import Aval, aval_of

# how a stretch of tape is computed outside of any trace; `api.run` puts the executor here too
compute: Callable[[Tape, Sequence[Any]], list[np.ndarray]] = evaluate


class _Stretch:
    """A pasted tape whose values are computed when one of them is asked for."""

    __slots__ = ("tape", "inputs", "values")

    def __init__(self, tape: Tape, inputs: Sequence[Any]):
        self.tape = tape
        self.inputs: Any = [snapshot(x) for x in inputs]
        self.values: Any = None

    def value(self, k: int) -> Any:
        if self.values is None:
            self.values = compute(self.tape, [value_of(x) for x in self.inputs])
            self.inputs = None
        return self.values[k][()] if self.values[k].ndim == 0 else self.values[k]


class PastedTracer(Tracer):
    """An output of a pasted stretch: most are never looked at, so the value waits."""

    __slots__ = ("_stretch", "_k", "_known")

    def __init__(self, trace: Trace, id: int, aval: Aval, stretch: _Stretch, k: int):
        self._trace = trace
        self._id = id
        self._aval = aval
        self._weak = False
        self._owned = None
        self._stretch = stretch
        self._k = k
        self._known: Any = None

    @property
    def waits(self) -> bool:
        """Whether the value was not computed yet."""
        return self._known is None and self._stretch.values is None

    @property
    def _value(self) -> Any:  # type: ignore[override]
        if self._known is None and self._trace.concrete:
            self._known = self._stretch.value(self._k)
        return self._known

    @_value.setter
    def _value(self, value: Any) -> None:
        self._known = value

    def _snapshot(self) -> Tracer:
        if self._owned is None and self._known is None:
            return PastedTracer(self._trace, self._id, self._aval, self._stretch, self._k)
        return super()._snapshot()  # type: ignore[misc]  # attached by tracing.views


def embed(tape: Tape, operands: Sequence[Any]) -> list[Any]:
    """The outputs of `tape` at these operands: pasted into the innermost open trace among them,
    computed at once where there is none."""
    trace = trace_of(operands)
    if trace is None:
        values = [v[()] if v.ndim == 0 else v for v in compute(tape, operands)]
        # within a traced function they are fresh arrays like those of np.zeros
        return [buffers_of(v) for v in values] if open_traces() else values
    numbers = trace.inline(tape, [number_of(trace, x) for x in operands])
    stretch = _Stretch(tape, operands)
    avals = [tape.aval(v) for v in tape.outputs.tolist()]
    return [
        PastedTracer(trace, int(n), a, stretch, k)
        for k, (n, a) in enumerate(zip(numbers, avals, strict=True))
    ]


def new_input(trace: Trace, x: Any) -> Tracer:
    """A tracer for x, a new input of `trace`."""
    weak = type(x) in (float, int, complex) or (isinstance(x, Tracer) and x._weak)
    value: Any
    if isinstance(x, Tracer):
        a, value = x._aval, x._value
    else:
        # in row-major order: whether a reshape is a view must not depend on the caller's array,
        # whose memory layout is no part of the key
        value = np.array(x, copy=None, order="C")
        a = aval_of(value)
        if value.ndim == 0:
            value = value[()]
    return Tracer(trace, trace.add_input(a), a, value, weak)


def result_numbers(trace: Trace, leaves: Sequence[Any]) -> list[int]:
    """Value numbers of results, which may be tracers of `trace`, outer tracers or arrays."""
    numbers = []
    for x in leaves:
        if not isinstance(x, (Tracer, np.ndarray, np.generic, int, float, complex)):
            raise TraceError(
                f"{here()}: the function returned {type(x).__name__}, which is no number or "
                "array; return it as auxiliary output with has_aux=True"
            )
        numbers.append(number_of(trace, x))
    return numbers
