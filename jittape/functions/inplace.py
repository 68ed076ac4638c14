"""Writes to traced arrays: item assignment, augmented assignment, out=, and NumPy's in-place calls.

What a handle does when it is written to is in `tracing.views`; here keys, casts and shapes are
brought to what it takes, with NumPy's rules and errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.functions.creation import as_array
from jittape.functions.index import index_add, index_update
from jittape.functions.keys import plan
from jittape.functions.shape import broadcast_to, to_shape
from jittape.ops.elementwise import where as where_op
from jittape.tracing.buffers import traced_handle
from jittape.tracing.dispatch import implements
from jittape.tracing.guards import pin
from jittape.tracing.recorder import here
from jittape.tracing.tracer import OUT, Tracer, cast, tracer_method, writers
from jittape.tracing.views import ViewTracer, current, replace, store


@tracer_method("__setitem__")
def setitem(self: Tracer, key: Any, value: Any) -> None:
    """self[key] = value, with NumPy's broadcasting and casting."""
    value = _as_content(value, self)
    shape = self._aval.shape
    if type(key) is int and len(shape) == 1 and value.size == 1 and -shape[0] <= key < shape[0]:
        store(self, ((key if key >= 0 else key + shape[0], 1, 1),), _squeezed(value))
        return
    p = plan(shape, key)
    if p.rows:
        replace(self, index_update(current(self), key, value))
    elif not shape:
        replace(self, _fitted(value, ()))
    else:
        counts = tuple(n for _, _, n in p.slices)
        if 0 not in counts:
            store(self, p.slices, to_shape(_fitted(value, p.shape), counts))


def _as_content(value: Any, target: Tracer) -> Any:
    """A value to be written, with the dtype of the array it is written to."""
    value = as_array(value)
    if value.dtype.kind == "c" and target.dtype.kind != "c":
        raise TypeError(
            f"{here()}: complex values cannot be written to an array of dtype {target.dtype}; "
            "write their .real, or make the array complex"
        )
    return cast(value, target.dtype)


def _squeezed(value: Any) -> Any:
    return value if not value.ndim else to_shape(as_array(value), ())


def _fitted(value: Any, shape: tuple[int, ...]) -> Any:
    extra = value.ndim - len(shape)
    if extra > 0 and all(n == 1 for n in value.shape[:extra]):
        value = to_shape(as_array(value), value.shape[extra:])
    if value.shape == shape:
        return value
    try:
        return broadcast_to(value, shape)
    except ValueError:
        raise ValueError(
            f"{here()}: could not broadcast input array from shape {value.shape} into shape {shape}"
        ) from None


def assign(target: Tracer, result: Any, casting: str = "same_kind") -> Tracer:
    """target[...] = result as ufuncs do it for out=: no broadcasting, and casting as given."""
    result = as_array(result)
    if result.shape != target.shape:
        raise ValueError(
            f"{here()}: non-broadcastable output operand with shape {target.shape} doesn't match "
            f"the broadcast shape {result.shape}"
        )
    if not np.can_cast(result.dtype, target.dtype, casting=casting):  # type: ignore[arg-type]
        raise TypeError(
            f"{here()}: cannot cast the output from {result.dtype} to {target.dtype} with casting "
            f"rule {casting!r}"
        )
    result = cast(result, target.dtype)
    if type(result) is Tracer and not isinstance(target, ViewTracer) and target.ndim:
        # the result is fresh, and nobody else holds it: the handle takes it over
        target._trace, target._id = result._trace, result._id
        target._value, target._owned = result._value, None
    else:
        replace(target, result)
    return target


def _augmented(name: str) -> Callable:
    forward = f"__{name}__"

    def method(self: Tracer, other: Any) -> Any:
        if not self._aval.ndim and not isinstance(self, ViewTracer):
            return NotImplemented  # a number: Python rebinds the name to self + other
        operator = getattr(Tracer, forward, None)
        if operator is None:
            return NotImplemented
        result = operator(self, other)
        return result if result is NotImplemented else assign(self, result)

    return method


AUGMENTED = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("and", "or", "xor", "lshift", "rshift"),
)
for _name in AUGMENTED:
    tracer_method(f"__i{_name}__")(_augmented(_name))


# -- out= ----------------------------------------------------------------------------------------


@implements(OUT)
def with_out(call: Callable, out: Any, where: Any = True, casting: str = "same_kind") -> Any:
    """The results of call() written to the arrays of out=; where: a mask of what is written."""
    results = call()
    targets = out if isinstance(out, tuple) else (out,)
    several = isinstance(results, tuple)
    kept = []
    for target, result in zip(targets, results if several else (results,), strict=True):
        if target is None:
            kept.append(result)
            continue
        if where is not True:
            result = where_op(where, cast(as_array(result), target.dtype), current(target))
        kept.append(write_into(target, result, casting))
    return tuple(kept) if several else kept[0]


