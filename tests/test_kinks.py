"""Where the derivative is a decision: each line of docs/kinks.md, in both modes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jittape


def both(fun: Any, *args: Any) -> Any:
    """The gradient by all arguments, the same from the reverse and the forward sweep."""
    args = tuple(np.asarray(a, float)[()] for a in args)
    argnums = tuple(range(len(args)))

    def total(*xs: Any) -> Any:
        return np.sum(fun(*xs))

    reverse = jittape.grad(total, argnums)(*args)
    forward = []
    for k, x in enumerate(args):
        column = np.zeros(np.shape(x))
        for index in np.ndindex(np.shape(x)):
            ts = [np.zeros(np.shape(a)) for a in args]
            ts[k][index] = 1.0
            column[index] = jittape.jvp(total, args, tuple(t[()] for t in ts))[1]
        forward.append(column)
    for r, f in zip(reverse, forward, strict=True):
        np.testing.assert_array_equal(r, f)
    return [np.asarray(r).tolist() for r in reverse]


def orders(fun: Any, x: float, n: int) -> list[float]:
    """fun(x) and its derivatives up to order n, reverse over reverse."""
    out = [float(fun(x))]
    for _ in range(n):
        fun = jittape.grad(fun)
        out.append(float(fun(x)))
    return out


@pytest.mark.parametrize("f", [np.maximum, np.minimum, np.fmax, np.fmin])
def test_ties_are_shared_equally(f):
    assert both(f, 2.0, 2.0) == [0.5, 0.5]


@pytest.mark.parametrize("f", [np.max, np.min, np.amax])
def test_ties_of_reductions_are_shared_equally(f):
    assert both(f, [3.0, 3.0, 3.0, 3.0]) == [[0.25] * 4]


def test_max_routes_to_the_larger():
    assert both(np.maximum, 2.0, 3.0) == [0.0, 1.0]
    assert both(np.max, [1.0, 5.0, 5.0]) == [[0.0, 0.5, 0.5]]


def test_running_maximum_shares_ties():
    assert both(np.maximum.accumulate, [1.0, 2.0, 2.0]) == [[1.0, 1.5, 0.5]]


def test_relu_and_clip_at_the_bound():
    assert both(lambda x: np.maximum(0.0, x), 0.0) == [0.5]
    assert both(lambda x: np.clip(x, 0.0, 1.0), [0.0, 0.5, 1.0, 2.0]) == [[0.5, 1.0, 0.5, 0.0]]


def test_abs_and_sign_at_zero():
    assert both(np.abs, 0.0) == [0.0]
    assert both(np.fabs, [0.0, -1.0]) == [[0.0, -1.0]]
    assert both(np.sign, [-1.0, 0.0, 2.0]) == [[0.0, 0.0, 0.0]]
    assert jittape.grad(jittape.grad(abs))(0.0) == 0.0
    assert both(lambda x: np.copysign(x, -1.0), [0.0, 2.0]) == [[0.0, -1.0]]


def test_square_at_zero_to_fourth_order():
    for f in (lambda x: x**2, lambda x: x**2.0, np.square, lambda x: np.power(x, 2.0),
              lambda x: x * x):  # fmt: skip
        assert orders(f, 0.0, 4) == [0.0, 0.0, 2.0, 0.0, 0.0]
    assert orders(lambda x: x**3, 0.0, 5) == [0.0, 0.0, 0.0, 6.0, 0.0, 0.0]


def test_negative_base_with_integer_exponent():
    assert orders(lambda x: x**3, -2.0, 4) == [-8.0, 12.0, -12.0, 6.0, 0.0]
    assert orders(lambda x: np.power(x, 2), -2.0, 3) == [4.0, -4.0, 2.0, 0.0]
    assert orders(lambda x: x**-1, -2.0, 2) == [-0.5, -0.25, -0.25]


def test_exponent_zero_and_base_zero():
    assert orders(lambda x: x**0, 3.0, 2) == [1.0, 0.0, 0.0]
    assert orders(lambda x: x**0.0, 0.0, 2) == [1.0, 0.0, 0.0]
    assert both(lambda x: np.power(x, 0.0), [0.0, 2.0]) == [[0.0, 0.0]]
    assert both(lambda y: np.power(0.0, y), [2.0, 0.5]) == [[0.0, 0.0]]
    assert both(lambda y: np.power(0.0, y), 0.0) == [-np.inf]
    assert orders(lambda y: np.power(0.0, y), 2.0, 2) == [0.0, 0.0, 0.0]
    mixed = jittape.grad(jittape.grad(np.power, 0), 1)
    assert mixed(2.0, 0.0) == 0.5  # d/dy (y x**(y-1)) at y = 0


def test_sqrt_at_zero_and_the_annihilating_zero():
    assert both(np.sqrt, 0.0) == [np.inf]
    assert both(lambda x: np.where(x > 0, np.log(x), 0.0), [0.0, 2.0]) == [[0.0, 0.5]]
    assert both(lambda x: np.where(x > 0, np.sqrt(x), x), [0.0, 4.0]) == [[1.0, 0.25]]
    assert jittape.grad(lambda x: 0.0 * np.log(x))(0.0) == 0.0


def test_hypot_and_arctan2_at_the_origin():
    assert both(np.hypot, 0.0, 0.0) == [0.0, 0.0]
    assert both(np.arctan2, 0.0, 0.0) == [0.0, 0.0]
    hessian = jittape.grad(jittape.grad(np.hypot, 0), (0, 1))
    assert [float(v) for v in hessian(0.0, 0.0)] == [0.0, 0.0]
    hessian = jittape.grad(jittape.grad(np.arctan2, 0), (0, 1))
    assert [float(v) for v in hessian(0.0, 0.0)] == [0.0, 0.0]


def test_complex_abs_and_angle_at_zero():
    assert jittape.grad(np.abs)(0j) == 0.0
    assert jittape.grad(np.angle)(0j) == 0.0


def test_sinc_is_smooth_at_zero():
    value = orders(np.sinc, 0.0, 4)
    np.testing.assert_allclose(value, [1.0, 0.0, -(np.pi**2) / 3, 0.0, np.pi**4 / 5], rtol=1e-14)
    value = orders(np.sinc, 1e-7, 2)
    np.testing.assert_allclose(value, [1.0, -(np.pi**2) / 3 * 1e-7, -(np.pi**2) / 3], rtol=1e-12)


def test_logaddexp_at_infinities():
    low = -np.inf
    assert both(np.logaddexp, low, low) == [0.0, 0.0]
    assert both(np.logaddexp, low, 1.0) == [0.0, 1.0]
    assert both(np.logaddexp, np.inf, 1.0) == [1.0, 0.0]
    assert both(np.logaddexp2, low, low) == [0.0, 0.0]
    assert both(np.logaddexp.reduce, [low, low]) == [[0.0, 0.0]]
    assert both(np.logaddexp.reduce, [low, 0.0, 0.0]) == [[0.0, 0.5, 0.5]]
    assert both(np.logaddexp.accumulate, [low, low, 1.0]) == [[0.0, 0.0, 1.0]]
    assert jittape.grad(jittape.grad(lambda x: np.logaddexp(x, low)))(low) == 0.0


def test_standard_deviation_at_variance_zero():
    assert both(np.std, [2.0, 2.0, 2.0]) == [[0.0, 0.0, 0.0]]
    assert both(np.var, [2.0, 2.0, 2.0]) == [[0.0, 0.0, 0.0]]


def test_products_with_zeros():
    assert both(np.prod, [0.0, 2.0, 3.0]) == [[6.0, 0.0, 0.0]]
    assert both(np.prod, [0.0, 0.0, 3.0]) == [[0.0, 0.0, 0.0]]
    second = jittape.grad(lambda x: jittape.grad(np.prod)(x)[0])
    assert second(np.array([0.0, 0.0, 3.0])).tolist() == [0.0, 3.0, 0.0]
    assert both(np.cumprod, [2.0, 0.0, 3.0]) == [[1.0, 8.0, 0.0]]


@pytest.mark.parametrize("f", [np.floor, np.ceil, np.trunc, np.rint, np.round, np.fix, np.spacing])
def test_rounding_is_flat(f):
    assert both(f, [-1.0, 0.0, 0.5, 1.25]) == [[0.0] * 4]


def test_remainders_keep_the_slope_between_the_jumps():
    assert both(np.mod, 7.0, 2.0) == [1.0, -3.0]
    assert both(np.mod, 6.0, 2.0) == [1.0, -3.0]
    assert both(np.fmod, -7.0, 2.0) == [1.0, 3.0]
    assert both(np.floor_divide, 7.0, 2.0) == [0.0, 0.0]
    assert both(lambda x: np.modf(x)[0], [1.25, -2.0]) == [[1.0, 1.0]]
    assert both(lambda x: np.frexp(x)[0], 3.0) == [0.25]


def test_heaviside_and_nextafter():
    assert both(np.heaviside, 0.0, 0.5) == [0.0, 1.0]
    assert both(np.heaviside, 1.0, 0.5) == [0.0, 0.0]
    assert both(np.nextafter, 1.0, 2.0) == [1.0, 0.0]


def test_nan_is_replaced_without_slope():
    assert both(np.nan_to_num, [np.nan, np.inf, 1.0]) == [[0.0, 0.0, 1.0]]
    assert both(np.nansum, [np.nan, 2.0]) == [[0.0, 1.0]]
    assert both(np.nanmean, [np.nan, 2.0, 4.0]) == [[0.0, 0.5, 0.5]]


@pytest.mark.parametrize(
    ("fun", "expected"),
    [
        (lambda x: x * np.log(x), -np.inf),
        (lambda x: 0.0 * np.log(x), 0.0),
        (lambda x: np.sqrt(x * x), 0.0),
        (lambda x: np.sqrt(np.maximum(x, 0.0)) * 0.0, 0.0),
    ],
)
def test_zero_times_infinity_is_zero_in_both_modes(fun, expected):
    for gradient in (jittape.grad(fun), lambda x: jittape.jvp(fun, (x,), (1.0,))[1]):
        for _ in range(3):  # traced, traced again, replayed
            assert gradient(0.0) == expected
    array = jittape.grad(lambda x: np.sum(fun(x)))
    for _ in range(3):
        np.testing.assert_array_equal(array(np.zeros(3)), np.full(3, expected))
