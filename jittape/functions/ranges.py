"""Ranges between traced ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.functions.creation import as_array, numeric
from jittape.functions.join import concatenate
from jittape.functions.select import promoted
from jittape.functions.shape import moveaxis, to_shape
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements
from jittape.tracing.tracer import Tracer, cast


@implements(
    np.linspace,
    cases=(
        Case((0.5, 2.0, 4)),
        Case(((2,), 1.0, 3), {"axis": -1}),
        Case((0.5, 2.0, 4), {"endpoint": False}, "no endpoint"),
        Case((0.5, 2.0, 1), name="one"),
    ),
)
def linspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    num = num.__index__()
    if num < 0:
        raise ValueError(f"Number of samples, {num}, must be non-negative.")
    start, stop = promoted(start, stop, 1.0)[:2]
    start, stop = as_array(start), as_array(stop)
    div = num - 1 if endpoint else num
    delta = stop - start
    k = np.arange(num, dtype=delta.dtype).reshape((-1,) + (1,) * np.ndim(delta))
    step = delta / div if div > 0 else np.nan
    y = k * step + start if div > 0 else k * delta + start
    if endpoint and num > 1:
        last = np.broadcast_to(stop, y.shape[1:])
        y = concatenate([y[:-1], to_shape(as_array(last), (1, *y.shape[1:]))])
    if dtype is not None:
        kind = numeric(dtype)
        y = cast(np.floor(y) if kind.kind in "iu" else y, kind)
    y = moveaxis(y, 0, axis) if axis else y
    return (y, step) if retstep else y


@implements(np.arange, cases=(Case((0.5, 2.9, 0.5)), Case((2.5,), name="stop")))
def arange(
    start: Any = None, stop: Any = None, step: Any = None, dtype: Any = None, **_: Any
) -> Any:
    """The number of elements is guarded; the elements are traced."""
    if stop is None:
        start, stop = 0, start
    start, stop, step = promoted(start, stop, 1 if step is None else step)
    n = max(int(np.ceil((stop - start) / step)), 0)
    y = start + np.arange(n, dtype=start.dtype) * ((start + step) - start)
    return y if dtype is None else cast(as_array(y), numeric(dtype))


@implements(np.logspace, cases=(Case((0.5, 1.0, 3)), Case((0.5, 1.0, 3), {"base": 2.0})))
def logspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    y = np.power(base, linspace(start, stop, num, endpoint, axis=axis))
    return y if dtype is None else cast(y, numeric(dtype))


@implements(np.geomspace, cases=(Case((0.5, 2.0, 3)), Case((0.5, 2.0, 4), {"endpoint": False})))
def geomspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    start, stop = as_array(start), as_array(stop)
    if start.dtype.kind == "c" or stop.dtype.kind == "c":
        raise TypeError("geomspace of traced complex numbers is not recorded; use exp and linspace")
    for end in (start, stop):  # (in a program for many elements there are NaN instead)
        if (not isinstance(end, Tracer) or end._trace.concrete) and np.any(end == 0):
            raise ValueError("Geometric sequence cannot include zero")
    sign = np.sign(start)
    logs = linspace(np.log10(np.abs(start)), np.log10(np.abs(stop)), num, endpoint)
    y = np.power(10.0, logs) * sign
    ends = [
        to_shape(as_array(np.broadcast_to(x, y.shape[1:])), (1, *y.shape[1:]))
        for x in (start, stop)
    ]
    if y.shape[0] > 0:
        y = concatenate([ends[0], y[1:]])
    if y.shape[0] > 1 and endpoint:
        y = concatenate([y[:-1], ends[1]])
    if dtype is not None:
        y = cast(y, numeric(dtype))
    return moveaxis(y, 0, axis) if axis else y
