"""Chunks of a job on Numba's threading layer, where jittape has no workers of its own (see
pool.py). Imports Numba. One parallel sweep runs at a time (threads.py), since the workqueue layer
aborts on concurrent calls; after fork() in the same process tree it stays serial, since no layer
but tbb survives a fork. Compiled in each process that gets here: Numba's disk cache would not see
edits of what is inlined.
"""

from __future__ import annotations

import os
from typing import Any

from numba import njit, prange

from jittape.execute import library
from jittape.execute.primitives import load8
from jittape.execute.sweep import chunks_of, finish, run_job

_process = os.getpid()


@njit(parallel=True, nogil=True)
def run_shared(T, base, job, workers, stride):
    chunks = chunks_of(T, job)
    for w in prange(workers):
        for chunk in range(w, chunks, workers):
            run_job(T, base, job, load8(base + 8) + w * stride, chunk)
    finish(T, base, job)


class Prange:
    def __init__(self, workers: int):
        self.helpers = workers - 1

    def run(self, linked: Any, ws: Any, job: int) -> None:
        if os.getpid() != _process:
            library.function("run_alone")(linked.T, ws.base_address, job)
            return
        workers = min(self.helpers + 1, linked.workers) if job > 0 else self.helpers + 1
        run_shared(linked.T, ws.base_address, job, workers, linked.stride)

    def close(self) -> None:
        pass
