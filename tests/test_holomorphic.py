"""Complex derivatives on request, and refused where there are none."""

import numpy as np
import pytest

import jittape
from jittape.errors import DifferentiationError

H = 1e-6


def cubic(z):
    return z**3 * np.exp(1j * z) / (2.0 + z) + np.sin(z) * 3.0


def numeric(f, z, h=H):
    """Central differences along 1, which for a holomorphic f is every direction."""
    return (f(z + h) - f(z - h)) / (2 * h)


@pytest.mark.parametrize("z", [0.3 + 0.4j, -1.2 + 2.0j, 2.0 - 0.1j])
def test_gradient_is_the_complex_derivative(z):
    df = jittape.grad(cubic, holomorphic=True)
    for _ in range(3):
        got = df(z)
        np.testing.assert_allclose(got, numeric(cubic, z), rtol=1e-8)
    assert got.dtype == np.complex128
    # Cauchy and Riemann: the same along the imaginary axis
    along = (cubic(z + 1j * H) - cubic(z - 1j * H)) / (2j * H)
    np.testing.assert_allclose(got, along, rtol=1e-8)


def test_value_second_order_and_replay():
    f = jittape.value_and_grad(cubic, holomorphic=True)
    second = jittape.grad(jittape.grad(cubic, holomorphic=True), holomorphic=True)
    for z in (0.5 + 0.5j, 1.0 - 2.0j, 0.1j, 3.0 + 0j):
        value, slope = f(z)
        np.testing.assert_allclose(value, cubic(z), rtol=1e-14)
        np.testing.assert_allclose(slope, numeric(cubic, z), rtol=1e-7)
        twice = (cubic(z + 1e-4) - 2 * cubic(z) + cubic(z - 1e-4)) / 1e-8
        np.testing.assert_allclose(second(z), twice, rtol=1e-5)


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_jacobian_and_hessian(mode):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))
    z = rng.normal(size=4) + 1j * rng.normal(size=4)

    def f(z):
        return np.tanh(a @ z) * z[0]

    jac = jittape.jacobian(f, mode=mode, holomorphic=True)
    want = np.stack([numeric(lambda t, e=e: f(z + t * e), 0.0) for e in np.eye(4)], axis=-1)
    for _ in range(3):
        np.testing.assert_allclose(jac(z), want, rtol=1e-7, atol=1e-9)
    hess = jittape.hessian(lambda z: np.sum(f(z) ** 2), holomorphic=True)(z)
    g = jittape.grad(lambda z: np.sum(f(z) ** 2), holomorphic=True)
    want = np.stack([numeric(lambda t, e=e: g(z + t * e), 0.0) for e in np.eye(4)], axis=-1)
    np.testing.assert_allclose(hess, want, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(hess, hess.T, rtol=1e-12)


def test_the_convention_of_real_results_is_unchanged():
    z = 0.3 + 0.4j
    got = jittape.grad(lambda z: np.abs(z) ** 2)(z)
    np.testing.assert_allclose(got, 2 * np.conj(z), rtol=1e-14)


def through_a_loop(z):
    def step(c, _):
        return np.conj(c) * 1.5, None

    return jittape.scan(step, z, None, length=3)[0]


@pytest.mark.parametrize(
    "f",
    [
        lambda z: np.conj(z) * z,
        lambda z: z * np.abs(z),
        lambda z: z * z.real,
        lambda z: np.exp(1j * np.angle(z)),
        lambda z: z.imag * 1j + z**2,
        through_a_loop,
    ],
)
def test_what_is_not_holomorphic_is_refused(f):
    with pytest.raises(DifferentiationError, match="not holomorphic"):
        jittape.grad(f, holomorphic=True)(1.0 + 2.0j)
    with pytest.raises(DifferentiationError, match="not holomorphic"):
        jittape.jacobian(f, mode="forward", holomorphic=True)(1.0 + 2.0j)


def test_the_refusal_names_the_line():
    def f(z):
        return z * np.conj(z)

    with pytest.raises(DifferentiationError, match=r"test_holomorphic\.py:\d+"):
        jittape.grad(f, holomorphic=True)(1.0 + 2.0j)


def test_constants_may_be_conjugated_and_lose_their_parts():
    w = 1.0 + 2.0j

    def f(z):
        return z**2 * np.conj(w) + np.abs(w)

    z = 0.5 - 0.25j
    np.testing.assert_allclose(jittape.grad(f, holomorphic=True)(z), 2 * z * np.conj(w))


def test_loops_are_looked_into():
    def f(z):
        return jittape.scan(lambda c, _: (c * z + 1.0, None), z, None, length=3)[0]

    z = 0.5 - 0.25j
    np.testing.assert_allclose(
        jittape.grad(f, holomorphic=True)(z), numeric(lambda z: z**4 + z**2 + z + 1, z), rtol=1e-8
    )


def test_arguments_that_make_no_sense():
    with pytest.raises(TypeError, match="an argument is float64"):
        jittape.grad(lambda x: x * (1 + 1j), holomorphic=True)(1.0)
    with pytest.raises(TypeError, match="the result is float64"):
        jittape.grad(np.abs, holomorphic=True)(1.0j)
    with pytest.raises(ValueError, match="sparse"):
        jittape.jacobian(np.exp, sparse=True, holomorphic=True)
    with pytest.raises(TypeError, match="use holomorphic=True"):
        jittape.jacobian(np.exp)(np.ones(2) * 1j)
    with pytest.raises(TypeError, match="holomorphic=True"):
        jittape.grad(np.exp)(1j)
