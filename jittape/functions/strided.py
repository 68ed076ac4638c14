"""np.lib.stride_tricks.as_strided and the strides of traced arrays.

Traced values lie in memory as NumPy's would (tracing.views), so that strides mean what they mean
there. A strided view that is slices of the whole is a view on the tape; any other (overlapping
windows) reads elements by their positions, follows later writes, and is not written through.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.functions.creation import as_array
from jittape.functions.shape import permuted, to_shape
from jittape.ops import index as ops
from jittape.ops.declare import Case, signature
from jittape.tracing import patches
from jittape.tracing.dispatch import implements
from jittape.tracing.patches import PatchedNumpy
from jittape.tracing.recorder import here
from jittape.tracing.strided import view_of
from jittape.tracing.views import Reread, layout_of, root_of
from jittape.types import aval_of

_plain = np.lib.stride_tricks.as_strided


@implements(
    _plain,
    cases=(
        Case(((5,),), {"shape": (3, 3), "strides": (8, 8)}, "windows"),
        Case(((3, 4),), {"shape": (3,), "strides": (40,)}, "a diagonal"),
        Case(((3, 4),), {"shape": (2, 2, 2, 3), "strides": (32, 8, 32, 8)}, "of a matrix"),
        Case(((4,),), {"shape": (3, 4), "strides": (0, 8)}, "broadcast"),
    ),
)
def as_strided(
    x: Any,
    shape: Any = None,
    strides: Any = None,
    subok: bool = False,
    writeable: bool = True,
    check_bounds: Any = None,
) -> Any:
    x = as_array(x)
    shape = x.shape if shape is None else tuple(int(n) for n in np.atleast_1d(shape))
    strides = x.strides if strides is None else tuple(int(s) for s in np.atleast_1d(strides))
    root = root_of(x)
    whole, part = layout_of(root), layout_of(x)
    # elements in the order in which they lie in memory
    order = sorted(range(whole.ndim), key=lambda a: -whole.strides[a])
    unit = whole.itemsize
    ordered = whole.transpose(order)
    if not ordered.flags.c_contiguous or any(s % x.itemsize for s in strides):
        raise TraceError(
            f"{here()}: as_strided of a traced array whose memory is not contiguous, or by parts "
            "of an element, is not recorded; copy the array with np.array first"
        )
    start = (part.__array_interface__["data"][0] - whole.__array_interface__["data"][0]) // unit
    steps = tuple(s // x.itemsize for s in strides)
    reach = [s * (n - 1) for s, n in zip(steps, shape, strict=True)]
    first = start + sum(r for r in reach if r < 0)
    last = start + sum(r for r in reach if r > 0)
    if 0 not in shape and not 0 <= first <= last < whole.size:
        raise ValueError(
            f"{here()}: as_strided reads outside of the array's memory: elements {first} to "
            f"{last} of {whole.size}"
        )
    line = to_shape(permuted(root, tuple(order)), (whole.size,))
    if 0 in shape:
        return to_shape(line[:0], shape)
    bytewise = tuple(s * unit for s in steps)
    view = view_of(root, whole, start * unit, shape, bytewise)
    if view is not None:
        return view
    idx = start + sum(
        np.arange(n).reshape([-1 if a == b else 1 for b in range(len(shape))]) * s
        for a, (n, s) in enumerate(zip(shape, steps, strict=True))
    )
    idx = np.broadcast_to(idx, shape).astype(np.int64)
    return Reread(line, signature(ops.take, (), (line._aval, aval_of(idx))), idx)


def _switch() -> None:
    namespace = np.lib.stride_tricks.__dict__
    stand = PatchedNumpy(_plain)  # no name of a module may hold it: they are restored, see patches
    patches.also(_plain, stand)
    patches.switches.append(
        (
            lambda: namespace.update(as_strided=stand),
            lambda: namespace.update(as_strided=_plain),
        )
    )


_switch()
