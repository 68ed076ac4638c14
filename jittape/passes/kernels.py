"""Which kernel runs an instruction: plain data, no address yet (those belong to the process).

A kernel is (ufunc, index of its loop), or (name of an own kernel, its parameters).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from jittape.ops.declare import Kind, Signature

CASTS = {"?": 0, "l": 1, "f": 2, "d": 3, "D": 4}
CAST_PAIRS = {(0, 3), (1, 3), (2, 3), (3, 2), (0, 2), (1, 2), (0, 1), (3, 4), (4, 3)}
MOVABLE = "?bBhHiIlLfdFDe"


def char(dtype: np.dtype) -> str:
    """Type character, where characters that mean the same are one."""
    c = dtype.char
    return {"q": "l", "Q": "L"}.get(c, c)


@cache
def loop_index(ufunc: Any, ins: str, out: str) -> int | None:
    """Index in the ufunc's table of the loop for exactly these dtypes."""
    for k, types in enumerate(ufunc.types):
        have, _, res = types.replace("q", "l").replace("Q", "L").partition("->")
        if have == ins and (not out or res == out):
            return k
    return None


def find(sig: Signature) -> tuple | None:
    """The kernel of this signature, or None: then NumPy evaluates it."""
    op = sig.op
    kernel = op.kernel
    chars = [char(a.dtype) for a in sig.avals]
    out = char(sig.out.dtype) if sig.out is not None else ""
    if isinstance(kernel, np.ufunc):
        if op.kind is Kind.ELEMENTWISE and (kernel.nout != 1 or kernel.nin > 3):
            return None  # the sweeps pass at most three operands (hyp2f1 has four)
        if op.kind in (Kind.REDUCE, Kind.ACCUMULATE):
            if chars[0] != out:
                return None
            chars = chars * 2
        k = loop_index(kernel, "".join(chars), out)
        return None if k is None else (kernel, k)
    if kernel == "amul" and len(set(chars)) == 1 and chars[0] in "fdFD":
        return ("amul", (4 if chars[0] in "fF" else 8, int(chars[0] in "FD"), 0))
    if kernel == "where" and chars[0] == "?" and out in MOVABLE:
        return ("move", (6, sig.out.dtype.itemsize))
    if kernel == "cast":
        pair = (CASTS.get(chars[0], -1), CASTS.get(out, -1))
        if chars[0] == out:
            return ("move", (3, sig.out.dtype.itemsize))
        return ("cast", pair) if pair in CAST_PAIRS else None
    return None


@cache
def _identity_bytes(ufunc: Any, dtype: np.dtype) -> bytes | None:
    if ufunc == np.maximum or ufunc == np.minimum:
        low = ufunc == np.maximum
        if dtype.kind == "f":
            value = dtype.type(-np.inf if low else np.inf)
        elif dtype.kind in "iu":
            info = np.iinfo(dtype)
            value = dtype.type(info.min if low else info.max)
        else:
            return None
    elif ufunc.identity is None:
        return None
    else:
        value = np.asarray(ufunc.identity).astype(dtype)
    return np.asarray(value).tobytes()


def identity(ufunc: Any, dtype: np.dtype) -> tuple[int, int] | None:
    """The neutral element as two words, or None where there is none."""
    raw = _identity_bytes(ufunc, dtype)
    if raw is None or len(raw) > 16:
        return None
    low, high = np.frombuffer(raw.ljust(16, b"\0"), np.int64)
    return int(low), int(high)
