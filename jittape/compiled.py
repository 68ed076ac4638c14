"""Loops over flat arrays that are compiled by Numba only where that pays.

Importing Numba costs more than differentiating a small function does, so the passes' loops are
plain Python that also is valid Numba, and the size of the job decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# below this many steps the interpreted loop is done before Numba is imported
WORTH_COMPILING = 5000


class Loop:
    """A function on arrays and numbers; call it with `size`, the number of steps it will take."""

    def __init__(self, function: Callable):
        self.function = function
        self._compiled: Any = None

    @property
    def compiled(self) -> Any:
        if self._compiled is None:
            from numba import njit

            self._compiled = njit(cache=True)(self.function)
        return self._compiled

    def __call__(self, *args: Any, size: int) -> Any:
        if size < WORTH_COMPILING:
            return self.function(*args)
        return self.compiled(*args)


def loop(function: Callable) -> Loop:
    """Decorator: a Loop of this module-level function."""
    return Loop(function)
