"""Slices of arrays that were written piece by piece: what is read is what was written there.

The cotangent of a packed result (a loop's carries and stacks, joined arrays) is a large array of
zeros into which a few pieces were added, and is only read piece by piece. Read through, it is
never made.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.config import config
from jittape.passes.classify import SMALL
from jittape.tape import Const, Tape, assemble, open_numbers

DEEPEST = 256  # writes to look through


def read_through(tape: Tape, least: int = SMALL) -> Tape:
    """The tape with slices of piecewise written arrays of more than `least` elements taken from
    the pieces."""
    used, inverse = tape.distinct
    names = {s.op.name for s in used}
    if config.bit_exact or "slice" not in names or not names & {"place", "add_at", "update"}:
        return tape
    large = [k for k, s in enumerate(used) if s.op.name == "slice" and s.avals[0].size > least]
    number = open_numbers(tape)
    consts = list(tape.consts)
    zeros: dict[Any, int] = {}
    args = tape.args.tolist()
    changed = False
    for i in np.flatnonzero(np.isin(inverse, large)).tolist():
        s = tape.signature(i)
        v = tape.operands(i)[0]
        found = _resolve(tape, v, s.params[0], 0)
        if found is None:  # nothing was written there
            at = zeros.get(s.out)
            if at is None:
                consts.append(Const(np.zeros(s.out.shape, s.out.dtype), False, s.out))
                at = zeros[s.out] = -2 * len(consts) + 1
            number[tape.first + i] = at
            changed = True
        elif found[1]:
            number[tape.first + i] = number[found[0]]
            changed = True
        elif found[0] != v:
            args[int(tape.arg_ptr[i])] = found[0]
            changed = True
    if not changed:
        return tape
    return assemble(
        tape.inputs,
        tuple(consts),
        tape.sigs.copy(),
        number[np.array(args, np.int64)],
        number[tape.outputs],
        tape.where_code.copy(),
        tape.where_lasti.copy(),
        tape.codes,
    )


def _resolve(tape: Tape, v: int, index: tuple, depth: int) -> tuple[int, bool] | None:
    """What `index` of value v is: zeros (None), value w (w, True), or a slice of w (w, False)."""
    i = v - tape.first
    if i < 0 or depth > DEEPEST:
        return v, False
    s = tape.signature(i)
    name = s.op.name
    if name not in ("place", "add_at", "update"):
        return v, False
    ops = tape.operands(i)
    written = s.params[-1]
    same = tuple(written) == tuple(index) and s.avals[-1].dtype == s.out.dtype
    if name == "place":
        if same:
            return ops[0], True
        return None if _apart(written, index) else (v, False)
    if _apart(written, index):
        return _resolve(tape, ops[0], index, depth + 1)
    if same and s.avals[1].shape == tuple(n for _, _, n in index):
        if name == "update" or _resolve(tape, ops[0], index, depth + 1) is None:
            return ops[1], True
    return v, False


def _apart(a: tuple, b: tuple) -> bool:
    """Whether two strided boxes share no element, told by their bounds."""
    for (p, s, n), (q, t, m) in zip(a, b, strict=True):
        low, high = sorted((p, p + s * (n - 1)))
        left, right = sorted((q, q + t * (m - 1)))
        if n and m and (high < left or right < low):
            return True
    return False
