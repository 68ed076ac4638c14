"""Which numbers occur in an array of indices: np.unique for the arrays of a tape.

np.unique sorts, and its first call imports numpy.ma, which takes longer than a small first
gradient. The numbers here are mostly small (signatures, values), so that counting them does.
"""

from __future__ import annotations

import numpy as np


def present(numbers: np.ndarray) -> np.ndarray:
    """The distinct values of an array of integers >= 0, in ascending order."""
    if not numbers.size:
        return numbers
    if numbers.max() <= 8 * numbers.size + 1024:
        return np.flatnonzero(np.bincount(numbers))
    ordered = np.sort(numbers)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]


def distinct(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct values of an array of integers >= 0, in ascending order, and for each element
    which of them it is."""
    values = present(numbers)
    if not len(values):
        return values, np.zeros(0, np.int64)
    if values[-1] <= 8 * numbers.size + 1024:
        number = np.empty(int(values[-1]) + 1, np.int64)
        number[values] = np.arange(len(values))
        return values, number[numbers]
    return values, np.searchsorted(values, numbers)
