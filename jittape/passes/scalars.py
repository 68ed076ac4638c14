"""Code of the scalar sweep: four int32 per row, operands as byte offsets into the arena."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from jittape.config import config
from jittape.distinct import present
from jittape.ops.declare import Kind
from jittape.passes import classify as sch
from jittape.passes import kernels, views
from jittape.passes import opcodes as op
from jittape.passes.calls import REPLACING, adding
from jittape.passes.classify import Info
from jittape.passes.memory import FIRST_SLOT, Places
from jittape.passes.schedule import Schedule

ROW = 4


def opcode(info: Info, call: Any) -> int:
    """Of a plain instruction: one row, operands in order; -1 for others."""
    if info.kernel is None or info.kind not in (sch.SCALAR, sch.LANES):
        return -1
    chars = "".join(a.dtype.char for a in info.sig.avals)
    arity = len(chars)
    if info.kind == sch.SCALAR:
        found = op.SCALAR.get((info.kernel[0], chars), -1)
        if found in op.LIBM and config.bit_exact:
            found = -1
        elif found >= 0 or info.kernel[0] in ("load", "move"):
            return found
    if arity > 2:
        return -1
    return (op.CALL1, op.CALL2)[arity - 1] | call(*line(info)) << op.EXTRA


def short_line(info: Info) -> tuple[int, int]:
    """(opcode, bytes written) of a line that is done without a call; -1 for others."""
    if info.kind != sch.LANES or info.sig.op.kind is Kind.GUFUNC or not info.n:
        return -1, 0
    chars = "".join(a.dtype.char for a in info.sig.avals)
    copied = info.kernel == ("move", (3, 8)) and chars == "d"
    which = op.COPIED if copied else op.SCALAR.get((info.kernel[0], chars))
    layout = ""
    for x in info.lines:
        step = x[0][1] if x else 0
        if step not in (0, 8):
            return -1, 0
        layout += "v" if step else "s"
    k = op.LINES.get((which, layout))
    if k is None:
        return -1, 0
    for width, first in op.SHORT.items():
        if info.n <= width:
            return first + k, 8 * width
    eights = -(-info.n // 8)
    return op.LINE + k | eights << op.EXTRA, 64 * eights


def joined(code: np.ndarray, plain: np.ndarray, once: np.ndarray) -> None:
    """Make superinstructions of neighbours, of those first whose second reads the first's result;
    and let rows take the result of the row before from the register.

    plain: which rows are single rows; once: whose result is read just once."""
    t = _tables()
    opcodes = code[:, 0] & op.CODE
    kind = t.which[opcodes]
    wide = np.where(plain, t.width[opcodes], 0)
    before = np.r_[-1, code[:-1, 1]]  # where the row before puts its result
    at = np.flatnonzero((wide > 0) & t.commutes[kind] & (code[:, 3] == before))
    code[at, 2:] = code[at, :1:-1]
    first, second = code[:, 2] == before, t.binary[kind] & (code[:, 3] == before)
    both = (wide[:-1] == wide[1:]) & (wide[1:] > 0)
    word = np.where(first, 2, np.where(second, 3, 0))  # of the operand that is that result, or 0
    link = word[1:].copy()
    chosen = alternate(both & (link > 0))
    link += op.UNSEEN * (once[:-1] & (link > 0))
    taken = np.zeros(len(code), np.bool_)
    taken[:-1] |= chosen
    taken[1:] |= chosen
    chosen |= alternate(both & ~taken[:-1] & ~taken[1:])
    at = np.flatnonzero(chosen)
    code[at, 0] = t.pairs[wide[at], kind[at], kind[at + 1], link[at]]

    hands = plain & t.hands[opcodes]
    handed = np.r_[False, hands[:-1]] & hands
    handed[at + 1] = False
    alone = handed.copy()
    alone[at] = False
    k = np.flatnonzero(alone & (word > 0))
    code[k, 0] = t.held[kind[k], word[k]]
    at = at[handed[at]]
    link = link[at]
    other = 5 - link % op.UNSEEN
    reads = (link > 0) & t.binary[kind[at + 1]] & (code[at, 1] != before[at])
    reads &= code[at + 1, np.where(reads, other, 0)] == before[at]
    word = np.where((word[at] == 0) & reads, 4 + other, word[at])
    k = np.flatnonzero(word)
    at = at[k]
    code[at, 0] = t.held_pairs[kind[at], kind[at + 1], link[k], word[k]]


class _Tables(NamedTuple):
    """By opcode: that of single elements, its width or 0 where it is not paired, whether its result
    is handed on. By opcode of single elements: whether it has two operands, and they commute.
    Opcodes by width and pair; by opcode and the word handed on; by pair and that."""

    which: np.ndarray
    width: np.ndarray
    hands: np.ndarray
    binary: np.ndarray
    commutes: np.ndarray
    pairs: np.ndarray
    held: np.ndarray
    held_pairs: np.ndarray


@functools.cache
def _tables() -> _Tables:
    n = len(op.SCALAR)
    which, width = np.zeros(op.CODE + 1, np.int64), np.zeros(op.CODE + 1, np.int64)
    hands, commutes = np.zeros(op.CODE + 1, np.bool_), np.zeros(n, np.bool_)
    which[list(op.HANDING)] = op.HANDING
    hands[list(op.HANDING)] = True
    commutes[list(op.COMMUTING)] = True
    for k, (single, wide) in op.PAIRABLE.items():
        which[k], width[k] = single, wide
    binary = np.ones(n, np.bool_)
    binary[list(op.UNARY)] = False
    pairs = np.full((17, n, n, 8), -1, np.int32)
    for wide, start in op.PAIR.items():
        for trio, k in op.PAIRS.items():
            pairs[wide, *trio] = start + k
    held, held_pairs = np.full((n, 4), -1, np.int32), np.full((n, n, 8, 8), -1, np.int32)
    for one, k in op.HELD.items():
        held[one] = k
    for two, k in op.HELD_PAIRS.items():
        held_pairs[two] = k
    return _Tables(which, width, hands, binary, commutes, pairs, held, held_pairs)


def read_once(s: Schedule) -> np.ndarray:
    """Which values a single operand of one instruction reads, and no result."""
    tape = s.tape
    live = np.array([f.kind != sch.VIEW for f in s.infos], np.bool_)[s.info]
    read = s.root[tape.args[np.repeat(live, np.diff(tape.arg_ptr))]]
    uses = np.bincount(read, minlength=tape.n_values)
    uses[s.root[tape.outputs]] += 2
    return uses == 1


def alternate(edges: np.ndarray) -> np.ndarray:
    """Every other one of each stretch of neighbours that are set."""
    k = np.arange(len(edges))
    start = np.maximum.accumulate(np.where(edges, -1, k))
    return edges & ((k - start) % 2 == 1)


def line(info: Info) -> tuple[tuple, tuple, tuple]:
    """(kernel, dims, steps) of a call on a whole small value."""
    if info.kind == sch.SCALAR:
        return info.kernel, (1, 1, 1, 0), (0, 0, 0, 0)
    if info.sig.op.kind is Kind.GUFUNC:
        return info.kernel, *info.parts
    steps = tuple(x[0][1] if x else 0 for x in info.lines)
    if info.kind == sch.LANES_SUM:
        return info.kernel, (info.n, 1, info.n, 0), (0, *steps, 0)
    return info.kernel, (info.n, 1, info.n, 0), (*steps, info.sig.out.dtype.itemsize)


def emit(s: Schedule, places: Places, which: np.ndarray, call: Any) -> np.ndarray:
    """Rows for the instructions `which`, in order. call(kernel, dims, steps) numbers a kernel
    called by address. Plain ops are emitted by array code, the rest one by one."""
    infos = s.infos
    seen = present(s.info[which])
    code_of = np.zeros(len(infos), np.int32)
    arity_of = np.zeros(len(infos), np.int32)
    room_of = np.zeros(len(infos), np.int64)
    for k in seen.tolist():
        code_of[k], room_of[k] = short_line(infos[k])
        arity_of[k] = len(infos[k].sig.avals)
    kinds = s.info[which]
    called = (code_of[kinds] < 0) | (places.room[which + s.tape.first] < room_of[kinds])
    lines = code_of.copy()
    for k in present(kinds[called]).tolist():
        code_of[k] = opcode(infos[k], call)
    ops = np.where(called, code_of[kinds], lines[kinds])
    arity = arity_of[kinds]
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
    code = np.zeros((int(counts.sum()) + 1, ROW), np.int32)
    code[-1, 0] = op.END
    sel = which[plain]
    at = start[plain]
    code[at, 0] = ops[plain]
    code[at, 1] = address.many(sel + first)
    code[at, 2] = address.many(args[ptr[sel]])
    two = arity[plain] == 2
    code[at[two], 3] = address.many(args[ptr[sel[two]] + 1])
    for k, rows in odd.items():
        code[start[k] : start[k] + len(rows)] = rows
    may = np.zeros(len(code), np.bool_)
    may[at] = True
    once = np.zeros(len(code), np.bool_)
    once[at] = read_once(s)[sel + first]
    joined(code, may, once)
    return code


class Addresses:
    """Byte offset in the arena of a value's first element."""

    def __init__(self, s: Schedule, places: Places):
        self.s, self.places = s, places
        n = len(views.views)
        self.start = np.fromiter((v.offset for v in views.views), np.int64, n)

    def many(self, values: np.ndarray) -> np.ndarray:
        roots = self.s.root[values]
        found = self.places.offset[roots] + self.start[self.s.view[values]]
        if len(found) and found.max() >= 1 << 31:
            raise MemoryError(
                "the scalar sweep reaches 2 GB of working memory, this tape wants more"
            )
        return found

    def __call__(self, value: int) -> int:
        return int(self.places.offset[self.s.root[value]]) + views.views[self.s.view[value]].offset


