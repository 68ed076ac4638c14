"""Arrays that change: handles that move from value to value, and views that follow their base.

The tape is in single-assignment form: a write records a new value, and the handle (the Tracer)
moves on to it. A view is a handle of its own that remembers its base and the layout op between
them: its number and its value are derived anew when the base has moved, and a write through it
becomes a write to the base.

The concrete values beside the tape follow NumPy's memory: once a handle owns its array, writes
change that array in place, and the arrays of its views are NumPy's own views of it, so that the
cost of a write is that of the elements written. Whoever keeps a value for later takes a
`snapshot`, after which the next write copies first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.ops import shape as ops
from jittape.ops.declare import Kind, Signature, by_name, signature
from jittape.ops.reduce import broadcast_to
from jittape.ops.shape import Index, as_slices
from jittape.tracing import tracer as tracers
from jittape.tracing.recorder import Trace, here
from jittape.tracing.tracer import Tracer, number_of, trace_of, tracer_method, value_of
from jittape.types import aval, aval_of


class ViewTracer(Tracer):
    """The result of a layout op that shares memory with its operand, as NumPy would have it."""

    __slots__ = ("_base", "_sig", "_rest", "_seen", "_within", "_number", "_memory", "_from")

    def __init__(self, base: Tracer, sig: Signature, rest: tuple, number: int, value: Any):
        self._base = base
        self._sig = sig
        self._rest = rest  # operands after the base: the number of a row
        self._seen = base._id
        self._within = base._trace
        self._number = number
        self._from = base._value
        self._memory = value
        self._aval = sig.out
        self._weak = False

    @property
    def _trace(self) -> Trace:  # type: ignore[override]
        return self._base._trace

    @property
    def _id(self) -> int:  # type: ignore[override]
        number = self._base._id
        trace = self._base._trace
        if (number != self._seen or trace is not self._within) and trace.open:
            rest = [number_of(trace, x) for x in self._rest]
            self._number = trace.emit(self._sig, [number, *rest])
            self._seen = number
            self._within = trace
        return self._number

    @property
    def _value(self) -> Any:  # type: ignore[override]
        current = self._base._value
        if current is not self._from:
            sig = self._sig
            values = [value_of(x) for x in self._rest]
            self._memory = sig.op.evaluate(current, *values, **sig.kwargs)
            self._from = current
        memory = self._memory
        return memory if self._aval.ndim else np.asarray(memory)[()]


class Reread(ViewTracer):
    """What follows its base as a view does, but has its elements in another order or several times:
    its value is a copy, read again when the base has moved."""

    __slots__ = ("_at",)

    def __init__(self, base: Tracer, sig: Signature, *rest: Any):
        self._at = -1  # the base's number when the value was read
        trace = base._trace
        number = trace.emit(sig, [base._id, *[number_of(trace, x) for x in rest]])
        super().__init__(base, sig, rest, number, None)

    @property
    def _value(self) -> Any:  # type: ignore[override]
        current = self._base._value
        if current is None:
            return None
        number = self._base._id
        if number != self._at:
            self._memory = self._sig.op.evaluate(current, *self._rest, **self._sig.kwargs)
            self._at = number
        return self._memory


def as_view(trace: Trace, sig: Signature, operands: tuple, number: int, value: Any) -> Any:
    """A ViewTracer where NumPy's value is a view of the operand's, else None."""
    base = operands[0]
    if sig.op.kind is Kind.GATHER and (not sig.out.ndim or sig.avals[1].ndim):
        return None
    if not isinstance(base, Tracer) or base._trace is not trace:
        return None
    base = base._handle
    if not trace.concrete:
        if not base._aval.ndim or not base._aval.size:
            return None
        try:
            _layout(base, sig)
        except ValueError:  # NumPy has to copy for this shape
            return None
        return ViewTracer(base, sig, operands[1:], number, None)
    held = base._value
    if type(value) is not np.ndarray or type(held) is not np.ndarray:
        return None
    if not np.may_share_memory(value, held):
        return None
    return ViewTracer(base, sig, operands[1:], number, value)


_TINY = np.zeros(1, np.int8)


def _layout(h: Tracer, then: Signature | None = None) -> np.ndarray:
    """An array with the shape and strides that h has in NumPy, where there is no value of it. Its
    elements may not be read. Raises ValueError where `then` is no view of it."""
    if isinstance(h, ViewTracer):
        found = _layout(h._base, h._sig)
    else:
        shape = h._aval.shape
        strides = [1] * len(shape)
        for i in range(len(shape) - 1, 0, -1):
            strides[i - 1] = strides[i] * shape[i]
        found = np.lib.stride_tricks.as_strided(_TINY, shape, strides)
    if then is None:
        return found
    kwargs = then.kwargs
    if then.op is ops.strided_slice:
        return found[as_slices(kwargs["index"])]
    if then.op is ops.reshape:
        return np.reshape(found, kwargs["shape"], copy=False)
    if then.op is ops.transpose:
        return found.transpose(kwargs["perm"])
    if then.op is broadcast_to:
        return np.broadcast_to(found, kwargs["shape"])
    if then.out.ndim == found.ndim - 1:
        return found[0]  # a row
    raise TraceError(
        f"{here()}: the memory of an as_strided view is not known under vmap or inside of scan; "
        "copy the view with np.array first"
    )


def layout_of(h: Tracer) -> np.ndarray:
    """An array that lies in memory as the one that h stands for; its elements may not be read, and
    have the size of one byte where h has no value."""
    value = h._handle._value
    return _layout(h._handle) if value is None else np.asarray(value)


def layout_flags(h: Tracer) -> Any:
    """NumPy's flags of the array that h stands for."""
    return layout_of(h).flags


