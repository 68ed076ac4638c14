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

import numpy as np

from jittape.compiled import fast
from jittape.passes.classify import (
    CALL,
    IDENT,
    ONE,
    OTHER,
    ROWS,
    SCALAR,
    TO_COLUMNS,
    TO_ROWS,
    VIEW,
    Info,
    aliases,
    classify,
)
from jittape.tape import Tape

MAX_COLUMNS = 2048


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
    """Columns of each space: what most of its instructions would have, by weight."""
    votes: dict[int, dict[int, int]] = {}
    for info, count in zip(infos, counts, strict=True):
        c, weight = info.vote
        if weight and 1 < c <= MAX_COLUMNS:
            box = votes.setdefault(info.n, {})
            box[c] = box.get(c, 0) + weight * int(count)
    return {n: max(box, key=lambda c: (box[c], -c)) for n, box in votes.items()}


def schedule(tape: Tape) -> Schedule:
    """Group the instructions of a tape; see the text of this module."""
    root, vid, is_view, copies, loads = aliases(tape)
    n = len(tape)
    first = tape.first
    ptr, args = tape.arg_ptr, tape.args
    infos: list[Info] = []
    info = classify(tape, root, vid, is_view, copies, infos)
    for i, r, v in loads:
        load = ("load", (r, v.offset, v.size * v.itemsize))
        info[i] = len(infos)
        infos.append(Info(len(infos), SCALAR, tape.signature(i), load))
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
    used, inverse = tape.distinct
    count = np.array([g.out.size for g in used], np.int64)[inverse] if n else np.zeros(0, np.int64)
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
        count,
        space,
        level,
        depth,
        np.zeros(n, np.int32),
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


def levelling(
    first: int,
    root: np.ndarray,
    info: np.ndarray,
    kinds: np.ndarray,
    sizes: np.ndarray,
    rel_ptr: np.ndarray,
    rels: np.ndarray,
    args: np.ndarray,
    ptr: np.ndarray,
    count: np.ndarray,
    space: np.ndarray,
    level: np.ndarray,
    depth: np.ndarray,
    readers: np.ndarray,
) -> None:
    """Assign space, level and depth; see the module's text. Compiled for long tapes.

    Guards keep their order, and what may raise waits for the guards before it. An update waits
    for the readers of the old array that were recorded before it, so that it can be in place.
    """
    n = len(info)
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
                whole = r >= 0 and rels[base + k - lo] == 1 and count[r] == sizes[f]
                if whole and level[r] == 1 and depth[r] > e:
                    e = depth[r]
                    other = space[r]
            if other >= 0:
                for k in range(lo, hi):
                    r = root[args[k]] - first
                    if r < 0:
                        continue
                    inside = space[r] == other and level[r] == 1 and rels[base + k - lo] == 1
                    inside = inside and count[r] == sizes[f]  # not a slice of the rows
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
            if kind == 9 and hi - lo > 1:
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
