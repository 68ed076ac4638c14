"""The order of elements, as index data: values are then taken in that order."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops.declare import Case, Kind, Op, declare
from jittape.types import aval


def _argsort(x: Any) -> Any:
    return np.argsort(x, axis=-1, kind="stable")


argsort = declare(
    Op(
        name="argsort",
        kind=Kind.HOST,
        infer=lambda x: aval(x.shape, np.int64),
        evaluate=_argsort,
        flat=True,
        cases=(Case(((5,),)), Case(((2, 3),)), Case(((0,),), name="empty")),
        doc="stable order of the elements along the last axis",
    )
)
