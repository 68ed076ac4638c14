"""Finding the module of a function that is about to be traced."""

from __future__ import annotations

from typing import Any

from jittape.trace import recorder


def reach_function(fun: Any) -> None:
    """Let the names imported by the module(s) behind this callable record (see trace.patches)."""
    seen = 0
    while fun is not None and seen < 20:
        seen += 1
        namespace = getattr(fun, "__globals__", None)
        if namespace is not None:
            recorder.reach(namespace)
        inner = getattr(fun, "__wrapped__", None) or getattr(fun, "py_func", None)
        if inner is None:
            inner = getattr(fun, "func", None) or getattr(fun, "__func__", None)
        if inner is None and namespace is None and not isinstance(fun, type):
            inner = vars(type(fun)).get("__call__")  # an instance that is callable
        fun = inner
