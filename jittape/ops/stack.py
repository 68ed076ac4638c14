"""Stacking. Its cotangent is read by `take`, whose index is an operand and not a parameter, so that
the parts of a long stack have one signature.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops.declare import Case, Kind, Op, declare
from jittape.ops.index import take
from jittape.ops.shape import zeros_for
from jittape.types import Aval, aval


def _stack_infer(*avals: Aval) -> Aval:
    if any(a is not avals[0] for a in avals):
        raise ValueError("all input arrays must have the same shape")
    return aval((len(avals), *avals[0].shape), avals[0].dtype)


def _stack_vjp(g: Any, out: Any, *args: Any) -> tuple:
    return tuple([take(g, np.int64(k)) for k in range(len(args))])


stack: Op = declare(
    Op(
        name="stack",
        kind=Kind.PLACE,
        infer=_stack_infer,
        evaluate=lambda *args: np.stack(args),
        vjp=_stack_vjp,
        jvp=lambda tangents, out, *args: stack(
            *[zeros_for(t, x) for t, x in zip(tangents, args, strict=True)]
        ),
        cases=(Case(((), (), ())), Case(((2, 3), (2, 3)))),
        doc="operands of equal shape and dtype along a new first axis",
    )
)
