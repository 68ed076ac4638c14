"""Reverse mode of loops.

Each step is computed again from the carry before it, and its reverse sweep runs in a loop in the
other direction. Where keeping each carry would take too much memory, only every save-th is kept,
and a segment of steps is computed again, carries and all, when the reverse loop comes to it;
segments too long for memory are themselves divided (the scheme of A. Griewank and A. Walther,
"Evaluating Derivatives", ch. 12, with equal segments).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jittape.api.loop_body import Body, packing, stacked
from jittape.api.loop_op import Recording, choose_save, divided, run_loop, scan_exact
from jittape.ops import shape as layout
from jittape.ops.elementwise import add
from jittape.passes.differentiate import reverse
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
            packed = scan_exact(
                *some, body=smaller, length=length, backward=backward, save=save, progress=None
            )
            own = [k for k in carries if not body.carry[k].inexact]
            for k, x in zip(own, p.unpack(packed)[-len(own) :], strict=True):
                kept[k] = x
    else:
        given = packing(body, length, 0, True).unpack(g)
        _, _, kept = run_loop(body, length, fixed, carry, rows, backward, every)
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
        step = _reverse_step(body, g_kept is not None)
        streams = [*kept, *rows, *g_results, *(g_kept or [])]
        final, back, _ = run_loop(
            step, length, fixed, [*g_carry, *total], streams, backward=True, progress=progress
        )
        return final[: len(g_carry)], final[len(g_carry) :], back
    q = length // every
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
        )
        if g_kept is not None:
            g_carry = [add(c, _one(x, q)) for c, x in zip(g_carry, g_kept, strict=True)]
    segment = _reverse_segment(body, every, g_kept is not None)

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
) -> tuple[list[Any], list[Any], list[Any]]:
    """Some steps computed again from the carry before them, and their reverse sweep."""
    every = choose_save(body, length)
    _, _, kept = run_loop(body, length, fixed, carry, rows, save=every)
    return _pull(body, length, every, fixed, kept, rows, g_carry, g_results, None, total)


def _inexact(avals: Sequence[Aval]) -> list[Aval]:
    return [a for a in avals if a.inexact]


def _reverse_step(body: Body, with_kept: bool) -> Body:
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
        return r.body([*to_carry, *total, *to_rows], len(own), len(carry) + len(total))


def _reverse_segment(body: Body, every: int, with_kept: bool) -> Body:
    """The body of the reverse loop over segments."""
    carry = _inexact(body.carry)
    with Recording("reverse segment") as r:
        own = r.inputs(body.fixed)
        g_carry, total = r.inputs(carry), r.inputs(_inexact(body.fixed))
        now = r.inputs(body.carry)
        rows = r.inputs([stacked(a, every) for a in body.rows])
        g_results = r.inputs([stacked(a, every) for a in _inexact(body.results)])
        g_kept = r.inputs(carry) if with_kept else []
        to_carry, total, to_rows = _segment(body, every, own, now, rows, g_carry, g_results, total)
        if with_kept:
            to_carry = [add(a, b) for a, b in zip(to_carry, g_kept, strict=True)]
        return r.body([*to_carry, *total, *to_rows], len(own), len(carry) + len(total))
