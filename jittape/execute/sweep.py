"""The compiled sweeps. Everything is read from the Program's words by address. Imports Numba.

`base` is the table of slot addresses of one call: arena, scratch, partials, then inputs,
constants and results.
"""

from __future__ import annotations

from numba import njit

from jittape.execute.parts import run_call, run_part
from jittape.execute.primitives import (
    by_name,
    call_loop,
    exported,
    load1,
    load2,
    load4,
    load8,
    local,
    move,
    store1,
    store2,
    store4,
    store8,
)
from jittape.execute.threaded import threaded
from jittape.passes.opcodes import (
    CODE,
    COPY,
    END,
    EQUAL,
    EXTRA,
    GUARD,
    LOAD,
    MOVE,
    SET,
    STORE,
    ZERO,
)

DONE, AT_HOST, AT_GUARD, AT_INDEX, AT_PARALLEL, AT_INPUT = range(6)


@exported
def rows(T, base, code):
    """Run rows until one that is not done in threaded.py: its address."""
    return threaded(T, base, code)


run_rows = by_name("rows", 3)
run_loop = by_name("run_loop", 3)  # inner.py
run_sweep = by_name("sweep", 5)


@njit(nogil=True)
def scalar_sweep(T, base, code):
    """Run rows to the end of a stretch. Returns 0, or the address of the row of a failed guard.

    Nearly all is done in threaded.py; what is rare is done here."""
    mem = load8(base)
    while True:
        code = run_rows(T, base, code)
        op = load4(code)
        which = op & CODE
        dst = mem + load4(code + 4)
        a = mem + load4(code + 8)
        if which == END:
            return 0
        if which == GUARD:
            return code
        if which == MOVE or which == STORE:
            size = load4(code + 12)
            if size == 4:
                store4(dst, load4(a))
            elif size == 1:
                store1(dst, load1(a))
            elif size == 2:
                store2(dst, load2(a))
            else:
                move(dst, a, size)
        elif which == EQUAL:
            size = load4(code + 4)
            low = load4(code + 16)
            high = load4(code + 20)
            if size == 8:
                same = load4(a) == low and load4(a + 4) == high
            elif size == 4:
                same = load4(a) == low
            elif size == 2:
                same = load2(a) == ((low << 48) >> 48)
            else:
                same = load1(a) == (low & 255)
            if not same:
                return code
            code += 16
        elif which == LOAD:
            src = load8(base + 8 * load4(code + 8)) + load8(code + 16)
            move(dst, src, load4(code + 12))
            code += 16
        elif which == COPY:
            src = load8(base + 8 * load4(code + 12)) + load4(code + 16)
            move(dst, src, load4(code + 8))
            code += 16
        elif which == ZERO:
            size = load4(code + 8)
            at = dst
            while at + 8 <= dst + size:
                store8(at, 0)
                at += 8
            while at < dst + size:
                store1(at, 0)
                at += 1
        elif which == SET:
            size = op >> EXTRA
            if size == 8:
                store4(dst, load4(code + 8))
                store4(dst + 4, load4(code + 12))
            elif size == 4:
                store4(dst, load4(code + 8))
            elif size == 2:
                store2(dst, load4(code + 8))
            else:
                store1(dst, load4(code + 8))
        code += 16


@njit(nogil=True, error_model="numpy")
def run_chunk(T, base, G, worker, chunk):
    """One chunk of a group: build the worker's argument table, then block by block."""
    G = T + 8 * G
    rows = load8(G)
    columns = load8(G + 8)
    block = load8(G + 16)
    per = load8(G + 32)
    n_args = load8(G + 40)
    at = T + 8 * load8(G + 48)
    n_walk = load8(G + 56)
    walk = T + 8 * load8(G + 64)
    n_pro = load8(G + 72)
    pro = T + 8 * load8(G + 80)
    n_body = load8(G + 88)
    body = T + 8 * load8(G + 96)
    row = chunk * per
    stop = min(row + per, rows)
    dims = worker
    args = worker + 128
    scratch = (args + 8 * n_args + 63) & ~63
    partial = load8(base + 16) + chunk * load8(G + 112)
    for k in range(n_args):
        slot = load8(at)
        if slot == 1:
            p = scratch + load8(at + 8)
        elif slot == 2:
            p = partial + load8(at + 8)
        else:
            p = load8(base + 8 * slot) + load8(at + 8) + row * load8(at + 16)
        store8(args + 8 * k, p)
        at += 24
    m = min(block, stop - row)
    store8(dims, m * columns)
    store8(dims + 8, m)
    store8(dims + 16, columns)
    store8(dims + 24, row * columns)
    store8(dims + 32, m)
    store8(dims + 40, m)
    store8(dims + 48, columns)
    store8(dims + 56, row)
    store8(dims + 64, columns)
    store8(dims + 72, 1)
    store8(dims + 80, columns)
    store8(dims + 96, 1)
    store8(dims + 104, 1)
    store8(dims + 112, 1)
    for _ in range(n_pro):
        call_loop(
            load8(pro),
            args + 8 * load8(pro + 16),
            dims + 32 * load8(pro + 24),
            T + 8 * load8(pro + 32),
            load8(pro + 8),
        )
        pro += 40
    at = T + 8 * load8(G + 48)
    while True:
        q = body
        for _ in range(n_body):
            call_loop(
                load8(q),
                args + 8 * load8(q + 16),
                dims + 32 * load8(q + 24),
                T + 8 * load8(q + 32),
                load8(q + 8),
            )
            q += 40
        row += m
        if row >= stop:
            return
        for k in range(n_walk):
            a = load8(walk + 8 * k)
            store8(args + 8 * a, load8(args + 8 * a) + m * load8(at + 24 * a + 16))
        m = min(block, stop - row)
        store8(dims, m * columns)
        store8(dims + 8, m)
        store8(dims + 24, row * columns)
        store8(dims + 32, m)
        store8(dims + 40, m)
        store8(dims + 56, row)


