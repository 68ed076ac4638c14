"""A loop swept block by block: what its steps can do at once, then the core of each, then the rest.

See passes/fission.py. A block's values stay in the cache between the three.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jittape.execute import library
from jittape.execute.address import data_address
from jittape.execute.loop import Job, repeat, stride
from jittape.execute.run import linked_of, refresh, resume
from jittape.execute.threads import threshold
from jittape.passes.memory import FIRST_SLOT
from jittape.program import Program
from jittape.types import Aval


@dataclass(frozen=True)
class Blocks:
    """Programs for blocks of `size` steps.

    before: from `stays` (fixed values and unchanged carries) and the rows of the block to what it
    hands on. after: from these and the streams to the totals of `sums` (numbers of carries) and
    the results of the block.
    core: of one step; its operands are stays, what is handed on that is the same for all steps
    (`constant`, by number), the moving carries, the rows it reads, and of what is handed on the
    rest that it reads (`varying`). Or None: `before` hands on the coefficients of an affine core
    after `shared` others, and the streams are the numbers of the carry.
    """

    size: int
    before: Program | None
    core: Program | None
    after: Program | None
    same: list[int]
    moving: list[int]
    sums: list[int]
    core_rows: list[int]
    constant: list[int]
    varying: list[int]
    shared: int
    streams: list[Aval]
    pool: list[list[np.ndarray]] = field(default_factory=list)  # memory of calls that are over


def repeat_in_blocks(plan: Blocks, whole: Program, job: Job) -> list[np.ndarray]:
    """Sweep all steps and return the carry after the last. whole: a step of the loop; the steps
    that fill no block are swept by it."""
    b, carry = plan.size, [np.array(x) for x in job.carry]
    stays = [*job.fixed, *[carry[k] for k in plan.same]]
    outputs = plan.before.outputs if plan.before else ()
    totals = plan.after.outputs[: len(plan.sums)] if plan.after else ()
    try:
        buffers = plan.pool.pop()
    except IndexError:
        buffers = _apart([*outputs, *plan.streams, *totals])
    handed, rest = buffers[: len(outputs)], buffers[len(outputs) :]
    streams, added = rest[: len(plan.streams)], rest[len(plan.streams) :]
    shared = handed[: plan.shared]
    before = after = None
    try:
        if plan.before:
            before = _Stage(plan.before, job, b, stays, [], handed, False)
        if plan.after:
            after = _Stage(plan.after, job, b, stays, [*shared, *streams], added, True)
        recurrence = None if plan.core else _Recurrence(plan, handed[plan.shared :], streams, job)
        for k in range(job.n // b):
            part = _steps(job, k * b, b, carry)
            if before:
                before.run(k, part)
            new = recurrence.run(part) if recurrence else _core(plan, part, stays, handed, streams)
            if new is None:
                carry = repeat(whole, part)
            else:
                for j, x in zip(plan.moving, new, strict=True):
                    carry[j] = x
                if after:
                    after.run(k, part)
                    for j, x in zip(plan.sums, added, strict=True):
                        carry[j] += x
                if part.saved is not None:
                    for j in plan.same:
                        part.saved[j][...] = carry[j]
            if job.progress is not None:
                job.progress((k + 1) * b, job.n)
    finally:
        for stage in (before, after):
            if stage:
                stage.close()
        plan.pool.append(buffers)
    done = job.n // b * b
    if done == job.n:
        return carry
    carry = repeat(whole, _steps(job, done, job.n - done, carry))
    if job.progress is not None:
        job.progress(job.n, job.n)
    return carry


def _steps(job: Job, first: int, n: int, carry: list[np.ndarray]) -> Job:
    """Steps first..first + n of a job."""
    low = job.n - first - n if job.backward else first
    return job._replace(
        n=n,
        carry=carry,
        rows=[x[low : low + n] for x in job.rows],
        results=[x[low : low + n] for x in job.results],
        saved=None if job.saved is None else [x[first : first + n] for x in job.saved],
        progress=None,
    )


def _apart(avals: Sequence[Aval]) -> list[np.ndarray]:
    """Arrays, no two of which start at the same place of a page: a step reads all of them, and
    places that are alike share a few lines of the cache."""
    starts, at = [], 0
    for a in avals:
        starts.append(at)
        at += -(-a.nbytes // 4096) * 4096 + 320
    memory = np.empty(at + 64, np.uint8)
    shift = -data_address(memory) % 64
    return [
        np.ndarray(a.shape, a.dtype, memory, start + shift)
        for a, start in zip(avals, starts, strict=True)
    ]


class _Stage:
    """A program run for one block after the other. Its operands are those that stay, the rows of
    the block, and `more`; its results go to `out` and then, if wanted, to the job's results."""

    def __init__(
        self,
        program: Program,
        job: Job,
        size: int,
        stays: list[np.ndarray],
        more: list[np.ndarray],
        out: list[np.ndarray],
        results: bool,
    ):
        self.stays, self.more, self.out, self.results = stays, more, out, results
        linked = linked_of(program)
        self.linked = linked
        self.ws = linked.workspace()
        first = _steps(job, 0, size, [])
        base = self.ws.base
        n_in, n_out = len(program.inputs), len(program.outputs)
        inputs, outputs = self._arrays(first)
        self.operands = base[FIRST_SLOT : FIRST_SLOT + n_in]
        self.operands[:] = [data_address(x) for x in inputs]
        self.targets = base[linked.out_slot : linked.out_slot + n_out]
        self.targets[:] = [data_address(x) for x in outputs]
        moves = [size * stride(x, job.backward) for x in job.rows]
        self.step_in = np.array([0] * len(stays) + moves + [0] * len(more), np.int64)
        moves = [size * stride(x, job.backward) for x in job.results] if results else []
        self.step_out = np.array([0] * len(out) + moves, np.int64)
        refresh(linked)
        self.copied = [
            (FIRST_SLOT + v, offset, program.tape.aval(v).nbytes) for v, offset in linked.moved
        ]

    def _arrays(self, part: Job) -> tuple[list[np.ndarray], list[np.ndarray]]:
        results = part.results if self.results else []
        return [*self.stays, *part.rows, *self.more], [*self.out, *results]

    def run(self, k: int, part: Job) -> None:
        """The k-th block, whose steps are `part`."""
        linked, ws = self.linked, self.ws
        base = ws.base
        if k:
            self.operands += self.step_in
            self.targets += self.step_out
        for slot, offset, n in self.copied:
            ctypes.memmove(int(base[0]) + offset, int(base[slot]), n)
        at = ws.base_address
        status = linked.sweep(linked.T, at, linked.code_address, 0, threshold())
        if status:
            inputs, outputs = self._arrays(part)
            resume(linked, ws, [status, tuple(outputs)], inputs)

    def close(self) -> None:
        self.linked.pool.append(self.ws)


