"""The functions of Python's math on tracers.

Each raises what math raises at the values traced, and a guard keeps a replay from going where
math would raise ValueError or OverflowError. Results are Python floats to NumPy's promotion rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.tracing.guards import concrete
from jittape.tracing.patches import PatchedMathOfMany, patch_math
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer


def number(x: Any, name: str) -> Any:
    """x as math takes it: a real number."""
    if not isinstance(x, Tracer):
        return float(x)
    if x.ndim:
        raise TypeError(f"{here()}: math.{name} takes a number, not an array; use NumPy's function")
    if x.dtype.kind == "c":
        raise TypeError(f"{here()}: math.{name} takes a real number; use NumPy's function")
    return x


def plain(x: Any) -> Any:
    """The value of a number now."""
    return concrete(x).item() if isinstance(x, Tracer) else x


def weak(x: Any) -> Any:
    """A result, which is a Python float."""
    if isinstance(x, Tracer):
        x._weak = True
    return x


# where math raises OverflowError, NumPy gives inf: a replay must not go there either
OVERFLOWS = {"exp", "exp2", "expm1", "sinh", "cosh", "pow", "gamma", "lgamma"}


def checked(name: str, args: tuple, record: Callable) -> Any:
    """record(*args), after Python's own function has had the chance to raise."""
    try:
        getattr(math, name)(*[plain(a) for a in args])
    except OverflowError:
        bool(np.abs(record(*args)) < math.inf)  # the user may handle it
        raise
    result = record(*args)
    if name in OVERFLOWS:
        bool(np.abs(result) < math.inf)
    return weak(result)


def function(name: str, record: Callable, within: Callable | None = None) -> None:
    """math.<name> is `record`. within(*args): true where math raises no ValueError."""

    def run(*args: Any) -> Any:
        args = tuple([number(a, name) for a in args])
        if any(isinstance(a, Tracer) and not a._trace.concrete for a in args):
            return weak(record(*args))  # one program for many elements: as NumPy, NaN and inf
        if within is not None:
            bool(within(*args))
        return checked(name, args, record)

    run.__name__ = name
    patch_math(name, run)


def _log(x: Any, base: Any = math.e) -> Any:
    return np.log(x) if base is math.e else np.log(x) / np.log(base)


for _name in ("sin", "cos", "tan", "exp", "expm1", "sinh", "cosh", "tanh", "radians", "degrees"):
    function(_name, getattr(np, _name))
for _name, _ufunc in {"atan": np.arctan, "asinh": np.arcsinh, "fabs": np.fabs}.items():
    function(_name, _ufunc)
for _name in ("exp2", "cbrt"):
    function(_name, getattr(np, _name))
function("sqrt", np.sqrt, lambda x: x >= 0)
function("log", _log, lambda x, base=2.0: np.logical_and(x > 0, base > 0))
function("log2", np.log2, lambda x: x > 0)
function("log10", np.log10, lambda x: x > 0)
function("log1p", np.log1p, lambda x: x > -1)
function("asin", np.arcsin, lambda x: np.abs(x) <= 1)
function("acos", np.arccos, lambda x: np.abs(x) <= 1)
function("acosh", np.arccosh, lambda x: x >= 1)
function("atanh", np.arctanh, lambda x: np.abs(x) < 1)
function("atan2", np.arctan2)
function("copysign", np.copysign)
function("fmod", np.fmod, lambda x, y: y != 0)


def _pow_within(x: Any, y: Any) -> Any:
    """Python raises for negative numbers to broken powers, and for 0 to negative ones."""
    whole = type(y) in (float, np.float64) and y == int(y)
    if whole and y >= 0:
        return True
    return x != 0 if whole else x > 0


function("pow", np.power, _pow_within)


def hypot(*coordinates: Any) -> Any:
    """math.hypot, by repeated np.hypot."""
    numbers = [number(x, "hypot") for x in coordinates]
    if len(numbers) == 1:
        return weak(np.abs(numbers[0]))
    total = numbers[0]
    for x in numbers[1:]:
        total = np.hypot(total, x)
    return weak(total)


def dist(p: Any, q: Any) -> Any:
    """math.dist: the Euclidean distance of two points."""
    p, q = list(p), list(q)
    if len(p) != len(q):
        raise ValueError("both points must have the same number of dimensions")
    return hypot(*[a - b for a, b in zip(p, q, strict=True)])


