"""Templates: a derivative rule run once per signature, ready to be pasted by array code.

A rule is a Python function on tracers. Running it for each of 10^6 instructions would take
seconds, but tapes have few distinct signatures: the rule is recorded once on an abstract trace
whose inputs are its arguments, and the little tape is pasted wherever the signature occurs.
Templates are kept on the signature for the life of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jittape.errors import DifferentiationError
from jittape.ops.declare import Refused, Signature
from jittape.ops.elementwise import cast
from jittape.ops.reduce import broadcast_to, unbroadcast
from jittape.tape import Tape, assemble, open_numbers
from jittape.tracing.recorder import Trace
from jittape.tracing.tracer import Tracer, number_of, trace_of
from jittape.types import Aval


class Template(NamedTuple):
    """tape: inputs are the slots below, outputs the results that are not None.

    slots: which argument of the rule each input of the tape is (unused arguments are left out).
    results: for each result of the rule, its index among the tape's outputs, or -1 for None.
    """

    tape: Tape
    slots: tuple[int, ...]
    results: tuple[int, ...]


def build(
    avals: Sequence[Aval | None],
    rule: Callable[[list[Tracer | None]], Sequence[Any]],
    results: Sequence[Aval],
) -> Template:
    """Record `rule` on abstract tracers of these avals (None stays None).

    Each result is brought to its aval: summed over broadcast axes, cast, made real.
    """
    trace = Trace("derivative rule", concrete=False)
    with trace:
        args: list[Tracer | None] = []
        numbers: list[int] = []
        for a in avals:
            if a is None:
                args.append(None)
                continue
            numbers.append(trace.add_input(a))
            args.append(Tracer(trace, numbers[-1], a, None))
        outputs: list[int] = []
        where: list[int] = []
        for value, wanted in zip(rule(args), results, strict=True):
            if value is None:
                where.append(-1)
                continue
            where.append(len(outputs))
            outputs.append(number_of(trace, fit(value, wanted)))
        tape = _needed(trace.finish(outputs))
    slots = tuple(i for i, a in enumerate(avals) if a is not None)
    return Template(tape, slots, tuple(where))


def _needed(tape: Tape) -> Tape:
    """Without the instructions that no output needs: rules compute more than a mask asks for."""
    needed = set(tape.outputs.tolist())
    kept = []
    for i in range(len(tape) - 1, -1, -1):
        if tape.first + i in needed:
            kept.append(i)
            needed.update(tape.operands(i))
    if len(kept) == len(tape):
        return tape
    kept.reverse()
    number = open_numbers(tape)
    number[[tape.first + i for i in kept]] = np.arange(len(kept))
    args = [number[v] for i in kept for v in tape.operands(i)]
    return assemble(
        tape.inputs,
        tape.consts,
        tape.sigs[kept],
        np.array(args, dtype=np.int64),
        number[tape.outputs],
        tape.where_code[kept],
        tape.where_lasti[kept],
        tape.codes,
    )


def fit(value: Any, wanted: Aval) -> Any:
    """Bring a cotangent to the aval of its operand, or a tangent to that of its value."""
    if trace_of((value,)) is None:
        return np.broadcast_to(np.asarray(value, wanted.dtype), wanted.shape)
    if value.shape != wanted.shape:
        if np.broadcast_shapes(value.shape, wanted.shape) == wanted.shape:
            value = broadcast_to(value, shape=wanted.shape)
        else:
            value = unbroadcast(value, wanted.shape)
    return value if value.dtype == wanted.dtype else cast(value, dtype=wanted.dtype)


def vjp_template(sig: Signature, active: int) -> Template:
    """Arguments of the rule: g, out, *args; results: a cotangent per operand.

    active: bit i is set where operand i wants a cotangent.
    """
    key = ("vjp", active)
    found = sig.templates.get(key)
    if found is None:
        op = sig.op
        if op.vjp is None and op.jvp is None:
            raise DifferentiationError(f"{op.name} has no derivative rule")

        def rule(args: list[Any]) -> list[Any]:
            if op.vjp is None:
                return _transposed_jvp(sig, active, *args)
            cotangents = op.vjp(*args, **sig.kwargs)
            for i, c in enumerate(cotangents):
                if isinstance(c, Refused) and active >> i & 1:
                    raise DifferentiationError(f"{op.name}: {c.why}")
            # a rule's None for an operand is a zero: each active operand gets a contribution
            return [
                (0.0 if c is None else c) if active >> i & 1 else None
                for i, c in enumerate(cotangents)
            ]

        found = build((sig.out, sig.out, *sig.avals), rule, sig.avals)
        sig.templates[key] = found
    return found


def jvp_template(sig: Signature, active: int) -> Template:
    """Arguments: *tangents (None where not active), out, *args; result: one tangent."""
    key = ("jvp", active)
    found = sig.templates.get(key)
    if found is None:
        op = sig.op
        if op.vjp is None and op.jvp is None and not op.linear:
            raise DifferentiationError(f"{op.name} has no derivative rule")
        n = len(sig.avals)
        tangents = [a if active >> i & 1 else None for i, a in enumerate(sig.avals)]

        def rule(args: list[Any]) -> list[Any]:
            ts, out, xs = args[:n], args[n], args[n + 1 :]
            if op.linear:
                return [op(ts[0], **sig.kwargs)]
            if op.jvp is not None:
                return [op.jvp(tuple(ts), out, *xs, **sig.kwargs)]
            return [_transposed(sig, active, ts, out, xs)]

        found = build((*tangents, sig.out, *sig.avals), rule, (sig.out,))
        sig.templates[key] = found
    return found


def _transposed_jvp(sig: Signature, active: int, g: Any, out: Any, *xs: Any) -> list[Any]:
    """g J from the jvp rule alone: t -> J t is linear, and its transpose is g -> g J."""
    from jittape.passes.differentiate import reverse

    template = jvp_template(sig, active)
    n = len(sig.avals)
    wrt = [i for i, s in enumerate(template.slots) if s < n]
    back = reverse(template.tape, wrt=wrt)
    zeros = [np.zeros(a.shape, a.dtype) for a in sig.avals]
    arguments = (*zeros, out, *xs)
    trace = g._trace
    operands = [*[arguments[s] for s in template.slots], g]
    numbers = trace.inline(back, [number_of(trace, x) for x in operands])
    cotangents: list[Any] = [None] * n
    for i, number in zip(wrt, numbers[1:], strict=True):
        k = template.slots[i]
        cotangents[k] = Tracer(trace, int(number), sig.avals[k], None)
    return cotangents


def _transposed(sig: Signature, active: int, tangents: list, out: Any, xs: list) -> Any:
    """J t from the vjp rule alone: g -> J' g is linear, and its transpose is t -> J t."""
    from jittape.passes.differentiate import reverse

    template = vjp_template(sig, active)
    kept = [i for i in range(len(sig.avals)) if template.results[i] >= 0]
    back = reverse(template.tape, wrt=[0])
    zero = np.zeros(sig.out.shape, sig.out.dtype)
    arguments = (zero, out, *xs)
    trace = out._trace
    operands = [arguments[s] for s in template.slots]
    cotangents = [tangents[i] for i in kept]
    numbers = [number_of(trace, x) for x in (*operands, *cotangents)]
    result = trace.inline(back, numbers)[len(kept)]
    return Tracer(trace, int(result), sig.out, None)
