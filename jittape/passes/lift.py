"""Variables brought to where they are used, and results to where they are computed.

A program often reads its inputs through slices and gathers (x[1:], cameras[k]) and joins its
results (concatenate). Each element that such an op gives is one element of an input, with
derivative 1. With respect to what was read, the Jacobian is far sparser: each residual has its own
copy of its variables, so that few sweeps yield all of it, and the real Jacobian follows by
renaming (and adding up) columns. This is how partial separability shows on a tape.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jittape.ops.declare import Signature, signatures
from jittape.passes.activity import active_values
from jittape.passes.sparsity import INDEX_OPERAND
from jittape.tape import Tape

_READS = {"slice", "reshape", "transpose", "take"}
_JOINS = {"reshape", "transpose", "concatenate", "stack"}


def read_variables(
    tape: Tape, wrt: Sequence[int], outputs: Sequence[int], indices: dict[int, np.ndarray]
) -> dict[int, np.ndarray]:
    """Value number -> which flat input element (counted over all of `wrt`) each of its elements
    is, for the values through which the rest of the program reads its inputs."""
    sources: dict[int, np.ndarray] = {}
    before = 0
    for v in wrt:
        a = tape.aval(v)
        sources[v] = np.arange(before, before + a.size, dtype=np.int64).reshape(a.shape)
        before += a.size
    active = active_values(tape, wrt, outputs)
    args, ptr, first = tape.args.tolist(), tape.arg_ptr.tolist(), tape.first
    read: dict[int, None] = {v: None for v in outputs if v in sources}
    whole: dict[int, int] = {}  # what keeps all rows of another value -> that value
    for i in np.flatnonzero(active[first:]).tolist():
        sig = signatures[tape.sigs[i]]
        operands = args[ptr[i] : ptr[i + 1]]
        name = sig.op.name
        source = sources.get(operands[0]) if operands else None
        if name in _READS and source is not None:
            if name not in INDEX_OPERAND:
                sources[first + i] = np.asarray(sig.op.evaluate(source, **sig.kwargs))
                if _keeps_rows(sig):
                    whole[first + i] = operands[0]
                continue
            index = indices.get(operands[INDEX_OPERAND[name]])
            if index is not None:
                sources[first + i] = source[index]
                continue
        for v in operands:
            if v in sources:
                read[v] = None
    for v in outputs:
        if v in sources:
            read[v] = None
    return {v: np.asarray(sources[v]) for v in read if not _within(v, read, whole)}


def _keeps_rows(sig: Signature) -> bool:
    """Whether each row of the output is made of the same row of the operand."""
    (a,) = sig.avals
    if a.ndim == 0 or sig.out.ndim == 0 or a.shape[0] != sig.out.shape[0]:
        return False
    if sig.op.name == "slice":
        return sig.kwargs["index"][0] == (0, 1, a.shape[0])
    return sig.op.name == "reshape" or sig.kwargs["perm"][0] == 0


def _within(v: int, read: dict[int, None], whole: dict[int, int]) -> bool:
    """Whether v is part of the rows of another value that is read: a copy of its own would only
    have to be added to that one's."""
    while v in whole:
        v = whole[v]
        if v in read:
            return True
    return False


def cut(tape: Tape, values: Sequence[int]) -> tuple[Tape, list[int]]:
    """The tape with these values as inputs: (tape, their numbers in it). Inputs among them stay;
    the others become new inputs behind the old ones, in this order."""
    new = [v for v in values if v >= tape.n_inputs]
    n = tape.n_inputs
    number = np.arange(tape.n_values, dtype=np.int64)
    number[n:] += len(new)
    at = {v: n + k for k, v in enumerate(new)}
    number[new] = [at[v] for v in new]
    out = tape.replace(
        inputs=(*tape.inputs, *[tape.aval(v) for v in new]),
        args=number[tape.args].astype(np.int32),
        outputs=number[tape.outputs].astype(np.int32),
    )
    return out, [at.get(v, v) for v in values]


def with_outputs(tape: Tape, outputs: Sequence[int]) -> Tape:
    """The tape with other outputs."""
    return tape.replace(outputs=np.array(outputs, dtype=np.int32))


def joined_results(tape: Tape, outputs: Sequence[int]) -> tuple[list[int], np.ndarray]:
    """The values that the outputs are joined from, and for each output element (counted over all
    outputs) which element of these values (counted over all) it is."""
    roots: dict[int, int] = {}
    total = 0

    def follow(v: int) -> np.ndarray:
        nonlocal total
        a = tape.aval(v)
        if v >= tape.first:
            sig = signatures[tape.sigs[v - tape.first]]
            if sig.op.name in _JOINS:
                parts = [follow(w) for w in tape.operands(v - tape.first)]
                return np.asarray(sig.op.evaluate(*parts, **sig.kwargs))
        if v not in roots:
            roots[v] = total
            total += a.size
        start = roots[v]
        return np.arange(start, start + a.size, dtype=np.int64).reshape(a.shape)

    rows = [follow(v).ravel() for v in outputs]
    return list(roots), np.concatenate(rows) if rows else np.zeros(0, np.int64)
