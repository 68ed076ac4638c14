"""Reading and writing at every kind of key, against NumPy's own rules."""

from collections import Counter

import numpy as np
import pytest
from oracle import assert_same, check, check_value

import jittape
from jittape.functions.index import index_add, index_update
from jittape.passes.differentiate import reverse

RNG = np.random.default_rng(11)
X = RNG.normal(size=(2, 3, 4))
MASK = RNG.random((2, 3, 4)) > 0.5

KEYS = [
    0,
    -1,
    np.int64(1),
    np.array(1),
    (0, 1),
    (1, -1, 2),
    (np.int64(1), 2),
    (1, Ellipsis),
    (1, slice(None)),
    (0, 0, 0, Ellipsis),
    (0, 0, 0, None),
    slice(1, None),
    (slice(None, None, -1),),
    (slice(2, 2),),
    (slice(None, None, 2), slice(-2, None), slice(3, 0, -2)),
    (Ellipsis, 1),
    (None, 0),
    (Ellipsis, None),
    (0, None, slice(0, 2)),
    [0, 1],
    [],
    (0, []),
    np.array([[0, 1], [1, -1]]),
    (slice(None), [0, 2]),
    (0, slice(None), [1, 2]),
    ([0, 1], slice(None), [1, 2]),
    ([0, 1], [1, 2]),
    ([1, 1], [2, 2]),
    (slice(None), [0, 1], [1, 2]),
    (slice(None), 0, [1, 2, 3]),
    (0, Ellipsis, [1, 2]),
    (0, Ellipsis, [1, 2], [1]),
    (slice(None), 0, Ellipsis, [1, 2]),
    ([0], None, [1, 2]),
    (None, [0], [1, 2]),
    (0, [1, 2], None, [0, 1]),
    (slice(0, 1), None, [1], [0]),
    np.array([True, False]),
    MASK,
    True,
    False,
    (True, [0, 1]),
    (slice(None), np.array([True, False, True])),
    (np.array([True, True]), [0, 1]),
    (np.array([True, True]), slice(None), [0, 1]),
    np.ix_([0, 1], [0, 2]),
    (Ellipsis, np.array([0, 1])),
]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_reading(key):
    check(lambda x: x[key] * x[key], X)


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_functional_writing(key):
    v = RNG.normal(size=X[key].shape)
    for write, reference in (
        (index_update, lambda x, v: x.__setitem__(key, v)),
        (index_add, lambda x, v: np.add.at(x, key, v)),
    ):
        want = X.copy()
        reference(want, v)
        traced = lambda x, v, write=write: write(x, key, v)  # noqa: E731
        assert_same(jittape.jit(traced)(X, v), want, 1e-14, "value")
        jittape.check_grads(traced, (X, v), order=1)


def test_the_last_write_wins_and_takes_the_gradient():
    key = np.array([1, 0, 1])
    w = np.array([10.0, 20.0, 30.0])

    def loss(x, v):
        return index_update(x, key, v) @ w

    gx, gv = jittape.grad(loss, argnums=(0, 1))(np.ones(3), np.array([1.0, 2.0, 3.0]))
    assert gx.tolist() == [0.0, 0.0, 30.0]
    assert gv.tolist() == [0.0, 10.0, 20.0]


@pytest.mark.parametrize(
    "key",
    [5, -3, (0, 3), (0, 0, -5), [0, 2], ([0, 1], [0, 3]), (0, 0, 0, 0), "a", 1.5, [0.5]],
    ids=repr,
)
def test_errors_are_those_of_numpy(key):
    with pytest.raises(IndexError):
        X[key]
    with pytest.raises(IndexError, match="test_index.py"):
        jittape.jit(lambda x: x[key])(X)


def test_two_ellipses_and_masks_that_do_not_fit():
    with pytest.raises(IndexError, match="single ellipsis"):
        jittape.jit(lambda x: x[..., 0, ...])(X)
    with pytest.raises(IndexError, match="boolean index did not match"):
        jittape.jit(lambda x: x[np.array([True, False, True])])(X)


# -- indices that depend on the data -------------------------------------------------------------


def test_traced_indices_are_recomputed():
    def f(x, w):
        order = np.argsort(x)
        return x[order] * w, x[order[-1]], w[order][::2]

    x, w = np.array([3.0, 1.0, 2.0, 0.5]), np.arange(1.0, 5.0)
    check(f, x, w, others=(x[::-1].copy(), w))


def test_two_traced_indices_on_two_axes():
    def f(x):
        i, j = np.argsort(x[:, 0]), np.argsort(x[0])[:2]
        return x[i, j] + x[i[:, None], j][0]

    x = RNG.normal(size=(2, 3))
    check(f, x, others=(-x,))


