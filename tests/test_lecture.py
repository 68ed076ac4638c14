"""The lecture's numbers (CS231n, lecture 4), node by node."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import jittape


def nodes(fun, *args):
    """{op name: [(value, adjoint), ...]} of the traced function, in tape order."""
    tape = jittape.trace(fun)(*args)
    values, adjoints = tape.values(*args), tape.adjoints(*args)
    found = {}
    for i in range(len(tape)):
        v = tape.first + i
        found.setdefault(tape.signature(i).op.name, []).append((values[v], adjoints[v]))
    return found


def test_product_of_sum():
    def f(x, y, z):
        q = x + y
        return q * z

    at = nodes(f, -2.0, 5.0, -4.0)
    assert at["add"] == [(3.0, -4.0)]
    assert at["multiply"] == [(-12.0, 1.0)]
    value, gradient = jittape.value_and_grad(f, argnums=(0, 1, 2))(-2.0, 5.0, -4.0)
    assert value == -12.0
    assert gradient == (-4.0, -4.0, 3.0)


def test_sigmoid_neuron_node_by_node():
    def f(w0, x0, w1, x1, w2):
        return 1.0 / (1.0 + np.exp(-(w0 * x0 + w1 * x1 + w2)))

    args = (2.0, -1.0, -3.0, -2.0, -3.0)
    at = nodes(f, *args)
    s = 1.0 / (1.0 + np.exp(-1.0))
    ds = s * (1 - s)
    assert_allclose(at["multiply"], [(-2.0, ds), (6.0, ds)], rtol=1e-14)
    expected = [(4.0, ds), (1.0, ds), (1 + np.exp(-1), -(s**2))]
    assert_allclose(at["add"], expected, rtol=1e-14)
    assert_allclose(at["negative"], [(-1.0, -ds)], rtol=1e-14)
    assert_allclose(at["exp"], [(np.exp(-1), -(s**2))], rtol=1e-14)
    assert_allclose(at["divide"], [(s, 1.0)], rtol=1e-14)

    value, gradient = jittape.value_and_grad(f, argnums=(0, 1, 2, 3, 4))(*args)
    assert_allclose(value, 0.7311, atol=5e-5)
    assert_allclose(gradient, (-0.1966, 0.3932, -0.3932, -0.5898, 0.1966), atol=5e-5)


def test_squared_norm():
    def f(W, x):
        q = W.dot(x)
        return np.sum(q * q)

    W, x = np.array([[0.1, 0.5], [-0.3, 0.8]]), np.array([0.2, 0.4])
    at = nodes(f, W, x)
    q, dq = at["multiply"][0]
    assert_allclose(q, np.array([0.22, 0.26]) ** 2, rtol=1e-14)
    assert_allclose(dq, [1.0, 1.0])
    value, (gW, gx) = jittape.value_and_grad(f, argnums=(0, 1))(W, x)
    assert_allclose(value, 0.116, rtol=1e-14)
    assert_allclose(gW, [[0.088, 0.176], [0.104, 0.208]], rtol=1e-14)
    assert_allclose(gx, [-0.112, 0.636], rtol=1e-14)


def test_relu_vjp_forms_no_jacobian():
    x = np.linspace(-1.0, 1.0, 4096)
    tape = jittape.trace(lambda x: np.sum(np.maximum(0.0, x)))(x)
    out, pullback = jittape.vjp(lambda x: np.maximum(0.0, x), x)
    (g,) = pullback(np.arange(4096.0))
    assert_allclose(g, np.where(x > 0, np.arange(4096.0), 0))
    assert max(tape.aval(v).size for v in range(tape.n_values)) == 4096


def test_add_distributes():
    gradient = jittape.grad(lambda x, y: 7.0 * (x + y), argnums=(0, 1))(1.0, 2.0)
    assert gradient == (7.0, 7.0)


def test_mul_switches():
    assert jittape.grad(lambda x, y: x * y, argnums=(0, 1))(3.0, -4.0) == (-4.0, 3.0)


@pytest.mark.parametrize(
    ("x", "y", "expected"), [(2.0, 1.0, (1, 0)), (1.0, 2.0, (0, 1)), (2.0, 2.0, (0.5, 0.5))]
)
def test_max_routes(x, y, expected):
    assert jittape.grad(lambda x, y: np.maximum(x, y), argnums=(0, 1))(x, y) == expected


def test_gradients_add_at_branches():
    assert jittape.grad(lambda x: 3.0 * x + x * x)(5.0) == 13.0
