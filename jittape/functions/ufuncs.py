"""Elementwise functions of NumPy that are no single op, ufunc keywords, and their methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.ops import arithmetic as a
from jittape.ops import compare as c
from jittape.ops import complexes as z
from jittape.ops import elementwise as e
from jittape.ops import trigonometric as t
from jittape.ops.declare import Case, Op
from jittape.tracing import tracer
from jittape.tracing.dispatch import implements, lookup
from jittape.tracing.recorder import here
from jittape.tracing.tracer import OUT, Tracer, as_operand, cast, tracer_method

_ARRAY = (Case(((3,),)), Case(((),), name="scalar"), Case(((2, 0),), name="empty"))
_COMPLEX = Case((np.array([0.5 + 1.0j, -2.0 - 0.25j]),), name="complex")


# -- ufunc keywords ------------------------------------------------------------------------------


def finish(value: Any, out: Any, where: Any = True) -> Any:
    """The result of a call that was given out= by position, or where= without out=: the elements
    that NumPy leaves undefined are 0 then, without derivative."""
    if out is not None:
        return lookup(OUT)(lambda: value, out, where=where)
    if where is not True:
        return e.where(condition(where), value, value.dtype.type(0))
    return value


def condition(mask: Any) -> Any:
    """A mask as booleans."""
    mask = as_operand(mask)
    mask = mask if isinstance(mask, Tracer) else np.asarray(mask)
    return mask if mask.dtype.kind == "b" else e.not_equal(mask, 0)


def call_with_keywords(op: Op, inputs: tuple, kwargs: dict) -> Any:
    """A ufunc of the op table called with keywords other than out=."""
    ufunc = op.numpy[0]
    where = kwargs.pop("where", True)
    dtype = kwargs.pop("dtype", None)
    signature = kwargs.pop("signature", None)
    casting = kwargs.pop("casting", "same_kind")
    kwargs.pop("order", None)
    kwargs.pop("subok", None)
    if kwargs:
        raise TypeError(f"{here()}: {op.name} got unexpected keywords {sorted(kwargs)}")
    if dtype is not None or signature is not None:
        inputs = _at_dtypes(ufunc, inputs, _loop(ufunc, dtype, signature), casting)
    return finish(op(*inputs), None, where)


tracer.ufunc_keywords[0] = call_with_keywords


def _loop(ufunc: np.ufunc, dtype: Any, signature: Any) -> tuple:
    """The dtypes of operands and result that dtype= or signature= ask for; None: any."""
    if signature is None or isinstance(signature, type | np.dtype):
        return (*(None,) * ufunc.nin, np.dtype(dtype if signature is None else signature))
    if isinstance(signature, str):
        signature = tuple(signature.replace("->", ""))
    if len(signature) != ufunc.nin + ufunc.nout:
        raise ValueError(f"a signature of {ufunc.__name__} has {ufunc.nin + ufunc.nout} dtypes")
    return tuple([None if t is None else np.dtype(t) for t in signature])


def _at_dtypes(ufunc: np.ufunc, inputs: tuple, loop: tuple, casting: str) -> tuple:
    operands = [as_operand(x) for x in inputs]
    given = [getattr(x, "dtype", None) or np.asarray(x).dtype for x in operands]
    wanted = ufunc.resolve_dtypes((*given, None), signature=loop)
    for have, want in zip(given, wanted, strict=False):
        if not np.can_cast(have, want, casting=casting):  # type: ignore[arg-type]
            raise TypeError(
                f"{here()}: cannot cast input of ufunc {ufunc.__name__!r} from {have} to {want} "
                f"with casting rule {casting!r}"
            )
    return tuple([cast(x, w) for x, w in zip(operands, wanted, strict=False)])


# -- ufuncs that are composites ------------------------------------------------------------------


@implements(np.sign, cases=(*_ARRAY, _COMPLEX), domain=(0.1, 2.0), kinks="derivative 0 by reals")
def sign(x: Any, **keywords: Any) -> Any:
    """sign of reals; x / |x| of complex numbers, whose derivative is not 0."""
    _no_keywords("sign", keywords)
    if x.dtype.kind != "c":
        return a.sign(x)
    size = a.absolute(x)
    zero = e.equal(size, 0)
    return e.where(zero, x.dtype.type(0), x / e.where(zero, size.dtype.type(1), size))


def _no_keywords(name: str, keywords: dict) -> None:
    if keywords:
        raise TraceError(
            f"{here()}: {name} is recorded without keywords; {sorted(keywords)} cannot be used"
        )


@implements(
    np.divmod,
    cases=(Case(((3,), (3,))), Case(((2, 1), (3,)), name="broadcast")),
    domain=(0.9, 1.0),
    kinks="as floor_divide and remainder",
)
def divmod_(x: Any, y: Any, **keywords: Any) -> Any:
    _no_keywords("divmod", keywords)
    return a.floor_divide(x, y), a.remainder(x, y)


@implements(np.modf, cases=_ARRAY, kinks="the integral part has derivative 0")
def modf(x: Any, **keywords: Any) -> Any:
    _no_keywords("modf", keywords)
    whole = a.trunc(x)
    # on the positive side, so that a fraction of 0 keeps the sign of x and the derivative 1
    side = a.copysign(x.dtype.type(1), x)
    fraction = side * (side * x - side * whole)
    return e.where(c.isinf(x), side * x.dtype.type(0), fraction), whole


@implements(np.frexp, cases=_ARRAY, domain=(0.6, 0.9), kinks="the exponent has derivative 0")
def frexp(x: Any, **keywords: Any) -> Any:
    _no_keywords("frexp", keywords)
    exponent = a.frexp_exponent(x)
    return a.ldexp(x, -exponent), exponent


# -- functions -----------------------------------------------------------------------------------


@implements(
    np.clip,
    cases=(
        Case(((5,), -0.5, 0.75)),
        Case(((2, 3), None, 0.5), name="one bound"),
        Case(((2, 3), (3,), (2, 1)), name="arrays"),
        Case(((), -0.5, 0.5), name="scalar"),
    ),
    kinks="as minimum(maximum(x, low), high): shared equally at the bounds",
)
def clip(
    a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None,
    max: Any = None, **keywords: Any,
) -> Any:  # fmt: skip
    low = a_min if min is None else min
    high = a_max if max is None else max
    value = as_operand(a)
    if low is not None:
        value = np.maximum(value, low)
    if high is not None:
        value = np.minimum(value, high)
    dtype = keywords.pop("dtype", None)
    where = keywords.pop("where", True)
    if dtype is not None:
        value = cast(value, np.dtype(dtype))
    return finish(value, out, where)


@implements(
    np.sinc,
    cases=(*_ARRAY, Case((np.array([0.0, 1e-8, -0.3]),), name="at zero")),
    kinks="none: 0 is a smooth point",
)
def sinc(x: Any) -> Any:
    x = as_operand(x)
    if x.dtype.kind not in "fc":
        x = cast(x, np.dtype(np.float64))
    return t.sinc(x, n=0)


@implements(
    np.nan_to_num,
    cases=(*_ARRAY, Case((np.array([np.nan, 1.0, np.inf, -np.inf]),), {"posinf": 9.0}, order=0)),
    kinks="derivative 0 where a number is replaced",
)
def nan_to_num(
    x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    if not copy:
        raise TraceError(f"{here()}: nan_to_num(copy=False) writes in place; assign the result")
    x = as_operand(x)
    kind = x.dtype.kind
    if kind == "c":
        parts = [nan_to_num(f(x), True, nan, posinf, neginf) for f in (z.real, z.imag)]
        return parts[0] + parts[1] * x.dtype.type(1j)
    if kind != "f":
        return x
    info = np.finfo(x.dtype)
    up = info.max if posinf is None else posinf
    down = info.min if neginf is None else neginf
    found = e.where(c.isnan(x), _scalar(nan, x), x)
    found = e.where(e.equal(x, np.inf), _scalar(up, x), found)
    return e.where(e.equal(x, -np.inf), _scalar(down, x), found)


def _scalar(v: Any, like: Any) -> Any:
    return v if isinstance(v, Tracer) else np.asarray(v).astype(like.dtype)[()]


def round_(x: Any, decimals: int = 0, out: Any = None) -> Any:
    value = as_operand(x)
    decimals = int(decimals)
    if value.dtype.kind == "c":
        value = round_(z.real(value), decimals) + round_(z.imag(value), decimals) * 1j
    elif value.dtype.kind == "f":
        scale = value.dtype.type(10.0 ** abs(decimals))
        if decimals > 0:
            value = a.rint(value * scale) / scale
        elif decimals < 0:
            value = a.rint(value / scale) * scale
        else:
            value = a.rint(value)
    elif decimals < 0:
        raise TraceError(f"{here()}: round of integers to tens is not recorded by jittape")
    return finish(value, out)


@implements(np.round, np.around, cases=(Case(((3,),)), Case(((3,), 1))), kinks="derivative 0")
def round_of(a: Any, decimals: int = 0, out: Any = None) -> Any:
    return round_(a, decimals, out)


@implements(np.fix, cases=_ARRAY, kinks="derivative 0")
def fix(x: Any, out: Any = None) -> Any:
    return finish(a.trunc(as_operand(x)), out)


@implements(np.real, cases=(*_ARRAY, _COMPLEX))
def real(val: Any) -> Any:
    val = as_operand(val)
    return z.real(val) if val.dtype.kind == "c" else val


@implements(np.imag, cases=(*_ARRAY, _COMPLEX))
def imag(val: Any) -> Any:
    val = as_operand(val)
    return z.imag(val) if val.dtype.kind == "c" else np.zeros(val.shape, val.dtype)[()]


@implements(
    np.angle, cases=(*_ARRAY, _COMPLEX, Case((np.array([1j, -1.0 + 0.5j]), True))),
    kinks="derivative 0 at 0 and by real numbers",
)  # fmt: skip
def angle(z: Any, deg: bool = False) -> Any:
    value = _angle(as_operand(z))
    return value * (180 / np.pi) if deg else value


def _angle(x: Any) -> Any:
    if x.dtype.kind == "c":
        return t.arctan2(z.imag(x), z.real(x))
    x = x if x.dtype.kind == "f" else cast(x, np.dtype(np.float64))
    value = e.where(e.less(x, 0), x.dtype.type(np.pi), x.dtype.type(0))
    return e.where(c.isnan(x), x, value)


def _real(x: Any) -> Any:
    x = as_operand(x)
    if x.dtype.kind == "c":
        raise TypeError(
            f"This operation is not supported for {x.dtype} values because it would be ambiguous."
        )
    return x


@implements(np.isposinf, cases=_ARRAY, differentiable=False)
def isposinf(x: Any, out: Any = None) -> Any:
    return finish(e.equal(_real(x), np.inf), out)


@implements(np.isneginf, cases=_ARRAY, differentiable=False)
def isneginf(x: Any, out: Any = None) -> Any:
    return finish(e.equal(_real(x), -np.inf), out)


# -- methods -------------------------------------------------------------------------------------


@tracer_method("clip")
def clip_method(self: Tracer, min: Any = None, max: Any = None, **keywords: Any) -> Any:
    return clip(self, min, max, **keywords)


@tracer_method("round")
def round_method(self: Tracer, decimals: int = 0, out: Any = None) -> Any:
    return round_(self, decimals, out)


@tracer_method("__round__")
def python_round(self: Tracer, digits: int | None = None) -> Any:
    if self.shape:
        raise TypeError("type numpy.ndarray doesn't define __round__ method")
    if digits is None and self.dtype.kind == "f":
        return cast(a.rint(self), np.dtype(np.int64))  # Python gives an int; so here, unguarded
    return round_(self, digits or 0)


@tracer_method("conj", "conjugate")
def conjugate_method(self: Tracer) -> Any:
    return z.conjugate(self) if self.dtype.kind == "c" else self


@tracer_method("item")
def item(self: Any, *index: Any) -> Any:
    """The element as a 0-d traced value: no guard, and gradients flow."""
    if not index:
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.reshape(()) if self.shape else self
    if len(index) == 1 and not isinstance(index[0], tuple):
        return self.reshape(-1)[index[0]] if self.ndim != 1 else self[index[0]]
    return self[index[0] if len(index) == 1 else index]


def _set_real(self: Any, value: Any) -> None:
    self[...] = value if self.dtype.kind != "c" else value + imag(self) * 1j


def _set_imag(self: Any, value: Any) -> None:
    if self.dtype.kind != "c":
        raise TypeError("array does not have imaginary part to set")
    self[...] = real(self) + as_operand(value) * 1j


tracer_method("real")(property(real, _set_real))  # type: ignore[arg-type]
tracer_method("imag")(property(imag, _set_imag))  # type: ignore[arg-type]
