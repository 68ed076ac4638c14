"""Orthogonal polynomials, spherical Bessel and related functions of scipy.special.

Formulas: DLMF 18.9 (polynomials), 10.51 (spherical Bessel functions), 14.10 (Legendre functions),
10.6 (Hankel functions), 9.2 (Airy functions).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.special as sp
from scipy.special import _ufuncs

from jittape.ops.elementwise import where
from jittape.ops.scipy_ufunc import ORDER, SHAPE, Partial, special

_INSIDE = (-0.9, 0.9)
_ORDERED = ((0.0, 3.0), (0.5, 4.0))

special(
    sp.eval_jacobi,
    ORDER,
    SHAPE,
    SHAPE,
    lambda y, n, a, b, x: 0.5 * (n + a + b + 1.0) * sp.eval_jacobi(n - 1, a + 1.0, b + 1.0, x),
    domain=((0.0, 3.0), (0.0, 2.0), (0.0, 2.0), _INSIDE),
)
special(
    sp.eval_legendre,
    ORDER,
    lambda y, n, x: 0.5 * (n + 1.0) * sp.eval_jacobi(n - 1, 1.0, 1.0, x),
    domain=((0.0, 3.0), _INSIDE),
)
special(
    sp.eval_gegenbauer,
    ORDER,
    SHAPE,
    lambda y, n, a, x: 2.0 * a * sp.eval_gegenbauer(n - 1, a + 1.0, x),
    domain=((0.0, 3.0), (0.5, 2.0), _INSIDE),
)
special(
    sp.eval_chebyt,
    ORDER,
    lambda y, n, x: n * sp.eval_chebyu(n - 1, x),
    domain=((0.0, 3.0), _INSIDE),
)
special(
    sp.eval_chebyu,
    ORDER,
    lambda y, n, x: 2.0 * sp.eval_gegenbauer(n - 1, 2.0, x),
    domain=((0.0, 3.0), _INSIDE),
)
special(
    sp.eval_genlaguerre,
    ORDER,
    SHAPE,
    lambda y, n, a, x: -sp.eval_genlaguerre(n - 1, a + 1.0, x),
    domain=((0.0, 3.0), (0.0, 2.0), (0.2, 3.0)),
)
special(
    sp.eval_laguerre,
    ORDER,
    lambda y, n, x: -sp.eval_genlaguerre(n - 1, 1.0, x),
    domain=((0.0, 3.0), (0.2, 3.0)),
)
for _hermite, _factor in ((sp.eval_hermite, 2), (sp.eval_hermitenorm, 1)):
    special(
        _hermite,
        ORDER,
        lambda y, n, x, f=_hermite, c=_factor: where(
            np.equal(n, 0), 0.0, c * n * f(np.maximum(n - 1, 0), x)
        ),
        domain=((0, 3), (-2.0, 2.0)),
    )
special(
    sp.lpmv,
    ORDER,
    ORDER,
    lambda y, m, v, x: (v * x * y - (v + m) * sp.lpmv(m, v - 1.0, x)) / (x * x - 1.0),
    domain=((0.0, 2.0), (0.0, 3.0), _INSIDE),
    kinks="NaN at -1 and 1",
)


def _spherical(name: str, here: float, sign: float) -> None:
    f = getattr(_ufuncs, name, None)
    if f is None:
        return  # this version of SciPy calls it otherwise
    # f_n' = here * n / x * f_n + sign * f_(n + 1)
    special(
        f,
        ORDER,
        lambda y, n, x: where(np.equal(n, 0), 0.0, here * n * y / x) + sign * f(n + 1, x),
        domain=_ORDERED,
        kinks="NaN at 0 for n > 0",
    )


_spherical("_spherical_jn", 1.0, -1.0)
_spherical("_spherical_yn", 1.0, -1.0)
_spherical("_spherical_in", 1.0, 1.0)
_spherical("_spherical_kn", 1.0, -1.0)


def _hankel(f: Callable) -> Partial:
    return lambda y, v, z: (f(v - 1.0, z) - f(v + 1.0, z)) * 0.5


special(sp.hankel1, ORDER, _hankel(sp.hankel1), domain=_ORDERED)
special(sp.hankel2, ORDER, _hankel(sp.hankel2), domain=_ORDERED)


def _struve(f: Callable) -> Partial:
    return lambda y, v, x: f(v - 1.0, x) - v / x * y  # DLMF 11.4.29 and 11.4.30


special(sp.struve, ORDER, _struve(sp.struve), domain=_ORDERED)
special(sp.modstruve, ORDER, _struve(sp.modstruve), domain=_ORDERED)