def _strides(self: Tracer) -> tuple[int, ...]:
    found = layout_of(self)
    return tuple(s // found.itemsize * self.itemsize for s in found.strides)


def _flags(self: Tracer) -> Any:
    return layout_of(self).view().flags  # of a view: nobody's array can be locked by them


tracer_method("strides")(property(_strides))  # type: ignore[arg-type]
tracer_method("flags")(property(_flags))  # type: ignore[arg-type]


def root_of(h: Any) -> Tracer:
    """The handle whose memory h is a view of."""
    h = h._handle
    while isinstance(h, ViewTracer):
        h = h._base
    return h


def snapshot(x: Any) -> Any:
    """x as it is now: later writes to x do not reach the snapshot."""
    return x._snapshot() if isinstance(x, Tracer) else x


@tracer_method("_snapshot")
def _snapshot(self: Tracer) -> Tracer:
    frozen = Tracer(self._trace, self._id, self._aval, self._value, self._weak)
    root_of(self)._owned = None
    return frozen


def detached(t: Any) -> Any:
    """A copy in NumPy's sense: another handle of the same value."""
    root = root_of(t)
    value = t._value
    if root._owned is not None and type(value) is np.ndarray:
        value = np.array(value)
    return Tracer(t._trace, t._id, t._aval, value, t._weak)


def own(h: Tracer) -> np.ndarray:
    """The array of a root handle, made its own (a user's array is never written to)."""
    value = h._value
    if h._owned is None or h._owned is not value:
        value = np.array(value, order="K")
        h._value = h._owned = value
    return value


# -- writing ---------------------------------------------------------------------------------


def store(h: Tracer, index: Index, value: Any) -> None:
    """h[index] = value, where value has h's dtype, and the shape of the counts or one element."""
    while isinstance(h, ViewTracer):
        op, kwargs, base = h._sig.op, h._sig.kwargs, h._base
        if op is ops.strided_slice:
            index = tuple(
                (s + d * start, d * step, n)
                for (s, d, _), (start, step, n) in zip(kwargs["index"], index, strict=True)
            )
        elif op is ops.transpose:
            perm = kwargs["perm"]
            inverse = tuple(int(p) for p in np.argsort(perm))
            index = tuple(index[p] for p in inverse)
            if value.size != 1:
                value = ops.transpose(value, perm=inverse)
        elif _is_row(h) and not isinstance(h._rest[0], Tracer):
            index = ((int(h._rest[0]), 1, 1), *index)
        elif op is ops.reshape and (mapped := _ones_moved(index, h.shape, base.shape)) is not None:
            index = mapped
        else:
            replace(h, ops.update(current(h), _shaped(value, _counts(index)), index=index))
            return
        if value.size != 1 or any(n != 1 for _, _, n in index):
            value = _shaped(value, _counts(index))
        h = base
    _store_root(h, index, value)


def current(h: Any) -> Any:
    """The present value of h as an operand of its own: what is made of it is no view of h."""
    if not isinstance(h, Tracer):
        return h
    return Tracer(h._trace, h._id, h._aval, h._value)


def _counts(index: Index) -> tuple[int, ...]:
    return tuple(n for _, _, n in index)


def _shaped(value: Any, shape: tuple[int, ...]) -> Any:
    return value if value.shape == shape else ops.reshape(value, shape=shape)


def _ones_moved(index: Index, shape: Sequence[int], target: Sequence[int]) -> Index | None:
    """The index of an array of another shape, where the shapes differ in axes of length 1 only."""
    rest = [(i, n) for i, n in zip(index, shape, strict=True) if n != 1]
    if [n for _, n in rest] != [n for n in target if n != 1]:
        return None
    if any(n != 1 for (_, _, n), m in zip(index, shape, strict=True) if m == 1):
        return None
    entries = iter([i for i, _ in rest])
    return tuple((0, 1, 1) if n == 1 else next(entries) for n in target)


def _store_root(h: Tracer, index: Index, value: Any) -> None:
    counts = _counts(index)
    if 0 in counts:
        return
    put = by_name.get("put")
    if put is not None and h._aval.ndim and all(n == 1 for n in counts):
        _store_element(put, h, index, _shaped(value, ()))
        return
    value = _shaped(value, counts)
    trace = trace_of((h, value))
    assert trace is not None
    numbers = [number_of(trace, h), number_of(trace, value)]
    sig = signature(ops.update, (index,), (h._aval, _aval(value)))
    _moved(h, trace, trace.emit(sig, numbers), index, value)


def _store_element(put: Any, h: Tracer, index: Index, value: Any) -> None:
    """One element: its position is an operand, so that a loop of writes has one signature."""
    trace = trace_of((h, value))
    assert trace is not None
    flat = 0
    for (start, _, _), n in zip(index, h._aval.shape, strict=True):
        flat = flat * n + start
    old = number_of(trace, h)
    new = number_of(trace, value)
    line = h._aval
    if line.ndim > 1:
        line = aval((line.size,), line.dtype)
        old = trace.emit(signature(ops.reshape, (line.shape,), (h._aval,)), (old,))
    position = np.int64(flat)
    sig = signature(put, (True,), (line, aval_of(position), _aval(value)))
    number = trace.emit(sig, (old, trace.literal(position, position.dtype), new))
    if line is not h._aval:
        number = trace.emit(signature(ops.reshape, (h._aval.shape,), (line,)), (number,))
    _moved(h, trace, number, index, value)


def _aval(x: Any) -> Any:
    return x._aval if isinstance(x, Tracer) else aval_of(x)


def _moved(h: Tracer, trace: Trace, number: int, index: Index, value: Any) -> None:
    """The handle moves on to a new value; the concrete one changes in place."""
    if trace.concrete:
        own(h)[as_slices(index)] = value_of(value)
    else:
        h._value = None
    h._trace = trace
    h._id = number


def _is_row(h: ViewTracer) -> bool:
    return h._sig.op is by_name.get("take") and not isinstance(h, Reread)


def replace(h: Tracer, new: Any) -> None:
    """h[...] = new, where new has h's shape and dtype."""
    h = h._handle
    while isinstance(h, ViewTracer):
        op, kwargs, base = h._sig.op, h._sig.kwargs, h._base
        if op is ops.strided_slice:
            store(base, kwargs["index"], new)
            return
        if op is ops.reshape:
            new = ops.reshape(new, shape=base.shape)
        elif op is ops.transpose:
            new = ops.transpose(new, perm=tuple(int(p) for p in np.argsort(kwargs["perm"])))
        elif _is_row(h) and isinstance(h._rest[0], Tracer):
            new = by_name["put"](current(base), h._rest[0], new, unique=True)
        elif _is_row(h):
            row = ((int(h._rest[0]), 1, 1), *((0, 1, n) for n in base.shape[1:]))
            store(base, row, new)
            return
        elif op is broadcast_to:
            raise ValueError(f"{here()}: assignment destination is read-only (a broadcast view)")
        else:
            name = "as_strided" if isinstance(h, Reread) else op.name
            raise TraceError(
                f"{here()}: a write through the view made by {name} is not recorded; "
                "make a copy of it with np.array, or write to the array it is a view of"
            )
        h = base
    trace = trace_of((h, new))
    assert trace is not None
    number = number_of(trace, new)
    if trace.concrete:
        if h._aval.ndim:
            own(h)[...] = value_of(new)
        else:
            h._value = value_of(new)
    else:
        h._value = None
    h._trace = trace
    h._id = number


tracers.maybe_view = as_view
