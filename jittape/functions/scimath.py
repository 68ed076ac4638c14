"""numpy.emath: functions whose result is complex where an argument leaves the real domain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.functions.creation import as_array
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements

_KINKS = "whether the result is complex is guarded"


def _widened(x: Any, outside: Callable[[Any], Any]) -> Any:
    """x as complex numbers where any element lies outside of the real domain."""
    x = as_array(x)
    if x.dtype.kind == "c" or not bool(np.any(outside(x))):
        return x
    return x.astype(np.result_type(x.dtype, np.complex64))


def _negative(x: Any) -> Any:
    return x < 0


def _beyond_one(x: Any) -> Any:
    return np.abs(x) > 1


def _declare(name: str, outside: Callable[[Any], Any], domain: tuple[float, float]) -> None:
    function, plain = getattr(np.emath, name), getattr(np, name)

    @implements(function, cases=(Case(((3,),)), Case((np.array([-2.0, 0.5]),))), domain=domain,
                kinks=_KINKS)  # fmt: skip
    def run(x: Any) -> Any:
        return plain(_widened(x, outside))


for _name in ("sqrt", "log", "log2", "log10"):
    _declare(_name, _negative, (0.2, 3.0))
for _name in ("arccos", "arcsin", "arctanh"):
    _declare(_name, _beyond_one, (-0.9, 0.9))


@implements(np.emath.logn, cases=(Case((2.0, (3,))),), domain=(0.2, 3.0), kinks=_KINKS)
def logn(n: Any, x: Any) -> Any:
    return np.log(_widened(x, _negative)) / np.log(_widened(n, _negative))


@implements(np.emath.power, cases=(Case(((3,), (3,))),), domain=(0.2, 3.0), kinks=_KINKS)
def power(x: Any, p: Any) -> Any:
    p = as_array(p)
    if p.dtype.kind in "iu" and bool(np.any(p < 0)):
        p = p.astype(np.float64)
    return np.power(_widened(x, _negative), p)
