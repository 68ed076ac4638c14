"""Finding the modules whose code a traced function runs."""

from __future__ import annotations

import weakref
from types import CodeType, FunctionType, ModuleType
from typing import Any

from jittape.tracing import recorder
from jittape.tracing.files import FOREIGN, PACKAGE

# the search is a convenience, not a promise: what it misses raises (see tracing.lost)
_MOST = 200
_known: weakref.WeakKeyDictionary[Any, list[dict]] = weakref.WeakKeyDictionary()


def reach_function(fun: Any) -> None:
    """Let the names imported by the modules behind this callable record (see tracing.patches)."""
    try:
        found = _known.get(fun)
    except TypeError:  # neither hashable nor weakly referenced
        found = _namespaces(fun)
    else:
        if found is None:
            found = _namespaces(fun)
            if isinstance(fun, FunctionType):
                _known[fun] = found
    for namespace in found:
        recorder.reach(namespace)


def _namespaces(fun: Any) -> list[dict]:
    """The globals of this callable and of the functions that it names or closes over, in other
    modules and in classes, too."""
    found: dict[int, dict] = {}
    seen: set[int] = set()
    waiting = [fun]
    while waiting and len(seen) < _MOST:
        f = waiting.pop()
        if id(f) in seen:
            continue
        seen.add(id(f))
        for attribute in ("__wrapped__", "py_func", "func", "__func__", "fun"):
            inner = getattr(f, attribute, None) if not isinstance(f, type) else None
            if callable(inner):
                waiting.append(inner)
        if isinstance(f, type):
            waiting += [v for v in vars(f).values() if isinstance(v, FunctionType)]
            waiting += f.__bases__
            continue
        if not isinstance(f, FunctionType):
            call = vars(type(f)).get("__call__")  # an instance that is callable
            if isinstance(call, FunctionType):
                waiting.append(call)
            continue
        if f.__code__.co_filename.startswith(PACKAGE):
            waiting += [c.cell_contents for c in f.__closure__ or () if _is_set(c)]
            continue
        if f.__code__.co_filename.startswith(FOREIGN):
            continue
        found[id(f.__globals__)] = f.__globals__
        waiting += [c.cell_contents for c in f.__closure__ or () if _is_set(c)]
        names = _names(f.__code__)
        for name in names:
            value = f.__globals__.get(name)
            if isinstance(value, ModuleType):
                if (getattr(value, "__file__", None) or "").startswith(FOREIGN):
                    continue
                inside = [vars(value).get(n) for n in names]
                waiting += [v for v in inside if isinstance(v, (FunctionType, type))]
            elif callable(value):
                waiting.append(value)
    return list(found.values())


def _is_set(cell: Any) -> bool:
    try:
        return callable(cell.cell_contents)
    except ValueError:  # a variable that has no value yet
        return False


def _names(code: CodeType) -> list[str]:
    names = list(code.co_names)
    for c in code.co_consts:
        if isinstance(c, CodeType):
            names += _names(c)
    return names
