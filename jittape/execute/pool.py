"""Chunks of a group or product on several threads: jittape's own workers on Linux.

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

from jittape.execute import library

FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), 0)
YIELD = {"x86_64": 24, "aarch64": 124}.get(platform.machine(), 0)
# About 100 microseconds: to the next group of the sweep, or to the next call of a loop. Waking a
# sleeper takes 20 to 40, which a group of 150 does not gain.
SPINS = 40_000

# Words of the control block: state (open bit 32, number of workers inside), generation (what
# sleepers wait on), sleepers, quit, then the job.
STATE, GENERATION, SLEEPERS, QUIT, JOB_T, JOB_BASE, JOB, JOB_STRIDE, JOB_NEXT = range(0, 72, 8)
OPEN = 1 << 32


class Pool:
    """The workers of this process. Used by one thread at a time (see threads.py)."""

    def __init__(self, workers: int):
        self.memory = ctypes.create_string_buffer(256)
        self.control = (ctypes.addressof(self.memory) + 63) & ~63
        self.call = ctypes.cast(ctypes.CDLL(None).syscall, ctypes.c_void_p).value or 0
        self.process = os.getpid()
        self.helpers = workers - 1
        self.threads = []
        self.share = library.function("share")
        work = library.function("work")
        for k in range(1, workers):
            args = (self.control, k, self.call, FUTEX, SPINS)
            t = threading.Thread(target=work, args=args, daemon=True, name=f"jittape-{k}")
            t.start()
            self.threads.append(t)
        atexit.register(self.close)

    def run(self, linked: Any, ws: Any, job: int) -> None:
        self.share(
            self.control, linked.T, ws.base_address, job, linked.stride, self.call,
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
