"""The trie of known paths: how many tapes are swept until the right one is found."""

import itertools
import threading

import numpy as np
import pytest

import jittape
from jittape.api import cache

K = 6


@pytest.fixture
def sweeps(monkeypatch):
    """A list of what was swept for a call, emptied by whoever looks at it."""
    seen = []
    run = cache.run

    def counted(prepared, inputs):
        seen.append(prepared)
        return run(prepared, inputs)

    monkeypatch.setattr(cache, "run", counted)
    return seen


def branches(x):
    y = 0.0
    for k in range(K):
        y = y + np.sin(x[k]) * (k + 1.0) if x[k] > 0 else y - x[k] ** 2
    return y


def slope(x):
    return np.where(x > 0, np.cos(x) * np.arange(1.0, K + 1), -2 * x)


def points():
    rng = np.random.default_rng(0)
    signs = itertools.product([1.0, -1.0], repeat=K)
    return [np.array(s) * rng.uniform(0.5, 2.0, K) for s in signs]


def test_each_failed_sweep_settles_one_more_outcome(sweeps):
    g = jittape.grad(branches)
    xs = points()
    with jittape.config.override(max_retraces=1000):
        for x in [*xs, xs[0]]:
            g(x)
    traces = g.cache_info().traces
    assert (traces, g.cache_info().tapes) == (len(xs) + 1, len(xs))
    order = np.random.default_rng(1).permutation(len(xs)).tolist() * 2
    previous = xs[order[-1]]
    g(previous)
    for i in order:
        sweeps.clear()
        np.testing.assert_allclose(g(xs[i]), slope(xs[i]), rtol=1e-13)
        # each tape that failed was right up to a later guard than the one before; and the first
        # is right up to where this path parts from the last
        parting = np.flatnonzero((xs[i] > 0) != (previous > 0))
        most = 1 + K - int(parting[0]) if len(parting) else 1
        # the quickest path has swept the last tape once before
        assert len(sweeps) <= most
        assert len(set(map(id, sweeps))) == len(sweeps)
        previous = xs[i]
    assert g.cache_info().traces == traces


def test_an_unknown_path_is_traced_without_trying_what_contradicts_it(sweeps):
    g = jittape.grad(branches)
    xs = points()
    known = [x for x in xs if x[0] > 0]
    with jittape.config.override(max_retraces=1000):
        for x in [*known, known[0]]:
            g(x)
        sweeps.clear()
        unknown = next(x for x in xs if x[0] < 0)
        np.testing.assert_allclose(g(unknown), slope(unknown), rtol=1e-13)
    assert len(sweeps) == 1  # the 31 others were recorded for x[0] > 0, too


def test_paths_of_different_length(sweeps):
    def halvings(x):
        n = 0
        while x > 1:
            x = x / 2
            n += 1
        return x * n

    g = jittape.grad(halvings)
    xs = [1.5 * 2.0**k for k in range(20)]
    for x in [*xs, xs[0]]:
        g(x)
    traces = g.cache_info().traces
    for x in xs[::-1] + xs[::3]:
        sweeps.clear()
        n = int(np.ceil(np.log2(x)))
        assert g(x) == n / 2.0**n
        # the last, the one that answered last of those that are longer, the longest, this one
        assert len(sweeps) <= 4
    assert g.cache_info().traces == traces


def test_values_that_python_was_told(sweeps):
    def table(x, y):
        return x * [1.0, 2.0, 4.0, 8.0][int(x)] + (y * 3.0 if y > 0 else y * 5.0)

    g = jittape.grad(table, argnums=(0, 1))
    calls = [(k + 0.5, s) for k in range(4) for s in (1.0, -1.0)]
    for c in [*calls, calls[0]]:
        g(*c)
    traces = g.cache_info().traces
    for x, y in calls[::-1] + calls[::3]:
        sweeps.clear()
        assert g(x, y) == (2.0 ** int(x), 3.0 if y > 0 else 5.0)
        assert len(sweeps) <= 3
    assert g.cache_info().traces == traces


def test_questions_that_are_recorded_in_another_order():
    """What an inner transform asks of the function around it stands before its own questions."""

    def fun(x):
        def inner(y):
            if y > 0:
                return y * y * (3.0 if x > 0.5 else 5.0)
            return y * 7.0 if x > 2 else y * 9.0 * y

        return jittape.grad(inner)(x - 1.0) * x

    def want(x):
        y = x - 1.0
        if y > 0:
            k = 3.0 if x > 0.5 else 5.0
            return 2 * k * y + 2 * k * x
        return 7.0 if x > 2 else 18.0 * (y + x)

    g = jittape.grad(fun)
    xs = [1.5, 0.3, 3.0, -1.0, 0.7, 2.5]
    for x in xs * 3:
        assert g(x) == pytest.approx(want(x), rel=1e-13)
    traces = g.cache_info().traces
    for x in xs * 2 + xs[::-1]:
        assert g(x) == pytest.approx(want(x), rel=1e-13)
    assert g.cache_info().traces == traces


def test_a_path_that_was_ruled_out_by_mistake_is_found_from_then_on():
    """One helper asks both: the trie cannot tell these questions apart."""

    def sign(t):
        return 1.0 if t > 0 else -1.0

    def outer(a, b):
        def inner(y):
            if sign(y) > 0:
                return y * y * sign(a)
            return y * y * 3.0

        return jittape.grad(inner)(b) * a

    def want(a, b):
        k = np.sign(a) if b > 0 else 3.0
        return 2 * b * k, 2 * k * a

    g = jittape.grad(outer, argnums=(0, 1))
    calls = [(a, b) for a in (1.0, -2.0) for b in (0.5, -1.5)]
    for _ in range(6):
        for c in calls:
            assert g(*c) == pytest.approx(want(*c), rel=1e-13)
    traces = g.cache_info().traces
    for c in calls + calls[::-1]:
        assert g(*c) == pytest.approx(want(*c), rel=1e-13)
    assert g.cache_info().traces == traces
    assert any(v.paths.strays for s in g._slots.values() for v in s.variants)


@pytest.mark.parametrize("bound", [1, 2, 3, 7])
def test_bounded_tries_stay_right(bound):
    g = jittape.grad(branches)
    xs = points()
    rng = np.random.default_rng(bound)
    with jittape.config.override(max_tapes=bound, max_retraces=10_000):
        for i in rng.integers(0, len(xs), 150):
            np.testing.assert_allclose(g(xs[i]), slope(xs[i]), rtol=1e-13)
        assert g.cache_info().tapes == bound


def test_threads_that_grow_the_trie_at_once():
    g = jittape.grad(branches)
    xs = points()
    wrong = []

    def work(seed):
        for i in np.random.default_rng(seed).integers(0, len(xs), 150):
            if not np.allclose(g(xs[i]), slope(xs[i]), rtol=1e-13):
                wrong.append(i)

    with jittape.config.override(max_retraces=10_000, max_tapes=20):
        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert not wrong
