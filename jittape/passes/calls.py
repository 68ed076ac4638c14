"""Lowering of instructions that are steps of their own, to calls of kernels on strided places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from jittape.ops.declare import Kind, Signature
from jittape.passes import kernels, lapack, products, views
from jittape.passes.views import View, broadcast, contiguous_strides

# Ops that give their first operand with something replaced: in place where it dies.
REPLACING = ("update", "add_at", "put", "scatter_add_to")
TEMP = -2  # pseudo slot: the region of the arena for temporaries of one step


@dataclass(eq=False)
class Call:
    """kernel over an inner line, repeated over outer (count, stride per argument) loops."""

    kernel: tuple
    data: tuple | None
    args: list[tuple[int, int]]
    dims: tuple[int, ...]
    steps: tuple[int, ...]
    outer: list[tuple[int, ...]]
    checked: str = ""  # what follows where the kernel reports a failure: "index", or "host"
    cut: products.Cut | None = None


@dataclass(eq=False)
class Operand:
    slot: int
    offset: int
    shape: tuple
    strides: tuple
    itemsize: int

    def over(self, shape: tuple) -> tuple:
        v = views.view(self.shape, self.strides, 0, self.itemsize)
        return broadcast(v, shape)


def callable_here(s: Signature) -> bool:
    """Whether there is a kernel for this instruction as a step of its own."""
    name, kind = s.op.name, s.op.kind
    if kind is Kind.PLACE:
        if any(a.dtype != s.out.dtype for a in s.avals):
            return False
        if name == "add_at":
            return adding(s) is not None
        return name in _PLACES and s.out.dtype.char in kernels.MOVABLE
    if kind is Kind.GUFUNC:
        return s.op.kernel == np.matmul and all(a.ndim >= 2 for a in s.avals)
    if kind is Kind.ACCUMULATE:
        return isinstance(s.op.kernel, np.ufunc)
    if name == "take":
        return s.avals[1].dtype == np.int64 and s.avals[0].ndim >= 1
    if name in ("scatter_add", "scatter_add_to"):
        return s.avals[-2].dtype == np.int64 and adding(s) is not None
    return name == "put" and s.avals[1].dtype == np.int64


_PLACES = ("place", "update", "concatenate", "stack")


def adding(s: Signature) -> tuple | None:
    """The loop of add for the result's dtype."""
    k = kernels.loop_index(np.add, kernels.char(s.out.dtype) * 2, "")
    return None if k is None else (np.add, k)


def parts(s: Signature) -> list[tuple[int, View]]:
    """(operand, where it goes in the result) of a PLACE op."""
    out = views.whole(s.out.shape, s.out.dtype.itemsize)
    if s.op.name == "stack":
        return [(k, views.row(out, k)) for k in range(len(s.avals))]
    if s.op.name != "concatenate":
        return [(len(s.avals) - 1, views.sliced(out, s.params[-1]))]
    axis = s.params[0] % len(s.out.shape)
    found = []
    at = 0
    for k, a in enumerate(s.avals):
        index = tuple((at, 1, n) if d == axis else (0, 1, n) for d, n in enumerate(a.shape))
        found.append((k, views.sliced(out, index)))
        at += a.shape[axis]
    return found


