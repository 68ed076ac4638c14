"""How a ufunc of SciPy becomes an op."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops.declare import Case, Op, Refused, by_name
from jittape.ops.elementwise import BINARY_CASES, UNARY_CASES, elementwise

Partial = Any
Domain = tuple[float, float]

ORDER = Refused(
    "the derivative with respect to the order is not offered: pass the order as a constant, or "
    "through jittape.stop_gradient"
)
SHAPE = Refused(
    "the derivative with respect to this shape parameter has no closed form and is not offered: "
    "pass it as a constant or through jittape.stop_gradient, or wrap the call in "
    "jittape.custom_vjp with a derivative of your own"
)


def special(ufunc: np.ufunc, *partials: Partial, domain: Any = None, kinks: str = "") -> Op:
    """Declare a ufunc of SciPy. partials: see ops.elementwise; domain: per operand."""
    name = ufunc.__name__ if ufunc.__name__ not in by_name else f"scipy_{ufunc.__name__}"
    cases: tuple[Case, ...] = (UNARY_CASES, BINARY_CASES)[min(ufunc.nin, 2) - 1]
    if ufunc.nin > 2:
        cases = (Case(((3,),) * ufunc.nin), Case(((2, 1), *((3,),) * (ufunc.nin - 1))))
    differentiable = [not isinstance(p, Refused) for p in partials]
    if not all(differentiable):
        # orders and shapes are constants in the tests too
        cases = tuple(
            Case(tuple([a if d else CONSTANT for a, d in zip(c.args, differentiable, strict=True)]))
            for c in cases
        )
    domain = domain or (-2.0, 2.0)
    return elementwise(
        ufunc,
        *partials,
        domain=domain if isinstance(domain[0], tuple) else (domain,) * ufunc.nin,
        kinks=kinks,
        cases=cases,
        doc=f"scipy.special.{ufunc.__name__}",
        name=name,
    )


CONSTANT = 2


def as_float(dtype: np.dtype) -> np.dtype:
    return dtype if dtype.char in "fd" else np.dtype(np.float64)
