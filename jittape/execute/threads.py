"""How many threads, and from which size on. Does not import Numba until a group is large."""

from __future__ import annotations

import os
from typing import Any

# A group that costs more than this many element operations (about 60 microseconds) is shared
# among threads; handing it out costs about 8.
SHARED_FROM = 200_000

_wanted: int | None = None


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
_threshold = SHARED_FROM if _n > 1 else 0


def set_num_threads(n: int) -> None:
    """Let elementwise sweeps and reductions use at most n threads. Results do not depend on it."""
    global _n, _threshold
    if n < 1:
        raise ValueError("the number of threads is at least 1")
    _n = min(n, limit())
    _threshold = SHARED_FROM if _n > 1 else 0


def get_num_threads() -> int:
    return _n


def threshold() -> int:
    return _threshold


def run_group(linked: Any, ws: Any, group: int) -> None:
    """One group, on several threads where that is possible."""
    from jittape.execute import parallel

    workers = min(_n, linked.workers)
    counter = ws.base_address + 8 * (len(ws.base) - 1)
    ws.base[-1] = 0
    if parallel.forked or not parallel.lock.acquire(blocking=False):
        parallel.run_alone(linked.T, ws.base_address, group)
        return
    try:
        parallel.run_group(linked.T, ws.base_address, group, workers, linked.stride, counter)
    finally:
        parallel.lock.release()
