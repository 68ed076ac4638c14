"""Loops as machine code against the sweep's loop, and what is left to the sweep."""

from __future__ import annotations

import numpy as np
import pytest

import jittape
from jittape.execute import loop, native

A = np.array([[0.9, 0.1, 0.0], [-0.2, 0.8, 0.1], [0.05, 0.0, 0.95]])


def springs(carry, x):
    a, u = carry
    f = -a * (1.0 + 0.05 * a * a) - 0.1 * u + x
    u = u + 0.01 * f
    return (a + 0.01 * u, u), a * u


def vectors(y, x):
    z = A @ y + 0.01 * np.sin(y) * x
    return z, z[::-1] * 2.0


def branches(y, x):
    z = np.where(y > x, y - 0.1 * np.sqrt(np.abs(y)), y / (1.5 + x))
    return z, z >= 0.5


def counted(carry, x):
    k, y = carry
    return (k + 1, np.exp(-y) * np.tanh(x) + np.log(y * y + 1.0)), y


STEPS = {
    "springs": (springs, (1.0, -0.5)),
    "vectors": (vectors, np.array([1.0, 2.0, 3.0])),
    "branches": (branches, np.array([1.0, -2.0])),
}


def both(monkeypatch, call):
    """The results of the machine code and of the sweep; how many loops were translated."""
    made = []
    real = native.stepper
    monkeypatch.setattr(loop, "WORTH", 0)
    monkeypatch.setattr(native, "stepper", lambda *a: made.append(real(*a)) or made[-1])
    have = [np.asarray(v) for v in call()]
    monkeypatch.setattr(loop, "WORTH", 1 << 60)
    want = [np.asarray(v) for v in call()]
    return have, want, made


def leaves(x):
    return [v for y in x for v in leaves(y)] if isinstance(x, (tuple, list)) else [x]


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("name", STEPS)
def test_values_and_gradients(name, backward, monkeypatch):
    step, init = STEPS[name]
    xs = np.random.default_rng(0).uniform(0.1, 1.0, 37)

    def values():
        return leaves(jittape.scan(step, init, xs, reverse=backward))

    def gradient():
        def loss(init, xs):
            carry, ys = jittape.scan(step, init, xs, reverse=backward)
            return sum(np.sum(np.sin(v)) for v in leaves(carry)) + np.sum(ys * 1.0)

        return leaves(jittape.grad(loss, argnums=(0, 1))(init, xs))

    for call in (values, gradient):
        have, want, made = both(monkeypatch, call)
        assert made and all(m is not None for m in made)
        for h, w in zip(have, want, strict=True):
            assert (h.dtype, h.shape) == (w.dtype, w.shape)
            np.testing.assert_allclose(h, w, rtol=1e-13, atol=1e-15)


def test_progress_and_segments(monkeypatch):
    """Ranges of an odd number of steps, where the carry changes places."""
    seen = []

    def call():
        seen.clear()
        told = lambda done, total: seen.append(done)  # noqa: E731
        return leaves(jittape.scan(springs, (1.0, 0.0), np.ones(1003), progress=told))

    have, want, _ = both(monkeypatch, call)
    assert seen[-1] == 1003 and len(seen) > 50
    np.testing.assert_allclose(have[0], want[0], rtol=1e-13)
    np.testing.assert_allclose(have[2], want[2], rtol=1e-13)


def test_what_it_cannot_translate_is_swept(monkeypatch):
    xs = np.linspace(0.1, 1.0, 20)
    have, want, made = both(monkeypatch, lambda: leaves(jittape.scan(counted, (0, 0.5), xs)))
    assert None in made  # an integer is counted
    for h, w in zip(have, want, strict=True):
        np.testing.assert_array_equal(h, w)


def test_captured_arrays_are_read_anew(monkeypatch):
    monkeypatch.setattr(loop, "WORTH", 0)
    rate = np.array([0.5, 0.25])

    def last(y):
        return jittape.scan(lambda c, _: (c * rate, None), y, None, length=3)[0]

    f = jittape.jit(last)
    y = np.array([8.0, 64.0])
    for factor in (1.0, 2.0, 1.0):
        rate *= factor
        np.testing.assert_allclose(f(y), y * rate**3)
