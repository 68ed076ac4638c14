"""Arrays made by np.zeros and its siblings while tracing: real ndarrays until a tracer is written.

A Buffer is an ndarray subclass that behaves as a plain array of its class would. When a traced
value is written into it (or into any view of it), its memory becomes traced: a Tracer handle
takes over its content, and the Buffer and all its views turn into TracedBuffers, which hand
everything to handles.

A TracedBuffer is still an ndarray for isinstance, and C code could read its memory. That must
not give numbers that have lost their derivatives, so the memory is filled with NaN and its dtype
becomes a record that NumPy refuses to convert to a number.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.bits import same_bits
from jittape.errors import TraceError
from jittape.tracing.captured import Alive, Captured, captured_view, origin, owner
from jittape.tracing.dispatch import lookup
from jittape.tracing.lost import UNSEEN
from jittape.tracing.recorder import Trace, frozen_arrays, here, open_traces
from jittape.tracing.strided import view_of
from jittape.tracing.tracer import OUT, Tracer, function_call, trace_of
from jittape.types import aval_of

_MESSAGE = "this array holds traced values and cannot be read by C code"
_REFUSED = {
    16: np.dtype([(_MESSAGE, "f8"), ("", "f8")]),
    8: np.dtype([(_MESSAGE, "f4"), ("", "f4")]),
    4: np.dtype([(_MESSAGE, "u2"), ("", "u2")]),
    2: np.dtype([(_MESSAGE, "u1"), ("", "u1")]),
    1: np.dtype("V1"),
}


class Memory:
    """The memory that a Buffer shares with its views."""

    __slots__ = ("root", "dtype", "views", "handle", "epoch", "__weakref__")

    def __init__(self, root: np.ndarray):
        self.root = root  # a plain array of all of it
        self.dtype = root.dtype
        self.views = Alive()
        self.handle: Tracer | None = None
        traces = open_traces()
        self.epoch = weakref.ref(traces[0]) if traces else None

    def make_traced(self, trace: Trace) -> None:
        """Hand the content to a Tracer, and everything that sees this memory with it."""
        if self.handle is not None:
            return
        content = np.array(self.root, order="K")
        frozen_arrays[id(content)] = content
        number = trace.add_const(content, live=True)
        value: Any = content if content.ndim else content[()]
        if not trace.concrete:
            value = None
        self.handle = Tracer(trace, number, aval_of(content), value)
        if self.dtype.kind in "fc" and self.root.flags.writeable:
            self.root.fill(np.nan)
        for view in self.views:
            _refuse(view)


# NumPy 2.5 deprecates setting the attribute and has this in its place
_set_dtype: Any = getattr(np.ndarray, "_set_dtype", None) or np.ndarray.dtype.__set__  # type: ignore[attr-defined]


def _refuse(view: Buffer) -> None:
    view._dtype = view.dtype
    _set_dtype(view, _REFUSED[view.itemsize])
    object.__setattr__(view, "__class__", TracedBuffer)


class Buffer(np.ndarray):
    """An array whose writes are seen."""

    _shared: Memory | None = None
    _frozen: np.ndarray | None = None
    _dtype: np.dtype

    def __array_finalize__(self, obj: Any) -> None:
        if isinstance(obj, Buffer) and self.base is not None:
            memory = obj._memory
            if owner(self) is owner(memory.root):
                self._shared = memory
                memory.views.add(self)
                if memory.handle is not None:  # a view that C code made of a traced array
                    self._dtype = obj._dtype
                    object.__setattr__(self, "__class__", TracedBuffer)

    @property
    def _memory(self) -> Memory:
        memory = self._shared
        if memory is None:
            memory = self._shared = Memory(self.view(np.ndarray))
            memory.views.add(self)
        return memory

    def __getitem__(self, key: Any) -> Any:
        if holds(key):
            return traced_handle(self, (key,))[key]
        return np.ndarray.__getitem__(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        if holds(value) or holds(key):
            traced_handle(self, (value, key))[key] = value
        else:
            np.ndarray.__setitem__(self, key, value)

    def fill(self, value: Any) -> None:
        self[...] = value

    @property
    def real(self) -> Any:
        return np.ndarray.real.__get__(self)  # type: ignore[attr-defined]

    @real.setter
    def real(self, value: Any) -> None:
        if holds(value):
            traced_handle(self, (value,)).real = value
        else:
            np.ndarray.real.__set__(self, value)  # type: ignore[attr-defined]

    @property
    def imag(self) -> Any:
        return np.ndarray.imag.__get__(self)  # type: ignore[attr-defined]

    @imag.setter
    def imag(self, value: Any) -> None:
        if holds(value):
            traced_handle(self, (value,)).imag = value
        else:
            np.ndarray.imag.__set__(self, value)  # type: ignore[attr-defined]

    def put(self, indices: Any, values: Any, mode: Any = "raise") -> None:
        if holds(values) or holds(indices):
            traced_handle(self, (values, indices)).put(indices, values, mode)
        else:
            np.ndarray.put(self, indices, values, mode)

    def __array_ufunc__(self, ufunc: Any, method: Any, *inputs: Any, **kwargs: Any) -> Any:
        out = kwargs.get("out", ())
        if list in map(type, inputs):
            inputs = tuple(
                [lookup(np.array)(x) if type(x) is list and holds(x) else x for x in inputs]
            )
        for x in (*inputs, *out):
            if isinstance(x, Tracer):
                kept = inputs[:1] if method == "at" else ()
                settled_inputs = (*kept, *[settled(v) for v in inputs[len(kept) :]])
                return Tracer.__array_ufunc__(x._handle, ufunc, method, *settled_inputs, **kwargs)
        if out:
            kwargs["out"] = tuple([plain(x) for x in out])
        result = getattr(ufunc, method)(*[plain(x) for x in inputs], **kwargs)
        if out:
            return out if len(out) > 1 else out[0]
        return buffers_of(result, inputs) if open_traces() else result

    def __array_function__(self, func: Callable, types: Any, args: Any, kwargs: Any) -> Any:
        if any(t is TracedBuffer or not issubclass(t, np.ndarray) for t in types):
            return function_call(func, args, kwargs)
        result = super().__array_function__(func, types, args, kwargs)
        return buffers_of(result, args) if open_traces() else result

    def _as_const(self) -> np.ndarray:
        """What the tape captures: a copy of the present content, as it may change later on.

        An array from an earlier trace is the user's own by now and is captured live.
        """
        content = self.view(np.ndarray)
        traces = open_traces()
        epoch = self._memory.epoch
        if not traces or epoch is None or epoch() is not traces[0]:
            return content
        last = self._frozen
        if last is None or last.shape != content.shape or not same_bits(last, content):
            last = self._frozen = np.array(content)
            frozen_arrays[id(last)] = last
        return last

    def __repr__(self) -> str:
        return repr(self.view(np.ndarray))

    def __reduce__(self) -> Any:
        return self.view(np.ndarray).__reduce__()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()


def plain(x: Any) -> Any:
    """x, or where it is one of our kinds of arrays, an ndarray of its memory."""
    return x.view(np.ndarray) if type(x) is Buffer or type(x) is Captured else x


def holds(x: Any) -> bool:
    """Whether x is a tracer, or a nested list or tuple that holds one."""
    if isinstance(x, Tracer):
        return True
    if type(x) is list or type(x) is tuple:
        for item in x:
            if holds(item):
                return True
    return False


def settled(x: Any) -> Any:
    """x for recording: the handle of a TracedBuffer, the content as it is now of a Buffer."""
    if type(x) is Buffer:
        return x._as_const()
    if type(x) is TracedBuffer:
        return x._handle
    if type(x) is list or type(x) is tuple:
        return type(x)([settled(v) for v in x])
    return x


def first_tracer(values: Any) -> Any:
    """The first tracer in nested sequences of values, or None."""
    for v in values:
        if isinstance(v, Tracer):
            return v
        if isinstance(v, (list, tuple)):
            found = first_tracer(v)
            if found is not None:
                return found
    return None


def traced_handle(buffer: Any, values: Any = ()) -> Any:
    """The handle of an array that is about to be written to with these values.

    Raises TraceError for an array whose writes are not seen.
    """
    if isinstance(buffer, Tracer):
        return buffer._handle
    if type(buffer) is not Buffer or origin(buffer) is not None:
        raise not_recorded(buffer)
    trace = trace_of((first_tracer(values),)) or open_traces()[-1]
    buffer._memory.make_traced(trace)
    return buffer._handle  # type: ignore[attr-defined]


def not_recorded(target: Any) -> TraceError:
    """The error for a traced value that is written to an array of the user's, or to one whose
    writes are not seen."""
    label = origin(target)
    if label is not None:
        return TraceError(
            f"{here()}: a traced value is written to {label}, an array of shape "
            f"{np.shape(target)} that was made outside of the traced function and stays as it is: "
            "write to a copy of it, such as u = u0.copy()"
        )
    return TraceError(
        f"{here()}: a traced value is written to an array of shape {np.shape(target)} {UNSEEN}"
    )


def buffers_of(result: Any, args: Any = ()) -> Any:
    """A result of NumPy's in which fresh numeric arrays are Buffers. args: what it was made of."""
    if type(result) is np.ndarray or type(result) is Captured:
        if result.dtype.kind not in "fciub" or result.dtype.itemsize not in _REFUSED:
            return result
        whole = owner(result)
        for a in args:
            if a is result or (issubclass(type(a), np.ndarray) and owner(a) is whole):
                if type(a) is Captured:
                    return captured_view(result)
                return shared_view(result, a) if type(a) is Buffer else result
        if not whole.flags.owndata:  # memory of an array.array, a file, ...: the user's
            return captured_view(result)
        return result.view(Buffer)
    if type(result) is tuple or type(result) is list:
        return type(result)([buffers_of(r, args) for r in result])
    if isinstance(result, tuple) and hasattr(result, "_make"):  # what np.linalg.eigh gives
        return result._make([buffers_of(r, args) for r in result])
    return result


