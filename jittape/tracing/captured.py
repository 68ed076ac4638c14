"""Captured arrays while a function is traced: the user's own objects, whose type is exchanged.

What a captured array's methods, operators and slices give must be seen by us, so that a traced
value can be written to it: `u = u0.copy(); u[0] = t`. No protocol of NumPy's tells us of
`u0.copy()`, and the array may be held by anything: a global, an attribute, a dict in a list. So
while a trace is open the arrays that the function can reach (if it writes to arrays at all) are
of the type Captured, a subclass of ndarray whose instances lie in memory as ndarrays do: the same
objects, in the same places, with the same content. What they do is in tracing.captured_methods.

All views of them that are made meanwhile are of this type, too, and are made plain again when the
trace closes. A thread that has no open trace gets plain arrays from all of them.

A class statement would give its instances a header for the garbage collector, which arrays do not
have; PyType_FromSpec makes one without. Where an interpreter lays things out otherwise
(`possible`), nothing is exchanged, and such writes are refused.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from jittape.tracing.recorder import Trace, open_traces

_HAVE_GC = 1 << 14  # of a type's flags, as all those of CPython's stable interface
_DEFAULT = 1 << 18
_SIZES = ("__basicsize__", "__itemsize__", "__dictoffset__", "__weakrefoffset__")
_word = ctypes.c_int64.from_address
_TYPE = 8  # where an object's type is, after the count of its references

# a captured array, and what it is called in messages
Named = tuple[np.ndarray, str]


class _Slot(ctypes.Structure):
    _fields_ = [("slot", ctypes.c_int), ("function", ctypes.c_void_p)]


class _Spec(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    ]


def _made() -> type:
    make = ctypes.pythonapi.PyType_FromSpecWithBases
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_void_p, ctypes.py_object]
    spec = _Spec(f"{__name__}.Captured".encode(), 0, 0, _DEFAULT, (_Slot * 1)())
    return make(ctypes.addressof(spec), (np.ndarray,))


def _is_possible(kind: type) -> bool:
    a = np.zeros(1)
    return (
        object.__basicsize__ == 16
        and _word(id(a) + _TYPE).value == id(np.ndarray)
        and all(getattr(kind, n) == getattr(np.ndarray, n) for n in _SIZES)
        and not (kind.__flags__ | np.ndarray.__flags__) & _HAVE_GC
    )


Captured: Any = _made()
possible = _is_possible(Captured)

_hold, _let_go = ctypes.pythonapi.Py_IncRef, ctypes.pythonapi.Py_DecRef
for _f in (_hold, _let_go):
    _f.argtypes = [ctypes.py_object]
    _f.restype = None


def _exchange(a: np.ndarray) -> None:
    """Make a plain array Captured. Instances hold their class, as long as it is one of Python's."""
    if type(a) is np.ndarray:
        _hold(Captured)
        _word(id(a) + _TYPE).value = id(Captured)


def _exchange_back(a: Any) -> None:
    if type(a) is Captured:
        _word(id(a) + _TYPE).value = id(np.ndarray)
        _let_go(Captured)


class Alive:
    """Weak references to objects that come and go by the thousand."""

    __slots__ = ("refs", "limit")

    def __init__(self) -> None:
        self.refs: list[weakref.ref] = []
        self.limit = 32

    def add(self, x: Any) -> None:
        if len(self.refs) >= self.limit:
            self.refs = [r for r in self.refs if r() is not None]
            self.limit = max(32, 2 * len(self.refs))
        self.refs.append(weakref.ref(x))

    def __iter__(self) -> Iterator[Any]:
        for r in self.refs:
            x = r()
            if x is not None:
                yield x


class _Standing:
    """A captured array of open traces. holders: their ids."""

    __slots__ = ("array", "label", "holders")

    def __init__(self, array: np.ndarray, label: str):
        self.array = array
        self.label = label
        self.holders: set[int] = set()


_standing: dict[int, _Standing] = {}
_wholes: dict[int, set[int]] = {}  # those of them by the id of the array that owns their memory
_views: dict[int, Alive] = {}  # by the id of the outermost trace of the thread that made them


def opened(trace: Trace) -> None:
    """Exchange the type of the arrays that this trace captures (called under a lock)."""
    for array, label in trace.captures:
        entry = _standing.get(id(array))
        if entry is None:
            entry = _standing[id(array)] = _Standing(array, label)
            _wholes.setdefault(id(owner(array)), set()).add(id(array))
        entry.holders.add(id(trace))
        if possible:
            _exchange(array)


def closed(trace: Trace) -> None:
    """The counterpart of `opened`; may be called again where it was interrupted."""
    for array, _ in trace.captures:
        entry = _standing.get(id(array))
        if entry is not None:
            entry.holders.discard(id(trace))
            if not entry.holders:
                _leave(array)
    for view in _views.get(id(trace), ()):
        if id(view) not in _standing:
            _exchange_back(view)
    _views.pop(id(trace), None)


def _leave(array: np.ndarray) -> None:
    _exchange_back(array)
    whole = id(owner(array))
    others = _wholes.get(whole, set())
    others.discard(id(array))
    if not others:
        _wholes.pop(whole, None)
    _standing.pop(id(array), None)  # the last: until then this is done again after an interrupt


def after_fork(left: set[int]) -> None:
    """Of all traces, those of these ids live on."""
    for entry in list(_standing.values()):
        entry.holders &= left
        if not entry.holders:
            _leave(entry.array)


def made(self: np.ndarray, obj: Any) -> None:
    """__array_finalize__ of Captured: NumPy has made a view or a copy of one."""
    for trace in open_traces():
        if trace.of_user:
            views = _views.get(id(trace))
            if views is None:
                views = _views[id(trace)] = Alive()
            views.add(self)
            return
    _exchange_back(self)


Captured.__array_finalize__ = made


def owner(a: np.ndarray) -> np.ndarray:
    """The array whose memory a is a view of."""
    while True:
        base = a.base
        if not isinstance(base, np.ndarray):
            base = getattr(base, "base", None)  # as_strided hides the array in an object
            if not isinstance(base, np.ndarray):
                return a
        a = base


def captured_view(result: np.ndarray) -> np.ndarray:
    """result, which shares the memory of an array of the user's, as what is not written to."""
    if type(result) is Captured or not possible:
        return result
    return result.view(Captured)


def origin(a: Any) -> str | None:
    """What the captured array is called that this one is, or is a view of; None for others."""
    found = _standing.get(id(a))
    if found is not None:
        return found.label
    if not _standing or not isinstance(a, np.ndarray):
        return None
    for number in list(_wholes.get(id(owner(a)), ())):
        found = _standing.get(number)
        if found is not None:
            return f"a view of {found.label}"
    return None


# the arrays that a function can reach, if it writes to arrays; put in place by jittape.api
search: list[Callable[[Any], Sequence[Named]]] = []


def reached(fun: Any) -> Sequence[Named]:
    """The arrays to be exchanged while this function is traced."""
    if open_traces() or not search:
        return ()
    return search[0](fun)
