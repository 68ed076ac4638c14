"""Patterns that are the same for each element of an axis.

The residuals of observation i depend on what was read for observation i; term i of a sum on
element i of each of its variables. Such a pattern is many copies of a small one (of fewer
rows and columns), side by side along that axis, and a colouring of the small one colours it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

Shapes = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class Parts:
    """Elements of some arrays, one after another: which lane each is in, and which of the
    elements within a lane it is. shapes: of the arrays within a lane."""

    lane: np.ndarray
    element: np.ndarray
    shapes: list[tuple[int, ...]]


def colour_lanes(
    pattern: Any, rows: Shapes, columns: Shapes, colour: Callable[[Any], tuple[np.ndarray, int]]
) -> tuple[np.ndarray, int]:
    """colour(pattern), found on one lane where the pattern has lanes.

    rows, columns: the shapes of the arrays whose elements the rows and columns of the csr_array
    are. A lane's pattern is the union of all lanes', so that a colouring that is valid for it is
    valid for each. colour: gives a colour per column, and how many.
    """
    found = _lane(pattern, rows, columns)
    if found is None:
        return colour(pattern)
    small, of_rows, of_columns = found
    colours, count = colour_lanes(small, of_rows.shapes, of_columns.shapes, colour)
    return colours[of_columns.element], count


def _lane(pattern: Any, rows: Shapes, columns: Shapes) -> tuple[Any, Parts, Parts] | None:
    """The pattern of one lane, if the pattern has any."""
    from scipy.sparse import csr_array

    for n in lengths([*rows, *columns]) if rows and columns else []:
        of_rows, of_columns = (lane_parts(s, [x.index(n) for x in s]) for s in (rows, columns))
        at = np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))
        if not np.array_equal(of_rows.lane[at], of_columns.lane[pattern.indices]):
            continue
        shape = tuple(sum(map(prod, p.shapes)) for p in (of_rows, of_columns))
        key = of_rows.element[at] * shape[1] + of_columns.element[pattern.indices]
        if shape[0] * shape[1] <= 8 * len(key):  # a table of all places is quicker than sorting
            used = np.zeros(shape[0] * shape[1], bool)
            used[key] = True
            key = np.flatnonzero(used)
        else:
            key = np.unique(key)
        entries = np.ones(len(key), bool)
        small = csr_array((entries, (key // shape[1], key % shape[1])), shape=shape)
        return small, of_rows, of_columns
    return None


def lengths(shapes: Shapes) -> list[int]:
    """Lengths of axes that all of these arrays have, the longest first."""
    common = set(shapes[0]) if shapes else set()
    for shape in shapes[1:]:
        common &= set(shape)
    return sorted(common - {0, 1}, reverse=True)


def lane_parts(shapes: Shapes, axes: Sequence[int]) -> Parts:
    """Where the elements of arrays of these shapes are, if these axes count lanes."""
    lanes, elements, within = [], [], []
    start = 0
    for shape, axis in zip(shapes, axes, strict=True):
        rest = (*shape[:axis], *shape[axis + 1 :])
        size = prod(rest)
        number = np.arange(start, start + size).reshape(*shape[:axis], 1, *shape[axis + 1 :])
        lane = np.arange(shape[axis]).reshape(-1, *[1] * (len(shape) - axis - 1))
        elements.append(np.broadcast_to(number, shape).ravel())
        lanes.append(np.broadcast_to(lane, shape).ravel())
        within.append(rest)
        start += size
    return Parts(np.concatenate(lanes), np.concatenate(elements), within)
