"""Deleting, inserting and counting, against NumPy's own answers."""

import numpy as np
import pytest
from oracle import check, check_value

import jittape

RNG = np.random.default_rng(2)
M = RNG.normal(size=(3, 4))


@pytest.mark.parametrize("obj", [0, -1, [0, 2], slice(1, None), np.array([True, False, True])])
def test_delete(obj):
    check(lambda x: np.delete(x, obj, axis=0) ** 2, M)


@pytest.mark.parametrize(
    ("obj", "values", "axis"),
    [
        (1, 9.0, 0),
        (1, np.arange(4.0), 0),
        (-1, np.arange(3.0), 1),
        ([1, 1, 3], 5.0, 1),
        ([0, 2], np.ones((3, 2)), 1),
        ([0], np.ones((3, 1)), 1),
        (slice(0, 2), 7.0, 1),
        (5, [1.0, 2.0], None),
        ([2, 5], [1.0, 2.0], None),
        (np.array([True, False, True, False]), 3.0, 1),
    ],
)
@pytest.mark.filterwarnings("ignore:in the future insert will treat boolean:FutureWarning")
def test_insert(obj, values, axis):
    check(lambda x: np.insert(x, obj, values, axis=axis) ** 2, M)
    check(lambda v: np.insert(M, obj, v, axis=axis) ** 2, np.asarray(values))


def test_counts_with_traced_weights_follow_the_index():
    idx = np.array([0, 2, 2, 1])
    f = jittape.value_and_grad(lambda w: np.bincount(idx, w) @ np.arange(1.0, 4.0))
    for k in ([0, 2, 2, 1], [2, 2, 0, 0]):
        idx[:] = k
        w = RNG.normal(size=4)
        value, g = f(w)
        np.testing.assert_allclose(value, np.bincount(idx, w) @ np.arange(1.0, 4.0))
        assert g.tolist() == (idx + 1.0).tolist()
    with pytest.raises(ValueError, match="same length"):
        f(np.ones(3))


def test_positions():
    idx = np.array([[5, 1], [0, 11]])
    check_value(lambda i, x: np.unravel_index(i + 0 * (x > 9).sum(), (3, 4)), idx, M)
    check_value(lambda x: np.unravel_index(np.argmax(x), x.shape), M, others=(-M,))
    check_value(lambda x: np.ravel_multi_index(np.nonzero(x > 0), x.shape), M)
    check_value(lambda x: np.isin(x, x[0]), M)
    with pytest.raises(ValueError, match="out of bounds"):
        jittape.jit(lambda i: np.unravel_index(i, (2, 2)))(np.array([4]))


def test_unwrap_trim_and_resize():
    check(np.unwrap, np.array([0.1, 3.0, 6.4, 9.5, 0.3, -3.1]))
    check(lambda x: np.resize(x, (5, 3)) ** 2, M)
    check_value(lambda x: np.trim_zeros(x) ** 2, np.array([0.0, 1.0, 0.0, 2.0, 0.0]))
    check_value(lambda x: np.trim_zeros(x, "b"), np.array([0.0, 1.0, 0.0, 2.0, 0.0]))
