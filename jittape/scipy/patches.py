"""SciPy's own Python functions record while a trace is open.

NumPy's protocols do not reach `scipy.special.logsumexp(t)` or `scipy.linalg.cho_solve(...)`: SciPy
turns their arguments into arrays first. As NumPy's names do (see tracing.patches), these names hold
stand-ins while a trace is open, which record where a tracer is among the arguments and are the
originals otherwise. What records is imported when it is first called.
"""

from __future__ import annotations

import functools
import operator
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from jittape.errors import JittapeWarning
from jittape.ops.declare import original as own
from jittape.scipy import names
from jittape.tracing import patches
from jittape.tracing.buffers import buffers_of, holds, settled
from jittape.tracing.dispatch import arrivals
from jittape.tracing.files import FOREIGN
from jittape.tracing.recorder import open_traces
from jittape.tracing.tracer import Tracer


def recorder(part: str, name: str) -> Callable:
    """What records a name of SciPy: a function of a part, which is imported if it is not yet."""
    return own(getattr(import_module(names.home(part)), name))


class PatchedSciPy(patches.Patched):
    """A function of SciPy, recorded by the function of this name in a part."""

    direct = True

    def __init__(self, original: Callable, part: str, name: str):
        super().__init__(original)
        self.part, self.name = part, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if open_traces() and (holds(args) or (kwargs and holds([*kwargs.values()]))):
            args = tuple([settled(a) for a in args])
            return recorder(self.part, self.name)(*args, **kwargs)
        result = self.original(*args, **kwargs)
        if not open_traces() or sys._getframe(1).f_code.co_filename.startswith(FOREIGN):
            return result
        return buffers_of(result, (*args, *kwargs.values()))  # for the user's code to write to

    def __reduce__(self) -> Any:
        return getattr, (sys.modules[self.original.__module__], self.original.__name__)


def inner(p: Any) -> Any:
    """What holds the numbers of a PPoly or BSpline: since SciPy 1.18 it is an object inside."""
    return getattr(p, "_delegate_to", p)


class _StandIns(NamedTuple):
    """Those of one module of SciPy: (where, name, original, stand-in)."""

    functions: list[tuple[dict[str, Any], str, Any, Any]]
    methods: list[tuple[type, str, Any, Any]]

    def on(self) -> None:
        for namespace, name, _, stand in self.functions:
            namespace[name] = stand
        for owner, name, _, stand in self.methods:
            setattr(owner, name, stand)

    def off(self) -> None:
        for namespace, name, original, stand in self.functions:
            if namespace.get(name) is stand:
                namespace[name] = original
        for owner, name, original, _ in self.methods:
            setattr(owner, name, original)


_known: dict[str, _StandIns] = {}


def complete() -> None:
    """Make the stand-ins of those modules of SciPy that have been imported by now.

    SciPy's insides change from version to version: a module that is not as it was known refuses
    traced values, with a warning here, and leaves everything else as it is.
    """
    for module in names.MODULES:
        if module in sys.modules and module not in _known:
            import_module(module)  # (in another thread that may still be going on)
            unfit = None
            with patches.lock:
                if module not in _known:
                    found = _StandIns([], [])
                    try:
                        found = _StandIns(_functions(module), _methods(module))
                    except (AttributeError, ImportError, LookupError, StopIteration) as e:
                        unfit = e
                    _known[module] = found
                    if patches.any_open():
                        found.on()
            if unfit is not None:
                version = getattr(sys.modules.get("scipy"), "__version__", "unknown")
                warnings.warn(
                    f"jittape does not fit this version of {module} ({version}): what there is no "
                    f"plain NumPy code will refuse traced values ({unfit!r})",
                    JittapeWarning,
                    stacklevel=2,
                )


def _functions(module: str) -> list[tuple[dict[str, Any], str, Any, Any]]:
    found: list[tuple[dict[str, Any], str, Any, Any]] = []
    namespace = vars(sys.modules[module])
    for row in names.FUNCTIONS:
        if row.module != module:
            continue
        others = [vars(import_module(m)) for m in row.inside]
        for name in row.names:
            original = own(namespace.get(name))
            if original is None:
                continue  # this version of SciPy does not have it yet
            stand = PatchedSciPy(original, row.part, name)
            found.append((namespace, name, original, stand))
            for place in others:
                used = own(place.get(name))  # (the public one may be a wrapper of it)
                if used is not None:
                    mine = stand if used is original else PatchedSciPy(used, row.part, name)
                    found.append((place, name, used, mine))
            patches.also(original, stand)
    if module in names.FILLED:
        codes, functions = names.FILLED[module]
        for place in [vars(import_module(code)) for code in codes]:
            for name in functions:
                original = own(getattr(np, name))
                if own(place.get(name)) is original:
                    found.append((place, name, original, patches.PatchedNumpy(original)))
    return found


def _methods(module: str) -> list[tuple[type, str, Any, Any]]:
    found = []
    for row in names.METHODS:
        if row.module != module or not has(row.needs):
            continue
        owner = operator.attrgetter(row.owner)(sys.modules[module])
        owner = owner if isinstance(owner, type) else type(owner)
        for name, record in row.names.items():
            first = next(c for c in owner.__mro__ if name in vars(c))
            classes = [first, *_subclasses(first)] if row.subclasses else [first]
            for c in dict.fromkeys(classes):
                if name in vars(c):
                    original = own(vars(c)[name])
                    stand = _choosing(original, row.part, record, row.holding)
                    found.append((c, name, original, stand))
    return found


def has(needs: tuple[str, str] | None) -> bool:
    return needs is None or hasattr(sys.modules.get(needs[0]), needs[1])


def _subclasses(c: Any) -> list[type]:
    return [d for s in c.__subclasses__() for d in (s, *_subclasses(s))]


def _choosing(original: Callable, part: str, record: str, holding: tuple[str, ...]) -> Callable:
    """A method that records where a tracer is among the arguments, or the object holds one."""

    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if open_traces() and (
            holds(args)
            or (kwargs and holds([*kwargs.values()]))
            or any(isinstance(getattr(inner(self), name, None), Tracer) for name in holding)
        ):
            return recorder(part, record)(self, *[settled(a) for a in args], **kwargs)
        return original(self, *args, **kwargs)

    method.original = original  # type: ignore[attr-defined]
    return method


def _on() -> None:
    for found in _known.values():
        found.on()


def _off() -> None:
    for found in _known.values():
        found.off()


patches.switches.append((_on, _off))
arrivals.append(complete)
