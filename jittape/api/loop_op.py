"""The ops `scan` and `scan_exact`: a body swept many times, as one instruction of the tape.

Operands: the fixed values, the first carry, the scanned arrays. Params: body, length, backward
(from the last row to the first), save (how often the carry is kept for the reverse sweep; 0:
never) and progress. The result is packed, see `loop_body`.

The rules are in `loop_reverse` and `loop_forward`: they record loops themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jittape.api.loop_body import Body, intern, packing, stacked
from jittape.ops.declare import Kind, Op, declare
from jittape.passes.simplify import simplify
from jittape.tape import Tape
from jittape.tracing.recorder import Trace
from jittape.tracing.tracer import Tracer, number_of
from jittape.types import Aval, aval

# the carries that one level of a loop keeps for its reverse sweep take at most this many bytes
CARRY_BYTES = 1 << 27

_PARAMS = ("body", "length", "backward", "save", "progress")


def choose_save(body: Body, length: int) -> int:
    """How many steps lie between two carries that are kept."""
    each = sum(a.nbytes for a in body.carry)
    if length <= 2 or length * each <= CARRY_BYTES:
        return 1
    # segments as long as their own carries fit, for few of them, and few enough to keep theirs
    fits = max(CARRY_BYTES // each, 2)
    return min(max(-(-length * each // CARRY_BYTES), fits, 2), length - 1)


def _infer(inexact: bool) -> Callable[..., Aval]:
    def infer(*avals: Aval, body: Body, length: int, save: int, **_: Any) -> Aval:
        p = packing(body, length, save, inexact)
        return aval((p.size,), p.dtype)

    return infer


def _evaluate(inexact: bool) -> Callable[..., Any]:
    def into(
        out: np.ndarray,
        *args: Any,
        body: Body,
        length: int,
        backward: bool,
        save: int,
        progress: Any,
    ) -> None:
        """Run the loop; what it stacks is written where it will be read, once."""
        from jittape.execute.loop import repeat

        arrays = [
            np.require(x, a.dtype, ["C", "A"])
            for x, a in zip(args, _operands(body, length), strict=True)
        ]
        fixed, carry, rows = divided(body, arrays)
        n = -(-length // save) if save else 0
        avals = [*body.carry, *[stacked(a, length) for a in body.results]]
        avals += [stacked(a, n) for a in body.carry] if save else []
        p = packing(body, length, save, inexact)
        mine = [k for k, a in enumerate(avals) if a.inexact == inexact]
        start = dict(zip(mine, p.starts, strict=False))

        def room(k: int) -> np.ndarray:
            a = avals[k]
            if k in start and a.dtype == out.dtype:
                return out[start[k] : start[k] + a.size].reshape(a.shape)
            return np.empty(a.shape, a.dtype)

        stacks = [room(k) for k in range(len(body.carry), len(avals))]
        results, kept = stacks[: len(body.results)], stacks[len(body.results) :]
        final = repeat(
            body.program, length, fixed, carry, rows, results, kept if save else None,
            save or 1, backward, progress,
        )  # fmt: skip
        leaves = [*final, *stacks]
        for k in mine:
            x = leaves[k]
            if not np.may_share_memory(x, out):
                out[start[k] : start[k] + x.size] = x.ravel()

    def evaluate(*args: Any, **params: Any) -> Any:
        p = packing(params["body"], params["length"], params["save"], inexact)
        out = np.empty(p.size, p.dtype)
        into(out, *args, **params)
        return out

    evaluate.into = into  # type: ignore[attr-defined]
    return evaluate


def _operands(body: Body, length: int) -> list[Aval]:
    return [*body.fixed, *body.carry, *[stacked(a, length) for a in body.rows]]


def divided(body: Body, args: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """(fixed, carry, scanned) operands."""
    a, b = body.n_fixed, body.n_fixed + body.n_carry
    return list(args[:a]), list(args[a:b]), list(args[b:])


def run_loop(
    body: Body,
    length: int,
    fixed: Sequence[Any],
    carry: Sequence[Any],
    rows: Sequence[Any],
    backward: bool = False,
    save: int = 0,
    progress: Any = None,
) -> tuple[list[Any], list[Any], list[Any]]:
    """Record a loop: its final carry, its stacked results, and the carries that were kept."""
    params = {"length": length, "backward": backward, "save": save, "progress": progress}
    operands = (*fixed, *carry, *rows)
    final: list[Any] = [None] * body.n_carry
    results: list[Any] = [None] * len(body.results)
    kept: list[Any] = [None] * (body.n_carry if save else 0)
    floats = [k for k, a in enumerate(body.carry) if a.inexact]
    moving = [k for k, a in enumerate(body.results) if a.inexact]
    if floats or moving:
        p = packing(body, length, save, True)
        leaves = p.unpack(scan(*operands, body=body, **params))
        _deal(leaves, floats, moving, final, results, kept)
    if len(floats) < body.n_carry or len(moving) < len(body.results):
        smaller, carries, outs = body.exact
        p = packing(smaller, length, save, False)
        some = (*fixed, *[carry[k] for k in carries], *rows)
        leaves = p.unpack(scan_exact(*some, body=smaller, **params))
        carries = [k for k in carries if not body.carry[k].inexact]
        _deal(leaves, carries, outs, final, results, kept)
    return final, results, kept


def _deal(
    leaves: list[Any],
    carries: list[int],
    outs: list[int],
    final: list[Any],
    results: list[Any],
    kept: list[Any],
) -> None:
    """Packed leaves to the places they have among all carries and results."""
    rest = iter(leaves)
    for k in carries:
        final[k] = next(rest)
    for k in outs:
        results[k] = next(rest)
    if kept:
        for k in carries:
            kept[k] = next(rest)


class Recording:
    """A body written in ops: an abstract trace whose inputs are asked for one by one."""

    def __init__(self, name: str):
        self.trace = Trace(name, concrete=False)

    def __enter__(self) -> Recording:
        self.trace.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.trace.__exit__(*exc)

    def inputs(self, avals: Sequence[Aval]) -> list[Any]:
        return [Tracer(self.trace, self.trace.add_input(a), a, None) for a in avals]

    def paste(self, tape: Tape, operands: Sequence[Any]) -> list[Any]:
        numbers = self.trace.inline(tape, [number_of(self.trace, x) for x in operands])
        avals = [tape.aval(v) for v in tape.outputs.tolist()]
        return [Tracer(self.trace, int(n), a, None) for n, a in zip(numbers, avals, strict=True)]

    def body(self, outputs: Sequence[Any], n_fixed: int, n_carry: int) -> Body:
        tape = self.trace.finish([number_of(self.trace, x) for x in outputs])
        return intern(simplify(tape)[0], n_fixed, n_carry)


def _vjp(*args: Any, **params: Any) -> tuple:
    from jittape.api.loop_reverse import vjp

    return vjp(*args, **params)


def _jvp(*args: Any, **params: Any) -> Any:
    from jittape.api.loop_forward import jvp

    return jvp(*args, **params)


def _batch(inexact: bool) -> Callable[..., Any]:
    def rule(*args: Any, **params: Any) -> Any:
        from jittape.api.loop_forward import batched_loop

        return batched_loop(inexact, *args, **params)

    return rule


scan = declare(
    Op(
        name="scan",
        kind=Kind.HOST,
        infer=_infer(True),
        evaluate=_evaluate(True),
        params=_PARAMS,
        vjp=_vjp,
        jvp=_jvp,
        batch=_batch(True),
        doc="a body swept many times; the inexact results, packed",
    )
)

scan_exact = declare(
    Op(
        name="scan_exact",
        kind=Kind.HOST,
        infer=_infer(False),
        evaluate=_evaluate(False),
        params=_PARAMS,
        flat=True,
        batch=_batch(False),
        doc="a body swept many times; the integers and bools, packed",
    )
)
