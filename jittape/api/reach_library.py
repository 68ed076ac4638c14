"""Library objects that hold a program's state: what to watch of each.

Their code is taken as fixed, so only the data counts: what a context variable is set to, what a
weak reference points at, the contents of a ChainMap.
"""

from __future__ import annotations

import array
import collections
import contextvars
import operator
import os
import types
import weakref
from collections.abc import Callable
from typing import Any

from jittape.api.code_names import module_of
from jittape.api.findings import Findings

_MISSING = object()
# classes written in Python whose instances are their attributes
_ATTRIBUTES_ONLY = ("collections.", "argparse.", "scipy.sparse.", "scipy.interpolate.")


def watch(found: Findings, x: Any, label: str) -> bool:
    """Watch x if it is such an object; whether it is."""
    kind = type(x)
    for klass, look in _KINDS.items():
        if issubclass(kind, klass):
            look(found, x, label)
            return True
    if f"{module_of(kind)}.".startswith(_ATTRIBUTES_ONLY) and hasattr(x, "__dict__"):
        found.push(vars(x), label)
        return True
    return False


def environment(found: Findings) -> None:
    """os.environ, for functions that name it."""
    data = getattr(os.environ, "_data", None)
    if data is not None:
        found.push(data, "os.environ")


def _context_variable(found: Findings, x: Any, label: str) -> None:
    value = x.get(_MISSING)
    found.predicates.append((lambda: x.get(_MISSING) is value, label))
    found.push(value, label)


def _weak(found: Findings, x: Any, label: str) -> None:
    target = weakref.ref(x())
    found.predicates.append((lambda: x() is target(), label))
    found.push(x(), label)


def _bytes(found: Findings, x: Any, label: str) -> None:
    content = x.tobytes()
    found.predicates.append((lambda: x.tobytes() == content, label))


def _proxy(found: Findings, x: Any, label: str) -> None:
    found.containers.append((x, label))
    for v in x.values():
        found.push(v, f"an element of {label}")


def _getter(found: Findings, x: Any, label: str) -> None:
    """attrgetter("a.b"), methodcaller("f", ...), itemgetter(key): names, and values to pass on."""
    _, (*parts,) = x.__reduce__()[:2]
    for part in parts:
        if isinstance(part, str):
            found.name(part.split("."))
        else:
            found.push(part, label)


_KINDS: dict[type, Callable[[Any, Any, str], None]] = {
    contextvars.ContextVar: _context_variable,
    weakref.ref: _weak,
    array.array: _bytes,
    memoryview: _bytes,
    types.MappingProxyType: _proxy,
    operator.attrgetter: _getter,
    operator.methodcaller: _getter,
    collections.ChainMap: lambda found, x, label: found.push(x.maps, label),
}
