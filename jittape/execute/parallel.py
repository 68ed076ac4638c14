"""Chunks of a group on Numba's threading layer, where jittape has no workers of its own (see
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
from jittape.execute.sweep import combine, run_chunk

_process = os.getpid()


@njit(parallel=True, nogil=True)
def run_group(T, base, G, workers, stride):
    chunks = load8(T + 8 * G + 24)
    for w in prange(workers):
        for chunk in range(w, chunks, workers):
            run_chunk(T, base, G, load8(base + 8) + w * stride, chunk)
    combine(T, base, G)


class Prange:
    def __init__(self, workers: int):
        self.helpers = workers - 1

    def run(self, linked: Any, ws: Any, group: int) -> None:
        if os.getpid() != _process:
            library.function("run_alone")(linked.T, ws.base_address, group)
            return
        workers = min(self.helpers + 1, linked.workers)
        run_group(linked.T, ws.base_address, group, workers, linked.stride)

    def close(self) -> None:
        pass
