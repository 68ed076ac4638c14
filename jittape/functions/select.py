"""Choosing between values by conditions, and comparisons of whole arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.functions.creation import as_array, numeric
from jittape.functions.gather import live_mask, nonzero, truth
from jittape.functions.index import index_update
from jittape.functions.shape import broadcast_to, to_shape
from jittape.ops import elementwise as e
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer, cast

_MASK = np.array([True, False, True])


def promoted(*values: Any) -> list[Any]:
    """Values with the dtype of their combination; Python numbers are weak (NEP 50)."""
    found = [v if _weak(v) else as_array(v) for v in values]
    kinds = [_python_zero(v) if _weak(v) else v.dtype for v in found]
    dtype = numeric(np.result_type(*kinds))
    return [cast(v, dtype) for v in found]


def _weak(v: Any) -> bool:
    return type(v) in (int, float, complex) or (isinstance(v, Tracer) and v._weak)


def _python_zero(v: Any) -> Any:
    kind = v.dtype.kind if isinstance(v, Tracer) else np.asarray(v).dtype.kind
    return {"f": 0.0, "c": 0j}.get(kind, 0)


@implements(
    np.where,
    cases=(
        Case((_MASK, (3,), (2, 1))),
        Case((_MASK, (3,), 0.0), name="number"),
        Case((np.array([[1.0], [0.0]]), (), (3,)), name="float condition"),
    ),
)
def where(condition: Any, /, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return nonzero(condition)
    if x is None or y is None:
        raise ValueError("either both or neither of x and y should be given")
    return e.where(truth(live_mask(condition)), *promoted(x, y))


@implements(
    np.select,
    cases=(
        Case(([_MASK, ~_MASK], [(3,), (3,)])),
        Case(([_MASK], [(3,)]), {"default": 1.5}, "default"),
    ),
)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    if not len(condlist):
        raise ValueError("select with an empty condition list is not possible")
    conditions = [live_mask(c) for c in condlist]
    for i, c in enumerate(conditions):
        if c.dtype.kind != "b":
            raise TypeError(f"invalid entry {i} in condlist: should be boolean ndarray")
    *choices, result = promoted(*choicelist, default)
    for c, choice in reversed(list(zip(conditions, choices, strict=True))):
        result = e.where(c, choice, result)
    return result


@implements(np.choose, cases=(Case((np.array([0, 1, 1]), [(3,), (3,)])),))
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    if out is not None:
        raise TypeError(f"{here()}: out= of choose is not recorded; assign the result instead")
    idx = live_mask(a)
    options = promoted(*choices)
    n = len(options)
    if mode == "raise":
        if np.any((idx < 0) | (idx >= n)):
            raise ValueError("invalid entry in choice array")
    else:
        idx = np.remainder(idx, n) if mode == "wrap" else np.minimum(np.maximum(idx, 0), n - 1)
    result = options[-1]
    for k in range(n - 1, 0, -1):
        result = e.where(np.less(idx, k), options[k - 1], result)
    shape = np.broadcast_shapes(idx.shape, *[o.shape for o in options])
    return broadcast_to(result, shape)


@implements(np.piecewise, kinks="none at the borders: each element belongs to one piece")
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """Each function is called on the elements where its condition holds; how many these are is
    guarded."""
    x = as_array(x)
    scalar = x.ndim == 0
    if scalar:
        x = to_shape(x, (1,))
    single = not isinstance(condlist, (list, tuple)) and as_array(condlist).ndim <= x.ndim - scalar
    conditions = [condlist] if single or not hasattr(condlist, "__len__") else list(condlist)
    if conditions and as_array(conditions[0]).ndim == 0 and not scalar:
        conditions = [condlist]
    conditions = [broadcast_to(truth(live_mask(c)), x.shape) for c in conditions]
    if len(conditions) == len(funclist) - 1:
        rest = ~np.any(np.stack(conditions), axis=0)
        conditions.append(rest)
    elif len(conditions) != len(funclist):
        raise ValueError(
            f"with {len(conditions)} condition(s), either {len(conditions)} or "
            f"{len(conditions) + 1} functions are expected"
        )
    y: Any = np.zeros(x.shape, x.dtype)
    for c, f in zip(conditions, funclist, strict=True):
        if not callable(f):
            y = e.where(c, cast(as_array(f), x.dtype), y)
            continue
        values = x[c]
        if values.size:
            y = index_update(y, c, f(values, *args, **kw))
    return y[0] if scalar else y


# -- comparisons: values of the tape that carry no derivative ------------------------------------


@implements(np.isclose, differentiable=False, cases=(Case(((3,), (3,))),))
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    # Python's numbers have no dtype of their own: 0.1 is compared with float32 as float32
    a, b = (v if type(v) in (int, float, complex) else as_array(v) for v in (a, b))
    near = (np.abs(a - b) <= atol + rtol * np.abs(b)) & np.isfinite(b)
    near = near | (a == b)
    return near | (np.isnan(a) & np.isnan(b)) if equal_nan else near


@implements(np.allclose, differentiable=False, cases=(Case(((3,), (3,))),))
def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> bool:
    return bool(np.all(isclose(a, b, rtol, atol, equal_nan)))


@implements(np.array_equal, differentiable=False, cases=(Case(((3,), (3,))),))
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool:
    a, b = as_array(a1), as_array(a2)
    if a.shape != b.shape:
        return False
    same = a == b
    if equal_nan:
        same = same | (np.isnan(a) & np.isnan(b))
    return bool(np.all(same))


@implements(np.array_equiv, differentiable=False, cases=(Case(((3,), (1,))),))
def array_equiv(a1: Any, a2: Any) -> bool:
    a, b = as_array(a1), as_array(a2)
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return False
    return bool(np.all(a == b))


@implements(np.iscomplex, differentiable=False, cases=(Case(((3,),)),))
def iscomplex(x: Any) -> Any:
    x = as_array(x)
    return np.imag(x) != 0 if x.dtype.kind == "c" else np.zeros(x.shape, np.bool_)


@implements(np.isreal, differentiable=False, cases=(Case(((3,),)),))
def isreal(x: Any) -> Any:
    x = as_array(x)
    return np.imag(x) == 0 if x.dtype.kind == "c" else np.ones(x.shape, np.bool_)
