"""Every op and every composite of the tables, at every Case they declare, held against the oracle:
NumPy's value, the complex step or finite differences, forward and reverse, first and second order,
replay with fresh inputs; and in other precisions and memory layouts."""

from __future__ import annotations

import sys
import zlib
from typing import Any

import numpy as np
import pytest
from oracle import check, check_value

from jittape import reference
from jittape.ops.declare import Case, Kind, Op, table
from jittape.tracing.dispatch import Composite, composites

reference.load()  # completes the tables

# ufuncs with complex loops that are not complex-analytic, or lose tiny imaginary parts (expi)
_NOT_ANALYTIC = {"conjugate", "maximum", "minimum", "fmax", "fmin", "rint", "sign", "expi", "wofz"}
# ops whose derivative is not that of their value, which is what they are for
_CUT = {"stop_gradient"}


def is_shape(x: Any) -> bool:
    return type(x) is tuple and all(type(n) is int for n in x)


def sample(args: Any, domain: Any, rng: np.random.Generator, dtype: Any = np.float64) -> list[Any]:
    """Arguments for a Case: shapes become random arrays of the operand's domain."""

    def one(x: Any, low: float, high: float) -> Any:
        if is_shape(x):
            return (
                rng.uniform(low, high, x).astype(dtype)[()] if x else dtype(rng.uniform(low, high))
            )
        if isinstance(x, (list, tuple)):
            return type(x)([one(y, low, high) for y in x])
        if isinstance(x, np.ndarray) and x.dtype == np.float64:
            return x.astype(dtype)
        return x

    if domain and isinstance(domain[0], (int, float)):
        domain = (domain,)
    domain = domain or ((-2.0, 2.0),)
    return [one(x, *domain[min(i, len(domain) - 1)]) for i, x in enumerate(args)]


