"""A loop swept block by block: what its steps can do at once, then the core of each, then the rest.

See passes/fission.py. A block's values stay in the cache between the three.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from jittape.execute import library
from jittape.execute.address import data_address
from jittape.execute.loop import Job, repeat
from jittape.execute.run import linked_of, refresh, resume, run
from jittape.execute.threads import threshold
from jittape.passes.memory import FIRST_SLOT
from jittape.passes.opcodes import SPACING
from jittape.program import Program
from jittape.types import Aval

# Of block_loop: its status where the core is to be done here; what of a block has been begun
_PYTHON = -1
_BEFORE, _AFTER = 1, 3
_UNBROKEN = 256  # blocks between two chances of Python's, an interrupt's for instance


@dataclass(frozen=True)
class Blocks:
    """Programs for blocks of `size` steps.

    before: from `stays` (fixed values and unchanged carries) and the rows of the block to what it
    hands on. after: from these, the streams and the totals so far of `sums` (numbers of carries)
    to the new totals and the results of the block.
    core: of one step; its operands are stays, what is handed on that is the same for all steps
    (`constant`, by number), the moving carries, the rows it reads, and of what is handed on the
    rest that it reads (`varying`).
    Or None: the core is a recurrence of `numbers` (0: there is none), whose coefficients are
    `lines`, in this order, of those of execute/recurrence.py: those that `before` computes after
    `shared` others, and those that `constants` computes from stays, the same for all steps. The
    streams are the numbers of the carry.
    """

    size: int
    before: Program | None
    core: Program | None
    after: Program | None
    constants: Program | None
    same: list[int]
    moving: list[int]
    sums: list[int]
    core_rows: list[int]
    constant: list[int]
    varying: list[int]
    shared: int
    streams: list[Aval]
    numbers: int
    lines: tuple[list[int], list[int]]
    pool: list[_Memory] = field(default_factory=list)  # memory of calls that are over


class _Memory:
    """Of one call: what is handed on, streams, and twice the totals, read and written in turn."""

    def __init__(self, plan: Blocks):
        outputs = plan.before.outputs if plan.before else ()
        totals = plan.after.outputs[: len(plan.sums)] if plan.after else ()
        streams = [] if plan.numbers else plan.streams
        arrays = _apart([*outputs[: plan.shared], *streams, *totals, *totals])
        n = len(arrays) - 2 * len(totals)
        self.handed, self.streams = arrays[: plan.shared], arrays[plan.shared : n]
        self.totals = arrays[n : n + len(totals)], arrays[n + len(totals) :]
        m = plan.numbers
        if m:
            self.lines = _lines(m * (m + 2), plan.size)
            self.streams = self.lines[m * (m + 1) :]
            self.handed += [self.lines[k] for k in plan.lines[0]]

    def fill(self, plan: Blocks, stays: list[np.ndarray]) -> None:
        """The coefficients that are the same for all steps."""
        if plan.constants:
            values = run(plan.constants, stays)
            for k, x in zip(plan.lines[1], values, strict=True):
                self.lines[k][:] = x


def _apart(avals: Sequence[Aval]) -> list[np.ndarray]:
    """Arrays, no two of which start at the same place of a page (see opcodes.SPACING)."""
    starts, at = [], 0
    for a in avals:
        starts.append(at)
        at += -(-a.nbytes // 4096) * 4096 + 320
    memory = _aligned(at)
    return [
        np.ndarray(a.shape, a.dtype, memory, start) for a, start in zip(avals, starts, strict=True)
    ]


def _lines(n: int, steps: int) -> list[np.ndarray]:
    """Of float64, SPACING bytes apart."""
    memory = _aligned(n * SPACING)
    return [np.ndarray((steps,), np.float64, memory, k * SPACING) for k in range(n)]


def _aligned(nbytes: int) -> np.ndarray:
    memory = np.empty(nbytes + 64, np.uint8)
    return memory[-data_address(memory) % 64 :]


def repeat_in_blocks(plan: Blocks, whole: Program, job: Job) -> list[np.ndarray]:
    """Sweep all steps and return the carry after the last. whole: a step of the loop; the steps
    that fill no block are swept by it."""
    try:
        memory = plan.pool.pop()
    except IndexError:
        memory = _Memory(plan)
    call = _Call(plan, memory, whole, job)
    try:
        carry = call.sweep()
    finally:
        call.close()
        plan.pool.append(memory)
    done = job.n // plan.size * plan.size
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


# An operand or a result block by block: the array of the k-th block, and the bits of k that its
# address depends on, linearly.
_Slot = tuple[Callable[[int], np.ndarray], int]


def _still(arrays: Sequence[np.ndarray]) -> list[_Slot]:
    def slot(x: np.ndarray) -> _Slot:
        return lambda k: x, 0

    return [slot(x) for x in arrays]


def _rows(arrays: Sequence[np.ndarray], job: Job, size: int) -> list[_Slot]:
    """The rows of a block's steps."""

    def slot(x: np.ndarray) -> _Slot:
        if job.backward:
            return lambda k: x[job.n - (k + 1) * size : job.n - k * size], -1
        return lambda k: x[k * size : (k + 1) * size], -1

    return [slot(x) for x in arrays]


