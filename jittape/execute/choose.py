"""Where a ufunc's own loop is not the fastest at hand: glibc's libmvec by address.

Measured in ns per float64 on Zen 4 (NumPy 2.4 / libmvec): sin 9.0 / 1.5, cos 9.0 / 1.5, the other
17 functions within 15% of each other, since NumPy has SVML for AVX-512. Where it has not, it
computes all but exp, log and tanh one element at a time, and libmvec's AVX2 variants win on each.
libmvec stays within 4 ulp. JITTAPE_EXACT=1, or `exact = True`, keeps NumPy's values to the bit.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
from typing import Any

import numpy as np

from jittape import cpu

exact = os.environ.get("JITTAPE_EXACT", "") not in ("", "0")

# jittape's own (execute/maths.py), where the CPU has fused multiply-adds on vectors
OWN = {np.exp: "exp_loop", np.tanh: "tanh_loop"}
ALWAYS = {np.sin: "sin", np.cos: "cos"}
WITHOUT_SVML = {
    np.tan: "tan", np.arcsin: "asin", np.arccos: "acos", np.arctan: "atan", np.sinh: "sinh",
    np.cosh: "cosh", np.arcsinh: "asinh", np.arccosh: "acosh", np.arctanh: "atanh",
    np.cbrt: "cbrt", np.exp2: "exp2", np.log2: "log2", np.log10: "log10", np.log1p: "log1p",
    np.expm1: "expm1",
}  # fmt: skip


@functools.cache
def _library() -> Any:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return None
    try:
        return ctypes.CDLL("libmvec.so.1")
    except OSError:
        return None


@functools.cache
def vector_function(ufunc: Any, types: str) -> tuple[int, int] | None:
    """(address of libmvec's function, lanes) where it should replace NumPy's loop."""
    if types != "d->d" or _library() is None:
        return None
    name = ALWAYS.get(ufunc)
    if name is None and not cpu.wide_vectors():
        name = WITHOUT_SVML.get(ufunc)
    if name is None or not cpu.features().get("AVX2"):
        return None
    lanes, prefix = (8, "_ZGVeN8v_") if cpu.wide_vectors() else (4, "_ZGVdN4v_")
    try:
        found = getattr(_library(), prefix + name)
    except AttributeError:
        return None
    return ctypes.cast(found, ctypes.c_void_p).value or 0, lanes


def own_function(ufunc: Any, types: str) -> str | None:
    """Name of jittape's own function that should replace NumPy's loop."""
    return OWN.get(ufunc) if types == "d->d" and cpu.vector_fma() else None
