"""Columns joined to rows, pieces computed in their places, and the order of nonzeros."""

import numpy as np
import pytest

import jittape
from jittape.evaluate import evaluate
from jittape.execute import threads
from jittape.passes.periods import FEWEST, ROWS, stretches

RNG = np.random.default_rng(3)


def replayed(fun, *args):
    """The results of a program, compared with those of the function for fresh arguments."""
    fast = jittape.jit(fun)
    for factor in (1.0, 2.0, -0.5):  # recorded, confirmed, replayed
        xs = [a * factor for a in args]
        have, want = fast(*xs), fun(*xs)
        have, want = (r if isinstance(r, tuple) else (r,) for r in (have, want))
        for h, w in zip(have, want, strict=True):
            assert h.dtype == w.dtype
            np.testing.assert_allclose(h, w, rtol=1e-12, atol=1e-12)
    (tape,) = fast.tapes()
    return tape


@pytest.mark.parametrize("width", [2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 31])
@pytest.mark.parametrize("n", [513, 1024, 4099])
def test_columns_become_rows(width, n):
    def fun(x):
        return np.concatenate([(x * k + 1.0).reshape(n, 1) for k in range(width)], axis=1)

    tape = replayed(fun, RNG.normal(size=n))
    assert tape.signature(len(tape) - 1).op.name == "concatenate"


def test_columns_of_other_kinds():
    """Strided, broadcast, constant and integer columns; words of other dtypes; two leading axes."""
    x, y = RNG.normal(size=(700, 2)), RNG.normal(size=1)
    flat = np.arange(700.0).reshape(700, 1)

    def columns(x, y):
        wide = np.broadcast_to(y.reshape(1, 1), (700, 1))
        return np.concatenate([x[:, 1:], np.sin(x[:, :1]), wide, flat, x[::-1, :1] * 2.0], axis=1)

    replayed(columns, x, y)
    replayed(lambda x: np.concatenate([(x > 0)[:, :1], (x > 1)[:, 1:]], axis=1), x)
    whole = lambda x: (x[:, :1] > 0).astype(np.int64)  # noqa: E731
    replayed(lambda x: np.concatenate([whole(x), 1 - whole(x)], axis=1), x)
    short = x.astype(np.float32)
    replayed(lambda x: np.concatenate([x[:, :1] * x[:, 1:], x[:, 1:]], axis=1), short)
    cube = RNG.normal(size=(30, 40, 1))
    replayed(lambda x: np.concatenate([x, x * x, np.cos(x)], axis=2), cube)


def test_rows_are_read_again():
    """The joined array is an operand of what follows, in the same space and in others."""
    x = RNG.normal(size=900)

    def fun(x):
        both = np.stack([x, x * x, np.sin(x)], axis=1)
        return both.sum(axis=0), both * 2.0, both @ np.ones((3, 2)), both[::-1].T + x

    replayed(fun, x)


def test_gradient_of_points():
    def energy(p):
        d = p[1:] - p[:-1]
        return np.sum(np.sqrt(np.sum(d * d, axis=1)))

    p = RNG.normal(size=(2000, 3))
    g = jittape.grad(energy)
    for _ in range(3):
        d = p[1:] - p[:-1]
        u = d / np.sqrt(np.sum(d * d, axis=1, keepdims=True))
        want = np.zeros_like(p)
        want[1:] += u
        want[:-1] -= u
        np.testing.assert_allclose(g(p), want, rtol=1e-12, atol=1e-12)
        p = p + 0.1 * RNG.normal(size=p.shape)


def test_pieces_of_results():
    """Values that a result is joined from are computed there, and read there by others."""
    x = RNG.normal(size=800)

    def fun(x):
        a, b = np.sin(x), np.cumsum(x)
        inner = np.concatenate([a, b])
        twice = np.concatenate([inner, a * 3.0, a, x])
        return twice, a, inner * 2.0, np.sum(b), np.stack([b, a])

    replayed(fun, x)


