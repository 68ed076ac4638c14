"""Chunks of a group on several threads. Imports Numba and starts its threading layer.

The layer is loaded by the first group that is large enough. One parallel sweep runs at a time:
Numba's workqueue layer aborts on concurrent calls, and there are no cores for a second one. After
fork() the child stays serial, since no layer but tbb survives a fork.
"""

from __future__ import annotations

import os
import threading

from llvmlite import ir
from numba import njit, prange, types
from numba.extending import intrinsic

from jittape.execute.primitives import load8
from jittape.execute.sweep import combine, run_chunk

lock = threading.Lock()
forked = False


def _in_child() -> None:
    global forked, lock
    forked = True
    lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


@intrinsic
def take_one(typingctx, address):
    """Atomically add 1 to the word at `address`; its old value."""

    def codegen(context, builder, signature, args):
        place = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", place, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(types.int64), codegen


@njit(parallel=True, nogil=True, cache=True)
def run_group(T, base, G, workers, stride, counter):
    """Each worker takes the next chunk until none is left; partial results belong to chunks, so
    the sum does not depend on who took which."""
    chunks = load8(T + 8 * G + 24)
    for w in prange(workers):
        chunk = take_one(counter)
        while chunk < chunks:
            run_chunk(T, base, G, load8(base + 8) + w * stride, chunk)
            chunk = take_one(counter)
    combine(T, base, G)


@njit(nogil=True, cache=True)
def run_alone(T, base, G):
    """The same on one thread."""
    for chunk in range(load8(T + 8 * G + 24)):
        run_chunk(T, base, G, load8(base + 8), chunk)
    combine(T, base, G)
