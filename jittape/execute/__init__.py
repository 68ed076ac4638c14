"""Execution of Programs. Numba is imported at the first run, not here."""

from jittape.execute.run import GuardFailure, IndexFailure, run

__all__ = ["GuardFailure", "IndexFailure", "run"]
