"""Addresses: of NumPy's loops (public PyUFuncObject struct), of arrays' data, of libmvec."""

from __future__ import annotations

import ctypes
import functools
import importlib
from typing import Any

import numpy as np

from jittape.ops.declare import original

_PYARRAY_EMPTY = 184  # its place in the table of NumPy's C API, which never changes


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
    ufunc = original(ufunc)
    ufunc = getattr(ufunc, "ufunc", ufunc)  # numba.vectorize wraps its ufunc
    struct = _UFunc.from_address(id(ufunc))
    if struct.nin != ufunc.nin or struct.ntypes != ufunc.ntypes:
        raise RuntimeError("PyUFuncObject is not laid out as expected")
    data = struct.data[index] if struct.data else None
    return int(struct.functions[index] or 0), int(data or 0)


def data_address(a: np.ndarray) -> int:
    if layout_known:  # a fifth of the time
        return _word(id(a) + 16).value
    return _data_address(a)


_word = ctypes.c_int64.from_address


def _data_address(a: np.ndarray) -> int:
    at: int = a.__array_interface__["data"][0]
    return at


def _layout_is_known() -> bool:
    """Whether arrays, scalars and tuples lie in memory as `entry.enter` reads them (the public
    structs of a CPython with the GIL)."""
    word = _word
    a, x, f = np.arange(3.0), np.float64(2.5), 1.5
    both, listed = (a, x), [a, x]
    try:
        return (
            object.__basicsize__ == 16
            and word(id(a) + 8).value == id(np.ndarray)
            and word(id(a) + 16).value == _data_address(a)
            and word(id(a) + 56).value == id(a.dtype)
            and ctypes.c_int32.from_address(id(a) + 64).value & 257 == 257
            and ctypes.c_double.from_address(id(x) + 16).value == 2.5
            and ctypes.c_double.from_address(id(f) + 16).value == 1.5
            and [word(id(both) + 24 + 8 * k).value for k in (0, 1)] == [id(a), id(x)]
            and word(word(id(listed) + 24).value + 8).value == id(x)
            and word(id(listed) + 8).value == id(list)
        )
    except ValueError:
        return False


layout_known = _layout_is_known()


@functools.cache
def interface() -> list[int]:
    """What `entry.enter` calls: the type list, and the addresses of PyTuple_New, PyArray_Empty,
    Py_IncRef, Py_DecRef, PyList_New, PyLong_FromLongLong, PyEval_SaveThread, _RestoreThread."""

    def of(name: str) -> int:
        return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0

    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype = ctypes.c_void_p
    pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    numpy = pointer(importlib.import_module("numpy._core._multiarray_umath")._ARRAY_API, None)
    empty = ctypes.c_int64.from_address(numpy + 8 * _PYARRAY_EMPTY).value
    return [
        id(list), of("PyTuple_New"), empty, of("Py_IncRef"), of("Py_DecRef"), of("PyList_New"),
        of("PyLong_FromLongLong"), of("PyEval_SaveThread"), of("PyEval_RestoreThread"),
    ]  # fmt: skip
