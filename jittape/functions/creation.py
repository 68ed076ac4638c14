"""Arrays from nested sequences that hold tracers, and arrays like others."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.ops import shape as ops
from jittape.ops.declare import Case
from jittape.ops.reduce import broadcast_to
from jittape.ops.stack import stack
from jittape.tracing import tracer as tracers
from jittape.tracing.dispatch import implements
from jittape.tracing.recorder import here, open_traces
from jittape.tracing.tracer import Tracer, cast, tracer_method
from jittape.types import aval_of


def as_array(x: Any) -> Any:
    """x as a tracer or an ndarray: sequences with tracers are stacked."""
    if isinstance(x, (Tracer, np.ndarray)):
        return tracers.settled(x)
    if isinstance(x, (list, tuple)) and holds_tracer(x):
        return stacked(x)
    return np.asarray(x)


def holds_tracer(x: Any) -> bool:
    """Whether there is a tracer anywhere in these nested lists and tuples."""
    for item in x:
        if isinstance(item, Tracer):
            return True
        if isinstance(item, (list, tuple)) and holds_tracer(item):
            return True
    return False


def constant(x: np.ndarray, live: bool) -> Tracer:
    """A captured array as a tracer of the innermost open trace; while vmap records an element, of
    the trace around it, where its value is known and can be guarded.

    live: the array is the user's own, so that each sweep reads its memory anew.
    """
    traces = open_traces()
    trace = traces[-1]
    while trace.of_batch and trace.level:
        trace = traces[trace.level - 1]
    x = tracers.settled(x)
    return Tracer(trace, trace.add_const(x, live=live), aval_of(x), tracers.value_of(x))


def on_tape(x: Any) -> Any:
    """x as a tracer, so that traced indices read it on the tape (those of a plain array would be
    guarded)."""
    x = as_array(x)
    return x if isinstance(x, Tracer) or not x.ndim else constant(x, live=True)


def stacked(x: list | tuple, dtype: Any = None) -> Any:
    """The array of these nested sequences. Raises ValueError where they are ragged."""
    dims: list[int] = []
    leaves: list[Any] = []
    _flatten(x, dims, 0, leaves)
    leaves = [as_array(leaf) for leaf in leaves]
    shape = leaves[0].shape
    for leaf in leaves:
        if leaf.shape != shape:
            raise ValueError(
                f"{here()}: setting an array element with a sequence: the nested sequences have "
                f"an inhomogeneous shape (elements of shape {shape} and {leaf.shape})"
            )
    if dtype is None:
        dtype = np.result_type(*{leaf.dtype for leaf in leaves})
    dtype = numeric(dtype)
    leaves = [cast(leaf, dtype) for leaf in leaves]
    result = stack(*leaves)
    return result if len(dims) == 1 else ops.reshape(result, shape=(*dims, *shape))


def _flatten(x: Any, dims: list[int], depth: int, leaves: list[Any]) -> None:
    if not isinstance(x, (list, tuple)):
        if depth < len(dims):
            # sequences stand beside arrays: [[t, 1.0], some_array]
            if len(x) != dims[depth]:
                raise ValueError(f"{here()}: the nested sequences have an inhomogeneous shape")
            for item in x:
                _flatten(item, dims, depth + 1, leaves)
        else:
            leaves.append(x)
        return
    if depth == len(dims):
        if leaves:
            leaves.append(x)  # beside arrays: [some_array, [t, 1.0]]
            return
        dims.append(len(x))
    elif len(x) != dims[depth]:
        raise ValueError(f"{here()}: the nested sequences have an inhomogeneous shape")
    for item in x:
        _flatten(item, dims, depth + 1, leaves)


def numeric(dtype: Any) -> np.dtype:
    """A dtype that can be recorded; raises TraceError for object, string and the like."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "fciub":
        raise TraceError(
            f"{here()}: traced values cannot be made an array of dtype {dtype}; "
            "use a real or complex dtype"
        )
    return dtype


def array(
    object: Any,
    dtype: Any = None,
    *,
    copy: Any = True,
    order: Any = "K",
    subok: bool = False,
    ndmin: int = 0,
    like: Any = None,
) -> Any:
    """np.array for arguments that hold tracers."""
    if isinstance(object, (list, tuple)):
        result = stacked(object, dtype) if len(object) else np.asarray(object, dtype)
    else:
        result = object if dtype is None else cast(object, numeric(dtype))
        if getattr(copy, "value", copy) and isinstance(result, Tracer):
            result = result.copy()
    if result.ndim < ndmin:
        result = ops.reshape(result, shape=(1,) * (ndmin - result.ndim) + result.shape)
    return result


