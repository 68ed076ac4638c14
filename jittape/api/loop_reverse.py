"""Reverse mode of loops.

Each step is computed again from the carry before it, and its reverse sweep runs in a loop in the
other direction. Where keeping each carry would take too much memory, only every save-th is kept,
and a segment of steps is computed again, carries and all, when the reverse loop comes to it. A
segment whose carries do not fit either is reversed by the binomial schedule (`loop_segment`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any

import numpy as np

from jittape.api.loop_body import Body, Packing, intern, packing, stacked
from jittape.api.loop_run import choose_save, divided, most_carries, run_loop
from jittape.ops import shape as layout
from jittape.ops.declare import by_name
from jittape.ops.elementwise import add
from jittape.passes.differentiate import reverse
from jittape.passes.recording import Recording
from jittape.tape import Tape
from jittape.types import Aval


def _flipped(x: Any) -> Any:
    """The rows from the last to the first."""
    if x is None or x.shape[0] < 2:
        return x
    n = x.shape[0]
    rest = tuple((0, 1, m) for m in x.shape[1:])
    return layout.strided_slice(x, index=((n - 1, -1, n), *rest))


def _some(x: Any, low: int, high: int) -> Any:
    """Rows low..high."""
    rest = tuple((0, 1, m) for m in x.shape[1:])
    return layout.strided_slice(x, index=((low, 1, high - low), *rest))


def _one(x: Any, k: int) -> Any:
    return layout.reshape(_some(x, k, k + 1), shape=x.shape[1:])


def vjp(
    g: Any, out: Any, *args: Any, body: Body, length: int, backward: bool, save: int, progress: Any
) -> tuple:
    fixed, carry, rows = divided(body, args)
    floats = [k for k, a in enumerate(body.carry) if a.inexact]
    moving = [k for k, a in enumerate(body.results) if a.inexact]
    if not length:
        given = packing(body, length, save, True).unpack(g)
        kept_g = iter(given[: len(floats)])
        cotangents = [next(kept_g) if a.inexact else None for a in body.carry]
        return (*[None] * len(fixed), *cotangents, *[None] * len(rows))
    every = save or choose_save(body, length)
    if save:
        leaves = packing(body, length, save, True).unpack(out)
        given = packing(body, length, save, True).unpack(g)
        kept: list[Any] = [None] * body.n_carry
        for k, x in zip(floats, leaves[len(floats) + len(moving) :], strict=True):
            kept[k] = x
        g_kept = given[len(floats) + len(moving) :]
        if len(floats) < body.n_carry:
            smaller, carries, _ = body.exact
            p = packing(smaller, length, save, False)
            some = (*fixed, *[carry[k] for k in carries], *rows)
            packed = by_name["scan_exact"](
                *some, body=smaller, length=length, backward=backward, save=save, progress=None
            )
            own = [k for k in carries if not body.carry[k].inexact]
            for k, x in zip(own, p.unpack(packed)[-len(own) :], strict=True):
                kept[k] = x
    else:
        given = packing(body, length, 0, True).unpack(g)
        _, _, kept = run_loop(body.advance, length, fixed, carry, rows, backward, every)
        g_kept = None
    g_carry, g_results = given[: len(floats)], given[len(floats) : len(floats) + len(moving)]
    if backward:  # in the order of the steps
        rows, g_results = [_flipped(x) for x in rows], [_flipped(x) for x in g_results]
    total = [np.zeros(a.shape, a.dtype) for a in body.fixed if a.inexact]
    start, total, back = _pull(
        body, length, every, fixed, kept, rows, g_carry, g_results, g_kept, total, progress
    )
    if backward:
        back = [_flipped(x) for x in back]
    streams = iter([*total, *start, *back])
    return tuple(
        next(streams) if a.inexact else None for a in (*body.fixed, *body.carry, *body.rows)
    )


def _pull(
    body: Body,
    length: int,
    every: int,
    fixed: list[Any],
    kept: list[Any],
    rows: list[Any],
    g_carry: list[Any],
    g_results: list[Any],
    g_kept: list[Any] | None,
    total: list[Any],
    progress: Any = None,
) -> tuple[list[Any], list[Any], list[Any]]:
    """The reverse sweep of a loop (steps in the order of the rows), recorded.

    kept: carries before each every-th step; g_kept: their cotangents, or None. total: cotangents
    of the inexact fixed values, so far. Returns the cotangents of the first carry, the new total,
    and the stacked cotangents of the inexact rows.
    """
    if every == 1:
        step = reverse_step(body, g_kept is not None)
        streams = [*kept, *rows, *g_results, *(g_kept or [])]
        final, back, _ = run_loop(
            step, length, fixed, [*g_carry, *total], streams, backward=True, progress=progress
        )
        return final[: len(g_carry)], final[len(g_carry) :], back
    q = length // every
    free = max(most_carries(body) - -(-length // every) - 1, 0)
    tail: list[Any] = []
    if q * every < length:  # the steps after the last full segment come first
        low = q * every
        g_carry, total, tail = _segment(
            body,
            length - low,
            fixed,
            [_one(x, q) for x in kept],
            [_some(x, low, length) for x in rows],
            g_carry,
            [_some(x, low, length) for x in g_results],
            total,
            free,
        )
        if g_kept is not None:
            g_carry = [add(c, _one(x, q)) for c, x in zip(g_carry, g_kept, strict=True)]
    segment = _reverse_segment(body, every, g_kept is not None, free)

    def cut(x: Any) -> Any:
        return layout.reshape(_some(x, 0, q * every), shape=(q, every, *x.shape[1:]))

    streams = [
        *[_some(x, 0, q) for x in kept],
        *map(cut, rows),
        *map(cut, g_results),
        *[_some(x, 0, q) for x in g_kept or []],
    ]
    final, back, _ = run_loop(
        segment, q, fixed, [*g_carry, *total], streams, backward=True, progress=progress
    )
    joined = [layout.reshape(x, shape=(q * every, *x.shape[2:])) for x in back]
    if tail:
        joined = [layout.concatenate(x, y, axis=0) for x, y in zip(joined, tail, strict=True)]
    return final[: len(g_carry)], final[len(g_carry) :], joined


def _segment(
    body: Body,
    length: int,
    fixed: list[Any],
    carry: list[Any],
    rows: list[Any],
    g_carry: list[Any],
    g_results: list[Any],
    total: list[Any],
    free: int,
) -> tuple[list[Any], list[Any], list[Any]]:
    """Some steps computed again from the carry before them, and their reverse sweep, keeping `free`
    carries more at a time."""
    if length <= free + 2:
        return _segment_kept(body, length, fixed, carry, rows, g_carry, g_results, total, 1)
    packed = by_name["scan_segment"](
        *fixed, *carry, *rows, *g_carry, *g_results, *total, body=body, length=length, free=free
    )
    leaves = segment_packing(body, length).unpack(packed)
    n, m = len(g_carry), len(g_carry) + len(total)
    return leaves[:n], leaves[n:m], leaves[m:]


def _segment_kept(
    body: Body,
    length: int,
    fixed: list[Any],
    carry: list[Any],
    rows: list[Any],
    g_carry: list[Any],
    g_results: list[Any],
    total: list[Any],
    every: int,
) -> tuple[list[Any], list[Any], list[Any]]:
    """The same, keeping every `every`-th carry."""
    _, _, kept = run_loop(body.advance, length, fixed, carry, rows, save=every)
    return _pull(body, length, every, fixed, kept, rows, g_carry, g_results, None, total)


def segment_packing(body: Body, length: int) -> Packing:
    """What the reverse sweep of a segment gives: cotangents of its first carry, of the fixed values
    (added to those so far), and of its rows."""
    rows = [stacked(a, length) for a in _inexact(body.rows)]
    leaves = (*_inexact(body.carry), *_inexact(body.fixed), *rows)
    dtypes = [a.dtype for a in leaves]
    return Packing(leaves, np.result_type(*dtypes) if dtypes else np.dtype(np.float64))


def segment_operands(body: Body, length: int) -> list[list[Aval]]:
    """What it takes: fixed values, first carry, rows, and the cotangents of the last carry, of the
    results, and of the fixed values so far."""
    return [
        list(body.fixed),
        list(body.carry),
        [stacked(a, length) for a in body.rows],
        _inexact(body.carry),
        [stacked(a, length) for a in _inexact(body.results)],
        _inexact(body.fixed),
    ]


def segment_by_parts(body: Body, length: int) -> Tape:
    """The reverse sweep of a segment in instructions that have rules of their own: of parts of
    about sqrt(length) steps. Its derivatives are those of the op `scan_segment`."""
    with Recording("reverse segment in parts") as r:
        fixed, carry, rows, g_carry, g_results, total = (
            r.inputs(avals) for avals in segment_operands(body, length)
        )
        every = max(isqrt(length), 2)
        found = _segment_kept(body, length, fixed, carry, rows, g_carry, g_results, total, every)
        return r.tape([segment_packing(body, length).pack([x for xs in found for x in xs])])


def _inexact(avals: Sequence[Aval]) -> list[Aval]:
    return [a for a in avals if a.inexact]


def reverse_step(body: Body, with_kept: bool) -> Body:
    """The body of the reverse loop: one step computed again and swept back."""
    tape = body.tape
    wrt = [v for v in range(tape.n_inputs) if tape.inputs[v].inexact]
    swept = reverse(tape, wrt)
    carry, fixed, rows = _inexact(body.carry), _inexact(body.fixed), _inexact(body.rows)
    with Recording("reverse step") as r:
        own = r.inputs(body.fixed)
        g_carry, total = r.inputs(carry), r.inputs(fixed)
        now, row = r.inputs(body.carry), r.inputs(body.rows)
        g_results = r.inputs(_inexact(body.results))
        g_kept = r.inputs(carry) if with_kept else []
        out = r.paste(swept, [*own, *now, *row, *g_carry, *g_results])
        back = out[len(tape.outputs) :]
        to_fixed, back = back[: len(fixed)], back[len(fixed) :]
        to_carry, to_rows = back[: len(carry)], back[len(carry) :]
        if with_kept:
            to_carry = [add(a, b) for a, b in zip(to_carry, g_kept, strict=True)]
        total = [add(a, b) for a, b in zip(total, to_fixed, strict=True)]
        assert len(to_rows) == len(rows)
        step = intern(r.tape([*to_carry, *total, *to_rows]), len(own), len(carry) + len(total))
    if with_kept:
        _of_zeros[step] = reverse_step(body, False)
    return step


# Reverse steps by what they are where the cotangents of kept carries, their last rows, are zeros:
# only where a derivative is differentiated again are they anything else.
_of_zeros: dict[Body, Body] = {}


def without_kept(body: Body, zeros: Sequence[bool]) -> tuple[Body, int] | None:
    """(body, how many of its last rows it does without) where these rows are zeros."""
    shorter = _of_zeros.get(body)
    if shorter is None:
        return None
    n = body.n_rows - shorter.n_rows
    return (shorter, n) if n and all(zeros[-n:]) else None


def _reverse_segment(body: Body, every: int, with_kept: bool, free: int) -> Body:
    """The body of the reverse loop over segments."""
    carry = _inexact(body.carry)
    with Recording("reverse segment") as r:
        own = r.inputs(body.fixed)
        g_carry, total = r.inputs(carry), r.inputs(_inexact(body.fixed))
        now = r.inputs(body.carry)
        rows = r.inputs([stacked(a, every) for a in body.rows])
        g_results = r.inputs([stacked(a, every) for a in _inexact(body.results)])
        g_kept = r.inputs(carry) if with_kept else []
        to_carry, total, to_rows = _segment(
            body, every, own, now, rows, g_carry, g_results, total, free
        )
        if with_kept:
            to_carry = [add(a, b) for a, b in zip(to_carry, g_kept, strict=True)]
        return intern(r.tape([*to_carry, *total, *to_rows]), len(own), len(carry) + len(total))