def strided(
    kernel: tuple,
    data: tuple | None,
    shape: tuple,
    parts: list[tuple[Operand, tuple]],
    inner: int | None = None,
) -> list[Call]:
    """kernel over all of `shape`; parts: operands with their strides over it."""
    rows: list[list[int]] = []
    for d, n in enumerate(shape):
        if n == 1:
            continue
        line = [n] + [strides[d] for _, strides in parts]
        if (
            inner is None
            and rows
            and all(p == q * n for p, q in zip(rows[-1][1:], line[1:], strict=True))
        ):
            rows[-1] = [rows[-1][0] * n] + line[1:]
        else:
            rows.append(line + [d] if inner is not None else line)
    if inner is not None:
        last = [r[:-1] for r in rows if r[-1] == inner] or [[1] + [0] * len(parts)]
        rows = [r[:-1] for r in rows if r[-1] != inner] + last
    if not rows:
        rows = [[1] + [0] * len(parts)]
    # The longest line of small strides goes inside.
    if inner is None and len(rows) > 1:
        best = min(range(len(rows)), key=lambda k: (sum(abs(x) for x in rows[k][1:]), -k))
        rows.append(rows.pop(best))
    args = [(o.slot, o.offset) for o, _ in parts]
    n, *steps = rows[-1]
    return [Call(kernel, data, args, (n, 1, n, 0), tuple(steps), [tuple(r) for r in rows[:-1]])]


def copied(src: Operand, dst: Operand, shape: tuple | None = None) -> list[Call]:
    """Copy `src` to `dst`, or broadcast it over a shape."""
    shape = dst.shape if shape is None else shape
    return strided(
        ("move",), (3, src.itemsize), shape, [(src, src.over(shape)), (dst, dst.strides)]
    )


def filled(dst: Operand, low: int = 0, high: int = 0) -> list[Call]:
    """Fill `dst` with the element whose bytes these two words hold."""
    size = int(np.prod(dst.shape, dtype=np.int64))
    dims = (size, 1, size, 0)
    data = (4, dst.itemsize, low, high)
    return [Call(("move",), data, [(dst.slot, dst.offset)], dims, (dst.itemsize,), [])]


def part(o: Operand, index: tuple) -> Operand:
    """The strided slice of a place."""
    v = views.sliced(views.view(o.shape, o.strides, 0, o.itemsize), index)
    return Operand(o.slot, o.offset + v.offset, v.shape, v.strides, o.itemsize)


def contiguous(o: Operand, temp: list[int], calls: list[Call]) -> Operand:
    """`o`, or a contiguous copy of it in the step's temporary region."""
    if views.view(o.shape, o.strides, 0, o.itemsize).contiguous:
        return o
    t = Operand(TEMP, temp[0], o.shape, contiguous_strides(o.shape, o.itemsize), o.itemsize)
    temp[0] += (int(np.prod(o.shape)) * o.itemsize + 63) & ~63
    calls += copied(o, t)
    return t


def lower_call(
    s: Signature, kernel: Any, ops: list[Operand], out: Operand, in_place: bool, temp: list[int]
) -> list[Call]:
    """The calls of one instruction."""
    name, kind = s.op.name, s.op.kind
    calls: list[Call] = []
    if kind is Kind.REDUCE:
        return reduced(s, kernel, ops[0], out)
    if kind is Kind.ACCUMULATE:
        return accumulated(s, kernel, ops[0], out)
    if kind is Kind.HOST:
        return factored(s, ops, out, temp)
    if kind is Kind.GUFUNC:
        return product(s, ops, out, temp)
    if kind is Kind.PLACE:
        if name == "place":
            calls += filled(out)
        elif name in REPLACING and not in_place:
            calls += copied(ops[0], out)
        for k, at in parts(s):
            dst = Operand(out.slot, out.offset + at.offset, at.shape, at.strides, out.itemsize)
            if name == "add_at":
                both = [(dst, dst.strides), (ops[k], ops[k].strides), (dst, dst.strides)]
                calls += strided(adding(s) or (), None, at.shape, both)
            elif s.avals[k].size and (ops[k].slot, ops[k].offset) != (dst.slot, dst.offset):
                calls += copied(ops[k], dst)  # else it was computed there
        return calls
    if name in REPLACING and not in_place:
        calls += copied(ops[0], out)
    return calls + indexed(s, ops, out, temp)


