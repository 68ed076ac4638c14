"""Python's math on traced numbers."""

import cmath
import math
import warnings
from cmath import exp as complex_exp
from math import atan2
from math import sin as sine

import numpy as np
import pytest
from oracle import check, check_value

import jittape
from jittape.errors import LostGradientWarning, TraceError

FUNCTIONS = {
    "sin": 0.3, "cos": 0.3, "tan": 0.3, "exp": 0.3, "expm1": 0.3, "exp2": 0.3, "cbrt": 0.3,
    "sinh": 0.3, "cosh": 0.3, "tanh": 0.3, "asinh": 0.3, "atan": 0.3, "radians": 30.0,
    "degrees": 0.3, "fabs": -0.3, "sqrt": 0.3, "log": 0.3, "log2": 0.3, "log10": 0.3,
    "log1p": 0.3, "asin": 0.3, "acos": 0.3, "acosh": 1.3, "atanh": 0.3,
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_of_one_number(name):
    f = getattr(math, name)
    check(lambda x: getattr(math, name)(x), FUNCTIONS[name], value_rtol=1e-13)
    # the results of several calls, and constants beside
    check(
        lambda x: getattr(math, name)(x) * x + f(0.5 if name != "acosh" else 1.5), 1.0 + 0.1
    ) if name not in ("asin", "acos", "atanh") else None


@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: math.pow(x, y),
        lambda x, y: math.pow(x, 2),
        lambda x, y: math.atan2(x, y),
        lambda x, y: math.hypot(x, y),
        lambda x, y: math.hypot(x, y, 2.0),
        lambda x, y: math.hypot(x),
        lambda x, y: math.dist([x, 1.0], (y, x)),
        lambda x, y: math.log(x, 3),
        lambda x, y: math.log(2.0, y),
        lambda x, y: math.fmod(x, y),
        lambda x, y: math.copysign(x, -y),
        lambda x, y: math.fsum([x, y, 1.0]),
        lambda x, y: math.prod([x, y, 2.0], start=3),
        lambda x, y: math.fsum(t * t for t in (x, y, 1.0)) + math.prod(map(abs, (2.0, x))),
        lambda x, y: math.prod((2.0, 3.0), start=x) * math.dist((1.0, 2.0), iter([x, y])),
        lambda x, y: math.remainder(x, y) + math.remainder(5 * x, 0.8) + math.remainder(2.5, y),
        lambda x, y: math.modf(x)[0] * y,
        lambda x, y: x * math.isclose(y, 0.6) + y * math.isfinite(x),
        lambda x, y: x * math.floor(y + 3) * math.ceil(x) + math.trunc(y),
        lambda x, y: sine(x) * atan2(y, x),
    ],
)
def test_of_several(f):
    check(f, 0.7, 0.6, value_rtol=1e-13)


def test_special_functions():
    pytest.importorskip("scipy.special")
    check(lambda x: math.erf(x) + math.erfc(2 * x), 0.4, value_rtol=1e-13)
    check(lambda x: math.gamma(x) * math.lgamma(x), 2.4, value_rtol=1e-12)


def test_numbers_stay_python_floats_to_promotion():
    def f(x):
        return np.float32(2.0) * math.sin(x)

    assert jittape.jit(f)(0.5).dtype == np.float32


def test_errors_are_maths():
    with pytest.raises(ValueError):
        jittape.grad(lambda x: math.sqrt(x))(-1.0)
    with pytest.raises(OverflowError):
        jittape.grad(lambda x: math.exp(x))(1000.0)
    with pytest.raises(TypeError, match="number"):
        jittape.grad(lambda x: math.sin(x))(np.ones(3))
    with pytest.raises(ValueError):
        jittape.grad(lambda x: math.remainder(x, 0.0))(1.0)
    with pytest.raises(TraceError, match=r"test_math\.py:\d+: math\.frexp"):
        jittape.grad(lambda x: math.frexp(x)[0])(1.0)


def test_remainder_is_maths_to_the_last_bit():
    f = jittape.jit(math.remainder)
    for x in (0.0, 0.5, 1.0, 1.5, 2.5, 3.0, 4.5, 5.0, 7.3, 1e17, 2.9999999999999996):
        for y in (1.0, 2.0, -3.0, 0.3, math.inf):
            for v in (x, -x):
                assert f(v, y) == math.remainder(v, y), (v, y)


def test_functions_of_math_themselves():
    assert jittape.grad(math.sin)(0.5) == math.cos(0.5)
    assert jittape.value_and_grad(math.fsum)((1.0, 2.0)) == (3.0, (1.0, 1.0))


