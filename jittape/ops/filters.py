"""Recursive filters, through SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops.declare import Case, Kind, Op, declare
from jittape.ops.shape import concatenate, reshape, strided_slice
from jittape.types import Aval, aval


def _all_pole(a: Any, x: Any) -> np.ndarray:
    from scipy.signal import lfilter

    dtype = np.result_type(a, x)
    run = getattr(lfilter, "original", lfilter)  # (a stand-in while a trace is open)
    return run(np.ones(1, dtype), np.concatenate([np.ones(1, dtype), a]), x).astype(dtype)


def _infer(a: Aval, x: Aval) -> Aval:
    if a.ndim != 1 or not x.ndim:
        raise ValueError(f"all_pole: coefficients {a} of a filter of {x}")
    return aval(x.shape, np.result_type(a.dtype, x.dtype))


def _flip(x: Any) -> Any:
    n = x.shape[-1]
    return strided_slice(x, index=(*((0, 1, k) for k in x.shape[:-1]), (n - 1, -1, n)))


def _delayed(y: Any, k: int) -> Any:
    """y[..., n - k], zeros coming in."""
    n, lead = y.shape[-1], y.shape[:-1]
    k = min(k, n)
    part = strided_slice(y, index=(*((0, 1, m) for m in lead), (0, 1, n - k)))
    return concatenate(np.zeros((*lead, k), y.dtype), part, axis=y.ndim - 1)


def _vjp(g: Any, out: Any, a: Any, x: Any) -> tuple:
    # y = x - sum_k a_k y[n-k]: the adjoint runs the same filter backwards in time
    gx = _flip(all_pole(a, _flip(g)))
    ga = [-np.sum(gx * _delayed(out, k + 1)) for k in range(a.shape[0])]
    joined = [reshape(v, shape=(1,)) for v in ga]
    return concatenate(*joined, axis=0) if len(joined) > 1 else joined[0], gx


def _jvp(tangents: tuple, out: Any, a: Any, x: Any) -> Any:
    ta, tx = tangents
    total = tx
    for k in range(a.shape[0] if ta is not None else 0):
        moved = _delayed(out, k + 1) * strided_slice(ta, index=((k, 1, 1),))
        total = -moved if total is None else total - moved
    return all_pole(a, total)


def _batch(args: list, which: tuple, size: int) -> Any:
    a, x = args
    if not which[0]:
        return all_pole(a, x)  # signals are lines of the last axis already
    lines = [
        all_pole(np.take(a, i, axis=0), np.take(x, i, axis=0) if which[1] else x)
        for i in range(size)
    ]
    return np.stack(lines)


all_pole: Op = declare(
    Op(
        name="all_pole",
        kind=Kind.HOST,
        infer=_infer,
        evaluate=_all_pole,
        vjp=_vjp,
        jvp=_jvp,
        batch=_batch,
        cases=(
            Case((np.array([0.5, -0.2]), (6,))),
            Case((np.array([0.5]), (2, 4)), name="lines"),
        ),
        doc="y with y[n] + a[0] y[n-1] + a[1] y[n-2] + ... = x[n] along the last axis, by SciPy",
    )
)