def _in_turn(both: tuple[list[np.ndarray], list[np.ndarray]], first: int) -> list[_Slot]:
    def slot(xs: tuple[np.ndarray, np.ndarray]) -> _Slot:
        return lambda k: xs[(first + k) & 1], 1

    return [slot(xs) for xs in zip(*both, strict=True)]


class _Stage:
    """A program run for one block after the other. words: what block_loop reads."""

    def __init__(self, program: Program, inputs: list[_Slot], outputs: list[_Slot], blocks: int):
        self.inputs, self.outputs = inputs, outputs
        linked = self.linked = linked_of(program)
        self.ws = linked.workspace()
        refresh(linked)
        slots = [*enumerate(inputs, FIRST_SLOT), *enumerate(outputs, linked.out_slot)]
        places = []
        for slot, (of_block, mask) in slots:
            start = data_address(of_block(0))
            distance = data_address(of_block(1)) - start if mask and blocks > 1 else 0
            places += [slot, start, distance, mask]
        copies = [
            word
            for v, offset in linked.moved
            for word in (FIRST_SLOT + v, offset, program.tape.aval(v).nbytes)
        ]
        self.tables = np.array(places, np.int64), np.array(copies, np.int64)
        self.words = np.array(
            [
                linked.T, self.ws.base_address, linked.code_address,
                len(slots), data_address(self.tables[0]),
                len(linked.moved), data_address(self.tables[1]),
            ],
            np.int64,
        )  # fmt: skip

    def resume(self, k: int, status: int) -> None:
        """Serve a sweep of the k-th block that has stopped."""
        outputs, inputs = ([x(k) for x, _ in slots] for slots in (self.outputs, self.inputs))
        resume(self.linked, self.ws, [status, tuple(outputs)], inputs)

    def close(self) -> None:
        self.linked.pool.append(self.ws)


