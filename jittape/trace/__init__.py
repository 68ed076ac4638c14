"""Tracing: from a plain NumPy function to a Tape."""

from jittape.ops import elementwise, index, product, reduce, shape, sort  # noqa: F401
from jittape.trace import dispatch, guards, operators, views  # noqa: I001

dispatch.index_table()
__all__ = ["dispatch", "guards", "operators", "views"]
