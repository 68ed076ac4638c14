"""Which elements of the outputs depend on which elements of the inputs: one sweep over the tape.

The pattern of a value is a boolean matrix with a row per element and a column per input element,
or, where all elements depend on the same inputs, the set of these (`frozenset`; values without
dependence have no pattern at all). Rows are moved and merged by SciPy's compiled sparse code, a
whole array at a time. What an op is not known to do is taken to depend on everything: a pattern
may hold more than the truth, and never less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from jittape.distinct import present
from jittape.ops.declare import Kind, Signature, signatures
from jittape.passes.activity import active_values, depends_on
from jittape.tape import Tape

# the operand that holds integer indices
INDEX_OPERAND = {"take": 1, "scatter_add": 0, "put": 1, "scatter_add_to": 1}

# ops on stacks of matrices (all operands have two core axes)
ON_STACKS = {
    "cholesky", "cholesky_pullback", "cofactor", "complement", "det", "eig", "eigh", "expm",
    "inv", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd",
}  # fmt: skip

Pattern = Any  # scipy.sparse.csr_array of bool, or frozenset


def index_values(tape: Tape, wrt: Sequence[int]) -> tuple[dict[int, np.ndarray], list[int]]:
    """The integer indices that a pattern depends on: those known from constants, and the value
    numbers of those that are not (of indices that depend on `wrt` all possible ones count)."""
    known: dict[int, np.ndarray] = {}
    asked: dict[int, None] = {}
    used, inverse = tape.distinct
    moving = depends_on(tape, wrt)
    for k, sig in enumerate(used):
        slot = INDEX_OPERAND.get(sig.op.name)
        if slot is None:
            continue
        members = np.flatnonzero(inverse == k)
        for v in present(tape.args[tape.arg_ptr[members] + slot]).tolist():
            const = tape.consts[v - tape.n_inputs] if tape.n_inputs <= v < tape.first else None
            if const is not None and not const.live:
                known[v] = const.value
            elif not moving[v]:
                asked[v] = None
    return known, list(asked)


def jacobian_pattern(
    tape: Tape, wrt: Sequence[int], outputs: Sequence[int], indices: dict[int, np.ndarray]
) -> Any:
    """csr_array of bool: a row per element of the values `outputs` (one after another), a column
    per element of the inputs `wrt`. indices: concrete values, see `index_values`."""
    sizes = [tape.aval(v).size for v in wrt]
    sweep = _Sweep(sum(sizes), indices)
    patterns: dict[int, Pattern] = {}
    before = 0
    for v, size in zip(wrt, sizes, strict=True):
        patterns[v] = sweep.identity(before, size)
        before += size
    active = active_values(tape, wrt, outputs)
    args, ptr, first = tape.args.tolist(), tape.arg_ptr.tolist(), tape.first
    # scalar instructions one after another must not cost more than the union of two sets
    for i in np.flatnonzero(active[first:]).tolist():
        sig = signatures[tape.sigs[i]]
        operands = args[ptr[i] : ptr[i + 1]]
        found = [patterns.get(v) for v in operands]
        if sig.out.size == 1 and sig.op.kind is Kind.ELEMENTWISE:
            sets = [_as_set(p) for p in found if p is not None]
            pattern: Pattern = sets[0] if len(sets) == 1 else frozenset().union(*sets)
        else:
            pattern = sweep.through(sig, operands, found)
        patterns[first + i] = pattern
    sparse = sweep.sparse
    rows = [sweep.matrix(patterns.get(v, frozenset()), tape.aval(v).size) for v in outputs]
    if not rows:
        return sparse.csr_array((0, sweep.n), dtype=bool)
    return sparse.csr_array(sparse.vstack(rows, format="csr")) if len(rows) > 1 else rows[0]


def _as_set(p: Pattern) -> frozenset:
    return p if isinstance(p, frozenset) else frozenset(p.indices.tolist())


def _ids(shape: Sequence[int], start: int = 0) -> np.ndarray:
    return np.arange(start, start + prod(shape), dtype=np.int64).reshape(tuple(shape))


class _Sweep:
    """Patterns over n input elements."""

    def __init__(self, n: int, indices: dict[int, np.ndarray]):
        import scipy.sparse

        self.sparse = scipy.sparse
        self.n = n
        self.indices = indices

    # -- building blocks ---------------------------------------------------------------------

    def csr(self, indptr: np.ndarray, columns: np.ndarray) -> Any:
        return self.sparse.csr_array(
            (np.ones(len(columns), dtype=bool), columns, indptr), shape=(len(indptr) - 1, self.n)
        )

    def identity(self, start: int, size: int) -> Any:
        kind = np.int32 if self.n < 2**31 - 1 else np.int64
        return self.csr(np.arange(size + 1, dtype=kind), np.arange(start, start + size, dtype=kind))

    def matrix(self, p: Pattern, size: int) -> Any:
        """The pattern with its rows spelled out."""
        if not isinstance(p, frozenset):
            return p
        columns = np.array(sorted(p), dtype=np.int64)
        return self.csr(np.arange(size + 1) * len(columns), np.tile(columns, size))

    def rows(self, p: Pattern, source: np.ndarray) -> Pattern:
        """Row source[k] at k; a negative source means no dependence."""
        if isinstance(p, frozenset) and not (source < 0).any():
            return p
        source = source.ravel()
        if isinstance(p, frozenset):
            p = self.matrix(p, int(source.max(initial=-1)) + 1)
        if (source < 0).any():
            empty = self.sparse.csr_array((1, self.n), dtype=bool)
            source = np.where(source < 0, p.shape[0], source)
            p = self.sparse.csr_array(self.sparse.vstack([p, empty], format="csr"))
        return p[source]

    def merged(self, p: Pattern, target: np.ndarray, size: int, everywhere: bool = True) -> Pattern:
        """The union of all rows with the same target, at that target of `size` rows. everywhere:
        each target is met."""
        if isinstance(p, frozenset):
            if everywhere:
                return p
            p = self.matrix(p, target.size)
        target = target.ravel()
        select = self.sparse.csr_array(
            (np.ones(len(target), dtype=bool), (target, np.arange(len(target)))),
            shape=(size, len(target)),
        )
        out = self.sparse.csr_array(select @ p)
        out.sort_indices()
        return out

    def union(self, parts: Sequence[Pattern], size: int) -> Pattern:
        sets = [p for p in parts if isinstance(p, frozenset)]
        total: Pattern = frozenset().union(*sets) if sets else None
        matrices = [p for p in parts if not isinstance(p, frozenset)]
        if not matrices:
            return frozenset() if total is None else total
        if total:
            matrices.append(self.matrix(total, size))
        out = matrices[0]
        for p in matrices[1:]:
            if p is not out:
                out = out + p
        return out

    def dense(self, parts: Sequence[Pattern]) -> frozenset:
        """What all elements depend on together."""
        sets = [
            p if isinstance(p, frozenset) else frozenset(np.unique(p.indices).tolist())
            for p in parts
        ]
        return frozenset().union(*sets)

    # -- ops ---------------------------------------------------------------------------------

    def through(self, sig: Signature, operands: list[int], found: list[Pattern | None]) -> Pattern:
        """The pattern of the output from those of the operands (None: no dependence)."""
        rule = _RULES.get(sig.op.name) or _KIND_RULES.get(sig.op.kind)
        if sig.op.name in ON_STACKS:
            rule = _stacks
        if rule is None or not sig.carries_derivative:
            return self.dense([p for p in found if p is not None])
        slot = INDEX_OPERAND.get(sig.op.name)
        if slot is not None and operands[slot] not in self.indices:
            return self.dense([p for p in found if p is not None])
        index = None if slot is None else self.indices[operands[slot]]
        return rule(self, sig, found, index)

    def broadcast(self, p: Pattern, shape: tuple[int, ...], to: tuple[int, ...]) -> Pattern:
        if shape == to or isinstance(p, frozenset):
            return p
        return self.rows(p, np.broadcast_to(_ids(shape), to))


def _elementwise(s: _Sweep, sig: Signature, found: list, index: Any) -> Pattern:
    parts = [
        s.broadcast(p, a.shape, sig.out.shape)
        for p, a in zip(found, sig.avals, strict=True)
        if p is not None
    ]
    return s.union(parts, sig.out.size)


def _reduce(s: _Sweep, sig: Signature, found: list, index: Any) -> Pattern:
    (a,) = sig.avals
    axes = sig.kwargs["axes"]
    kept = [1 if i in axes else n for i, n in enumerate(a.shape)]
    target = np.broadcast_to(_ids(kept), a.shape)
    return s.merged(found[0], target, sig.out.size)


def _whole_axis(s: _Sweep, sig: Signature, found: list, index: Any) -> Pattern:
    """Dense along one axis (whose length may change), nothing across."""
    (a,) = sig.avals
    axis = sig.kwargs["axis"] % a.ndim
    kept = tuple(1 if i == axis else n for i, n in enumerate(a.shape))
    together = s.merged(found[0], np.broadcast_to(_ids(kept), a.shape), prod(kept))
    return s.broadcast(together, kept, sig.out.shape)


def _lanes(s: _Sweep, sig: Signature, found: list, index: Any) -> Pattern:
    """An op looped over a batch: dense within each element of the batch."""
    size = sig.out.shape[0]
    kept = (size, *(1,) * (sig.out.ndim - 1))
    parts = []
    for p, a, batched in zip(found, sig.avals, sig.kwargs["which"], strict=True):
        if p is not None and batched:
            lane = np.broadcast_to(_ids((size, *(1,) * (a.ndim - 1))), a.shape)
            parts.append(s.merged(p, lane, size))
        elif p is not None:
            parts.append(s.dense([p]))
    return s.broadcast(s.union(parts, size), kept, sig.out.shape)


def _moved(s: _Sweep, sig: Signature, found: list, index: Any) -> Pattern:
    """Ops that only place elements of their operands: their own evaluation moves row numbers,
    counted from 1 (0 is written by the op itself, or an operand without dependence)."""
    start, numbers, parts = 1, [], []
    for p, a in zip(found, sig.avals, strict=True):
        if p is None:
            numbers.append(np.zeros(a.shape, np.int64))
            continue
        numbers.append(_ids(a.shape, start))
        parts.append((p, a.size))
        start += a.size
    source = np.asarray(sig.op.evaluate(*numbers, **sig.kwargs)) - 1
    return _gathered(s, parts, source)


def _gathered(s: _Sweep, parts: list[tuple[Pattern, int]], source: np.ndarray) -> Pattern:
    if len(parts) == 1:
        return s.rows(parts[0][0], source)
    stacked = s.sparse.vstack([s.matrix(p, size) for p, size in parts], format="csr")
    return s.rows(s.sparse.csr_array(stacked), source)


def _take(s: _Sweep, sig: Signature, found: list, index: Any) -> Pattern:
    a = sig.avals[0]
    if index.ndim == 0 and a.ndim == 1 and not isinstance(found[0], frozenset):
        p, i = found[0], int(index)
        return frozenset(p.indices[p.indptr[i] : p.indptr[i + 1]].tolist())
    return s.rows(found[0], _ids(a.shape)[index])


def _scatter_add(s: _Sweep, sig: Signature, found: list, index: Any) -> Pattern:
    target = _ids(sig.out.shape)[index]
    return s.merged(found[1], target, sig.out.size, everywhere=False)


def _scatter_add_to(s: _Sweep, sig: Signature, found: list, index: Any) -> Pattern:
    parts = [] if found[0] is None else [found[0]]
    if found[2] is not None:
        target = _ids(sig.out.shape)[index]
        parts.append(s.merged(found[2], target, sig.out.size, everywhere=False))
    return s.union(parts, sig.out.size)


def _put(s: _Sweep, sig: Signature, found: list, index: Any) -> Pattern:
    x, _, v = sig.avals
    start, parts = 1, []
    numbers = []
    for p, a in ((found[0], x), (found[2], v)):
        if p is None:
            numbers.append(np.zeros(a.shape, np.int64))
            continue
        numbers.append(_ids(a.shape, start))
        parts.append((p, a.size))
        start += a.size
    source = numbers[0].copy()
    source[index] = numbers[1]
    return _gathered(s, parts, source - 1)


def _add_at(s: _Sweep, sig: Signature, found: list, index: Any) -> Pattern:
    acc, v = sig.avals
    parts = [] if found[0] is None else [found[0]]
    if found[1] is not None:
        zero = np.zeros(acc.shape, np.int64)
        source = sig.op.evaluate(zero, _ids(v.shape, 1), **sig.kwargs) - 1
        parts.append(s.rows(found[1], source))
    return s.union(parts, sig.out.size)


def _matmul(s: _Sweep, sig: Signature, found: list, index: Any) -> Pattern:
    a, b = sig.avals
    parts = []
    if found[0] is not None:
        kept = (*a.shape[:-1], 1)
        rows = s.merged(found[0], np.broadcast_to(_ids(kept), a.shape), prod(kept))
        parts.append(s.broadcast(rows, kept, sig.out.shape))
    if found[1] is not None:
        kept = (*b.shape[:-2], 1, b.shape[-1])
        columns = s.merged(found[1], np.broadcast_to(_ids(kept), b.shape), prod(kept))
        parts.append(s.broadcast(columns, kept, sig.out.shape))
    return s.union(parts, sig.out.size)


def _stacks(s: _Sweep, sig: Signature, found: list, index: Any) -> Pattern:
    """Ops on the matrices of a batch: dense within each, nothing across."""
    leads = [a.shape[:-2] for a in sig.avals]
    lead = np.broadcast_shapes(*leads)
    parts = []
    for p, a, own in zip(found, sig.avals, leads, strict=True):
        if p is not None:
            kept = (*own, *(1,) * (a.ndim - len(own)))
            together = s.merged(p, np.broadcast_to(_ids(kept), a.shape), prod(own))
            parts.append(s.broadcast(together, own, lead))
    out = s.union(parts, prod(lead))
    return s.broadcast(out, (*lead, *(1,) * (sig.out.ndim - len(lead))), sig.out.shape)


_KIND_RULES: dict[Kind, Callable] = {
    Kind.ELEMENTWISE: _elementwise,
    Kind.REDUCE: _reduce,
    Kind.ACCUMULATE: _whole_axis,
    Kind.LAYOUT: _moved,
}
_RULES: dict[str, Callable] = {
    "place": _moved,
    "update": _moved,
    "concatenate": _moved,
    "stack": _moved,
    "take": _take,
    "scatter_add": _scatter_add,
    "scatter_add_to": _scatter_add_to,
    "put": _put,
    "add_at": _add_at,
    "matmul": _matmul,
    "looped": _lanes,
    "fft": _whole_axis,
    "rfft": _whole_axis,
    "irfft": _whole_axis,
    # elementwise, though evaluated by Python
    "residual": _elementwise,
    "gammainc_da": _elementwise,
}
