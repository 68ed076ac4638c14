"""Batching: from a Tape to a Tape that does the same for many sets of inputs at once.

The batch axis stands in front. Instructions without a batched operand stay as they are and are
computed once; each other one is replaced by the template of its op's batch rule, recorded once
per signature and set of batched operands, and pasted with array code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.ops import reduce
from jittape.ops.declare import Kind, Op, Signature, declare
from jittape.passes.activity import depends_on
from jittape.passes.batch_rules import rule_of
from jittape.passes.differentiate import vjp_template
from jittape.passes.paste import Builder, groups
from jittape.passes.template import Template, build
from jittape.tape import Tape
from jittape.tracing.recorder import Trace
from jittape.tracing.tracer import Tracer, number_of, trace_of
from jittape.types import Aval, aval

BRANCH_REMEDY = (
    "all elements of a batch share one program, so that a batched value decides no branch and "
    "becomes no Python number; choose elementwise with np.where(condition, a, b), or keep the "
    "value unbatched (in_axes=None)"
)


def batch(tape: Tape, which: Sequence[bool], size: int) -> tuple[Tape, list[bool]]:
    """The tape over `size` sets of the inputs marked in `which`, and which outputs are batched.

    A marked input of shape s has the shape (size, *s) in the new tape, and so has an output that
    depends on one. Raises TraceError where a guard depends on a batched value.
    """
    on = depends_on(tape, [i for i, b in enumerate(which) if b])
    first, n = tape.first, len(tape)
    length = np.ones(n, dtype=np.int64)
    parts = []
    for sig, mask, members, operands in groups(tape, on):
        if sig.op.kind is Kind.GUARD:
            where = tape.position(int(members[0]))
            raise TraceError(f"{where or 'inside a derivative rule'}: {BRANCH_REMEDY}")
        template = batch_template(sig, mask, size)
        length[members] = len(template.tape)
        parts.append((template, members, operands))
    ends = length.cumsum()
    start = ends - length
    keep = np.where(on[first:], -1, start)
    inputs = [batched(a, size) if on[i] else a for i, a in enumerate(tape.inputs)]
    builder = Builder(tape, (), keep, int(ends[-1]) if n else 0, inputs)

    # what stands in place of each old value; a rule may also hand on one of its operands
    number, origin = builder.old, np.arange(tape.n_values)
    for template, members, operands in parts:
        inner = template.tape
        v = int(inner.outputs[0])
        if v >= inner.first:
            number[first + members] = start[members] + (v - inner.first)
        elif v >= inner.n_inputs:
            number[first + members] = builder.const(inner.consts[v - inner.n_inputs])
        else:
            origin[first + members] = operands[:, template.slots[v]]
    while not np.array_equal(origin, origin[origin]):
        origin = origin[origin]
    number[:] = number[origin]
    for template, members, operands in parts:
        builder.paste(template, start[members], builder.old[operands].T, members)
    outputs = builder.finish(number[tape.outputs])
    return outputs, on[tape.outputs].tolist()


def batched(a: Aval, size: int) -> Aval:
    """The aval with the batch axis in front."""
    return aval((size, *a.shape), a.dtype)


def batch_template(sig: Signature, mask: int, size: int) -> Template:
    """The batch rule of an instruction; arguments: its operands, batched where `mask` has a bit."""
    key = ("batch", mask, size)
    found = sig.templates.get(key)
    if found is None:
        which = tuple(bool(mask >> i & 1) for i in range(len(sig.avals)))
        avals = [batched(a, size) if b else a for a, b in zip(sig.avals, which, strict=True)]
        wanted = batched(sig.out, size)

        def rule(args: list[Any]) -> list[Any]:
            own = rule_of(sig)
            result = own(args, which, size, sig) if own else looped(*args, inner=sig, which=which)
            if result.shape != wanted.shape or result.dtype != wanted.dtype:
                raise AssertionError(
                    f"the batch rule of {sig.op.name} gave {result.dtype}{result.shape}, "
                    f"not {wanted}"
                )
            return [result]

        found = sig.templates[key] = build(avals, rule, (wanted,))
    return found


# -- an op without a batch rule, done once per element of the batch --------------------------------


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
