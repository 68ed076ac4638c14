"""Addresses: of NumPy's loops (public PyUFuncObject struct), of arrays' data, of libmvec."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np


class _UFunc(ctypes.Structure):
    _fields_ = [
        ("head", ctypes.c_char * object.__basicsize__),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
    ]


def loop(ufunc: Any, index: int) -> tuple[int, int]:
    """(address, data) of the ufunc's loop number `index`."""
    ufunc = getattr(ufunc, "ufunc", ufunc)  # numba.vectorize wraps its ufunc
    struct = _UFunc.from_address(id(ufunc))
    if struct.nin != ufunc.nin or struct.ntypes != ufunc.ntypes:
        raise RuntimeError("PyUFuncObject is not laid out as expected")
    data = struct.data[index] if struct.data else None
    return int(struct.functions[index] or 0), int(data or 0)


def data_address(a: np.ndarray) -> int:
    return a.__array_interface__["data"][0]
