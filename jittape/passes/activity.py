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


def active_values(tape: Tape, wrt: Sequence[int], outputs: Sequence[int] | None) -> np.ndarray:
    """bool[n_values]: depends on a value in `wrt` and, where given, is needed for `outputs`."""
    used, inverse = tape.distinct
    carries = np.array([s.carries_derivative for s in used], dtype=np.bool_)[inverse]
    active = np.zeros(tape.n_values, dtype=np.bool_)
    active[list(wrt)] = True
    args = (tape.first, tape.arg_ptr, tape.args, carries)
    fast(_depends, len(tape))(*args, active)
    if outputs is not None:
        needed = np.zeros(tape.n_values, dtype=np.bool_)
        needed[list(outputs)] = True
        fast(_needed, len(tape))(*args, needed)
        active &= needed
    return active


def depends_on(tape: Tape, wrt: Sequence[int]) -> np.ndarray:
    """bool[n_values]: is computed from a value in `wrt`, by whatever op."""
    on = np.zeros(tape.n_values, dtype=np.bool_)
    on[list(wrt)] = True
    everything = np.ones(len(tape), dtype=np.bool_)
    fast(_depends, len(tape))(tape.first, tape.arg_ptr, tape.args, everything, on)
    return on


def needed_for(tape: Tape, outputs: Sequence[int]) -> np.ndarray:
    """bool[n_values]: some of these values is computed from it, by whatever op."""
    on = np.zeros(tape.n_values, dtype=np.bool_)
    on[list(outputs)] = True
    everything = np.ones(len(tape), dtype=np.bool_)
    fast(_needed, len(tape))(tape.first, tape.arg_ptr, tape.args, everything, on)
    return on
