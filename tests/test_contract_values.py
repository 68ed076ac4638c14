"""The contract on memory and on numbers at kinks, sentence by sentence, as test_contract.py."""

import numpy as np
import pytest
from sequences import agree

import jittape
import jittape.scipy.special

# -- memory ----------------------------------------------------------------------------------


def test_a_users_own_input_is_never_mutated():
    def fun(x):
        x[0] = x[0] * 3.0
        x += 1.0
        return np.sum(x * x)

    g = jittape.grad(fun)
    for k in range(4):
        x = np.array([1.0, 2.0]) + k
        before = x.copy()
        g(x)
        assert np.array_equal(x, before)


def test_writes_to_fresh_arrays_with_views_and_overlaps():
    def fun(t):
        y = np.zeros(5)
        y[0] = t
        y[1] = np.sin(t) if t > 0.5 else t * t
        y[1:] += y[:-1]
        view = y[::2]
        view *= 2.0
        view[1:] += y[:-1:2]
        return y[0] + 3.0 * y[2] * y[4] + np.sum(y)

    g = jittape.grad(fun)
    points = [0.7, 0.2, 1.5, 0.7, 0.3]
    agree(g, fun, points + points[::-1])


@pytest.mark.parametrize(
    "layout", ["fortran", "negative", "readonly", "strided", "transposed", "broadcast"]
)
def test_any_layout_of_inputs(layout):
    def fun(x):
        return np.sum(x * x * np.arange(6.0).reshape(2, 3))

    def laid_out(x):
        if layout == "fortran":
            return np.asfortranarray(x)
        if layout == "negative":
            return x[::-1, ::-1].copy()[::-1, ::-1]
        if layout == "readonly":
            x = x.copy()
            x.flags.writeable = False
            return x
        if layout == "broadcast":
            return np.broadcast_to(x[:1], (2, 3))
        if layout == "strided":
            return np.repeat(x, 2, axis=1)[:, ::2]
        return x.T.copy().T

    g = jittape.grad(fun)
    rng = np.random.default_rng(2)
    agree(g, fun, [laid_out(rng.normal(size=(2, 3))) for _ in range(4)])


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1, 1)])
def test_scalars_and_empty_arrays(shape):
    g = jittape.value_and_grad(lambda x: np.sum(x * x * 2.0))
    for _ in range(4):
        x = np.full(shape, 3.0)
        value, gradient = g(x)
        assert value == np.sum(x * x * 2.0)
        assert gradient.shape == shape and np.all(gradient == 12.0)


def test_promotion_is_numpys():
    @jittape.jit
    def f(x, y):
        return x * 2.0 + y, x + np.float64(1.0), y * 3

    x = np.ones(2, np.float32)
    for y in (1.0, np.float32(1.0), np.float64(1.0), 2, np.ones(2), np.ones(2, np.float32)):
        for _ in range(3):
            want = x * 2.0 + y, x + np.float64(1.0), y * 3
            for a, b in zip(f(x, y), want, strict=True):
                assert np.asarray(a).dtype == np.asarray(b).dtype
                assert np.array_equal(a, b)


def test_what_is_not_tracked_does_not_vanish():
    with pytest.raises(TypeError, match=r"test_contract_values.py:\d+.*packbits"):
        jittape.grad(lambda x: np.packbits(x))(1.0)


# -- numerics at kinks -----------------------------------------------------------------------


def test_ties_share_the_gradient_equally():
    for fun in (np.maximum, np.minimum):
        a, b = jittape.grad(fun, argnums=(0, 1))(2.0, 2.0)
        assert a == b == 0.5
    x = np.array([1.0, 3.0, 3.0])
    assert np.array_equal(jittape.grad(np.max)(x), [0.0, 0.5, 0.5])
    assert jittape.grad(np.abs)(0.0) == 0.0
    assert jittape.grad(lambda x: np.sign(x) * 1.0)(0.0) == 0.0


def test_a_zero_adjoint_annihilates_in_both_modes():
    def fun(x):
        return np.sum(np.where(x > 0, np.log(np.abs(x)), 0.0))

    x = np.array([0.0, 2.0])
    g = jittape.grad(fun)
    for _ in range(4):
        assert np.array_equal(g(x), [0.0, 0.5])
    for direction in np.eye(2):
        tangent = jittape.jvp(fun, (x,), (direction,))[1]
        assert tangent == direction @ np.array([0.0, 0.5])
    assert np.all(np.isfinite(jittape.hessian(fun)(x)))


def test_powers_at_zero():
    def fourth(f):
        for _ in range(4):
            f = jittape.grad(f)
        return f

    square = lambda x: x**2  # noqa: E731
    assert jittape.grad(square)(0.0) == 0.0
    assert jittape.grad(jittape.grad(square))(0.0) == 2.0
    assert jittape.grad(jittape.grad(jittape.grad(square)))(0.0) == 0.0
    assert fourth(square)(0.0) == 0.0
    assert jittape.grad(lambda x: x**0)(0.0) == 0.0
    assert jittape.grad(lambda y: 0.0**y)(2.0) == 0.0


def test_simplification_keeps_nan():
    g = jittape.jit(lambda x: (x * 0.0, x - x))
    for x in (1.0, np.inf, np.nan, 2.0, np.inf):
        for value in g(x):
            assert np.isnan(value) == (not np.isfinite(x))


def test_norms_and_their_like_at_the_origin():
    zero = np.zeros(3)
    norm = jittape.grad(np.linalg.norm)
    angle = jittape.grad(np.arctan2, argnums=(0, 1))
    hypot = jittape.grad(np.hypot, argnums=(0, 1))
    sums = jittape.grad(jittape.scipy.special.logsumexp)
    for _ in range(4):
        assert np.array_equal(norm(zero), zero)
        assert angle(0.0, 0.0) == hypot(0.0, 0.0) == (0.0, 0.0)
        assert np.array_equal(sums(np.full(3, -np.inf)), zero)
        assert jittape.grad(np.sinc)(0.0) == 0.0
    for direction in np.eye(3):
        assert jittape.jvp(np.linalg.norm, (zero,), (direction,))[1] == 0.0


def test_arithmetic_is_ieee_and_numpys():
    """No fastmath, no exceptions for division by zero: scalars, short and long arrays."""

    def fun(x, y):
        return x / y, x - x, x * 0.0, np.log(y), np.sqrt(-abs(x) - 1.0), (x + 1e300) * 1e300

    f = jittape.jit(fun)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0])
    for x in (1.0, -0.0, np.inf, np.nan):
        for y in (0.0, -0.0, np.inf, np.nan):
            for args in ((x, y), (np.float64(x), special), (np.repeat(x, 2000), np.full(2000, y))):
                with np.errstate(all="ignore"):
                    want = fun(*(np.float64(a) if np.ndim(a) == 0 else a for a in args))
                for a, b in zip(f(*args), want, strict=True):
                    np.testing.assert_array_equal(a, b)
                    zeros = np.asarray(b) == 0
                    assert np.array_equal(np.signbit(a)[zeros], np.signbit(b)[zeros])


def test_sums_do_not_depend_on_the_number_of_threads():
    x = np.random.default_rng(5).normal(size=300_000)
    results = []
    for threads in (1, 2):
        with jittape.config.override(threads=threads):
            g = jittape.value_and_grad(lambda x: np.sum(np.sin(x) * x))
            for _ in range(3):
                value, gradient = g(x)
            results.append((float(value), gradient.tobytes()))
    assert results[0] == results[1]
