"""Powers, logarithms, remainders, rounding and the other arithmetic ufuncs."""

from __future__ import annotations

from math import log as ln
from typing import Any

import numpy as np

from jittape.ops.compare import isinf
from jittape.ops.complexes import conjugate
from jittape.ops.declare import Case, Kind, Op, declare
from jittape.ops.elementwise import (
    POSITIVE,
    UNARY_CASES,
    amul,
    elementwise,
    equal,
    exp,
    extremum,
    greater,
    log,
    logical_and,
    reciprocal,
    share,
    square,
    ufunc_infer,
    where,
)
from jittape.types import aval

# -- powers and logarithms -----------------------------------------------------------------------


def _by_base(y: Any, a: Any, b: Any) -> Any:
    # amul: at exponent 0 the slope is 0 even where a**-1 is inf, at every order
    return amul(b, power(a, b - 1))


def _by_exponent(y: Any, a: Any, b: Any) -> Any:
    # 0**b is 0 for all b > 0, hence slope 0; log(0) stays for b <= 0, where the limit is -inf
    safe = where(logical_and(equal(a, 0), greater(b, 0)), a.dtype.type(1), a)
    return amul(y, log(safe))


_POWER_KINKS = (
    "d/dx x**0 = 0, also at x = 0; x**2 at 0 is right to all orders; d/dy 0**y = 0 for y > 0 and "
    "-inf at y = 0; NaN by the exponent where the base is negative"
)
_POWER_CASES = (
    Case(((3,), (3,))),
    Case(((), ()), name="scalars"),
    Case(((2, 1, 3), (4, 1)), name="broadcast"),
    Case(((0, 3), (3,)), name="empty"),
)
power: Op = elementwise(
    np.power,
    _by_base,
    _by_exponent,
    domain=((0.2, 2.0), (-2.0, 2.0)),
    kinks=_POWER_KINKS,
    cases=_POWER_CASES,
)
float_power = elementwise(
    np.float_power,
    _by_base,
    _by_exponent,
    domain=((0.2, 2.0), (-2.0, 2.0)),
    kinks=_POWER_KINKS,
    cases=_POWER_CASES,
    doc="as power, in double precision",
)
cbrt = elementwise(
    np.cbrt, lambda y, x: reciprocal(3.0 * square(y)), domain=POSITIVE, kinks="inf at 0"
)
exp2: Op = elementwise(np.exp2, lambda y, x: y * ln(2))
expm1 = elementwise(np.expm1, lambda y, x: y + 1.0)
log2 = elementwise(np.log2, lambda y, x: reciprocal(x * ln(2)), domain=POSITIVE)
log10 = elementwise(np.log10, lambda y, x: reciprocal(x * ln(10)), domain=POSITIVE)
log1p = elementwise(np.log1p, lambda y, x: reciprocal(1.0 + x), domain=((-0.5, 2.0),))


def soft_share(y: Any, a: Any, b: Any, base: Any = exp) -> Any:
    """The share of a in log(e**a + e**b): e**(a - y), and its limits where y is infinite."""
    zero = y.dtype.type(0)
    edge = isinf(y)
    limit = where(greater(y, 0), share(y, a, b), zero)
    return where(edge, limit, base(where(edge, zero, a - y)))


_SOFT = "all operands -inf: gradient 0; +inf: as maximum"
logaddexp = elementwise(
    np.logaddexp,
    lambda y, a, b: soft_share(y, a, b),
    lambda y, a, b: soft_share(y, b, a),
    kinks=_SOFT,
)
logaddexp2 = elementwise(
    np.logaddexp2,
    lambda y, a, b: soft_share(y, a, b, exp2),
    lambda y, a, b: soft_share(y, b, a, exp2),
    kinks=_SOFT,
)

# -- signs and magnitudes ------------------------------------------------------------------------


