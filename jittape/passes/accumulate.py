"""Adjoints of parts of an array are added to the whole in place.

Each read of an element or a slice gives its array a contribution that is zero elsewhere. As sums of
whole arrays, n scalar reads of an array of n elements would cost n**2; `add_at` and
`scatter_add_to` touch only the part, and the executor runs them in place where the accumulator
dies.
"""

from __future__ import annotations

import numpy as np

from jittape.distinct import present
from jittape.ops.declare import Signature, signature
from jittape.ops.elementwise import add
from jittape.ops.index import add_at, scatter_add, scatter_add_to
from jittape.ops.shape import place
from jittape.tape import Tape

_NONE, _ADD, _PART = 0, 1, 2


def _kind(sig: Signature) -> int:
    if sig.op is place or sig.op is scatter_add:
        return _PART
    if sig.op is add and sig.avals[0] is sig.avals[1] is sig.out:
        return _ADD
    return _NONE


def _merged(sig: Signature) -> Signature:
    """The accumulating form of a place or scatter_add."""
    if sig.op is place:
        return signature(add_at, (sig.kwargs["index"],), (sig.out, *sig.avals))
    return signature(scatter_add_to, (), (sig.out, *sig.avals))


def accumulate(tape: Tape, start: int) -> Tape:
    """The tape with add(acc, place(v)) as add_at(acc, v), and add(acc, scatter_add(i, v)) as
    scatter_add_to(acc, i, v), where nothing else uses the part. Instructions before `start` stay.
    """
    used, inverse = tape.distinct
    kinds = np.array([_kind(s) for s in used], dtype=np.int64)
    if not ((kinds == _PART).any() and (kinds == _ADD).any()):
        return tape
    kind = kinds[inverse]
    kind[:start] = _NONE
    first, ptr, args = tape.first, tape.arg_ptr, tape.args.astype(np.int64)
    uses = np.bincount(args, minlength=tape.n_values)
    uses += np.bincount(tape.outputs, minlength=tape.n_values)
    part = np.zeros(tape.n_values, dtype=np.bool_)
    part[first:] = kind == _PART
    part &= uses == 1

    adds = np.flatnonzero(kind == _ADD)
    left, right = args[ptr[adds]], args[ptr[adds] + 1]
    by_right = part[right]
    chosen = by_right | part[left]
    adds, left, right, by_right = adds[chosen], left[chosen], right[chosen], by_right[chosen]
    if not len(adds):
        return tape
    acc = np.where(by_right, left, right)
    parts = np.where(by_right, right, left) - first

    sigs = tape.sigs.copy()
    for k in present(inverse[parts]).tolist():
        sigs[adds[inverse[parts] == k]] = _merged(used[k]).id
    keep = np.ones(len(tape), dtype=np.bool_)
    keep[parts] = False
    number = np.arange(tape.n_values)
    number[first:] = first + np.cumsum(keep) - 1

    # operands: of a merged add, the accumulator and then those of the part
    counts = np.diff(ptr)
    lengths = counts.copy()
    lengths[adds] = 1 + counts[parts]
    ends = np.cumsum(np.where(keep, lengths, 0))
    starts = ends - lengths
    out = np.empty(int(ends[-1]), dtype=np.int64)
    plain = keep.copy()
    plain[adds] = False
    spread = np.repeat(plain, counts)
    shift = np.repeat(starts - ptr[:-1], counts)
    out[(np.arange(len(args)) + shift)[spread]] = args[spread]
    out[starts[adds]] = acc
    for j in range(int(counts[parts].max())):
        has = counts[parts] > j
        out[starts[adds[has]] + 1 + j] = args[ptr[parts[has]] + j]
    return Tape(
        tape.inputs,
        tape.consts,
        sigs[keep],
        number[out].astype(np.int32),
        number[tape.outputs].astype(np.int32),
        tape.where_code[keep],
        tape.where_lasti[keep],
        tape.codes,
    )
