"""Operands known to be zeros, which an op can do without.

Such an op's `evaluate` has an attribute `without`: (signature, which operands are zeros) -> the
signature without some of them and the numbers of those it keeps, or None.
"""

from __future__ import annotations

import numpy as np

from jittape.passes.disjoint import read_through
from jittape.tape import Tape


def leave_out(tape: Tape) -> Tape:
    """The tape with such operands, literal arrays of zeros or pieces of such, left out."""
    if not any(hasattr(s.op.evaluate, "without") for s in tape.distinct[0]):
        return tape
    tape = read_through(tape, 0)
    used, inverse = tape.distinct
    able = np.array([hasattr(s.op.evaluate, "without") for s in used], np.bool_)
    changed: dict[int, tuple[int, list[int]]] = {}
    zero: dict[int, bool] = {}
    for i in np.flatnonzero(able[inverse]).tolist():
        s, ops = tape.signature(i), tape.operands(i)
        zeros = [zero.setdefault(v, _is_zero(tape, v)) for v in ops]
        without = s.op.evaluate.without  # type: ignore[attr-defined]
        found = without(s, zeros) if any(zeros) else None
        if found is not None:
            new, kept = found
            changed[i] = new.id, [ops[k] for k in kept]
    if not changed:
        return tape
    sigs = tape.sigs.copy()
    parts = []
    at = 0
    for i, (new, ops) in changed.items():
        sigs[i] = new
        parts += [tape.args[at : tape.arg_ptr[i]], np.array(ops, np.int32)]
        at = tape.arg_ptr[i + 1]
    parts.append(tape.args[at:])
    return tape.replace(sigs=sigs, args=np.concatenate(parts))


def _is_zero(tape: Tape, v: int) -> bool:
    k = v - tape.n_inputs
    if not 0 <= k < len(tape.consts) or tape.consts[k].live:
        return False
    return not np.any(tape.consts[k].value)