def reduced(s: Signature, kernel: tuple, x: Operand, out: Operand) -> list[Call]:
    """A reduction as fills and accumulating calls of the binary loop."""
    axes = {a % len(x.shape) for a in s.params[0]}
    it = iter(out.strides)
    over = tuple(0 if d in axes else next(it) for d in range(len(x.shape)))
    low, high = kernels.identity(kernel[0], s.out.dtype) or (0, 0)
    return filled(out, low, high) + strided(
        kernel, None, x.shape, [(out, over), (x, x.strides), (out, over)]
    )


def accumulated(s: Signature, kernel: tuple, x: Operand, out: Operand) -> list[Call]:
    """A running reduction: the first element copied, then each from the one before it."""
    axis = s.params[0] % len(x.shape)
    n = x.shape[axis]

    def cut(o: Operand, start: int, count: int) -> Operand:
        index = tuple((start, 1, count) if d == axis else (0, 1, m) for d, m in enumerate(o.shape))
        return part(o, index)

    calls = copied(cut(x, 0, 1), cut(out, 0, 1))
    if n > 1:
        a, b, c = cut(out, 0, n - 1), cut(x, 1, n - 1), cut(out, 1, n - 1)
        parts = [(a, a.strides), (b, b.strides), (c, c.strides)]
        calls += strided(kernel, None, c.shape, parts, inner=axis)
    return calls


def product(s: Signature, ops: list[Operand], out: Operand, temp: list[int]) -> list[Call]:
    """matmul; the kernels take transposed operands by their strides, so they are not copied."""
    calls: list[Call] = []
    a, b = ops
    core = [o.strides[-2:] for o in (a, b, out)]
    k, n = b.shape[-2:]

    def over(o: Operand) -> tuple:
        return o.over(out.shape[:-2] + o.shape[-2:])

    m, loops = products.batched(out.shape, [over(a), over(b), out.strides], tuple(core))
    kernel = products.kernel(s, (m, k, n), core[1])
    if kernel is not None and kernel[0] == np.matmul:
        a, b = (readable(o, temp, calls) for o in ops)
        if (a, b) != tuple(ops):  # copied
            core = [o.strides[-2:] for o in (a, b, out)]
            m, loops = products.batched(out.shape, [over(a), over(b), out.strides], tuple(core))
    last = loops.pop() if loops else [1, 0, 0, 0]
    steps = (*last[1:], *core[0], *core[1], *core[2])
    args = [(o.slot, o.offset) for o in (a, b, out)]
    outer = [tuple(r) for r in loops]
    dims = (last[0], m, k, n)
    cut = None if outer or kernel is None else products.cut(kernel, dims, out.itemsize)
    return [*calls, Call(kernel or (), None, args, dims, steps, outer, cut=cut)]


def factored(s: Signature, ops: list[Operand], out: Operand, temp: list[int]) -> list[Call]:
    """Linear algebra by a loop of numpy.linalg, or by a kernel."""
    own = lapack.own(s)
    if own is not None:
        return cofactors(ops[0], out, temp) if own == "cofactors" else factor_back(ops, out, temp)
    found = lapack.find(s)
    assert found is not None
    gufunc = found[0]
    if gufunc.__name__ == "eigh_up":  # of the transposed matrix
        (a,) = ops
        swapped = (*a.strides[:-2], a.strides[-1], a.strides[-2])
        ops = [Operand(a.slot, a.offset, a.shape, swapped, a.itemsize)]
    dims, lines, offsets = lapack.core(s, gufunc, [o.strides for o in ops])
    batch = len(out.shape) - lapack.results_rank(gufunc)
    over = [
        o.over(out.shape[:batch] + o.shape[len(o.shape) - rank :])[:batch]
        for o, rank in zip(ops, lapack.core_rank(gufunc), strict=True)
    ]
    stack = [*over, *([out.strides[:batch]] * len(offsets))]
    loops = products.stacked(out.shape[:batch], stack)
    count, *steps = loops.pop() if loops else [1] + [0] * len(stack)
    args = [(o.slot, o.offset) for o in ops] + [(out.slot, out.offset + k) for k in offsets]
    check = len(args) - 1 if lapack.fails(s) else -1
    width = s.out.dtype.itemsize // (2 if s.out.dtype.kind == "c" else 1)
    data = (found, 0, len(args), check, width, 1 + len(dims), count, *dims, *steps, *lines)
    outer = [tuple(r) for r in loops]
    whole = (1, 1, 1, 0)
    return [Call(("linear",), data, args, whole, (), outer, "host" if lapack.fails(s) else "")]


