"""Own exp and tanh within 4 ulp, and fused kernels equal to the interpreted ones to the bit."""

import ctypes
import threading

import numpy as np
import pytest

import jittape
from jittape.config import config
from jittape.execute import choose, fuse
from jittape.execute.address import data_address

pytestmark = pytest.mark.skipif(
    choose.own_function(np.exp, "d->d") is None, reason="the CPU has no vector FMA"
)
LOOP = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)
EDGES = np.array(
    [0.0, np.inf, np.nan, 5e-324, 2.3e-308, 1e-300, 709.78, 709.79, 745.13, 745.14, 746.0, 708.4,
     1e308, 20.0, 19.06, 22.0, 40.0, 0.3465, 0.3466, 0.17328, 0.17329]
)  # fmt: skip


def own(name, x, y):
    from jittape.execute.vector import own_address

    args = np.array([data_address(x), data_address(y)])
    dims, steps = np.array([x.size]), np.array([x.strides[0], y.strides[0]])
    LOOP(own_address(name))(data_address(args), data_address(dims), data_address(steps), 0)
    return y


@pytest.mark.parametrize("name", ["exp", "tanh"])
def test_own_functions_are_within_four_ulp(name):
    if np.finfo(np.longdouble).nmant < 60:
        pytest.skip("needs a long double that is longer")
    rng = np.random.default_rng(0)
    parts = [EDGES, -EDGES, rng.integers(-(2**63), 2**63 - 1, 300_001).view(np.float64)]
    parts += [rng.uniform(-s, s, 200_003) for s in (1e-320, 1e-9, 1e-2, 0.2, 0.5, 2, 20, 750)]
    for x in parts:
        y = own(name, x, np.empty(x.size))
        with np.errstate(all="ignore"):
            want = getattr(np, name)(x.astype(np.longdouble))
            near = want.astype(np.float64)
        special = ~np.isfinite(near) | ~np.isfinite(y)
        np.testing.assert_array_equal(y[special], near[special])
        ok = ~special
        np.testing.assert_array_equal(np.signbit(y[ok]), np.signbit(near[ok]))
        ulp = np.spacing(np.maximum(np.abs(near[ok]), np.finfo(np.float64).tiny))
        assert (np.abs(y[ok] - want[ok]) <= 3 * ulp).all()


@pytest.mark.parametrize("name", ["exp", "tanh"])
def test_own_functions_take_strides_and_any_length(name):
    x = np.random.default_rng(1).normal(size=64)
    whole = own(name, x, np.empty(64))
    for n in range(20):
        np.testing.assert_array_equal(own(name, x[:n], np.empty(n)), whole[:n])
        np.testing.assert_array_equal(own(name, x[: 3 * n : 3], np.empty(n)), whole[: 3 * n : 3])
        y = np.full(2 * n, 7.0)
        own(name, x[:n], y[::2])
        np.testing.assert_array_equal(y[::2], whole[:n])
        assert (y[1::2] == 7.0).all()


def chain(x, y, s):
    return np.sum(np.tanh(2 * x + 0.5) * np.exp(-(x**2)) * s + x / (y * y + 1))


def kinks(x, y, s):
    z = np.where((x > y) & ~(y <= 0.1) | (x == 0.5), np.maximum(x, y) * s, np.minimum(x, s) - y)
    return np.sum(np.sqrt(np.abs(z)) * np.where(z != 0, x, 1.0 / (2 + y * y)))


def rows(x, y, s):
    a = (x * s + np.exp(y)).reshape(-1, 7)
    top = np.max(a, axis=1, keepdims=True)
    p = np.exp(a - top)
    q = p / np.sum(p, axis=1, keepdims=True)
    return np.sum(np.tanh(q) * a) + np.sum(np.mean(a, axis=0) ** 3 - np.log(np.sum(p)))