def total(name: str) -> Callable:
    def run(values: Any, *, start: Any = None) -> Any:
        result = (0.0 if name == "fsum" else 1) if start is None else start
        for x in values:
            x = number(x, name)
            result = result + x if name == "fsum" else result * x
        return weak(result)

    return run


def is_what(name: str, ufunc: Any) -> None:
    patch_math(name, lambda x: bool(ufunc(number(x, name))))


def isclose(a: Any, b: Any, *, rel_tol: float = 1e-9, abs_tol: float = 0.0) -> bool:
    """math.isclose; its outcome is guarded."""
    return close(number(a, "isclose"), number(b, "isclose"), rel_tol, abs_tol)


def close(a: Any, b: Any, rel_tol: float, abs_tol: float) -> bool:
    """isclose of two numbers, real or complex."""
    if bool(a == b):
        return True
    size = np.maximum(np.abs(a), np.abs(b))
    return bool(np.abs(a - b) <= np.maximum(rel_tol * size, abs_tol)) and bool(np.isfinite(size))


def whole(name: str, ufunc: Any) -> Callable:
    def run(x: Any) -> int:
        return int(ufunc(number(x, name)))

    return run


def sumprod(p: Any, q: Any) -> Any:
    """math.sumprod: the sum of products of two sequences."""
    if len(p) != len(q):
        raise ValueError("Inputs are not the same length")
    return total("fsum")([a * b for a, b in zip(p, q, strict=True)])


def remainder(x: Any, y: Any) -> Any:
    """math.remainder: x less the nearest multiple of y, of two equally near ones the even. No
    step of it rounds."""
    size = np.abs(y)
    rest = np.fmod(x, y)
    tie = np.logical_and(2 * np.abs(rest) == size, np.abs(np.fmod(x, 2 * y)) >= size)
    far = np.logical_or(2 * np.abs(rest) > size, tie)
    return rest - np.where(far, np.copysign(size, rest), 0.0)


function("remainder", remainder, lambda x, y: np.logical_and(y != 0, np.isfinite(x)))
patch_math("hypot", hypot)
patch_math("dist", dist, PatchedMathOfMany)
patch_math("fsum", total("fsum"), PatchedMathOfMany)
patch_math("prod", total("prod"), PatchedMathOfMany)
if hasattr(math, "sumprod"):
    patch_math("sumprod", sumprod, PatchedMathOfMany)
patch_math("isclose", isclose)
for _name, _ufunc in {"isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite}.items():
    is_what(_name, _ufunc)
for _name, _ufunc in {"floor": np.floor, "ceil": np.ceil, "trunc": np.trunc}.items():
    patch_math(_name, whole(_name, _ufunc))


def modf(x: Any) -> tuple[Any, Any]:
    """math.modf: fractional and integral part."""
    x = number(x, "modf")
    integral = np.trunc(x)
    return weak(x - integral), weak(integral)


patch_math("modf", modf)


def special(name: str, scipy_name: str) -> None:
    """math.erf and its kin are SciPy's, where SciPy is there."""

    def run(x: Any) -> Any:
        x = number(x, name)
        try:
            from scipy import special as functions
        except ImportError as e:
            raise TraceError(
                f"{here()}: math.{name} of a traced value is recorded as SciPy's function, and "
                "SciPy is not installed; install it, or write the function with NumPy"
            ) from e
        return checked(name, (x,), getattr(functions, scipy_name))

    run.__name__ = name
    patch_math(name, run)


special("erf", "erf")
special("erfc", "erfc")
special("gamma", "gamma")
special("lgamma", "gammaln")

# what has no derivative rule, or takes integers only, still must not see a bare float
_INTEGERS = "comb factorial gcd isqrt lcm perm".split()
_REFUSED = "frexp ldexp nextafter ulp fma".split()


def _integers(name: str) -> Callable:
    return lambda *args: getattr(math, name)(*[a.__index__() for a in args])


def _refused(name: str) -> Callable:
    def run(*args: Any, **kwargs: Any) -> Any:
        raise TraceError(
            f"{here()}: math.{name} of a traced value is not recorded; write it with NumPy's "
            "functions or operators"
        )

    return run


for _name in _INTEGERS:
    patch_math(_name, _integers(_name))
for _name in _REFUSED:
    if hasattr(math, _name):
        patch_math(_name, _refused(_name))
