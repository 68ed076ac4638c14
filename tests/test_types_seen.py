"""What the user's function finds out about the types of its arguments is what it is in NumPy."""

import functools
import numbers
from fractions import Fraction

import numpy as np
import pytest

import jittape


@pytest.mark.parametrize("kind", [np.ndarray, float, np.floating, np.float64, list, numbers.Real,
                                  (int, float), complex, np.float32, type(None)])  # fmt: skip
def test_isinstance_is_as_in_numpy(kind):
    def fun(x):
        first = x[0]
        total = x.sum()
        a = 2.0 if isinstance(x, kind) else 3.0
        b = 5.0 if isinstance(first, kind) else 7.0
        c = 11.0 if isinstance(total * 2, kind) else 13.0
        return total * a * b * c

    x = np.array([1.5, -0.5])
    for _ in range(3):
        value, slope = jittape.value_and_grad(fun)(x)
        assert value == fun(x)
        np.testing.assert_array_equal(slope, np.full(2, fun(x)))


def test_float_argument_is_a_float_and_a_single_one_is_not():
    def fun(x):
        if np.isscalar(x) and isinstance(x, float):
            return x * 3
        return x * 5

    assert jittape.grad(fun)(1.5) == 3
    assert jittape.grad(fun)(np.float32(1.5)) == 5


def test_single_dispatch_takes_the_array_branch():
    @functools.singledispatch
    def area(x):
        raise NotImplementedError

    @area.register
    def _(x: float):
        return x * x

    @area.register
    def _(x: np.ndarray):
        return (x**3).sum()

    assert jittape.grad(area)(1.5) == 3.0
    np.testing.assert_allclose(jittape.grad(area)(np.array([1.0, 2.0])), [3, 12])


def test_fractions_are_numbers():
    assert jittape.grad(lambda x: x * Fraction(1, 4) + Fraction(1, 2) / x)(1.0) == -0.25


def test_traced_masks_and_positions_index_captured_arrays():
    data = np.array([1.0, 2.0, 4.0, 8.0])

    def fun(x):
        order = np.argsort(x)
        positive = x > 0
        whole = np.int64(np.floor(x))
        return data[order] @ x + data[positive].sum() * x.sum() + data[whole] @ x

    gradient = jittape.grad(fun)
    for x in ([3.2, 0.1, -1.5, 2.2], [0.2, 3.1, 1.5, -2.2], [3.2, 0.1, -1.5, 2.2]):
        x = np.array(x)
        for _ in range(3):
            want = data[np.argsort(x)] + data[x > 0].sum() + data[np.int64(np.floor(x))]
            np.testing.assert_allclose(gradient(x), want, rtol=1e-14)


@pytest.mark.parametrize("name", ["brentq", "quad"])
def test_compiled_callers_do_not_swallow_the_error(name):
    optimize = pytest.importorskip("scipy.optimize")
    integrate = pytest.importorskip("scipy.integrate")

    def brentq(x):
        return optimize.brentq(lambda z: z**3 - x, 0, 5)

    def quad(x):
        return integrate.quad(lambda s: s * x, 0, 1)[0]

    with pytest.raises(jittape.errors.TraceError, match=f"{name} takes the bare value.*custom_vjp"):
        jittape.grad({"brentq": brentq, "quad": quad}[name])(1.3)


def test_selection_keeps_an_infinite_adjoint_from_what_was_not_taken():
    def fun(v):
        return np.sqrt(np.maximum(v, 0)).sum() + np.sqrt(np.clip(v, 0, 9)).sum() + np.sqrt(v.max())

    v = np.array([-1.0, 2.0, 4.0])
    want = [0, 1 / np.sqrt(2), 1 / 2 + 1 / 4]
    np.testing.assert_allclose(jittape.grad(fun)(v), want, rtol=1e-14)
    for k in range(3):
        assert jittape.jvp(fun, (v,), (np.eye(3)[k],))[1] == pytest.approx(want[k], rel=1e-14)


def test_integer_array_beside_an_outer_tracer_inside_of_grad():
    whole = np.array([1, 2])

    def fun(x, a):
        return x.sum() * np.hypot(whole, a).sum() + (whole * a).sum()

    gradient = jittape.grad(fun)
    for a in (1.5, 1.5, 2.5, 3.5):
        x = np.array([0.2, 0.5])
        np.testing.assert_allclose(gradient(x, a), np.full(2, np.hypot(whole, a).sum()))
