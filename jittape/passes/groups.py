"""Lowering of a group: elementwise instructions and reductions over blocks of one space.

The result is symbolic: instructions with arguments that are memory walks or temporaries; the
temporaries are then given places in the worker's scratch by their lifetimes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jittape.config import config
from jittape.passes import classify as sch
from jittape.passes import kernels, strips, views
from jittape.passes.hoist import hoisted
from jittape.passes.memory import PARTIAL, SCRATCH, Places
from jittape.passes.schedule import Schedule

BLOCK = 512  # elements
DIMS_FULL, DIMS_ROW, DIMS_COLUMN, DIMS_ONE = range(4)
CHUNK_BLOCKS = 8  # blocks per chunk, at least
CHUNK_COST = 16_384  # element operations per chunk, about 5 us, from which on fewer blocks will do
SHAREABLE = 131_072  # element operations of a group that several threads might share
MAX_CHUNKS = 64
FOLDS: dict[Any, int] = {np.add: 2, np.maximum: 3, np.minimum: 4}
"""Reductions of rows that the kernel `folding` does itself, for float64."""


@dataclass(eq=False)
class Temp:
    nbytes: int
    first: int = -1
    last: int = -1
    offset: int = -1
    pinned: bool = False  # lives through all blocks


@dataclass(eq=False)
class Arg:
    """An argument's address: slot + offset + row * step; or a temporary."""

    slot: int
    offset: int
    step: int = 0
    temp: Temp | None = None


@dataclass(eq=False)
class Micro:
    """One kernel call per block."""

    kernel: tuple
    data: tuple | None
    dims: int
    args: list[Arg]
    steps: tuple[int, ...]


@dataclass(eq=False)
class Group:
    """A loop over blocks: `prologue` for each chunk, `body` for each block, `combine` at last."""

    rows: int
    columns: int
    block_rows: int
    chunks: int
    chunk_rows: int
    prologue: list[Micro] = field(default_factory=list)
    body: list[Micro] = field(default_factory=list)
    combine: list[tuple] = field(default_factory=list)
    scratch: int = 0
    partial: int = 0
    cost: int = 0


def fused(data: tuple, args: list[Arg], dims: int, steps: tuple[int, ...]) -> Micro:
    """A run of kernels as one."""
    return Micro(("strips",), data, dims, args, steps)


