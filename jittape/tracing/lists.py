"""Lists of traced numbers given to NumPy's functions while a trace is open.

NumPy dispatches neither `np.exp([t, u])`, `np.maximum.reduce([t, u])`, `np.clip([t, u], 0, 1)`
nor `np.linalg.norm([t, u])`: it makes arrays of the lists first, which tracers refuse. So these
names hold stand-ins while a trace is open, as those of tracing.patches do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from jittape.tracing import patches
from jittape.tracing.buffers import buffers_of, holds
from jittape.tracing.dispatch import implementations, lookup, ufuncs
from jittape.tracing.files import INNER
from jittape.tracing.operators import of_ufunc
from jittape.tracing.recorder import open_traces
from jittape.tracing.tracer import Tracer, writers

_SEQUENCES = (list, tuple)
_METHODS = ("reduce", "accumulate", "outer", "reduceat", "at")


def _with_arrays(args: tuple) -> tuple:
    """The arguments with lists that hold tracers stacked."""
    for x in args:
        if type(x) in _SEQUENCES and holds(x):
            return tuple([lookup(np.array)(a) if _is_traced(a) else a for a in args])
    return args


def _is_traced(x: Any) -> bool:
    return type(x) in _SEQUENCES and holds(x)


class PatchedUfunc(patches.Patched):
    """A ufunc whose calls, and those of its methods, take lists of tracers."""

    def __init__(self, original: np.ufunc):
        super().__init__(original)
        op = ufuncs.get(original)
        self.on_tracers = None if op is None else of_ufunc(op, original)
        self.nin = original.nin

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return np.ufunc  # for isinstance

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if args and type(args[0]) is Tracer and len(args) == self.nin and not kwargs:
            on_tracers = self.on_tracers
            if on_tracers is not None:
                return on_tracers(*args)
        for x in args:
            if type(x) in _SEQUENCES:
                args = _with_arrays(args)
                break
        result = self.original(*args, **kwargs)
        return _made(result, args, kwargs) if type(result) is np.ndarray else result

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.original, name)
        if name not in _METHODS:
            return found

        def method(*args: Any, **kwargs: Any) -> Any:
            result = found(*_with_arrays(args), **kwargs)
            return _made(result, args, kwargs) if type(result) is np.ndarray else result

        return method


def _made(result: np.ndarray, args: tuple, kwargs: dict) -> Any:
    """What a ufunc makes of plain arrays, for the user's code to write to."""
    caller = sys._getframe(2).f_code.co_filename
    if not open_traces() or kwargs.get("out") is not None or caller.startswith(INNER):
        return result
    return buffers_of(result, args)


# per part of NumPy that is loaded: its namespace, the stand-ins and what they stand for
_parts: dict[str, tuple[dict, dict[str, Any], dict[str, Callable]]] = {}


def _part(module: ModuleType) -> None:
    originals = {n: f for n, f in vars(module).items() if hasattr(f, "_implementation")}
    stands = {n: patches.PatchedNumpy(f) for n, f in originals.items()}
    for name, function in originals.items():
        patches.also(function, stands[name])
    _parts[module.__name__] = (vars(module), stands, originals)


def _on() -> None:
    if "numpy.fft" in sys.modules and "numpy.fft" not in _parts:  # NumPy loads it when it is used
        _part(sys.modules["numpy.fft"])
    for namespace, stands, _ in _parts.values():
        namespace.update(stands)


def _off() -> None:
    for namespace, stands, originals in _parts.values():
        for name, stand in stands.items():
            if namespace.get(name) is stand:
                namespace[name] = originals[name]


def install() -> None:
    """Called once when all functions are known, before `patches.install`."""
    for name, f in list(vars(np).items()):
        if isinstance(f, np.ufunc):
            if f in ufuncs or f in implementations:
                patches.patch_numpy(name, PatchedUfunc(f))
        elif hasattr(f, "_implementation") and f not in writers and not patches.patched(name):
            patches.patch_numpy(name, patches.PatchedNumpy(f))  # NumPy dispatches it
    _part(np.linalg)
    patches.switches.append((_on, _off))