def test_a_mask_is_recomputed_and_its_count_guarded():
    f = jittape.value_and_grad(lambda x: np.sum(x[x > 0] ** 2))
    for x in ([1.0, -2.0, 3.0], [-1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [-1.0, -1.0, -2.0]):
        x = np.array(x)
        value, g = f(x)
        assert value == np.sum(x[x > 0] ** 2)
        assert g.tolist() == np.where(x > 0, 2 * x, 0).tolist()


def test_captured_indices_and_masks_are_read_anew():
    idx, mask = np.array([0, 1]), np.array([True, False, False])
    f = jittape.jit(lambda x: (x[idx], x[mask], np.take(x, idx), x[idx, None]))
    x = np.array([1.0, 2.0, 3.0])
    for i, m in (([0, 1], 0), ([2, -3], 1), ([1, 1], 2)):
        idx[:] = i
        mask[:] = np.arange(3) == m
        want = x[idx], x[mask], np.take(x, idx), x[idx, None]
        assert_same(f(x), want, 0, "value")
    idx[0] = 3
    with pytest.raises(IndexError):
        f(x)


def test_index_out_of_range_at_replay_raises():
    f = jittape.jit(lambda x, k: x[k])
    assert f(np.arange(3.0), np.array([0, 2])).tolist() == [0.0, 2.0]
    with pytest.raises(IndexError):
        f(np.arange(3.0), np.array([0, 3]))


def test_index_inside_of_the_whole_but_outside_of_its_axis():
    f = jittape.jit(lambda x, i, j: x[i, j])
    x = np.arange(6.0).reshape(2, 3)
    i, j = np.array([0, 1]), np.array([2, 0])
    assert f(x, i, j).tolist() == [2.0, 3.0]
    with pytest.raises(IndexError):
        f(x, i, np.array([3, 0]))
    with pytest.raises(IndexError):
        jittape.jit(lambda x, j: np.take_along_axis(x, j, 1))(x, np.array([[3], [0]]))


def test_take_modes():
    x = RNG.normal(size=(3, 4))
    idx = np.array([[5, -6], [0, 3]])
    for mode in ("wrap", "clip"):
        check(lambda x, i, mode=mode: np.take(x, i, axis=1, mode=mode), x, idx)
        check(lambda x, i, mode=mode: x.take(i, mode=mode), x, idx)
    with pytest.raises(IndexError, match="out of bounds"):
        jittape.jit(lambda x: np.take(x, idx, axis=1))(x)
    with pytest.raises(TypeError, match="integer"):
        jittape.jit(lambda x: np.take(x, np.array([0.5])))(x)


def test_index_functions():
    x = RNG.normal(size=(3, 4))
    check_value(lambda x: np.nonzero(x > 0), x, others=(-x,))
    check_value(lambda x: np.argwhere(x > 0), x, others=(-x,))
    check_value(lambda x: np.where(x > 0), x, others=(-x,))
    check_value(lambda x: (x > 0).nonzero(), x)
    check(lambda x: np.compress(x[0] > 0, x, axis=1), x)
    check(lambda x: x.compress([True, False, True], axis=0), x)
    check(lambda x: np.extract(x > 0, x), x)
    check(lambda x: np.take_along_axis(x, np.argsort(x, axis=0), axis=0), x, others=(-x,))
    check(lambda x: x[np.ix_(x[:, 0] > 0, [0, 2])], x)
    check(lambda x: np.choose(np.array([0, 1, 0, 1]), [x[0], x[1]]), x)
    check_value(lambda x: np.digitize(x, np.array([-1.0, 0.0, 1.0])), x)
    check_value(lambda x: np.searchsorted(np.sort(x[0]), x[1], side="right"), x)


def test_choose_checks_its_index_at_replay():
    f = jittape.jit(lambda k, x: np.choose(k, [x, 2 * x]))
    x = np.ones(2)
    assert f(np.array([0, 1]), x).tolist() == [1.0, 2.0]
    assert f(np.array([1, 1]), x).tolist() == [2.0, 2.0]
    with pytest.raises(ValueError, match="choice"):
        f(np.array([2, 0]), x)


def test_piecewise():
    def f(x):
        return np.piecewise(x, [x < -0.5, x > 0.5], [lambda v: v**2, 3.0, lambda v: 2 * v])

    x = np.array([-1.0, 0.2, 0.7, -0.8, 0.1])
    check(f, x, others=(np.array([-1.0, 0.9, 0.7, 0.8, 0.1]),))
    check(lambda x: np.piecewise(x, x > 0, [lambda v: v**3, 0.0]), x)
    assert jittape.grad(lambda x: np.piecewise(x, [x > 0], [lambda v: v * v]))(3.0) == 6.0


def test_where_promotes_as_numpy():
    x = np.array([1.0, -2.0], np.float32)
    check(lambda x: np.where(x > 0, x, 0.0), x)
    check(lambda x: np.where([1, 0], x, np.float64(2.0)), x)
    check(lambda x: np.where(x > 0, 1, x), x)
    check_value(lambda x: np.where(x, x, 3), np.array([1.0, 0.0]))


# -- cost ----------------------------------------------------------------------------------------


def _ops(tape):
    return Counter(tape.signature(i).op.name for i in range(len(tape)))


def _reads(x):
    s = 0.0
    for i in range(x.shape[0]):
        s = s + x[i] * x[i]
    return s


def test_scalar_reads_have_one_signature_and_add_up_in_place():
    tape = jittape.trace(_reads)(np.ones(50))
    takes = {int(s) for s in tape.sigs.tolist()}
    assert len(takes) == len({tape.signature(i).op.name for i in range(len(tape))})
    back = _ops(reverse(tape, [0]))
    # 100 contributions: one starts the adjoint, all others are added to it in place
    assert back["scatter_add"] == 1
    assert back["scatter_add_to"] == 99
    assert jittape.grad(_reads)(np.arange(50.0)).tolist() == (2 * np.arange(50.0)).tolist()


def test_slice_reads_add_up_in_place():
    def f(x):
        return x[1:] @ x[:-1] + x[::2] @ x[::2]

    back = _ops(reverse(jittape.trace(f)(np.ones(6)), [0]))
    assert back["place"] == 1
    assert back["add_at"] == 3
    check(f, RNG.normal(size=6))


def test_matrix_elements():
    def f(m):
        s = 0.0
        for i in range(m.shape[0]):
            for j in range(m.shape[1]):
                s = s + m[i, j] ** 2 * (i + 1)
        return s + m[-1, -1]

    check(f, RNG.normal(size=(3, 4)))
    with pytest.raises(IndexError, match="axis 1"):
        jittape.jit(lambda m: m[0, 4])(np.ones((3, 4)))