class Lowering:
    """The Group `g` of these instructions, which share a space."""

    def __init__(self, s: Schedule, places: Places, instructions: list[int]):
        self.s = s
        self.places = places
        self.first = s.tape.first
        n = int(s.space[instructions[0]])
        c = s.columns.get(n, 1)
        rows = n // c
        block = max(1, min(rows, BLOCK // c))
        blocks = -(-rows // block)
        least = CHUNK_BLOCKS
        if n * len(instructions) >= SHAREABLE:
            least = min(least, -(-CHUNK_COST // (block * c * len(instructions))))
        per = max(least, -(-blocks // MAX_CHUNKS))
        chunks = -(-blocks // per)
        self.g = Group(rows, c, block, chunks, per * block)
        self.c = c
        self.made: dict[int, tuple[Arg, int]] = {}  # root -> (where, level)
        self.loaded: dict[Any, tuple[Arg, int]] = {}
        for i in instructions:
            self.instruction(i)
        self.g.cost = sum(self.count(m.dims) for m in self.g.body) * blocks
        if not config.bit_exact:
            self.g.body = strips.fuse(hoisted(self.g.body), fused)
        self.assign()
        if len(self.g.body) == 1 and not self.g.scratch:  # nothing to keep in the cache
            self.g.block_rows = self.g.chunk_rows

    def count(self, dims: int) -> int:
        return self.g.block_rows * (self.c if dims == DIMS_FULL else 1)

    def temp(self, level: int, item: int, pinned: bool = False) -> Arg:
        t = Temp(self.count(level) * item, pinned=pinned)
        return Arg(SCRATCH, 0, 0, t)

    def emit(self, kernel: tuple, data: Any, dims: int, args: list[Arg], steps: tuple) -> None:
        self.g.body.append(Micro(kernel, data, dims, args, steps))

    def home(self, root: int, level: int, item: int) -> Arg:
        """Where a value of this group is written: its place, or scratch."""
        slot = int(self.places.slot[root])
        if slot < 0:
            return self.temp(level, item)
        step = item * (self.c if level == DIMS_FULL else 1)
        return Arg(slot, int(self.places.offset[root]), step)

    def operand(self, a: int, shape: tuple, level: int) -> tuple[Arg, int]:
        """(argument, step) with which an instruction of this level reads value `a`."""
        s = self.s
        r = int(s.root[a])
        v = views.views[s.view[a]]
        lines = views.lines_over(v, shape)
        item = v.itemsize
        flat = not lines or (len(lines) == 1 and lines[0][1] == item)
        if r not in self.made and self.places.slot[r] < 0:
            self.instruction(r - self.first)  # computed again here
        if r in self.made:
            arg, have = self.made[r]
            if have == level and flat:
                return arg, item
            return self.expand(r, arg, item, item)
        key = (r, v.id, level, shape if not flat else None)
        found = self.loaded.get(key)
        if found is None:
            found = self.loaded[key] = self.load(r, v, lines, level, item)
        return found

    def load(self, r: int, v: Any, lines: list, level: int, item: int) -> tuple[Arg, int]:
        slot = int(self.places.slot[r])
        offset = int(self.places.offset[r]) + v.offset
        c = self.c if level == DIMS_FULL else 1
        if all(st == 0 for _, st in lines):
            return Arg(slot, offset, 0), 0
        if len(lines) == 1:
            st = lines[0][1]
            return Arg(slot, offset, c * st), st
        if level == DIMS_FULL and len(lines) == 2 and lines[1][0] == self.c:
            (_, s0), (_, s1) = lines
            if s1 == 0:
                return self.expand(("memory", r, v.id), Arg(slot, offset, s0), item, s0)
            if s0 == 0:
                t = self.temp(level, item, pinned=True)
                src = Arg(slot, offset, 0)
                self.g.prologue.append(Micro(("move",), (2, item), DIMS_FULL, [src, t], (s1, item)))
                return t, item
        t = self.temp(level, item)
        data = (0, item, len(lines), *(n for n, _ in lines), *(st for _, st in lines))
        self.emit(("move",), data, level, [Arg(slot, offset, 0), t], (item, item))
        return t, item

    def expand(self, key: Any, src: Arg, item: int, step: int) -> tuple[Arg, int]:
        """A row-level value, repeated over the columns."""
        found = self.loaded.get((key, "expanded"))
        if found is None:
            t = self.temp(DIMS_FULL, item)
            self.emit(("move",), (1, item), DIMS_FULL, [src, t], (step, item))
            found = self.loaded[(key, "expanded")] = (t, item)
        return found

    def packed(self, a: int, shape: tuple, level: int) -> Arg:
        """Operand as contiguous memory."""
        arg, step = self.operand(a, shape, level)
        item = views.views[self.s.view[a]].itemsize
        if step == item:
            return arg
        t = self.temp(level, item)
        self.emit(("move",), (3, item), level, [arg, t], (step, item))
        return t

    def instruction(self, i: int) -> None:
        s = self.s
        info = s.infos[s.info[i]]
        sig = info.sig
        ops = s.tape.operands(i)
        v = self.first + i
        item = sig.out.dtype.itemsize
        elementwise = info.kind in (sch.ELEM, sch.LANES)
        rowwise = elementwise and s.level[i] == sch.ROW
        if info.kind in (sch.TO_SCALAR, sch.LANES_SUM):
            rowwise = info.n != self.g.rows * self.c
        level = DIMS_ROW if rowwise else DIMS_FULL
        if elementwise:
            args = [self.operand(a, info.shape, level) for a in ops]
            out = self.home(v, level, item)
            self.emit(
                info.kernel,
                None,
                level,
                [a for a, _ in args] + [out],
                tuple(st for _, st in args) + (item,),
            )
            self.made[v] = (out, level)
            return
        if info.kind == sch.JOIN:
            args = [self.operand(a, info.shape, DIMS_FULL) for a in ops]
            row = item * len(ops)
            slot, offset = int(self.places.slot[v]), int(self.places.offset[v])
            out = Arg(slot, offset, row * self.c)
            steps = tuple(st for _, st in args)
            self.emit(info.kernel, None, DIMS_FULL, [a for a, _ in args] + [out], (*steps, row))
            return
        ident = kernels.identity(info.kernel[0], sig.out.dtype) or (0, 0)
        if info.kind == sch.TO_ROWS:
            x = self.packed(ops[0], info.shape, DIMS_FULL)
            out = self.home(v, DIMS_ROW, item)
            own = sig.out.dtype == np.float64 and not config.bit_exact
            which = FOLDS.get(info.kernel[0], 0) if own else 0
            data = (which, info.kernel, 0, item, *ident)
            self.emit(("folding",), data, DIMS_FULL, [x, out], (item, item))
            self.made[v] = (out, DIMS_ROW)
            return
        count = self.c if info.kind == sch.TO_COLUMNS else 1
        place = (int(self.places.slot[v]), int(self.places.offset[v]))
        if self.g.chunks == 1:
            acc = Arg(*place)
        else:
            acc = Arg(PARTIAL, self.g.partial)
            self.g.combine.append((info.kernel, count, item, self.g.partial, place))
            self.g.partial += (count * item + 63) & ~63
        dims = DIMS_COLUMN if count > 1 else DIMS_ONE
        self.g.prologue.append(Micro(("move",), (4, item, *ident), dims, [acc], (item,)))
        if info.kind == sch.TO_COLUMNS:
            x = self.packed(ops[0], info.shape, DIMS_FULL)
            t = Arg(SCRATCH, 0, 0, Temp((self.g.block_rows // 2 + 1) * self.c * item))
            self.emit(
                ("folding",),
                (1, info.kernel, 0, item, *ident),
                DIMS_FULL,
                [x, t, acc],
                (item, item, item),
            )
        else:
            x, step = self.operand(ops[0], info.shape, level)
            self.emit(info.kernel, None, level, [acc, x, acc], (0, step, 0))

    def assign(self) -> None:
        """Lifetimes of temporaries to offsets in scratch."""
        top = 0
        for m in self.g.prologue:
            for a in m.args:
                if a.temp is not None and a.temp.offset < 0:
                    a.temp.offset = top
                    top += (a.temp.nbytes + 63) & ~63
        for k, m in enumerate(self.g.body):
            for a in m.args:
                if a.temp is not None and not a.temp.pinned:
                    if a.temp.first < 0:
                        a.temp.first = k
                    a.temp.last = k
        free: dict[int, list[int]] = {}
        for k, m in enumerate(self.g.body):
            out = m.args[-1]
            dying = {id(a.temp): a.temp for a in m.args[:-1] if a.temp and a.temp.last == k}
            own = m.data is not None  # an elementwise kernel has no data of this place
            fresh = [a.temp for a in m.args if a.temp and a.temp.offset < 0]
            if not own:  # it may write where it reads
                for t in dying.values():
                    free.setdefault(t.nbytes, []).append(t.offset)
            for t in fresh:
                size = (t.nbytes + 63) & ~63
                box = free.get(t.nbytes)
                if box:
                    t.offset = box.pop()
                else:
                    t.offset = top
                    top += size
            if own:
                for t in dying.values():
                    free.setdefault(t.nbytes, []).append(t.offset)
            if out.temp is not None and out.temp.last == k:  # never read
                free.setdefault(out.temp.nbytes, []).append(out.temp.offset)
        self.g.scratch = top
