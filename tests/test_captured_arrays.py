"""Captured arrays: read live by recorded ops, compared where other code may have read them."""

import numpy as np
import pytest
from sequences import replays

import jittape

data = np.array([1.0, 2.0, 3.0])


def test_captured_arrays_are_read_live(monkeypatch):
    local = np.array([1.0, 2.0, 3.0])

    def fun(w):
        return (data * local) @ w + w @ (w * local)

    g = jittape.grad(fun)
    w = np.array([0.1, 0.2, 0.3])
    for k in range(5):
        local[k % 3] += 1.0
        data[0] = float(k)
        assert np.allclose(g(w), data * local + 2 * w * local, rtol=1e-14)
    data[0] = 1.0
    monkeypatch.setitem(globals(), "data", np.zeros(3))
    assert np.allclose(g(w), 2 * w * local, rtol=1e-14)


def traces_after_writing(fun, *arrays):
    """How many more traces the function needs when these arrays are written to."""
    g = jittape.grad(fun)
    w = np.array([0.1, 0.2, 0.3])
    for _ in range(3):
        g(w)
    before = g.cache_info().traces
    for k in range(3):
        for a in arrays:
            a[k] += 1.0
        assert np.array_equal(g(w), jittape.grad(fun)(w))
    return g.cache_info().traces - before


def test_operands_of_recorded_ops_are_no_reason_to_trace():
    a, b, x = np.ones(3), np.arange(3.0), np.ones((3, 3))

    assert traces_after_writing(lambda w: np.sum((w * a + b) ** 2), a, b) == 0
    assert traces_after_writing(lambda w: np.sum(x @ w - np.tanh(w[0]) * b), x, b) == 0
    assert traces_after_writing(lambda w: data @ (w * 2.0), data) == 0
    data[:] = [1.0, 2.0, 3.0]


def test_arrays_that_other_code_may_have_read_are_compared():
    a, box = np.ones(3), [np.ones(3)]

    def in_a_loop(w):
        s = 0.0
        for v in (np.ones(3), w):
            s = s + np.sum(a * v)
        return s

    def helper_of_two(v):
        return a * v

    def recursive(w, depth=1):
        if depth:
            return recursive(w, 0) + recursive(np.ones(3), 0)
        return np.sum(a * w)

    for fun, array in (
        (lambda w: np.sum(w * (a / 2.0)), a),
        (lambda w: np.sum(w * a) * a[0], a),
        (lambda w: np.sum(w * a) * np.sum(a), a),
        (lambda w: np.sum(w * a) if a[1] > 1.5 else np.sum(w), a),
        (lambda w: np.sum([np.sum(w * a * k) for k in (1.0, 2.0)]), a),
        (lambda w: np.sum(w * box[0]), box[0]),
        (lambda w: np.sum(helper_of_two(w)) * np.sum(helper_of_two(np.ones(3))), a),
        (in_a_loop, a),
        (recursive, a),
    ):
        a[:] = 1.0
        assert traces_after_writing(fun, array) == 3


def test_arrays_computed_from_captured_arrays():
    pixels = np.array([255.0, 51.0])
    big = np.ones((200, 200))

    def fun(x):
        normed = pixels / 255
        return x * normed.sum() * big.mean()

    g = jittape.grad(fun)
    assert replays(g, 1.0) == pytest.approx(1.2)
    pixels[1] = 255.0
    assert replays(g, 1.0) == pytest.approx(2.0)
    big[7, 7] = 1.0 + 40_000
    assert replays(g, 1.0) == pytest.approx(4.0)
    big.T[7, 7] = np.nan
    assert np.isnan(g(1.0)) and np.isnan(g(1.0)) and np.isnan(g(1.0))


def test_branches_on_captured_arrays():
    flags = np.array([1.0])

    def fun(x):
        return x * 2.0 if flags[0] > 0 else x * 3.0

    g = jittape.grad(fun)
    for k in range(8):
        flags[0] = (-1.0) ** (k // 2)
        assert g(1.0) == (2.0 if flags[0] > 0 else 3.0)


def test_an_array_written_to_between_two_uses():
    def fun(x):
        tmp = np.linspace(0.0, 1.0, 3)
        a = x * tmp
        tmp += 1.0
        b = x * tmp
        tmp *= 0.0
        return np.sum(a + 10.0 * b)

    def reference(x):
        t = np.linspace(0.0, 1.0, 3)
        return float(np.sum(x * t + 10.0 * x * (t + 1.0)))

    f = jittape.jit(fun)
    for x in (1.0, 2.0, 3.0, 4.0):
        assert float(f(x)) == pytest.approx(reference(x), rel=1e-15)


def test_a_function_that_writes_its_captured_array_is_retraced():
    state = np.zeros(2)

    def fun(x):
        state[0] += 1.0
        return x * state[0]

    f = jittape.jit(fun)
    with pytest.warns(jittape.errors.ImpureFunctionWarning, match="changes what it reads"):
        assert [float(f(1.0)) for _ in range(5)] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert state[0] == 5.0
