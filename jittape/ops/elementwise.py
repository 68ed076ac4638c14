"""Elementwise ops: NumPy's float ufuncs with their partial derivatives.

A partial is a function of (output, *operands), the number 1 or -1, or None where no derivative
flows. Both modes derive from it:
cotangent_i = amul(g, partial_i), tangent = sum of amul(t_i, partial_i). `amul` is the annihilating
product: 0 where a factor is 0, so that 0 * inf in a sweep is 0 (`where(x > 0, log(x), 0)` has no
NaN gradient). It is symmetric because what is an adjoint in one mode is a partial in the other:
`x * log(x)` at 0 has a zero adjoint in reverse mode where forward mode has a zero partial.
Cotangents are transposed without conjugation (JAX's convention).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.errors import DifferentiationError
from jittape.ops.declare import Case, Kind, Op, Refused, declare
from jittape.types import Aval, aval

Partial = Callable[..., Any] | int | Refused | None

BINARY_CASES = (
    Case(((3,), (3,))),
    Case(((), ()), name="scalars"),
    Case(((2, 1, 3), (4, 1)), name="broadcast"),
    Case(((0, 3), (3,)), name="empty"),
)
UNARY_CASES = (Case(((3,),)), Case(((),), name="scalar"), Case(((2, 0),), name="empty"))


def ufunc_infer(ufunc: np.ufunc) -> Callable[..., Aval]:
    """Shape rule of a ufunc: broadcasting and its own choice of dtypes."""

    def infer(*avals: Aval) -> Aval:
        shapes = {a.shape for a in avals if a.shape}
        try:
            # (np.broadcast_shapes takes 20 us)
            shape = np.broadcast_shapes(*shapes) if len(shapes) > 1 else (*shapes, ())[0]
        except ValueError:
            text = " ".join([str(a.shape) for a in avals])
            raise ValueError(
                f"{ufunc.__name__}: operands could not be broadcast together with shapes {text}"
            ) from None
        dtypes = ufunc.resolve_dtypes((*[a.dtype for a in avals], *(None,) * ufunc.nout))
        return aval(shape, dtypes[ufunc.nin])

    return infer


def partial_vjp(partials: tuple[Partial, ...], selects: bool = False) -> Callable[..., Any]:
    """Reverse rule from partial derivatives."""

    def vjp(g: Any, out: Any, *args: Any) -> tuple:
        return tuple([None if p is None else _times(g, p, out, args, selects) for p in partials])

    return vjp


def partial_jvp(partials: tuple[Partial, ...], selects: bool = False) -> Callable[..., Any]:
    """Forward rule from partial derivatives."""

    def jvp(tangents: tuple, out: Any, *args: Any) -> Any:
        total = None
        for t, p in zip(tangents, partials, strict=True):
            if t is not None and p is not None:
                term = _times(t, p, out, args, selects)
                if isinstance(term, Refused):
                    raise DifferentiationError(term.why)
                total = term if total is None else add(total, term)
        return 0.0 if total is None else total

    return jvp


def _times(g: Any, partial: Partial, out: Any, args: tuple, selects: bool) -> Any:
    if callable(partial):
        p = partial(out, *args)
        return amul(p, g) if selects else amul(g, p)
    if isinstance(partial, Refused):
        return partial
    return g if partial == 1 else negative(g)


def elementwise(
    ufunc: np.ufunc,
    *partials: Partial,
    domain: tuple[tuple[float, float], ...] = (),
    kinks: str = "",
    cases: tuple[Case, ...] | None = None,
    doc: str = "",
    selects: bool = False,
    name: str = "",
) -> Op:
    """Declare a ufunc as an op. No partials: its derivative is zero wherever it exists.

    name: of the op, by default that of the ufunc.
    selects: the partials are finite and 0 where an operand is not taken; its cotangent is then 0
    even for an infinite adjoint (`sqrt(maximum(v, 0))` where v < 0).
    """
    if cases is None:
        cases = (UNARY_CASES, BINARY_CASES)[ufunc.nin - 1] if ufunc.nin < 3 else ()
    return declare(
        Op(
            name=name or ufunc.__name__,
            kind=Kind.ELEMENTWISE,
            infer=ufunc_infer(ufunc),
            evaluate=ufunc,
            vjp=partial_vjp(partials, selects) if partials else None,
            jvp=partial_jvp(partials, selects) if partials else None,
            flat=not partials,
            kernel=ufunc,
            numpy=(ufunc,),
            domain=domain or ((-2.0, 2.0),) * ufunc.nin,
            kinks=kinks,
            cases=cases,
            doc=doc,
        )
    )


# -- jittape's own elementwise ops ---------------------------------------------------------------


def _amul(g: Any, p: Any) -> Any:
    none = np.logical_or(np.equal(g, 0), np.equal(p, 0))
    return np.where(none, np.zeros((), np.result_type(g)), np.multiply(g, p))


def _amul_scalar(g: Any, p: Any) -> Any:
    return g * p if g != 0 and p != 0 else np.float64(0.0)


amul: Op = declare(
    Op(
        name="amul",
        kind=Kind.ELEMENTWISE,
        infer=ufunc_infer(np.multiply),
        evaluate=_amul,
        vjp=lambda g, out, a, p: (amul(g, p), amul(g, a)),
        jvp=partial_jvp((lambda y, a, p: p, lambda y, a, p: a)),
        kernel="amul",
        scalar=_amul_scalar,
        domain=((-2.0, 2.0), (-2.0, 2.0)),
        kinks="0 where either factor is 0, whatever the other",
        cases=BINARY_CASES,
        doc="annihilating product of an adjoint (or tangent) and a partial derivative",
    )
)


def _where_infer(c: Aval, a: Aval, b: Aval) -> Aval:
    return aval(np.broadcast_shapes(c.shape, a.shape, b.shape), np.result_type(a.dtype, b.dtype))


def _where_vjp(g: Any, out: Any, c: Any, a: Any, b: Any) -> tuple:
    zero = g.dtype.type(0)
    return None, where(c, g, zero), where(c, zero, g)


def _where_jvp(tangents: tuple, out: Any, c: Any, a: Any, b: Any) -> Any:
    zero = out.dtype.type(0)
    _, ta, tb = tangents
    return where(c, zero if ta is None else ta, zero if tb is None else tb)


where: Op = declare(
    Op(
        name="where",
        kind=Kind.ELEMENTWISE,
        infer=_where_infer,
        evaluate=np.where,
        vjp=_where_vjp,
        jvp=_where_jvp,
        kernel="where",
        cases=(
            Case((np.array([True, False, True]), (3,), (3,))),
            Case((np.array([True, False, True]), (2, 1), ()), name="broadcast"),
        ),
        doc="the elements of a where the condition holds, else those of b",
    )
)


cast: Op = declare(
    Op(
        name="cast",
        kind=Kind.ELEMENTWISE,
        infer=lambda x, dtype: aval(x.shape, dtype),
        evaluate=lambda x, dtype: _cast(x, dtype),
        params=("dtype",),
        vjp=lambda g, out, x, dtype: (g,),
        linear=True,
        kernel="cast",
        cases=(
            Case(((3,),), {"dtype": np.dtype(np.float32)}, "narrower"),
            Case((np.array([1, 2]),), {"dtype": np.dtype(np.float64)}, "from integers"),
            Case((np.array([1 + 2j, 0.5j]),), {"dtype": np.dtype(np.float64)}, "real part"),
        ),
        doc="another dtype; the cotangent is brought back to the operand's",
    )
)


def _cast(x: Any, dtype: np.dtype) -> Any:
    x = np.asarray(x)
    if x.dtype.kind == "c" and dtype.kind != "c":
        x = x.real
    return x.astype(dtype)[()]


def converted(x: Any, dtype: np.dtype) -> Any:
    """x with this dtype, by an op where it has another."""
    return x if x.dtype == dtype else cast(x, dtype=dtype)


# -- the ufuncs that rules are made of -----------------------------------------------------------

POSITIVE = ((0.1, 4.0),)
BOTH = ((-2.0, 2.0), (0.5, 2.0))

add: Op = elementwise(np.add, 1, 1)
subtract = elementwise(np.subtract, 1, -1)
negative: Op = elementwise(np.negative, -1)
positive = elementwise(np.positive, 1)
multiply = elementwise(np.multiply, lambda y, a, b: b, lambda y, a, b: a)
reciprocal: Op = elementwise(np.reciprocal, lambda y, x: -square(y), domain=((0.5, 2.0),))
divide = elementwise(
    np.divide,
    lambda y, a, b: reciprocal(b),
    lambda y, a, b: -(y * reciprocal(b)),
    domain=BOTH,
)
square: Op = elementwise(np.square, lambda y, x: x + x)
sqrt = elementwise(
    np.sqrt, lambda y, x: 0.5 / y, domain=POSITIVE, kinks="inf at 0; a zero adjoint gives 0"
)
exp = elementwise(np.exp, lambda y, x: y)
log = elementwise(np.log, lambda y, x: reciprocal(x), domain=POSITIVE)
sin: Op = elementwise(np.sin, lambda y, x: cos(x))
cos: Op = elementwise(np.cos, lambda y, x: -sin(x))
tanh = elementwise(np.tanh, lambda y, x: 1.0 - square(y))

less = elementwise(np.less)
less_equal = elementwise(np.less_equal)
greater = elementwise(np.greater)
greater_equal = elementwise(np.greater_equal)
equal = elementwise(np.equal)
not_equal = elementwise(np.not_equal)
logical_and = elementwise(np.logical_and)
logical_or = elementwise(np.logical_or)
logical_not = elementwise(np.logical_not)


def share(y: Any, a: Any, b: Any) -> Any:
    """1 where a is the result alone, 1/2 where it ties with b, 0 elsewhere."""
    half = y.dtype.type(0.5)
    one = y.dtype.type(1)
    zero = y.dtype.type(0)
    return where(equal(a, b), half, where(equal(a, y), one, zero))


TIES = "the gradient is shared equally at ties; 0 where the result is NaN"


def extremum(ufunc: np.ufunc) -> Op:
    return elementwise(
        ufunc,
        lambda y, a, b: share(y, a, b),
        lambda y, a, b: share(y, b, a),
        kinks=TIES,
        selects=True,
    )


maximum = extremum(np.maximum)
minimum = extremum(np.minimum)
