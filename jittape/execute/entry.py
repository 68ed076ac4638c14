"""The entry from Python: results are allocated, inputs looked at, and all is swept in one call.

Reads the public structs of CPython and NumPy; `address.layout_known` says whether they are as
expected, and `run` has the same in Python for where they are not. Imports Numba.
"""

from __future__ import annotations

from numba import njit

from jittape.execute.primitives import (
    call0,
    call1,
    call4,
    exported,
    load4,
    load8,
    move,
    store8,
)
from jittape.execute.sweep import run_sweep


@exported
def enter(bound, args, count):
    """enter(inputs, words) -> tuple of new arrays; or a list: the status of a sweep that has
    stopped, and the results so far; [AT_INPUT] where an input is not an aligned, contiguous array
    (or scalar) of the very dtype planned for. PyObject *(*)(self, args, n), see library.method.

    bound: ndarray of T, code, address of the threshold, whether other threads of Python may run
    meanwhile, the functions of `address.interface`, then per result its number of dimensions,
    address of its shape, and dtype. words: ndarray of the base."""
    table = load8(bound + 16)
    base = load8(load8(load8(args + 8) + 16))
    T = load8(table)
    inputs = load8(args)
    # a list has its items elsewhere, a tuple in itself
    items = load8(inputs + 24) if load8(inputs + 8) == load8(table + 32) else inputs + 24
    types = T + 8 * load8(T + 16)
    array = load8(types)
    types += 8
    for k in range(load8(T + 8)):
        obj = load8(items + 8 * k)
        kind = load8(obj + 8)
        if kind == array:
            if load8(obj + 56) != load8(types) or (load4(obj + 64) & 257) != 257:
                return _stopped(table, 5, 0)
            store8(base + 24 + 8 * k, load8(obj + 16))
        elif kind == load8(types + 8) or kind == load8(types + 16):
            store8(base + 24 + 8 * k, obj + 16)
        else:
            return _stopped(table, 5, 0)
        types += 24
    first = load8(types)
    n_out = load8(types + 8)
    outputs = call1(load8(table + 40), n_out)
    if outputs == 0:
        return 0
    row = table + 104
    for k in range(n_out):
        call1(load8(table + 56), load8(row + 16))  # PyArray_Empty takes this reference
        new = call4(load8(table + 48), load8(row), load8(row + 8), load8(row + 16), 0)
        if new == 0:
            call1(load8(table + 64), outputs)
            return 0
        store8(outputs + 24 + 8 * k, new)
        store8(base + 8 * (first + k), load8(new + 16))
        row += 24
    # What the scalar sweep reads is copied into the arena.
    types += 16
    arena = load8(base)
    for _ in range(load8(types)):
        move(arena + load8(types + 16), load8(base + 8 * load8(types + 8)), load8(types + 24))
        types += 24
    if load8(table + 24):
        state = call0(load8(table + 88))
        status = run_sweep(T, base, load8(table + 8), 0, load8(load8(table + 16)))
        call1(load8(table + 96), state)
    else:
        status = run_sweep(T, base, load8(table + 8), 0, load8(load8(table + 16)))
    if status:
        return _stopped(table, status, outputs)
    return outputs


@njit(nogil=True)
def _stopped(table, status, outputs):
    result = call1(load8(table + 72), 2 if outputs else 1)
    number = call1(load8(table + 80), status)
    if result == 0 or number == 0:
        return 0  # out of memory for two small objects: what was made is lost
    items = load8(result + 24)
    store8(items, number)
    if outputs:
        store8(items + 8, outputs)
    return result
