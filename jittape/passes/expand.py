"""Instructions that are replaced by others: short loops unrolled.

Such an op's `evaluate` has an attribute `expand`: signature -> a tape of the same operands and
result, or None. A loop that is one instruction is a return to Python, some 50 microseconds; its
steps one after the other are rows of the sweep like any others.
"""

from __future__ import annotations

import numpy as np

from jittape.tape import Tape, assemble, open_numbers


def expand(tape: Tape) -> tuple[Tape, np.ndarray]:
    """The tape with such instructions replaced, and which one each instruction stems from."""
    used, inverse = tape.distinct
    evaluates = [(s, s.op.evaluate) for s in used]
    tapes = [e.expand(s) if hasattr(e, "expand") else None for s, e in evaluates]
    able = np.array([t is not None for t in tapes], np.bool_)
    if not able.any():
        return tape, np.arange(len(tape))
    number = open_numbers(tape)
    consts = list(tape.consts)
    sigs, args, origin = [], [], []
    at, low = 0, 0
    first, ptr = tape.first, tape.arg_ptr

    def keep(high: int) -> int:
        number[first + low : first + high] = at + np.arange(high - low)
        sigs.append(tape.sigs[low:high])
        args.append(number[tape.args[ptr[low] : ptr[high]]])
        origin.append(np.arange(low, high))
        return at + high - low

    for i in np.flatnonzero(able[inverse]).tolist():
        at = keep(i)
        inner = tapes[inverse[i]]
        assert inner is not None
        own = open_numbers(inner)
        own[: inner.n_inputs] = number[tape.operands(i)]
        own[inner.n_inputs : inner.first] -= 2 * len(consts)
        own[inner.first :] += at
        consts += inner.consts
        sigs.append(inner.sigs)
        args.append(own[inner.args])
        origin.append(np.full(len(inner), i))
        number[first + i] = own[inner.outputs[0]]
        at, low = at + len(inner), i + 1
    keep(len(tape))
    stems = np.concatenate(origin)
    made = assemble(
        tape.inputs,
        tuple(consts),
        np.concatenate(sigs),
        np.concatenate(args),
        number[tape.outputs],
        tape.where_code[stems],
        tape.where_lasti[stems],
        tape.codes,
    )
    return made, stems
