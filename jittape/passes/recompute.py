"""Values that are computed again where they are read, instead of stored and loaded.

Between two groups over one large space, a value costs a store and a load: under 1 ns per float64
in the last-level cache (an exp costs as much: measured, logsumexp at n = 160,000 takes 3.3 ns per
element with exp stored, 5.8 with exp computed three times), about 3 in memory. A few cheap
instructions on what is in memory anyway cost less. A value all of whose later readers can do so
gets no memory at all, and is not even computed in its own group where nothing there reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from jittape.passes import classify as sch
from jittape.passes.classify import FULL, MEMORY
from jittape.passes.schedule import Schedule

LARGE = 1 << 17  # bytes from which on a value is out of the L1 and much of the L2 cache
HUGE = 1 << 24  # bytes from which on it is out of the last-level cache too
LIMIT = 0.75  # ns per element that recomputing may cost
LIMIT_HUGE = 1.8
LOAD = 0.4
SIMPLE = 0.06  # within a run of kernels (passes/strips.py), where most are
COST: dict = {
    np.exp: 0.5, np.tanh: 0.8, np.log: 0.9, np.sin: 0.9, np.cos: 0.9, np.sqrt: 0.35,
    np.divide: 0.35, np.reciprocal: 0.35,
} | dict.fromkeys(
    (np.add, np.subtract, np.multiply, np.negative, np.maximum, np.minimum, np.square,
     np.absolute, np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
     np.logical_and, np.logical_or, np.logical_not, np.sign, "amul", "move", "cast"),
    SIMPLE,
)  # fmt: skip


@dataclass(eq=False)
class Recomputed:
    virtual: np.ndarray  # value: has no memory, later readers compute it again
    needed: np.ndarray  # instruction: is executed in its own step
    extra: list  # (instruction, root value) pairs: what the readers read instead


def recompute(s: Schedule, step: np.ndarray) -> Recomputed:
    """Which values are computed again by their readers; see the text of this module."""
    tape = s.tape
    n, first = len(tape), tape.first
    found = Recomputed(np.zeros(tape.n_values, np.bool_), np.ones(n, np.bool_), [])
    large = np.array([f.kind == sch.ELEM and 8 * f.n >= LARGE for f in s.infos])
    if not large.any():
        return found
    may = large[s.info] & (s.level == FULL) & (s.space > 0)
    if not may.any():
        return found
    uses = _Uses(s, step, may)
    cheap = uses.cheap()
    virtual = may & cheap & uses.crossing & ~uses.stored
    if not virtual.any():
        return found
    found.virtual[first:] = virtual
    # Backward: what its own step still has to compute.
    in_group = s.space > 0
    needed = ~in_group | uses.stored | (s.level == MEMORY) | ~uses.used
    needed |= uses.crossing & ~virtual
    order = s.order.tolist()
    for i in reversed(order):
        if needed[i] and in_group[i]:
            for r, _ in uses.operands(i):
                if r >= first and step[r - first] == step[i]:
                    needed[r - first] = True
    found.needed = needed
    leaves: dict[int, frozenset] = {}

    def leaves_of(r: int) -> frozenset:
        known = leaves.get(r)
        if known is None:
            known = frozenset()
            for q, _ in uses.operands(r - first):
                again = q >= first and cheap[q - first] and not uses.stored[q - first]
                known |= leaves_of(q) if again else frozenset((q,))
            leaves[r] = known
        return known

    for i in order:
        if not needed[i] or not in_group[i]:
            continue
        for r, _ in uses.operands(i):
            if r >= first and virtual[r - first] and step[r - first] != step[i]:
                found.extra += [(i, q) for q in leaves_of(r)]
    return found


class _Uses:
    """Who reads what, for the instructions of groups."""

    def __init__(self, s: Schedule, step: np.ndarray, may: np.ndarray):
        self.s, self.may = s, may
        tape = s.tape
        first, n = tape.first, len(tape)
        self.first = first
        self.stored = np.zeros(n, np.bool_)  # in memory whatever we decide
        self.crossing = np.zeros(n, np.bool_)  # read in another step
        self.used = np.zeros(n, np.bool_)
        self._operands: dict[int, list] = {}
        roots = s.root[tape.outputs]
        self.stored[roots[roots >= first] - first] = True
        for i in s.order.tolist():
            group = s.space[i] > 0
            for r, rel in self.operands(i):
                if r < first:
                    continue
                q = r - first
                self.used[q] = True
                if step[q] == step[i] and group:
                    continue
                self.crossing[q] = True
                same = group and s.space[i] == s.space[q] and rel == sch.IDENT
                if not same:
                    self.stored[q] = True

    def operands(self, i: int) -> list[tuple[int, int]]:
        """(root, relation) of each operand."""
        found = self._operands.get(i)
        if found is None:
            s = self.s
            rels: Any = s.infos[s.info[i]].rels
            ops = s.tape.operands(i)
            rels = rels or (sch.OTHER,) * len(ops)
            found = [(int(s.root[a]), rel) for a, rel in zip(ops, rels, strict=True)]
            self._operands[i] = found
        return found

    def cheap(self) -> np.ndarray:
        """Which values are worth recomputing from what is in memory."""
        s, first = self.s, self.first
        n = len(s.tape)
        cost = np.full(n, np.inf)
        good = np.zeros(n, np.bool_)
        for i in np.flatnonzero(self.may).tolist():
            kernel = s.infos[s.info[i]].kernel[0]
            total = COST.get(kernel, 2.5)
            for r, rel in self.operands(i):
                q = r - first
                full = rel == sch.IDENT or rel == sch.OTHER
                if r >= first and self.may[q] and not self.stored[q]:
                    total += cost[q] if good[q] else np.inf
                elif r >= first and s.space[q] > 0 and s.level[q] != MEMORY:
                    # a row-level value, which has to be in memory for it
                    near = LOAD if full else 0.05
                    total += np.inf if not self.crossing[q] and not self.stored[q] else near
                else:
                    total += LOAD if full else 0.05
            cost[i] = total
            limit = LIMIT_HUGE if 8 * s.infos[s.info[i]].n >= HUGE else LIMIT
            good[i] = total <= limit
        return good
