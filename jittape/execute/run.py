"""run(program, inputs): link a Program to this process and sweep it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from jittape.execute import address, choose, library, threads
from jittape.execute.threads import threshold
from jittape.ops.declare import Kind
from jittape.passes import views
from jittape.passes.inner import template_words
from jittape.passes.lower import GROUP, SCALARS
from jittape.passes.memory import FIRST_SLOT
from jittape.program import Program

# kernels that are compiled under another name than the planner's
KERNELS = {"move": "moving"}
# A sweep of at least this cost (about a nanosecond each) lets other threads of Python run.
_LONG = 20_000


@dataclass(frozen=True)
class GuardFailure:
    """instruction: index in the tape as given to compile_program; observed: what it saw."""

    instruction: int
    observed: Any


class Workspace:
    """Memory of one running call: never shared between threads or with an inner call."""

    __slots__ = ("memory", "base", "base_address", "arena", "words")

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
        self.words = np.array([self.base_address], np.int64)
        for k, c in enumerate(linked.consts):
            self.base[FIRST_SLOT + len(program.inputs) + k] = address.data_address(c)
        for v, offset in linked.fixed:
            value = linked.consts[v - len(program.inputs)]
            self.arena[offset : offset + value.nbytes] = np.frombuffer(value.tobytes(), np.uint8)


def _kernel_addresses(kernels: set, vectors: list) -> dict:
    """Addresses of own kernels by name, and of ufunc loops. vectors: keeps what they point at."""
    found: dict[tuple, tuple] = {}
    for k in kernels:
        if k[0] == "program":
            inner = linked_of(k[1])
            found[k] = inner.T, inner.code_address
        elif k[0] == "template":
            template = linked_of(k[1]).template
            found[k] = address.data_address(template), len(template)
        elif isinstance(k[0], str):
            found[k] = (library.address(KERNELS.get(k[0], k[0])), 0)
        else:
            found[k] = _ufunc_loop(k, vectors)
    return found


def _ufunc_loop(k: tuple, vectors: list) -> tuple:
    types = k[0].types[k[1]]
    mine = None if choose.exact else choose.own_function(k[0], types)
    if mine is not None:
        return library.address(mine), 0
    vector = None if choose.exact else choose.vector_function(k[0], types)
    if vector is None:
        return address.loop(*k)
    vectors.append(np.array(vector[:1]))
    return library.address(f"loop{vector[1]}"), address.data_address(vectors[-1])


class Linked:
    """A Program with the addresses of this process."""

    def __init__(self, program: Program):
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
        self.const_slot = FIRST_SLOT + n_in
        self.arrays: dict[int, tuple] = {}
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
        self.moved = [r for r in resident if r[0] < n_in or tape.consts[r[0] - n_in].live]
        types += [self.out_slot, len(tape.outputs), len(self.moved)]
        for v, offset in self.moved:
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
        self.steps = program.words[0]
        self.sweep = library.function("sweep")
        self.enter = self._entry() if address.layout_known else self._enter

    @cached_property
    def template(self) -> np.ndarray:
        """Slots of constants, for a loop inside of another program (passes/inner.py)."""
        words = np.zeros(template_words(self.program), np.int64)
        at = self.const_slot
        words[at : at + len(self.consts)] = [address.data_address(c) for c in self.consts]
        return words

    def _entry(self) -> Any:
        """`entry.enter`, bound to what it needs to know."""
        outputs = self.program.outputs
        self.shapes = [np.array(a.shape, np.int64) for a in outputs]
        self.table = np.array(
            [
                self.T, self.code_address, threads.THRESHOLD, _cost(self.program) >= _LONG,
                *address.interface(),
                *[
                    word
                    for a, shape in zip(outputs, self.shapes, strict=True)
                    for word in (a.ndim, address.data_address(shape), id(a.dtype))
                ],
            ],
            np.int64,
        )  # fmt: skip
        return library.method("enter", self.table)

    def _enter(self, inputs: Sequence[Any], words: np.ndarray) -> Any:
        """What `entry.enter` does, for a Python whose objects lie otherwise in memory."""
        base = (ctypes.c_int64 * (FIRST_SLOT + self.n_slots)).from_address(int(words[0]))
        inputs = _normalise(self, inputs)
        outs = tuple([np.empty(a.shape, a.dtype) for a in self.program.outputs])
        for k, x in enumerate(inputs):
            base[FIRST_SLOT + k] = address.data_address(x)
        for k, x in enumerate(outs):
            base[self.out_slot + k] = address.data_address(x)
        for v, offset in self.program.places.resident:
            value = inputs[v] if v < len(inputs) else self.consts[v - len(inputs)]
            ctypes.memmove(base[0] + offset, value.tobytes(), value.nbytes)
        status = self.sweep(self.T, int(words[0]), self.code_address, 0, threshold())
        return [status, outs] if status else outs

    def workspace(self) -> Workspace:
        try:
            return self.pool.pop()
        except IndexError:
            return Workspace(self)


def linked_of(program: Program) -> Linked:
    """Linked once."""
    if program.linked is None:
        program.linked = Linked(program)
    linked: Linked = program.linked
    return linked


def _cost(program: Program) -> int:
    """Of a sweep, in nanoseconds, roughly; a call by address may take any time."""
    words, at = program.words.tolist(), int(program.words[0])
    cost = 3 * len(program.code)
    for k, kind in enumerate(program.kinds):
        if kind == GROUP:
            cost += words[words[at + 4 * k + 1] + 17] // 4
        elif kind != SCALARS:
            cost += _LONG
    return cost


def run(program: Program, inputs: Sequence[Any]) -> Any:
    """A tuple of fresh output arrays; or a GuardFailure; or raises what a host op raised.
    inputs: a tuple or list."""
    linked = program.linked
    if linked is None:
        linked = linked_of(program)
    ws = linked.workspace()
    try:
        if linked.refresh:
            refresh(linked)
        out = linked.enter(inputs, ws.words)
        if type(out) is list:
            return resume(linked, ws, out, inputs)
        return out
    finally:
        linked.pool.append(ws)


def refresh(linked: Linked) -> None:
    """Read the user's arrays anew whose values had to be converted."""
    first = FIRST_SLOT + len(linked.program.inputs)
    for slot, value in linked.refresh:
        linked.consts[slot - first][...] = value


