"""An inner trace around a function: how every transform sees the program it transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from jittape import tree
from jittape.tape import Tape
from jittape.tracing.captured import reached
from jittape.tracing.embed import new_input, result_numbers
from jittape.tracing.patches import recorded
from jittape.tracing.reach import reach_function
from jittape.tracing.recorder import Trace, here
from jittape.tracing.tracer import Tracer, cast
from jittape.tracing.views import snapshot


class Inner:
    """A context in which `fun` is recorded with respect to some of its arguments.

    leaves: the leaves of these arguments, structures: one per argument. `finish` gives the tape;
    `operands` are what its inputs are bound to: the leaves, then captured outer tracers.
    """

    def __init__(self, fun: Callable, args: tuple, kwargs: dict, argnums: Sequence[int]):
        self.name = getattr(fun, "__qualname__", str(fun))
        self.fun = recorded(fun)
        self.args = args
        self.kwargs = kwargs
        self.argnums = argnums
        self.trace = Trace(self.name)
        self.trace.differentiated = True
        self.trace.captures = reached(fun)
        self.leaves: list[Any] = []
        self.trace.samples = self.leaves
        self.structures: list[tree.Structure] = []
        self._stack = ExitStack()

    def __enter__(self) -> Inner:
        try:
            self._stack.enter_context(np.errstate(all="ignore"))
            self._stack.enter_context(self.trace)
            return self
        except BaseException:  # KeyboardInterrupt may come anywhere
            self._stack.close()
            raise

    def __exit__(self, *exc: Any) -> None:
        self._stack.close()

    def run(self) -> Any:
        """Call the function on tracers."""
        full = list(self.args)
        for i in self.argnums:
            leaves: list[Any] = []
            structure = tree.flatten(self.args[i], leaves)
            leaves = [snapshot(differentiable(x, self.name, i)) for x in leaves]
            self.leaves += leaves
            self.structures.append(structure)
            full[i] = tree.unflatten(structure, [new_input(self.trace, x) for x in leaves])
        reach_function(self.fun)
        return self.fun(*full, **self.kwargs)

    def finish(self, outputs: Sequence[Any]) -> Tape:
        """The tape whose outputs are these values (tracers, outer tracers or numbers)."""
        return self.trace.finish(result_numbers(self.trace, outputs))

    @property
    def operands(self) -> list[Any]:
        """What the inputs of the tape are bound to (known once it is finished)."""
        return [*self.leaves, *self.trace.captured]

    def per_argument(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        """These leaves (one per differentiated leaf) in the structures of the arguments."""
        rest = iter(leaves)
        return tuple(
            tree.unflatten(s, [next(rest) for _ in range(tree.size(s))]) for s in self.structures
        )


def differentiable(x: Any, name: str, argnum: int) -> Any:
    """A leaf of a differentiated argument: integers become float64; bool and others raise."""
    dtype = x.dtype if isinstance(x, (Tracer, np.ndarray, np.generic)) else np.asarray(x).dtype
    if dtype.kind in "fc":
        return x
    if dtype.kind in "iu":
        if isinstance(x, Tracer):
            return cast(x, np.dtype(np.float64))
        return np.asarray(x, np.float64)[()]
    raise TypeError(
        f"{here()}: argument {argnum} of {name} has dtype {dtype} and cannot be differentiated; "
        "pass floating-point numbers there, or leave it out of argnums"
    )
