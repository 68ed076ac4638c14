"""Strided views: how the elements of a value lie in the buffer of its root.

Views are interned and numbered, so that the passes compare them as integers and what is derived
of a view (its relation to an iteration space, its collapsed strides) is derived once.
"""

from __future__ import annotations

from math import prod

import numpy as np


class View:
    """shape, strides and offset in bytes, within the root's buffer."""

    __slots__ = ("id", "shape", "strides", "offset", "size", "itemsize", "contiguous", "spread")

    def __init__(self, id: int, shape: tuple, strides: tuple, offset: int, itemsize: int):
        self.id = id
        self.shape = shape
        self.strides = strides
        self.offset = offset
        self.size = prod(shape)
        self.itemsize = itemsize
        lines = collapse(shape, strides)
        self.contiguous = not lines or lines == [(self.size, itemsize)]
        self.spread: dict = {}


views: list[View] = []
_table: dict = {}


def view(shape: tuple, strides: tuple, offset: int, itemsize: int) -> View:
    """The one View of this layout."""
    key = (shape, strides, offset, itemsize)
    found = _table.get(key)
    if found is None:
        found = _table[key] = View(len(views), *key)
        views.append(found)
    return found


def contiguous_strides(shape: tuple, itemsize: int) -> tuple:
    """Strides in bytes of a row-major array."""
    strides = []
    step = itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def whole(shape: tuple, itemsize: int) -> View:
    """A row-major array, from its start."""
    return view(shape, contiguous_strides(shape, itemsize), 0, itemsize)


def collapse(shape: tuple, strides: tuple) -> list[tuple[int, int]]:
    """The fewest (count, stride) lines, outermost first; [] for one element."""
    lines: list[tuple[int, int]] = []
    for n, s in zip(shape, strides, strict=True):
        if n == 1:
            continue
        if lines and lines[-1][1] == s * n:
            lines[-1] = (lines[-1][0] * n, s)
        else:
            lines.append((n, s))
    return lines


def broadcast(v: View, shape: tuple) -> tuple:
    """Strides of `v` over a shape it broadcasts to."""
    pad = len(shape) - len(v.shape)
    return (0,) * pad + tuple(0 if n == 1 else s for n, s in zip(v.shape, v.strides, strict=True))


def lines_over(v: View, shape: tuple) -> list[tuple[int, int]]:
    """`collapse` of the view over a shape that it broadcasts to."""
    found = v.spread.get(shape)
    if found is None:
        found = v.spread[shape] = collapse(shape, broadcast(v, shape))
    return found


def lines_over_both(a: tuple, b: tuple, shape: tuple) -> list[tuple[int, int, int]]:
    """Collapse two stride tuples together."""
    lines: list[tuple[int, int, int]] = []
    for n, s, t in zip(shape, a, b, strict=True):
        if n == 1:
            continue
        if lines and lines[-1][1] == s * n and lines[-1][2] == t * n:
            lines[-1] = (lines[-1][0] * n, s, t)
        else:
            lines.append((n, s, t))
    return lines


def layout(name: str, params: tuple, v: View) -> View | None:
    """The view that a LAYOUT op makes of `v`, or None where only a copy will do."""
    if name == "transpose":
        (perm,) = params
        shape = tuple(v.shape[i] for i in perm)
        return view(shape, tuple(v.strides[i] for i in perm), v.offset, v.itemsize)
    if name == "broadcast_to":
        (shape,) = params
        return view(shape, broadcast(v, shape), v.offset, v.itemsize)
    if name == "slice":
        return sliced(v, params[0])
    if name == "reshape":
        (shape,) = params
        strides = reshaped(v, shape)
        return None if strides is None else view(shape, strides, v.offset, v.itemsize)
    return None


def sliced(v: View, index: tuple) -> View:
    """index: (start, step, count) per axis."""
    offset = v.offset
    shape, strides = [], []
    for (start, step, count), s in zip(index, v.strides, strict=True):
        offset += start * s
        shape.append(count)
        strides.append(step * s)
    return view(tuple(shape), tuple(strides), offset, v.itemsize)


def row(v: View, k: int) -> View:
    """v[k]"""
    return view(v.shape[1:], v.strides[1:], v.offset + k * v.strides[0], v.itemsize)


def reshaped(v: View, shape: tuple) -> tuple | None:
    """Strides of `v` under another shape of the same size, or None."""
    lines = collapse(v.shape, v.strides) or [(1, v.itemsize)]
    strides: list[int] = []
    k = len(lines) - 1
    left, step = lines[k]
    for n in reversed(shape):
        if n == 1:
            strides.append(step)
            continue
        if left == 1 and k > 0:
            k -= 1
            left, step = lines[k]
        if left % n:
            return None
        strides.append(step)
        step *= n
        left //= n
    return tuple(reversed(strides))


def as_array(v: View, buffer: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """`buffer`: the root's bytes."""
    return np.ndarray(v.shape, dtype, buffer, v.offset, v.strides)
