"""Parts of complex numbers. Cotangents are transposed without conjugation (JAX's convention), so
that the cotangent of the imaginary part is -i times its own."""

from __future__ import annotations

import numpy as np

from jittape.ops.declare import Case, Kind, Op, declare
from jittape.ops.elementwise import UNARY_CASES, ufunc_infer
from jittape.types import Aval, aval

_COMPLEX_CASES = (
    Case((np.array([0.5 + 1.0j, -2.0 + 0.25j]),)),
    Case((np.complex128(1.0 - 2.0j),), name="scalar"),
    Case((np.zeros((0, 2), complex),), name="empty"),
)


def _part(x: Aval) -> Aval:
    return aval(x.shape, np.zeros((), x.dtype).real.dtype)


conjugate: Op = declare(
    Op(
        name="conjugate",
        kind=Kind.ELEMENTWISE,
        infer=ufunc_infer(np.conjugate),
        evaluate=np.conjugate,
        vjp=lambda g, out, x: (conjugate(g),),
        linear=True,
        kernel=np.conjugate,
        numpy=(np.conjugate,),
        domain=((-2.0, 2.0),),
        cases=(*UNARY_CASES, *_COMPLEX_CASES),
    )
)
real = declare(
    Op(
        name="real",
        kind=Kind.ELEMENTWISE,
        infer=_part,
        evaluate=lambda x: np.array(np.real(x))[()],
        vjp=lambda g, out, x: (g,),
        linear=True,
        cases=_COMPLEX_CASES,
        doc="the real part of complex numbers",
    )
)
imag = declare(
    Op(
        name="imag",
        kind=Kind.ELEMENTWISE,
        infer=_part,
        evaluate=lambda x: np.array(np.imag(x))[()],
        vjp=lambda g, out, x: (g * -1j,),
        linear=True,
        cases=_COMPLEX_CASES,
        doc="the imaginary part of complex numbers",
    )
)
