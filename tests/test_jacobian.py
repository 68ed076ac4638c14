"""jacobian, hessian and hvp against closed forms, over containers and nestings."""

import numpy as np
import pytest

import jittape
from jittape import grad, hessian, hvp, jacobian, jit
from jittape.api import directions as module

RNG = np.random.default_rng(3)
MODES = ["auto", "forward", "reverse"]


def smooth(x):
    return np.tanh(np.sin(x) * 2.0) + x * x


def smooth_derivative(x):
    return (1 - np.tanh(2 * np.sin(x)) ** 2) * 2 * np.cos(x) + 2 * x


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,), (3, 0)])
def test_elementwise_is_diagonal(mode, shape):
    x = RNG.normal(size=shape)
    J = jacobian(smooth, mode=mode)(x)
    n = x.size
    expected = np.diag(smooth_derivative(x).ravel()) if n else np.zeros((0, 0))
    np.testing.assert_allclose(J, expected.reshape(shape + shape), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("mode", MODES)
def test_replay_with_fresh_inputs(mode):
    J = jacobian(smooth, mode=mode)
    for _ in range(3):
        x = RNG.normal(size=4)
        np.testing.assert_allclose(J(x), np.diag(smooth_derivative(x)), rtol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_containers(mode):
    def fun(p, scale):
        return {"u": p["a"] * p["b"] * scale, "v": (p["b"] * p["b"],)}

    p = {"a": RNG.normal(size=3), "b": 2.0}
    J = jacobian(fun, mode=mode)(p, 5.0)
    np.testing.assert_allclose(J["u"]["a"], 10.0 * np.eye(3))
    np.testing.assert_allclose(J["u"]["b"], 5.0 * p["a"])
    np.testing.assert_array_equal(J["v"][0]["a"], np.zeros(3))
    assert J["v"][0]["b"] == 4.0


@pytest.mark.parametrize("mode", MODES)
def test_tuple_of_argnums(mode):
    x, y = RNG.normal(size=2), RNG.normal(size=(2, 1))
    J = jacobian(lambda x, y: x * y, argnums=(1, 0), mode=mode)(x, y)
    assert isinstance(J, tuple)
    by_y, by_x = J
    assert by_y.shape == (2, 2, 2, 1) and by_x.shape == (2, 2, 2)
    for i in range(2):
        for j in range(2):
            np.testing.assert_allclose(by_x[i, j], np.where(np.arange(2) == j, y[i, 0], 0))
            np.testing.assert_allclose(by_y[i, j, :, 0], np.where(np.arange(2) == i, x[j], 0))


@pytest.mark.parametrize("mode", MODES)
def test_chunks_are_put_together(mode, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", 1000)
    x = RNG.normal(size=7)
    J = jacobian(smooth, mode=mode)(x)
    np.testing.assert_allclose(J, np.diag(smooth_derivative(x)), rtol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_float32_stays(mode):
    J = jacobian(lambda x: x * x, mode=mode)(np.ones(3, np.float32))
    assert J.dtype == np.float32


def test_integers_are_promoted():
    J = jacobian(lambda x: x * x)(np.arange(3))
    np.testing.assert_array_equal(J, np.diag([0.0, 2.0, 4.0]))
    assert J.dtype == np.float64


@pytest.mark.parametrize("mode", ["auto", "forward"])
def test_complex_result_of_real_argument(mode):
    J = jacobian(lambda x: x * np.array([1j, 2.0]), mode=mode)(np.array([1.0, 3.0]))
    np.testing.assert_array_equal(J, np.diag([1j, 2.0]))


def test_complex_refusals():
    with pytest.raises(TypeError, match="mode='forward'"):
        jacobian(lambda x: x * 1j, mode="reverse")(np.ones(2))
    with pytest.raises(TypeError, match="no single"):
        jacobian(lambda x: x * 1j)(np.ones(2, complex))


def test_refusals():
    with pytest.raises(ValueError, match="mode"):
        jacobian(smooth, mode="sideways")
    with pytest.raises(TypeError, match="bool"):
        jacobian(lambda x: x > 0)(np.ones(2))
    with pytest.raises(TypeError, match="argument 0"):
        jacobian(lambda x: x * 1.0)(np.array([True]))


def test_identity_constant_and_repeated_results():
    x = np.array([1.0, 2.0])
    for mode in MODES:
        same, again, constant = jacobian(lambda x: (x, x, np.ones(3)), mode=mode)(x)
        np.testing.assert_array_equal(same, np.eye(2))
        np.testing.assert_array_equal(again, np.eye(2))
        np.testing.assert_array_equal(constant, np.zeros((3, 2)))


def test_nesting():
    x = RNG.normal(size=3)
    cube = lambda x: x * x * x  # noqa: E731
    third = jacobian(jacobian(jacobian(cube, mode="forward")), mode="reverse")(x)
    expected = np.zeros((3, 3, 3, 3))
    expected[np.arange(3), np.arange(3), np.arange(3), np.arange(3)] = 6
    np.testing.assert_allclose(third, expected, atol=1e-13)
    trace_of_square = grad(lambda x: (jacobian(cube)(x) * jacobian(cube)(x)).sum())
    np.testing.assert_allclose(trace_of_square(x), 36 * x**3, rtol=1e-12)


def quartic(x):
    return (x * x * x * x).sum() + x[0] * x[1]


def test_hessian_and_hvp():
    x, v = RNG.normal(size=4), RNG.normal(size=4)
    H = np.diag(12 * x**2)
    H[0, 1] += 1
    H[1, 0] += 1
    np.testing.assert_allclose(hessian(quartic)(x), H, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(hvp(quartic)(x, v), H @ v, rtol=1e-12)
    np.testing.assert_allclose(jit(hessian(quartic))(x), H, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(jacobian(grad(quartic))(x), H, rtol=1e-12, atol=1e-13)


def test_hessian_of_containers_and_argnums():
    def fun(p, q):
        return (p["a"] * p["a"] * q).sum() * p["b"]

    a, q = RNG.normal(size=2), RNG.normal(size=2)
    p = {"a": a, "b": 3.0}
    H = hessian(fun)(p, q)
    np.testing.assert_allclose(H["a"]["a"], np.diag(6 * q), rtol=1e-12)
    np.testing.assert_allclose(H["a"]["b"], 2 * a * q, rtol=1e-12)
    np.testing.assert_allclose(H["b"]["a"], 2 * a * q, rtol=1e-12)
    assert H["b"]["b"] == 0
    both = hessian(fun, argnums=(0, 1))(p, q)
    np.testing.assert_allclose(both[1][0]["a"], np.diag(6 * a), rtol=1e-12)
    np.testing.assert_array_equal(both[1][1], np.zeros((2, 2)))


def test_hessian_of_an_array_function():
    x = RNG.normal(size=3)
    H = hessian(lambda x: x * x * x)(x)
    expected = np.zeros((3, 3, 3))
    expected[np.arange(3), np.arange(3), np.arange(3)] = 6 * x
    np.testing.assert_allclose(H, expected, atol=1e-13)


def test_hvp_argument_order():
    def fun(x, a):
        return (x * x * x * a).sum()

    x, v, a = RNG.normal(size=(3, 3))
    np.testing.assert_allclose(hvp(fun)(x, v, a), 6 * x * a * v, rtol=1e-12)
    np.testing.assert_allclose(hvp(lambda a, x: fun(x, a), argnums=1)(a, x, v), 6 * x * a * v)
    hx, ha = hvp(fun, argnums=(0, 1))(x, a, (v, a))
    np.testing.assert_allclose(hx, 6 * x * a * v + 3 * x * x * a, rtol=1e-12)
    np.testing.assert_allclose(ha, 3 * x * x * v, rtol=1e-12)
    with pytest.raises(TypeError, match="vector as argument 1"):
        hvp(fun)(x)
    with pytest.raises(ValueError, match="shape"):
        hvp(fun)(x, v[:2], a)


def test_hvp_of_containers_is_linear_and_differentiable():
    def fun(p):
        return (p["a"] * p["a"] * p["b"]).sum()

    p = {"a": RNG.normal(size=3), "b": np.array(2.0)}
    v = {"a": RNG.normal(size=3), "b": np.array(0.5)}
    out = hvp(fun)(p, v)
    np.testing.assert_allclose(out["a"], 2 * p["b"] * v["a"] + 2 * p["a"] * v["b"], rtol=1e-12)
    np.testing.assert_allclose(out["b"], (2 * p["a"] * v["a"]).sum(), rtol=1e-12)
    g = grad(lambda b: hvp(fun)({"a": p["a"], "b": b}, v)["a"].sum())(2.0)
    np.testing.assert_allclose(g, 2 * v["a"].sum(), rtol=1e-12)


def test_branches_choose_their_tape():
    def fun(x):
        return x * x if x[0] > 0 else -x

    J = jacobian(fun)
    for x in (np.array([1.0, 2.0]), np.array([-1.0, 2.0]), np.array([3.0, 2.0])):
        np.testing.assert_array_equal(J(x), np.diag(2 * x) if x[0] > 0 else -np.eye(2))


def test_decorators():
    @jacobian(mode="forward")
    def f(x):
        return x * 2.0

    @jittape.hessian
    def g(x):
        return (x * x).sum()

    np.testing.assert_array_equal(f(np.ones(2)), 2 * np.eye(2))
    np.testing.assert_array_equal(g(np.ones(2)), 2 * np.eye(2))
