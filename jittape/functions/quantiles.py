"""Order statistics: medians, quantiles and percentiles, with and without NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.functions.creation import as_array
from jittape.functions.gather import along
from jittape.functions.reductions import axes_of, operand
from jittape.functions.ufuncs import finish
from jittape.ops import compare as c
from jittape.ops import elementwise as e
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer, cast

_HOLES = np.array([[0.5, np.nan, 1.5], [-1.0, 2.0, 0.25]])
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


def _counted(rows: Any) -> Any:
    """How many elements of sorted rows are no NaN: (..., 1), a float."""
    present = e.logical_not(c.isnan(rows))
    return cast(np.sum(present, axis=-1, keepdims=True), np.dtype(np.float64))


def _kind(name: str, dtype: np.dtype, q: Any, method: str) -> np.dtype:
    """The dtype of results: q in double precision makes doubles of single numbers, where NumPy
    interpolates and does not take q for a Python number (its versions differ)."""
    if dtype == np.float64:
        return dtype
    like = np.zeros(q.shape, q.dtype) if isinstance(q, Tracer) else q
    return np.asarray(getattr(np, name)(np.zeros(2, dtype), like, method=method)).dtype


def _read(rows: Any, at: Any, kind: np.dtype) -> Any:
    """rows at a fractional position (..., 1) along the last axis, between its two neighbours, as
    numbers of this kind."""
    n = rows.shape[-1]
    low = np.clip(np.floor(at), 0.0, max(n - 2.0, 0.0))
    part = cast(at - low, kind)[..., 0]
    place = low.astype(np.int64)
    if place.ndim == 1 and rows.ndim > 1:
        place = np.broadcast_to(place, (*rows.shape[:-1], 1))
    first = along(rows, place, rows.ndim - 1)[..., 0]
    if n == 1:
        return cast(first, kind)
    second = along(rows, place + 1, rows.ndim - 1)[..., 0]
    # (NaN where there are no numbers at all; else what follows the last number has no part)
    between = e.where(e.equal(part, 0), rows.dtype.type(0), second - first)
    return first + between * part


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


@implements(
    np.nanmedian,
    cases=(
        Case((_HOLES,), order=0),
        Case(((2, 4),), {"axis": 1}),
        Case((_HOLES,), {"axis": 0, "keepdims": True}, "keepdims", order=0),
    ),
    kinks=_KINKS + "; NaN elements get derivative 0",
)
def nanmedian(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
    keepdims: Any = False,
) -> Any:  # fmt: skip
    return nanquantile(a, 0.5, axis, out, keepdims=keepdims)


# position of the q-quantile of n sorted elements, by method (R. Hyndman, Y. Fan 1996)
_POSITIONS: dict[str, Callable[[Any, Any], Any]] = {
    "linear": lambda q, n: q * (n - 1),
    "lower": lambda q, n: np.floor(q * (n - 1)),
    "higher": lambda q, n: np.ceil(q * (n - 1)),
    "nearest": lambda q, n: np.around(q * (n - 1)),
    "midpoint": lambda q, n: (np.floor(q * (n - 1)) + np.ceil(q * (n - 1))) / 2,
    "inverted_cdf": lambda q, n: np.ceil(q * n - 1),
    "averaged_inverted_cdf": lambda q, n: (np.ceil(q * n - 1) + np.floor(q * n)) / 2,
    # (NumPy's versions differ in which neighbour is even)
    "closest_observation": lambda q, n: np.quantile(np.arange(n), q, method="closest_observation"),
    "weibull": lambda q, n: q * (n + 1) - 1,
    "hazen": lambda q, n: q * n - 0.5,
    "interpolated_inverted_cdf": lambda q, n: q * n - 1,
    "median_unbiased": lambda q, n: q * (n + 1 / 3) + 1 / 3 - 1,
    "normal_unbiased": lambda q, n: q * (n + 0.25) + 0.375 - 1,
}


def _quantile(scale: float, name: str, nan: bool = False) -> Callable:
    def run(
        a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
        method: str = "linear", keepdims: Any = False, *, weights: Any = None,
        interpolation: Any = None,
    ) -> Any:  # fmt: skip
        if weights is not None or interpolation is not None:
            raise TraceError(f"{here()}: {name} is recorded without weights= and interpolation=")
        fixed = not isinstance(q, Tracer) and not nan
        if method not in _POSITIONS or not (fixed or method != "closest_observation"):
            raise TraceError(
                f"{here()}: {name} with method={method!r} is not recorded; use one of "
                f"{sorted(set(_POSITIONS) - {'closest_observation'})}"
            )
        given, q = q, as_array(q)
        fractions = (q if q.dtype == np.float64 else q.astype(np.float64)) / scale
        if not ((fractions >= 0) & (fractions <= 1)).all():
            raise ValueError(f"{name}: q must lie between 0 and {scale:g}")
        if operand(a).dtype.kind == "c":
            raise TypeError("a must be an array of real numbers")
        rows, kept, shape = _columns(a, axis)
        n = rows.shape[-1]
        if not n:
            raise TraceError(f"{here()}: {name} of no elements is not recorded")
        counts = _counted(rows) if nan else n
        kind = _kind(name, rows.dtype, given, method)
        found = []
        for f in np.reshape(fractions, (-1,)):
            at = _POSITIONS[method](f, counts)
            # (not by np.clip, which shares the derivative by a traced q at the ends)
            at = np.where(at < 0.0, 0.0, np.where(at > counts - 1.0, counts - 1.0, at))[()]
            if isinstance(at, Tracer):
                value = _read(rows, np.reshape(at, (-1,)) if not at.ndim else at, kind)
            else:
                low = int(at)
                value, part = rows[..., low], at - low
                if part:
                    value = value + (rows[..., low + 1] - value) * kind.type(part)
                value = cast(value, kind)
            value = value if nan else _nan_through(value, rows)
            found.append(np.reshape(value, kept) if keepdims is True else value)
        if not fractions.ndim:
            return finish(found[0], out)
        stacked = np.stack(found)
        return finish(np.reshape(stacked, (*fractions.shape, *stacked.shape[1:])), out)

    return run


def _scaled(cases: tuple[Case, ...]) -> tuple[Case, ...]:
    return tuple(
        Case(k.args, {**k.kwargs, "q": k.kwargs["q"] * 100}, k.name, k.order) for k in cases
    )


_Q = (
    Case(((5,),), {"q": 0.3}),
    Case(((2, 4),), {"q": np.array([0.0, 0.5, 1.0]), "axis": 1}, "several"),
    Case(((2, 4),), {"q": 0.7, "keepdims": True, "method": "hazen"}, "hazen"),
    Case(((5,),), {"q": 0.7, "method": "lower"}, "lower"),
    Case(((6,),), {"q": 0.4, "method": "averaged_inverted_cdf"}, "averaged"),
    Case(((6,),), {"q": 0.45, "method": "closest_observation"}, "closest"),
)
quantile = implements(np.quantile, cases=_Q, kinks=_KINKS)(_quantile(1.0, "quantile"))
percentile = implements(np.percentile, cases=_scaled(_Q), kinks=_KINKS)(
    _quantile(100.0, "percentile")
)


_NAN_Q = (
    Case((_HOLES,), {"q": 0.3}, order=0),
    Case((_HOLES,), {"q": np.array([0.0, 0.5, 1.0]), "axis": 1}, "several", 0),
    Case(((2, 4),), {"q": 0.7, "keepdims": True, "method": "hazen"}, "hazen"),
)
_NAN_KINKS = _KINKS + "; NaN elements get derivative 0"
nanquantile = implements(np.nanquantile, cases=_NAN_Q, kinks=_NAN_KINKS)(
    _quantile(1.0, "nanquantile", nan=True)
)
implements(np.nanpercentile, cases=_scaled(_NAN_Q), kinks=_NAN_KINKS)(
    _quantile(100.0, "nanpercentile", nan=True)
)
