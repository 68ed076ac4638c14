"""Loops that run inside of a Program's sweep (passes/inner.py), and where their results go."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from jittape.api.loop_blocks import pays
from jittape.api.loop_body import Body, packing, stacked
from jittape.ops.declare import Signature
from jittape.passes.inner import InnerLoop
from jittape.types import Aval


def inner(s: Signature, inexact: bool) -> InnerLoop | None:
    """The loop of an instruction, or None where it has to be evaluated by a return to Python: its
    step needs one itself, its result mixes dtypes, blocks pay, or somebody watches its progress."""
    key = "inner"
    if key not in s.templates:
        s.templates[key] = _inner(s, inexact)
    found: InnerLoop | None = s.templates[key]
    return found


def _inner(s: Signature, inexact: bool) -> InnerLoop | None:
    from jittape.execute.loop import fits
    from jittape.program import as_loop

    p = s.kwargs
    body, n, save = p["body"], p["length"], p["save"]
    at = places(body, n, save, inexact)
    same = all(a.dtype == s.out.dtype for a, start in at.stacks if start >= 0)
    same &= all(body.carry[k].dtype == s.out.dtype for k, _ in at.carries)
    if not n or p["progress"] is not None or save > 1 or not same or pays(body, n, save > 0):
        return None
    program = as_loop(body.program, body.n_fixed, body.n_carry, save == 1)
    if program is None:
        program = body.program
        if not fits(program):
            return None
    item = s.out.dtype.itemsize
    starts = [start * item if start >= 0 else None for _, start in at.stacks]
    carries = dict(at.carries)
    final = [carries[k] * item if k in carries else None for k in range(body.n_carry)]
    k = len(body.results)
    return InnerLoop(program, n, body.n_fixed, p["backward"], final, starts[:k], starts[k:])


@dataclass(frozen=True)
class Places:
    """Of one loop: its operands; where in the packed result its carries go (number, start); and
    what it stacks with where that starts there, or -1 where it is not part of this result."""

    operands: list[Aval]
    carries: list[tuple[int, int]]
    stacks: list[tuple[Aval, int]]


@lru_cache(1024)
def places(body: Body, length: int, save: int, inexact: bool) -> Places:
    operands = [*body.fixed, *body.carry, *[stacked(a, length) for a in body.rows]]
    avals = [*body.carry, *[stacked(a, length) for a in body.results]]
    if save:
        avals += [stacked(a, -(-length // save)) for a in body.carry]
    starts = iter(packing(body, length, save, inexact).starts)
    placed = [(a, next(starts) if a.inexact == inexact else -1) for a in avals]
    n = body.n_carry
    return Places(operands, [(k, x) for k, (_, x) in enumerate(placed[:n]) if x >= 0], placed[n:])
