"""(g y) s, where s y and g (s y) are computed anyway, is g (s y).

The reverse sweep of (s y) y asks for both, since y is read twice; so do all products that a user
wrote with a factor before a square. Rounding differs by an ulp. Where g (s y) is nan because s y
is, the other term of y's adjoint is, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.tape import Tape

PRODUCTS = ("multiply", "amul")
MULTIPLY, AMUL = range(2)


def associate(tape: Tape) -> Tape:
    """The tape with such products computed once."""
    used, inverse = tape.distinct
    kind = np.array([PRODUCTS.index(s.op.name) if s.op.name in PRODUCTS else -1 for s in used])
    if not (kind == AMUL).any():
        return tape
    which = kind[inverse]
    at = np.flatnonzero(which >= 0)
    ends = tape.args[tape.arg_ptr[at][:, None] + [0, 1]].astype(np.int64)
    known = _Products(tape.n_values, which[at], ends, tape.first + at)
    row = np.full(tape.n_values, -1, np.int64)  # of the adjoint's products by their values
    row[tape.first + at] = np.where(which[at] == AMUL, np.arange(len(at)), -1)
    same = np.arange(tape.n_values)
    for k in (0, 1):
        inner = row[ends[:, k]]
        outer = np.flatnonzero(inner >= 0)
        s, gy = ends[outer, 1 - k], ends[inner[outer]]
        for j in (0, 1):
            factor = known.find(MULTIPLY, s, gy[:, 1 - j])
            product = known.find(AMUL, gy[:, j], factor)
            hit = np.flatnonzero((factor >= 0) & (product >= 0))
            for v, w in zip((tape.first + at[outer[hit]]).tolist(), product[hit].tolist(),
                            strict=True):  # fmt: skip
                if tape.aval(v) is tape.aval(w):
                    same[max(v, w)] = same[min(v, w)]
    if (same == np.arange(tape.n_values)).all():
        return tape
    return tape.replace(args=same[tape.args].astype(np.int32), outputs=same[tape.outputs])


class _Products:
    """Where products are computed, by their factors."""

    def __init__(self, n: int, which: np.ndarray, ends: np.ndarray, values: np.ndarray):
        self.n = n
        keys = self.key(which, ends[:, 0], ends[:, 1])
        order = np.argsort(keys, kind="stable")
        self.keys, self.values = keys[order], values[order]

    def key(self, which: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (which * self.n + np.minimum(a, b)) * self.n + np.maximum(a, b)

    def find(self, which: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Values, or -1; so also where an operand is -1."""
        keys = self.key(which, a, b)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where((self.keys[at] == keys) & (np.minimum(a, b) >= 0), self.values[at], -1)
