"""Short loops of small values, written out as their steps (passes/expand.py)."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.api.loop_body import packing
from jittape.api.loop_run import Recording, divided
from jittape.ops import shape as layout
from jittape.ops.declare import Kind, Signature
from jittape.ops.stack import stack
from jittape.passes.classify import SMALL
from jittape.tape import Tape

MOST = 4000  # instructions


def unrolled(s: Signature, inexact: bool) -> Tape | None:
    """The steps of a loop, or None where they are too many, or anything but small values."""
    key = "unrolled"
    if key not in s.templates:
        s.templates[key] = _unroll(s, inexact)
    found: Tape | None = s.templates[key]
    return found


def _unroll(s: Signature, inexact: bool) -> Tape | None:
    p = s.kwargs
    body, n, save = p["body"], p["length"], p["save"]
    tape = body.tape
    if not n or p["progress"] is not None or n * _weight(tape) > MOST:
        return None
    if any(x.op.kind is Kind.GUARD for x in tape.distinct[0]):  # of the body, not of the trace
        return None
    if max([a.size for a in tape.inputs] + tape.sizes.tolist(), default=0) > SMALL:
        return None
    with Recording("loop unrolled") as r:
        fixed, carry, rows = divided(body, r.inputs(s.avals))
        ys: list[Any] = [None] * n
        kept = []
        for i in range(n):
            k = n - 1 - i if p["backward"] else i
            if save and i % save == 0:
                kept.append(carry)
            out = r.paste(tape, [*fixed, *carry, *[_row(x, k) for x in rows]])
            carry, ys[k] = out[: body.n_carry], out[body.n_carry :]
        stacks = [*zip(*ys, strict=True), *zip(*kept, strict=True)]
        leaves = [*carry, *[stack(*x) for x in stacks]]
        avals = [*body.carry, *body.results, *(body.carry if save else ())]
        own = [x for x, a in zip(leaves, avals, strict=True) if a.inexact == inexact]
        return r.tape([packing(body, n, save, inexact).pack(own)])


def _weight(tape: Tape) -> int:
    """Instructions, those of loops in it included."""
    used, inverse = tape.distinct
    each = [
        s.kwargs["length"] * _weight(s.kwargs["body"].tape) if "body" in s.op.params else 1
        for s in used
    ]
    return max(int(np.array(each, np.int64)[inverse].sum()), 1)


def _row(x: Any, k: int) -> Any:
    whole = tuple((0, 1, m) for m in x.shape[1:])
    return layout.reshape(layout.strided_slice(x, index=((k, 1, 1), *whole)), shape=x.shape[1:])
