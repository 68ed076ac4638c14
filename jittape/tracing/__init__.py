"""Tracing: from a plain NumPy function to a Tape."""

from importlib import import_module

from jittape import ops

# these ops are declared before the tables of dispatch are derived
for _module in ops.AT_ONCE:
    import_module(f"jittape.ops.{_module}")

from jittape.tracing import dispatch, guards, operators, views  # noqa: E402, I001

dispatch.index_table()
__all__ = ["dispatch", "guards", "operators", "views"]
