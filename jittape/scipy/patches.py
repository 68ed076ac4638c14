"""SciPy's own Python functions record while a trace is open.

NumPy's protocols do not reach `scipy.special.logsumexp(t)` or `scipy.linalg.cho_solve(...)`: SciPy
turns their arguments into arrays first. As NumPy's names do (see tracing.patches), these names hold
stand-ins while a trace is open, which record where a tracer is among the arguments and are the
originals otherwise.
"""

from __future__ import annotations

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


_patched: list[tuple[dict[str, Any], str, Callable, PatchedSciPy]] = []


def stand_in(module: str, names: dict[str, Callable]) -> None:
    """While traces are open, these names of a SciPy module record by these functions."""
    namespace = importlib.import_module(module).__dict__
    for name, record in names.items():
        original = namespace.get(name)
        if original is None:
            continue  # this version of SciPy does not have it yet
        stand = PatchedSciPy(original, record)
        _patched.append((namespace, name, original, stand))
        patches.also(original, stand)


def _on() -> None:
    for namespace, name, _, stand in _patched:
        namespace[name] = stand


def _off() -> None:
    for namespace, name, original, stand in _patched:
        if namespace.get(name) is stand:
            namespace[name] = original


patches.switches.append((_on, _off))
