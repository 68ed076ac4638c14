"""Writes to arrays in plain NumPy code: as NumPy does them, and never behind the user's back."""

import copy
import pickle

import numpy as np
import pytest
from numpy import zeros
from oracle import check

import jittape
from jittape.errors import TraceError
from jittape.tracing.recorder import open_traces

X = np.array([0.5, -1.5, 2.0, 0.25])


def squares(a):
    return np.sum(a * a)


def test_filled_element_by_element():
    def f(x):
        y = np.zeros(4)
        for i in range(4):
            y[i] = x[i] * x[3 - i]
        y[1:] += y[:-1]
        return y

    check(f, X, analytic=False)


def test_a_write_records_a_fixed_number_of_instructions():
    def f(x, n):
        y = np.zeros(n)
        for i in range(n):
            y[i] = x * i
        return y[-1]

    def length(n):
        return len(jittape.trace(lambda x: f(x, n))(2.0))

    assert length(40) - length(20) == length(60) - length(40) <= 60


@pytest.mark.parametrize(
    "make",
    [
        lambda x: np.zeros(4),
        lambda x: np.empty(4),
        lambda x: np.ones((4,)),
        lambda x: np.full(4, 2.0),
        lambda x: np.zeros_like(x),
        lambda x: np.zeros_like(X),
        lambda x: np.ones_like(X) * 2,
        lambda x: np.array([1.0, 2.0, 3.0, 4.0]),
        lambda x: np.array(X),
        lambda x: np.copy(X),
        lambda x: np.arange(4.0),
        lambda x: np.linspace(0, 1, 4),
        lambda x: np.eye(4)[1],
        lambda x: np.tile([1.0, 2.0], 2),
        lambda x: np.concatenate([np.zeros(2), np.ones(2)]),
        lambda x: np.where(np.arange(4) > 1, 1.0, 2.0),
        lambda x: -np.ones(4) + np.arange(4),
        lambda x: np.zeros((2, 2)).reshape(4),
        lambda x: x.copy(),
        lambda x: np.array(x),
        lambda x: np.array([x[0], x[1], 0.0, 1.0]),
        lambda x: zeros(4),
    ],
)
def test_whatever_made_the_array(make):
    def f(x):
        y = make(x)
        assert isinstance(y, np.ndarray) or open_traces()
        y[...] = 1.0
        y[1:3] = x[:2] * 2
        y *= x
        return y

    check(f, X)


def test_views_made_before_and_after_the_first_traced_write():
    def f(x):
        y = np.zeros((2, 3, 2))
        early = [
            y[1],
            y.T,
            y[..., ::-1],
            y.reshape(-1),
            y[:, 1:2],
            y.swapaxes(0, 1)[2],
            y[0, 1:, 0],
        ]
        y[0, 1, 1] = x[0]
        late = [y[1], y.T, y.reshape(4, 3)]
        late[1][1, 2, 0] = x[1] * x[2]
        early[3][5] = x[3]
        early[1][0, 0, 1] = 4.0
        early[6] += x[:2]
        late[0][2] = x[2]
        return [a * (k + 1) for k, a in enumerate([*early, *late])]

    check(f, X)


def test_a_view_follows_its_base_and_its_base_follows_it():
    def f(x):
        x = x * 1
        v = x[1:]
        w = v[::-1]
        x[2] = x[0] * 3
        before = w * 1
        w[0] = v[0] * v[1]
        v += 1
        return x, v, w, before

    check(f, X)


def test_rows_and_columns():
    def f(m):
        m = m * 1
        row = m[0]
        column = m[:, 1]
        row[0] = column[1] * 2
        column *= row[0]
        m[1][0] = m[0, 1] ** 2
        for r in m:
            r[0] += r[1]
        m[0], m[1] = m[1].copy(), m[0].copy()
        return m, row, column

    check(f, np.array([[0.5, -1.5], [2.0, 0.25]]))


@np.vectorize
def _smooth(a, b):
    return a * b if a > 0 else a - b


def test_concatenators_and_vectorize():
    check(lambda x: (np.r_[x, 1.0] ** 2, np.c_[x, x * 2], _smooth(x, 2.0)), X)
    assert np.r_[1:3, 5].tolist() == [1, 2, 5]
    assert _smooth(1.0, 3.0) == 3.0


def test_overlapping_writes():
    def f(x):
        x = x * 1
        x[1:] = x[:-1]
        x[:-1] += x[1:] * x[0]
        x[:] = x[::-1]
        return x

    check(f, X)


