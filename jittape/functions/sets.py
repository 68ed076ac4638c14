"""np.unique and the set functions.

How many elements are distinct is guarded, as for x[mask]: another number is another trace. Which
ones they are is found by each sweep, and the gradient goes to the first of equal elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.functions.creation import as_array
from jittape.functions.keys import positions
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements
from jittape.tracing.recorder import here

_KINKS = "the number of distinct elements is guarded; the gradient is that of the first of equals"
_TIES = np.array([[2.0, -1.0, 2.0], [0.5, -1.0, 3.0]])


def _starts(s: Any, equal_nan: bool = True) -> Any:
    """Where another value begins in sorted elements."""
    new = s[1:] != s[:-1]
    if equal_nan and s.dtype.kind in "fc":
        new = new & ~(np.isnan(s[1:]) & np.isnan(s[:-1]))
    return np.concatenate([np.ones(min(s.size, 1), bool), new])


@implements(
    np.unique,
    cases=(
        Case(((5,),)),
        Case((_TIES,), name="ties", order=0),
        Case(
            (_TIES,),
            {"return_index": True, "return_inverse": True, "return_counts": True},
            "indices",
            order=0,
        ),
    ),
    kinks=_KINKS,
)
def unique(
    ar: Any, return_index: bool = False, return_inverse: bool = False,
    return_counts: bool = False, axis: Any = None, *, equal_nan: bool = True, sorted: bool = True,
) -> Any:  # fmt: skip
    a = as_array(ar)
    if axis is not None and a.ndim > 1:
        raise TraceError(f"{here()}: np.unique of rows (axis=) is not recorded; use axis=None")
    flat = np.reshape(a, (-1,))
    order = np.argsort(flat, kind="stable")
    s = flat[order]
    new = _starts(s, equal_nan)
    at = positions(new)
    found: list[Any] = [s[at]]
    if return_index:
        found.append(order[at])
    if return_inverse:
        rank = np.cumsum(new) - 1
        found.append(np.reshape(rank[np.argsort(order)], a.shape if axis is None else (-1,)))
    if return_counts:
        found.append(np.diff(np.concatenate([at, np.array([flat.size])])))
    return found[0] if len(found) == 1 else tuple(found)


_RESULTS = {
    "unique_all": ("return_index", "return_inverse", "return_counts"),
    "unique_counts": ("return_counts",),
    "unique_inverse": ("return_inverse",),
}


def _tuple_of(name: str, wanted: tuple[str, ...]) -> None:
    made = type(getattr(np, name)(np.zeros(1)))

    def run(x: Any) -> Any:
        return made(*unique(x, equal_nan=False, **dict.fromkeys(wanted, True)))

    implements(getattr(np, name), cases=(Case(((3,),)),), kinks=_KINKS)(run)


for _name, _wanted in _RESULTS.items():
    _tuple_of(_name, _wanted)


@implements(np.unique_values, cases=(Case(((3,),)),), kinks=_KINKS)
def unique_values(x: Any) -> Any:
    return unique(x, equal_nan=False)


_PAIR = (Case(((3,), (2,))), Case((_TIES, np.array([2.0, 7.0, -1.0])), name="shared", order=0))


@implements(np.union1d, cases=_PAIR, kinks=_KINKS)
def union1d(ar1: Any, ar2: Any) -> Any:
    return unique(_joined(ar1, ar2))


def _joined(*parts: Any) -> Any:
    return np.concatenate([np.reshape(as_array(p), (-1,)) for p in parts])


def _distinct(ar: Any, assume_unique: bool) -> Any:
    return np.reshape(as_array(ar), (-1,)) if assume_unique else unique(ar)


@implements(np.intersect1d, cases=_PAIR[1:], kinks=_KINKS)
def intersect1d(
    ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False
) -> Any:
    if return_indices:
        raise TraceError(f"{here()}: intersect1d with return_indices=True is not recorded")
    s = np.sort(_joined(_distinct(ar1, assume_unique), _distinct(ar2, assume_unique)))
    return s[:-1][s[1:] == s[:-1]]


@implements(np.setxor1d, cases=_PAIR, kinks=_KINKS)
def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    s = np.sort(_joined(_distinct(ar1, assume_unique), _distinct(ar2, assume_unique)))
    new = _starts(s, False)
    alone = new & np.concatenate([new[1:], np.ones(min(s.size, 1), bool)])
    return s[alone]


@implements(np.setdiff1d, cases=_PAIR, kinks=_KINKS)
def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    a = _distinct(ar1, assume_unique)
    return a[~np.isin(a, as_array(ar2))]
