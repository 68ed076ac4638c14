"""What captured arrays do while a function is traced: as ndarrays, but what they give that has
memory of its own is a Buffer, so that traced values can be written to it (see tracing.captured).

Traced values written to a captured array itself are refused: it is the user's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.tracing.buffers import (
    Buffer,
    TracedBuffer,
    buffers_of,
    first_tracer,
    holds,
    not_recorded,
    plain,
)
from jittape.tracing.captured import Captured, owner
from jittape.tracing.recorder import open_traces
from jittape.tracing.tracer import Tracer, function_call

# methods that may give an array of its own memory
_MAKING = (
    *("__copy__", "__deepcopy__", "argmax", "argmin", "argpartition", "argsort", "astype"),
    *("byteswap", "choose", "clip", "compress", "conj", "conjugate", "copy", "cumprod", "cumsum"),
    *("diagonal", "dot", "flatten", "max", "mean", "min", "prod", "ravel", "repeat", "reshape"),
    *("round", "squeeze", "std", "sum", "take", "trace", "var"),
)


def _method(name: str) -> Callable:
    original = getattr(np.ndarray, name)

    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if not isinstance(result, np.ndarray) or result is self or not open_traces():
            return result
        return buffers_of(result, (self,))

    return method


def _getitem(self: Any, key: Any) -> Any:
    result = np.ndarray.__getitem__(self, key)
    if type(result) is not Captured or owner(result) is owner(self):
        return result
    return result.view(Buffer)


def _writing(name: str, value_at: int) -> Callable:
    original = getattr(np.ndarray, name)

    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        value = args[value_at] if len(args) > value_at else kwargs.get("value", None)
        if holds(value) and first_tracer((value,)).dtype.kind in "fc":
            raise not_recorded(self)
        return original(self, *args, **kwargs)

    return method


def _array_ufunc(self: Any, ufunc: Any, method: Any, *inputs: Any, **kwargs: Any) -> Any:
    if open_traces():
        return Buffer.__array_ufunc__(self, ufunc, method, *inputs, **kwargs)
    out = kwargs.get("out", ())
    if out:
        kwargs["out"] = tuple([plain(x) for x in out])
    result = getattr(ufunc, method)(*[plain(x) for x in inputs], **kwargs)
    return result if not out else out if len(out) > 1 else out[0]


def _array_function(self: Any, func: Callable, types: Any, args: Any, kwargs: Any) -> Any:
    if any(t is TracedBuffer or issubclass(t, Tracer) for t in types):
        return function_call(func, args, kwargs)
    result = np.ndarray.__array_function__(self, func, types, args, kwargs)
    return buffers_of(result, args) if open_traces() else result


def install() -> None:
    """Give Captured its methods."""
    for name in _MAKING:
        setattr(Captured, name, _method(name))
    Captured.__getitem__ = _getitem
    for name, at in (("__setitem__", 1), ("fill", 0), ("put", 1)):
        setattr(Captured, name, _writing(name, at))
    Captured.__array_ufunc__ = _array_ufunc
    Captured.__array_function__ = _array_function
    # as what it is without us
    Captured.__repr__ = lambda self: repr(plain(self))
    Captured.__reduce__ = lambda self: plain(self).__reduce__()
    Captured.__reduce_ex__ = lambda self, protocol: plain(self).__reduce_ex__(protocol)


install()
