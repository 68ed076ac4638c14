"""Covariances and correlation coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.functions.creation import as_array
from jittape.functions.reductions import operand
from jittape.ops import complexes
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements
from jittape.tracing.tracer import cast

_CASES = (
    Case(((3, 4),)),
    Case(((4,), (4,)), name="two variables"),
    Case(((5, 2),), {"rowvar": False}, "columns"),
)
_WEIGHTED = Case(
    ((2, 3),), {"fweights": np.array([1, 3, 2]), "aweights": np.array([0.5, 1.0, 0.7])}, "weights"
)


@implements(np.cov, cases=(*_CASES, Case(((2, 4),), {"ddof": 0}, "ddof"), Case(((4,),)), _WEIGHTED))
def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None,
    fweights: Any = None, aweights: Any = None, *, dtype: Any = None,
) -> Any:  # fmt: skip
    x = _variables(m, rowvar, dtype, _TURNS_ONE_ROW)
    if y is not None:
        x = np.concatenate([x, _variables(y, rowvar, dtype, False)], axis=0)
    used = ddof if ddof is not None else 0 if bias else 1
    if fweights is None and aweights is None:
        free: Any = max(x.shape[1] - used, 0)
        x = x - x.mean(axis=1, keepdims=True)
        right = x
    else:
        # sum(w) - ddof sum(w a) / sum(w), as NumPy's notes on cov
        w: Any = np.ones(x.shape[1])
        for given, name in ((fweights, "fweights"), (aweights, "aweights")):
            if given is None:
                continue
            given = as_array(given)
            if given.shape != (x.shape[1],):
                raise RuntimeError(f"incompatible numbers of samples and {name}")
            w = w * given
        total = np.sum(w)
        a = 1.0 if aweights is None else as_array(aweights)
        free = total - used * np.sum(w * a) / total
        x = x - (np.sum(x * w, axis=1) / total)[:, None]
        right = x * w
    other = right.T if x.dtype.kind != "c" else complexes.conjugate(right.T)
    product = np.matmul(x, other) / cast(as_array(free), _real(x.dtype))
    return product.reshape(()) if product.shape == (1, 1) else product


def _real(dtype: np.dtype) -> np.dtype:
    return np.zeros(0, dtype).real.dtype


# one observation of two variables in columns: two variables since NumPy 2.2, one before
_TURNS_ONE_ROW = np.cov(np.ones((1, 2)), rowvar=False, ddof=0).ndim == 2


def _variables(m: Any, rowvar: bool, dtype: Any, turn_one_row: bool) -> Any:
    """The observations as float rows, one per variable."""
    x = operand(m)
    if x.ndim > 2:
        raise ValueError("m has more than 2 dimensions")
    x = cast(x, np.dtype(dtype or np.result_type(x.dtype, np.float64)))
    turns = x.ndim == 2 and (turn_one_row or x.shape[0] != 1)
    x = x.reshape((1, -1)) if x.ndim < 2 else x
    return x.T if not rowvar and turns else x


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