def test_repeated_indices():
    def f(x):
        y = np.zeros(4)
        y[[0, 1, 0]] = x[:3]
        y[[2, 2]] += x[0]
        np.add.at(y, [3, 3, 1], x[1:])
        np.subtract.at(y, np.array([0]), x[0])
        return y

    check(f, X)


def test_masks_and_index_arrays():
    def f(x):
        y = x * 1
        y[y > 0] *= 2
        y[np.array([0, 2])] = y[[2, 0]] * x[1]
        y[x < 0] = 0
        return y

    check(f, X)


def test_out():
    def f(x):
        y = np.zeros(4)
        assert np.add(x, 1.0, out=y) is y or open_traces()
        z = np.empty(4)
        np.multiply(y, x, out=z)
        np.exp(z, out=z, where=np.array([True, False, True, True]))
        s = np.zeros(())
        np.sum(z, out=s)
        return y, z, s * 1

    check(f, X)


def test_numpys_in_place_functions():
    def f(x):
        y = np.zeros((2, 2))
        np.copyto(y, x.reshape(2, 2))
        np.fill_diagonal(y, x[3])
        z = np.ones(4)
        np.put(z, [0, 2], x[:2] * 2)
        np.putmask(z, np.array([False, True, False, False]), x)
        np.place(z, np.array([False, False, False, True]), x[1:2])
        z.sort()
        w = np.zeros(3)
        w.fill(x[0])
        return y, z, w

    check(f, X)


def test_a_number_is_rebound_and_an_array_is_changed():
    def f(x):
        s = x[0]
        t = s
        s += 1
        y = x * 1
        z = y
        y += 1
        zero_d = np.zeros(())
        alias = zero_d
        zero_d += x[1]
        zero_d[...] = zero_d * 2
        return s, t, y, z, alias * 1

    check(f, X)


def test_copies_are_copies():
    def f(x):
        x = x * 1
        kept = [x.copy(), np.array(x), x.flatten(), x + 0, x[[0, 1]], np.repeat(x, 1)]
        kept += [copy.copy(x), copy.deepcopy(x), x.astype(float), np.ravel(x[::-1]), x.reshape(4)]
        x[:] = 0
        x[0] = kept[0][1]
        return kept

    check(f, X)


def test_dtypes_of_writes_are_numpys():
    def f(x):
        i = np.zeros(3, int)
        i[0] = 1.75
        i[1] = np.floor(x[3])
        h = np.zeros(2, np.float32)
        h[:] = x[:2]
        return i * x[:3], h

    check(f, X, rtol=1e-3, atol=1e-3)
    with pytest.raises(TypeError, match="cast"):
        jittape.grad(lambda x: _into_integers(x))(X)
    with pytest.raises(TypeError, match="real"):
        jittape.grad(lambda x: _complex_into_real(x))(X)


def _into_integers(x):
    y = np.zeros(4, int)
    y += x
    return np.sum(y)


def _complex_into_real(x):
    y = np.zeros(4)
    y[0] = x[0] * 1j
    return np.sum(y)


def test_shapes_are_checked():
    def wrong(x):
        y = np.zeros(3)
        y[:] = x
        return np.sum(y)

    with pytest.raises(ValueError, match="test_inplace.*broadcast"):
        jittape.grad(wrong)(X)
    with pytest.raises(ValueError, match="output operand"):
        jittape.grad(lambda x: np.sum(np.add(x, 1, out=np.zeros((2, 4)))))(X)
    with pytest.raises(IndexError, match="out of bounds"):
        jittape.grad(lambda x: _beyond(x))(X)
    with pytest.raises(ValueError, match="read-only"):
        jittape.grad(lambda x: _broadcast(x))(X)


def _beyond(x):
    y = np.zeros(3)
    y[3] = x[0]
    return np.sum(y)


def _broadcast(x):
    y = np.broadcast_to(x, (2, 4))
    y[0] = 0
    return np.sum(y)


def test_constants_written_between_uses():
    def f(x):
        w = np.zeros(4)
        s = 0.0
        for k in range(4):
            w[k] = k + 1.0
            s = s + np.sum(w * x) * x[k]
        return s

    check(f, X)


def test_the_users_arrays_are_not_changed():
    m = np.array([[1.0, 2.0], [3.0, 4.0]])

    @jittape.grad
    def f(x, y):
        x += 1
        x[0] = x[1]
        y[0] = 0.0
        return np.sum(x * x) + np.sum(y * x)

    y = np.ones((2, 2))
    for _ in range(3):
        f(m, y)
        assert m.tolist() == [[1.0, 2.0], [3.0, 4.0]]
        assert y.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_results_do_not_alias():
    f = jittape.jit(lambda x: (x, x[1:], x.T, x))
    for _ in range(3):
        out = f(X)
        for i, a in enumerate(out):
            assert a.base is None or not np.shares_memory(a, X)
            for b in out[:i]:
                assert not np.shares_memory(a, b)
        assert type(out[0]) is np.ndarray


