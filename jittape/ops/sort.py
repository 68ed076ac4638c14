"""The order of elements, as index data: values are then taken in that order."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops.declare import Case, Kind, Op, declare
from jittape.types import Aval, aval


def _argsort(x: Any, stable: bool) -> Any:
    return np.argsort(x, axis=-1, kind="stable" if stable else None)


argsort: Op = declare(
    Op(
        name="argsort",
        kind=Kind.HOST,
        infer=lambda x, stable: aval(x.shape, np.int64),
        evaluate=_argsort,
        params=("stable",),
        flat=True,
        cases=(
            Case(((5,),), {"stable": True}),
            Case(((2, 3),), {"stable": False}),
            Case(((0,),), {"stable": True}, name="empty"),
        ),
        doc="order of the elements along the last axis; equal ones in NumPy's order, or stably",
    )
)


def _lexsort_infer(*keys: Aval) -> Aval:
    if any(k.shape != keys[0].shape for k in keys):
        raise ValueError("all keys need to be the same shape")
    return aval(keys[0].shape, np.int64)


lexsort: Op = declare(
    Op(
        name="lexsort",
        kind=Kind.HOST,
        infer=_lexsort_infer,
        evaluate=lambda *keys: np.lexsort(keys, axis=-1),
        flat=True,
        cases=(Case(((4,), (4,))),),
        doc="order by several keys along the last axis; the last key counts most",
    )
)


searchsorted: Op = declare(
    Op(
        name="searchsorted",
        kind=Kind.HOST,
        infer=lambda a, v, side: aval(v.shape, np.int64),
        evaluate=lambda a, v, side: np.searchsorted(a, v, side=side),
        params=("side",),
        flat=True,
        cases=(Case((np.array([-1.0, 0.0, 1.0]), (2, 3)), {"side": "left"}),),
        doc="where elements of the second operand would be inserted into the sorted first",
    )
)
