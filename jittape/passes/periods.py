"""Order in an array of positions: stretches that read several places at once, one step at a time.

The nonzeros of a matrix in CSR order often stand in a few long vectors (the derivative of all
residuals by the first variable, by the second, ...): position e + period is position e, plus 1.
Such a stretch is a transposition, which moves whole vectors; a gather of single elements costs
several times as much.
"""

from __future__ import annotations

import numpy as np

FEWEST = 1024  # positions worth the search
ROWS = 128  # of a stretch, at least
LONGEST = 512  # period
CANDIDATES = 4
LEFT_OVER = 256  # positions outside of stretches, at most
WIDEST = 1024  # vectors, all stretches together


def stretches(index: np.ndarray, first: np.ndarray) -> list[tuple[int, int, int]] | None:
    """(start, period, rows) of consecutive stretches that make up `index`, or None.

    index[start + row * period + k] is index[start + k] + row for all rows. first: where a group of
    positions that belong together begins (all of them are added up); a stretch holds whole
    groups, of the same lengths in each row.
    """
    n = len(index)
    if n < FEWEST:
        return None
    found: list[tuple[int, int, int]] = []
    free = np.ones(n, bool)
    for period in _candidates(index):
        same = (index[period:] - index[:-period] == 1) & (first[period:] == first[:-period])
        same &= free[period:] & free[:-period]
        edges = np.flatnonzero(np.diff(np.r_[False, same, False]))
        low, high = edges[::2], edges[1::2] + period
        long = high - low >= ROWS * period
        for start, end in zip(low[long].tolist(), high[long].tolist(), strict=True):
            start += int(np.argmax(first[start : start + period]))
            rows = (end - start) // period
            end = start + rows * period
            if not first[start] or (end < n and not first[end]):
                rows -= 1
            if first[start] and rows > 1:
                found.append((start, period, rows))
                free[start : start + rows * period] = False
        if not free.any():
            break
    if not found or int(free.sum()) > LEFT_OVER:
        return None
    edges = np.flatnonzero(np.diff(np.r_[False, free, False]))
    found += [(a, b - a, 1) for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)]
    return sorted(found) if sum(period for _, period, _ in found) <= WIDEST else None


def _candidates(index: np.ndarray) -> list[int]:
    """Distances at which the next higher position often stands."""
    n = len(index)
    where = np.full(int(index.max()) + 2, -1, np.int64)
    where[index] = np.arange(n)
    ahead = where[index + 1] - np.arange(n)
    times = np.bincount(ahead[(ahead > 0) & (ahead <= LONGEST)])
    often = np.argsort(-times, kind="stable")[:CANDIDATES]
    return [int(p) for p in often if times[p] >= ROWS]
