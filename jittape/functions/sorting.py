"""Sorting: the order is index data computed on the tape, the values are taken in that order.

The derivative flows to the elements that were taken, so that equal elements do not share it: it
goes by the stable order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from jittape.functions.creation import as_array
from jittape.functions.gather import along
from jittape.functions.shape import ravel, swapaxes
from jittape.ops import sort as ops
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer, tracer_method

_TIES = "equal elements keep their order, and each gets the derivative of its own place"
_CASES = (
    Case(((5,),)),
    Case(((2, 3),), {"axis": 0}),
    Case(((2, 3),), {"axis": None}),
    Case(((0,),), name="empty"),
)


def _plain(name: str, order: Any) -> None:
    if order is not None:
        raise TypeError(f"{here()}: order= of {name} is for structured arrays only")


@implements(np.argsort, cases=_CASES, differentiable=False)
def argsort(
    a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> Any:
    _plain("argsort", order)
    a = as_array(a)
    if axis is None or a.ndim == 0:
        a, axis = ravel(a), -1
    axis = normalize_axis_index(axis, a.ndim)
    # equal elements come in the order in which NumPy's default, which is not stable, leaves them
    stably = bool(stable) or kind in ("stable", "mergesort")
    return swapaxes(ops.argsort(swapaxes(a, axis, -1), stable=stably), axis, -1)


@tracer_method("argsort")
def _argsort(
    self: Tracer, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> Any:
    return argsort(self, axis, kind, order, stable=stable)


@implements(np.sort, cases=_CASES, kinks=_TIES)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    _plain("sort", order)
    a = as_array(a)
    if axis is None:
        a, axis = ravel(a), -1
    axis = normalize_axis_index(axis, a.ndim)
    return along(a, argsort(a, axis, "stable"), axis)


@implements(np.partition, cases=(Case(((5,), 2)), Case(((2, 3), 1), {"axis": 0})), kinks=_TIES)
def partition(
    a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None
) -> Any:
    """Fully sorted, which is one of the results that NumPy promises."""
    _plain("partition", order)
    return sort(a, axis)


@implements(np.argpartition, differentiable=False)
def argpartition(
    a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None
) -> Any:
    _plain("argpartition", order)
    return argsort(a, axis)


@tracer_method("argpartition")
def _argpartition(
    self: Tracer, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None
) -> Any:
    return argpartition(self, kth, axis, kind, order)


@implements(np.sort_complex, kinks=_TIES)
def sort_complex(a: Any) -> Any:
    found = sort(as_array(a))
    return found if found.dtype.kind == "c" else found + 0j


@implements(np.lexsort, differentiable=False, cases=(Case(([(4,), (4,)],)),))
def lexsort(keys: Any, axis: int = -1) -> Any:
    found = [as_array(k) for k in keys]
    if not found:
        raise TypeError("need sequence of keys with len > 0 in lexsort")
    axis = normalize_axis_index(axis, found[0].ndim)
    moved = [swapaxes(k, axis, -1) for k in found]
    return swapaxes(ops.lexsort(*moved), axis, -1)
