"""Locks that a forked child finds open, whoever held them in the parent."""

from __future__ import annotations

import os
import weakref
from _thread import RLock  # (importing threading takes a millisecond)
from typing import Any

_all: weakref.WeakSet[ForkSafeLock] = weakref.WeakSet()


class ForkSafeLock:
    """A reentrant lock for a few bytecodes' worth of table keeping.

    After a fork only the forking thread lives on; a lock that another thread held would never be
    released in the child, so each gets a fresh one there.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        _all.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exc: Any) -> None:
        self._lock.release()


def _renew() -> None:
    for lock in _all:
        lock._lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
