"""checkpoint: compute again instead of keeping."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import jittape.api.loop_op
import jittape.api.loop_segment  # noqa: F401  # both declare what is recorded here
from jittape import tree
from jittape.api.loop_body import intern
from jittape.api.loop_run import run_loop
from jittape.api.scan import hoisted
from jittape.ops.declare import Kind
from jittape.ops.shape import reshape
from jittape.passes.paste import Builder
from jittape.passes.simplify import simplify
from jittape.tape import Tape
from jittape.tracing.embed import new_input, result_numbers
from jittape.tracing.patches import recorded
from jittape.tracing.reach import reach_function
from jittape.tracing.recorder import Trace, open_traces
from jittape.tracing.tracer import Tracer
from jittape.tracing.views import snapshot


def checkpoint(fun: Callable) -> Callable:
    """fun, of whose values only the arguments and results are kept for the reverse sweep.

    The reverse sweep computes fun again: about one evaluation more, and the memory of fun's
    intermediate values only while its own part of the sweep runs. Any function of numbers and
    arrays in nested containers, branches on values included; other arguments pass through.
    """

    @functools.wraps(fun)
    def remade(*args: Any, **kwargs: Any) -> Any:
        if not open_traces():
            return fun(*args, **kwargs)
        leaves: list[Any] = []
        structure = tree.flatten((args, kwargs), leaves)
        moving = [i for i, x in enumerate(leaves) if isinstance(x, Tracer)]
        for i in moving:
            leaves[i] = snapshot(leaves[i])
        trace = Trace(getattr(fun, "__qualname__", str(fun)))
        with np.errstate(all="ignore"), trace:
            reach_function(fun)
            inner = list(leaves)
            for i in moving:
                inner[i] = new_input(trace, leaves[i])
            inner_args, inner_kwargs = tree.unflatten(structure, inner)
            results: list[Any] = []
            out_structure = tree.flatten(fun(*inner_args, **inner_kwargs), results)
            mine = [i for i, x in enumerate(results) if isinstance(x, Tracer)]
            tape = trace.finish(result_numbers(trace, [results[i] for i in mine]))
        tape, guards = _without_guards(tape)
        tape, fixed = hoisted(tape, len(moving), trace.captured)
        operands = [*fixed, *[leaves[i] for i in moving]]
        body = intern(simplify(tape)[0], len(operands), 0)
        _, values, _ = run_loop(body, 1, operands, [], [])
        values = [reshape(x, shape=x.shape[1:]) for x in values]
        for (op, params), x in zip(guards, values[len(mine) :], strict=True):
            op(x, **params)  # what the recording depended on is checked after the function
        for i, x in zip(mine, values, strict=False):
            results[i] = x
        return tree.unflatten(out_structure, results)

    fun = recorded(fun)
    return remade


def _without_guards(tape: Tape) -> tuple[Tape, list[tuple[Any, dict[str, Any]]]]:
    """The tape without its guards, whose operands become further outputs; the guards."""
    used, inverse = tape.distinct
    is_guard = np.array([s.op.kind is Kind.GUARD for s in used], dtype=bool)[inverse]
    at = np.flatnonzero(is_guard)
    if not len(at):
        return tape, []
    keep = np.cumsum(~is_guard) - 1
    keep[is_guard] = -1
    guards = [(tape.signature(i).op, tape.signature(i).kwargs) for i in at.tolist()]
    builder = Builder(tape, (), keep, len(tape) - len(at))
    operands = [tape.operands(i)[0] for i in at.tolist()]
    return builder.finish(builder.old[[*tape.outputs.tolist(), *operands]]), guards
