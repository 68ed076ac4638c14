"""The blocks of a loop one after the other (see blocks.py), without a return to Python. Imports
Numba."""

from __future__ import annotations

from numba import njit

from jittape.execute.primitives import by_name, exported, load8, move, store8

run_sweep = by_name("sweep", 5)
run_recurrence = by_name("recurrence", 3)


@njit(nogil=True)
def _swept(stage, k, threshold):
    """A program at block k. stage: T, base, code; number and address of slots, as (word of base,
    start, distance, mask of k); number and address of what is copied, as (slot, offset, bytes)."""
    base = load8(stage + 8)
    row = load8(stage + 32)
    for _ in range(load8(stage + 24)):
        place = load8(row + 8) + load8(row + 16) * (k & load8(row + 24))
        store8(base + 8 * load8(row), place)
        row += 32
    row = load8(stage + 48)
    for _ in range(load8(stage + 40)):
        move(load8(base) + load8(row + 8), load8(base + 8 * load8(row)), load8(row + 16))
        row += 24
    return run_sweep(load8(stage), base, load8(stage + 16), 0, threshold)


@exported
def block_loop(control, threshold):
    """control: block and part to go on with, block to stop before; addresses of the stages before
    and after (0: none); numbers of the recurrence (0: there is no core, -1: it is Python's),
    address of its table, steps of a block.

    Returns 0; or -1 where Python is to do the core of the block; or the status of a sweep that
    stopped. The words say what comes after that."""
    k = load8(control)
    part = load8(control + 8)
    status = 0
    while k < load8(control + 16):
        if part == 3:
            part = 0
            k += 1
            continue
        if part == 1:
            m = load8(control + 40)
            if m and (m < 0 or run_recurrence(m, load8(control + 48), load8(control + 56))):
                status = -1
        else:
            stage = load8(control + 24 + 4 * part)
            if stage:
                status = _swept(stage, k, threshold)
        part += 1
        if status:
            break
    store8(control, k)
    store8(control + 8, part)
    return status
