"""custom_vjp, stop_gradient and register_ufunc."""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
import pytest
import scipy.optimize
from oracle import check

import jittape
from jittape.errors import DifferentiationError, TraceError


def solve_cubic(b):
    return scipy.optimize.brentq(lambda x: x**3 + x - b, -10, 10, xtol=1e-15)


@jittape.custom_vjp
def root(a):
    """The real x with x**3 + x = a, by a bracketing search on concrete numbers."""
    return np.array([solve_cubic(b) for b in np.ravel(a)]).reshape(np.shape(a))


def root_fwd(a):
    x = root(a)
    return x, x


def root_bwd(x, g):
    return (g / (3 * x * x + 1),)


root.defvjp(root_fwd, root_bwd)


def test_opaque_function_in_both_modes_and_to_second_order():
    check(lambda a: root(a) * a, np.array([0.3, 2.0, -1.0]), value_rtol=1e-12)
    check(lambda a: np.exp(root(a)), 2.0, value_rtol=1e-12)


def test_third_derivative():
    d = jittape.grad(jittape.grad(jittape.grad(lambda a: root(a))))
    for a in (2.0, 1.0, 3.0, -2.0):
        x = solve_cubic(a)
        p = 3 * x**2 + 1  # implicit differentiation of x**3 + x = a, three times
        assert d(a) == pytest.approx(-6 / p**4 + 108 * x**2 / p**5, rel=1e-11)


def test_replay_runs_the_function_anew():
    d = jittape.value_and_grad(lambda a: 3 * root(a))
    for a in (1.0, 2.0, 5.0, 7.0, -1.0):
        x = solve_cubic(a)
        assert d(a) == (pytest.approx(3 * x), pytest.approx(3 / (3 * x * x + 1)))
    assert len(d.tapes()) == 1


def test_concrete_arguments_call_the_function_itself():
    assert type(root(np.float64(2.0))) is np.ndarray
    np.testing.assert_allclose(root(np.array([2.0])), [1.0])


class Pair(NamedTuple):
    a: object
    b: object


@jittape.custom_vjp
def mixed(x, scale, pair, mode):
    """Containers, static arguments, several results of several dtypes."""
    factor = {"double": 2.0, "triple": 3.0}[mode]
    count = int(np.sum(x > 0))
    return {"y": factor * x * scale, "z": (pair.a @ pair.b, np.array(count), None)}


def mixed_fwd(x, scale, pair, mode):
    return mixed(x, scale, pair, mode), (x, scale, pair, 2.0 if mode == "double" else 3.0)


def mixed_bwd(residuals, g):
    x, scale, pair, factor = residuals
    gy, gz = g["y"], g["z"][0]
    return (
        factor * gy * scale,
        factor * np.sum(gy * x),
        Pair(np.outer(gz, pair.b), pair.a.T @ gz),
        None,
    )


mixed.defvjp(mixed_fwd, mixed_bwd)


def loss(x, scale, pair, mode):
    out = mixed(x, scale, pair, mode)
    return np.sum(out["y"] ** 2) + np.sum(out["z"][0] ** 2) * out["z"][1]


def test_containers_static_arguments_and_several_results():
    rng = np.random.default_rng(0)
    x, scale = np.array([1.0, -2.0, 3.0]), 0.5
    pair = Pair(rng.normal(size=(2, 3)), rng.normal(size=3))
    d = jittape.grad(loss, (0, 1, 2))
    for mode in ("double", "triple", "double"):
        factor = 2.0 if mode == "double" else 3.0
        dx, ds, dp = d(x, scale, pair, mode)
        np.testing.assert_allclose(dx, 2 * factor**2 * scale**2 * x)
        assert ds == pytest.approx(2 * factor**2 * scale * np.sum(x**2))
        r = pair.a @ pair.b
        assert isinstance(dp, Pair)
        np.testing.assert_allclose(dp.a, 2 * 2 * np.outer(r, pair.b))
        np.testing.assert_allclose(dp.b, 2 * 2 * pair.a.T @ r)


def test_keywords_are_bound_to_positions():
    x, pair = np.array([1.0, 2.0]), Pair(np.eye(2), np.ones(2))
    d = jittape.grad(lambda x: np.sum(mixed(x, mode="triple", pair=pair, scale=2.0)["y"]))
    np.testing.assert_allclose(d(x), [6.0, 6.0])


