"""The binomial schedule: its number of steps, its memory, and derivatives computed with it."""

import tracemalloc
from functools import cache

import numpy as np
import pytest

from jittape import config, grad, hessian, jit, scan, vmap
from jittape.api.binomial import actions, choose_segment, forward_steps, middle
from jittape.execute import loop

RNG = np.random.default_rng(23)


@cache
def fewest(length, kept):
    """The fewest forward steps, by trying each place of the next carry."""
    if kept == 1:
        return length * (length - 1) // 2
    places = range(1, length)
    return min((m + fewest(length - m, kept - 1) + fewest(m, kept) for m in places), default=0)


@pytest.mark.parametrize("kept", range(1, 7))
def test_the_formula_is_the_optimum(kept):
    for length in range(1, 40):
        assert forward_steps(length, kept) == fewest(length, kept)
        if kept > 1 and length > kept + 1:
            m = middle(length, kept)
            assert m + fewest(length - m, kept - 1) + fewest(m, kept) == fewest(length, kept)


@pytest.mark.parametrize("free", [0, 1, 2, 3, 7])
def test_the_schedule_takes_the_fewest_steps(free):
    """Each step is reversed once, from the last to the first, with no more carries than allowed."""
    for length in (1, 2, 3, 5, 9, 10, 33, 120):
        computed, reversed_to, stack = 0, length, [0]
        for low, at, high in actions(length, free):
            while stack[-1] > low:
                stack.pop()
            assert stack[-1] == low
            computed += at - low
            if high == at:
                stack.append(at)
                assert len(stack) <= free + 1
                continue
            assert high == reversed_to
            reversed_to = at
            computed += high - at - 1
            assert len(stack) + high - at - 1 <= free + 2, "one of them is worked on"
        assert reversed_to == 0
        assert computed == forward_steps(length, free + 1)


def test_segments_fit():
    for length, most in ((1, 2), (7, 2), (7, 100), (100, 16), (4096, 32), (10**8, 10**6)):
        every = choose_segment(length, most)
        assert 1 <= every <= max(length, 2)
        kept = -(-length // every)
        assert kept <= most or length <= 2
        assert (every == 1) == (length <= max(most, 2))
    assert choose_segment(10**6, 4000) == 1000, "two levels: no carry that need not be kept"


def body(c, x):
    return (np.tanh(c[0] + x * np.roll(c[0], 1)), c[1] + 1), c[0][::2] * x * c[1]


def loss(run):
    def total(h, w, xs):
        (h, k), ys = run(lambda c, x: body(c, x * w), (h, 0), xs)
        return np.sum(h**2) + np.sum(ys**2) / k

    return total


def unrolled(f, carry, xs):
    ys = []
    for x in xs:
        carry, y = f(carry, x)
        ys.append(y)
    return carry, np.stack(ys)


ARGS = (RNG.normal(size=4), 0.7, np.linspace(0.3, 0.8, 23))


@pytest.mark.parametrize("carries", [2, 3, 4, 5, 9])
def test_derivatives(carries):
    """With any bound: first and second order, integer carries, batches, a replay."""
    scanned, plain = loss(scan), loss(unrolled)
    every = (0, 1, 2)
    with config.override(loop_bytes=carries * 40):
        g = grad(scanned, argnums=every)
        for factor in (1.0, 0.8, 1.1):
            args = [x * factor for x in ARGS]
            for got, want in zip(g(*args), grad(plain, argnums=every)(*args), strict=True):
                np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-13)
        many = RNG.normal(size=(3, 4))
        got = vmap(grad(scanned), in_axes=(0, None, None))(many, *ARGS[1:])
        want = [grad(plain)(h, *ARGS[1:]) for h in many]
        np.testing.assert_allclose(got, want, rtol=1e-10)
        if carries < 4:
            H = hessian(scanned, argnums=1)(*ARGS)
            np.testing.assert_allclose(H, hessian(plain, argnums=1)(*ARGS), rtol=1e-9)
            second = grad(lambda h: np.sum(grad(scanned)(h, *ARGS[1:]) ** 2))
            want = grad(lambda h: np.sum(grad(plain)(h, *ARGS[1:]) ** 2))
            np.testing.assert_allclose(second(ARGS[0]), want(ARGS[0]), rtol=1e-9)


def test_steps_and_memory(monkeypatch):
    """A long loop with large carries: the steps computed and the memory taken are those stated."""
    width, n, carries = 20_000, 120, 8
    each = 8 * width

    def final(h):
        return np.sum(scan(lambda h, _: (h + 0.01 * np.sin(h), None), h, length=n)[0])

    counted = []
    original = loop.repeat

    def counting(program, job):
        counted.append(job.n)
        return original(program, job)

    monkeypatch.setattr(loop, "repeat", counting)
    x = RNG.normal(size=width)
    with config.override(loop_bytes=carries * each):
        g = grad(final)
        got = [g(x) for _ in range(3)][-1]
        counted.clear()
        tracemalloc.start()
        np.testing.assert_array_equal(g(x), got)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    every = choose_segment(n, carries)
    kept = -(-n // every)
    lengths = [every] * (n // every) + [n % every] * bool(n % every)
    again = sum(forward_steps(m, max(carries - kept - 1, 0) + 1) for m in lengths)
    assert forward_steps(every, carries - kept) > every, "each segment needs the schedule"
    outer = n // every  # the reverse loop over segments
    assert sum(counted) == n + again + n + outer
    # arguments and results, and what one step works on, besides the carries
    assert peak < (carries + 12) * each < n * each / 5
    with config.override(loop_bytes=1 << 40):
        np.testing.assert_allclose(grad(final)(x), got, rtol=1e-12)


def test_the_bound_is_read_while_recording():
    f = jit(lambda x: scan(lambda c, _: (c * 1.5, None), x, length=5)[0])
    with config.override(loop_bytes=0):
        assert f(1.0) == 1.5**5
    with pytest.raises(TypeError, match="loop_bytes"):
        config.loop_bytes = "1 GB"