def short_rows(x, y, s):
    a = (x * y)[: x.size // 7 * 7].reshape(-1, 7)
    z = np.exp(a - np.max(a, axis=1, keepdims=True))
    return np.sum(z / np.sum(z, axis=1, keepdims=True) * s + np.tanh(a[:, ::-1]) * a)


def columns(x, y, s):
    a = x.reshape(7, -1)
    centre = a - np.mean(a, axis=0)
    return np.sum(np.tanh(centre * s) ** 2 / (1 + y.reshape(7, -1) ** 2))


def results(f, args, cost, monkeypatch, times=4):
    monkeypatch.setattr(fuse, "COMPILE_NS", cost)
    g = jittape.value_and_grad(f, argnums=(0, 1, 2))
    with np.errstate(all="ignore"):
        found = [g(*args) for _ in range(times)][-1]
    return [found[0], *found[1]]


@pytest.mark.parametrize("f", [chain, kinks, rows, short_rows, columns])
@pytest.mark.parametrize("n", [518, 1029, 70_007])
@pytest.mark.parametrize("special", [False, True])
def test_fused_kernels_change_no_bit(f, n, special, monkeypatch):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=n), rng.normal(size=n)
    if special:
        for values in (x, y):
            at = rng.integers(0, n, 40)
            values[at] = np.resize([0.0, -0.0, np.inf, -np.inf, np.nan, 1e308, 5e-324, 0.5], 40)
    made = []
    real = fuse.compiled
    monkeypatch.setattr(fuse, "compiled", lambda text: made.append(text) or real(text))
    want = results(f, (x, y, 1.5), 1e30, monkeypatch)
    assert not made
    have = results(f, (x, y, 1.5), 0.0, monkeypatch)
    assert made
    for h, w in zip(have, want, strict=True):
        np.testing.assert_array_equal(h, w)
        signs = [np.signbit(np.where(np.isnan(v), 0.0, v)) for v in (h, w)]  # nan has no sign
        np.testing.assert_array_equal(*signs)


def test_bit_exact_programs_are_fused_without_own_functions(monkeypatch):
    x = np.random.default_rng(3).normal(size=4001)
    monkeypatch.setattr(fuse, "COMPILE_NS", 0.0)
    with config.override(bit_exact=True):
        g = jittape.grad(lambda x: np.sum(np.exp(x) * x))
        gradient = [g(x) for _ in range(4)][-1]
    np.testing.assert_array_equal(gradient, np.exp(x) * x + np.exp(x))


def test_calls_that_run_while_kernels_are_fused(monkeypatch):
    x = np.random.default_rng(4).normal(size=20_011)
    f = jittape.grad(lambda x: np.sum(np.tanh(x * 2 + 1) * np.exp(-x * x) + x / (1 + x * x)))
    monkeypatch.setattr(fuse, "COMPILE_NS", 1e5)  # after a few calls
    for _ in range(3):
        f(x)
    want = f(x)
    wrong = []

    def call():
        for _ in range(200):
            if not np.array_equal(f(x), want):
                wrong.append(1)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.parametrize("c", [2, 5, 8, 9, 10, 25, 63, 64, 65, 200])
def test_sums_of_short_rows(c):
    x = np.random.default_rng(c).normal(size=(1201, c))
    x[5], x[7] = np.nan, -0.0
    g = jittape.value_and_grad(lambda x: np.sum(np.sum(np.exp(x) * x, axis=1) ** 2))
    with np.errstate(all="ignore"):
        rows = [g(x[k:]) for k in (0, 8) for _ in range(3)]
        e = np.exp(x)
        s = np.sum(e * x, axis=1)
        want = 2 * s[:, None] * (e * x + e)
    assert np.isnan(rows[2][0])
    np.testing.assert_allclose(rows[2][1], want, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(rows[5][0], np.sum(s[8:] ** 2), rtol=1e-13)
    np.testing.assert_allclose(rows[5][1], want[8:], rtol=1e-12, atol=1e-12)
