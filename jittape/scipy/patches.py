"""SciPy's own Python functions record while a trace is open.

NumPy's protocols do not reach `scipy.special.logsumexp(t)` or `scipy.linalg.cho_solve(...)`: SciPy
turns their arguments into arrays first. As NumPy's names do (see tracing.patches), these names hold
stand-ins while a trace is open, which record where a tracer is among the arguments and are the
originals otherwise.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any

from jittape.tracing import patches
from jittape.tracing.buffers import holds, settled
from jittape.tracing.recorder import open_traces


class PatchedSciPy(patches.Patched):
    """A function of SciPy. record: what it is on tracers."""

    direct = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if open_traces() and (holds(args) or (kwargs and holds([*kwargs.values()]))):
            args = tuple([settled(a) for a in args])
            return self.record(*args, **kwargs)  # type: ignore[misc]
        return self.original(*args, **kwargs)

    def __reduce__(self) -> Any:
        return getattr, (sys.modules[self.original.__module__], self.original.__name__)


_patched: list[tuple[dict[str, Any], str, Any, PatchedSciPy]] = []


def stand_in(
    module: str, names: dict[str, Callable], inside: tuple[str, ...] = (), listed: bool = True
) -> None:
    """While traces are open, these names of a SciPy module record by these functions.

    inside: further modules, whose own Python code calls the functions by these names. listed:
    whether the op reference names them.
    """
    namespace = importlib.import_module(module).__dict__
    others = [vars(importlib.import_module(m)) for m in inside]
    for name, record in names.items():
        original: Any = namespace.get(name)
        if original is None:
            continue  # this version of SciPy does not have it yet
        stand = PatchedSciPy(original, record)
        if listed:
            recorded.setdefault(module, []).append(name)
        _patched.append((namespace, name, original, stand))
        for place in others:
            own = place.get(name)  # (the public one may be a wrapper of it)
            if own is not None:
                mine = stand if own is original else PatchedSciPy(own, record)
                _patched.append((place, name, own, mine))
        patches.also(original, stand)


# what is recorded by SciPy's own names: module -> names, for the op reference
recorded: dict[str, list[str]] = {}


def _on() -> None:
    for namespace, name, _, stand in _patched:
        namespace[name] = stand


def _off() -> None:
    for namespace, name, original, stand in _patched:
        if namespace.get(name) is stand:
            namespace[name] = original


patches.switches.append((_on, _off))


def replace_methods(
    methods: list[tuple[type, str, Callable]],
    concerns: Callable[[Any], bool] = lambda self: False,
) -> None:
    """While traces are open, these methods (class, name, what it is on tracers) of SciPy's classes
    record where a tracer is among the arguments, or `concerns` says that the object holds one."""
    stands = [
        (c, name, vars(c)[name], _choosing(vars(c)[name], f, concerns)) for c, name, f in methods
    ]

    def on() -> None:
        for owner, name, _, stand in stands:
            setattr(owner, name, stand)

    def off() -> None:
        for owner, name, original, _ in stands:
            setattr(owner, name, original)

    patches.switches.append((on, off))


def _choosing(original: Callable, record: Callable, concerns: Callable) -> Callable:
    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if open_traces() and (
            holds(args) or (kwargs and holds([*kwargs.values()])) or concerns(self)
        ):
            return record(self, *[settled(a) for a in args], **kwargs)
        return original(self, *args, **kwargs)

    return method
