"""NumPy's namespace for traced code: `import jittape.numpy as np` changes nothing else.

jittape follows NumPy's own protocols, so that plain `import numpy as np` code is recorded without
this module. It is for what those protocols cannot reach: creation functions and functions that
NumPy does not dispatch (array, asarray, vectorize, r_, c_, ...), and lists of traced values given
to any function (np.exp([t1, t2])). On plain arrays every name gives NumPy's own result; names
that need nothing are NumPy's own objects.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as _numpy

from jittape.functions import helpers as _helpers
from jittape.functions.creation import as_array as _as_array
from jittape.functions.creation import holds_tracer as _holds_tracer
from jittape.tracing.dispatch import implementations as _implementations
from jittape.tracing.dispatch import load_all as _load_all
from jittape.tracing.dispatch import ufuncs as _ufuncs
from jittape.tracing.tracer import Tracer as _Tracer

_load_all()  # the names below depend on what is recorded
_SEQUENCES = (list, tuple)


def _is_traced_list(x: Any) -> bool:
    return type(x) in _SEQUENCES and _holds_tracer(x)


def _accept_lists(function: Callable) -> Callable:
    """A NumPy function that takes lists of tracers where NumPy takes lists of numbers."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for x in (*args, *kwargs.values()):
            if type(x) in _SEQUENCES and _holds_tracer(x):
                return _implementations[function].run(*args, **kwargs)
        return function(*args, **kwargs)

    return call


def _accept_tracers(function: Callable) -> Callable:
    """As `_accept_lists`, for a function that NumPy does not dispatch on tracers either."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for x in (*args, *kwargs.values()):
            if isinstance(x, _Tracer) or _is_traced_list(x):
                return _implementations[function].run(*args, **kwargs)
        return function(*args, **kwargs)

    return call


class _Ufunc:
    """A ufunc of NumPy whose calls take lists of tracers; all else is the ufunc's own."""

    def __init__(self, ufunc: _numpy.ufunc):
        self._ufunc = ufunc
        self.__name__ = ufunc.__name__
        self.__doc__ = ufunc.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._ufunc(*[_as_array(x) if _is_traced_list(x) else x for x in args], **kwargs)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ufunc, name)
        if name not in ("reduce", "accumulate", "reduceat", "outer", "at"):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            return found(*[_as_array(x) if _is_traced_list(x) else x for x in args], **kwargs)

        return call

    def __repr__(self) -> str:
        return repr(self._ufunc)

    def __reduce__(self) -> Any:
        return getattr, (_numpy, self.__name__)


_UNDISPATCHED = (
    "array asarray asanyarray ascontiguousarray asfortranarray full require fromiter isscalar"
).split()


def _name(name: str) -> Any:
    found = getattr(_numpy, name)
    if name in _UNDISPATCHED:
        return _accept_tracers(found)
    if isinstance(found, _numpy.ufunc):
        return _Ufunc(found) if found in _ufuncs or found in _implementations else found
    if callable(found) and not isinstance(found, type) and found in _implementations:
        return _accept_lists(found)
    return found


# everything public, also what NumPy loads on first use
__all__ = [n for n in dir(_numpy) if not n.startswith("_")]  # noqa: PLE0605
for _n in __all__:
    if _n not in ("linalg", "fft"):
        globals()[_n] = _name(_n)

vectorize = _helpers.vectorize
ndenumerate = _helpers.ndenumerate
r_ = _helpers.Rows()
c_ = _helpers.Columns()

from jittape.numpy import fft as fft  # noqa: E402
from jittape.numpy import linalg as linalg  # noqa: E402

del _n


def __getattr__(name: str) -> Any:
    return getattr(_numpy, name)
