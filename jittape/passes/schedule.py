"""Schedule: which instructions run together, and in which order.

Every instruction that can runs in an iteration space: the flat elements of its result, split into
rows and columns where reductions or broadcasts ask for it. Instructions are levelled on the data
flow: depth = max over operands (operand's depth, + 1 unless the value can stay inside the block);
instructions of one (space, depth) form a group, which executes block by block. All
single-element instructions share space 0 and form the stretches of the scalar sweep. What has no
space (products, linear algebra, gathers, host ops) is a step of its own.

The levelling itself is one loop over flat arrays; it is compiled for long tapes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from jittape.ops.declare import Kind, Signature, signatures
from jittape.passes import kernels, views
from jittape.passes.calls import REPLACING, callable_here, parts
from jittape.passes.compiled import fast
from jittape.passes.views import View
from jittape.tape import Tape

# Kinds of instruction; `levelling` knows them by number.
SCALAR, ELEM, TO_ROWS, TO_COLUMNS, TO_SCALAR, CALL = range(6)
HOST, GUARD, VIEW, POKE, CHECK, UPDATE, LANES, LANES_SUM = range(6, 14)
FULL, ROW, MEMORY = range(3)  # where a value lives within its group
OTHER, IDENT, ROWS, ONE = range(4)  # how an operand lies over the space of its instruction
MAX_COLUMNS = 2048
SMALL = 512  # elements up to which a value is handled whole, in the scalar sweep
COPY_IN = 1 << 16  # inputs up to this many bytes are copied into the arena for the scalar sweep


@dataclass(eq=False)
class Info:
    """What is static about an instruction given its signature and the views of its operands."""

    id: int
    kind: int
    sig: Signature
    kernel: Any = None
    shape: tuple = ()  # iteration shape
    n: int = 1
    vote: tuple[int, int] = (0, 0)  # columns wanted, weight
    rels: tuple[int, ...] = ()
    lines: tuple[Any, ...] = ()
    lowered: Any = None


@dataclass(eq=False)
class Schedule:
    tape: Tape
    root: np.ndarray  # value -> value whose buffer it lies in
    view: np.ndarray  # value -> view number
    infos: list[Info]
    info: np.ndarray  # instruction -> info
    columns: dict[int, int]  # elements of a space -> columns (1: flat)
    space: np.ndarray  # instruction -> elements of its space, 0 scalar, -1 alone
    level: np.ndarray  # instruction -> FULL, ROW, MEMORY
    depth: np.ndarray
    order: np.ndarray  # position -> instruction
    bounds: np.ndarray  # step -> first position
    n_guarded: int = 0


def aliases(tape: Tape) -> tuple[np.ndarray, np.ndarray, np.ndarray, list, list]:
    """Roots and views of all values; instructions that are views of their operand.

    A LAYOUT instruction is resolved into strides here, wherever strides can say it.
    """
    first = tape.first
    root = np.arange(tape.n_values, dtype=np.int32)
    vid = np.empty(tape.n_values, dtype=np.int32)
    for v in range(first):
        a = tape.aval(v)
        vid[v] = views.whole(a.shape, a.dtype.itemsize).id
    used, inverse = tape.distinct
    ids = np.zeros(len(used), np.int32)
    viewing = np.zeros(len(used), np.bool_)
    for k, s in enumerate(used):
        if s.op.kind is not Kind.GUARD:
            ids[k] = views.whole(s.out.shape, s.out.dtype.itemsize).id
        viewing[k] = viewlike(s)
    vid[first:] = ids[inverse] if len(used) else 0
    is_view = viewing[inverse] if len(used) else np.zeros(0, np.bool_)
    is_view |= fixed_rows(tape, used, inverse)
    copies = []
    loads = []
    memo: dict = {}
    ptr, args = tape.arg_ptr, tape.args
    big = [tape.aval(v).nbytes > COPY_IN for v in range(first)]
    for i in np.flatnonzero(is_view).tolist():
        a = args[ptr[i]]
        key = (inverse[i], int(vid[a]), args[ptr[i + 1] - 1])
        v = memo.get(key, memo)
        if v is memo:
            s = used[inverse[i]]
            old = views.views[vid[a]]
            if s.op.name == "take":
                v = views.row(old, int(tape.consts[args[ptr[i] + 1] - tape.n_inputs].value))
            elif s.op.name == "stop_gradient":
                v = old
            elif s.op.kind is Kind.REDUCE:
                strides = views.reshaped(old, s.out.shape)
                v = views.view(s.out.shape, strides, old.offset, old.itemsize)
            else:
                v = views.layout(s.op.name, s.params, old)
            memo[key] = v
        if v is None:
            copies.append(i)
            is_view[i] = False
        elif root[a] < first and big[root[a]] and v.size <= SMALL and v.contiguous:
            # A few elements of a large input are copied into the arena.
            loads.append((i, int(root[a]), v))
            is_view[i] = False
        else:
            root[first + i] = root[a]
            vid[first + i] = v.id
    return root, vid, is_view, copies, loads


def fixed_rows(tape: Tape, used: list, inverse: Any) -> Any:
    """take at a literal index: a view."""
    n = len(tape)
    rows = np.array([s.op.name == "take" and s.avals[1].ndim == 0 for s in used], np.bool_)
    if not rows.any():
        return np.zeros(n, np.bool_)
    found = rows[inverse]
    for i in np.flatnonzero(found).tolist():
        x, k = tape.operands(i)
        c = k - tape.n_inputs
        const = tape.consts[c] if 0 <= c < len(tape.consts) else None
        found[i] = (
            const is not None
            and not const.live
            and tape.aval(x).size > 0
            and 0 <= int(const.value) < tape.aval(x).shape[0]
        )
    return found


def viewlike(s: Signature) -> bool:
    if s.op.name == "stop_gradient":
        return s.out.size > 0
    if s.op.kind is Kind.LAYOUT:
        return s.op.name in ("reshape", "transpose", "broadcast_to", "slice") and s.out.size > 0
    if s.op.kind is Kind.REDUCE and s.out is not None:
        return s.avals[0].size == s.out.size > 0 and s.avals[0].dtype == s.out.dtype
    return False


def describe(s: Signature, vids: tuple[int, ...], number: int, copied: bool, large: bool) -> Info:
    """Classify one (signature, operand views). large: some operand lies in a large input."""
    vs = [views.views[k] for k in vids]
    kind = s.op.kind
    if kind is Kind.GUARD:
        small = all(a.size == 1 and a.dtype.itemsize <= 8 for a in s.avals)
        return Info(number, GUARD if small else CHECK, s)
    if s.out.size == 0 or any(a.size == 0 for a in s.avals):
        return Info(number, HOST, s)
    if copied:
        info = Info(number, ELEM, s, ("move", (3, s.out.dtype.itemsize)), vs[0].shape)
        return spaced(info, vs)
    if kind is Kind.ELEMENTWISE:
        kernel = kernels.find(s)
        if kernel is None or (len(vs) > 3 and s.out.size == 1):
            return Info(number, HOST, s)
        if s.out.size == 1:
            return Info(number, SCALAR, s, kernel)
        info = spaced(Info(number, ELEM, s, kernel, s.out.shape), vs)
        if info.n <= SMALL and not large and len(vs) <= 3 and all(len(x) <= 1 for x in info.lines):
            info.kind = LANES
        return info
    if kind is Kind.REDUCE:
        info = reduction(s, vs[0], number)
        small = info.n <= SMALL and not large and s.out.dtype.itemsize <= 8
        if info.kind == TO_SCALAR and small and len(info.lines[0]) <= 1:
            info.kind = LANES_SUM
        return info
    if kind in (Kind.PLACE, Kind.GUFUNC, Kind.GATHER, Kind.SCATTER, Kind.ACCUMULATE):
        kernel = kernels.find(s) if kind in (Kind.GUFUNC, Kind.ACCUMULATE) else s.op.name
        if kernel is not None and callable_here(s, vs):
            if kind is Kind.PLACE and pokes(s, vs, large):
                return Info(number, POKE, s, kernel)
            return Info(number, UPDATE if s.op.name in REPLACING else CALL, s, kernel)
    return Info(number, HOST, s)


def pokes(s: Signature, vs: list[View], large: bool) -> bool:
    """Whether what is written are short lines: then it is done in the scalar sweep."""
    if large or len(vs) > 64 or (s.op.name in REPLACING and not vs[0].contiguous):
        return False
    return all(
        vs[k].size <= SMALL and len(views.lines_over_both(vs[k].strides, at.strides, at.shape)) <= 1
        for k, at in parts(s)
    )


def spaced(info: Info, vs: list[View]) -> Info:
    info.n = prod(info.shape)
    info.lines = tuple(tuple(views.lines_over(v, info.shape)) for v in vs)
    for lines in info.lines:
        if len(lines) == 2 and (lines[0][1] == 0) != (lines[1][1] == 0):
            info.vote = (lines[1][0], 1)
    return info


def reduction(s: Signature, v: View, number: int) -> Info:
    kernel = kernels.find(s)
    if kernel is None or kernels.identity(kernel[0], s.out.dtype) is None:
        return Info(number, HOST, s)
    info = spaced(Info(number, CALL, s, kernel, v.shape), [v])
    axes = {a % len(v.shape) for a in s.params[0]}
    wide = [d for d, n in enumerate(v.shape) if n > 1]
    gone = [d in axes for d in wide]
    split = gone.index(True) if True in gone else len(gone)
    if all(gone):
        info.kind = TO_SCALAR
    elif all(gone[split:]):
        info.kind = TO_ROWS
        info.vote = (prod(v.shape[d] for d in wide[split:]), 4)
    else:
        split = gone.index(False)
        if all(not g for g in gone[split:]):
            info.kind = TO_COLUMNS
            info.vote = (prod(v.shape[d] for d in wide[split:]), 4)
    return info


def relate(info: Info, columns: int) -> tuple[int, ...]:
    """Relation of each operand to the space, once its columns are known."""
    rels = []
    for lines, a in zip(info.lines, info.sig.avals, strict=True):
        item = a.dtype.itemsize
        if not lines or all(s == 0 for _, s in lines):
            rels.append(ONE)
        elif len(lines) == 1 and lines[0][1] == item:
            rels.append(IDENT)
        elif len(lines) == 2 and lines[1] == (columns, 0) and lines[0][1] == item:
            rels.append(ROWS)
        else:
            rels.append(OTHER)
    return tuple(rels)


def choose_columns(infos: list[Info], counts: np.ndarray) -> dict[int, int]:
    votes: dict[int, dict[int, int]] = {}
    for info, count in zip(infos, counts, strict=True):
        c, weight = info.vote
        if weight and 1 < c <= MAX_COLUMNS:
            box = votes.setdefault(info.n, {})
            box[c] = box.get(c, 0) + weight * int(count)
    return {n: max(box, key=lambda c: (box[c], -c)) for n, box in votes.items()}


def schedule(tape: Tape) -> Schedule:
    root, vid, is_view, copies, loads = aliases(tape)
    n = len(tape)
    first = tape.first
    ptr, args = tape.arg_ptr, tape.args
    infos: list[Info] = []
    info = classify(tape, root, vid, is_view, copies, infos)
    for i, r, v in loads:
        key = ("load", (r, v.offset, v.size * v.itemsize))
        info[i] = len(infos)
        infos.append(Info(len(infos), SCALAR, tape.signature(i), key))
    counts = np.bincount(info, minlength=len(infos)) if n else np.zeros(len(infos), np.int64)
    columns = choose_columns(infos, counts)
    kinds = np.zeros(len(infos), np.int32)
    sizes = np.zeros(len(infos), np.int64)
    rel_ptr = np.zeros(len(infos), np.int64)
    rels: list[int] = [ONE]
    for f in infos:
        c = columns.get(f.n, 1)
        if f.kind in (TO_ROWS, TO_COLUMNS) and f.vote[0] != c:
            f.kind = CALL
        if f.lines:
            f.rels = relate(f, c)
        kinds[f.id] = f.kind
        sizes[f.id] = f.n
        rel_ptr[f.id] = len(rels)
        rels.extend(f.rels)
    space = np.zeros(n, np.int64)
    level = np.zeros(n, np.int8)
    depth = np.zeros(n, np.int32)
    fast(levelling, n)(
        first,
        root,
        info,
        kinds,
        sizes,
        rel_ptr,
        np.array(rels, np.int8),
        args,
        ptr,
        space,
        level,
        depth,
    )
    live = np.flatnonzero(kinds[info] != VIEW) if n else np.zeros(0, np.int64)
    alone = np.where(space[live] < 0, live, -1)
    key = np.lexsort((live, alone, space[live], depth[live]))
    order = live[key]
    if len(order):
        sp, dp, al = space[order], depth[order], alone[key]
        cut = (np.diff(sp) != 0) | (np.diff(dp) != 0) | (np.diff(al) != 0)
        bounds = np.concatenate(([0], np.flatnonzero(cut) + 1, [len(order)]))
    else:
        bounds = np.zeros(1, np.int64)
    return Schedule(tape, root, vid, infos, info, columns, space, level, depth, order, bounds)


def classify(tape: Tape, root: Any, vid: Any, is_view: Any, copies: list, infos: list) -> Any:
    """Info of each instruction. One per signature where all operands are whole arrays, else one
    per (signature, views of the operands)."""
    n, first = len(tape), tape.first
    used, inverse = tape.distinct
    view_info = Info(0, VIEW, signatures[0])
    infos.append(view_info)
    if not n:
        return np.zeros(0, np.int32)
    ptr, args = tape.arg_ptr, tape.args
    plain = np.empty(tape.n_values, np.bool_)
    large = np.zeros(tape.n_values, np.bool_)
    for v in range(first):
        a = tape.aval(v)
        plain[v] = True
        large[v] = a.nbytes > COPY_IN
    own = root[first:] == np.arange(first, tape.n_values)
    plain[first:] = own
    large[first:] = large[root[first:]] & (root[first:] < first)
    simple = np.zeros(n, np.bool_)
    odd = ~plain[args] | large[args]
    user = np.repeat(np.arange(n), np.diff(ptr))
    simple[:] = True
    simple[user[odd]] = False
    scalar = np.array([
        s.op.kind in (Kind.ELEMENTWISE, Kind.GUARD) and all(a.size == 1 for a in s.avals)
        for s in used
    ], np.bool_)  # fmt: skip
    simple |= scalar[inverse]
    simple &= ~is_view
    simple[copies] = False
    info = np.zeros(n, np.int32)
    which = np.full(len(used), -1, np.int32)
    for k in np.unique(inverse[simple]).tolist():
        s = used[k]
        whole = tuple(views.whole(a.shape, a.dtype.itemsize).id for a in s.avals)
        which[k] = len(infos)
        infos.append(describe(s, whole, len(infos), False, False))
    info[simple] = which[inverse[simple]]
    table: dict = {}
    copied = set(copies)
    for i in np.flatnonzero(~simple & ~is_view).tolist():
        ops = args[ptr[i] : ptr[i + 1]]
        key = (inverse[i], *vid[ops].tolist(), i in copied, bool(large[ops].any()))
        found = table.get(key)
        if found is None:
            found = table[key] = len(infos)
            vids = tuple(vid[ops].tolist())
            infos.append(describe(used[inverse[i]], vids, found, key[-2], key[-1]))
        info[i] = found
    return info


def levelling(first, root, info, kinds, sizes, rel_ptr, rels, args, ptr, space, level, depth):
    """Assign space, level and depth; see the module's text. Compiled for long tapes.

    Guards keep their order, and what may raise waits for the guards before it. An update waits
    for the readers of the old array that were recorded before it, so that it can be in place.
    """
    n = len(info)
    readers = np.zeros(n, np.int32)
    guard = 0
    for i in range(n):
        f = info[i]
        kind = kinds[f]
        if kind == 8:  # VIEW
            continue
        base = rel_ptr[f]
        lo = ptr[i]
        hi = ptr[i + 1]
        d = 0
        small = kind == 0 or kind == 7 or kind == 9  # SCALAR, GUARD, POKE
        other = -1
        e = -1
        if kind == 1 or kind == 4 or kind == 12 or kind == 13:
            # An operand that is a row-level value of a larger space may take the instruction there.
            for k in range(lo, hi):
                r = root[args[k]] - first
                if r >= 0 and rels[base + k - lo] == 1 and level[r] == 1 and depth[r] > e:
                    e = depth[r]
                    other = space[r]
            if other >= 0:
                for k in range(lo, hi):
                    r = root[args[k]] - first
                    if r < 0:
                        continue
                    inside = space[r] == other and level[r] == 1 and rels[base + k - lo] == 1
                    if not inside and depth[r] + 1 > e:
                        other = -1
            small = kind >= 12 and other < 0
        if small:
            for k in range(lo, hi):
                r = root[args[k]] - first
                if r >= 0:
                    e = depth[r] + (0 if space[r] == 0 else 1)
                    if e > d:
                        d = e
            if kind == 7:
                if guard > d:
                    d = guard
                guard = d
            if kind == 9 and hi - lo == 2:
                r = root[args[lo]] - first
                if r >= 0 and readers[r] > d:
                    d = readers[r]
            for k in range(lo, hi):
                r = root[args[k]] - first
                if r >= 0 and readers[r] < d:
                    readers[r] = d
            space[i] = 0
            level[i] = 2
            depth[i] = d
            continue
        if kind >= 5 and kind < 12:  # CALL, HOST, CHECK, UPDATE
            for k in range(lo, hi):
                r = root[args[k]] - first
                if r >= 0:
                    if depth[r] + 1 > d:
                        d = depth[r] + 1
                    if kind == 11 and k == lo and readers[r] + 1 > d:
                        d = readers[r] + 1
            if guard + 1 > d:
                d = guard + 1
            if kind == 10:
                guard = d
            for k in range(lo, hi):
                r = root[args[k]] - first
                if r >= 0 and readers[r] < d:
                    readers[r] = d
            space[i] = -1
            level[i] = 2
            depth[i] = d
            continue
        own = sizes[f]
        if other >= 0:
            space[i] = other
            level[i] = 1 if kind == 1 or kind == 12 else 2
            d = e
        else:
            for k in range(lo, hi):
                r = root[args[k]] - first
                if r < 0:
                    continue
                rel = rels[base + k - lo]
                inside = space[r] == own and (
                    (level[r] == 0 and rel == 1) or (level[r] == 1 and rel == 2 and kind == 1)
                )
                e = depth[r] if inside else depth[r] + 1
                if e > d:
                    d = e
            space[i] = own
            level[i] = 0 if kind == 1 else (1 if kind == 2 else 2)
        depth[i] = d
        for k in range(lo, hi):
            r = root[args[k]] - first
            if r >= 0 and readers[r] < d:
                readers[r] = d