def shared_view(result: np.ndarray, of: Buffer) -> Any:
    """result, whose memory is that of a Buffer, as a view of it."""
    view = result.view(Buffer)
    view._shared = of._memory
    of._memory.views.add(view)
    return view


# -- after the first traced write ------------------------------------------------------------


class TracedBuffer(Buffer):
    """A Buffer whose content is traced. isinstance says both ndarray and Tracer."""

    _tracer: Tracer | None = None

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return Tracer

    @property
    def _handle(self) -> Tracer:
        found = self._tracer
        if found is None:
            found = self._tracer = _located(self)
        return found

    def __array_ufunc__(self, ufunc: Any, method: Any, *inputs: Any, **kwargs: Any) -> Any:
        return Buffer.__array_ufunc__(self, ufunc, method, *inputs, **kwargs)

    def __array_function__(self, func: Callable, types: Any, args: Any, kwargs: Any) -> Any:
        return function_call(func, args, kwargs)

    def __reduce__(self) -> Any:
        raise TypeError(f"{here()}: an array with traced values cannot be pickled")


def _located(view: Buffer) -> Tracer:
    """The handle of a view, found from where its memory lies in that of the whole."""
    memory = view._memory
    root, handle = memory.root, memory.handle
    assert handle is not None
    if view._dtype != memory.dtype:
        raise TraceError(
            f"{here()}: a view of dtype {view._dtype} of an array of dtype {memory.dtype} that "
            "holds traced values is not recorded; make it after the values are written"
        )
    shape = np.ndarray.shape.__get__(view)  # type: ignore[attr-defined]
    strides = np.ndarray.strides.__get__(view)  # type: ignore[attr-defined]
    start = view.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    found = view_of(handle, root, start, shape, strides)
    if found is None:
        raise TraceError(
            f"{here()}: this view of an array that holds traced values is not recorded; make it "
            "after the values are written, or copy it with np.array"
        )
    return found


