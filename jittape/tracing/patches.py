"""Names of NumPy and math that record while a trace is open.

NumPy's protocols do not reach np.zeros, np.array([t]), np.sum([t, u]) or math.sin(t). While at
least one trace is open in any thread, these names hold Patched callables, in the modules and in
the globals of the code that is traced (`from math import sin`). A Patched callable does what the
original does, except in a thread with an open trace and when called by code other than jittape's.
It compares and hashes as the original, so that Numba and dispatch tables take it for that.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.locks import ForkSafeLock
from jittape.tracing import captured, recorder
from jittape.tracing.boundary import VIEWS, finished
from jittape.tracing.buffers import buffers_of, holds, settled
from jittape.tracing.captured import Captured, captured_view
from jittape.tracing.dispatch import implementation, load_beside, lookup
from jittape.tracing.files import INNER, PACKAGE, WRITTEN_IN_NUMPY
from jittape.tracing.recorder import Trace, open_traces
from jittape.tracing.tracer import OUT, Tracer


class Patched:
    """Stands in for a function while a trace is open. direct: also where a transform of jittape
    calls it, and not code of the user's."""

    direct = False

    def __init__(self, original: Callable, record: Callable | None = None):
        self.original = original
        self.record = record
        # (all else is looked up in the original, but these two the class has)
        self.__module__ = getattr(original, "__module__", None)  # type: ignore[assignment]
        self.__doc__ = original.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not open_traces():
            return self.original(*args, **kwargs)
        caller = sys._getframe(1).f_code.co_filename
        kind = _callers.get(caller)
        if kind is None:
            kind = _caller(caller)
        if kind is _OURS or (kind is _NUMPY and not holds(args)):
            return self.original(*args, **kwargs)
        return self.run(args, kwargs)

    def run(self, args: tuple, kwargs: dict) -> Any:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return other is self or other is self.original

    def __hash__(self) -> int:
        return hash(self.original)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)

    def __reduce__(self) -> str:
        return self.original.__name__  # as functions are pickled: by module and name

    def __repr__(self) -> str:
        return repr(self.original)


_OURS, _NUMPY, _OTHERS = range(3)
_callers: dict[str, int] = {}  # whose code a file is; jittape's own calls are the most


def _caller(file: str) -> int:
    kind = _OTHERS
    if file.startswith(INNER) and not file.startswith(WRITTEN_IN_NUMPY):
        kind = _OURS if file.startswith(PACKAGE) else _NUMPY
        _callers[file] = kind  # (only these: the user's notebook has a file for each cell)
    return kind


class PatchedNumpy(Patched):
    """A NumPy function whose protocols do not see tracers in its arguments, or whose concrete
    result must see tracers that are written to it later on."""

    def run(self, args: tuple, kwargs: dict) -> Any:
        original = self.original
        if original is _fromiter and args and type(args[0]) is not list:
            args = (list(args[0]), *args[1:])  # what it yields may be traced
        if holds(args) or (kwargs and holds([*kwargs.values()])):
            found = implementation(original)
            if found is not None:
                if kwargs.get("out") is not None:
                    rest = {k: v for k, v in kwargs.items() if k != "out"}
                    return lookup(OUT)(lambda: self.run(args, rest), kwargs["out"])
                args = tuple([settled(a) for a in args]) if original not in ALIASING else args
                return finished(original, args, found.run(*args, **kwargs))
        # what np.empty leaves in memory would make the function look impure
        result = _DEFINITE.get(original, original)(*args, **kwargs)
        given = (*args, *kwargs.values()) if kwargs else args
        if type(result) is np.ndarray and (original in VIEWS or original is _array):
            for x in given:
                if type(x) is Captured and _is_same(result, x):
                    return x  # as NumPy returns a plain array itself
                if hasattr(type(x), "__array__") and not isinstance(x, _OWN):
                    if original is not _array or not kwargs.get("copy", True):
                        return captured_view(result)  # the memory of a pandas.Series
        return buffers_of(result, given)


_OWN = (np.ndarray, np.generic)


def _is_same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are the same elements of the same memory."""
    return a.__array_interface__ == b.__array_interface__


_DEFINITE: dict[Any, Callable] = {np.empty: np.zeros, np.empty_like: np.zeros_like}


_fromiter, _array = np.fromiter, np.array

ALIASING = {np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray}


class PatchedMath(Patched):
    """A function of math or cmath. record: what it is on tracers."""

    direct = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for a in args:
            if isinstance(a, Tracer):
                return self.record(*args, **kwargs)  # type: ignore[misc]
        return self.original(*args, **kwargs)


class PatchedMathOfMany(PatchedMath):
    """A function of math that takes iterables, generators included."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not open_traces():
            return self.original(*args, **kwargs)
        args = tuple([[*a] if hasattr(a, "__iter__") else a for a in args])
        if any(type(a) is list and holds(a) for a in args) or holds([*kwargs.values()]):
            return self.record(*args, **kwargs)  # type: ignore[misc]
        return self.original(*args, **kwargs)


