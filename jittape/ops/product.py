"""Matrix products. Vectors are reshaped to matrices before, so that one op is enough."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops.declare import Case, Kind, Op, declare
from jittape.ops.elementwise import add
from jittape.ops.reduce import unbroadcast
from jittape.ops.shape import transpose
from jittape.types import Aval, aval


def _infer(a: Aval, b: Aval) -> Aval:
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(
            f"matmul: shapes {a.shape} and {b.shape} do not match: {a.shape[-1]} columns on the "
            f"left, {b.shape[-2]} rows on the right"
        )
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return aval((*batch, a.shape[-2], b.shape[-1]), np.result_type(a.dtype, b.dtype))


def swap_last(x: Any) -> Any:
    """The matrices of a batch transposed."""
    n = x.ndim
    return transpose(x, perm=(*range(n - 2), n - 1, n - 2))


def _vjp(g: Any, out: Any, a: Any, b: Any) -> tuple:
    return (
        unbroadcast(matmul(g, swap_last(b)), a.shape),
        unbroadcast(matmul(swap_last(a), g), b.shape),
    )


def _jvp(tangents: tuple, out: Any, a: Any, b: Any) -> Any:
    ta, tb = tangents
    if ta is None:
        return matmul(a, tb)
    if tb is None:
        return matmul(ta, b)
    return add(matmul(ta, b), matmul(a, tb))


matmul = declare(
    Op(
        name="matmul",
        kind=Kind.GUFUNC,
        infer=_infer,
        evaluate=np.matmul,
        vjp=_vjp,
        jvp=_jvp,
        kernel=np.matmul,
        cases=(
            Case(((2, 3), (3, 4))),
            Case(((2, 1, 2, 3), (4, 3, 1)), name="batched"),
            Case(((2, 0), (0, 3)), name="empty"),
        ),
        doc="product of matrices (both operands at least 2-D), batched over leading axes",
    )
)