def test_pieces_that_are_updated():
    """A piece must keep its content when something else is computed in place of an operand."""
    x = RNG.normal(size=600)

    def fun(x):
        a = x * 2.0
        y = np.array(a)
        y[3:5] += 1.0
        z = np.array(y)
        z[::7] = 0.0
        return np.concatenate([a, y, z, y])

    replayed(fun, x)


def test_threads_join_alike():
    n = 200_000

    def fun(x):
        return np.concatenate([(np.sin(x) * k).reshape(n, 1) for k in range(9)], axis=1)

    x = RNG.normal(size=n)
    fast = jittape.jit(fun)
    first = [fast(x) for _ in range(3)][-1]
    before = threads.get_num_threads()
    try:
        threads.set_num_threads(1)
        np.testing.assert_array_equal(fast(x), first)
    finally:
        threads.set_num_threads(before)
    np.testing.assert_allclose(first, evaluate(fast.tapes()[0], [x])[0], rtol=1e-14)


# -- the order of nonzeros -------------------------------------------------------------------------


def spelled_out(found, index):
    """The positions that stretches stand for."""
    out = [
        index[start : start + period][None] + np.arange(rows)[:, None]
        for start, period, rows in found
    ]
    return np.concatenate([o.ravel() for o in out])


def test_stretches_of_transposed_blocks():
    n = 3000
    block = np.arange(12 * n).reshape(12, n)
    index = np.concatenate([block[[3, 0, 7, 8]].T.ravel(), 12 * n + np.arange(500), [5, 17, 2]])
    found = stretches(index, np.ones(len(index), bool))
    assert found[0] == (0, 4, n)
    np.testing.assert_array_equal(spelled_out(found, index), index)


def test_stretches_of_sums():
    """Groups of one and two positions in turn: a tridiagonal matrix of overlapping terms."""
    n = 2000
    i = np.arange(n)
    rows = np.stack([i, n + i, 2 * n + i + 1, 3 * n + i], axis=1).ravel()
    first = np.tile([True, True, False, True], n)
    index, first = np.r_[0, 7, rows], np.r_[True, False, first]
    found = stretches(index, first)
    np.testing.assert_array_equal(spelled_out(found, index), index)
    for start, period, count in found:
        assert first[start]
        assert (first[start : start + period * count].reshape(count, period) == first[
            start : start + period
        ]).all()  # fmt: skip


def test_no_stretches():
    assert stretches(np.arange(FEWEST - 1), np.ones(FEWEST - 1, bool)) is None
    index = RNG.permutation(5000)
    assert stretches(index, np.ones(5000, bool)) is None
    assert stretches(np.zeros(5000, np.int64), np.ones(5000, bool)) is None


@pytest.mark.parametrize("seed", range(30))
def test_random_stretches(seed):
    """Whatever is found stands for the very positions, group for group."""
    r = np.random.default_rng(seed)
    parts, flags = [], []
    for _ in range(int(r.integers(1, 4))):
        period, rows = int(r.integers(1, 9)), int(r.integers(ROWS // 2, 6 * ROWS))
        base = r.integers(0, 10_000, size=period)
        parts.append((base + np.arange(rows)[:, None]).ravel())
        group = r.random(period) < 0.7
        group[0] = True
        flags.append(np.tile(group, rows))
        tail = int(r.integers(0, 4))
        parts.append(r.integers(0, 10_000, size=tail))
        flags.append(np.ones(tail, bool))
    index, first = np.concatenate(parts), np.concatenate(flags)
    found = stretches(index, first)
    if found is None:
        return
    np.testing.assert_array_equal(spelled_out(found, index), index)
    at = 0
    for start, period, rows in found:
        assert start == at and first[start]
        at += period * rows
        groups = first[start:at].reshape(rows, period)
        assert (groups == groups[0]).all()
    assert at == len(index)