def test_shapes_may_change_between_replays():
    @jittape.custom_vjp
    def positive(x):
        return x[x > 0]

    def back(x, g):
        spread = np.zeros(x.shape)
        return (spread + np.where(x > 0, np.sum(g) / g.size, 0.0),)

    positive.defvjp(lambda x: (positive(x), x), back)
    d = jittape.grad(lambda x: np.sum(positive(x)))
    for x in ([1.0, -1.0, 2.0], [1.0, 3.0, 2.0], [1.0, -1.0, -2.0], [4.0, -1.0, 2.0]):
        x = np.array(x)
        np.testing.assert_allclose(d(x), np.where(x > 0, 1.0, 0.0))


def test_nondiff_argnums_come_first():
    @jittape.custom_vjp
    def unused(x):
        return x

    def power(n, x):
        return x**n

    f = jittape.custom_vjp(power, nondiff_argnums=(0,))
    f.defvjp(lambda n, x: (x**n, x), lambda n, x, g: (g * n * x ** (n - 1),))
    assert jittape.grad(lambda x: f(3, x))(2.0) == 12.0
    assert jittape.grad(jittape.grad(lambda x: f(3, x)))(2.0) == 12.0
    with pytest.raises(TypeError, match="nondiff_argnums"):
        jittape.grad(lambda x: f(x, x))(2.0)
    with pytest.raises(TypeError, match="no reverse rule"):
        jittape.grad(unused)(1.0)


def test_computed_residuals_give_first_but_refuse_second_derivatives():
    f = jittape.custom_vjp(np.sin)
    f.defvjp(lambda x: (np.sin(x), np.cos(x)), lambda c, g: (g * c,))
    assert jittape.grad(f)(0.3) == pytest.approx(np.cos(0.3))
    with pytest.raises(DifferentiationError, match="residual.*second derivatives"):
        jittape.grad(jittape.grad(f))(0.3)


def test_rule_that_is_not_linear_serves_reverse_and_refuses_forward():
    clip = jittape.custom_vjp(lambda x: x * 1.0)
    clip.defvjp(lambda x: (x * 1.0, None), lambda _, g: (np.clip(g, -1.0, 1.0),))
    assert jittape.grad(lambda x: 5 * clip(x))(2.0) == 1.0
    with pytest.raises(DifferentiationError, match="not linear"):
        jittape.jvp(lambda x: 5 * clip(x), (2.0,), (1.0,))


def test_another_opaque_function_in_bwd():
    slope = jittape.custom_vjp(lambda x: np.array(math.cos(x)))
    slope.defvjp(lambda x: (slope(x), x), lambda x, g: (-g * value(x),))
    value = jittape.custom_vjp(lambda x: np.array(math.sin(x)))
    value.defvjp(lambda x: (value(x), x), lambda x, g: (g * slope(x),))
    check(lambda x: value(x) * x, 0.4)
    d3 = jittape.grad(jittape.grad(jittape.grad(value)))
    for x in (0.4, 0.8, 1.2):
        assert d3(x) == pytest.approx(-math.cos(x), rel=1e-14)


def test_vmap_runs_it_per_element():
    np.testing.assert_allclose(
        jittape.vmap(jittape.grad(root))(np.array([2.0, 10.0])), [1 / 4, 1 / 13]
    )


@pytest.mark.parametrize(
    ("back", "error", "text"),
    [
        (lambda x, g: g, TypeError, "must return a tuple"),
        (lambda x, g: (g, g), TypeError, "it returned 2 entries"),
        (lambda x, g: (np.sum(g),), ValueError, r"shape \(\) for an argument of shape \(3,\)"),
        (lambda x, g: (g if g[0] > 0 else -g,), TraceError, "may not look at values"),
    ],
)
def test_wrong_rules_are_named(back, error, text):
    f = jittape.custom_vjp(lambda x: 2 * x)
    f.defvjp(lambda x: (2 * x, None), back)
    with pytest.raises(error, match=text):
        jittape.grad(lambda x: np.sum(f(x)))(np.ones(3))