@njit(nogil=True)
def combine(T, base, G):
    """Partial results of the chunks, in order: the same sum for any number of threads."""
    G = T + 8 * G
    chunks = load8(G + 24)
    width = load8(G + 112)
    at = T + 8 * load8(G + 128)
    p = local(3)
    n = local(1)
    for _ in range(load8(G + 120)):
        count = load8(at + 16)
        steps = T + 8 * load8(at + 24)
        part = load8(base + 16) + load8(at + 32)
        dst = load8(base + 8 * load8(at + 40)) + load8(at + 48)
        move(dst, part, count * load8(at + 56))
        store8(n, count)
        for c in range(1, chunks):
            store8(p, dst)
            store8(p + 8, part + c * width)
            store8(p + 16, dst)
            call_loop(load8(at), p, n, steps, load8(at + 8))
        at += 64


@njit(nogil=True)
def chunks_of(T, job):
    """A job for the workers is a group's word, or minus that of a call that can be cut."""
    return load8(T + 8 * job + 24) if job > 0 else load8(T - 8 * job)


@njit(nogil=True)
def run_job(T, base, job, worker, chunk):
    if job > 0:
        run_chunk(T, base, job, worker, chunk)
    else:
        run_part(T, base, -job, chunk)


@njit(nogil=True)
def finish(T, base, job):
    if job > 0:
        combine(T, base, job)


@exported
def run_alone(T, base, job):
    """A job on the calling thread."""
    for chunk in range(chunks_of(T, job)):
        run_job(T, base, job, load8(base + 8), chunk)
    finish(T, base, job)
    return 0


@exported
def sweep(T, base, code, step, threshold):
    """Run from `step` on. Returns (what, step, address): see DONE... `threshold`: groups and
    calls that cost more are left to the workers; 0: none are. what = result & 7."""
    steps = T + 8 * load8(T)
    status = local(1)
    while True:
        row = steps + 32 * step
        kind = load8(row)
        if kind == 0:
            failed = scalar_sweep(T, base, code + 16 * load8(row + 8))
            if failed:
                return (failed - code) // 16 * 8 + 2
        elif kind == 1:
            G = load8(row + 8)
            g = T + 8 * G
            if threshold > 0 and load8(g + 136) > threshold and load8(g + 24) > 1:
                return step * 8 + 4
            worker = load8(base + 8)
            for chunk in range(load8(g + 24)):
                run_chunk(T, base, G, worker, chunk)
            if load8(g + 24) > 1:
                combine(T, base, G)
        elif kind == 2:
            if load8(row + 16):
                store8(status, 0)
                run_call(T, base, load8(row + 8), status)
                if load8(status):  # an index out of range, or a case for NumPy
                    return step * 8 + (3 if load8(row + 16) == 1 else 1)
            else:
                run_call(T, base, load8(row + 8), 0)
        elif kind == 3:
            return step * 8 + 1
        elif kind == 4:
            part = T + 8 * load8(row + 8)
            if threshold > 0 and load8(part + 8) > threshold:
                return step * 8 + 4
            run_call(T, base, load8(part + 16), 0)
        elif kind == 6:
            if run_loop(T, base, load8(row + 8)):  # Python sweeps it again, and raises the error
                return step * 8 + 1
        else:
            return 0
        step += 1


@exported
def steps(control, low, high):
    """Steps low..high of a loop. Returns 0 or the status of the sweep that stopped.

    control: T, base, code, numbers of fixed inputs and of carries, `every` (0: no carry is kept),
    then addresses of arrays. starts, strides: of each input and then each output of the program
    at step i (those of the carry are in `pair`, 2 x carries, which changes places at every step);
    sizes: bytes of each carry; kept: where the carry before each `every`-th step goes."""
    T = load8(control)
    base = load8(control + 8)
    code = load8(control + 16)
    n_fixed = load8(control + 24)
    n_carry = load8(control + 32)
    every = load8(control + 40)
    starts = load8(control + 48)
    strides = load8(control + 56)
    pair = load8(control + 64)
    sizes = load8(control + 72)
    kept = load8(control + 80)
    n_in = load8(T + 8)
    types = T + 8 * load8(T + 16) + 8 + 24 * n_in
    first = load8(types)
    n_out = load8(types + 8)
    resident = load8(types + 16)
    arena = load8(base)
    for k in range(n_fixed):
        store8(base + 24 + 8 * k, load8(starts + 8 * k))
    for i in range(low, high):
        now = pair + 8 * n_carry * (i & 1)
        then = pair + 8 * n_carry * (1 - (i & 1))
        for c in range(n_carry):
            store8(base + 24 + 8 * (n_fixed + c), load8(now + 8 * c))
            store8(base + 8 * (first + c), load8(then + 8 * c))
            if every > 0 and i % every == 0:
                size = load8(sizes + 8 * c)
                move(load8(kept + 8 * c) + i // every * size, load8(now + 8 * c), size)
        for k in range(n_fixed + n_carry, n_in):
            store8(base + 24 + 8 * k, load8(starts + 8 * k) + i * load8(strides + 8 * k))
        for k in range(n_carry, n_out):
            at = 8 * (n_in + k)
            store8(base + 8 * (first + k), load8(starts + at) + i * load8(strides + at))
        row = types + 24
        for _ in range(resident):
            move(arena + load8(row + 8), load8(base + 8 * load8(row)), load8(row + 16))
            row += 24
        status = run_sweep(T, base, code, 0, 0)
        if status:
            return status
    return 0
