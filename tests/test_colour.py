"""Colourings: what is swept together can be told apart, on copies of a pattern as on one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jittape.passes.colour import colour_columns, colour_symmetric
from jittape.passes.lanes import colour_lanes

sp = pytest.importorskip("scipy.sparse")

patterns = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).random((9, 9)) < 0.25
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(patterns)
def test_column_colouring(dense):
    colour, count = colour_columns(sp.csr_array(dense))
    assert colour.min() >= 0 and colour.max() < count
    for row in dense:
        used = colour[row]
        assert len(set(used.tolist())) == len(used)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(patterns)
def test_star_colouring(dense):
    symmetric = dense | dense.T
    colour, count = colour_symmetric(sp.csr_array(symmetric))
    assert colour.min() >= 0 and colour.max() < max(count, 1)
    for i, j in zip(*np.nonzero(symmetric), strict=True):
        if i != j:
            assert colour[i] != colour[j]
        row = symmetric[i] & (colour == colour[j])
        column = symmetric[j] & (colour == colour[i])
        assert row.sum() == 1 or column.sum() == 1, "an entry can be read directly"


@pytest.mark.parametrize("seed", range(20))
def test_colouring_of_lanes(seed):
    """Copies of a small pattern along an axis: a valid colouring of all, found on one copy."""
    r = np.random.default_rng(seed)
    n, other = 7, int(r.integers(2, 7))
    choices = [(n,), (n, other), (other, n), (other, n, 2), (n, 1)]
    rows, columns = ([choices[k] for k in r.integers(0, 5, size=2)] for _ in range(2))
    parts = [
        [np.moveaxis(a, s.index(n), 0).reshape(n, -1) for a, s in zip(cut, shapes, strict=True)]
        for shapes in (rows, columns)
        for cut in [numbered(shapes)]
    ]
    of_rows, of_columns = (np.concatenate(p, axis=1) for p in parts)
    dense = np.zeros((of_rows.size, of_columns.size), bool)
    small = r.random((of_rows.shape[1], of_columns.shape[1])) < 0.4
    for lane in range(n):
        some = small & (r.random(small.shape) < 0.9)
        dense[np.ix_(of_rows[lane], of_columns[lane])] = some
    asked = []

    def colour_small(pattern):
        asked.append(pattern.shape)
        return colour_columns(pattern)

    colour, count = colour_lanes(sp.csr_array(dense), rows, columns, colour_small)
    assert colour.shape == (of_columns.size,) and colour.max() < count
    for row in dense:
        used = colour[row]
        assert len(set(used.tolist())) == len(used)
    assert asked[0][0] < of_rows.size or not dense.any()
    if other != n:  # a pattern without lanes is coloured as a whole
        dense[of_rows[0, 0], of_columns[1, 0]] = True
        asked.clear()
        colour_lanes(sp.csr_array(dense), [(of_rows.size,)], columns, colour_small)
        assert asked == [dense.shape]


def numbered(shapes):
    """Arrays of these shapes whose elements are numbered, one array after another."""
    out, start = [], 0
    for shape in shapes:
        size = int(np.prod(shape))
        out.append(np.arange(start, start + size).reshape(shape))
        start += size
    return out
