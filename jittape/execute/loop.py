"""A Program swept again and again, its results becoming its inputs, without leaving compiled code.

Each step only moves addresses: what a step reads and writes stands where the caller wants it.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jittape.execute import library
from jittape.execute.address import data_address
from jittape.execute.run import IndexFailure, linked_of, refresh
from jittape.execute.run import run as run_once
from jittape.ops.declare import Kind
from jittape.passes import lower
from jittape.passes.memory import FIRST_SLOT
from jittape.program import Program, as_loop

# steps of at least this many elements per instruction are worth several threads and Python's time
WIDE = 1 << 15
LONG_SEGMENT = 64  # steps between two carries that are kept, from which on Python may keep them
_PROGRESS_CALLS = 100


class Job(NamedTuple):
    """n steps of a program whose inputs are fixed, carry and one row of each of `rows`, and whose
    outputs are the new carry and one row of each of `results`, which are filled in place.

    saved: arrays that get the carry before each `every`-th step. backward: rows are taken, and
    results written, from the last to the first. All arrays are contiguous and of the program's
    dtypes."""

    n: int
    fixed: Sequence[np.ndarray]
    carry: Sequence[np.ndarray]
    rows: Sequence[np.ndarray]
    results: Sequence[np.ndarray]
    saved: Sequence[np.ndarray] | None
    every: int
    backward: bool
    progress: Callable[[int, int], Any] | None


def repeat(program: Program, job: Job) -> list[np.ndarray]:
    """Sweep all steps and return the carry after the last."""
    saves = job.saved is not None
    if job.n and (not saves or job.every == 1 or job.every >= LONG_SEGMENT):
        alone = as_loop(program, len(job.fixed), len(job.carry), saves and job.every == 1)
        if alone is not None:
            return _by_itself(alone, job)
    done = _compiled(program, job) if fits(program) else None
    return done if done is not None else _in_python(program, job)


def fits(program: Program) -> bool:
    """Whether steps of this program can be swept without a return to Python."""
    used, _ = program.tape.distinct
    small = all(s.op.kind is not Kind.GUARD and s.out.size < WIDE for s in used)
    return small and lower.HOST not in program.kinds


def _by_itself(program: Program, job: Job) -> list[np.ndarray]:
    """A step that is one stretch of rows and jumps back to its start (passes/loops.py)."""
    n, fixed, carry, rows, results, saved, every, backward, progress = job
    loop = program.loop
    linked = linked_of(program)
    ws = linked.workspace()
    try:
        refresh(linked)
        base = array("q", ws.base)
        for k, x in enumerate(fixed):
            base[FIRST_SLOT + k] = data_address(x)
        given = [*fixed, *carry, *[None] * len(rows), *linked.consts]
        for v, offset in program.places.resident:
            x = given[v]
            if x is not None:
                ctypes.memmove(base[0] + offset, data_address(x), x.nbytes)
        for x in (*rows, *results):
            base.extend((_start(x, backward), stride(x, backward)))
        if saved is not None and every == 1:
            for x in saved:
                base.extend((_start(x, False), stride(x, False)))
        base.append(0)
        at = base.buffer_info()[0]
        now = [_carried(program, ws, len(fixed) + c) for c in range(len(carry))]
        for low, high in _blocks(n, progress, every if saved is not None and every > 1 else n):
            if saved is not None and every > 1 and low % every == 0:
                for place, value in zip(saved, now, strict=True):
                    place[low // every] = value
            base[loop.counter] = high - low
            linked.sweep(linked.T, at, linked.code_address, 0, 0)
            if progress is not None:
                progress(high, n)
        return [x.copy() for x in now]
    finally:
        linked.pool.append(ws)


def _carried(program: Program, ws: Any, v: int) -> np.ndarray:
    """A carry in the arena."""
    a = program.inputs[v]
    return np.ndarray(a.shape, a.dtype, ws.arena, int(program.places.offset[v]))


def _blocks(
    n: int, progress: Callable[[int, int], Any] | None, every: int = 0
) -> list[tuple[int, int]]:
    """Ranges of steps between two calls of progress, none across a multiple of `every`."""
    if n < 1:
        return [(0, n)]
    found = {0, n, *(range(every, n, every) if every else ())}
    if progress is not None:
        found |= {n * k // _PROGRESS_CALLS for k in range(_PROGRESS_CALLS)}
    edges = sorted(found)
    return list(zip(edges[:-1], edges[1:], strict=True))


def _in_python(program: Program, job: Job) -> list[np.ndarray]:
    n, fixed, carry, rows, results, saved, every, backward, progress = job
    now = list(carry)
    for low, high in _blocks(n, progress):
        for i in range(low, high):
            k = n - 1 - i if backward else i
            if saved is not None and i % every == 0:
                for place, value in zip(saved, now, strict=True):
                    place[i // every] = value
            out = run_once(program, (*fixed, *now, *[r[k] for r in rows]))
            now = out[: len(now)]
            for place, value in zip(results, out[len(now) :], strict=True):
                place[k] = value
        if progress is not None:
            progress(high, n)
    return now


def _compiled(program: Program, job: Job) -> list[np.ndarray] | None:
    """None where a step is a case for NumPy after all (a singular matrix)."""
    n, fixed, carry, rows, results, saved, every, backward, progress = job
    linked = linked_of(program)
    here = [np.array(c) for c in carry]
    there = [np.empty_like(c) for c in here]
    pointers = np.array(
        [
            *map(data_address, fixed),
            *[0] * len(carry),
            *[_start(r, backward) for r in rows],
            *[0] * len(carry),
            *[_start(r, backward) for r in results],
        ],
        np.int64,
    )
    strides = np.array(
        [
            *[0] * (len(fixed) + len(carry)),
            *[stride(r, backward) for r in rows],
            *[0] * len(carry),
            *[stride(r, backward) for r in results],
        ],
        np.int64,
    )
    pair = np.array([[data_address(c) for c in here], [data_address(c) for c in there]], np.int64)
    pair = pair.reshape(2, len(carry))
    sizes = np.array([c.nbytes for c in here], np.int64)
    kept = np.array([data_address(s) for s in saved] if saved is not None else [0], np.int64)
    ws = linked.workspace()
    steps = library.function("steps")
    places = [data_address(x) for x in (pointers, strides, pair, sizes, kept)]
    counts = [len(fixed), len(carry), every if saved is not None else 0]
    table = [linked.T, ws.base_address, linked.code_address, *counts, *places]
    words = np.array(table, np.int64)
    control = data_address(words)
    try:
        refresh(linked)
        for low, high in _blocks(n, progress):
            status = steps(control, low, high)
            if status & 7 == 1:
                return None
            if status:
                instruction = int(program.words[linked.steps + 4 * (status >> 3) + 3])
                raise IndexFailure(int(program.origin[instruction]))
            if progress is not None:
                progress(high, n)
    finally:
        linked.pool.append(ws)
    return there if n % 2 else here


def stride(x: np.ndarray, backward: bool) -> int:
    """Bytes from the row of one step to that of the next."""
    each = x.nbytes // max(x.shape[0], 1)
    return -each if backward else each


def _start(x: np.ndarray, backward: bool) -> int:
    at = data_address(x)
    return at + (x.nbytes - x.nbytes // max(x.shape[0], 1)) if backward else at
