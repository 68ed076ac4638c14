"""The loops of the passes, compiled where the tape is long enough to pay for Numba.

Each is an ordinary function over flat arrays, so that a small first call never waits for Numba.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

LONG = 3000  # instructions from which on loading a compiled loop (some 30 ms) pays


@functools.cache
def _compiled(function: Callable) -> Any:
    from numba import njit

    return njit(cache=True, nogil=True)(function)


def fast(function: Callable, n: int) -> Callable:
    return _compiled(function) if n > LONG else function