def halves(raw: bytes) -> tuple[int, int]:
    """Up to eight bytes as two int32."""
    low, high = np.frombuffer(raw.ljust(8, b"\0"), np.int32)
    return int(low), int(high)


def write(s: Schedule, sig: Any, a: int, dst: int, at: Any, address: Any, call: Any) -> tuple:
    """One short line written, or added, to a place of an array."""
    item = sig.out.dtype.itemsize
    plus = sig.op.name in ("add_at", "scatter_add_to")
    if not plus and at.size == 1:
        return (op.STORE, dst, address(a), item)
    if at.size == 1 and sig.out.dtype == np.float64:
        return (op.ADD, dst, dst, address(a))
    src = views.views[s.view[a]]
    lines = views.lines_over_both(src.strides, at.strides, at.shape) or [(1, 0, 0)]
    ((n, ss, ds),) = lines
    if plus:
        k = call(adding(sig), (n, 1, n, 0), (ds, ss, ds))
        return (op.CALL2 | k << op.EXTRA, dst, dst, address(a))
    k = call(("move", (3, item)), (n, 1, n, 0), (ss, ds))
    return (op.CALL1 | k << op.EXTRA, dst, address(a), 0)


def one(s: Schedule, places: Places, i: int, address: Addresses, call: Any) -> list:
    """The rows of one instruction."""
    info = s.infos[s.info[i]]
    sig = info.sig
    tape = s.tape
    ops = tape.operands(i)
    if info.kind == sch.GUARD:
        a = address(ops[0])
        if sig.op.name == "guard_true":
            return [(op.GUARD, int(bool(sig.params[0])), a, i)]
        size = sig.avals[0].dtype.itemsize
        return [(op.EQUAL, size, a, i), (*halves(sig.params[0]), 0, 0)]
    dst = address(tape.first + i)
    if info.kind == sch.POKE:
        rows: list = []
        item = sig.out.dtype.itemsize
        size = sig.out.size * item
        if sig.op.name in ("place", "scatter_add"):
            rows.append((op.ZERO, dst, size, 0))
        elif sig.op.name in REPLACING and not places.in_place[i]:
            r = int(s.root[ops[0]])
            at = int(places.offset[r]) + views.views[s.view[ops[0]]].offset
            rows += [(op.COPY, dst, size, int(places.slot[r])), (at, 0, 0, 0)]
        for j, part in info.parts:
            rows.append(write(s, sig, ops[j], dst + part.offset, part, address, call))
        return rows
    if info.kind == sch.LANES_SUM:
        low, high = kernels.identity(info.kernel[0], sig.out.dtype) or (0, 0)
        size = sig.out.dtype.itemsize
        first_row = (op.SET | size << op.EXTRA, dst, *halves(np.int64(low).tobytes()))
        return [first_row, (op.CALL2 | call(*line(info)) << op.EXTRA, dst, dst, address(ops[0]))]
    name, extra = info.kernel
    if name == "load":
        r, offset, item = extra
        slot = int(places.slot[r])
        return [(op.LOAD, dst, slot, item), (*halves(np.int64(offset).tobytes()), 0, 0)]
    if name == "move" and extra[0] == 3 and info.kind == sch.SCALAR:
        return [(op.MOVE, dst, address(ops[0]), extra[1])]
    if name == "move" and extra[0] == 6 and extra[1] == 8 and info.kind == sch.SCALAR:
        return [(op.WHERE, dst, address(ops[0]), 0), (address(ops[1]), address(ops[2]), 0, 0)]
    k = call(*line(info))
    if len(ops) == 1:
        return [(op.CALL1 | k << op.EXTRA, dst, address(ops[0]), 0)]
    if len(ops) == 2:
        return [(op.CALL2 | k << op.EXTRA, dst, address(ops[0]), address(ops[1]))]
    rest = address(ops[2]) if len(ops) == 3 else 0
    return [(op.CALL3 | k << op.EXTRA, dst, address(ops[0]), address(ops[1])), (rest, 0, 0, 0)]


__all__ = ["FIRST_SLOT", "emit"]
