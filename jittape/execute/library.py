"""The compiled sweeps and kernels of this process. Imports Numba only to compile them.

Which there are: whatever the modules below declare with `exported` or `kernel`.
"""

from __future__ import annotations

import ctypes
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from jittape.objects import Loaded, Unit, get, is_kept, is_loaded

_HERE = Path(__file__).parent
_COMPILED = (
    "moves",
    "kernels",
    "products",
    "factors",
    "joins",
    "vector",
    "strips",
    "recurrence",
    "sweep",
    "inner",
    "block_loop",
    "entry",
    "workers",
)
_METH_FASTCALL = 0x80
LOADING, COMPILING = 0.05, 15.0  # seconds


def _build() -> tuple[bytes, dict[str, int]]:
    from jittape.objects.build import build

    for name in _COMPILED:
        import_module(f"jittape.execute.{name}")
    return build(import_module("jittape.execute.primitives").EXPORTS)


# what is written in these files may end up in compiled code
_ALSO = ("config.py", "cpu.py", "passes/opcodes.py", "passes/strip_code.py")
_SOURCES = (*sorted(_HERE.glob("*.py")), *[_HERE.parent / name for name in _ALSO])
_INTERPRETER = Unit("interpreter", _SOURCES, _build, large=True)


def code() -> Loaded:
    """All of it; loaded (or compiled) at the first call."""
    return get(_INTERPRETER)


def wait() -> float:
    """Seconds until the code can be run, roughly: it may have to be loaded, or to be compiled."""
    if is_loaded(_INTERPRETER):
        return 0.0
    return LOADING if is_kept(_INTERPRETER) else COMPILING


def address(name: str) -> int:
    return code().address(name)


def function(name: str) -> Any:
    """It can be called with integers, without the GIL; one call costs half a microsecond."""
    return code().function(name)


class _MethodDef(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("meth", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


_definitions: dict[str, _MethodDef] = {}  # CPython keeps pointers to them


def method(name: str, bound: np.ndarray) -> Any:
    """A compiled PyObject *f(PyObject *self, PyObject *const *args, Py_ssize_t n) as a built-in
    function of Python's, bound to `bound`: called in some 30 ns, with the GIL held."""
    definition = _definitions.get(name)
    if definition is None:
        definition = _MethodDef(name.encode(), address(name), _METH_FASTCALL, None)
        definition = _definitions.setdefault(name, definition)
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return new(ctypes.addressof(definition), bound, None)
