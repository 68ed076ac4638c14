"""The programs of a loop in blocks: of the parts that passes/fission.py finds in a step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from jittape.api.loop_body import stacked
from jittape.ops import shape as layout
from jittape.ops.declare import Kind
from jittape.ops.elementwise import add, multiply, negative, subtract
from jittape.ops.product import matmul
from jittape.ops.reduce import broadcast_to
from jittape.ops.reduce import sum as summed
from jittape.passes.activity import depends_on
from jittape.passes.batch import batch
from jittape.passes.cut import between, cut
from jittape.passes.fission import Fission
from jittape.passes.recording import Recording
from jittape.tape import Tape
from jittape.types import Aval, aval


def build(parts: Fission, steps: int) -> Any:
    """execute.blocks.Blocks for blocks of so many steps."""
    from jittape.execute.blocks import Blocks
    from jittape.program import compile_program

    tape, handed, shared = parts.tape, parts.handed, len(parts.handed)
    given = [False] * len(parts.stays) + [True] * len(parts.rows)
    early = cut(tape, [*parts.stays, *parts.rows], handed)
    core, constants, numbers = None, None, 0
    lines: tuple[list[int], list[int]] = [], []
    lanes = [tape.aval(v) for v in parts.streams]
    if parts.coefficients is not None:
        numbers = sum(tape.aval(v).size for v in parts.carries)
        lanes = [aval((), np.dtype(np.float64))] * numbers
        early, constants, lines = _with_coefficients(parts, parts.coefficients)
    before, moves = batch(early, given, steps)
    streams = [stacked(a, steps) for a in lanes]
    rest = _rest(parts, steps, [*given, *moves[:shared]], streams)
    read = [(k, v) for k, v in enumerate(handed) if v in parts.reads]
    constant, varying = ([k for k, v in read if moves[k] is on] for on in (False, True))
    core_rows = [k for k, v in enumerate(parts.rows) if v in parts.reads]
    if parts.moving and not numbers:
        operands = [*parts.stays, *[handed[k] for k in constant], *parts.carries]
        operands += [*[parts.rows[k] for k in core_rows], *[handed[k] for k in varying]]
        core = parts.core(operands, parts.streams)

    def program(t: Tape | None) -> Any:
        return compile_program(t) if t is not None and len(t.outputs) else None

    return Blocks(
        steps, program(before), program(core), program(rest), program(constants),
        parts.same, parts.moving, list(parts.sums), core_rows, constant, varying,
        shared, streams, numbers, lines,
    )  # fmt: skip


def _with_coefficients(parts: Fission, coefficients: Tape) -> tuple[Tape, Tape, tuple]:
    """What comes before a step, with those coefficients of its core that differ from step to step;
    a program from `stays` to the others; and the numbers of both."""
    first = cut(parts.tape, [*parts.stays, *parts.rows], [*parts.handed, *parts.reads])
    n, n_stays = len(parts.handed), len(parts.stays)
    with Recording("before a step") as r:
        inputs = r.inputs(first.inputs)
        found = r.paste(first, inputs)
        both = r.tape([*found[:n], *r.paste(coefficients, [*inputs[:n_stays], *found[n:]])])
    outputs = both.outputs.tolist()
    varies = depends_on(both, range(n_stays, both.n_inputs))[outputs[n:]]
    lines = np.flatnonzero(varies).tolist(), np.flatnonzero(~varies).tolist()
    some, others = ([outputs[n + k] for k in which] for which in lines)
    every = range(both.n_inputs)
    return cut(both, every, [*outputs[:n], *some]), cut(both, every[:n_stays], others), lines


def _rest(parts: Fission, steps: int, on: list[bool], streams: Sequence[Aval]) -> Tape:
    """What comes after a block: the totals so far, and its results. on: which of its operands
    before the streams differ from step to step; the totals before come last."""
    tape = parts.tape
    last = parts.streams if parts.coefficients is None else parts.carries
    given = [*parts.stays, *parts.rows, *parts.handed, *last]
    totals = _Totals(parts, between(tape, given, parts.finished), steps)
    trees = [[(totals.tree(v), plus) for v, plus in terms] for terms in parts.sums.values()]
    values = list(dict.fromkeys([*totals.leaves, *parts.results]))
    together, wide = batch(cut(tape, given, values), [*on, *[True] * len(last)], steps)
    with Recording("the rest of a block") as r:
        operands = r.inputs(together.inputs[: len(on)])
        lanes = r.inputs(streams)
        operands += lanes if parts.coefficients is None else _joined(tape, last, lanes, steps)
        totals.value = dict(zip(values, r.paste(together, operands), strict=True))
        outputs = []
        so_far = r.inputs([tape.aval(int(tape.outputs[k])) for k in parts.sums])
        for x, tree in zip(so_far, trees, strict=True):
            signed = [(totals.build(t), plus) for t, plus in tree]
            outputs.append(add(x, reduce(add, [t if plus else negative(t) for t, plus in signed])))
        varies = dict(zip(values, wide, strict=True))
        for v in parts.results:
            x = totals.value[v]
            outputs.append(x if varies[v] else broadcast_to(x, shape=(steps, *x.shape)))
        return r.tape(outputs)


def _joined(tape: Tape, carries: Sequence[int], lanes: list[Any], steps: int) -> list[Any]:
    """Carries of all steps from those of each of their numbers."""
    rest, out = iter(lanes), []
    for v in carries:
        a = tape.aval(v)
        own = [layout.reshape(next(rest), shape=(steps, 1)) for _ in range(a.size)]
        whole = own[0] if a.size == 1 else layout.concatenate(*own, axis=1)
        out.append(layout.reshape(whole, shape=(steps, *a.shape)))
    return out


class _Totals:
    """Sums over the steps of a block, of values computed `late`, through what is linear.

    A sum of products of matrices is one product: [x1 x2 ...] @ [y1; y2; ...].
    """

    def __init__(self, parts: Fission, late: np.ndarray, steps: int):
        self.tape = parts.tape
        self.varies = depends_on(parts.tape, [*parts.rows, *parts.carries])
        self.late = late
        self.steps = steps
        self.leaves: list[int] = []
        self.value: dict[int, Any] = {}  # of each leaf, with the axis of steps where it varies

    def tree(self, v: int) -> tuple:
        """How to sum v: an op's name or the like, and operands: trees, or values for `build`."""
        tape, i = self.tape, v - self.tape.first
        if self.varies[v] and i >= 0 and self.late[i]:
            s, args = tape.signature(i), tape.operands(i)
            name = s.op.name
            if name in ("add", "subtract") and all(tape.aval(x) == s.out for x in args):
                return (name, *[self.tree(x) for x in args])
            if name == "negative" or (s.op.kind is Kind.LAYOUT and len(args) == 1):
                return "unary", s, self.tree(args[0])
            if name == "sum":
                return name, s.kwargs["axes"], self.leaf(args[0])
            if name == "matmul" and all(a.ndim == 2 for a in s.avals):
                x, y = args
                if not self.varies[x]:
                    return "left", self.leaf(x), self.tree(y)
                if not self.varies[y]:
                    return "right", self.tree(x), self.leaf(y)
                return name, self.leaf(x), self.leaf(y)
        return "leaf", self.leaf(v)

    def leaf(self, v: int) -> int:
        self.leaves.append(v)
        return v

    def build(self, tree: tuple) -> Any:
        """Record the sum."""
        name, *operands = tree
        if name == "leaf":
            (v,) = operands
            x = self.value[v]
            if self.varies[v]:
                return summed(x, axes=(0,))
            return multiply(x, np.asarray(self.steps, x.dtype))
        if name == "unary":
            s, x = operands
            return s.op(self.build(x), **s.kwargs)
        if name == "sum":
            axes, v = operands
            return summed(self.value[v], axes=(0, *[a + 1 for a in axes]))
        if name == "left":
            return matmul(self.value[operands[0]], self.build(operands[1]))
        if name == "right":
            return matmul(self.build(operands[0]), self.value[operands[1]])
        if name == "matmul":
            x, y = (self.value[v] for v in operands)
            _, n, p = x.shape
            x = layout.reshape(layout.transpose(x, perm=(1, 0, 2)), shape=(n, self.steps * p))
            return matmul(x, layout.reshape(y, shape=(self.steps * p, y.shape[2])))
        x, y = map(self.build, operands)
        return add(x, y) if name == "add" else subtract(x, y)
