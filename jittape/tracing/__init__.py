"""Tracing: from a plain NumPy function to a Tape.

tracer      what the function sees in place of its arrays; operators: Python's; guards: its values
recorder    the open traces; rows: their instructions; direct: signatures found quickly
dispatch    which NumPy function is recorded by what (jittape.functions registers itself there)
views       arrays that change, and views of them; strided, buffers, boundary: NumPy's own arrays
captured    the user's arrays, as long as a trace is open; captured_methods: what they do then
inner       the trace around a function that a transform opens; embed: pasted where it belongs
patches, lists, numba_functions, reach     what NumPy's protocols do not bring to us
lost        where a bare number is asked for; files: whose code it is that asks
"""

from importlib import import_module

from jittape import ops

# these ops are declared before the tables of dispatch are derived
for _module in ops.AT_ONCE:
    import_module(f"jittape.ops.{_module}")

from jittape.tracing import captured_methods, dispatch, guards, operators, views  # noqa: E402

dispatch.index_table()
__all__ = ["captured_methods", "dispatch", "guards", "operators", "views"]
