"""Reverse and forward mode: from a Tape to a longer Tape.

Both paste rule templates with array code: the layout of the new tape is computed for all
instructions at once, and only the distinct signatures are looped over in Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jittape.errors import DifferentiationError
from jittape.ops.declare import Refused, Signature, signature
from jittape.ops.elementwise import add
from jittape.passes.accumulate import accumulate
from jittape.passes.activity import active_values
from jittape.passes.paste import Builder, groups
from jittape.passes.template import Template, build
from jittape.tape import Tape
from jittape.tracing.tracer import Tracer, number_of
from jittape.types import Aval

# a contribution that is the adjoint of the instruction it comes from, unchanged (add, reshape...)
_PASSED_ON = -(1 << 62)


def inexact_outputs(tape: Tape) -> list[int]:
    """The outputs that derivatives flow from; `reverse` takes a cotangent for each."""
    return [v for v in tape.outputs.tolist() if tape.aval(v).inexact]


def _template(
    tape: Tape, build: object, sig: Signature, mask: int, members: np.ndarray
) -> Template:
    try:
        return build(sig, mask)  # type: ignore[operator]
    except DifferentiationError as e:
        where = tape.position(int(members[0]))
        raise DifferentiationError(f"{where or 'inside a derivative rule'}: {e}") from None


def reverse(tape: Tape, wrt: Sequence[int], seeds: Sequence[int] | None = None) -> Tape:
    """The tape followed by its reverse sweep.

    seeds: the value numbers that get a cotangent; by default the inexact outputs.
    Inputs: those of `tape`, then one cotangent per seed. Outputs: those of `tape`, then one
    cotangent per input number in `wrt` (zeros where nothing depends on it).
    """
    if seeds is None:
        seeds = inexact_outputs(tape)
    active = active_values(tape, wrt, seeds)
    first, n = tape.first, len(tape)
    parts = []
    length = np.zeros(n, dtype=np.int64)  # instructions that the template of i pastes
    for sig, mask, members, operands in groups(tape, active):
        template = _template(tape, vjp_template, sig, mask, members)
        length[members] = len(template.tape)
        parts.append((template, members, operands))

    # How many contributions each value gets: they are known before anything is laid out.
    targets, sources = [], []
    for template, members, operands in parts:
        for i, r in enumerate(template.results):
            if r >= 0:
                targets.append(operands[:, i])
                sources.append(members)
    live_seeds = [(k, v) for k, v in enumerate(seeds) if active[v]]
    targets.append(np.array([v for _, v in live_seeds], dtype=np.int64))
    sources.append(np.array([n + k for k, _ in live_seeds], dtype=np.int64))
    target = np.concatenate(targets).astype(np.int64)
    source = np.concatenate(sources).astype(np.int64)
    count = np.bincount(target, minlength=tape.n_values)

    # Layout: blocks from the last instruction to the first. A block first adds up the
    # contributions to the output's adjoint, complete by then, and then pastes the template.
    sums = np.maximum(count - 1, 0)
    block = np.where(active[first:], sums[first:] + length, 0)
    offset = np.zeros(tape.n_values, dtype=np.int64)
    offset[first:] = n + block[::-1].cumsum()[::-1] - block
    tail = n + int(block.sum())
    for v in dict.fromkeys(wrt):
        if v < first:  # an instruction's adjoint is complete in its own block already
            offset[v] = tail
            tail += int(sums[v])

    builder = Builder(tape, [tape.aval(v) for v in seeds], np.arange(n), tail)
    # Adjoints are numbers known from the layout, except where they are passed on unchanged.
    adjoint = np.where(count > 1, offset + sums - 1, _PASSED_ON)
    position = np.empty(len(target), dtype=np.int64)
    cursor = 0
    for template, members, _ in parts:
        base = offset[first + members] + sums[first + members]
        for r in template.results:
            if r >= 0:
                chunk = slice(cursor, cursor + len(members))
                position[chunk] = _result_number(builder, template, r, base)
                cursor += len(members)
    position[cursor:] = [builder.new_input(k) for k, _ in live_seeds]

    once = count[target] == 1
    adjoint[target[once]] = position[once]
    _resolve(adjoint, target[once], source[once], position[once], first)
    passed = position == _PASSED_ON
    position[passed] = adjoint[first + source[passed]]

    _paste_sums(builder, tape, target, source, position, count, offset)
    for template, members, operands in parts:
        base = offset[first + members] + sums[first + members]
        arguments = (adjoint[first + members], members, *builder.old[operands].T)
        builder.paste(template, base, arguments, members)
    grads = [int(adjoint[v]) if count[v] else builder.zeros(tape.aval(v)) for v in wrt]
    return accumulate(builder.finish([*builder.old[tape.outputs].tolist(), *grads]), n)


def _result_number(
    builder: Builder, template: Template, r: int, base: np.ndarray
) -> np.ndarray | int:
    """Where a result of a template will stand."""
    tape = template.tape
    v = int(tape.outputs[r])
    if v >= tape.first:
        return base + (v - tape.first)
    if v >= tape.n_inputs:
        return builder.const(tape.consts[v - tape.n_inputs])
    if template.slots[v] != 0:
        raise DifferentiationError("a cotangent must depend linearly on g")
    return _PASSED_ON


def _resolve(
    adjoint: np.ndarray, target: np.ndarray, source: np.ndarray, position: np.ndarray, first: int
) -> None:
    """Follow adjoints that are passed on unchanged to where they were computed."""
    passed = position == _PASSED_ON
    origin = np.arange(len(adjoint))
    origin[target[passed]] = first + source[passed]
    while True:
        further = origin[origin]
        if np.array_equal(further, origin):
            break
        origin = further
    adjoint[:] = adjoint[origin]


def _paste_sums(
    builder: Builder,
    tape: Tape,
    target: np.ndarray,
    source: np.ndarray,
    position: np.ndarray,
    count: np.ndarray,
    offset: np.ndarray,
) -> None:
    """acc = c0 + c1, acc = acc + c2, ... for each value with several contributions."""
    many = count[target] > 1
    target, source, position = target[many], source[many], position[many]
    order = np.lexsort((-source, target))  # in the order the sweep meets them
    target, source, position = target[order], source[order], position[order]
    starts = np.flatnonzero(np.r_[True, np.diff(target) != 0]) if len(target) else target
    rank = np.arange(len(target)) - np.repeat(starts, np.diff(np.r_[starts, len(target)]))
    later = np.flatnonzero(rank > 0)
    at = offset[target[later]] + rank[later] - 1
    left = np.where(rank[later] == 1, position[later - 1], at - 1)
    right = position[later]
    where = np.where(source[later] < len(tape), source[later], -1)
    summed = target[later]
    used, inverse = tape.distinct
    kinds: dict[Aval, int] = {}
    of_signature = np.array([kinds.setdefault(s.out, len(kinds)) for s in used], np.int64)
    kind = np.empty(len(summed), np.int64)
    given = summed < tape.first
    kind[given] = [kinds.setdefault(tape.aval(v), len(kinds)) for v in summed[given].tolist()]
    kind[~given] = of_signature[inverse[summed[~given] - tape.first]]
    for aval, k in kinds.items():
        mine = kind == k
        if not mine.any():
            continue
        sig = signature(add, (), (aval, aval))
        builder.put(at[mine], sig, [left[mine], right[mine]], where[mine])


def forward(tape: Tape, wrt: Sequence[int]) -> Tape:
    """The tape with tangents computed beside the values.

    Inputs: those of `tape`, then one tangent per input number in `wrt`. Outputs: those of `tape`,
    then one tangent per inexact output.
    """
    active = active_values(tape, wrt, None)
    first, n = tape.first, len(tape)
    parts = []
    length = np.zeros(n, dtype=np.int64)
    for sig, mask, members, operands in groups(tape, active):
        template = _template(tape, jvp_template, sig, mask, members)
        length[members] = len(template.tape)
        parts.append((template, members, operands))
    ends = (length + 1).cumsum()
    keep = ends - length - 1
    builder = Builder(tape, [tape.aval(v) for v in wrt], keep, int(ends[-1]) if n else 0)

    tangent = np.full(tape.n_values, _PASSED_ON, dtype=np.int64)
    for k, v in enumerate(wrt):
        tangent[v] = builder.new_input(k)
    passed_on, passed_from = [], []
    for template, members, operands in parts:
        v = int(template.tape.outputs[0])
        if v < template.tape.n_inputs:
            slot = template.slots[v]
            passed_on.append(first + members)
            passed_from.append(operands[:, slot])
        else:
            tangent[first + members] = _result_number(builder, template, 0, keep[members] + 1)
    if passed_on:
        origin = np.arange(tape.n_values)
        origin[np.concatenate(passed_on)] = np.concatenate(passed_from)
        while not np.array_equal(origin, origin[origin]):
            origin = origin[origin]
        tangent = tangent[origin]
    for template, members, operands in parts:
        arguments = (*tangent[operands].T, keep[members], *builder.old[operands].T)
        builder.paste(template, keep[members] + 1, arguments, members)
    outputs = builder.old[tape.outputs].tolist()
    for v in inexact_outputs(tape):
        outputs.append(int(tangent[v]) if active[v] else builder.zeros(tape.aval(v)))
    return builder.finish(outputs)


# -- the template of an op's rule, or of the transpose of its other rule --------------------------


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
