"""What NumPy writes as classes and loops over a Python function, for traced arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from jittape.functions.creation import as_array, holds_tracer, stacked
from jittape.functions.join import concatenate
from jittape.functions.shape import broadcast_to, moveaxis, to_shape
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements
from jittape.tracing.patches import patch_numpy, switches
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer, _describe, tracer_method
from jittape.tracing.views import root_of


def _traced(x: Any) -> bool:
    return isinstance(x, Tracer) or (isinstance(x, (list, tuple)) and holds_tracer(x))


_impl: Any = np.lib._function_base_impl  # type: ignore[attr-defined]


class vectorize(np.vectorize):
    """np.vectorize that also calls its function on each element of traced arrays.

    With traced arguments the function is called once per element of the broadcast arguments (with
    signature=, per element of their leading axes), and its results, or tuples of results, are
    stacked. Raises ValueError where NumPy does: size 0, or shapes that do not fit the signature.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not any(map(_traced, (*args, *kwargs.values()))):
            return super().__call__(*args, **kwargs)
        excluded = self.excluded or set()
        names: list[Any] = [*range(len(args)), *kwargs]
        values: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
        used = [n for n in names if n not in excluded]
        arrays = [as_array(values[n]) for n in used]
        lead, cores, sizes = _core_shapes(self, [a.shape for a in arrays])
        count = math.prod(lead)
        if not arrays or count == 0:
            raise ValueError("cannot call `vectorize` on size 0 inputs unless `otypes` is set")
        flat = [
            to_shape(broadcast_to(a, (*lead, *core)), (count, *core))
            for a, core in zip(arrays, cores, strict=True)
        ]
        results = []
        for k in range(count):
            call = {**values, **{n: a[k] for n, a in zip(used, flat, strict=True)}}
            positional = [call[i] for i in range(len(args))]
            found = self.pyfunc(*positional, **{n: call[n] for n in kwargs})
            results.append(found if isinstance(found, tuple) else (found,))
        _check_results(self, results, sizes)
        parts = [stacked([as_array(r) for r in part]) for part in zip(*results, strict=True)]
        parts = [to_shape(part, (*lead, *part.shape[1:])) for part in parts]
        types = getattr(self, "otypes", None) or "O" * len(parts)
        parts = [p if t == "O" else p.astype(t) for p, t in zip(parts, types, strict=True)]
        return tuple(parts) if isinstance(found, tuple) else parts[0]


def _core_shapes(self: Any, shapes: list[tuple]) -> tuple[tuple, list[tuple], dict | None]:
    """(the leading axes that are looped over, the core shape of each argument, the sizes of the
    signature's axes, or None without a signature)"""
    if getattr(self, "signature", None) is None:
        return np.broadcast_shapes(*shapes), [()] * len(shapes), None
    cores = self._in_and_out_core_dims[0]
    if len(shapes) != len(cores):
        raise TypeError(
            f"wrong number of positional arguments: expected {len(cores)}, got {len(shapes)}"
        )
    # (the shapes are all that NumPy looks at)
    lead, sizes = _impl._parse_input_dimensions([np.broadcast_to(0, s) for s in shapes], cores)
    return lead, [tuple([sizes[d] for d in core]) for core in cores], sizes


def _check_results(self: Any, results: list[tuple], sizes: dict | None) -> None:
    """NumPy's ValueError where results do not fit the signature."""
    if sizes is None:
        return
    cores = self._in_and_out_core_dims[1]
    for found in results:
        if len(found) != len(cores):
            raise ValueError(
                f"wrong number of outputs from pyfunc: expected {len(cores)}, got {len(found)}"
            )
        for result, core in zip(found, cores, strict=True):
            shape = np.shape(result)
            _impl._update_dim_sizes(sizes, np.broadcast_to(0, shape), core)
            if len(shape) != len(core):
                raise ValueError("setting an array element with a sequence.")


class ndenumerate:
    """np.ndenumerate over plain or traced arrays."""

    def __init__(self, arr: Any):
        self._array = as_array(arr)
        self._indices = np.ndindex(*self._array.shape)

    def __next__(self) -> tuple:
        index = next(self._indices)
        return index, self._array[index]

    def __iter__(self) -> Iterator:
        return self


