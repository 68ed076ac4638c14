"""Programs written in ops, by other passes and by the rules of loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jittape.ops.shape import reshape, strided_slice
from jittape.passes.simplify import simplify
from jittape.tape import Tape
from jittape.tracing.recorder import Trace
from jittape.tracing.tracer import Tracer, number_of
from jittape.types import Aval, aval_of


class Recording:
    """An abstract trace whose inputs are asked for one by one."""

    def __init__(self, name: str):
        self.trace = Trace(name, concrete=False)

    def __enter__(self) -> Recording:
        self.trace.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.trace.__exit__(*exc)

    def inputs(self, avals: Sequence[Aval]) -> list[Any]:
        return [Tracer(self.trace, self.trace.add_input(a), a, None) for a in avals]

    def literal(self, x: np.ndarray) -> Any:
        """A constant whose value passes may look at."""
        a = aval_of(x)
        return Tracer(self.trace, self.trace.add_const(x, live=False), a, None)

    def paste(self, tape: Tape, operands: Sequence[Any]) -> list[Any]:
        return pasted(self.trace, tape, operands)

    def tape(self, outputs: Sequence[Any]) -> Tape:
        return simplify(self.trace.finish([number_of(self.trace, x) for x in outputs]))[0]


def element(x: Any, k: int) -> Any:
    """The k-th number of an array, recorded."""
    if x.shape == ():
        return x
    flat = reshape(x, shape=(x.size,))
    return reshape(strided_slice(flat, index=((k, 1, 1),)), shape=())


def pasted(trace: Trace, tape: Tape, operands: Sequence[Any]) -> list[Any]:
    """The outputs of a tape at these operands, recorded on `trace`."""
    numbers = trace.inline(tape, [number_of(trace, x) for x in operands])
    avals = [tape.aval(v) for v in tape.outputs.tolist()]
    return [Tracer(trace, int(n), a, None) for n, a in zip(numbers, avals, strict=True)]
