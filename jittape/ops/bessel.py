"""The Bessel functions of scipy.special. Formulas: DLMF 10.6 and 10.29."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.special as sp

from jittape.ops.scipy_ufunc import ORDER, Partial, special

# -- Bessel functions ----------------------------------------------------------------------------


def _half_difference(f: Callable) -> Partial:
    return lambda y, v, x: (f(v - 1, x) - f(v + 1, x)) * 0.5


special(sp.j0, lambda y, x: -sp.j1(x))
special(sp.j1, lambda y, x: (sp.j0(x) - sp.jv(2.0, x)) * 0.5)
special(sp.y0, lambda y, x: -sp.y1(x), domain=(0.5, 4.0))
special(sp.y1, lambda y, x: (sp.y0(x) - sp.yv(2.0, x)) * 0.5, domain=(0.5, 4.0))
special(sp.i0, lambda y, x: sp.i1(x))
special(sp.i1, lambda y, x: (sp.i0(x) + sp.iv(2.0, x)) * 0.5)
special(sp.k0, lambda y, x: -sp.k1(x), domain=(0.5, 4.0))
special(sp.k1, lambda y, x: (sp.k0(x) + sp.kv(2.0, x)) * -0.5, domain=(0.5, 4.0))
_SCALED = "exp(-|x|) has derivative 0 at 0"
special(sp.i0e, lambda y, x: sp.i1e(x) - np.sign(x) * y, kinks=_SCALED)
special(sp.i1e, lambda y, x: (sp.i0e(x) + sp.ive(2.0, x)) * 0.5 - np.sign(x) * y, kinks=_SCALED)
special(sp.k0e, lambda y, x: y - sp.k1e(x), domain=(0.5, 4.0))
special(sp.k1e, lambda y, x: y - (sp.k0e(x) + sp.kve(2.0, x)) * 0.5, domain=(0.5, 4.0))

_ORDERED = ((0.0, 3.0), (0.5, 4.0))
special(sp.jv, ORDER, _half_difference(sp.jv), domain=_ORDERED)
special(sp.jve, ORDER, _half_difference(sp.jve), domain=_ORDERED)
special(sp.yn, ORDER, _half_difference(sp.yv), domain=_ORDERED)
special(sp.yv, ORDER, _half_difference(sp.yv), domain=_ORDERED)
special(sp.yve, ORDER, _half_difference(sp.yve), domain=_ORDERED)
special(sp.iv, ORDER, lambda y, v, x: (sp.iv(v - 1, x) + sp.iv(v + 1, x)) * 0.5, domain=_ORDERED)
special(
    sp.ive,
    ORDER,
    lambda y, v, x: (sp.ive(v - 1, x) + sp.ive(v + 1, x)) * 0.5 - np.sign(x) * y,
    domain=_ORDERED,
    kinks=_SCALED,
)
_kv = lambda y, v, x: (sp.kv(v - 1, x) + sp.kv(v + 1, x)) * -0.5  # noqa: E731
special(sp.kn, ORDER, _kv, domain=_ORDERED)
special(sp.kv, ORDER, _kv, domain=_ORDERED)
special(
    sp.kve, ORDER, lambda y, v, x: y - (sp.kve(v - 1, x) + sp.kve(v + 1, x)) * 0.5, domain=_ORDERED
)
