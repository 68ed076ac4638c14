"""Loops inside of a Program, without a return to Python. Imports Numba.

The words are written by passes/inner.py. A loop has its memory in the arena: the table of slots of
the inner program (a copy of `Linked.template`), and behind it what that program works in.
"""

from __future__ import annotations

from numba import njit

from jittape.execute.primitives import by_name, exported, load8, move, store8
from jittape.execute.sweep import run_sweep

run_steps = by_name("steps", 3)


@njit(nogil=True)
def _place(base, row):
    """The address that (slot, offset) stands for."""
    return load8(base + 8 * load8(row)) + load8(row + 8)


@exported
def run_loop(T, base, at):
    """Returns 0, or the status of a step that stopped."""
    at = T + 8 * at
    size = load8(at + 24)
    mem = load8(base) + load8(at + 32)
    n_ops = load8(at + 48)
    given = load8(at + 56) + load8(at + 64)
    ops = at + 72
    out = _place(base, ops + 16 * n_ops)
    p = ops + 16 * n_ops + 40
    move(mem, load8(at + 16), 8 * size)
    for k in range(given):
        store8(mem + 24 + 8 * k, _place(base, ops + 16 * k))
    if load8(p - 8):
        _by_itself(base, at, mem, out, p)
        return 0
    return _by_steps(base, at, mem, out, p)


@njit(nogil=True)
def _by_itself(base, at, mem, out, p):
    arena = (mem + 8 * load8(at + 24) + 63) & -64
    store8(mem, arena)
    count = load8(p)
    p += 8
    for _ in range(count):
        move(arena + load8(p + 8), load8(mem + 8 * load8(p)), load8(p + 16))
        p += 24
    count = load8(p)
    stream = mem + 8 * load8(p + 8)
    p += 16
    for _ in range(count):
        store8(stream, _place(base, at + 72 + 16 * load8(p)) + load8(p + 8))
        store8(stream + 8, load8(p + 16))
        stream += 16
        p += 24
    store8(mem + 8 * load8(p), load8(at + 40))
    run_sweep(load8(at), mem, load8(at + 8), 0, 0)
    count = load8(p + 8)
    p += 16
    for _ in range(count):
        move(out + load8(p), arena + load8(p + 8), load8(p + 16))
        p += 24


@njit(nogil=True)
def _by_steps(base, at, mem, out, p):
    """See `sweep.steps` for its tables."""
    n, n_ops = load8(at + 40), load8(at + 48)
    n_fixed, n_carry = load8(at + 56), load8(at + 64)
    first = n_fixed + n_carry
    copied, count = p + 8, load8(p)
    parts = copied + 24 * count
    pair = parts + 24
    sizes = pair + 16 * n_carry
    final = sizes + 8 * n_carry
    kept = final + 8 * n_carry
    n_out = load8(load8(at) + 8 * load8(load8(at) + 16) + 16 + 24 * n_ops)
    all = n_ops + n_out
    control = mem + 8 * load8(at + 24)
    starts = control + 88
    strides = starts + 8 * all
    places = strides + 8 * all
    saves = places + 16 * n_carry
    data = (saves + 8 * n_carry + 63) & -64
    for k in range(3):
        store8(mem + 8 * k, data + load8(parts + 8 * k))
    for k in range(count):
        row = copied + 24 * k
        move(load8(mem) + load8(row + 8), load8(mem + 8 * load8(row)), load8(row + 16))
    for k in range(all):
        store8(starts + 8 * k, load8(mem + 24 + 8 * k) if k < n_fixed else 0)
        store8(strides + 8 * k, 0)
    row = kept + 8
    for k in range(first, all - n_carry):
        which = k if k < n_ops else k + n_carry
        store8(starts + 8 * which, _place(base, at + 72 + 16 * load8(row)) + load8(row + 8))
        store8(strides + 8 * which, load8(row + 16))
        row += 24
    for c in range(n_carry):
        store8(places + 8 * c, data + load8(pair + 8 * c))
        store8(places + 8 * (n_carry + c), data + load8(pair + 8 * (n_carry + c)))
        move(load8(places + 8 * c), load8(mem + 24 + 8 * (n_fixed + c)), load8(sizes + 8 * c))
        if load8(kept):
            store8(saves + 8 * c, _place(base, at + 72 + 16 * load8(row)) + load8(row + 8))
            row += 24
    store8(control, load8(at))
    store8(control + 8, mem)
    store8(control + 16, load8(at + 8))
    store8(control + 24, n_fixed)
    store8(control + 32, n_carry)
    store8(control + 40, load8(kept))
    store8(control + 48, starts)
    store8(control + 56, strides)
    store8(control + 64, places)
    store8(control + 72, sizes)
    store8(control + 80, saves)
    status = run_steps(control, 0, n)
    if status:
        return status
    last = places + 8 * n_carry * (n & 1)
    for c in range(n_carry):
        if load8(final + 8 * c) >= 0:
            move(out + load8(final + 8 * c), load8(last + 8 * c), load8(sizes + 8 * c))
    return 0
