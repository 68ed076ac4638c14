"""The reductions that leave NaN out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.functions import accumulations, reductions
from jittape.functions.reductions import _UNSET, _given, operand, root
from jittape.functions.ufuncs import finish
from jittape.ops import compare as c
from jittape.ops import elementwise as e
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements
from jittape.tracing.tracer import Tracer

# -- without NaN ---------------------------------------------------------------------------------

_HOLES = np.array([[0.5, np.nan, 1.5], [-1.0, 2.0, 0.25]])
_NAN = (
    Case((_HOLES,), order=0),
    Case(((2, 3),), {"axis": 1}),
    Case((_HOLES,), {"axis": 0, "keepdims": True}, "keepdims", order=0),
)
_NAN_KINKS = "NaN elements get derivative 0"


def _filled(a: Any, value: float) -> tuple[Any, Any]:
    """(a with NaN replaced, where it is no NaN)."""
    x = operand(a)
    if x.dtype.kind not in "fc":
        return x, np.ones(x.shape, bool)
    missing = c.isnan(x)
    return e.where(missing, x.dtype.type(value), x), e.logical_not(missing)


def _without(base: Callable, value: float) -> Callable:
    def run(a: Any, *args: Any, **keywords: Any) -> Any:
        return base(_filled(a, value)[0], *args, **keywords)

    return run


implements(np.nansum, cases=_NAN, kinks=_NAN_KINKS)(_without(reductions.sum_, 0))
implements(np.nanprod, cases=_NAN, kinks=_NAN_KINKS)(_without(reductions.prod, 1))
implements(np.nancumsum, cases=_NAN[:2], kinks=_NAN_KINKS)(_without(accumulations.cumsum, 0))
implements(np.nancumprod, cases=_NAN[:2], kinks=_NAN_KINKS)(_without(accumulations.cumprod, 1))


def _nan_extremum(base: Callable, value: float) -> Callable:
    def run(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = _UNSET, initial: Any = _UNSET,
        where: Any = True,
    ) -> Any:  # fmt: skip
        x, present = _filled(a, value)
        found = base(x, axis, None, keepdims, initial, where)
        if x.dtype.kind in "fc" and not _given(initial):
            none = e.logical_not(reductions.any_(present, axis, keepdims=keepdims))
            found = e.where(none, found.dtype.type(np.nan), found)
        return finish(found, out)

    return run


_EXTREMUM_KINKS = "as max; " + _NAN_KINKS + "; NaN where all elements are NaN, without a warning"
implements(np.nanmax, cases=_NAN, kinks=_EXTREMUM_KINKS)(_nan_extremum(reductions.max_, -np.inf))
implements(np.nanmin, cases=_NAN, kinks=_EXTREMUM_KINKS)(_nan_extremum(reductions.min_, np.inf))


def _filled_some(a: Any, value: float, axis: Any) -> Any:
    """a with NaN replaced; ValueError, as NumPy's, where all along an axis are NaN."""
    x, present = _filled(a, value)
    if not isinstance(present, Tracer) or present._trace.concrete:
        if not np.all(reductions.any_(present, axis)):  # a guard
            raise ValueError("All-NaN slice encountered")
    return x


@implements(np.nanargmax, cases=_NAN[:2], differentiable=False)
def nanargmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = _UNSET) -> Any:
    return reductions.argmax(_filled_some(a, -np.inf, axis), axis, out, keepdims=keepdims)


@implements(np.nanargmin, cases=_NAN[:2], differentiable=False)
def nanargmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = _UNSET) -> Any:
    return reductions.argmin(_filled_some(a, np.inf, axis), axis, out, keepdims=keepdims)


def _present(a: Any, where: Any) -> tuple[Any, Any]:
    x, present = _filled(a, 0)
    return x, present if where is True or where is _UNSET else e.logical_and(present, where)


@implements(np.nanmean, cases=_NAN, kinks=_NAN_KINKS)
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = _UNSET, *,
    where: Any = True,
) -> Any:  # fmt: skip
    x, mask = _present(a, where)
    return reductions.mean(x, axis, dtype, out, keepdims, where=mask)


@implements(np.nanvar, cases=_NAN, kinks=_NAN_KINKS)
def nanvar(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0,
    keepdims: Any = _UNSET, *, where: Any = True, mean: Any = _UNSET, correction: Any = _UNSET,
) -> Any:  # fmt: skip
    x, mask = _present(a, where)
    extra = {"mean": mean, "correction": correction}
    return reductions.var(x, axis, dtype, out, ddof, keepdims, where=mask, **extra)


@implements(np.nanstd, cases=_NAN, kinks=_NAN_KINKS + "; gradient 0 at variance 0")
def nanstd(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0,
    keepdims: Any = _UNSET, *, where: Any = True, mean: Any = _UNSET, correction: Any = _UNSET,
) -> Any:  # fmt: skip
    extra = {"mean": mean, "correction": correction}
    v = nanvar(a, axis, dtype, None, ddof, keepdims, where=where, **extra)
    return finish(root(v), out)
