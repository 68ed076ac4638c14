"""Lowering: steps to one table of int64 words, which the compiled sweeps read.

Kernels are left as relocations: (word, kernel, word of its data or -1); linking writes the
addresses of this process there.
"""

from __future__ import annotations

import numpy as np

from jittape.passes import classify as sch
from jittape.passes import groups, inner, scalars, views
from jittape.passes.calls import TEMP, Call, Operand, copied, lower_call
from jittape.passes.groups import Group, Lowering, Micro
from jittape.passes.memory import ARENA, FIRST_SLOT, Places
from jittape.passes.schedule import Schedule

SCALARS, GROUP, CALLS, HOST, SHARED, END, LOOP = range(7)
CHECKED = ("", "index", "host")  # execute/sweep.py knows these by number
HEADER = 8  # words: steps, n inputs, input types, pairs of scalar kernels


class Words:
    """The table under construction."""

    def __init__(self) -> None:
        self.words: list[int] = [0] * HEADER
        self.relocations: list[tuple[int, tuple, int]] = []
        self.shared: dict[tuple, int] = {}

    def put(self, *values: int) -> int:
        at = len(self.words)
        self.words.extend(values)
        return at

    def share(self, values: tuple) -> int:
        """Words that are only read: equal ones are stored once."""
        at = self.shared.get(values)
        if at is None:
            at = self.shared[values] = len(self.words)
            for v in values:
                if isinstance(v, tuple):  # a kernel; the next word is its data
                    self.kernel(len(self.words), v, None)
                    self.words.append(0)
                else:
                    self.words.append(v)
        return at

    def kernel(self, word: int, kernel: tuple, data: tuple | None) -> None:
        if data is None and isinstance(kernel[0], str) and len(kernel) > 1:
            data = kernel[1]
        self.relocations.append((word, kernel, -1 if data is None else self.share(data)))


def lower(s: Schedule, places: Places) -> tuple[np.ndarray, list, dict, np.ndarray]:
    """(words, relocations, host steps by instruction, scalar code)."""
    w = Words()
    steps: list[int] = []
    hosts: dict[int, int] = {}
    codes: list[np.ndarray] = []
    rows = 0
    pairs: dict[tuple, int] = {}

    def pair(kernel: tuple, dims: tuple, steps: tuple) -> int:
        return pairs.setdefault((kernel, dims, steps), len(pairs))

    kinds = [f.kind for f in s.infos]
    temp_top = [0]
    pending: list[Call | inner.Placed] = []
    todo: list[tuple[int, Call | inner.Placed]] = []
    for b in range(len(s.bounds) - 1):
        lo, hi = int(s.bounds[b]), int(s.bounds[b + 1])
        i = int(s.order[lo])
        space = int(s.space[i])
        if space == 0:
            code = scalars.emit(s, places, s.order[lo:hi], pair)
            steps += [SCALARS, rows, rows + len(code), 0]
            rows += len(code)
            codes.append(code)
            continue
        if space > 0:
            wanted = s.order[lo:hi]
            wanted = wanted[places.needed[wanted]].tolist()
            if not wanted:
                continue
            group = Lowering(s, places, wanted).g
            places.scratch = max(places.scratch, 8 * group_args(group) + group.scratch)
            places.chunks = max(places.chunks, group.chunks)
            places.partial = max(places.partial, group.partial * group.chunks)
            steps += [GROUP, group_words(w, group), 0, i]
            continue
        info = s.infos[s.info[i]]
        kind = kinds[s.info[i]]
        if kind == sch.HOST:
            steps += [HOST, i, 0, i]
        elif kind == sch.CHECK:
            steps += [HOST, i, 0, i]
        else:
            ops = [operand(s, places, a) for a in s.tape.operands(i)]
            out = operand(s, places, s.tape.first + i)
            temp = [0]
            if info.kernel == sch.LOOP:
                found = inner.placed(info.sig, ops, out, temp)
                pending = [*found.before, found, *found.after]
            else:
                in_place = bool(places.in_place[i])
                pending = [*lower_call(info.sig, info.kernel, ops, out, in_place, temp)]
            temp_top[0] = max(temp_top[0], temp[0])
            for c in pending:
                steps += [*step_kind(c), i]
                todo.append((len(steps) - 3, c))
    for k, v in enumerate(places.results):
        if v is not None:
            src = operand(s, places, v)
            item = src.itemsize
            slot = FIRST_SLOT + s.tape.first + k
            dst = Operand(slot, 0, src.shape, views.whole(src.shape, item).strides, item)
            if s.tape.aval(v).size:
                for c in copied(src, dst):
                    steps += [CALLS, 0, 0, -1]
                    todo.append((len(steps) - 3, c))
    steps += [END, 0, 0, 0]
    temp_base = (places.arena + 63) & ~63
    places.arena = temp_base + temp_top[0]
    for at, part in todo:
        if isinstance(part, Call):
            steps[at] = call_words(w, part, temp_base)
        else:
            steps[at] = loop_words(w, part, temp_base)
    w.words[0] = w.put(*steps)
    kernel_table(w, pairs)
    code = np.concatenate(codes) if codes else np.zeros((0, scalars.ROW), np.int32)
    return np.array(w.words, np.int64), w.relocations, hosts, code


