"""run(program, inputs): link a Program to this process and sweep it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jittape.execute import address, choose, threads
from jittape.execute.notice import announce_compilation
from jittape.execute.threads import threshold
from jittape.ops.declare import Kind
from jittape.passes import lower, views
from jittape.passes.memory import FIRST_SLOT
from jittape.program import Program


@dataclass(frozen=True)
class GuardFailure:
    """instruction: index in the tape as given to compile_program; observed: what it saw."""

    instruction: int
    observed: Any


class Workspace:
    """Memory of one running call: never shared between threads or with an inner call."""

    __slots__ = ("memory", "base", "base_address", "arena", "words", "control")

    def __init__(self, linked: Linked):
        program = linked.program
        places = program.places
        arena = (places.arena + 127) & ~63
        scratch = linked.stride
        partial = (places.partial + 127) & ~63
        self.memory = np.zeros(arena + scratch * linked.workers + partial + 128, np.uint8)
        start = address.data_address(self.memory)
        shift = -start % 64
        self.arena = self.memory[shift:]
        self.base = np.zeros(FIRST_SLOT + linked.n_slots + 1, np.int64)  # last word: a counter
        self.base[0] = start + shift
        self.base[1] = start + shift + arena
        self.base[2] = start + shift + arena + scratch * linked.workers
        self.base_address = address.data_address(self.base)
        self.words = np.array(
            [linked.T, self.base_address, linked.code_address, threads.THRESHOLD], np.int64
        )
        self.control = address.data_address(self.words)
        for k, c in enumerate(linked.consts):
            self.base[FIRST_SLOT + len(program.inputs) + k] = address.data_address(c)
        for v, offset in linked.fixed:
            value = linked.consts[v - len(program.inputs)]
            self.arena[offset : offset + value.nbytes] = np.frombuffer(value.tobytes(), np.uint8)


def _kernel_addresses(kernels: set, vectors: list) -> dict:
    """Addresses of own kernels by name, and of ufunc loops. vectors: keeps what they point at."""
    announce_compilation()
    from jittape.execute import kernels as own
    from jittape.execute import moves

    names = {"move": moves.moving, "folding": own.folding, "amul": own.amul, "cast": own.cast,
             "indexing": moves.indexing, "product": own.product}  # fmt: skip
    found: dict[tuple, tuple] = {}
    for k in kernels:
        if k[0] == "join":
            from jittape.execute import joins

            found[k] = (joins.address(), 0)
            continue
        if k[0] == "strips":
            from jittape.execute.strips import strips

            found[k] = (strips.address, 0)
            continue
        if isinstance(k[0], str):
            found[k] = (names[k[0]].address, 0)
            continue
        types = k[0].types[k[1]]
        mine = None if choose.exact else choose.own_function(k[0], types)
        if mine is not None:
            from jittape.execute.vector import own_address

            found[k] = (own_address(mine), 0)
            continue
        vector = None if choose.exact else choose.vector_function(k[0], types)
        if vector is None:
            found[k] = address.loop(*k)
        else:
            from jittape.execute.vector import address as vector_loop

            vectors.append(np.array(vector[:1]))
            found[k] = (vector_loop(vector[1]), address.data_address(vectors[-1]))
    return found


class Linked:
    """A Program with the addresses of this process."""

    def __init__(self, program: Program):
        from jittape.execute import sweep

        self.program = program
        self.pool: list[Workspace] = []
        wide = program.places.chunks > 1
        self.workers = threads.limit() if wide else 1
        self.stride = (program.places.scratch + 1024) & ~63
        tape = program.tape
        n_in = len(tape.inputs)
        self.consts = [np.require(c.value, c.aval.dtype, ["C", "A"]) for c in tape.consts]
        self.refresh = [
            (FIRST_SLOT + n_in + k, c.value)
            for k, c in enumerate(tape.consts)
            if c.live and c.value is not self.consts[k]
        ]
        self.n_slots = tape.first + len(tape.outputs)
        self.out_slot = FIRST_SLOT + tape.first
        words = program.words.tolist()
        types = [id(np.ndarray)]
        for a in tape.inputs:
            scalar = a.ndim == 0
            kinds = [id(a.dtype.type), id(a.dtype.type)] if scalar else [0, 0]
            if scalar and a.dtype == np.float64:
                kinds[1] = id(float)
            types += [id(a.dtype), *kinds]
        resident = program.places.resident
        self.fixed = [r for r in resident if r[0] >= n_in and not tape.consts[r[0] - n_in].live]
        moved = [r for r in resident if r[0] < n_in or tape.consts[r[0] - n_in].live]
        types += [self.out_slot, len(tape.outputs), len(moved)]
        for v, offset in moved:
            types += [FIRST_SLOT + v, offset, tape.aval(v).nbytes]
        words[1] = n_in
        words[2] = len(words)
        words += types
        self.words = np.array(words, np.int64)
        self.T = address.data_address(self.words)
        self.vectors: list = []
        found = _kernel_addresses({k for _, k, _ in program.relocations}, self.vectors)
        for word, kernel, data in program.relocations:
            fn, extra = found[kernel]
            self.words[word] = fn
            self.words[word + 1] = extra if data < 0 else self.T + 8 * data
        self.code = np.ascontiguousarray(program.code)
        self.code_address = address.data_address(self.code)
        self.new = [(a.shape, a.dtype) for a in program.outputs]
        self.enter, self.sweep = sweep.enter, sweep.sweep
        self.steps = program.words[0]

    def workspace(self) -> Workspace:
        try:
            return self.pool.pop()
        except IndexError:
            return Workspace(self)


_empty = np.empty


def run(program: Program, inputs: Sequence[Any]) -> Any:
    """Fresh output arrays; or a GuardFailure; or raises what a host op raised."""
    linked = program.linked
    if linked is None:
        linked = program.linked = Linked(program)
    if type(inputs) is not tuple:
        inputs = tuple(inputs)
    outs = tuple([_empty(shape, dtype) for shape, dtype in linked.new])
    pool = linked.pool
    try:
        ws = pool.pop()
    except IndexError:
        ws = Workspace(linked)
    try:
        if linked.refresh:
            for slot, value in linked.refresh:
                _refresh(linked, ws, slot, value)
        if address.layout_known:
            status = linked.enter(ws.control, id(inputs), id(outs))
        else:
            inputs = _normalise(linked, inputs)
            status = _enter(linked, ws, inputs, outs)
        if status:
            failure = _resume(linked, ws, status, inputs, outs)
            if failure is not None:
                return failure
    finally:
        pool.append(ws)
    return list(outs)


def _enter(linked: Linked, ws: Workspace, inputs: tuple, outs: tuple) -> int:
    """What sweep.enter does, for a Python whose objects lie otherwise in memory."""
    n_in = len(inputs)
    for k, x in enumerate(inputs):
        ws.base[FIRST_SLOT + k] = address.data_address(x)
    for k, x in enumerate(outs):
        ws.base[linked.out_slot + k] = address.data_address(x)
    for v, offset in linked.program.places.resident:
        value = inputs[v] if v < n_in else linked.consts[v - n_in]
        ws.arena[offset : offset + value.nbytes] = np.frombuffer(value.tobytes(), np.uint8)
    return linked.sweep(linked.T, ws.base_address, linked.code_address, 0, threshold())


def _refresh(linked: Linked, ws: Workspace, slot: int, value: Any) -> None:
    k = slot - FIRST_SLOT - len(linked.program.inputs)
    linked.consts[k][...] = value


def _normalise(linked: Linked, inputs: tuple) -> tuple:
    fixed = []
    for a, have in zip(linked.program.inputs, inputs, strict=True):
        x = np.require(have, a.dtype, ["C", "A"])
        if x.shape != a.shape:
            raise ValueError(f"expected shape {a.shape}, got {x.shape}")
        if not x.dtype.isnative or x.dtype is not a.dtype:
            x = x.astype(a.dtype)
        fixed.append(np.asarray(x))
    return tuple(fixed)


def _resume(linked: Linked, ws: Workspace, status: int, inputs: tuple, outs: tuple) -> Any:
    """Serve the sweep until it is done."""
    program = linked.program
    if status & 7 == 5:
        inputs = _normalise(linked, inputs)
        status = linked.enter(ws.control, id(inputs), id(outs))
        if status == 5:
            raise RuntimeError("an input could not be brought to the layout the program expects")
    while status:
        what, at = status & 7, status >> 3
        if what == 2:
            row = program.code[at]
            return _guard_failure(program, ws, int(row[3]), int(row[2]))
        i = int(program.words[linked.steps + 4 * at + 3])
        if what == 3:
            raise IndexFailure(int(program.origin[i]))
        if what == 4:
            threads.run_group(linked, ws, int(program.words[linked.steps + 4 * at + 1]))
            at += 1
        elif what == 1:
            failure = _host(linked, ws, i, inputs, outs)
            if failure is not None:
                return failure
            at += 1
        status = linked.sweep(linked.T, ws.base_address, linked.code_address, at, threshold())
    return None


class IndexFailure(IndexError):
    """An index out of range, at `instruction` of the compiled tape."""

    def __init__(self, instruction: int):
        super().__init__(f"index out of range (instruction {instruction})")
        self.instruction = instruction


def _guard_failure(program: Program, ws: Workspace, i: int, at: int) -> GuardFailure:
    sig = program.tape.signature(i)
    a = sig.avals[0]
    observed = np.ndarray(a.shape, a.dtype, ws.arena, at).copy()[()]
    return GuardFailure(int(program.origin[i]), observed)


def _array(linked: Linked, ws: Workspace, value: int, inputs: tuple, outs: tuple) -> np.ndarray:
    """A value of the running sweep as an array over its memory."""
    program = linked.program
    s, places, tape = program.schedule, program.places, program.tape
    r = int(s.root[value])
    v = views.views[s.view[value]]
    dtype = tape.aval(value).dtype
    if v.size == 0:  # has no place
        return np.empty(v.shape, dtype)
    slot = int(places.slot[r])
    offset = int(places.offset[r]) + v.offset
    if slot == 0:
        buffer: Any = ws.arena
    elif slot < FIRST_SLOT + len(tape.inputs):
        buffer = np.asarray(inputs[slot - FIRST_SLOT])
    elif slot < linked.out_slot:
        buffer = linked.consts[slot - FIRST_SLOT - len(tape.inputs)]
    else:
        buffer = outs[slot - linked.out_slot]
    return np.ndarray(v.shape, dtype, buffer, offset, v.strides)


def _host(linked: Linked, ws: Workspace, i: int, inputs: tuple, outs: tuple) -> Any:
    """Evaluate one instruction with NumPy."""
    program = linked.program
    tape = program.tape
    sig = tape.signature(i)
    args = [_array(linked, ws, a, inputs, outs) for a in tape.operands(i)]
    if sig.op.kind is Kind.GUARD:
        return _check(program, sig, args[0], i)
    into = getattr(sig.op.evaluate, "into", None)
    try:
        if into is not None:  # writes the result itself
            into(_array(linked, ws, tape.first + i, inputs, outs), *args, **sig.kwargs)
            return None
        result = sig.op.evaluate(*args, **sig.kwargs)
    except Exception as e:
        e.jittape_instruction = int(program.origin[i])  # type: ignore[attr-defined]
        raise
    if sig.out.size:
        out = _array(linked, ws, tape.first + i, inputs, outs)
        out[...] = result
    return None


def _check(program: Program, sig: Any, x: np.ndarray, i: int) -> GuardFailure | None:
    if sig.op.name == "guard_true":
        same = bool(x) == bool(sig.params[0])
    else:
        same = np.ascontiguousarray(x).tobytes() == sig.params[0]
    return None if same else GuardFailure(int(program.origin[i]), x.copy()[()])


__all__ = ["GuardFailure", "IndexFailure", "ctypes", "lower", "run"]
