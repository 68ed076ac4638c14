"""Pickling transformed functions, which other processes are sent.

A decorated function is found under its own name, where its original is hidden: by that name. Any
other is made again from the pickled original. Caches are not sent.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from typing import Any


def _resolve(module: str, qualname: str) -> Any:
    found: Any = sys.modules.get(module)
    if found is None:
        __import__(module)
        found = sys.modules[module]
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def reduce(f: Any) -> tuple:
    """What `__reduce__` of a transformed function returns."""
    module, qualname = getattr(f, "__module__", None), getattr(f, "__qualname__", None)
    if module and qualname and "<" not in qualname and _resolve(module, qualname) is f:
        return _by_name, (module, qualname, _by_value(f) if module == "__main__" else None)
    if f.made_by is None:
        raise pickle.PicklingError(f"{f!r} was not made by a public transform of jittape")
    transform, args, options = f.made_by
    return _again, (transform, f.fun, args, options)


def _again(transform: Callable, fun: Callable, args: tuple, options: dict[str, Any]) -> Any:
    return transform(fun, *args, **options)


def _by_value(f: Any) -> bytes | None:
    """For a process whose __main__ is another one (joblib's workers), where cloudpickle is in
    use: the original function itself."""
    cloudpickle = sys.modules.get("cloudpickle") or sys.modules.get("joblib.externals.cloudpickle")
    if cloudpickle is None or f.made_by is None:
        return None
    transform, args, options = f.made_by
    return cloudpickle.dumps((transform, f.fun, args, options))


def _by_name(module: str, qualname: str, value: bytes | None) -> Any:
    try:
        found = _resolve(module, qualname)
    except ImportError:
        found = None
    if found is None and value is not None:
        found = _again(*pickle.loads(value))
    if found is None:
        raise pickle.UnpicklingError(f"there is no {qualname} in module {module} of this process")
    return found