def asarray(
    a: Any,
    dtype: Any = None,
    order: Any = None,
    *,
    device: Any = None,
    copy: Any = None,
    like: Any = None,
) -> Any:
    """np.asarray for arguments that hold tracers."""
    return array(a, dtype, copy=bool(copy))


def ascontiguousarray(a: Any, dtype: Any = None, *, like: Any = None) -> Any:
    """np.ascontiguousarray (and asfortranarray: layout does not matter on the tape)."""
    return array(a, dtype, copy=False, ndmin=1)


# no cases: NumPy does not dispatch these, see jittape.numpy
implements(np.array)(array)
implements(np.asarray, np.asanyarray)(asarray)
implements(np.ascontiguousarray, np.asfortranarray)(ascontiguousarray)


@implements(np.asarray_chkfinite)
def asarray_chkfinite(a: Any, dtype: Any = None, order: Any = None) -> Any:
    a = asarray(a, dtype)
    if not np.all(np.isfinite(a)):
        raise ValueError("array must not contain infs or NaNs")
    return a


@implements(np.require)
def require(a: Any, dtype: Any = None, requirements: Any = None, *, like: Any = None) -> Any:
    return asarray(a, dtype)


@implements(np.copy, cases=(Case(((2, 3),)),))
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    return array(a)


@tracer_method("copy")
def _copy(self: Tracer, order: str = "C") -> Any:
    if type(self) is not Tracer:
        return ops.reshape(self, shape=self.shape)
    # values of the tape are immutable, so that another tracer of the same value is a copy
    return Tracer(self._trace, self._id, self._aval, self._value, self._weak)


@tracer_method("__copy__")
def _copied(self: Tracer) -> Any:
    return self.copy()


@tracer_method("__deepcopy__")
def _deep_copied(self: Tracer, memo: Any) -> Any:
    return self.copy()


@tracer_method("astype")
def astype(
    self: Tracer,
    dtype: Any,
    order: str = "K",
    casting: str = "unsafe",
    subok: bool = True,
    copy: bool = True,
) -> Any:
    dtype = numeric(dtype)
    if not np.can_cast(self.dtype, dtype, casting=casting):  # type: ignore[arg-type]
        raise TypeError(
            f"Cannot cast array data from {self.dtype!r} to {dtype!r} according to the rule "
            f"{casting!r}"
        )
    result = cast(self, dtype)
    return result.copy() if result is self and copy else result


implements(np.astype)(lambda x, dtype, /, *, copy=True, device=None: as_array(x).astype(dtype))


def _like(a: Any, dtype: Any, shape: Any) -> tuple[tuple[int, ...], np.dtype]:
    a = as_array(a)
    if shape is None:
        shape = a.shape
    elif not isinstance(shape, (tuple, list)):
        shape = (int(shape),)
    return tuple(int(n) for n in shape), np.dtype(a.dtype if dtype is None else dtype)


def _keywords(name: str, value: Any) -> Any:
    def like(
        a: Any,
        dtype: Any = None,
        order: str = "K",
        subok: bool = True,
        shape: Any = None,
        *,
        device: Any = None,
    ) -> Any:
        shape, dtype = _like(a, dtype, shape)
        return np.full(shape, value, dtype)

    like.__name__ = name
    return like


implements(np.zeros_like, cases=(Case(((2, 3),)),), differentiable=False)(
    _keywords("zeros_like", 0)
)
implements(np.ones_like, cases=(Case(((2, 3),)),), differentiable=False)(_keywords("ones_like", 1))


@implements(np.empty_like, differentiable=False)
def empty_like(
    prototype: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Any:
    """What NumPy leaves undefined is zero here, so that two traces agree."""
    return np.zeros(*_like(prototype, dtype, shape))


@implements(np.full_like, cases=(Case(((2, 3), 2.0)), Case(((2,), ()), name="traced value")))
def full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Any:
    shape, dtype = _like(a, dtype, shape)
    return full(shape, fill_value, dtype)


def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", **kwargs: Any) -> Any:
    """np.full, whose value may be traced."""
    fill = as_array(fill_value)
    if not isinstance(fill, Tracer):
        return np.full(shape, fill, dtype)
    if not isinstance(shape, (tuple, list)):
        shape = (shape,)
    if dtype is not None:
        fill = cast(fill, numeric(dtype))
    return broadcast_to(fill, shape=tuple(int(n) for n in shape))


implements(np.full)(full)
