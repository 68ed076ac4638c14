"""What api.run needs of the planner and the executor; imported when a first Program is planned."""

from __future__ import annotations

from jittape.config import config, listeners
from jittape.execute import GuardFailure, IndexFailure, choose, run, threads
from jittape.execute.run import resume
from jittape.program import compile_program

__all__ = ["GuardFailure", "IndexFailure", "compile_program", "resume", "run"]


def _set_threads(n: int) -> None:
    threads.set_num_threads(n or threads.limit())


def _set_exact(exact: bool) -> None:
    choose.exact = exact


listeners.update(threads=_set_threads, bit_exact=_set_exact)
if config.threads:
    _set_threads(config.threads)
if config.bit_exact:
    _set_exact(True)
