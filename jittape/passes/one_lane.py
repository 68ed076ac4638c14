"""The pattern of programs that treat each element of a long axis alike, from one element of it.

The residuals of observation i are computed from what was read for observation i, all of them by the
same instructions. The index sweep over such a program takes as long for one observation as for any
number: here the tape is written again with 1 in the place of the axis' length, and the pattern
found for it is spread over the axis. Where some instruction mixes elements of the axis, or is not
known not to, there is no such pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from jittape.ops.declare import Kind, Signature, signature, signatures
from jittape.passes.activity import active_values
from jittape.passes.lanes import lane_parts, lengths
from jittape.passes.sparsity import jacobian_pattern
from jittape.tape import Const, Tape, assemble
from jittape.types import Aval, aval

SHORTEST = 64  # axis worth the trouble
LONGEST_TAPE = 20_000


class _Mixed(Exception):
    """An instruction mixes lanes, or is not known not to."""


def lane_pattern(tape: Tape, wrt: Sequence[int], outputs: Sequence[int]) -> Any:
    """What `jacobian_pattern` gives, or None."""
    common = lengths([tape.aval(v).shape for v in wrt])
    if not common or common[0] < SHORTEST or len(tape) > LONGEST_TAPE or not outputs:
        return None
    n = common[0]
    try:
        one, axis = _one_lane(tape, wrt, outputs, n)
    except _Mixed:
        return None
    small = jacobian_pattern(one, range(len(wrt)), one.outputs.tolist(), {})
    rows, columns = (
        lane_parts([tape.aval(v).shape for v in values], [axis[v] for v in values])
        for values in (outputs, wrt)
    )
    return _spread(small, rows, columns, n)


def _spread(small: Any, rows: Any, columns: Any, n: int) -> Any:
    from scipy.sparse import csr_array

    number = np.empty((n, small.shape[1]), np.int64)
    number[columns.lane, columns.element] = np.arange(number.size)
    count = np.diff(small.indptr)[rows.element].astype(np.int64)
    indptr = np.r_[0, np.cumsum(count)]
    entry = np.arange(indptr[-1]) + np.repeat(small.indptr[rows.element] - indptr[:-1], count)
    indices = number[np.repeat(rows.lane, count), small.indices[entry]]
    kind = np.int32 if max(number.size, len(indices)) < 2**31 - 1 else np.int64
    parts = np.ones(len(indices), bool), indices.astype(kind), indptr.astype(kind)
    out = csr_array(parts, shape=(len(rows.lane), number.size))
    out.sort_indices()
    return out


def _one_lane(
    tape: Tape, wrt: Sequence[int], outputs: Sequence[int], n: int
) -> tuple[Tape, dict[int, int]]:
    """The tape from `wrt` to `outputs` for one lane, and which axis of each value counts lanes."""
    active = active_values(tape, wrt, outputs)
    if not all(active[v] for v in outputs):
        raise _Mixed
    axis: dict[int, int] = {}
    number: dict[int, int] = {}  # value -> its open number
    avals: dict[int, Aval] = {}
    consts: dict[Aval, int] = {}
    sigs: list[int] = []
    args: list[int] = []

    def named(v: int, lane: int, shortened: Aval) -> None:
        axis[v], avals[v] = lane, shortened

    for k, v in enumerate(wrt):
        a = tape.aval(v)
        lane = a.shape.index(n)
        named(v, lane, _shortened(a, lane))
        number[v] = -2 * k - 2
    for i in np.flatnonzero(active[tape.first :]).tolist():
        sig = signatures[tape.sigs[i]]
        operands = tape.operands(i)
        lanes = [axis.get(v) for v in operands]
        lane, places, params = _rule(sig, lanes, n)
        shapes = []
        for v, place in zip(operands, places, strict=True):
            if v in avals:
                a = avals[v]
                args.append(number[v])
            else:  # nothing flows through it: only its shape counts
                a = tape.aval(v) if place is None else _shortened(tape.aval(v), place)
                args.append(consts.setdefault(a, -2 * len(consts) - 1))
            shapes.append(a)
        made = signature(sig.op, params, tuple(shapes))
        if made.out != _shortened(sig.out, lane):
            raise _Mixed
        named(tape.first + i, lane, made.out)
        number[tape.first + i] = len(sigs)
        sigs.append(made.id)
    zeros = tuple(Const(np.zeros(a.shape, a.dtype), False, a) for a in consts)
    where = np.zeros(len(sigs), np.int32)
    ends = np.array([number[v] for v in outputs], np.int64)
    one = assemble(
        tuple(avals[v] for v in wrt), zeros, np.array(sigs, np.int32),
        np.array(args, np.int64), ends, where, where, tape.codes,
    )  # fmt: skip
    return one, axis


def _shortened(a: Aval, lane: int) -> Aval:
    return aval((*a.shape[:lane], 1, *a.shape[lane + 1 :]), a.dtype)


def _rule(
    sig: Signature, lanes: Sequence[int | None], n: int
) -> tuple[int, list[int | None], tuple]:
    """(axis of lanes of the result, of each operand, params for one lane). lanes: those of the
    operands that derivatives flow through, None for the others."""
    name, kind = sig.op.name, sig.op.kind
    if kind is Kind.ELEMENTWISE:
        return _elementwise(sig, lanes, n)
    (lane, *others) = {x for x in lanes if x is not None}
    if others:
        raise _Mixed
    same: list[int | None] = [lane] * len(lanes)
    if kind is Kind.REDUCE:
        axes = {d % sig.avals[0].ndim for d in sig.params[0]}
        if lane in axes:
            raise _Mixed
        return lane - sum(d < lane for d in axes), same, sig.params
    if name == "transpose":
        return sig.params[0].index(lane), same, sig.params
    if name in ("reshape", "broadcast_to"):
        return _reshaped(sig, lane, n, same)
    if any(a.ndim <= lane or a.shape[lane] != n for a in sig.avals):
        raise _Mixed
    if name == "stack":
        return lane + 1, same, sig.params
    if name == "concatenate" and sig.params[0] % sig.out.ndim != lane:
        return lane, same, sig.params
    if name in ("slice", "place", "update", "add_at"):
        index = sig.params[-1]
        if tuple(index[lane]) != (0, 1, n) or any(a.ndim != sig.out.ndim for a in sig.avals):
            raise _Mixed
        index = (*index[:lane], (0, 1, 1), *index[lane + 1 :])
        if name != "place":
            return lane, same, (index,)
        return lane, same, (_shortened(sig.out, lane).shape, index)
    raise _Mixed


def _elementwise(
    sig: Signature, lanes: Sequence[int | None], n: int
) -> tuple[int, list[int | None], tuple]:
    from_end = {a.ndim - x for a, x in zip(sig.avals, lanes, strict=True) if x is not None}
    (back, *others) = from_end
    if others:
        raise _Mixed
    places = [
        a.ndim - back if a.ndim >= back and a.shape[a.ndim - back] == n else None for a in sig.avals
    ]
    return sig.out.ndim - back, places, sig.params


def _reshaped(
    sig: Signature, lane: int, n: int, same: list[int | None]
) -> tuple[int, list[int | None], tuple]:
    (a,), shape = sig.avals, sig.out.shape
    if sig.op.name == "broadcast_to":
        at = sig.out.ndim - a.ndim + lane
    else:
        before = prod(a.shape[:lane])
        found = [d for d, m in enumerate(shape) if m == n and prod(shape[:d]) == before]
        if not found:
            raise _Mixed
        at = found[0]
    return at, same, (_shortened(sig.out, at).shape,)
