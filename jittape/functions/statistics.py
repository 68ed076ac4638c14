"""Order statistics, and the reductions that leave NaN out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.functions import accumulations, reductions
from jittape.functions.reductions import _UNSET, _given, axes_of, operand, root
from jittape.functions.ufuncs import finish
from jittape.ops import compare as c
from jittape.ops import elementwise as e
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer, cast

# -- order statistics ----------------------------------------------------------------------------

_KINKS = "by the elements that are chosen in sorted order; ties as sort"


def _columns(a: Any, axis: Any) -> tuple[Any, tuple[int, ...], tuple[int, ...]]:
    """(rows with the reduced elements sorted along the last axis, shape kept, shape reduced)."""
    x = operand(a)
    if x.dtype.kind not in "fc":
        x = cast(x, np.dtype(np.float64))
    axes = axes_of(x, axis)
    front = tuple(i for i in range(x.ndim) if i not in axes)
    moved = np.transpose(x, (*front, *axes))
    shape = tuple(x.shape[i] for i in front)
    rows = np.reshape(moved, (*shape, -1)) if x.size else moved
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return np.sort(rows, axis=-1), kept, shape


def _nan_through(value: Any, rows: Any) -> Any:
    """NaN where a row has one (they are sorted to the end)."""
    last = rows[..., -1]
    return e.where(c.isnan(last), last, value)


@implements(
    np.median,
    cases=(
        Case(((5,),)),
        Case(((2, 4),), {"axis": 1}, "even"),
        Case(((3, 2, 2),), {"axis": (0, 2), "keepdims": True}),
    ),
    kinks=_KINKS,
)
def median(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
    keepdims: bool = False,
) -> Any:  # fmt: skip
    rows, kept, _ = _columns(a, axis)
    n = rows.shape[-1]
    if not n:
        raise TraceError(f"{here()}: the median of no elements is not recorded")
    value = rows[..., n // 2]
    if n % 2 == 0:
        value = (rows[..., n // 2 - 1] + value) / 2
    value = _nan_through(value, rows)
    return finish(np.reshape(value, kept) if keepdims else value, out)


# position of the q-quantile of n sorted elements, by method
_POSITIONS: dict[str, Callable[[float, int], float]] = {
    "linear": lambda q, n: q * (n - 1),
    "lower": lambda q, n: np.floor(q * (n - 1)),
    "higher": lambda q, n: np.ceil(q * (n - 1)),
    "nearest": lambda q, n: np.around(q * (n - 1)),
    "midpoint": lambda q, n: (np.floor(q * (n - 1)) + np.ceil(q * (n - 1))) / 2,
    "weibull": lambda q, n: q * (n + 1) - 1,
    "hazen": lambda q, n: q * n - 0.5,
    "interpolated_inverted_cdf": lambda q, n: q * n - 1,
    "median_unbiased": lambda q, n: q * (n + 1 / 3) + 1 / 3 - 1,
    "normal_unbiased": lambda q, n: q * (n + 0.25) + 0.375 - 1,
}


def _quantile(scale: float, name: str) -> Callable:
    def run(
        a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
        method: str = "linear", keepdims: bool = False, *, weights: Any = None,
        interpolation: Any = None,
    ) -> Any:  # fmt: skip
        if isinstance(q, Tracer):
            raise TraceError(
                f"{here()}: {name} is recorded for fixed q; pass numbers, not a traced value"
            )
        if weights is not None or interpolation is not None:
            raise TraceError(f"{here()}: {name} is recorded without weights= and interpolation=")
        if method not in _POSITIONS:
            raise TraceError(
                f"{here()}: {name} with method={method!r} is not recorded; use one of "
                f"{sorted(_POSITIONS)}"
            )
        fractions = np.asarray(q, np.float64) / scale
        if not ((fractions >= 0) & (fractions <= 1)).all():
            raise ValueError(f"{name}: q must lie between 0 and {scale:g}")
        rows, kept, shape = _columns(a, axis)
        n = rows.shape[-1]
        if not n:
            raise TraceError(f"{here()}: {name} of no elements is not recorded")
        found = []
        for f in fractions.ravel().tolist():
            at = min(max(float(_POSITIONS[method](f, n)), 0.0), n - 1.0)
            low = int(at)
            value, part = rows[..., low], at - low
            if part:
                value = value + (rows[..., low + 1] - value) * rows.dtype.type(part)
            value = _nan_through(value, rows)
            found.append(np.reshape(value, kept) if keepdims else value)
        if not fractions.ndim:
            return finish(found[0], out)
        stacked = np.stack(found)
        return finish(np.reshape(stacked, (*fractions.shape, *stacked.shape[1:])), out)

    return run


_Q = (
    Case(((5,),), {"q": 0.3}),
    Case(((2, 4),), {"q": np.array([0.0, 0.5, 1.0]), "axis": 1}, "several"),
    Case(((2, 4),), {"q": 0.7, "keepdims": True, "method": "hazen"}, "hazen"),
    Case(((5,),), {"q": 0.7, "method": "lower"}, "lower"),
)
quantile = implements(np.quantile, cases=_Q, kinks=_KINKS)(_quantile(1.0, "quantile"))
percentile = implements(
    np.percentile,
    cases=tuple(Case(k.args, {**k.kwargs, "q": k.kwargs["q"] * 100}, k.name) for k in _Q),
    kinks=_KINKS,
)(_quantile(100.0, "percentile"))


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
        if x.dtype.kind == "f" and not _given(initial):
            none = e.logical_not(reductions.any_(present, axis, keepdims=keepdims))
            found = e.where(none, found.dtype.type(np.nan), found)
        return finish(found, out)

    return run


_EXTREMUM_KINKS = "as max; " + _NAN_KINKS + "; NaN where all elements are NaN, without a warning"
implements(np.nanmax, cases=_NAN, kinks=_EXTREMUM_KINKS)(_nan_extremum(reductions.max_, -np.inf))
implements(np.nanmin, cases=_NAN, kinks=_EXTREMUM_KINKS)(_nan_extremum(reductions.min_, np.inf))


@implements(np.nanargmax, cases=_NAN[:2], differentiable=False)
def nanargmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = _UNSET) -> Any:
    return reductions.argmax(_filled(a, -np.inf)[0], axis, out, keepdims=keepdims)


@implements(np.nanargmin, cases=_NAN[:2], differentiable=False)
def nanargmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = _UNSET) -> Any:
    return reductions.argmin(_filled(a, np.inf)[0], axis, out, keepdims=keepdims)


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
