"""Loops inside of a Program: the words that execute/inner.py reads.

An op that is such a loop has an `evaluate` with an attribute `inner`: signature -> InnerLoop, or
None where it has to be evaluated by a return to Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from jittape.ops.declare import Signature
from jittape.passes import views
from jittape.passes.calls import TEMP, Call, Operand, contiguous, copied
from jittape.passes.classify import inner_loop
from jittape.passes.memory import FIRST_SLOT
from jittape.types import Aval


class InnerLoop(NamedTuple):
    """n steps of a Program. program.loop: where it repeats by itself (passes/loops.py).

    carries, results, saved: where each goes in the packed result, in bytes, or None where it is not
    part of it; saved is empty where no carry is kept."""

    program: Any
    n: int
    n_fixed: int
    backward: bool
    carries: Sequence[int | None]
    results: Sequence[int | None]
    saved: Sequence[int | None]


def _up(n: int) -> int:
    return (n + 127) & ~63


class Placed(NamedTuple):
    """A loop and what lies where; memory: its own, in the region of temporaries."""

    loop: InnerLoop
    operands: Sequence[Operand]
    out: Operand
    memory: int
    before: Sequence[Call]
    after: Sequence[Call]


def placed(s: Signature, ops: Sequence[Operand], out: Operand, temp: list[int]) -> Placed:
    """The loop of an instruction; all that it reads and writes is contiguous."""
    loop: InnerLoop = inner_loop(s)
    before: list[Call] = []
    after: list[Call] = []
    read = [contiguous(o, temp, before) for o in ops]
    target = out
    if not views.view(out.shape, out.strides, 0, out.itemsize).contiguous:
        target = Operand(TEMP, temp[0], out.shape, (out.itemsize,), out.itemsize)
        temp[0] += (out.shape[0] * out.itemsize + 63) & ~63
        after = copied(target, out)
    memory = temp[0]
    temp[0] += nbytes(loop, template_words(loop.program)) + sum(n for _, n in _spare(loop))
    return Placed(loop, read, target, memory, before, after)


def words(p: Placed, temp_base: int) -> list[int]:
    """What follows the addresses of program and template."""
    loop = p.loop
    head = [temp_base + p.memory, loop.n, len(p.operands), loop.n_fixed, len(loop.carries)]
    spare = Operand(TEMP, p.memory + nbytes(loop, template_words(loop.program)), (), (), 1)
    for o in (*p.operands, p.out, spare):
        head += [0, temp_base + o.offset] if o.slot == TEMP else [o.slot, o.offset]
    return head + (_by_itself(loop) if loop.program.loop else _by_steps(loop))


def _spare(loop: InnerLoop) -> list[tuple[int, int]]:
    """(number among results and saved carries, bytes) of what is not part of the result."""
    avals = [*loop.program.outputs[len(loop.carries) :], *_carry(loop)]
    found = enumerate((*loop.results, *loop.saved))
    return [(k, _up(avals[k].nbytes * loop.n)) for k, at in found if at is None]


def _streams(loop: InnerLoop) -> list[tuple[int, int, int]]:
    """(operand or, behind them, the result or what is spare; offset of the first step; stride) of
    scanned rows, of results, and of carries that are kept."""
    p, c = loop.program, len(loop.carries)
    n_ops = len(p.inputs)

    def stream(which: int, offset: int, a: Aval, backward: bool) -> tuple[int, int, int]:
        step = a.nbytes
        return which, offset + (step * (loop.n - 1) if backward else 0), -step if backward else step

    found = [stream(k, 0, p.inputs[k], loop.backward) for k in range(loop.n_fixed + c, n_ops)]
    spare = dict(_spare(loop))
    at_spare = 0
    avals = [*p.outputs[c:], *_carry(loop)]
    for k, at in enumerate((*loop.results, *loop.saved)):
        backward = loop.backward and k < len(loop.results)
        if at is None:
            found.append(stream(n_ops + 1, at_spare, avals[k], backward))
            at_spare += spare[k]
        else:
            found.append(stream(n_ops, at, avals[k], backward))
    return found


def _carry(loop: InnerLoop) -> Sequence[Aval]:
    carry: Sequence[Aval] = loop.program.inputs[loop.n_fixed : loop.n_fixed + len(loop.carries)]
    return carry


def _by_itself(loop: InnerLoop) -> list[int]:
    """Tables: what is copied into the arena (slot, place, bytes); streams (operand, offset,
    stride), behind the place of the first; the place of the counter; final carries (place in the
    result, in the arena, bytes)."""
    p = loop.program
    rows = range(loop.n_fixed + len(loop.carries), len(p.inputs))
    copied = [
        (FIRST_SLOT + v, at, p.tape.aval(v).nbytes) for v, at in p.places.resident if v not in rows
    ]
    streams = _streams(loop)
    final = [
        (at, int(p.places.offset[loop.n_fixed + k]), a.nbytes)
        for k, (at, a) in enumerate(zip(loop.carries, _carry(loop), strict=True))
        if at is not None
    ]
    return [
        1, len(copied), *_flat(copied), len(streams), p.loop.first_stream, *_flat(streams),
        p.loop.counter, len(final), *_flat(final),
    ]  # fmt: skip


def _by_steps(loop: InnerLoop) -> list[int]:
    """Tables: constants that are copied into the arena once (slot, place, bytes); offsets of arena,
    scratch and partials; of the two places of each carry; sizes of carries; where they go at the
    end, or -1; whether they are kept; streams."""
    p, carry = loop.program, _carry(loop)
    n_in = len(p.inputs)
    copied = [
        (FIRST_SLOT + v, at, p.tape.aval(v).nbytes) for v, at in p.places.resident if v >= n_in
    ]
    at = 0
    pair = []
    for _ in range(2):
        for a in carry:
            pair.append(at)
            at += _up(a.nbytes)
    parts = []
    for size in (p.places.arena, p.places.scratch + 1024, p.places.partial):
        parts.append(at)
        at += _up(size)
    return [
        0, len(copied), *_flat(copied), *parts, *pair, *[a.nbytes for a in carry],
        *[-1 if x is None else x for x in loop.carries], bool(loop.saved),
        *_flat(_streams(loop)),
    ]  # fmt: skip


def nbytes(loop: InnerLoop, template: int) -> int:
    """Of the memory it takes. template: words."""
    p = loop.program
    if loop.program.loop:
        return _up(8 * template) + _up(p.places.arena)
    tables = 11 + 2 * (len(p.inputs) + len(p.outputs)) + 4 * len(loop.carries)
    data = 2 * sum(_up(a.nbytes) for a in _carry(loop))
    data += _up(p.places.arena) + _up(p.places.scratch + 1024) + _up(p.places.partial)
    return _up(8 * (template + tables)) + data


def template_words(program: Any) -> int:
    """Of the table of slots that a call starts from (and, of a loop that repeats by itself, its
    streams)."""
    if program.loop:
        return int(program.loop.counter) + 1
    return FIRST_SLOT + program.tape.first + len(program.outputs) + 1


def _flat(rows: Sequence[tuple[int, ...]]) -> list[int]:
    return [int(x) for row in rows for x in row]
