"""The ops `scan` and `scan_exact`: a body swept many times, as one instruction of the tape.

Operands: the fixed values, the first carry, the scanned arrays. Params: body, length, backward
(from the last row to the first), save (how often the carry is kept for the reverse sweep; 0:
never) and progress. The result is packed, see `loop_body`.

The rules are in `loop_reverse` and `loop_forward`: they record loops themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from jittape.api.loop_blocks import sweep
from jittape.api.loop_body import Body, packing
from jittape.api.loop_forward import batched_loop, jvp
from jittape.api.loop_inner import inner, places
from jittape.api.loop_reverse import vjp, without_kept
from jittape.api.loop_run import divided
from jittape.ops.declare import Kind, Op, Signature, declare, signature
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
        from jittape.execute.loop import Job

        p = places(body, length, save, inexact)
        arrays = [
            x if type(x) is np.ndarray and x.dtype == a.dtype and x.flags.carray
            else np.require(x, a.dtype, ["C", "A"])
            for x, a in zip(args, p.operands, strict=True)
        ]  # fmt: skip
        fixed, carry, rows = divided(body, arrays)
        stacks = [
            np.empty(a.shape, a.dtype)
            if start < 0 or a.dtype != out.dtype
            else out[start : start + a.size].reshape(a.shape)
            for a, start in p.stacks
        ]
        results, kept = stacks[: len(body.results)], stacks[len(body.results) :]
        job = Job(
            length, fixed, carry, rows, results, kept if save else None,
            save or 1, backward, progress,
        )  # fmt: skip
        final = sweep(body, job)
        for k, start in p.carries:
            out[start : start + final[k].size] = final[k].ravel()
        for x, (a, start) in zip(stacks, p.stacks, strict=True):
            if start >= 0 and a.dtype != out.dtype:
                out[start : start + a.size] = x.ravel()

    def evaluate(*args: Any, **params: Any) -> Any:
        p = packing(params["body"], params["length"], params["save"], inexact)
        out = np.empty(p.size, p.dtype)
        into(out, *args, **params)
        return out

    evaluate.into = into  # type: ignore[attr-defined]
    evaluate.without = _without  # type: ignore[attr-defined]
    evaluate.inner = partial(inner, inexact=inexact)  # type: ignore[attr-defined]
    return evaluate


def _without(s: Signature, zeros: Sequence[bool]) -> tuple[Signature, list[int]] | None:
    """The loop without cotangents of kept carries that are zeros, and its operands' numbers."""
    found = without_kept(s.kwargs["body"], zeros)
    if found is None:
        return None
    body, n = found
    kept = list(range(len(s.avals) - n))
    params = tuple(body if k == "body" else x for k, x in zip(_PARAMS, s.params, strict=True))
    return signature(s.op, params, s.avals[: len(kept)]), kept


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
