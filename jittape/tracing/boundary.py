"""What leaves NumPy's functions: views where NumPy makes views, copies where it makes copies.

Functions of jittape compose layout ops freely, and these make views. Whether the user gets a view
is decided here, by the NumPy function or method that was called. Concrete arrays become Buffers,
so that traced values can be written to them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.tracing import tracer as tracers
from jittape.tracing.buffers import buffers_of, settled
from jittape.tracing.tracer import Tracer
from jittape.tracing.views import ViewTracer, detached, layout_flags

# NumPy functions whose result may share memory with their argument
VIEWS = {
    *(np.reshape, np.ravel, np.transpose, np.permute_dims, np.swapaxes, np.moveaxis, np.rollaxis),
    *(np.squeeze, np.expand_dims, np.atleast_1d, np.atleast_2d, np.atleast_3d, np.matrix_transpose),
    *(np.diagonal, np.diag, np.flip, np.fliplr, np.flipud, np.rot90, np.broadcast_to),
    *(np.broadcast_arrays, np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit, np.unstack),
    *(np.real, np.imag, np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray),
    *(np.asarray_chkfinite, np.require, np.trim_zeros),
    *(np.linalg.diagonal, np.linalg.matrix_transpose, np.lib.stride_tricks.as_strided),
}
# those of them whose result is contiguous, and how
CONTIGUOUS = {
    np.ravel: "C_CONTIGUOUS",
    np.ascontiguousarray: "C_CONTIGUOUS",
    np.asfortranarray: "F_CONTIGUOUS",
}
# ndarray's methods that return copies but may be written with layout ops
COPIES: tuple[str, ...] = (
    "flatten",
    "copy",
    "repeat",
    "take",
    "round",
    "clip",
    "conj",
    "conjugate",
    "compress",
)
COPIES += ("choose", "cumsum", "cumprod", "dot", "trace", "astype", "tolist", "item", "nonzero")


def finished(func: Callable, args: tuple, result: Any) -> Any:
    """The result of a NumPy function as the user gets it."""
    if isinstance(result, Tracer):
        if func in VIEWS:
            return detached(result) if _must_be_copy(func, result) else result
        if isinstance(result, ViewTracer) or any(result is a for a in args):
            return detached(result)
        return result
    if type(result) is np.ndarray:
        return buffers_of(result, args)
    if type(result) is tuple or type(result) is list:
        return type(result)([finished(func, args, r) for r in result])
    return result


def _must_be_copy(func: Callable, result: Tracer) -> bool:
    """Whether a function that promises contiguous memory had to copy for it."""
    order = CONTIGUOUS.get(func)
    return order is not None and result.ndim > 0 and not layout_flags(result)[order]


def _contiguous(method: Callable) -> Callable:
    @functools.wraps(method)
    def wrapper(self: Tracer, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        return detached(result) if _must_be_copy(np.ravel, result) else result

    return wrapper


def _copying(method: Callable) -> Callable:
    @functools.wraps(method)
    def wrapper(self: Tracer, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        if isinstance(result, ViewTracer) or (result is self and kwargs.get("copy", True)):
            return detached(result)
        return result

    return wrapper


def install() -> None:
    """Called once when all methods are attached to Tracer."""
    for name in COPIES:
        method = Tracer.__dict__.get(name)
        if method is not None:
            setattr(Tracer, name, _copying(method))
    Tracer.ravel = _contiguous(Tracer.ravel)  # type: ignore[attr-defined]


tracers.finished = finished
tracers.settled = settled