def write_into(target: Any, result: Any, casting: str = "same_kind") -> Any:
    """Write a result to the array a call was given as out=, and return that array."""
    if isinstance(target, Tracer) or isinstance(result, Tracer):
        assign(traced_handle(target, (result,)), result, casting)
    else:
        np.copyto(target, result, casting=casting)  # type: ignore[arg-type]
    return target


# -- NumPy's in-place functions and methods ------------------------------------------------------


@implements(np.ufunc.at)
def ufunc_at(ufunc: np.ufunc, a: Any, indices: Any, b: Any = None) -> None:
    a = traced_handle(a, (b, indices))
    b = as_array(b) if b is not None else None
    if ufunc == np.add or ufunc == np.subtract:
        replace(a, index_add(current(a), indices, b if ufunc == np.add else -b))
        return
    key = as_array(indices)
    if key.dtype.kind == "b" or isinstance(indices, (tuple, slice)):
        raise TraceError(
            f"{here()}: numpy.{ufunc.__name__}.at is recorded for one array of integers; "
            f"write a[indices] = np.{ufunc.__name__}(a[indices], ...)"
        )
    # each round takes the k-th occurrence of every index, so that none occurs twice in it
    numbers = np.ravel(np.asarray(pin(key) if isinstance(key, Tracer) else key)) % a.shape[0]
    if b is not None:
        shape = (*key.shape, *a.shape[1:])
        b = np.reshape(np.broadcast_to(b, shape), (numbers.size, *a.shape[1:]))
    order = np.argsort(numbers, kind="stable")
    run = numbers[order]
    first = np.searchsorted(run, run)
    occurrence = np.arange(run.size) - first
    for k in range(int(occurrence.max(initial=-1)) + 1):
        mine = np.sort(order[occurrence == k])
        now = current(a)
        old = now[numbers[mine]]
        new = ufunc(old) if b is None else ufunc(old, b[mine])
        replace(a, index_update(now, numbers[mine], cast(new, a.dtype)))


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    src = as_array(src)
    dst = traced_handle(dst, (src, where))
    if not np.can_cast(src.dtype, dst.dtype, casting=casting):  # type: ignore[arg-type]
        raise TypeError(f"Cannot cast array data from {src.dtype!r} to {dst.dtype!r}")
    src = _fitted(cast(src, dst.dtype), dst.shape)
    replace(dst, src if where is True else _masked(dst, src, where))


def _masked(dst: Any, src: Any, where: Any) -> Any:
    return where_op(where, cast(as_array(src), dst.dtype), current(dst))


@implements(np.put)
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    a = traced_handle(a, (v, ind))
    if mode != "raise":
        raise TraceError(f"{here()}: np.put with mode={mode!r} is not recorded; use mode='raise'")
    ind = as_array(ind).reshape(-1)
    v = as_array(v).reshape(-1)
    v = v[np.arange(ind.size) % v.size]
    flat = to_shape(current(a), (a.size,))
    replace(a, to_shape(index_update(flat, ind, cast(v, a.dtype)), a.shape))


@implements(np.putmask)
def putmask(a: Any, mask: Any, values: Any) -> None:
    a = traced_handle(a, (values, mask))
    values = as_array(values).reshape(-1)[np.arange(a.size) % np.size(values)].reshape(a.shape)
    replace(a, where_op(mask, cast(values, a.dtype), current(a)))


@implements(np.place)
def place(arr: Any, mask: Any, vals: Any) -> None:
    arr = traced_handle(arr, (vals, mask))
    flat = to_shape(current(arr), (arr.size,))
    (ind,) = np.nonzero(as_array(mask).reshape(-1))
    vals = as_array(vals).reshape(-1)[np.arange(ind.size) % np.size(vals)]
    replace(arr, to_shape(index_update(flat, ind, cast(vals, arr.dtype)), arr.shape))


@implements(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    a = traced_handle(a, (val,))
    if wrap or a.ndim < 2:
        raise TraceError(f"{here()}: np.fill_diagonal is recorded for matrices without wrap only")
    k = np.arange(min(a.shape))
    val = as_array(val).reshape(-1)
    replace(a, index_update(current(a), (k,) * a.ndim, val[k % val.size]))


@tracer_method("fill")
def fill(self: Tracer, value: Any) -> None:
    setitem(self, Ellipsis, value)


@tracer_method("sort")
def sort(self: Tracer, axis: int = -1, kind: Any = None, order: Any = None) -> None:
    assign(self, np.sort(current(self), axis=axis, kind=kind))


@tracer_method("partition")
def partition(self: Tracer, kth: Any, axis: int = -1, kind: str = "introselect") -> None:
    assign(self, np.partition(current(self), kth, axis=axis))


@tracer_method("put")
def _put(self: Tracer, indices: Any, values: Any, mode: str = "raise") -> None:
    put(self, indices, values, mode)


writers.update({np.copyto, np.put, np.putmask, np.place, np.fill_diagonal})