def kernel_table(w: Words, pairs: dict[tuple, int]) -> None:
    """The kernels that rows call: (kernel, dims, steps) by number."""
    shared = [(w.share(dims), w.share(st)) for _, dims, st in pairs]
    w.words[3] = w.put(*[x for d, st in shared for x in (0, 0, d, st)])
    for (kernel, _, _), k in pairs.items():
        w.kernel(w.words[3] + 4 * k, kernel, None)


def step_kind(c: Call | inner.Placed) -> tuple[int, int, int]:
    """The first words of a step: what it is, a place that is not known yet, and what follows where
    its kernel reports a failure."""
    if not isinstance(c, Call):
        return LOOP, 0, 0
    return SHARED if c.cut else CALLS, 0, CHECKED.index(c.checked)


def operand(s: Schedule, places: Places, value: int) -> Operand:
    """Where a value lies."""
    r = int(s.root[value])
    v = views.views[s.view[value]]
    offset = int(places.offset[r]) + v.offset
    return Operand(int(places.slot[r]), offset, v.shape, v.strides, v.itemsize)


def call_words(w: Words, c: Call, temp_base: int) -> int:
    """A Call as words; their place."""
    dims = w.share(tuple(c.dims))
    steps = w.share(tuple(c.steps))
    outer = w.put(*(x for row in c.outer for x in row)) if c.outer else 0
    places = [(ARENA, temp_base + o) if sl == TEMP else (sl, o) for sl, o in c.args]
    flat = [x for p in places for x in p]
    at = w.put(0, 0, len(c.args), dims, steps, len(c.outer), outer, *flat)
    w.kernel(at, c.kernel, c.data)
    if c.cut is not None:
        return w.put(c.cut.chunks, c.cut.cost, at, c.cut.dimension, c.cut.per)
    return at


def loop_words(w: Words, p: inner.Placed, temp_base: int) -> int:
    """A loop as words; their place."""
    program = p.loop.program
    at = w.put(0, 0, 0, 0, *inner.words(p, temp_base))
    w.relocations += [(at, ("program", program), -1), (at + 2, ("template", program), -1)]
    return at


def group_args(g: Group) -> int:
    """Words of scratch that the arguments of a group's kernels take, and some to spare."""
    return 16 + sum(len(m.args) for m in g.prologue) + sum(len(m.args) for m in g.body)


def group_words(w: Words, g: Group) -> int:
    """A Group as words; their place."""
    args: list[int] = []
    walkers: list[int] = []
    n_args = 0

    def micro(m: Micro, walk: bool) -> tuple:
        nonlocal n_args
        at = n_args
        for a in m.args:
            offset = a.offset if a.temp is None else a.temp.offset
            args.extend((a.slot, offset, a.step))
            if walk and a.step:
                walkers.append(n_args)
            n_args += 1
        return (m, at, m.dims, w.share(tuple(m.steps)))

    prologue = [micro(m, False) for m in g.prologue]
    body = [micro(m, True) for m in g.body]
    # Own data first: `share` appends words, so the tables are laid out after it.
    for m, *_ in prologue + body:
        if m.data is not None:
            w.share(m.data)
        elif isinstance(m.kernel[0], str) and len(m.kernel) > 1:
            w.share(m.kernel[1])
    combine = [
        (kernel, count, w.share((item, item, item)), part, *place, item)
        for kernel, count, item, part, place in g.combine
    ]
    a_at = w.put(*args)
    k_at = w.put(*walkers)

    def table(rows: list[tuple]) -> int:
        at = len(w.words)
        for m, a, d, st in rows:
            word = w.put(0, 0, a, d, st)
            w.kernel(word, m.kernel, m.data)
        return at

    p_at = table(prologue)
    b_at = table(body)
    c_at = len(w.words)
    for kernel, *rest in combine:
        w.kernel(w.put(0, 0, *rest), kernel, None)
    return w.put(
        g.rows,
        g.columns,
        g.block_rows,
        g.chunks,
        g.chunk_rows,
        n_args,
        a_at,
        len(walkers),
        k_at,
        len(prologue),
        p_at,
        len(body),
        b_at,
        g.scratch,
        g.partial,
        len(combine),
        c_at,
        g.cost,
    )


__all__ = ["groups", "lower"]
