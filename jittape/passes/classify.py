"""Classify: what each instruction is to the executor, and how its operands lie in memory.

LAYOUT instructions are resolved into strides here, wherever strides can say them; what is left is
described once per (signature, views of the operands).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from jittape.distinct import present
from jittape.ops.declare import Kind, Signature, signatures
from jittape.passes import kernels, lapack, products, views
from jittape.passes.calls import REPLACING, callable_here, parts
from jittape.passes.views import View
from jittape.tape import Tape

# Kinds of instruction; `levelling` knows them by number.
SCALAR, ELEM, TO_ROWS, TO_COLUMNS, TO_SCALAR, CALL = range(6)
LOOP = ("loop",)  # in place of a kernel: passes/inner.py
HOST, GUARD, VIEW, POKE, CHECK, UPDATE, LANES, LANES_SUM, JOIN = range(6, 15)
FULL, ROW, MEMORY = range(3)  # where a value lives within its group
OTHER, IDENT, ROWS, ONE = range(4)  # how an operand lies over the space of its instruction
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
    parts: Any = ()  # of a POKE: (operand, where it goes in the result); of a product: its call


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
    copies: list[int] = []
    loads: list[tuple] = []
    memo: dict = {}
    ptr, args = tape.arg_ptr, tape.args
    big = [tape.aval(v).nbytes > COPY_IN for v in range(first)]
    for i in np.flatnonzero(is_view).tolist():
        a = args[ptr[i]]
        key = (inverse[i], int(vid[a]), args[ptr[i + 1] - 1])
        to: Any = memo.get(key, memo)
        if to is memo:
            s = used[inverse[i]]
            old = views.views[vid[a]]
            if s.op.name == "take":
                to = views.row(old, int(tape.consts[args[ptr[i] + 1] - tape.n_inputs].value))
            elif s.op.name == "stop_gradient":
                to = old
            elif s.op.kind is Kind.REDUCE:
                to = views.layout("reshape", (s.out.shape,), old)
            else:
                to = views.layout(s.op.name, s.params, old)
            memo[key] = to
        if to is None:
            copies.append(i)
            is_view[i] = False
        elif root[a] < first and big[root[a]] and to.size <= SMALL and to.contiguous:
            # A few elements of a large input are copied into the arena.
            loads.append((i, int(root[a]), to))
            is_view[i] = False
        else:
            root[first + i] = root[a]
            vid[first + i] = to.id
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
    """Whether the output may be a view of the operand."""
    if s.op.name == "stop_gradient":
        return s.out.size > 0
    if s.op.kind is Kind.LAYOUT:
        return s.op.name in ("reshape", "transpose", "broadcast_to", "slice") and s.out.size > 0
    if s.op.kind is Kind.REDUCE and s.out is not None:
        return s.avals[0].size == s.out.size > 0 and s.avals[0].dtype == s.out.dtype
    return False


def describe(
    s: Signature, vids: tuple[int, ...], number: int, copied: bool, large: bool, row: int = -1
) -> Info:
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
    if s.op.name == "concatenate" and joins_columns(s):
        return spaced(Info(number, JOIN, s, ("join", (len(vs),)), s.avals[0].shape), vs)
    if kind in (Kind.PLACE, Kind.GUFUNC, Kind.GATHER, Kind.SCATTER, Kind.ACCUMULATE):
        kernel = (s.op.name,)
        if kind in (Kind.GUFUNC, Kind.ACCUMULATE):
            kernel = kernels.find(s)
        if kind is Kind.GUFUNC and not large:
            single = small_product(s, vs)
            if single is not None:
                return Info(number, LANES, s, single[0], rels=(OTHER, OTHER), parts=single[1:])
        if kernel is not None and callable_here(s):
            places = parts(s) if kind is Kind.PLACE else literal_part(s, row)
            if places and pokes(s, vs, large, places):
                return Info(number, POKE, s, kernel, parts=places)
            return Info(number, UPDATE if s.op.name in REPLACING else CALL, s, kernel)
    if kind is Kind.HOST and lapack.known(s):
        return Info(number, CALL, s, ("linear",))
    if kind is Kind.HOST and inner_loop(s) is not None:
        return Info(number, CALL, s, LOOP)
    return Info(number, HOST, s)


def inner_loop(s: Signature) -> Any:
    """The passes.inner.InnerLoop that an instruction is, or None."""
    inner = getattr(s.op.evaluate, "inner", None)
    return inner(s) if inner else None


def joins_columns(s: Signature) -> bool:
    """Whether a concatenate makes rows of long columns: it is then written block by block where
    the columns are computed."""
    columns = {a.shape for a in s.avals}
    (shape, *others) = columns
    return (
        not others
        and len(s.avals) > 1
        and shape[-1] == 1
        and s.params[0] % len(shape) == len(shape) - 1
        and prod(shape) > SMALL
        and s.out.dtype.itemsize == 8
        and all(a.dtype == s.out.dtype for a in s.avals)
    )


def small_product(s: Signature, vs: list[View]) -> tuple | None:
    """(kernel, dims, steps) of a product that the scalar sweep calls."""
    sizes = [v.size for v in vs] + [s.out.size]
    if s.out.ndim != 2 or max(sizes) > SMALL or not callable_here(s):
        return None
    return products.single(s, vs[0], vs[1])


def literal_part(s: Signature, row: int) -> list:
    """Where a scatter or put at one literal index writes."""
    if row < 0 or s.op.name not in ("scatter_add", "scatter_add_to", "put"):
        return []
    out = views.whole(s.out.shape, s.out.dtype.itemsize)
    return [(len(s.avals) - 1, views.row(out, row))]


def pokes(s: Signature, vs: list[View], large: bool, places: list) -> bool:
    """Whether what is written are short lines: then it is done in the scalar sweep."""
    if large or len(vs) > 64 or (s.op.name in REPLACING and not vs[0].contiguous):
        return False
    return all(
        vs[k].size <= SMALL and len(views.lines_over_both(vs[k].strides, at.strides, at.shape)) <= 1
        for k, at in places
    )


def spaced(info: Info, vs: list[View]) -> Info:
    """Fill in how the operands lie over the shape, and which columns suit them."""
    info.n = prod(info.shape)
    info.lines = tuple(tuple(views.lines_over(v, info.shape)) for v in vs)
    for lines in info.lines:
        if len(lines) == 2 and (lines[0][1] == 0) != (lines[1][1] == 0):
            info.vote = (lines[1][0], 1)
    return info


def reduction(s: Signature, v: View, number: int) -> Info:
    """What a reduction is: to one element, to rows, to columns, or a step of its own."""
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


def literal_rows(tape: Tape, used: list, inverse: Any) -> dict[int, int]:
    """Scatters and puts at one literal index: instruction -> index."""
    names = ("scatter_add", "scatter_add_to", "put")
    may = np.array([
        s.op.name in names and s.avals[s.op.name != "scatter_add"].ndim == 0 for s in used
    ], np.bool_)  # fmt: skip
    found: dict[int, int] = {}
    if not may.any():
        return found
    for i in np.flatnonzero(may[inverse]).tolist():
        s = used[inverse[i]]
        c = tape.operands(i)[s.op.name != "scatter_add"] - tape.n_inputs
        if 0 <= c < len(tape.consts) and not tape.consts[c].live:
            k = int(tape.consts[c].value)
            if 0 <= k < s.out.shape[0]:
                found[i] = k
    return found


def classify(tape: Tape, root: Any, vid: Any, is_view: Any, copies: list, infos: list) -> Any:
    """Info of each instruction. One per signature where all operands are whole arrays, else one
    per (signature, views of the operands)."""
    n, first = len(tape), tape.first
    if not n:
        return np.zeros(0, np.int32)
    used, inverse = tape.distinct
    view_info = Info(0, VIEW, signatures[0])
    infos.append(view_info)
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
    literal = literal_rows(tape, used, inverse)
    simple[list(literal)] = False
    info = np.zeros(n, np.int32)
    which = np.full(len(used), -1, np.int32)
    for k in present(inverse[simple]).tolist():
        s = used[k]
        whole = tuple(views.whole(a.shape, a.dtype.itemsize).id for a in s.avals)
        which[k] = len(infos)
        infos.append(describe(s, whole, len(infos), False, False))
    info[simple] = which[inverse[simple]]
    table: dict = {}
    copied = set(copies)
    for i in np.flatnonzero(~simple & ~is_view).tolist():
        ops = args[ptr[i] : ptr[i + 1]]
        at = literal.get(i, -1)
        key = (inverse[i], *vid[ops].tolist(), at, i in copied, bool(large[ops].any()))
        found = table.get(key)
        if found is None:
            found = table[key] = len(infos)
            vids = tuple(vid[ops].tolist())
            infos.append(describe(used[inverse[i]], vids, found, key[-2], key[-1], at))
        info[i] = found
    return info
