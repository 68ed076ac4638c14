"""Reductions: params (axes,), the reduced axes are removed from the shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops.declare import Case, Kind, Op, declare
from jittape.ops.elementwise import amul, equal, where
from jittape.ops.shape import broadcast_to, reshape
from jittape.types import Aval, aval


def _infer(ufunc: np.ufunc) -> Any:
    def infer(x: Aval, axes: tuple[int, ...]) -> Aval:
        shape = tuple(n for i, n in enumerate(x.shape) if i not in axes)
        if ufunc in (np.maximum, np.minimum) and 0 in [x.shape[a] for a in axes]:
            raise ValueError(
                f"zero-size array to reduction operation {ufunc.__name__} which has no identity"
            )
        return aval(shape, ufunc.resolve_dtypes((x.dtype, x.dtype, None))[2])

    return infer


def expand(reduced: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """A reduced value broadcast back over the reduced axes."""
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    return broadcast_to(reshape(reduced, shape=kept), shape=shape)


def _reduction(name: str, ufunc: np.ufunc, vjp: Any = None, **extra: Any) -> Op:
    return declare(
        Op(
            name=name,
            kind=Kind.REDUCE,
            infer=_infer(ufunc),
            evaluate=lambda x, axes: ufunc.reduce(x, axis=axes) if axes else np.array(x),
            params=("axes",),
            vjp=vjp,
            kernel=ufunc,
            cases=(
                Case(((2, 3),), {"axes": (1,)}),
                Case(((2, 3, 2),), {"axes": (0, 2)}),
                Case(((4,),), {"axes": (0,)}),
            ),
            **extra,
        )
    )


sum = _reduction("sum", np.add, lambda g, out, x, axes: (expand(g, x.shape, axes),), linear=True)


def _extremum_vjp(g: Any, out: Any, x: Any, axes: tuple[int, ...]) -> tuple:
    hit = where(equal(x, expand(out, x.shape, axes)), x.dtype.type(1), x.dtype.type(0))
    count = sum(hit, axes=axes)
    return (amul(expand(g / count, x.shape, axes), hit),)


_TIES = "the gradient is shared equally among ties"
max = _reduction("max", np.maximum, _extremum_vjp, kinks=_TIES)
min = _reduction("min", np.minimum, _extremum_vjp, kinks=_TIES)
any = _reduction("any", np.logical_or)
all = _reduction("all", np.logical_and)
