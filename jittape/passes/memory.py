"""Memory plan: lifetimes to places.

A place is (slot, offset): slot 0 is the arena, then come inputs, constants and results, whose
addresses are only known at the call. Values that stay within a block of a group get no place.
Times are positions in the order of execution; a group reads and writes over its whole range.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from jittape.compiled import fast
from jittape.distinct import distinct
from jittape.passes import classify as sch
from jittape.passes import views
from jittape.passes.calls import REPLACING, parts
from jittape.passes.recompute import recompute
from jittape.passes.schedule import Schedule
from jittape.tape import Tape

ARENA, SCRATCH, PARTIAL, FIRST_SLOT = 0, 1, 2, 3
FOREVER = 1 << 40


@dataclass(eq=False)
class Places:
    slot: np.ndarray  # root value -> slot, or -1: within a group only
    offset: np.ndarray
    step: np.ndarray  # instruction -> step
    in_place: np.ndarray  # instruction: writes into the buffer of its first operand
    needed: np.ndarray  # instruction: is executed in its own step
    room: np.ndarray  # value -> bytes it has to itself from its offset on; 0: no more than its own
    arena: int = 0
    resident: list = field(default_factory=list)  # (value, offset) copied in at the start
    results: list = field(default_factory=list)  # per output: None, or the value to copy
    peak: int = 0
    scratch: int = 0  # bytes per worker
    partial: int = 0
    chunks: int = 1  # of the group that has most


def plan(s: Schedule, carried: tuple[int, ...] = ()) -> Places:
    """carried: inputs that the first outputs replace, sweep after sweep: then all inputs are
    copied into the arena, and an output is computed in the place of the input it replaces where
    nothing reads that any more."""
    tape = s.tape
    n, first = len(tape), tape.first
    nv = tape.n_values
    order, bounds = s.order, s.bounds
    pos = np.full(n, -1, np.int64)
    pos[order] = np.arange(len(order))
    step = np.full(n, -1, np.int64)
    step[order] = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    kinds = np.array([f.kind for f in s.infos], np.int32)[s.info] if n else np.zeros(0, np.int32)
    scalar = s.space == 0
    starts = np.where(scalar, pos, bounds[:-1][step] if len(bounds) > 1 else 0)
    ends = np.where(scalar, pos, bounds[1:][step] - 1 if len(bounds) > 1 else 0)

    user = np.repeat(np.arange(n), np.diff(tape.arg_ptr))
    used = s.root[tape.args]
    again = recompute(s, step)
    alive = (kinds[user] != sch.VIEW) & again.needed[user] if n else np.zeros(0, np.bool_)
    if again.virtual.any():
        alive &= ~again.virtual[used] | (step[np.maximum(used - first, 0)] == step[user])
    user, used = user[alive], used[alive]
    if again.extra:
        more = np.array(again.extra, np.int64)
        user, used = np.concatenate((user, more[:, 0])), np.concatenate((used, more[:, 1]))
    last = np.full(nv, -1, np.int64)
    np.maximum.at(last, used, ends[user])
    out_roots = s.root[tape.outputs]
    last[out_roots] = FOREVER
    escapes = np.zeros(nv, np.bool_)
    inner = used >= first
    made = np.maximum(used - first, 0)
    escapes[used[inner & (step[made] != step[user])]] = True if n else False
    escapes[out_roots] = True
    scalar_use = np.zeros(nv, np.bool_)
    scalar_use[used[scalar[user]]] = True

    slot = np.full(nv, -1, np.int64)
    offset = np.zeros(nv, np.int64)
    places = Places(slot, offset, step, np.zeros(n, np.bool_), again.needed, np.zeros(nv, np.int64))
    slot[:first] = FIRST_SLOT + np.arange(first)

    # Inputs and constants that the scalar sweep reads live at the start of the arena.
    top = 0
    in_arena = scalar_use[:first].copy()
    if carried:
        in_arena[: tape.n_inputs] = True
        in_arena[out_roots[out_roots < first]] = True
    for v in np.flatnonzero(in_arena).tolist():
        nbytes = tape.aval(v).nbytes
        if nbytes <= sch.COPY_IN:
            size = (nbytes + 7) & ~7
            if v in carried and tape.aval(v).size > 1:
                size = 32 if nbytes <= 32 else (nbytes + 63) & ~63
                top = (top + size - 1) & -size if size <= 32 else (top + 63) & ~63
                places.room[v] = size
            places.resident.append((v, top))
            slot[v], offset[v] = ARENA, top
            top += size
    top = (top + 63) & ~63

    # Small values of the scalar sweep: slots of a few sizes, reused in the order of execution.
    has_value = np.zeros(n, np.bool_)
    wide = np.zeros(n, np.int64)
    sizes = np.zeros(n, np.int64)
    _, inverse = tape.distinct
    outs = [g.out for g in tape.distinct[0]]
    if n:
        wide = np.array([o.nbytes if o is not None else 0 for o in outs], np.int64)[inverse]
        sizes = np.array([o.size if o is not None else 0 for o in outs], np.int64)[inverse]
        has_value = (kinds != sch.VIEW) & (kinds != sch.GUARD) & (kinds != sch.CHECK)
        has_value &= (s.root[first:] == np.arange(first, nv)) & (sizes > 0)
    single = has_value & (escapes[first:] | (s.level == sch.MEMORY))
    single &= (sizes == 1) | (scalar & (kinds != sch.POKE))
    if single.any():
        which = np.flatnonzero(single)
        which = which[np.argsort(starts[which], kind="stable")]
        dying = which[np.argsort(last[first + which], kind="stable")]
        where = np.full(n, -1, np.int64)
        few = np.where((wide <= 16) & (sizes == 1), 16, 32)  # lines have room for whole vectors
        wide = np.where(wide <= 8, 8, np.where(wide <= 32, few, (wide + 63) & ~63))
        classes, which_class = distinct(wide)
        used_bytes = fast(assign_slots, n)(
            which, dying, starts, last[first:], kinds == sch.SCALAR, wide, which_class,
            np.full(len(classes), -1, np.int64), np.full(n, -1, np.int64), where,
        )  # fmt: skip
        slot[first + which] = ARENA
        offset[first + which] = top + where[which]
        places.room[first + which] = wide[which]
        top += int(used_bytes)
        _replaced(s, places, carried, pos, last, kinds)
    top = (top + 63) & ~63

    has_value &= again.needed
    arrays = has_value & ~single & (escapes[first:] | (s.level == sch.MEMORY))
    _arrays(s, places, np.flatnonzero(arrays), kinds, starts, ends, last, scalar_use, top)
    return places


def _replaced(
    s: Schedule,
    places: Places,
    carried: Sequence[int],
    pos: np.ndarray,
    last: np.ndarray,
    kinds: np.ndarray,
) -> None:
    """Compute the outputs that replace an input in its place, from its last reader on."""
    tape = s.tape
    first = tape.first
    done = set()
    for v, old in zip(tape.outputs.tolist(), carried, strict=False):
        r = int(s.root[v])
        if r < first or r in done or s.root[old] != old or places.slot[r] != ARENA:
            continue
        i = r - first
        reads_first = kinds[i] == sch.SCALAR
        free = last[old] < pos[i] or (reads_first and last[old] == pos[i])
        same = tape.aval(r).nbytes == tape.aval(old).nbytes and kinds[i] != sch.POKE
        if free and same and places.room[r] > 0 and views.views[s.view[v]].offset == 0:
            done.add(r)
            places.offset[r] = places.offset[old]
            places.room[r] = places.room[old]


def assign_slots(
    which: np.ndarray,
    dying: np.ndarray,
    starts: np.ndarray,
    last: np.ndarray,
    reads_first: np.ndarray,
    wide: np.ndarray,
    kind: np.ndarray,
    free: np.ndarray,
    link: np.ndarray,
    where: np.ndarray,
) -> int:
    """Linear scan over small values. Compiled for long tapes.

    free[c]: the first free slot of size class c, as the instruction that had it; link: the next.
    scalar: instructions on single elements read before they write, so they may take the slot of
    an operand that dies with them; what others write may not overlap what they read.
    """
    n = len(which)
    top = 0
    d = 0
    for k in range(n):
        i = which[k]
        now = starts[i]
        while d < n:
            j = dying[d]
            if where[j] < 0 and last[j] >= starts[j]:
                break
            if last[j] > now or (last[j] == now and not reads_first[i]):
                break
            if where[j] >= 0:
                link[j] = free[kind[j]]
                free[kind[j]] = j
            d += 1
        c = kind[i]
        j = free[c]
        if j >= 0:
            free[c] = link[j]
            where[i] = where[j]
        else:
            size = wide[i]
            align = 64 if size >= 64 else (32 if size == 32 else 8)
            top = (top + align - 1) // align * align
            where[i] = top
            top += size
    return top


def _arrays(
    s: Schedule,
    places: Places,
    which: np.ndarray,
    kinds: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    last: np.ndarray,
    scalar_use: np.ndarray,
    top: int,
) -> None:
    """Arrays: in the result where they are one, else by best fit in the arena."""
    tape = s.tape
    first = tape.first
    slot, offset = places.slot, places.offset
    free: list[tuple[int, int]] = []  # (offset, size), sorted by offset
    dying: list[tuple[int, int, int]] = []  # (time, offset, size)
    end = top
    block: dict[int, tuple[int, int]] = {}
    direct: dict[int, tuple[int, int]] = {}  # root -> (output, offset)
    n_out = len(tape.outputs)
    places.results = [None] * n_out
    out_slot = FIRST_SLOT + first

    def may(v: int) -> bool:
        """Whether an array can be computed in a place that is given: all of it, not yet placed."""
        r = int(s.root[v])
        whole = views.views[s.view[v]] is _whole(tape, r) or (
            views.views[s.view[v]].contiguous and tape.aval(v).size == tape.aval(r).size
        )
        free = r >= first and tape.aval(r).size > 1 and not scalar_use[r] and slot[r] < 0
        return free and whole and r not in direct

    for k, v in enumerate(tape.outputs.tolist()):
        r = int(s.root[v])
        if may(v) and kinds[r - first] != sch.POKE:
            direct[r] = k, 0
        else:
            places.results[k] = v
    for r in list(direct):
        _pieces(s, r, direct, may, kinds)
    extent: dict[int, int] = {}
    for i in which[np.argsort(starts[which], kind="stable")].tolist():
        v = first + i
        now = starts[i]
        if v in direct:
            slot[v], offset[v] = out_slot + direct[v][0], direct[v][1]
            continue
        while dying and dying[0][0] < now:
            _, o, size = heapq.heappop(dying)
            if extent.get(o, -1) >= now:
                heapq.heappush(dying, (extent[o], o, size))
                continue
            extent.pop(o, None)
            _release(free, o, size)
        if kinds[i] in (sch.POKE, sch.UPDATE) and _steals(s, places, i, starts, last, extent):
            old = int(s.root[tape.args[tape.arg_ptr[i]]])
            slot[v], offset[v] = ARENA, offset[old]
            places.in_place[i] = True
            extent[int(offset[old])] = max(int(last[v]), int(ends[i]))
            continue
        size = (tape.aval(v).nbytes + 63) & ~63
        best = -1
        for k, (_, have) in enumerate(free):
            if have >= size and (best < 0 or have < free[best][1]):
                best = k
        if best >= 0:
            o, have = free.pop(best)
            if have > size:
                insort(free, (o + size, have - size))
        elif free and free[-1][0] + free[-1][1] == end:
            o, have = free.pop()
            end = o + size
        else:
            o = end
            end += size
        slot[v], offset[v] = ARENA, o
        block[v] = (o, size)
        until = max(int(last[v]), int(ends[i]))
        extent[o] = until
        heapq.heappush(dying, (until, o, size))
    places.arena = end
    places.peak = end


def _pieces(
    s: Schedule,
    joined: int,
    direct: dict[int, tuple[int, int]],
    may: Callable[[int], bool],
    kinds: np.ndarray,
) -> None:
    """Pieces of a result that is joined from them are computed in their places there."""
    todo = [joined]
    while todo:
        r = todo.pop()
        i = r - s.tape.first
        info = s.infos[s.info[i]]
        if info.kind != sch.CALL or info.sig.op.name not in ("concatenate", "stack"):
            continue
        k, start = direct[r]
        ops = s.tape.operands(i)
        for n, at in parts(info.sig):
            q = int(s.root[ops[n]])
            fixed = (sch.POKE, sch.UPDATE, sch.LANES, sch.LANES_SUM)
            if at.contiguous and at.size and may(ops[n]) and kinds[q - s.tape.first] not in fixed:
                direct[q] = k, start + at.offset
                todo.append(q)


def _whole(tape: Tape, r: int) -> views.View:
    a = tape.aval(r)
    return views.whole(a.shape, a.dtype.itemsize)


def _steals(
    s: Schedule,
    places: Places,
    i: int,
    starts: np.ndarray,
    last: np.ndarray,
    extent: dict[int, int],
) -> bool:
    """Whether instruction i may write into the buffer of its first operand."""
    tape = s.tape
    name = s.infos[s.info[i]].sig.op.name
    if name not in REPLACING:
        return False
    a = int(tape.args[tape.arg_ptr[i]])
    r = int(s.root[a])
    if r < tape.first or places.slot[r] != ARENA or last[r] > starts[i]:
        return False
    if int(places.offset[r]) not in extent:  # not a block of this allocator
        return False
    if r in s.root[tape.args[tape.arg_ptr[i] + 1 : tape.arg_ptr[i + 1]]]:
        return False
    return views.views[s.view[a]] is _whole(tape, r)


def _release(free: list, o: int, size: int) -> None:
    """Give a block back, merged with its free neighbours."""
    insort(free, (o, size))
    k = free.index((o, size))
    if k + 1 < len(free) and o + size == free[k + 1][0]:
        size += free.pop(k + 1)[1]
        free[k] = (o, size)
    if k > 0 and free[k - 1][0] + free[k - 1][1] == o:
        free[k - 1] = (free[k - 1][0], free[k - 1][1] + size)
        free.pop(k)
