"""Tracing: from a plain NumPy function to a Tape."""

from importlib import import_module
from pkgutil import iter_modules

from jittape import ops

# every op is declared before the tables of dispatch are derived
for _module in iter_modules(ops.__path__):
    if _module.name not in ops.NEED_SCIPY:
        import_module(f"jittape.ops.{_module.name}")

from jittape.tracing import dispatch, guards, operators, views  # noqa: E402, I001

dispatch.index_table()
__all__ = ["dispatch", "guards", "operators", "views"]