_NATIVE = {
    *("__class__", "__new__", "__init__", "__getattribute__", "__setattr__", "__delattr__"),
    *("__doc__", "__dir__", "__init_subclass__", "__subclasshook__", "__reduce__", "__dict__"),
    *("__reduce_ex__", "__setstate__", "__array_finalize__", "__array_ufunc__", "__sizeof__"),
    *("__array_function__", "__array_interface__", "__array_struct__", "__array_priority__"),
    *("__module__", "__weakref__", "__class_getitem__", "__buffer__", "__hash__"),
    *("flags", "strides", "base", "_handle", "_snapshot"),
}
_HANDLE_ATTRIBUTES = ("_trace", "_id", "_aval", "_value", "_weak", "_owned")


def _method(name: str) -> Callable:
    def method(self: TracedBuffer, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._handle, name)(*args, **kwargs)

    method.__name__ = name
    return method


def _in_place(name: str) -> Callable:
    forward = "__" + name[3:]

    def method(self: TracedBuffer, other: Any) -> Any:
        result = getattr(self._handle, forward)(other)
        if result is not NotImplemented:
            lookup(OUT)(lambda: result, self._handle)
        return result if result is NotImplemented else self

    method.__name__ = name
    return method


def _attribute(name: str) -> property:
    return property(
        lambda self: getattr(self._handle, name),
        lambda self, value: setattr(self._handle, name, value),
    )


for _name in {*dir(np.ndarray), *_HANDLE_ATTRIBUTES} - _NATIVE:
    _found = getattr(np.ndarray, _name, None)
    if _name.startswith("__i") and f"__{_name[3:]}" in dir(np.ndarray) and _name != "__index__":
        setattr(TracedBuffer, _name, _in_place(_name))
    elif callable(_found):
        setattr(TracedBuffer, _name, _method(_name))
    else:
        setattr(TracedBuffer, _name, _attribute(_name))
TracedBuffer._snapshot = lambda self: self._handle._snapshot()  # type: ignore[attr-defined]
