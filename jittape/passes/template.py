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
            needed.update(tape.rows[i][1])
    if len(kept) == len(tape):
        return tape
    kept.reverse()
    number = open_numbers(tape)
    number[[tape.first + i for i in kept]] = np.arange(len(kept))
    args = [number[v] for i in kept for v in tape.rows[i][1]]
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