def _core(
    plan: Blocks, part: Job, stays: list[Any], handed: Any, streams: list[np.ndarray]
) -> list[np.ndarray]:
    assert plan.core is not None
    return repeat(plan.core, part._replace(
        fixed=[*stays, *[handed[j] for j in plan.constant]],
        carry=[part.carry[j] for j in plan.moving],
        rows=[*[part.rows[j] for j in plan.core_rows], *[handed[j] for j in plan.varying]],
        results=streams,
        saved=None if part.saved is None else [part.saved[j] for j in plan.moving],
    ))  # fmt: skip


class _Recurrence:
    """The cores of a block where they are affine."""

    def __init__(
        self, plan: Blocks, coefficients: list[np.ndarray], streams: list[np.ndarray], job: Job
    ):
        self.moving, self.streams = plan.moving, streams
        self.x = np.empty(len(streams))
        last = 8 * (plan.size - 1) if job.backward else 0
        table = [data_address(y) + last for y in (*coefficients, *streams)]
        start = data_address(self.x)
        table += range(start, start + 8 * len(streams), 8)
        self.words = np.array(table, np.int64)
        self.stride = -8 if job.backward else 8
        self.steps = library.function("recurrence")

    def run(self, part: Job) -> list[np.ndarray] | None:
        """The moving carries after a block, or None where a number is not finite: a zero of A times
        such a number is no zero, and may stand for what a step leaves out."""
        x, at, new = self.x, 0, []
        carry = [part.carry[j] for j in self.moving]
        np.concatenate([c.ravel() for c in carry], out=x)
        self.steps(len(x), data_address(self.words), part.n, self.stride)
        if not np.isfinite(x).all():
            return None
        for j, c in zip(self.moving, carry, strict=True):
            if part.saved is not None:
                own = [y[::-1] if part.backward else y for y in self.streams[at : at + c.size]]
                part.saved[j][...] = np.stack(own, 1).reshape(part.n, *c.shape)
            new.append(x[at : at + c.size].reshape(c.shape).copy())
            at += c.size
        return new
