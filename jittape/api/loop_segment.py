"""The op `scan_segment`: the reverse sweep of a stretch of a loop in bounded memory.

Its steps are computed again from the carry before the first, by the binomial schedule: each
advance, and each stretch that is reversed at once, is a compiled loop. Operands and results: see
`segment_operands` and `segment_packing` in loop_reverse. Params: body, length, and free, the
number of carries kept at a time besides the first.

Derivatives of it are those of the same sweep in instructions that have rules (`segment_by_parts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jittape.api.binomial import actions
from jittape.api.loop_blocks import sweep
from jittape.api.loop_body import Body
from jittape.api.loop_reverse import (
    reverse_step,
    segment_by_parts,
    segment_operands,
    segment_packing,
)
from jittape.ops.declare import Kind, Op, declare
from jittape.ops.reduce import broadcast_to
from jittape.passes.batch import batch
from jittape.passes.differentiate import forward, reverse
from jittape.passes.recording import pasted
from jittape.tracing.recorder import Trace
from jittape.tracing.tracer import trace_of
from jittape.types import Aval, aval


def _infer(*avals: Aval, body: Body, length: int, **_: Any) -> Aval:
    p = segment_packing(body, length)
    return aval((p.size,), p.dtype)


def _grouped(args: Sequence[Any], body: Body, length: int) -> list[list[np.ndarray]]:
    """The operands as contiguous arrays, by what they are."""
    rest = iter(args)
    return [
        [np.require(next(rest), a.dtype, ["C", "A"]) for a in avals]
        for avals in segment_operands(body, length)
    ]


def _into(out: np.ndarray, *args: Any, body: Body, length: int, free: int) -> None:
    from jittape.execute.loop import Job

    fixed, carry, rows, g_carry, g_results, total = _grouped(args, body, length)
    step, advance = reverse_step(body, False), body.advance
    p = segment_packing(body, length)
    now = [*g_carry, *total]
    back = [np.empty(a.shape, a.dtype) for a in p.leaves[len(now) :]]
    stack = [(0, carry)]

    def cut(arrays: Sequence[np.ndarray], low: int, high: int) -> list[np.ndarray]:
        return [x[low:high] for x in arrays]

    def carries(low: int, high: int, kept: list[np.ndarray] | None) -> list[np.ndarray]:
        """The carry before step high, from the last that is kept, before step low."""
        if low == high:
            return stack[-1][1]
        steps, some = high - low, cut(rows, low, high)
        return sweep(advance, Job(steps, fixed, stack[-1][1], some, [], kept, 1, False, None))

    for low, at, high in actions(length, free):
        while stack[-1][0] > low:
            stack.pop()
        if high == at:
            stack.append((at, carries(low, at, None)))
            continue
        if at > low:  # one step, whose carry nobody needs again
            kept = [x[None] for x in carries(low, at, None)]
        else:
            kept = [np.empty((high - at, *a.shape), a.dtype) for a in body.carry]
            last = carries(at, high - 1, kept if high - at > 1 else None)
            for place, x in zip(kept, last, strict=True):
                place[-1] = x
        streams = [*kept, *cut(rows, at, high), *cut(g_results, at, high)]
        results = cut(back, at, high)
        now = sweep(step, Job(high - at, fixed, now, streams, results, None, 1, True, None))
    for start, x in zip(p.starts, [*now, *back], strict=False):
        out[start : start + x.size] = x.ravel()


def _evaluate(*args: Any, **params: Any) -> np.ndarray:
    p = segment_packing(params["body"], params["length"])
    out = np.empty(p.size, p.dtype)
    _into(out, *args, **params)
    return out


_evaluate.into = _into  # type: ignore[attr-defined]


def _trace(args: Sequence[Any]) -> Trace:
    trace = trace_of(args)
    assert isinstance(trace, Trace)
    return trace


def _vjp(g: Any, out: Any, *args: Any, body: Body, length: int, free: int) -> tuple:
    tape = segment_by_parts(body, length)
    wrt = [v for v in range(tape.n_inputs) if tape.inputs[v].inexact]
    found = pasted(_trace((g, out, *args)), reverse(tape, wrt), [*args, g])[1:]
    cotangents = dict(zip(wrt, found, strict=True))
    return tuple(cotangents.get(v) for v in range(len(args)))


def _jvp(tangents: tuple, out: Any, *args: Any, body: Body, length: int, free: int) -> Any:
    tape = segment_by_parts(body, length)
    wrt = [v for v, t in enumerate(tangents) if t is not None]
    moving = [tangents[v] for v in wrt]
    return pasted(_trace((out, *args, *moving)), forward(tape, wrt), [*args, *moving])[1]


def _batch(args: list[Any], which: tuple[bool, ...], size: int, **params: Any) -> Any:
    tape, on = batch(segment_by_parts(params["body"], params["length"]), list(which), size)
    (out,) = pasted(_trace(args), tape, args)
    return out if on[0] else broadcast_to(out, shape=(size, *out.shape))


scan_segment = declare(
    Op(
        name="scan_segment",
        kind=Kind.HOST,
        infer=_infer,
        evaluate=_evaluate,
        params=("body", "length", "free"),
        vjp=_vjp,
        jvp=_jvp,
        batch=_batch,
        doc="the reverse sweep of a stretch of a loop, by the binomial schedule",
    )
)