COMPLEX = {
    "sqrt": cmath.sqrt, "exp": cmath.exp, "log": cmath.log, "log10": cmath.log10,
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "sinh": cmath.sinh, "cosh": cmath.cosh,
    "tanh": cmath.tanh, "asin": cmath.asin, "acos": cmath.acos, "atan": cmath.atan,
    "asinh": cmath.asinh, "acosh": cmath.acosh, "atanh": cmath.atanh,
}  # fmt: skip


@pytest.mark.parametrize("name", COMPLEX)
def test_of_one_complex_number(name):
    plain = COMPLEX[name]

    def value(x, y):
        z = getattr(cmath, name)(x + 1j * y)
        return z.real + 2.0 * z.imag + getattr(cmath, name)(-0.3 - x * x).imag

    check(value, 0.3, 0.4, value_rtol=1e-12)
    assert getattr(cmath, name) is plain


def test_complex_numbers_of_real_ones():
    def value(x, y):
        r, phi = cmath.polar(x + 1j * y)
        z = cmath.rect(r, 2 * phi) * complex_exp(1j * x) + cmath.log(x, 2) + cmath.sqrt(-y)
        near = cmath.isclose(x, 0.7, abs_tol=0.1)
        return abs(z) + cmath.phase(z) + x * near + y * cmath.isfinite(z)

    check(value, 0.7, 0.6, value_rtol=1e-12)


def test_errors_are_cmaths():
    def f(x):
        try:
            return cmath.log(x).real
        except ValueError:
            return 3 * x

    g = jittape.value_and_grad(f)
    for x, expected in ((2.0, (math.log(2), 0.5)), (0.0, (0.0, 3.0)), (-4.0, (math.log(4), -0.25))):
        assert g(x) == pytest.approx(expected, rel=1e-14)
        assert g(x) == pytest.approx(expected, rel=1e-14)
    with pytest.raises(OverflowError):
        jittape.grad(lambda x: cmath.exp(x).real)(1000.0)
    with pytest.raises(TypeError, match=r"test_math\.py:\d+: cmath.sin takes a number"):
        jittape.grad(lambda x: cmath.sin(x))(np.ones(3))


def test_a_handler_is_a_path():
    def root(x):
        try:
            return math.sqrt(x) * x
        except ValueError:
            return -x * x

    def big(x):
        try:
            return math.exp(x)
        except OverflowError:
            return x * 2

    for f, values in ((root, (2.0, -1.0, 3.0, -2.0, 0.5)), (big, (800.0, 1.0, 2.0, 900.0))):
        g = jittape.value_and_grad(f)
        for x in values:
            value, slope = g(x)
            assert value == pytest.approx(f(x), rel=1e-14)
            h = 1e-6
            assert slope == pytest.approx((f(x + h) - f(x - h)) / (2 * h), rel=1e-6)


def test_where_the_name_is_not_reached_the_line_is_named():
    hidden = {"sin": math.sin}
    with pytest.raises(TraceError, match=r"test_math\.py:\d+: .*sin.*derivative"):
        jittape.grad(lambda x: hidden["sin"](x))(1.0)


def test_integers():
    check_value(lambda x: math.factorial(int(x)) * math.gcd(int(x), 6) * x, 4.5)


def test_pythons_numbers_are_pythons():
    kinds = []

    def f(x):
        kinds.extend([type(math.sin(1.0)), type(math.floor(2.5)), type(math.fsum([1.0]))])
        return x

    jittape.grad(f)(1.0)
    assert kinds == [float, int, float]


def test_a_bare_number_is_told_once_per_line():
    def f(x):
        total = 0.0
        for _ in range(3):
            total += float(x)
        return total * x

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default", LostGradientWarning)
        assert jittape.grad(f)(2.0) == 6.0
    assert [(w.filename, w.lineno) for w in told] == [(__file__, f.__code__.co_firstlineno + 3)]


def test_bare_numbers_that_are_only_looked_at():
    def f(x):
        text = f"{float(x):.3f} {x:.3f} " + "%g" % x  # noqa: UP031
        assert text
        if float(x) > 1 and int(x) < 10 and not math.isnan(x):
            return x**2
        return float(jittape.stop_gradient(x)) * x if hasattr(jittape, "stop_gradient") else x

    g = jittape.grad(f)
    assert g(2.0) == 4.0
    assert g(3.0) == 6.0


def test_what_takes_no_derivative_is_only_guarded():
    f = jittape.jit(lambda x, n: x * float(n))
    assert f(2.0, 3.0) == 6.0
    assert f(2.0, 4.0) == 8.0
    assert jittape.grad(lambda x, n: x * float(n))(2.0, 5.0) == 5.0
    assert jittape.grad(lambda x: x * float(np.floor(x)))(2.5) == 2.0
