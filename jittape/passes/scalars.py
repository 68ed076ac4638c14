"""Code of the scalar sweep: four int32 per row, operands as byte offsets into the arena."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.passes import schedule as sch
from jittape.passes import views
from jittape.passes.memory import FIRST_SLOT, Places
from jittape.passes.schedule import Info, Schedule

# Opcodes; execute/scalar.py knows them by number.
OPS: dict[Any, int] = {
    (np.add, "dd"): 0, (np.subtract, "dd"): 1, (np.multiply, "dd"): 2, (np.divide, "dd"): 3,
    ("amul", "dd"): 4, (np.negative, "d"): 5, (np.sqrt, "d"): 6, (np.square, "d"): 7,
    (np.exp, "d"): 8, (np.log, "d"): 9, (np.sin, "d"): 10, (np.cos, "d"): 11,
    (np.tanh, "d"): 12, (np.absolute, "d"): 13, (np.greater, "dd"): 14, (np.less, "dd"): 15,
    (np.greater_equal, "dd"): 16, (np.less_equal, "dd"): 17, (np.equal, "dd"): 18,
    (np.not_equal, "dd"): 19, (np.reciprocal, "d"): 20,
}  # fmt: skip
WHERE, MOVE, GUARD, EQUAL, CALL1, CALL2, CALL3, LOAD, COPY, ZERO, STORE = range(32, 43)
ROW = 4


def opcode(info: Info) -> int:
    if info.kind != sch.SCALAR or info.kernel is None:
        return -1
    chars = "".join(a.dtype.char for a in info.sig.avals)
    return OPS.get((info.kernel[0], chars), -1)


def emit(s: Schedule, places: Places, which: np.ndarray, call: Any) -> np.ndarray:
    """Rows for the instructions `which`, in order. call(kernel) numbers a kernel called by
    address. Long runs of ladder ops are emitted by array code, the rest one by one."""
    infos = s.infos
    ops = np.array([opcode(f) for f in infos], np.int32)[s.info[which]]
    arity = np.array([len(f.sig.avals) for f in infos], np.int32)[s.info[which]]
    tape = s.tape
    ptr, args, first = tape.arg_ptr, tape.args, tape.first
    address = Addresses(s, places)
    plain = ops >= 0
    counts = np.ones(len(which), np.int64)
    odd: dict[int, list] = {}
    for k in np.flatnonzero(~plain).tolist():
        odd[k] = rows = one(s, places, int(which[k]), address, call)
        counts[k] = len(rows)
    start = np.cumsum(counts) - counts
    code = np.zeros((int(counts.sum()), ROW), np.int32)
    sel = which[plain]
    at = start[plain]
    code[at, 0] = ops[plain]
    code[at, 1] = address.many(sel + first)
    code[at, 2] = address.many(args[ptr[sel]])
    two = arity[plain] == 2
    code[at[two], 3] = address.many(args[ptr[sel[two]] + 1])
    for k, rows in odd.items():
        code[start[k] : start[k] + len(rows)] = rows
    return code


class Addresses:
    """Byte offset in the arena of a value's first element."""

    def __init__(self, s: Schedule, places: Places):
        self.s, self.places = s, places
        n = len(views.views)
        self.start = np.fromiter((v.offset for v in views.views), np.int64, n)

    def many(self, values: np.ndarray) -> np.ndarray:
        roots = self.s.root[values]
        return self.places.offset[roots] + self.start[self.s.view[values]]

    def __call__(self, value: int) -> int:
        return int(self.places.offset[self.s.root[value]]) + views.views[self.s.view[value]].offset


def halves(raw: bytes) -> tuple[int, int]:
    low, high = np.frombuffer(raw.ljust(8, b"\0"), np.int32)
    return int(low), int(high)


def one(s: Schedule, places: Places, i: int, address: Addresses, call: Any) -> list:
    info = s.infos[s.info[i]]
    sig = info.sig
    tape = s.tape
    ops = tape.operands(i)
    if info.kind == sch.GUARD:
        a = address(ops[0])
        if sig.op.name == "guard_true":
            return [(GUARD, int(bool(sig.params[0])), a, i)]
        size = sig.avals[0].dtype.itemsize
        return [(EQUAL, size, a, i), (*halves(sig.params[0]), 0, 0)]
    dst = address(tape.first + i)
    if info.kind == sch.POKE:
        rows = []
        v = address(ops[-1])
        item = sig.out.dtype.itemsize
        size = sig.out.size * item
        index = sig.params[-1]
        if sig.op.name == "place":
            rows.append((ZERO, dst, size, 0))
        elif not places.in_place[i]:
            r = int(s.root[ops[0]])
            old = views.views[s.view[ops[0]]]
            assert old.contiguous
            at = int(places.offset[r]) + old.offset
            rows += [(COPY, dst, size, int(places.slot[r])), (at, 0, 0, 0)]
        whole = views.whole(sig.out.shape, item)
        return [*rows, (STORE, dst + views.sliced(whole, index).offset, v, item)]
    name, extra = info.kernel
    if name == "load":
        r, offset, item = extra
        slot = int(places.slot[r])
        return [(LOAD, dst, slot, item), (*halves(np.int64(offset).tobytes()), 0, 0)]
    if name == "move" and extra[0] == 3:
        return [(MOVE, dst, address(ops[0]), extra[1])]
    if name == "move" and extra[0] == 6 and extra[1] == 8:
        return [(WHERE, dst, address(ops[0]), 0), (address(ops[1]), address(ops[2]), 0, 0)]
    k = call(info.kernel)
    if len(ops) == 1:
        return [(CALL1 | k << 8, dst, address(ops[0]), 0)]
    if len(ops) == 2:
        return [(CALL2 | k << 8, dst, address(ops[0]), address(ops[1]))]
    rest = address(ops[2]) if len(ops) == 3 else 0
    return [(CALL3 | k << 8, dst, address(ops[0]), address(ops[1])), (rest, 0, 0, 0)]


__all__ = ["FIRST_SLOT", "emit"]