def test_traced_value_from_outside_is_refused():
    def loss(x):
        f = jittape.custom_vjp(lambda y: y * x)
        f.defvjp(lambda y: (y * x, None), lambda _, g: (g,))
        return f(2.0 * x)

    with pytest.raises(TraceError, match="pass that value as an argument"):
        jittape.grad(loss)(1.0)


# -- stop_gradient -------------------------------------------------------------------------------


def test_stop_gradient():
    check(lambda x: x * np.sin(x), np.array([0.5, 1.0]))
    d = jittape.grad(lambda x: np.sum(x * jittape.stop_gradient(x)))
    for x in ([1.0, 2.0], [3.0, 4.0], [5.0, 6.0]):
        np.testing.assert_array_equal(d(np.array(x)), x)
    _, t = jittape.jvp(lambda x: x * jittape.stop_gradient(x), (2.0,), (1.0,))
    assert t == 2.0


def test_stop_gradient_on_containers():
    def f(p):
        q = jittape.stop_gradient({"a": p["a"], "b": [p["b"], 3, "name", None]})
        assert q["b"][1:] == [3, "name", None]
        return p["a"] * q["a"] + q["b"][0]

    assert jittape.grad(f)({"a": 2.0, "b": 5.0}) == {"a": 2.0, "b": 0.0}
    assert jittape.stop_gradient((1, 2.5)) == (1, 2.5)


# -- register_ufunc ------------------------------------------------------------------------------


@numba.vectorize(["float64(float64, float64)"])
def softplus(x, k):
    return math.log1p(math.exp(k * x)) / k


jittape.register_ufunc(
    softplus,
    [
        lambda x, k: 1 / (1 + np.exp(-k * x)),
        lambda x, k: x / (k * (1 + np.exp(-k * x))) - np.log1p(np.exp(k * x)) / k**2,
    ],
)


@numba.vectorize
def lazily_compiled(x):
    return x * x * x


jittape.register_ufunc(lazily_compiled, [lambda x: 3 * x**2])


def test_registered_ufunc_has_derivatives_in_both_modes():
    x = np.array([0.3, -1.2, 2.0])
    check(softplus, x, np.array([[1.5], [0.7]]))
    check(lambda x: softplus(x, 2.0) * x, x)
    check(lazily_compiled, x)
    check(lazily_compiled, 1.5)


def test_what_cannot_be_registered():
    objects = np.frompyfunc(lambda x: x, 1, 1)
    with pytest.raises(TypeError, match="frompyfunc"):
        jittape.register_ufunc(objects, [lambda x: 1.0])
    with pytest.raises(ValueError, match="already has a derivative"):
        jittape.register_ufunc(np.sin, [np.cos])
    with pytest.raises(ValueError, match="2 operands, but 1 partials"):
        jittape.register_ufunc(np.heaviside, [np.cos])
    with pytest.raises(TypeError, match=r"numpy\.ufunc"):
        jittape.register_ufunc(math.sin, [math.cos])
    with pytest.raises(TypeError, match="one output"):
        jittape.register_ufunc(np.modf, [np.cos])


def test_rules_follow_what_they_read():
    gain, data = [2.0], np.array([1.0, 3.0])

    @jittape.custom_vjp
    def scaled(x):
        return np.array(x) * 2.0

    def backward(x, g):
        return (g * gain[0] * (data / 2.0),)

    scaled.defvjp(lambda x: (scaled(x), x), backward)
    f = jittape.grad(lambda x: np.sum(scaled(x)))
    forward = jittape.jit(lambda x, t: jittape.jvp(scaled, (x,), (t,))[1])
    x = np.ones(2)
    for k in range(6):
        gain[0] = 2.0 + k // 2
        data[1] = 3.0 + k % 2
        for _ in range(2):
            assert np.array_equal(f(x), gain[0] * data / 2.0)
            assert np.array_equal(jittape.vjp(scaled, x)[1](x)[0], gain[0] * data / 2.0)
            assert np.array_equal(forward(x, x), gain[0] * data / 2.0)
    scaled.defvjp(lambda x: (scaled(x), x), lambda x, g: (g * 7.0,))
    for _ in range(3):
        assert np.array_equal(f(x), [7.0, 7.0])
