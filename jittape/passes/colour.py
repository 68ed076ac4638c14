"""Colourings: which columns (rows) of a sparse Jacobian or Hessian can be swept together.

Greedy first-fit algorithms of A. Gebremedhin, F. Manne and A. Pothen, "What Color Is Your
Jacobian? Graph Coloring for Computing Derivatives", SIAM Review 47 (2005): distance-2 colouring
for Jacobians, star colouring for symmetric Hessians. Colours are 0, 1, ...
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.compiled import fast


def _first_fit(ptr, rows, row_ptr, columns, colour, forbidden):  # type: ignore[no-untyped-def]
    """Distance-2 colouring: no two columns of one colour share a row."""
    most = 0
    for j in range(len(ptr) - 1):
        for k in range(ptr[j], ptr[j + 1]):
            r = rows[k]
            for m in range(row_ptr[r], row_ptr[r + 1]):
                c = colour[columns[m]]
                if c >= 0:
                    forbidden[c] = j
        c = 0
        while forbidden[c] == j:
            c += 1
        colour[j] = c
        if c + 1 > most:
            most = c + 1
    return most


def colour_columns(pattern: Any) -> tuple[np.ndarray, int]:
    """A colour for each column of a csr_array, such that columns of one colour share no row, and
    the number of colours. Empty columns get colour 0."""
    n = pattern.shape[1]
    by_column = pattern.tocsc()
    lengths = np.diff(pattern.indptr).astype(np.int64)
    colour = np.full(n, -1, dtype=np.int64)
    forbidden = np.full(n + 1, -1, dtype=np.int64)
    most = fast(_first_fit, int((lengths**2).sum()))(
        by_column.indptr.astype(np.int64),
        by_column.indices.astype(np.int64),
        pattern.indptr.astype(np.int64),
        pattern.indices.astype(np.int64),
        colour,
        forbidden,
    )
    return colour, int(most)


def _star(ptr, adjacent, order, colour, forbidden, fixed):  # type: ignore[no-untyped-def]
    """Star colouring: neighbours differ, and each path of 4 vertices has 3 colours or more.

    fixed: vertices from this colour on have a colour of their own and close no path.
    """
    most = 0
    for k in range(len(order)):
        v = order[k]
        for a in range(ptr[v], ptr[v + 1]):
            w = adjacent[a]
            if w == v:
                continue
            cw = colour[w]
            if cw >= fixed:
                continue
            if cw >= 0:
                forbidden[cw] = v
            for b in range(ptr[w], ptr[w + 1]):
                x = adjacent[b]
                cx = colour[x]
                if x == v or x == w or cx < 0 or cx >= fixed or forbidden[cx] == v:
                    continue
                if cw < 0:
                    forbidden[cx] = v
                    continue
                for c in range(ptr[x], ptr[x + 1]):
                    y = adjacent[c]
                    if y != w and y != x and colour[y] == cw:
                        forbidden[cx] = v
                        break
        c = 0
        while forbidden[c] == v:
            c += 1
        colour[v] = c
        if c + 1 > most:
            most = c + 1
    return most


def colour_symmetric(pattern: Any) -> tuple[np.ndarray, int]:
    """A star colouring of a symmetric csr_array, and the number of colours.

    Each entry (i, j) stands alone in the sum of the columns of colour[j] at row i, or in that of
    the columns of colour[i] at row j. Vertices with very many neighbours get a colour of their
    own, which keeps the search short and costs what their dense rows cost anyway.
    """
    n = pattern.shape[0]
    ptr = pattern.indptr.astype(np.int64)
    degree = np.diff(ptr)
    hubs = np.flatnonzero(degree > max(64, int(n**0.5)))
    fixed = n + 1
    colour = np.full(n, -1, dtype=np.int64)
    colour[hubs] = fixed + np.arange(len(hubs))
    order = np.flatnonzero(colour < 0)
    forbidden = np.full(n + 2, -1, dtype=np.int64)
    small = degree[order].astype(np.int64)
    most = fast(_star, int((small**2).sum()))(
        ptr,
        pattern.indices.astype(np.int64),
        order,
        colour,
        forbidden,
        fixed,
    )
    most = int(most)
    colour[hubs] = most + np.arange(len(hubs))
    return colour, most + len(hubs)