def rng_for(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def callable_of(op: Op) -> Any:
    """The NumPy ufunc where there is one, so that dispatch is tested too; else the op itself."""
    return op.numpy[0] if op.numpy and isinstance(op.numpy[0], np.ufunc) else op


def analytic(op: Op) -> bool:
    ufunc = callable_of(op)
    return (
        isinstance(ufunc, np.ufunc)
        and "D" * ufunc.nin + "->D" in ufunc.types
        and op.name not in _NOT_ANALYTIC
    )


def label(name: str, case: Case, k: int) -> str:
    return f"{name}-{case.name or k}"


OPS = [op for op in table if op.kind is not Kind.GUARD]
OP_CASES = [
    pytest.param(op, case, id=label(op.name, case, k))
    for op in OPS
    for k, case in enumerate(op.cases)
]
COMPOSITE_CASES = [
    pytest.param(c, case, id=label(c.name, case, k))
    for c in composites
    for k, case in enumerate(c.cases)
]


def no_derivative(op: Op) -> bool:
    rules = op.vjp is not None or op.jvp is not None or op.linear or op.flat
    return not rules or op.name in _CUT


def interesting(case: Case, flat: bool = False) -> int:
    """Up to which order there are numbers to compare: without elements, or where the first
    derivative is 0, the second derivative is only run for its shapes elsewhere."""
    return 1 if flat or "empty" in case.name else 2


@pytest.mark.parametrize("op, case", OP_CASES)
def test_op(op: Op, case: Case) -> None:
    args = sample(case.args, op.domain, rng_for(op.name))
    fun = callable_of(op)
    real = all(np.asarray(x).dtype.kind != "c" for x in args)
    check(
        lambda *xs: fun(*xs, **case.kwargs),
        *args,
        order=0 if no_derivative(op) else min(case.order, interesting(case, flat=op.flat)),
        analytic=real and analytic(op),
    )


@pytest.mark.parametrize("composite, case", COMPOSITE_CASES)
def test_composite(composite: Composite, case: Case) -> None:
    args = sample(case.args, composite.domain, rng_for(composite.name))
    fun = by_its_name(composite.numpy[0])
    check(
        lambda *xs: fun(*xs, **case.kwargs),
        *args,
        # made of ops whose second derivatives are tested at all their cases
        order=min(case.order, 2 if case is composite.cases[0] else 1) * composite.differentiable,
        value_rtol=1e-12,
    )


def by_its_name(function: Any) -> Any:
    """The function as user code finds it: some names of NumPy's are only recorded through their
    module, while a function is traced."""
    module, name = getattr(function, "__module__", None), getattr(function, "__name__", "")
    if getattr(sys.modules.get(module), name, None) is function:
        return lambda *args, **kwargs: getattr(sys.modules[module], name)(*args, **kwargs)
    return function


def layouts(x: np.ndarray) -> dict[str, np.ndarray]:
    """The same numbers in other memory orders."""
    wide = np.zeros([2 * n for n in x.shape], x.dtype)
    inside = wide[tuple(slice(None, None, 2) for _ in x.shape)]
    inside[...] = x
    backwards = np.ascontiguousarray(x[::-1])[::-1]
    frozen = x.copy()
    frozen.flags.writeable = False
    return {"fortran": np.asfortranarray(x), "strided": inside, "negative": backwards,
            "readonly": frozen}  # fmt: skip


# NumPy's own: the special functions are tested in their module
UFUNC_OPS = [op for op in OPS if getattr(np, op.name, None) is callable_of(op) and op.domain]


def takes_floats(op: Op) -> bool:
    return any(t.startswith("d" * op.kernel.nin) for t in op.kernel.types)


FLOAT_OPS = [op for op in UFUNC_OPS if takes_floats(op)]


@pytest.mark.parametrize("op", FLOAT_OPS, ids=lambda op: op.name)
def test_layouts(op: Op) -> None:
    """Fortran order, strides, negative strides and read-only operands."""
    rng = rng_for(op.name)
    args = sample(((2, 3),) * op.kernel.nin, op.domain, rng)
    order = 1 if op.infer(*[_aval(x) for x in args]).inexact else 0
    for name, first in layouts(args[0]).items():
        assert name and np.array_equal(first, args[0])
        check_value(op.kernel, first, *args[1:])
    check(op.kernel, layouts(args[0])["strided"], *args[1:], order=order)


def _aval(x: Any) -> Any:
    from jittape.types import aval_of

    return aval_of(x)


@pytest.mark.parametrize("op", FLOAT_OPS, ids=lambda op: op.name)
def test_single_precision(op: Op) -> None:
    """float32 stays float32, in values and in derivatives; beside float64 it is promoted."""
    rng = rng_for(op.name)
    shapes = ((3,),) * op.kernel.nin
    narrow = sample(shapes, op.domain, rng, np.float32)
    check(op.kernel, *narrow, order=1)
    if op.kernel.nin == 2:
        wide = sample(shapes, op.domain, rng)
        check(op.kernel, narrow[0], wide[1], order=1)
        check_value(lambda x: op.kernel(x, 0.75), narrow[0])


COMPLEX_OPS = [op for op in UFUNC_OPS if analytic(op)]


@pytest.mark.parametrize("op", COMPLEX_OPS, ids=lambda op: op.name)
def test_complex(op: Op) -> None:
    rng = rng_for(op.name)
    args = [
        x + 1j * rng.uniform(0.2, 0.6, x.shape)
        for x in sample(((2,),) * op.kernel.nin, op.domain, rng)
    ]
    check(op.kernel, *args)


def test_every_op_has_cases() -> None:
    # loops, custom rules and what vmap does one by one take functions or ops, and are tested with
    # their transforms
    of_functions = {"scan", "scan_exact", "scan_segment", "residual", "custom_vjp", "looped"}
    assert not {op.name for op in OPS if not op.cases} - of_functions


def test_the_table_covers_numpys_ufuncs() -> None:
    """All float ufuncs of NumPy are recorded; what is left out is listed here, by name."""
    from jittape.tracing.dispatch import implementations, ufuncs

    left_out = {"isnat", "matvec", "vecmat", "vecdot"}
    missing = []
    for name in dir(np):
        ufunc = getattr(np, name)
        if not isinstance(ufunc, np.ufunc) or name in left_out:
            continue
        if ufunc not in ufuncs and ufunc not in implementations:
            missing.append(name)
    assert not missing
