"""Chunks of a group on several threads: jittape's own workers on Linux. Imports Numba.

prange would do (see parallel.py, used elsewhere), but its join waits for every thread of the
layer: on two cores with other work on them that was measured at 8 ms per group against 0.1 ms of
work, and the workqueue layer aborts on concurrent calls and hangs after fork. Here the calling
thread starts on the chunks at once and waits only for chunks that a worker has taken; a worker
that is not scheduled in time costs nothing. Workers sleep on a futex, after spinning briefly.

Partial results belong to chunks, so results do not depend on who computed what.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import platform
import threading
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from jittape.execute.primitives import load8, store8
from jittape.execute.sweep import combine, run_chunk

FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), 0)
YIELD = {"x86_64": 24, "aarch64": 124}.get(platform.machine(), 0)
SPINS = 4000  # about 10 microseconds

# Words of the control block: state (open bit 32, number of workers inside), generation (what
# sleepers wait on), sleepers, quit, then the job.
STATE, GENERATION, SLEEPERS, QUIT, JOB_T, JOB_BASE, JOB_G, JOB_STRIDE, JOB_NEXT = range(0, 72, 8)
OPEN = 1 << 32

_I64 = ir.IntType(64)


def _place(builder, address):
    return builder.inttoptr(address, _I64.as_pointer())


@intrinsic
def add(typingctx, address, n):
    """Atomic add; the old value."""

    def codegen(context, builder, signature, args):
        return builder.atomic_rmw("add", _place(builder, args[0]), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def peek(typingctx, address):
    def codegen(context, builder, signature, args):
        return builder.load_atomic(_place(builder, args[0]), "seq_cst", 8)

    return types.int64(types.int64), codegen


@intrinsic
def swap(typingctx, address, old, new):
    """Atomic compare and swap; whether it was done."""

    def codegen(context, builder, signature, args):
        pair = builder.cmpxchg(_place(builder, args[0]), args[1], args[2], "seq_cst", "seq_cst")
        return builder.zext(builder.extract_value(pair, 1), _I64)

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def system(typingctx, call, number, address, op, value):
    """The C library's syscall(number, address, op, value, NULL, NULL, 0)."""

    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(_I64, [_I64] * 7)
        fn = builder.inttoptr(args[0], kind.as_pointer())
        zero = ir.Constant(_I64, 0)
        builder.call(fn, [*args[1:], zero, zero, zero])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


@njit(nogil=True)
def take_chunks(control, T, base, G, worker):
    chunks = load8(T + 8 * G + 24)
    chunk = add(control + 64, 1)
    while chunk < chunks:
        run_chunk(T, base, G, worker, chunk)
        chunk = add(control + 64, 1)


@njit(nogil=True, cache=True)
def work(control, index, call, number, spins):
    """A worker's life."""
    seen = 0
    while True:
        k = 0
        while peek(control + 8) == seen and k < spins:
            k += 1
        if peek(control + 8) == seen:
            add(control + 16, 1)
            system(call, number, control + 8, 128, seen & 0x7FFFFFFF)
            add(control + 16, -1)
        if peek(control + 24) != 0:
            return
        now = peek(control + 8)
        if now == seen:
            continue
        seen = now
        state = peek(control)
        while state >= 4294967296:
            if swap(control, state, state + 1):
                base = load8(control + 40)
                worker = load8(base + 8) + index * load8(control + 56)
                take_chunks(control, load8(control + 32), base, load8(control + 48), worker)
                add(control, -1)
                break
            state = peek(control)


@njit(nogil=True, cache=True)
def share(control, T, base, G, stride, call, number, helpers):
    """Run group G with the workers' help."""
    store8(control + 32, T)
    store8(control + 40, base)
    store8(control + 48, G)
    store8(control + 56, stride)
    store8(control + 64, 0)
    add(control, 4294967296)
    generation = peek(control + 8)
    add(control + 8, 1 if generation < 0x7FFFFFF0 else -generation + 1)
    if peek(control + 16) > 0:
        system(call, number & 0xFFFF, control + 8, 129, helpers)
    take_chunks(control, T, base, G, load8(base + 8))
    add(control, -4294967296)
    k = 0
    while peek(control) != 0:
        k += 1
        if k > 10000:  # a worker has lost its core: let it have this one
            system(call, number >> 32, 0, 0, 0)
            k = 0
    combine(T, base, G)


class Pool:
    """The workers of this process. Used by one thread at a time (see threads.py)."""

    def __init__(self, workers: int):
        self.memory = ctypes.create_string_buffer(256)
        self.control = (ctypes.addressof(self.memory) + 63) & ~63
        self.call = ctypes.cast(ctypes.CDLL(None).syscall, ctypes.c_void_p).value or 0
        self.process = os.getpid()
        self.helpers = workers - 1
        self.threads = []
        for k in range(1, workers):
            args = (self.control, k, self.call, FUTEX, SPINS)
            t = threading.Thread(target=work, args=args, daemon=True, name=f"jittape-{k}")
            t.start()
            self.threads.append(t)
        atexit.register(self.close)

    def run(self, linked: Any, ws: Any, group: int) -> None:
        share(
            self.control, linked.T, ws.base_address, group, linked.stride, self.call,
            FUTEX | YIELD << 32, self.helpers,
        )  # fmt: skip

    def close(self) -> None:
        """Before the interpreter goes: compiled code must not run on while it is freed."""
        if os.getpid() != self.process:
            return
        word = ctypes.c_int64.from_address(self.control + QUIT)
        word.value = 1
        generation = ctypes.c_int64.from_address(self.control + GENERATION)
        generation.value += 1
        wake = ctypes.CDLL(None).syscall
        wake(FUTEX, ctypes.c_void_p(self.control + GENERATION), 129, 64, None, None, 0)
        for t in self.threads:
            t.join(timeout=1.0)
