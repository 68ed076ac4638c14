"""The nonzeros of a sparse matrix, brought from where sweeps leave them into CSR order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from jittape.ops import shape as layout
from jittape.ops.elementwise import add, converted
from jittape.ops.index import scatter_add, take
from jittape.ops.stack import stack
from jittape.passes.periods import stretches


class Pattern:
    """What a csr_array needs besides its data. A class of its own, so that it is no container."""

    def __init__(self, shape: tuple[int, int], indptr: np.ndarray, indices: np.ndarray):
        self.shape = shape
        self.indptr = indptr
        self.indices = indices


def row_numbers(pattern: Any) -> np.ndarray:
    """The row of each nonzero."""
    return np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))


def assembled(
    values: tuple[list[Any], np.ndarray],
    pattern: Any,
    rows: np.ndarray,
    columns: np.ndarray,
    shape: tuple[int, int],
) -> tuple[Any, Pattern]:
    """The nonzeros of the matrix and its pattern, from those of `pattern`.

    For a Jacobian, rows[i] is the row of `pattern` that row i is; for a Hessian (shape of the
    pattern known to be of variables) rows are renamed as the columns are: each entry of `pattern`
    is added to that of its source row and column.
    """
    parts, place = values
    entry = np.arange(len(pattern.indices))
    row = row_numbers(pattern)
    if rows is columns:
        row = rows[row]
    elif not np.array_equal(rows, np.arange(pattern.shape[0])):
        lengths = np.diff(pattern.indptr)[rows]
        within = np.arange(int(lengths.sum())) - np.repeat(lengths.cumsum() - lengths, lengths)
        entry = np.repeat(pattern.indptr[rows], lengths) + within
        row = np.repeat(np.arange(len(rows)), lengths)
    column = columns[pattern.indices[entry]]
    key = row.astype(np.int64) * shape[1] + column
    if len(key) and (np.diff(key) <= 0).any():
        order = np.argsort(key, kind="stable")
        key, entry = key[order], entry[order]
    first = np.r_[True, key[1:] != key[:-1]] if len(key) else np.zeros(0, bool)
    unique = key[first]
    data = _in_order(parts, place[entry], first)
    small = max(*shape, len(unique)) < 2**31 - 1
    kind = np.int32 if small else np.int64
    indptr = np.searchsorted(unique, np.arange(shape[0] + 1, dtype=np.int64) * shape[1])
    return data, Pattern(shape, indptr.astype(kind), (unique % max(shape[1], 1)).astype(kind))


def _in_order(parts: Sequence[Any], index: np.ndarray, first: np.ndarray) -> Any:
    """The elements `index` of these values (counted over all of them), each group (from one true
    element of `first` to the next) added up."""
    dtype = np.result_type(*[v.dtype for v in parts]) if parts else np.dtype(np.float64)
    parts = [converted(v, dtype) for v in parts]
    found = stretches(index, first)
    ends = np.cumsum([v.size for v in parts], dtype=np.int64)
    if found is not None:
        pieces = [_stretch(parts, ends, index, first, *f) for f in found]
        return pieces[0] if len(pieces) == 1 else layout.concatenate(*pieces, axis=0)
    data = _joined(parts)
    if len(index) != np.shape(data)[0] or not np.array_equal(index, np.arange(len(index))):
        data = take(data, index)
    if not first.all():
        data = scatter_add(np.cumsum(first) - 1, data, n=int(first.sum()))
    return data


def _stretch(
    parts: Sequence[Any],
    ends: np.ndarray,
    index: np.ndarray,
    first: np.ndarray,
    start: int,
    period: int,
    rows: int,
) -> Any:
    """A stretch (see passes/periods.py) as a vector."""
    columns: list[Any] = []
    for e in range(start, start + period):
        x = _piece(parts, ends, int(index[e]), rows)
        if first[e]:
            columns.append(x)
        else:
            columns[-1] = add(columns[-1], x)
    if len(columns) == 1:
        return columns[0]
    if rows == 1:
        return layout.concatenate(*columns, axis=0)
    columns = [layout.reshape(x, shape=(rows, 1)) for x in columns]
    return layout.reshape(layout.concatenate(*columns, axis=1), shape=(rows * len(columns),))


def _piece(parts: Sequence[Any], ends: np.ndarray, start: int, count: int) -> Any:
    """Consecutive elements of these values, as a vector."""
    k = int(np.searchsorted(ends, start, side="right"))
    x = parts[k]
    start -= int(ends[k]) - x.size
    if start + count > x.size:
        low = x.size - start
        rest = _piece(parts, ends, int(ends[k]), count - low)
        return layout.concatenate(_piece(parts, ends, int(ends[k]) - low, low), rest, axis=0)
    width = x.shape[-1] if x.ndim else 1
    if x.ndim < 2 or start % width + count > width:
        x = layout.reshape(x, shape=(x.size,))
        at: tuple[int, ...] = ()
    else:
        at = tuple(int(i) for i in np.unravel_index(start // width, x.shape[:-1]))
        start %= width
    if (start, count) == (0, x.shape[-1]) and not at:
        return x
    index = (*[(i, 1, 1) for i in at], (start, 1, count))
    return layout.reshape(layout.strided_slice(x, index=index), shape=(count,))


def _joined(parts: Sequence[Any]) -> Any:
    """All elements of these values, of one dtype, in one vector."""
    vectors: list[Any] = []
    for single, run in itertools.groupby(parts, key=lambda v: v.ndim == 0):
        if single:  # thousands of them where scalars are read one by one
            vectors.append(stack(*run))
        else:
            vectors += [layout.reshape(v, shape=(v.size,)) for v in run]
    if not vectors:
        return np.zeros(0)
    return vectors[0] if len(vectors) == 1 else layout.concatenate(*vectors, axis=0)
