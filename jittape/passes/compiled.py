"""The loops of the planning passes: interpreted on lists, or compiled for long tapes.

Each is an ordinary function over flat arrays that writes its results into arrays it is given, so
that a small first call never waits for Numba.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

LONG = 4000  # instructions from which on loading a compiled loop (some 30 ms) pays


@functools.cache
def _compiled(function: Callable) -> Any:
    from numba import njit

    return njit(cache=True, nogil=True)(function)


@functools.cache
def _interpreted(function: Callable) -> Callable:
    """`function` on lists, which Python indexes five times faster than arrays."""

    def call(*args: Any) -> Any:
        lists = [a.tolist() if isinstance(a, np.ndarray) else a for a in args]
        result = function(*lists)
        for a, values in zip(args, lists, strict=True):
            if isinstance(a, np.ndarray) and a.flags.writeable:
                a[...] = values
        return result

    return call


def fast(function: Callable, n: int) -> Callable:
    return _compiled(function) if n > LONG else _interpreted(function)
