"""Forward mode and batching of loops: loops over the body's own forward sweep, and its batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.api.loop_body import Body, intern, packing
from jittape.api.loop_run import divided, run_loop
from jittape.ops import shape as layout
from jittape.ops.elementwise import converted
from jittape.ops.reduce import broadcast_to
from jittape.passes.batch import batch
from jittape.passes.differentiate import forward
from jittape.passes.recording import Recording


def jvp(
    tangents: tuple,
    out: Any,
    *args: Any,
    body: Body,
    length: int,
    backward: bool,
    save: int,
    progress: Any,
) -> Any:
    fixed, carry, rows = divided(body, args)
    t_fixed, t_carry, t_rows = divided(body, tangents)
    t_carry = [
        (np.zeros(a.shape, a.dtype) if t is None else t) if a.inexact else None
        for t, a in zip(t_carry, body.carry, strict=True)
    ]
    given = [t is not None for t in (*t_fixed, *t_carry, *t_rows)]
    pushed = _forward_step(body, tuple(given))

    def present(ts: list[Any]) -> list[Any]:
        return [t for t in ts if t is not None]

    final, results, kept = run_loop(
        pushed,
        length,
        [*fixed, *present(t_fixed)],
        [*carry, *present(t_carry)],
        [*rows, *present(t_rows)],
        backward,
        save,
    )
    n = body.n_carry
    leaves = [*final[n:], *results[len(body.results) :], *kept[n:]]
    return packing(body, length, save, True).pack(leaves)


def _forward_step(body: Body, given: tuple[bool, ...]) -> Body:
    """The body with tangents beside the values. given: which inputs have one."""
    wrt = [v for v, has in enumerate(given) if has]
    swept = forward(body.tape, wrt)
    n_fixed, n_carry = body.n_fixed, body.n_carry
    parts = [
        (body.fixed, given[:n_fixed]),
        (body.carry, given[n_fixed : n_fixed + n_carry]),
        (body.rows, given[n_fixed + n_carry :]),
    ]
    with Recording("forward step") as r:
        values, tangents, counts = [], [], []
        for avals, has in parts:
            values += r.inputs(avals)
            moving = r.inputs([a for a, h in zip(avals, has, strict=True) if h])
            tangents += moving
            counts.append(len(avals) + len(moving))
        out = r.paste(swept, [*values, *tangents])
        n_out = len(body.tape.outputs)
        moved = iter(out[n_out:])
        tangent = [next(moved) if a.inexact else None for a in (*body.carry, *body.results)]
        new_carry = [*out[:n_carry], *[t for t in tangent[:n_carry] if t is not None]]
        results = [*out[n_carry:n_out], *[t for t in tangent[n_carry:] if t is not None]]
        return intern(r.tape([*new_carry, *results]), counts[0], counts[1])


def batched_loop(
    inexact: bool,
    args: list[Any],
    which: tuple[bool, ...],
    size: int,
    body: Body,
    length: int,
    backward: bool,
    save: int,
    progress: Any,
) -> Any:
    marks = list(which)
    n_fixed, n_carry = body.n_fixed, body.n_carry
    while True:  # a carry that is batched after a step is batched
        together, on = batch(body.tape, marks, size)
        more = [k for k in range(n_carry) if on[k] and not marks[n_fixed + k]]
        if not more:
            break
        for k in more:
            marks[n_fixed + k] = True
    with Recording("batched step") as r:
        out = r.paste(together, r.inputs(together.inputs))
        wide = []
        for k, (x, b) in enumerate(zip(out, on, strict=True)):
            must = marks[n_fixed + k] if k < n_carry else True
            wide.append(broadcast_to(x, shape=(size, *x.shape)) if must and not b else x)
        new = intern(r.tape(wide), n_fixed, n_carry)
    operands = []
    for k, (x, b, m) in enumerate(zip(args, which, marks, strict=True)):
        if m and not b:
            x = broadcast_to(x, shape=(size, *x.shape))
        if k >= n_fixed + n_carry and m:  # steps in front of the batch
            x = layout.transpose(x, perm=(1, 0, *range(2, x.ndim)))
        operands.append(x)
    fixed, carry, rows = divided(body, operands)
    final, results, kept = run_loop(new, length, fixed, carry, rows, backward, save, progress)
    flat = []
    for k, x in enumerate([*final, *results, *kept]):
        stack = k >= n_carry
        own = k - n_carry - len(results) if k >= n_carry + len(results) else k
        a = (*body.carry, *body.results)[own]
        if a.inexact != inexact:
            continue
        batched_leaf = True if own >= n_carry else marks[n_fixed + own]
        if not batched_leaf:
            x = broadcast_to(x, shape=(size, *x.shape))
        elif stack:
            x = layout.transpose(x, perm=(1, 0, *range(2, x.ndim)))
        flat.append(layout.reshape(x, shape=(size, x.size // size if size else 0)))
    p = packing(body, length, save, inexact)
    parts = [converted(x, p.dtype) for x in flat]
    return layout.concatenate(*parts, axis=1)
