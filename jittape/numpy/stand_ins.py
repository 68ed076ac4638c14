"""What jittape.numpy has in place of NumPy's functions: they take tracers, and lists of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.functions.creation import as_array, holds_tracer
from jittape.ops.declare import original
from jittape.tracing.dispatch import implementations, ufuncs
from jittape.tracing.tracer import Tracer

_SEQUENCES = (list, tuple)


def _is_traced_list(x: Any) -> bool:
    return type(x) in _SEQUENCES and holds_tracer(x)


def _accept_lists(function: Callable) -> Callable:
    """A NumPy function that takes lists of tracers where NumPy takes lists of numbers."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for x in (*args, *kwargs.values()):
            if _is_traced_list(x):
                return implementations[function].run(*args, **kwargs)
        return function(*args, **kwargs)

    return call


def _accept_tracers(function: Callable) -> Callable:
    """As `_accept_lists`, for a function that NumPy does not dispatch on tracers either."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for x in (*args, *kwargs.values()):
            if isinstance(x, Tracer) or _is_traced_list(x):
                return implementations[function].run(*args, **kwargs)
        return function(*args, **kwargs)

    return call


class _Ufunc:
    """A ufunc of NumPy whose calls take lists of tracers; all else is the ufunc's own."""

    def __init__(self, ufunc: np.ufunc):
        self._ufunc = ufunc
        self.__name__ = ufunc.__name__
        self.__doc__ = ufunc.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._ufunc(*[as_array(x) if _is_traced_list(x) else x for x in args], **kwargs)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ufunc, name)
        if name not in ("reduce", "accumulate", "reduceat", "outer", "at"):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            return found(*[as_array(x) if _is_traced_list(x) else x for x in args], **kwargs)

        return call

    def __repr__(self) -> str:
        return repr(self._ufunc)

    def __reduce__(self) -> Any:
        return getattr, (np, self.__name__)


_UNDISPATCHED = {
    *map(original, (np.array, np.asarray, np.asanyarray, np.ascontiguousarray)),
    *map(original, (np.asfortranarray, np.full, np.require, np.fromiter, np.isscalar)),
    *map(original, (np.asarray_chkfinite, np.arange, np.kaiser)),
}


def stand_in(found: Any) -> Any:
    """What jittape.numpy has in place of an object of NumPy's namespaces; most often itself."""
    found = original(found)
    if isinstance(found, np.ufunc):
        return _Ufunc(found) if found in ufuncs or found in implementations else found
    if not callable(found) or isinstance(found, type) or found not in implementations:
        return found
    return (_accept_tracers if found in _UNDISPATCHED else _accept_lists)(found)
