"""An op without a batch rule, done once per element of the batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops import reduce
from jittape.ops.declare import Kind, Op, Signature, declare
from jittape.passes.batch import batch
from jittape.passes.template import vjp_template
from jittape.tracing.recorder import Trace
from jittape.tracing.tracer import Tracer, number_of, trace_of
from jittape.types import Aval, aval


def _size(shapes: Any, which: tuple[bool, ...]) -> int:
    return next(s[0] for s, b in zip(shapes, which, strict=True) if b)


def _infer(*avals: Aval, inner: Signature, which: tuple[bool, ...]) -> Aval:
    size = _size([a.shape for a in avals], which)
    return aval((size, *inner.out.shape), inner.out.dtype)


def _evaluate(*args: Any, inner: Signature, which: tuple[bool, ...]) -> Any:
    size = _size([np.shape(x) for x in args], which)
    out = np.empty((size, *inner.out.shape), inner.out.dtype)
    for k in range(size):
        operands = [x[k] if b else x for x, b in zip(args, which, strict=True)]
        out[k] = inner.op.evaluate(*operands, **inner.kwargs)
    return out


def _vjp(g: Any, out: Any, *args: Any, inner: Signature, which: tuple[bool, ...]) -> tuple:
    """The inner op's rule, batched."""
    size = _size([x.shape for x in args], which)
    active = sum(1 << i for i, a in enumerate(inner.avals) if a.inexact)
    template = vjp_template(inner, active)
    arguments, marks = (g, out, *args), (True, True, *which)
    tape, on = batch(template.tape, [marks[s] for s in template.slots], size)
    trace = trace_of((g, out, *args))
    assert isinstance(trace, Trace)
    numbers = trace.inline(tape, [number_of(trace, arguments[s]) for s in template.slots])
    cotangents: list[Any] = []
    for r, b in zip(template.results, which, strict=True):
        if r < 0:
            cotangents.append(None)
            continue
        c: Any = Tracer(trace, int(numbers[r]), tape.aval(int(tape.outputs[r])), None)
        if b and not on[r]:
            c = reduce.broadcast_to(c, shape=(size, *c.shape))
        elif on[r] and not b:
            c = reduce.sum(c, axes=(0,))
        cotangents.append(c)
    return tuple(cotangents)


looped = declare(
    Op(
        name="looped",
        kind=Kind.HOST,
        infer=_infer,
        evaluate=_evaluate,
        params=("inner", "which"),
        vjp=_vjp,
        doc="an op that has no batch rule, once per element of the batch",
    )
)
