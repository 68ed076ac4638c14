"""Which values a derivative flows through: those that depend on an input and reach an output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jittape.compiled import fast
from jittape.tape import Tape


def _depends(first, ptr, args, carries, active):  # type: ignore[no-untyped-def]
    for i in range(len(ptr) - 1):
        if carries[i]:
            for k in range(ptr[i], ptr[i + 1]):
                if active[args[k]]:
                    active[first + i] = True
                    break


def _needed(first, ptr, args, carries, needed):  # type: ignore[no-untyped-def]
    for i in range(len(ptr) - 2, -1, -1):
        if carries[i] and needed[first + i]:
            for k in range(ptr[i], ptr[i + 1]):
                needed[args[k]] = True


_ROUNDS = 8  # after which a loop over the instructions is taken


def _spread(tape: Tape, carries: np.ndarray, on: np.ndarray) -> None:
    """Set on[v] for what is computed from values that are set.

    Starts from what could be, and takes away what has no operand left: long programs are mostly
    active everywhere, so that two or three rounds of array code settle it.
    """
    first, ptr, args = tape.first, tape.arg_ptr, tape.args
    found = on.copy()
    found[first:] |= carries
    count = np.zeros(len(args) + 1, np.int64)
    for _ in range(_ROUNDS):
        np.cumsum(found[args], out=count[1:])
        new = on[first:] | (carries & (count[ptr[1:]] > count[ptr[:-1]]))
        if np.array_equal(new, found[first:]):
            on[:] = found
            return
        found[first:] = new
    fast(_depends, len(tape))(first, ptr, args, carries, on)


def spread_back(tape: Tape, carries: np.ndarray, on: np.ndarray) -> np.ndarray:
    """`on`, set for what values that are set are computed from; as `_spread`."""
    first, ptr, args = tape.first, tape.arg_ptr, tape.args
    arity = np.diff(ptr)
    found = np.ones(len(on), np.bool_)
    for _ in range(_ROUNDS):
        new = on.copy()
        new[args[np.repeat(carries & found[first:], arity)]] = True
        if np.array_equal(new, found):
            on[:] = found
            return on
        found = new
    fast(_needed, len(tape))(first, ptr, args, carries, on)
    return on


def active_values(tape: Tape, wrt: Sequence[int], outputs: Sequence[int] | None) -> np.ndarray:
    """bool[n_values]: depends on a value in `wrt` and, where given, is needed for `outputs`."""
    used, inverse = tape.distinct
    carries = np.array([s.carries_derivative for s in used], dtype=np.bool_)[inverse]
    active = np.zeros(tape.n_values, dtype=np.bool_)
    active[list(wrt)] = True
    _spread(tape, carries, active)
    if outputs is not None:
        needed = np.zeros(tape.n_values, dtype=np.bool_)
        needed[list(outputs)] = True
        spread_back(tape, carries, needed)
        active &= needed
    return active


def depends_on(tape: Tape, wrt: Sequence[int]) -> np.ndarray:
    """bool[n_values]: is computed from a value in `wrt`, by whatever op."""
    on = np.zeros(tape.n_values, dtype=np.bool_)
    on[list(wrt)] = True
    _spread(tape, np.ones(len(tape), dtype=np.bool_), on)
    return on


def needed_for(tape: Tape, outputs: Sequence[int]) -> np.ndarray:
    """bool[n_values]: some of these values is computed from it, by whatever op."""
    on = np.zeros(tape.n_values, dtype=np.bool_)
    on[list(outputs)] = True
    spread_back(tape, np.ones(len(tape), dtype=np.bool_), on)
    return on
