"""Abstract values: what is known of an array before it is computed (shape and dtype).

Avals are interned, so that two equal avals are one object: the recorder and the passes compare and
hash them by identity.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from jittape.locks import ForkSafeLock


class Aval:
    """Shape and dtype of one value. Never built directly: call `aval`."""

    __slots__ = ("shape", "dtype", "ndim", "size", "__weakref__")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype):
        self.shape = shape
        self.dtype = dtype
        self.ndim = len(shape)
        self.size = prod(shape)

    def __repr__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"

    def __reduce__(self) -> tuple:
        return aval, (self.shape, self.dtype)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def inexact(self) -> bool:
        """Whether derivatives flow through values of this dtype."""
        return self.dtype.kind in "fc"


_table: dict[tuple[tuple[int, ...], np.dtype], Aval] = {}
_lock = ForkSafeLock()


def aval(shape: tuple[int, ...], dtype: Any) -> Aval:
    """The one Aval of this shape and dtype (native byte order)."""
    key = (shape, dtype)
    found = _table.get(key)
    if found is None:
        dt = np.dtype(dtype)
        if not dt.isnative:
            dt = dt.newbyteorder("=")  # makes a new object, and fast paths compare by identity
        key = (tuple(int(n) for n in shape), dt)
        with _lock:
            found = _table.get(key)
            if found is None:
                found = _table[key] = Aval(*key)
    return found


def aval_of(value: Any) -> Aval:
    """The aval of a concrete array, NumPy scalar or Python number."""
    if isinstance(value, (np.ndarray, np.generic)):
        return aval(value.shape, value.dtype)
    return aval((), np.result_type(value))


FLOAT64 = aval((), np.float64)
BOOL = aval((), np.bool_)
