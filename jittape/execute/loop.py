"""A Program swept again and again, its results becoming its inputs, without leaving compiled code.

Each step only moves addresses: what a step reads and writes stands where the caller wants it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jittape.execute import address
from jittape.execute.run import IndexFailure, Linked, _refresh
from jittape.execute.run import run as run_once
from jittape.ops.declare import Kind
from jittape.program import Program

# steps of at least this many elements per instruction are worth several threads and Python's time
WIDE = 1 << 15
_PROGRESS_CALLS = 100


def repeat(
    program: Program,
    n: int,
    fixed: Sequence[np.ndarray],
    carry: Sequence[np.ndarray],
    rows: Sequence[np.ndarray],
    results: Sequence[np.ndarray],
    saved: Sequence[np.ndarray] | None,
    every: int,
    backward: bool,
    progress: Callable[[int, int], Any] | None,
) -> list[np.ndarray]:
    """Sweep n steps and return the carry after the last.

    The inputs of the program are fixed, carry and one row of each of `rows`, its outputs the new
    carry and one row of each of `results` (filled in place). saved: arrays that get the carry
    before each `every`-th step. backward: rows are taken, and results written, from the last to
    the first. All arrays are contiguous and of the program's dtypes.
    """
    if not _compiled_loop_fits(program):
        step = _in_python
    else:
        step = _compiled
    return step(program, n, fixed, carry, rows, results, saved, every, backward, progress)


def _compiled_loop_fits(program: Program) -> bool:
    tape = program.tape
    used, _ = tape.distinct
    return all(
        s.op.kind not in (Kind.HOST, Kind.GUARD) and s.out.size < WIDE for s in used
    ) and not any(int(program.words[program.words[0] + 4 * k]) == 3 for k in range(program.n_steps))


def _blocks(n: int, progress: Callable[[int, int], Any] | None) -> list[tuple[int, int]]:
    """Ranges of steps between two calls of progress."""
    if progress is None or n < 2:
        return [(0, n)]
    edges = np.unique(np.linspace(0, n, min(n, _PROGRESS_CALLS) + 1).astype(np.int64)).tolist()
    return list(zip(edges[:-1], edges[1:], strict=True))


def _in_python(
    program: Program,
    n: int,
    fixed: Sequence[np.ndarray],
    carry: Sequence[np.ndarray],
    rows: Sequence[np.ndarray],
    results: Sequence[np.ndarray],
    saved: Sequence[np.ndarray] | None,
    every: int,
    backward: bool,
    progress: Callable[[int, int], Any] | None,
) -> list[np.ndarray]:
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


def _compiled(
    program: Program,
    n: int,
    fixed: Sequence[np.ndarray],
    carry: Sequence[np.ndarray],
    rows: Sequence[np.ndarray],
    results: Sequence[np.ndarray],
    saved: Sequence[np.ndarray] | None,
    every: int,
    backward: bool,
    progress: Callable[[int, int], Any] | None,
) -> list[np.ndarray]:
    from jittape.execute.sweep import steps

    linked = program.linked
    if linked is None:
        linked = program.linked = Linked(program)
    here = [np.array(c) for c in carry]
    there = [np.empty_like(c) for c in here]
    pointers = np.array(
        [
            *map(_address_of, fixed),
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
            *[_stride(r, backward) for r in rows],
            *[0] * len(carry),
            *[_stride(r, backward) for r in results],
        ],
        np.int64,
    )
    pair = np.array([[_address_of(c) for c in here], [_address_of(c) for c in there]], np.int64)
    pair = pair.reshape(2, len(carry))
    sizes = np.array([c.nbytes for c in here], np.int64)
    kept = np.array([_address_of(s) for s in saved] if saved is not None else [0], np.int64)
    ws = linked.workspace()
    places = [address.data_address(x) for x in (pointers, strides, pair, sizes, kept)]
    counts = [len(fixed), len(carry), every if saved is not None else 0]
    table = [linked.T, ws.base_address, linked.code_address, *counts, *places]
    words = np.array(table, np.int64)
    control = address.data_address(words)
    try:
        for slot, value in linked.refresh:
            _refresh(linked, ws, slot, value)
        for low, high in _blocks(n, progress):
            status = steps(control, low, high)
            if status:
                instruction = int(program.words[linked.steps + 4 * (status >> 3) + 3])
                raise IndexFailure(int(program.origin[instruction]))
            if progress is not None:
                progress(high, n)
    finally:
        linked.pool.append(ws)
    return there if n % 2 else here


def _address_of(x: np.ndarray) -> int:
    return address.data_address(x)


def _stride(x: np.ndarray, backward: bool) -> int:
    each = x.nbytes // max(x.shape[0], 1)
    return -each if backward else each


def _start(x: np.ndarray, backward: bool) -> int:
    at = address.data_address(x)
    return at + (x.nbytes - x.nbytes // max(x.shape[0], 1)) if backward else at
