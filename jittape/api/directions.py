"""Which way a Jacobian is swept, and how many directions of it at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jittape.ops.declare import Kind
from jittape.passes.activity import depends_on
from jittape.tape import Tape
from jittape.tracing.recorder import here
from jittape.types import Aval

# directions are swept in chunks so that the values of one chunk stay below this many bytes
CHUNK_BYTES = 1 << 28


def choose_mode(
    mode: str, ins: Sequence[Aval], outs: Sequence[Aval], name: str, holomorphic: bool = False
) -> str:
    """ "forward" or "reverse"; raises TypeError where the result has no derivative."""
    for a in outs:
        if not a.inexact:
            raise TypeError(
                f"{here()}: {name} returned {a.dtype}, which has no derivative; return floats, or "
                "leave that result out"
            )
    complex_in = any(a.dtype.kind == "c" for a in ins)
    complex_out = any(a.dtype.kind == "c" for a in outs)
    if complex_in and complex_out and not holomorphic:
        raise TypeError(
            f"{here()}: jacobian of {name}: a complex result of complex arguments has no single "
            "complex Jacobian; use holomorphic=True where it is complex differentiable, or split "
            "both into real and imaginary parts"
        )
    # one complex cotangent (tangent) says too little about a real input (output)
    if (complex_out or complex_in) and not holomorphic:
        only = "forward" if complex_out else "reverse"
        if mode not in ("auto", only):
            side = "result" if complex_out else "argument"
            raise TypeError(f"{here()}: jacobian of {name}: a complex {side} needs mode={only!r}")
        return only
    if mode != "auto":
        return mode
    # a forward direction costs less than a reverse one: no stored values are read back
    return "forward" if sum(a.size for a in ins) <= 1.5 * sum(a.size for a in outs) else "reverse"


def chunks(tape: Tape, directions: int, n_new: int) -> list[tuple[int, int]]:
    """Ranges of directions that fit into memory together. n_new: how many of the last inputs of
    the tape are the direction's."""
    moving = depends_on(tape, range(tape.n_inputs - n_new, tape.n_inputs))[tape.first :]
    used, inverse = tape.distinct
    # runs of elementwise ops go through the cache block by block: most are never stored
    stored = [s.out.nbytes // (8 if s.op.kind is Kind.ELEMENTWISE else 1) for s in used]
    each = int(np.array(stored, dtype=np.int64)[inverse[moving]].sum()) if len(tape) else 0
    width = max(1, min(directions, CHUNK_BYTES // max(each, 1)))
    n = -(-directions // width)
    edges = [directions * i // n for i in range(n + 1)] if n else [0]
    return list(zip(edges[:-1], edges[1:], strict=True))
