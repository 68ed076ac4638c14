"""A user's own @njit function called on tracers is traced through its Python body.

While a trace is open, calling a Dispatcher with a tracer among its arguments runs `py_func`;
calls of other functions inside of it come here again. Numba is not imported for this: where the
user has not imported it, there is no such function.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from jittape.tracing import patches
from jittape.tracing.buffers import buffers_of, holds
from jittape.tracing.reach import reach_function
from jittape.tracing.recorder import open_traces

_patched: list[tuple[type, Any]] = []


def _made(result: Any, args: list) -> Any:
    """What compiled code has made of plain arguments, for the user's code to write to."""
    if type(result) is tuple:
        return tuple([_made(r, args) for r in result])
    if type(result) is np.ndarray:
        for a in args:
            if isinstance(a, (list, tuple)):
                return result
            if isinstance(a, np.ndarray) and np.may_share_memory(a, result):
                return result
        return buffers_of(np.array(result))  # (Numba's memory is not NumPy's)
    return result


def _on() -> None:
    module = sys.modules.get("numba.core.dispatcher")
    dispatcher = getattr(module, "Dispatcher", None)
    if dispatcher is None:
        return
    compiled = dispatcher.__call__

    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not open_traces():
            return compiled(self, *args, **kwargs)
        if holds(args) or (kwargs and holds([*kwargs.values()])):
            reach_function(self.py_func)
            return self.py_func(*args, **kwargs)
        plain = [a.view(np.ndarray) if isinstance(a, np.ndarray) else a for a in args]
        return _made(compiled(self, *plain, **kwargs), [*plain, *kwargs.values()])

    dispatcher.__call__ = call
    _patched.append((dispatcher, call))


def _off() -> None:
    while _patched:
        dispatcher, call = _patched.pop()
        if dispatcher.__dict__.get("__call__") is call:
            del dispatcher.__call__


patches.switches.append((_on, _off))