def _abs_partial(y: Any, x: Any) -> Any:
    if x.dtype.kind != "c":
        return sign(x)
    at_zero = equal(y, 0)
    return where(at_zero, x.dtype.type(0), conjugate(x) / where(at_zero, y.dtype.type(1), y))


absolute = elementwise(np.absolute, _abs_partial, kinks="0 at 0", domain=((0.1, 2.0),))
fabs = elementwise(np.fabs, lambda y, x: sign(x), kinks="0 at 0", domain=((-2.0, -0.1),))


def _real_only(op: str) -> Any:
    infer = ufunc_infer(getattr(np, op))

    def checked(x: Any) -> Any:
        assert x.dtype.kind != "c", "the complex sign is a composite (functions.ufuncs)"
        return infer(x)

    return checked


# Of a complex number the sign is not flat, so that NumPy's sign is a composite of both.
sign: Op = declare(
    Op(
        name="sign",
        kind=Kind.ELEMENTWISE,
        infer=_real_only("sign"),
        evaluate=np.sign,
        flat=True,
        kernel=np.sign,
        domain=((0.1, 2.0),),
        kinks="derivative 0, also at 0",
        cases=UNARY_CASES,
        doc="of real numbers",
    )
)
copysign: Op = elementwise(
    np.copysign,
    lambda y, a, b: sign(a) * copysign(a.dtype.type(1), b),
    None,
    domain=((0.1, 2.0), (0.1, 2.0)),
    kinks="0 at a = 0, as abs; no derivative by the second operand",
)
heaviside = elementwise(
    np.heaviside,
    None,
    lambda y, x, h: where(equal(x, 0), y.dtype.type(1), y.dtype.type(0)),
    domain=((0.1, 2.0), (0.1, 2.0)),
    kinks="derivative 0 by x, also at the step; 1 by the second operand at x = 0",
)
fmax = extremum(np.fmax)
fmin = extremum(np.fmin)

# -- remainders ----------------------------------------------------------------------------------

_JUMPS = "the derivative between the jumps, also at them"
remainder = elementwise(
    np.remainder,
    1,
    lambda y, a, b: -floor_divide(a, b),
    domain=((2.1, 2.4), (0.9, 1.0)),
    kinks=_JUMPS,
)
fmod = elementwise(
    np.fmod, 1, lambda y, a, b: -trunc(a / b), domain=((2.1, 2.4), (0.9, 1.0)), kinks=_JUMPS
)
_FLAT = "derivative 0 everywhere, also at the jumps"
floor_divide: Op = elementwise(np.floor_divide, domain=((2.1, 2.4), (0.9, 1.0)), kinks=_FLAT)

# -- rounding ------------------------------------------------------------------------------------

_BETWEEN = ((0.1, 0.4),)
floor = elementwise(np.floor, domain=_BETWEEN, kinks=_FLAT)
ceil = elementwise(np.ceil, domain=_BETWEEN, kinks=_FLAT)
trunc: Op = elementwise(np.trunc, domain=_BETWEEN, kinks=_FLAT)
rint = elementwise(np.rint, domain=_BETWEEN, kinks=_FLAT)
spacing = elementwise(np.spacing, kinks=_FLAT)
nextafter = elementwise(np.nextafter, 1, None, kinks="the derivative of its first operand")

# -- binary exponents ----------------------------------------------------------------------------

ldexp: Op = elementwise(
    np.ldexp,
    lambda y, x, i: ldexp(x.dtype.type(1), i),
    None,
    cases=(
        Case(((3,), np.array([1, 0, -2]))),
        Case(((2, 1), np.array([1, 3]))),
        Case(((), 3)),
    ),
)
frexp_exponent = declare(
    Op(
        name="frexp_exponent",
        kind=Kind.ELEMENTWISE,
        infer=lambda x: aval(x.shape, np.intc),
        evaluate=lambda x: np.frexp(x)[1],
        flat=True,
        domain=((0.6, 0.9),),
        cases=UNARY_CASES,
        doc="the binary exponent, the second result of frexp",
    )
)
