"""Covariances and correlation coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.functions.reductions import operand
from jittape.ops import complexes
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements
from jittape.tracing.recorder import here
from jittape.tracing.tracer import cast

_CASES = (
    Case(((3, 4),)),
    Case(((4,), (4,)), name="two variables"),
    Case(((5, 2),), {"rowvar": False}, "columns"),
)


@implements(np.cov, cases=(*_CASES, Case(((2, 4),), {"ddof": 0}, "ddof"), Case(((4,),))))
def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None,
    fweights: Any = None, aweights: Any = None, *, dtype: Any = None,
) -> Any:  # fmt: skip
    if fweights is not None or aweights is not None:
        raise TraceError(f"{here()}: numpy.cov is recorded without fweights= and aweights=")
    x = _variables(m, rowvar, dtype)
    if y is not None:
        x = np.concatenate([x, _variables(y, rowvar, dtype)], axis=0)
    free = x.shape[1] - (ddof if ddof is not None else 0 if bias else 1)
    x = x - x.mean(axis=1, keepdims=True)
    other = x.T if x.dtype.kind != "c" else complexes.conjugate(x.T)
    product = np.matmul(x, other) / x.dtype.type(max(free, 0))
    return product.reshape(()) if product.shape == (1, 1) else product


def _variables(m: Any, rowvar: bool, dtype: Any) -> Any:
    """The observations as float rows, one per variable."""
    x = operand(m)
    if x.ndim > 2:
        raise ValueError("m has more than 2 dimensions")
    x = cast(x, np.dtype(dtype or np.result_type(x.dtype, np.float64)))
    x = x.reshape((1, -1)) if x.ndim < 2 else x
    return x.T if not rowvar and x.shape[0] != 1 else x


@implements(np.corrcoef, cases=_CASES, kinks="as clip where rounding leaves [-1, 1]")
def corrcoef(
    x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None, **ignored: Any
) -> Any:
    c = cov(x, y, rowvar, dtype=dtype)
    if not c.ndim:
        return c / c
    deviation = np.sqrt(np.diagonal(c.real))
    c = c / deviation[:, None] / deviation[None, :]
    return np.clip(c, -1, 1) if c.dtype.kind != "c" else c