# functions that make arrays of which the user may own the only reference
_CREATE = """
zeros empty ones full zeros_like empty_like ones_like full_like array asarray asanyarray
ascontiguousarray asfortranarray copy arange linspace logspace geomspace eye identity diag
diagflat tri tril triu vander kaiser fromfunction fromiter tile repeat meshgrid indices concatenate
stack vstack hstack column_stack where outer roll reshape
frombuffer fromstring fromfile load loadtxt genfromtxt
"""
_numpy: dict[str, Any] = {name: PatchedNumpy(getattr(np, name)) for name in _CREATE.split()}
_math: dict[str, Any] = {}


def also(original: Callable, stand: Patched) -> None:
    """The globals of traced code that hold `original` hold `stand` while traces are open; the
    module that `original` lives in is for `switches` to patch."""
    _originals[id(original)] = (original, stand)
    _scanned.clear()


def recorded(function: Callable) -> Callable:
    """What a transform calls in place of this function, if it was given one of SciPy's itself."""
    load_beside()
    found = _originals.get(id(function))
    return function if found is None or not found[1].direct else found[1]


def patch_numpy(name: str, standin: Any) -> None:
    """While tracing, np.<name> is `standin`, which does for plain arguments what NumPy does."""
    _numpy_originals[name] = getattr(np, name)
    _numpy[name] = standin


def patched(name: str) -> bool:
    """Whether np.<name> has a stand-in already."""
    return name in _numpy


def patch_math(name: str, record: Callable, kind: type[PatchedMath] = PatchedMath) -> None:
    """While tracing, math.<name> called with a tracer is `record`."""
    _math[name] = kind(getattr(math, name), record)


# -- while traces are open -------------------------------------------------------------------

lock = ForkSafeLock()
_modules = 0  # how many modules were imported when the first trace opened
_open: set[int] = set()  # ids of the concrete traces that are open, in any thread
_originals: dict[int, tuple[Any, Patched]] = {}
_reached: dict[int, tuple[dict, list[str]]] = {}
_scanned: dict[int, tuple[dict, int, list[str]]] = {}
_numpy_originals = {name: p.original for name, p in _numpy.items()}
_math_originals: dict[str, Any] = {}

# further things that are switched with the first and the last open trace: (on, off)
switches: list[tuple[Callable[[], None], Callable[[], None]]] = []


def opened(trace: Trace) -> None:
    """A concrete trace opens in this thread."""
    global _modules
    load_beside()
    with lock:
        first = not _open
        _open.add(id(trace))
        if first:
            _modules = len(sys.modules)
            np.__dict__.update(_numpy)
            math.__dict__.update(_math)
            for on, _ in switches:
                on()
        captured.opened(trace)


def any_open() -> bool:
    """Whether the stand-ins are in place."""
    return bool(_open)


def closed(trace: Trace) -> None:
    """A concrete trace closes in this thread."""
    with lock:
        captured.closed(trace)
        _open.discard(id(trace))
        if not _open:
            _restore()


def _restore() -> None:
    np.__dict__.update(_numpy_originals)
    math.__dict__.update(_math_originals)
    for namespace, names in _reached.values():
        for name in names:
            value = namespace.get(name)
            if isinstance(value, Patched):  # else the user has rebound the name meanwhile
                namespace[name] = value.original
    _reached.clear()
    if len(sys.modules) != _modules:
        _restore_modules()
    for _, off in switches:
        off()


def _restore_modules() -> None:
    """Modules that were imported meanwhile may have taken the patched names for the originals."""
    for module in list(sys.modules.values()):
        namespace = getattr(module, "__dict__", None)
        if type(namespace) is dict:
            for name, value in list(namespace.items()):
                if isinstance(value, Patched) and namespace is not globals():
                    namespace[name] = value.original


def reach(namespace: dict[str, Any]) -> None:
    """Let the names that a module imported from NumPy and math record while traces are open."""
    if id(namespace) in _reached or not _open:
        return
    known = _scanned.get(id(namespace))
    if known is None or known[0] is not namespace or known[1] != len(namespace):
        names = [n for n, v in list(namespace.items()) if id(v) in _originals]
        if len(_scanned) > 1000:
            _scanned.clear()
        known = _scanned[id(namespace)] = (namespace, len(namespace), names)
    with lock:
        if not _open:
            return
        for name in known[2]:
            found = _originals.get(id(namespace.get(name)))
            if found is not None:
                namespace[name] = found[1]
        _reached[id(namespace)] = (namespace, known[2])


def install() -> None:
    """Called once when all functions are known."""
    _math_originals.update({name: p.original for name, p in _math.items()})
    for p in (*_numpy.values(), *_math.values()):
        if isinstance(p, Patched):
            _originals[id(p.original)] = (p.original, p)
    recorder.opened, recorder.closed, recorder.reach = opened, closed, reach


def _after_fork() -> None:
    """Only the forking thread lives on in the child."""
    recorder.anywhere[:] = open_traces()
    _open.intersection_update([id(t) for t in open_traces()])
    captured.after_fork(_open)
    if not _open:
        _restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
