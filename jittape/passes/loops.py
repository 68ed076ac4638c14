"""A step of a loop as one stretch of the scalar sweep that repeats itself.

Carries and fixed values stay in the arena; rows of scanned arrays are fetched from, and rows of
results put to, streams: (address, stride) behind the slots of `base`, which advance by themselves.
The last row jumps back to the first. So a step costs what its rows cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from jittape.passes import opcodes as op
from jittape.passes import views
from jittape.passes.chains import in_chains
from jittape.passes.classify import COPY_IN, GUARD
from jittape.passes.lower import END, HEADER, SCALARS, Words, kernel_table
from jittape.passes.memory import ARENA, FIRST_SLOT, Places, plan
from jittape.passes.scalars import Addresses, alternate, emit
from jittape.passes.schedule import Schedule, schedule
from jittape.tape import Tape


@dataclass(frozen=True)
class Loop:
    """What surrounds the sweep of a loop. Streams: one per scanned array, per result, per carry
    that is kept; the word behind them counts the steps that are left."""

    schedule: Schedule
    places: Places
    words: np.ndarray
    relocations: list
    code: np.ndarray
    first_stream: int  # its word in `base`
    n_streams: int

    @property
    def counter(self) -> int:
        return self.first_stream + 2 * self.n_streams


def plan_loop(tape: Tape, n_fixed: int, n_carry: int, keep: bool) -> Loop | None:
    """The plan of a simplified body, or None where a step is more than one stretch."""
    if any(a.nbytes > COPY_IN for a in tape.inputs[n_fixed:]):
        return None
    s = schedule(tape)
    steps = len(s.bounds) - 1
    if any(f.kind == GUARD for f in s.infos):  # who stops there cannot say at which step
        return None
    if steps > 1 or (steps and s.space[s.order[0]] != 0):
        return None
    s = in_chains(s)
    places = plan(s, tuple(range(n_fixed, n_fixed + n_carry)))
    outputs = tape.outputs.tolist()
    if any(
        tape.aval(v).size
        and (places.slot[s.root[v]] != ARENA or not views.views[s.view[v]].contiguous)
        for v in outputs
    ):
        return None
    w = Words()
    pairs: dict[tuple, int] = {}

    def pair(kernel: tuple, dims: tuple, steps: tuple) -> int:
        return pairs.setdefault((kernel, dims, steps), len(pairs))

    n_rows = tape.n_inputs - n_fixed - n_carry
    n_results = len(outputs) - n_carry
    n_streams = n_rows + n_results + (n_carry if keep else 0)
    slots = FIRST_SLOT + tape.first + len(outputs) + 1
    address = Addresses(s, places)
    carries = range(n_fixed, n_fixed + n_carry)

    def stream(k: int) -> int:
        return 8 * (slots + 2 * k)

    first_row = n_fixed + n_carry
    code = [
        _streamed(op.FETCH, address(v), stream(v - first_row), tape.aval(v).nbytes)
        for v in range(first_row, tape.n_inputs)
    ]
    if keep:
        code += [
            _streamed(op.PUT, address(v), stream(n_rows + n_results + c), tape.aval(v).nbytes)
            for c, v in enumerate(carries)
        ]
    body = emit(s, places, s.order, pair)[:-1] if steps else np.zeros((0, 4), np.int32)
    after = [
        _streamed(op.PUT, address(v), stream(n_rows + k), tape.aval(v).nbytes)
        for k, v in enumerate(outputs[n_carry:])
    ]
    # A new carry that is another's old value goes by a place of its own.
    second = []
    for v, old in zip(outputs[:n_carry], carries, strict=True):
        size, source, target = tape.aval(v).nbytes, address(v), address(old)
        if source == target or not size:
            continue
        if s.root[v] < tape.first:
            between = (places.arena + 63) & ~63
            places.arena = between + size
            after.append((op.MOVE, between, source, size))
            source = between
        second.append((op.MOVE, target, source, size))
    after += second
    back = 16 * (len(code) + len(body) + len(after))
    after += [(op.REPEAT, 8 * (slots + 2 * n_streams), back, 0), (op.END, 0, 0, 0)]
    rows = np.concatenate([_table(code), body, _table(after)])
    places.arena = (places.arena + 63) & ~63
    w.words[0] = w.put(SCALARS, 0, len(rows), 0, END, 0, 0, 0)
    kernel_table(w, pairs)
    assert len(w.words) > HEADER
    words = np.array(w.words, np.int64)
    return Loop(s, places, words, w.relocations, rows, slots, n_streams)


def _streamed(opcode: int, place: int, stream: int, size: int) -> tuple[int, int, int, int]:
    return (opcode + (size != 8), place, stream, size)


def _table(rows: list[Any]) -> np.ndarray:
    found = np.array(rows, np.int32).reshape(-1, 4)
    for single, twice in op.TWICE.items():
        is_one = found[:, 0] == single
        found[np.flatnonzero(alternate(is_one[:-1] & is_one[1:])), 0] = twice
    return found