class Rows:
    """np.r_, whose items may be traced. Strings and slices are read by NumPy."""

    _plain: Any = np.r_

    def __getitem__(self, key: Any) -> Any:
        items = key if isinstance(key, tuple) else (key,)
        if not any(map(_traced, items)):
            return self._plain[key]
        if isinstance(items[0], str):
            raise TypeError(f"{here()}: r_ with a directive string is not recorded; concatenate")
        return concatenate([self._item(item) for item in items], axis=self._axis)

    _axis = 0

    def _item(self, item: Any) -> Any:
        a = np.r_[item] if isinstance(item, slice) else as_array(item)
        return to_shape(a, (1,)) if a.ndim == 0 else a

    def __len__(self) -> int:
        return 0


class Columns(Rows):
    """np.c_, whose items may be traced."""

    _plain = np.c_
    _axis = -1

    def _item(self, item: Any) -> Any:
        a = super()._item(item)
        return to_shape(a, (a.size, 1)) if a.ndim == 1 else a


implements(np.fromiter)(lambda iter, dtype, count=-1, **kwargs: as_array(list(iter)).astype(dtype))


@implements(np.isscalar, differentiable=False)
def isscalar(element: Any) -> bool:
    return element.ndim == 0 if isinstance(element, Tracer) else np.isscalar(element)


@implements(
    np.apply_along_axis,
    cases=(Case((np.cumsum, 0, (3, 2))), Case((np.sum, 1, (3, 2)), name="to numbers")),
)
def apply_along_axis(func1d: Callable, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    a = as_array(arr)
    axis = normalize_axis_index(axis, a.ndim)
    lines = moveaxis(a, axis, -1)
    lead = lines.shape[:-1]
    results = [as_array(func1d(lines[i], *args, **kwargs)) for i in np.ndindex(*lead)]
    if not results:
        raise ValueError("Cannot apply_along_axis when any iteration dimensions are 0")
    shape = results[0].shape
    y = to_shape(stacked(results), (*lead, *shape))
    place = tuple(range(axis, axis + len(shape)))
    return moveaxis(y, tuple(range(len(lead), y.ndim)), place)


@implements(np.apply_over_axes, cases=(Case((np.sum, (2, 3, 2)), {"axes": (0, 2)}),))
def apply_over_axes(func: Callable, a: Any, axes: Any) -> Any:
    a = as_array(a)
    for axis in normalize_axis_tuple(axes, a.ndim):
        y = func(a, axis)
        a = y if y.ndim == a.ndim else np.expand_dims(y, axis)
    return a


# -- dtypes and printing -------------------------------------------------------------------------


@implements(np.result_type, differentiable=False)
def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    zeros = {float: 0.0, complex: 0j, int: 0}
    found = [_describe(x) if isinstance(x, Tracer) else x for x in arrays_and_dtypes]
    return np.result_type(*[zeros[x] if type(x) is type and x in zeros else x for x in found])


@implements(np.can_cast, differentiable=False)
def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    return np.can_cast(from_.dtype if isinstance(from_, Tracer) else from_, to, casting)  # type: ignore[arg-type]


@implements(np.min_scalar_type, differentiable=False)
def min_scalar_type(a: Any) -> np.dtype:
    return a.dtype


@implements(np.common_type, differentiable=False)
def common_type(*arrays: Any) -> Any:
    return np.common_type(*[np.empty(0, as_array(a).dtype) for a in arrays])


@implements(np.shares_memory, np.may_share_memory, differentiable=False)
def shares_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    """Whether both are views of one traced array."""
    return root_of(a) is root_of(b)


@implements(np.array2string, np.array_repr, np.array_str, differentiable=False)
def array2string(a: Any, *args: Any, **kwargs: Any) -> str:
    return repr(a)


@tracer_method("tolist")
def tolist(self: Tracer) -> Any:
    """Nested lists of traced numbers (ndarray's gives Python numbers; here they stay traced)."""
    return list_of(self)


def list_of(a: Any) -> Any:
    return [list_of(x) for x in a] if a.ndim else a


def _call_vectorized(self: np.vectorize, /, *args: Any, **kwargs: Any) -> Any:
    """Functions that were vectorised before any trace was open."""
    if any(map(_traced, (*args, *kwargs.values()))):
        return vectorize.__call__(self, *args, **kwargs)  # type: ignore[arg-type]
    return _vectorize_call(self, *args, **kwargs)


_vectorize_call = np.vectorize.__call__


def _switch(call: Callable) -> Callable[[], None]:
    return lambda: setattr(np.vectorize, "__call__", call)


patch_numpy("r_", Rows())
patch_numpy("c_", Columns())
patch_numpy("ndenumerate", ndenumerate)
switches.append((_switch(_call_vectorized), _switch(_vectorize_call)))