def factor_back(ops: list[Operand], out: Operand, temp: list[int]) -> list[Call]:
    """The cotangent of stacked Cholesky factors."""
    calls: list[Call] = []
    low, g = (contiguous(o, temp, calls) for o in ops)
    batch = len(out.shape) - 2
    stack = [o.over(out.shape)[:batch] for o in (low, g)] + [out.strides[:batch]]
    loops = products.stacked(out.shape[:batch], stack)
    count, *steps = loops.pop() if loops else (1, 0, 0, 0)
    args = [(o.slot, o.offset) for o in (low, g, out)]
    outer = [tuple(r) for r in loops]
    dims = (count, out.shape[-1], 1, 0)
    return [*calls, Call(("factor_back",), None, args, dims, tuple(steps), outer)]


def cofactors(a: Operand, out: Operand, temp: list[int]) -> list[Call]:
    """The cofactors of stacked matrices."""
    det = Operand(TEMP, temp[0], (), (), 8)
    temp[0] += 64
    batch = len(out.shape) - 2
    stack = [a.strides[:batch], out.strides[:batch], (0,) * batch]
    loops = products.stacked(out.shape[:batch], stack)
    count, step, *_ = loops.pop() if loops else (1, 0)
    inv, determinant = lapack.loop("inv", "d", 1), lapack.loop("det", "d", 1)
    data = (inv, 0, determinant, 0, count, out.shape[-1], step, *a.strides[-2:])
    args = [(o.slot, o.offset) for o in (a, out, det)]
    outer = [tuple(r) for r in loops]
    return [Call(("cofactors",), data, args, (1, 1, 1, 0), (), outer, "host")]


def readable(o: Operand, temp: list[int], calls: list[Call]) -> Operand:
    """`o`, or a copy of it that BLAS can read."""
    v = views.view(o.shape, o.strides, 0, o.itemsize)
    return o if products.readable(v) else contiguous(o, temp, calls)


def indexed(s: Signature, ops: list[Operand], out: Operand, temp: list[int]) -> list[Call]:
    """Reads, writes and sums at integer indices."""
    calls: list[Call] = []
    name = s.op.name
    item = out.itemsize
    if name == "take":
        x, idx = (contiguous(o, temp, calls) for o in ops)
        n, per = x.shape[0], int(np.prod(x.shape[1:], dtype=np.int64))
        which, args = 0, [x, idx, out]
    elif name in ("scatter_add", "scatter_add_to"):
        idx, v = (contiguous(o, temp, calls) for o in ops[-2:])
        if name == "scatter_add":
            calls += filled(out)
        n, per = out.shape[0], int(np.prod(out.shape[1:], dtype=np.int64))
        which, args = 1, [idx, v, out]
    else:
        idx, v = (contiguous(o, temp, calls) for o in ops[1:])
        n, per = out.shape[0], int(np.prod(out.shape[1:], dtype=np.int64))
        which, args = 2, [idx, v, out]
    count = int(np.prod(idx.shape, dtype=np.int64))
    data: tuple = (which, n, per * item, per, count, 1, 0)
    if which == 1 and not (per == 1 and s.out.dtype == np.float64):
        data = (*data[:5], adding(s), 0)
    places = [(o.slot, o.offset) for o in args]
    calls.append(Call(("indexing",), data, places, (1, 1, 1, 0), (0, 0, 0), [], checked="index"))
    return calls
