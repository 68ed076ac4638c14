"""What jittape's own worker threads run; see pool.py. Imports Numba."""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from jittape.execute.primitives import exported, load8, store8
from jittape.execute.sweep import chunks_of, finish, run_job

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
def take_chunks(control, T, base, job, worker):
    chunks = chunks_of(T, job)
    chunk = add(control + 64, 1)
    while chunk < chunks:
        run_job(T, base, job, worker, chunk)
        chunk = add(control + 64, 1)


@exported
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
            return 0
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


@exported
def share(control, T, base, job, stride, call, number, helpers):
    """Run a job (see sweep.py) with the workers' help."""
    store8(control + 32, T)
    store8(control + 40, base)
    store8(control + 48, job)
    store8(control + 56, stride)
    store8(control + 64, 0)
    add(control, 4294967296)
    generation = peek(control + 8)
    add(control + 8, 1 if generation < 0x7FFFFFF0 else -generation + 1)
    if peek(control + 16) > 0:
        system(call, number & 0xFFFF, control + 8, 129, helpers)
    take_chunks(control, T, base, job, load8(base + 8))
    add(control, -4294967296)
    k = 0
    while peek(control) != 0:
        k += 1
        if k > 10000:  # a worker has lost its core: let it have this one
            system(call, number >> 32, 0, 0, 0)
            k = 0
    finish(T, base, job)
    return 0