class _Call:
    """One sweep over all blocks."""

    def __init__(self, plan: Blocks, memory: _Memory, whole: Program, job: Job):
        self.plan, self.memory, self.whole, self.job = plan, memory, whole, job
        self.carry = [np.array(x) for x in job.carry]
        self.stays = stays = [*job.fixed, *[self.carry[k] for k in plan.same]]
        memory.fill(plan, stays)
        for j, x in zip(plan.sums, memory.totals[0], strict=True):
            x[...] = self.carry[j]
        size, blocks = plan.size, job.n // plan.size
        operands = [*_still(stays), *_rows(job.rows, job, size)]
        self.before = self.after = None
        if plan.before:
            self.before = _Stage(plan.before, operands, _still(memory.handed), blocks)
        if plan.after:
            operands += _still([*memory.handed[: plan.shared], *memory.streams])
            operands += _in_turn(memory.totals, 0)
            results = [*_in_turn(memory.totals, 1), *_rows(job.results, job, size)]
            self.after = _Stage(plan.after, operands, results, blocks)
        self.x = np.zeros(0)
        self.numbers: list[tuple[int, slice]] = []  # of x, by carry
        if plan.numbers:
            self.x = np.concatenate([self.carry[j].ravel() for j in plan.moving])
            ends = np.cumsum([self.carry[j].size for j in plan.moving]).tolist()
            self.numbers = [
                (j, slice(end - self.carry[j].size, end))
                for j, end in zip(plan.moving, ends, strict=True)
            ]
        last = 8 * (size - 1) if job.backward else 0
        self.table = np.array(
            [
                data_address(memory.lines[0]) + last if plan.numbers else 0,
                -8 if job.backward else 8,
                data_address(self.x),
            ],
            np.int64,
        )
        self.blocks = blocks
        self.words = np.array(
            [
                0, 0, 0,
                *[data_address(s.words) if s else 0 for s in (self.before, self.after)],
                -1 if plan.core else plan.numbers, data_address(self.table), size,
            ],
            np.int64,
        )  # fmt: skip
        self.by_step = -1  # the last block that was swept step by step
        self.drive = library.function("block_loop")

    def sweep(self) -> list[np.ndarray]:
        """The carry after the last block."""
        at, words = data_address(self.words), self.words
        job = self.job
        at_once = _UNBROKEN if job.progress is None and job.saved is None else 1
        k = 0
        while k < self.blocks:
            words[2] = min(self.blocks, k + at_once)
            status = self.drive(at, threshold())
            k, part = words[:2].tolist()
            if status == _PYTHON and self.plan.core:
                self.core(self.plan.core, k)
            elif status == _PYTHON:
                self.step_by_step(k)
            elif status:
                stage = self.before if part == _BEFORE else self.after
                assert stage is not None
                stage.resume(k, status)
            else:
                self.done(k)
        return self.carry_before(self.blocks)

    def carry_before(self, k: int) -> list[np.ndarray]:
        """What has been swept are the blocks before the k-th."""
        carry = list(self.carry)
        for j, own in self.numbers:
            carry[j] = self.x[own].reshape(carry[j].shape).copy()
        for j, x in zip(self.plan.sums, self.memory.totals[k & 1], strict=True):
            carry[j] = x.copy()
        return carry

    def core(self, core: Program, k: int) -> None:
        """The core of the k-th block."""
        plan, handed = self.plan, self.memory.handed
        part = _steps(self.job, k * plan.size, plan.size, self.carry)
        new = repeat(core, part._replace(
            fixed=[*self.stays, *[handed[j] for j in plan.constant]],
            carry=[self.carry[j] for j in plan.moving],
            rows=[*[part.rows[j] for j in plan.core_rows], *[handed[j] for j in plan.varying]],
            results=self.memory.streams,
            saved=None if part.saved is None else [part.saved[j] for j in plan.moving],
        ))  # fmt: skip
        for j, x in zip(plan.moving, new, strict=True):
            self.carry[j] = x

    def step_by_step(self, k: int) -> None:
        """The k-th block whole, because a number of the recurrence is not finite: a zero of A times
        such a number is no zero, and may stand for what a step leaves out."""
        plan = self.plan
        part = _steps(self.job, k * plan.size, plan.size, self.carry_before(k))
        new = repeat(self.whole, part)
        np.concatenate([new[j].ravel() for j in plan.moving], out=self.x)
        for j, x in zip(plan.sums, self.memory.totals[(k + 1) & 1], strict=True):
            x[...] = new[j]
        self.words[1] = _AFTER
        self.by_step = k

    def done(self, k: int) -> None:
        """So many blocks are done."""
        plan, job = self.plan, self.job
        if job.saved is not None:
            saved = [x[(k - 1) * plan.size : k * plan.size] for x in job.saved]
            for j in plan.same:
                saved[j][...] = self.carry[j]
            for j, own in self.numbers if self.by_step != k - 1 else ():
                lines = np.stack(self.memory.streams[own], 1)
                saved[j][...] = lines[:: -1 if job.backward else 1].reshape(saved[j].shape)
        if job.progress is not None:
            job.progress(k * plan.size, job.n)

    def close(self) -> None:
        for stage in (self.before, self.after):
            if stage:
                stage.close()
