"""Tracing: from a plain NumPy function to a Tape."""

from jittape.trace import dispatch, guards, operators
from jittape.ops import elementwise, product, reduce, shape  # noqa: F401

dispatch.index_table()
__all__ = ["dispatch", "guards", "operators"]
