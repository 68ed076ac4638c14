"""Fourier transforms: conventions, complex intermediates, identities, arguments as NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import check, check_value

import jittape

rng = np.random.default_rng(5)
X = rng.normal(size=6)
Z = rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
def test_values_for_every_length_and_norm(name, norm):
    f = getattr(np.fft, name)
    x = X if name in ("rfft", "ihfft") else Z[0]
    for n in (None, 1, 3, 4, 7, 8):
        check_value(lambda x, n=n: f(x, n, norm=norm), x, rtol=1e-14)


@pytest.mark.parametrize("f", [np.fft.fft, np.fft.ifft])
def test_jax_convention_of_a_real_loss_through_complex_intermediates(f):
    # L = sum |F x|^2 with F symmetric: dL/dx = 2 Re(F^H F x); for complex x the gradient is
    # dL/d(re) - 1j dL/d(im), which is 2 conj(F^H F x)
    n = X.size
    m = f(np.eye(n))
    loss = lambda x: np.sum(np.abs(f(x)) ** 2)  # noqa: E731
    np.testing.assert_allclose(jittape.grad(loss)(X), 2 * np.real(m.conj().T @ m @ X))
    z = X + 1j * X[::-1]
    np.testing.assert_allclose(jittape.grad(loss)(z), 2 * np.conj(m.conj().T @ m @ z))


def test_cotangents_are_transposed_without_conjugation():
    z = Z[0]
    _, back = jittape.vjp(np.fft.fft, z)
    g = Z[1]
    np.testing.assert_allclose(back(g)[0], np.fft.fft(np.eye(4)).T @ g)
    _, t = jittape.jvp(np.fft.fft, (z,), (g,))
    np.testing.assert_allclose(t, np.fft.fft(g))


def test_parseval_and_inverse():
    np.testing.assert_allclose(
        jittape.grad(lambda x: np.sum(np.abs(np.fft.fft(x, norm="ortho")) ** 2))(X), 2 * X
    )
    np.testing.assert_allclose(
        jittape.grad(lambda x: np.sum(np.fft.irfft(np.fft.rfft(x)) ** 3))(X), 3 * X**2
    )


def test_spectral_derivative_and_convolution():
    """What transforms are used for: real in, complex between, real out."""
    k = 2j * np.pi * np.fft.fftfreq(8)

    def energy(u):
        slope = np.real(np.fft.ifft(k * np.fft.fft(u)))
        return np.sum(slope**2) + np.sum(u**4)

    check(energy, rng.normal(size=8), value_rtol=1e-13)

    def filtered(x, kernel):
        return np.fft.irfft(np.fft.rfft(x, 10) * np.fft.rfft(kernel, 10), 10)

    check(filtered, X, np.array([0.5, 0.3, -0.2]), value_rtol=1e-13)


def test_power_spectrum_of_an_image():
    def sharp(image):
        p = np.abs(np.fft.fftshift(np.fft.fft2(image)))
        return np.log(np.sum(p**2 * np.arange(12.0).reshape(3, 4)))

    check(sharp, rng.normal(size=(3, 4)), value_rtol=1e-13)


def test_frequencies_pass_through():
    f = jittape.jit(lambda x: np.fft.rfft(x) * np.fft.rfftfreq(6, 0.1))
    np.testing.assert_allclose(f(X), np.fft.rfft(X) * np.fft.rfftfreq(6, 0.1))


def test_errors_are_numpys():
    with pytest.raises(ValueError, match="Invalid norm value"):
        jittape.jit(lambda x: np.fft.fft(x, norm="unitary"))(X)
    with pytest.raises(ValueError, match="number of FFT data points"):
        jittape.jit(lambda x: np.fft.fft(x, 0))(X)
    with pytest.raises(TypeError, match="real numbers"):
        jittape.jit(lambda x: np.fft.rfft(x))(Z)
    with pytest.raises(np.exceptions.AxisError):
        jittape.jit(lambda x: np.fft.fft(x, axis=3))(X)


def test_float32_stays_single():
    x = X.astype(np.float32)
    assert jittape.jit(np.fft.rfft)(x).dtype == np.complex64
    assert jittape.grad(lambda x: np.sum(np.abs(np.fft.fft(x))))(x).dtype == np.float32


def test_vmap():
    x = rng.normal(size=(3, 4))
    for f in (np.fft.fft, np.fft.rfft, lambda y: np.fft.irfft(np.fft.fft(y))):
        np.testing.assert_allclose(jittape.vmap(f)(x), np.stack([f(r) for r in x]), atol=1e-14)
