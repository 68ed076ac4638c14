"""Loops over flat arrays: interpreted on lists, or compiled by Numba for long tapes.

Each is an ordinary function over arrays and numbers that writes its results into arrays it is
given. Loading Numba costs more than differentiating a small function does, so the size of the job
decides, and a small first call never waits for it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

LONG = 4000  # steps from which on loading a compiled loop (some 30 ms) pays
LONG_ALONE = 100_000  # the same where Numba itself was not imported yet (some 500 ms)


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
    """The form of `function` that is quickest for about n steps."""
    enough = LONG if "numba" in sys.modules else LONG_ALONE
    return _compiled(function) if n > enough else _interpreted(function)
