"""Locks that a forked child finds open, whoever held them in the parent."""

from __future__ import annotations

import os
import weakref
from _thread import RLock  # (importing threading takes a millisecond)
from typing import Any

_Base: Any = RLock  # final, say its type stubs; C code knows no such thing
_all: weakref.WeakSet[ForkSafeLock] = weakref.WeakSet()


class ForkSafeLock(_Base):
    """A reentrant lock for a few bytecodes' worth of table keeping.

    It is entered and left in C: a KeyboardInterrupt cannot come between the lock being taken and
    the block that leaves it, as it can in an __enter__ written in Python. After a fork only the
    forking thread lives on; a lock that another thread held would never be released in the child,
    so each is opened there.
    """

    def __init__(self) -> None:
        super().__init__()
        _all.add(self)


def _renew() -> None:
    for lock in _all:
        lock._at_fork_reinit()  # what threading's own hook calls


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