PLAIN = np.zeros(4)


def _element(x):
    PLAIN[0] = x[0]
    return x[0]


def _slice(x):
    PLAIN[:2] = x[:2]
    return x[0]


def _augmented(x):
    y = PLAIN
    y += x
    return x[0]


def _view(x):
    y = PLAIN[::2]
    y[0] = x[0]
    return x[0]


def _filled(x):
    PLAIN.fill(x[0])
    return x[0]


@pytest.mark.parametrize("f", [_element, _slice, _augmented, _view, _filled])
def test_an_array_of_the_users_is_not_written_to(f):
    with pytest.raises(TraceError, match=r"test_inplace\.py:\d+.* global 'PLAIN', .* u0\.copy"):
        jittape.grad(f)(X)
    assert not PLAIN.any() and type(PLAIN) is np.ndarray


def _unknown(x):
    y = np.ndarray(4)
    y[0] = x[0]
    return np.sum(y)


def _unknown_slice(x):
    y = np.ndarray(4)
    y[1:] = x[1:]
    return np.sum(y)


@pytest.mark.parametrize("f", [_unknown, _unknown_slice])
def test_a_write_that_is_not_seen_is_refused(f):
    with pytest.raises(TraceError, match=r"test_inplace\.py:\d+.* 'y', .*np\.array"):
        jittape.grad(f)(X)


def test_c_code_cannot_read_traced_memory():
    seen = []

    def f(x):
        y = np.zeros(4)
        y[0] = x[0]
        for read in (PLAIN.__iadd__, lambda a: PLAIN.__setitem__(slice(None), a), pickle.dumps):
            with pytest.raises(TypeError):
                read(y)
            seen.append(1)
        return y[0]

    jittape.grad(f)(X)
    assert seen
    assert not PLAIN.any()


class Filter:
    def __init__(self, n):
        self.n = n

    def run(self, x):
        state = np.zeros(self.n)
        out = np.empty_like(x)
        for k in range(len(x)):
            state[1:] = state[:-1].copy()
            state[0] = x[k] + 0.5 * state[-1]
            out[k] = state[0] - state[1]
        return out


def test_methods_and_helpers():
    check(lambda x: Filter(2).run(x), X)


def test_inner_transforms_write_too():
    def f(x):
        y = np.zeros(2)
        y[0] = jittape.grad(lambda s: _norm_of_filled(s, x))(x[0])
        y[1] = x[1] * y[0]
        return y

    check(f, X[:2], order=1)


def _norm_of_filled(s, x):
    y = np.zeros(3)
    y[0] = s * x[1]
    y[1:] = s**2
    return squares(y)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: written(lambda m: m.flat.__setitem__(slice(None, None, 4), x)),
        lambda x: written(lambda m: m.flat.__setitem__(1, x[0])) + x[1],
        lambda x: written(lambda m: setattr(m, "flat", x)),
        lambda x: written(lambda m: setattr(m.T, "flat", [x[0], 2.0])),
        lambda x: written(lambda m: m.T.flat.__setitem__(1, 5.0), np.outer(x, x)),
        lambda x: written(lambda m: m.T.flat.__setitem__([2, 5], x[:2] ** 2), np.outer(x, x)),
        lambda x: written(lambda m: setattr(m[:, ::-1], "flat", x), np.outer(x, x)),
        lambda x: np.outer(x, x).view()[0] * np.outer(x, x).T.flat[1:4],
    ],
)
def test_flat(f):
    check(f, np.array([0.5, 1.2, -0.7]))


def written(write, m=None):
    m = np.ones((3, 3)) if m is None else m
    write(m)
    return m @ m * np.array(list(m.flat)).reshape(3, 3)


def test_locked_results():
    def f(x):
        y = x * x
        y.setflags(write=False)
        return y

    check(f, X)


def test_flat_of_a_transposed_array_follows_writes():
    def f(x):
        m = x[:, None] * np.ones((1, 2))
        flat = m.T.flat
        before = flat[1]
        m[1, 0] = 5 * x[0]
        return before + flat[1] ** 2

    check(f, np.array([0.5, 1.2, -0.7]))
    with pytest.raises(TraceError, match=r"test_inplace\.py:\d+: a view .* x\[..., 0\]"):
        jittape.grad(lambda x: x.view(complex).real.sum())(np.ones(4))