def _normalise(linked: Linked, inputs: Sequence[Any]) -> tuple:
    fixed = []
    for a, have in zip(linked.program.inputs, inputs, strict=True):
        x = np.require(have, a.dtype, ["C", "A"])
        if x.shape != a.shape:
            raise ValueError(f"expected shape {a.shape}, got {x.shape}")
        if not x.dtype.isnative or x.dtype is not a.dtype:
            x = x.astype(a.dtype)
        fixed.append(np.asarray(x))
    return tuple(fixed)


def resume(linked: Linked, ws: Workspace, stopped: list, inputs: Sequence[Any]) -> Any:
    """Serve a sweep that has stopped until it is done."""
    program = linked.program
    if stopped == [5]:
        inputs = _normalise(linked, inputs)
        out = linked.enter(inputs, ws.words)
        if type(out) is not list:
            return out
        if out == [5]:
            raise RuntimeError("an input could not be brought to the layout the program expects")
        stopped = out
    status, outs = stopped
    while status:
        what, at = status & 7, status >> 3
        if what == 2:
            row = program.code[at]
            return _guard_failure(program, ws, int(row[3]), int(row[2]))
        i = int(program.words[linked.steps + 4 * at + 3])
        if what == 3:
            raise IndexFailure(int(program.origin[i]))
        if what == 4:
            kind, word = program.words[linked.steps + 4 * at : linked.steps + 4 * at + 2].tolist()
            threads.run_shared(linked, ws, word if kind == GROUP else -word)
            at += 1
        elif what == 1:
            failure = _host(linked, ws, i, inputs, outs)
            if failure is not None:
                return failure
            at += 1
        status = linked.sweep(linked.T, ws.base_address, linked.code_address, at, threshold())
    return outs


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


def _array(
    linked: Linked, ws: Workspace, value: int, inputs: Sequence[Any], outs: tuple
) -> np.ndarray:
    """A value of the running sweep as an array over its memory."""
    found = linked.arrays.get(value)
    if found is None:
        found = linked.arrays[value] = _place(linked.program, value)
    slot, shape, dtype, offset, strides = found
    if slot == 0:
        buffer: Any = ws.arena
    elif slot < 0:  # has no place
        return np.empty(shape, dtype)
    elif slot < linked.const_slot:
        buffer = np.asarray(inputs[slot - FIRST_SLOT])
    elif slot < linked.out_slot:
        buffer = linked.consts[slot - linked.const_slot]
    else:
        buffer = outs[slot - linked.out_slot]
    return np.ndarray(shape, dtype, buffer, offset, strides)


def _place(program: Program, value: int) -> tuple:
    """(slot or -1, shape, dtype, offset, strides) of a value."""
    s, places = program.schedule, program.places
    r = int(s.root[value])
    v = views.views[s.view[value]]
    slot = int(places.slot[r]) if v.size else -1
    dtype = program.tape.aval(value).dtype
    return slot, v.shape, dtype, int(places.offset[r]) + v.offset, v.strides


def _host(linked: Linked, ws: Workspace, i: int, inputs: Sequence[Any], outs: tuple) -> Any:
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


__all__ = ["GuardFailure", "IndexFailure", "resume", "run"]
