"""A part of a tape as a tape of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jittape.tape import Tape


def between(tape: Tape, given: Sequence[int], wanted: Sequence[int]) -> np.ndarray:
    """bool[n]: the instructions that compute the values `wanted` from the values `given`.

    Raises ValueError where an input of the tape is needed that is not given."""
    ready = np.zeros(tape.n_values, np.bool_)
    ready[tape.n_inputs : tape.first] = True
    ready[list(given)] = True
    used = np.zeros(len(tape), np.bool_)
    todo = list(wanted)
    while todo:
        v = todo.pop()
        if ready[v]:
            continue
        if v < tape.n_inputs:
            raise ValueError(f"input {v} is needed and not given")
        ready[v] = used[v - tape.first] = True
        todo += tape.operands(v - tape.first)
    return used


def cut(tape: Tape, given: Sequence[int], wanted: Sequence[int]) -> Tape:
    """The tape from the distinct values `given` of this one to the values `wanted`."""
    used = np.flatnonzero(between(tape, given, wanted))
    ptr = tape.arg_ptr
    number = np.full(tape.n_values, -1, np.int64)
    n_const = len(tape.consts)
    number[tape.n_inputs : tape.first] = len(given) + np.arange(n_const)
    number[tape.first + used] = len(given) + n_const + np.arange(len(used))
    number[list(given)] = np.arange(len(given))
    taken = [tape.args[ptr[i] : ptr[i + 1]] for i in used.tolist()]
    args = np.concatenate([np.zeros(0, np.int32), *taken])
    return Tape(
        tuple(tape.aval(v) for v in given),
        tape.consts,
        tape.sigs[used],
        number[args].astype(np.int32),
        number[list(wanted)].astype(np.int32),
        tape.where_code[used],
        tape.where_lasti[used],
        tape.codes,
    )
