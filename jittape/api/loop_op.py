"""The ops `scan` and `scan_exact`: a body swept many times, as one instruction of the tape.

Operands: the fixed values, the first carry, the scanned arrays. Params: body, length, backward
(from the last row to the first), save (how often the carry is kept for the reverse sweep; 0:
never) and progress. The result is packed, see `loop_body`.

The rules are in `loop_reverse` and `loop_forward`: they record loops themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.api.loop_body import Body, packing, stacked
from jittape.api.loop_forward import batched_loop, jvp
from jittape.api.loop_reverse import vjp
from jittape.api.loop_run import divided
from jittape.ops.declare import Kind, Op, declare
from jittape.types import Aval, aval

_PARAMS = ("body", "length", "backward", "save", "progress")


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


def _batch(inexact: bool) -> Callable[..., Any]:
    def rule(*args: Any, **params: Any) -> Any:
        return batched_loop(inexact, *args, **params)

    return rule


scan = declare(
    Op(
        name="scan",
        kind=Kind.HOST,
        infer=_infer(True),
        evaluate=_evaluate(True),
        params=_PARAMS,
        vjp=vjp,
        jvp=jvp,
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
