"""stop_gradient: the identity through which no derivative flows."""

from __future__ import annotations

import numpy as np

from jittape.ops.declare import Case, Kind, Op, declare

stop = declare(
    Op(
        name="stop_gradient",
        kind=Kind.ELEMENTWISE,
        infer=lambda x: x,
        evaluate=np.positive,
        flat=True,
        kernel=np.positive,
        cases=(Case(((3,),)), Case(((),), name="scalar")),
        doc="the operand, as a constant to all derivatives",
    )
)
