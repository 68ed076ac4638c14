"""KeyboardInterrupt and exceptions at any moment leave everything usable, in every thread."""

import concurrent.futures
import gc
import math
import random
import signal

import numpy as np
import pytest

import jittape
from jittape.tracing.patches import Patched
from jittape.tracing.recorder import open_traces

LARGE = np.linspace(0.0, 1.0, 300_000)


def program(k):
    def fun(x):
        y = np.zeros(3)
        for i in range(3):
            if x[i] > 0:
                y[i] = x[i] * math.exp(-x[i] * k)
            else:
                y[i - 1] += x[i] ** 2
        return np.sum(y * np.linalg.solve(np.eye(3) * 2.0, x))

    return fun


def differences(fun, x, h=1e-6):
    return np.array([(fun(x + h * e) - fun(x - h * e)) / (2 * h) for e in np.eye(len(x))])


def assert_clean():
    assert not open_traces()
    assert not isinstance(np.zeros, Patched)
    assert not isinstance(math.exp, Patched)


# CPython tells of an interrupt inside of a weak reference's callback, and drops it
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")
def test_interrupts_at_any_time():
    def interrupt(number, frame):
        raise KeyboardInterrupt

    fun = program(1.0)
    cached = jittape.grad(fun)
    large = jittape.grad(lambda x: np.sum(np.sin(x) * x))
    want = np.sin(LARGE) + LARGE * np.cos(LARGE)
    for _ in range(3):
        cached(np.ones(3))
        large(LARGE)
    rng, choose = np.random.default_rng(0), random.Random(0)
    before = signal.signal(signal.SIGALRM, interrupt)
    hits = 0
    # an interrupt inside of a test runner's callback would be lost there, and reported
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            for n in range(200):
                x = rng.normal(size=3)
                f = fun if n % 2 else program(1.0 + n % 3)
                g = cached if n % 2 else jittape.grad(f)
                try:
                    signal.setitimer(signal.ITIMER_REAL, choose.choice([5e-5, 2e-4, 1e-3, 3e-3]))
                    for _ in range(20):
                        g(x)
                        jittape.vjp(f, x)[1](1.0)
                        if n % 4 == 1:
                            large(LARGE)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except KeyboardInterrupt:
                    hits += 1
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                assert_clean()
                if n % 10 < 2:
                    np.testing.assert_allclose(g(x), differences(f, x), rtol=1e-5, atol=1e-5)
                    (slope,) = jittape.vjp(f, x)[1](1.0)
                    np.testing.assert_allclose(slope, differences(f, x), rtol=1e-5, atol=1e-5)
                    # another thread finds no lock taken
                    other = pool.submit(jittape.grad(program(2.0)), x).result(timeout=60)
                    np.testing.assert_allclose(other, differences(program(2.0), x), atol=1e-5)
                    np.testing.assert_allclose(large(LARGE), want, rtol=1e-12)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.callbacks[:] = callbacks
    assert hits > 20


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit, MemoryError])
def test_exceptions_in_the_middle_of_a_sweep(error):
    """A host step that raises while a tape is replayed, in the value and in the derivative."""
    fail = {"in": ""}

    @jittape.custom_vjp
    def opaque(x):
        if fail["in"] == "value":
            raise error("while it ran")
        return np.array(x) * 2.0

    def forward(x):
        return opaque(x), x

    def backward(x, g):
        return (look(g) * 2.0,)

    @jittape.custom_vjp
    def look(g):
        if fail["in"] == "derivative":
            raise error("while it ran")
        return np.array(g)

    look.defvjp(lambda g: (look(g), g), lambda g, c: (c,))
    opaque.defvjp(forward, backward)
    f = jittape.value_and_grad(lambda x: np.sum(np.exp(opaque(np.sin(x))) * x))
    x = np.array([0.3, 0.7, -0.2])
    e = np.exp(2 * np.sin(x))
    for k in range(8):
        value, slope = f(x)
        np.testing.assert_allclose(value, np.sum(e * x), rtol=1e-13)
        np.testing.assert_allclose(slope, e * (1 + 2 * x * np.cos(x)), rtol=1e-13)
        fail["in"] = ("value", "derivative")[k % 2]
        with pytest.raises(error, match="while it ran"):
            f(x)
        fail["in"] = ""
        assert_clean()


def test_exceptions_in_the_middle_of_a_trace():
    def fun(x):
        y = np.zeros(2)
        y[0] = x
        if x > 1:
            jittape.grad(lambda z: raising(z * x))(x)
        return y[0] * 3.0

    def raising(z):
        raise OverflowError("deep inside")

    g = jittape.grad(fun)
    for _ in range(4):
        assert g(0.5) == 3.0
        with pytest.raises(OverflowError, match="deep inside"):
            g(2.0)
        assert_clean()
