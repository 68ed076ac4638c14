"""A step of a loop in three parts, two of which can be done for many steps at once.

`before` is what does not depend on the carry, `core` what the next carry needs of the rest, and
`after` what remains: results, and what is only added to a carry (an accumulator, such as the
cotangent of a value that all steps read). This is loop distribution (D. Kuck et al., "Dependence
graphs and compiler optimizations", POPL 1981). Only the core is swept step by step; products of
matrices and vectors in the other parts become products of matrices, scalars become arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jittape.ops.declare import Kind, Signature
from jittape.passes.activity import depends_on, needed_for
from jittape.passes.affine import affine, numbers
from jittape.passes.cut import between, cut
from jittape.passes.recompute import COST, SIMPLE
from jittape.tape import Tape

# nanoseconds: a row of the scalar sweep, a call by address, a return to Python
ROW, CALL, HOST = 0.85, 10.0, 5000.0
RECURRENCE, COEFFICIENT = 1.5, 0.25  # a step of an affine core, and for each of its coefficients
GAIN = 0.1  # of a step's cost: what is worth two more sweeps


@dataclass(frozen=True)
class Fission:
    """The parts of a step. Numbers are values of the whole step.

    moving: carries (by number of carry) that are swept; same: those that never change; sums: of
    all others, the values added to them, each with its sign.
    stays: inputs that all steps share (fixed values and unchanged carries).
    before: from `stays` and `rows` to `handed`. core: from `carries` (those that move), `stays` and
    `reads` (rows, and what is handed on) to the new carries and `streams`. after: from `stays`,
    `rows`, `handed` and `streams` to `finished`: `results` and terms of sums.
    coefficients: of the core where it is affine (passes/affine.py), computed from stays and reads;
    then all streams are carries.
    nbytes: what a step leaves in memory. saved: nanoseconds per step.
    """

    tape: Tape
    moving: list[int]
    same: list[int]
    sums: dict[int, list[tuple[int, bool]]]
    stays: list[int]
    rows: list[int]
    carries: list[int]
    reads: list[int]
    handed: list[int]
    streams: list[int]
    results: list[int]
    finished: list[int]
    coefficients: Tape | None
    nbytes: int
    saved: float

    def core(self, given: Sequence[int], more: Sequence[int] = ()) -> Tape:
        """From the values `given`, in this order, to the new carries and `more`."""
        outputs = self.tape.outputs
        return cut(self.tape, given, [*[int(outputs[k]) for k in self.moving], *more])


def split(tape: Tape, n_fixed: int, n_carry: int, saves: bool) -> Fission | None:
    """The parts of a simplified step, or None where nothing is worth being done apart.
    saves: the carry before each step is kept, accumulators too."""
    outputs = tape.outputs.tolist()
    used, _ = tape.distinct
    if any(s.op.kind is Kind.GUARD for s in used):  # it would stop at another step
        return None
    inputs = list(range(n_fixed, n_fixed + n_carry))
    same = [k for k, v in enumerate(inputs) if outputs[k] == v]
    sums = {}
    if not saves:
        uses = np.bincount(tape.args, minlength=tape.n_values)
        uses += np.bincount(tape.outputs, minlength=tape.n_values)
        found = {
            k: _terms(tape, uses, v, outputs[k]) for k, v in enumerate(inputs) if k not in same
        }
        sums = {k: terms for k, terms in found.items() if terms}
    moving = [k for k in range(n_carry) if k not in same and k not in sums]
    carries, new = [inputs[k] for k in moving], [outputs[k] for k in moving]
    on = depends_on(tape, carries)
    core = _with_views(tape, (on & needed_for(tape, new))[tape.first :])
    stays = [*range(n_fixed), *[inputs[k] for k in same]]
    rows = list(range(n_fixed + n_carry, tape.n_inputs))
    # what the core reads that does not depend on the carry
    known = {*stays, *range(tape.n_inputs, tape.first), *(tape.first + np.flatnonzero(core))}
    reads = sorted({v for v in [*new, *_read(tape, core)] if not on[v]} - known)
    early = between(tape, [*stays, *rows], reads)
    results = outputs[n_carry:]
    finished = sorted({*[v for terms in sums.values() for v, _ in terms], *results})
    cost = _Costs(tape)
    core_cost = float(cost.step[core].sum())
    swept_cost = core_cost + ROW + sum(_stream(tape.aval(v).size) for v in reads)
    m = numbers(tape, carries)
    linear = None
    affine_cost = RECURRENCE + COEFFICIENT * m * m
    if m and affine_cost < swept_cost:
        linear = affine(cut(tape, [*carries, *stays, *reads], new), len(moving))
        if linear is not None:
            affine_cost += float(_Costs(linear).batched.sum())
            linear = linear if affine_cost < swept_cost else None
    # what comes after computes again from carries what is cheap, and is given the rest
    dear = np.flatnonzero((core | early if linear is None else early) & cost.dear)
    late = between(tape, [*stays, *rows, *carries, *(tape.first + dear).tolist()], finished)
    wanted = {v for v in [*finished, *_read(tape, late)] if not _at(late, tape, v)}
    streams = sorted(v for v in wanted if v in carries or _at(core, tape, v))
    shared = {v for v in wanted if _at(early, tape, v)}
    lanes = float(cost.batched[early].sum() + cost.batched[late].sum())
    lanes += sum(_stream(tape.aval(v).size) for v in streams)
    if linear is None:
        shared |= {v for v in reads if v >= tape.first}
        lanes += swept_cost
    else:
        lanes += affine_cost
    whole = float(cost.step[between(tape, range(tape.n_inputs), outputs)].sum())
    if lanes > (1 - GAIN) * whole:
        return None
    varies = depends_on(tape, rows)
    handed = sorted(shared)
    nbytes = sum(tape.aval(v).nbytes for v in (*rows, *filter(varies.item, handed), *streams))
    if linear is not None:
        nbytes += 8 * m * (m + 1)
    return Fission(
        tape, moving, same, sums, stays, rows, carries, reads, handed, streams, results, finished,
        linear, nbytes, whole - lanes,
    )  # fmt: skip


def _read(tape: Tape, which: np.ndarray) -> list[int]:
    """The operands of these instructions."""
    return tape.args[np.repeat(which, np.diff(tape.arg_ptr))].tolist()


def _with_views(tape: Tape, core: np.ndarray) -> np.ndarray:
    """These instructions, and views that they read: none is worth being handed on."""
    core = core.copy()
    for i in range(len(tape) - 1, -1, -1):
        if core[i]:
            for v in tape.operands(i):
                if v >= tape.first and tape.signature(v - tape.first).op.kind is Kind.LAYOUT:
                    core[v - tape.first] = True
    return core


def _at(which: np.ndarray, tape: Tape, v: int) -> bool:
    return v >= tape.first and bool(which[v - tape.first])


def _terms(tape: Tape, uses: np.ndarray, carry: int, new: int) -> list[tuple[int, bool]] | None:
    """What `new` adds to the carry, each with whether it is added; None where it does more.
    uses: how often each value is read, or a result."""
    terms = []
    v = new
    a = tape.aval(carry)
    while v != carry:
        if v < tape.first or uses[v] != 1:
            return None
        s, args = tape.signature(v - tape.first), tape.operands(v - tape.first)
        if s.op.name not in ("add", "subtract") or s.out != a:
            return None
        side = _side(tape, args, carry)
        if side is None or (s.op.name == "subtract" and side == 1):
            return None
        terms.append((args[1 - side], s.op.name == "add"))
        v = args[side]
    return terms if uses[carry] == 1 else None


def _side(tape: Tape, args: Sequence[int], carry: int) -> int | None:
    """Which of two operands is computed from the carry, where only one is."""
    on = [bool(needed_for(tape, [v])[carry]) or v == carry for v in args]
    return on.index(True) if sum(on) == 1 else None


def _stream(size: int) -> float:
    return ROW + 0.15 * size


class _Costs:
    """Of each instruction, in nanoseconds: alone and as one of many lanes; and whether its value is
    worth being written down rather than computed again."""

    def __init__(self, tape: Tape):
        used, inverse = tape.distinct
        table = np.array([_cost(s) for s in used]).reshape(-1, 3)[inverse]
        self.step, self.batched = table[:, 0], table[:, 1]
        self.dear = table[:, 2] > 0


def _cost(s: Signature) -> tuple[float, float, bool]:
    kind, size = s.op.kind, s.out.size
    if kind is Kind.LAYOUT:
        return 0.0, 0.0, False
    read = max([size, *[a.size for a in s.avals]])
    if kind is Kind.ELEMENTWISE:
        each = COST.get(s.op.kernel, 1.0)
        dear = each > SIMPLE
        alone = ROW if size == 1 else 3 * ROW
        return alone + (10 * each if dear and size == 1 else each * size), each * size, dear
    if kind is Kind.GUFUNC and s.op.name == "matmul":
        work = size * s.avals[0].shape[-1]
        vector = 1 in (*s.out.shape[-2:], s.avals[0].shape[-1])
        return CALL + (0.25 if vector else 0.05) * work, 0.04 * work + 0.1 * read, True
    if kind is Kind.HOST or kind is Kind.GUFUNC:
        own = s.op.batch is not None or kind is Kind.GUFUNC
        return HOST, HOST / 2 if own else HOST, True
    return CALL + 0.1 * read, 0.3 * read, True
