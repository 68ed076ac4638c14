"""Which slices of an array a strided view of its memory is."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops import shape as ops
from jittape.ops.reduce import broadcast_to


def view_of(traced: Any, whole: np.ndarray, start: int, shape: tuple, strides: tuple) -> Any:
    """The view of `traced` that one of these strides, `start` bytes behind the first element, is
    of the memory of `whole`; None where it is no strided slice."""
    if (shape, strides, start) == (whole.shape, whole.strides, 0):
        return traced
    found = as_slices(start, shape, strides, whole.shape, whole.strides)
    if found is None and whole.flags.c_contiguous:
        traced = ops.reshape(traced, shape=(whole.size,))
        found = as_slices(start, shape, strides, (whole.size,), (whole.itemsize,))
        if found is None and contiguous(shape, strides, whole.itemsize):
            size = int(np.prod(shape))
            part: ops.Index = ((start // whole.itemsize, 1, size),)
            return ops.reshape(ops.strided_slice(traced, index=part), shape=shape)
    if found is None:
        return None
    index, order, once = found
    result = ops.strided_slice(traced, index=index)
    rest = [a for a in range(len(index)) if a not in order]
    result = ops.transpose(result, perm=(*order, *rest))
    result = ops.reshape(result, shape=once)
    return result if once == shape else broadcast_to(result, shape=shape)


def contiguous(shape: tuple, strides: tuple, itemsize: int) -> bool:
    """Whether memory of these strides is row-major without gaps."""
    step = itemsize
    for n, s in zip(reversed(shape), reversed(strides), strict=True):
        if n > 1 and s != step:
            return False
        step *= n
    return True


def as_slices(
    start: int, shape: tuple, strides: tuple, whole: tuple, steps: tuple
) -> tuple[ops.Index, tuple[int, ...], tuple[int, ...]] | None:
    """A strided view as a slice per axis of the whole: (index, order of the axes, shape before
    broadcasting), or None where it is none."""
    origin = [0] * len(whole)
    left = start
    for a in sorted(range(len(whole)), key=lambda a: -abs(steps[a])):
        if whole[a] > 1 and steps[a]:
            origin[a], left = divmod(left, steps[a]) if steps[a] > 0 else (0, left)
    if left or any(s < 0 for s in steps):
        return None
    index = [(o, 1, 1) for o in origin]
    order = []
    for n, s in zip(shape, strides, strict=True):
        if n == 1 or s == 0:
            continue
        for a in sorted(range(len(whole)), key=lambda a: -steps[a]):
            if a in order or whole[a] == 1 or s % steps[a]:
                continue
            step = s // steps[a]
            last = origin[a] + step * (n - 1)
            if step and 0 <= last < whole[a]:
                index[a] = (origin[a], step, n)
                order.append(a)
                break
        else:
            return None
    if any(not 0 <= o < n for o, n in zip(origin, whole, strict=True)):
        return None
    once = tuple(1 if s == 0 else n for n, s in zip(shape, strides, strict=True))
    return tuple(index), tuple(order), once
