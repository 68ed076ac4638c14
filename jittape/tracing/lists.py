"""Lists of traced numbers given to ufuncs and to numpy.linalg while a trace is open.

NumPy dispatches neither `np.exp([t, u])` and `np.maximum.reduce([t, u])` nor
`np.linalg.norm([t, u])`: it makes arrays of the lists first, which tracers refuse. So these names
hold stand-ins while a trace is open, as those of tracing.patches do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.tracing import patches
from jittape.tracing.buffers import holds
from jittape.tracing.dispatch import implementations, lookup, ufuncs
from jittape.tracing.operators import of_ufunc
from jittape.tracing.tracer import Tracer

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
                return self.original(*_with_arrays(args), **kwargs)
        return self.original(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.original, name)
        if name not in _METHODS:
            return found
        return lambda *args, **kwargs: found(*_with_arrays(args), **kwargs)


_linalg: list[tuple[str, Callable, patches.PatchedNumpy]] = []


def _on() -> None:
    for name, _, stand in _linalg:
        np.linalg.__dict__[name] = stand


def _off() -> None:
    for name, original, stand in _linalg:
        if np.linalg.__dict__.get(name) is stand:
            np.linalg.__dict__[name] = original


def install() -> None:
    """Called once when all functions are known, before `patches.install`."""
    for name, ufunc in list(vars(np).items()):
        if isinstance(ufunc, np.ufunc) and (ufunc in ufuncs or ufunc in implementations):
            patches.patch_numpy(name, PatchedUfunc(ufunc))
    for name, function in list(vars(np.linalg).items()):
        if hasattr(function, "_implementation"):  # NumPy dispatches it
            stand = patches.PatchedNumpy(function)
            _linalg.append((name, function, stand))
            patches.also(function, stand)
    patches.switches.append((_on, _off))
