"""How many threads, and from which size on."""

from __future__ import annotations

import os
import platform
import threading
from typing import Any

import numpy as np

from jittape.execute import library

# A group that costs more than this many element operations (about 60 microseconds) is shared
# among threads; handing it out costs about 8.
SHARED_FROM = 200_000


def limit() -> int:
    """Threads there can be: NUMBA_NUM_THREADS, or the CPUs this process may use."""
    given = os.environ.get("NUMBA_NUM_THREADS")
    if given:
        return max(1, int(given))
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


_n = limit()
_threshold = np.array([SHARED_FROM if _n > 1 else 0])  # a word that the sweep reads
THRESHOLD: int = _threshold.__array_interface__["data"][0]


def set_num_threads(n: int) -> None:
    """Let elementwise sweeps and reductions use at most n threads. Results do not depend on it."""
    global _n
    if n < 1:
        raise ValueError("the number of threads is at least 1")
    _n = min(n, limit())
    _threshold[0] = SHARED_FROM if _n > 1 else 0


def get_num_threads() -> int:
    return _n


def threshold() -> int:
    return int(_threshold[0])


_lock = threading.Lock()
_pool: Any = None


def _in_child() -> None:
    """After fork the workers are gone: the child starts its own when it needs them."""
    global _pool, _lock
    _pool = None
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def run_shared(linked: Any, ws: Any, job: int) -> None:
    """One job (a group's word, or minus that of a product) on several threads; on this one alone
    while another thread has the workers."""
    global _pool
    if not _lock.acquire(blocking=False):
        library.function("run_alone")(linked.T, ws.base_address, job)
        return
    try:
        if _pool is None or _pool.helpers + 1 != _n:
            old, _pool = _pool, _make(_n)
            if old is not None:
                old.close()
        _pool.run(linked, ws, job)
    finally:
        _lock.release()


def _make(workers: int) -> Any:
    if platform.system() == "Linux" and platform.machine() in ("x86_64", "aarch64"):
        from jittape.execute.pool import Pool

        return Pool(workers)
    from jittape.execute.parallel import Prange

    return Prange(workers)
