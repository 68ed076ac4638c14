"""Execution of Programs. Numba is imported only where code has to be compiled (see library)."""

from jittape.execute.run import GuardFailure, IndexFailure, run

__all__ = ["GuardFailure", "IndexFailure", "run"]
