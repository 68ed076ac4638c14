"""Layout, joining, sorting, differences and the namespace jittape.numpy."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from oracle import check, check_value

import jittape
import jittape.numpy as jnp
from jittape.errors import TraceError

RNG = np.random.default_rng(8)
M = RNG.normal(size=(2, 3))
V = RNG.normal(size=5)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.T @ x,
        lambda x: x.reshape(3, 2) ** 2,
        lambda x: x.reshape((-1,), order="F") ** 2,
        lambda x: x.reshape(6) * x.ravel() * x.flatten(),
        lambda x: x.ravel("F") ** 2,
        lambda x: x.transpose(1, 0) ** 2,
        lambda x: x.transpose((-1, 0)) ** 2,
        lambda x: x.transpose(range(2)) * x.transpose(None).reshape(np.array([2, 3])),
        lambda x: x.swapaxes(0, 1) ** 2,
        lambda x: x[None].squeeze(0).repeat(2, axis=1) ** 2,
        lambda x: x.diagonal(1) * x.trace(),
        lambda x: np.broadcast_to(x, (2, 2, 3)) ** 2,
        lambda x: np.stack(list(x)) * np.array([[1.0], [2.0]]),
        lambda x: [row * row for row in x],
        lambda x: sum(row @ row for row in x),
        lambda x: np.concatenate([x, x[:, ::-1] ** 2, np.ones((1, 3))]),
        lambda x: np.vstack([x, x[0] * x[1]]),
        lambda x: np.hstack([x, x**2])[:, ::2],
        lambda x: np.block([[x, x**2], [np.ones((1, 6))]]),
        lambda x: np.split(x, [1, 2], axis=1)[1] ** 2,
        lambda x: np.tile(x, (2, 2)) ** 2,
        lambda x: np.roll(x, 1, axis=1) * x,
        lambda x: np.roll(x, (1, -2), axis=(0, 1)) * x,
        lambda x: np.pad(x, ((1, 1), (0, 2)), mode="reflect") ** 2,
        lambda x: np.pad(x, 1, constant_values=x[0, 0]) ** 2,
        lambda x: np.triu(x) * np.tril(x, 1),
        lambda x: np.rot90(x, 3) ** 2,
        lambda x: np.meshgrid(x[0], x[1])[0] * np.meshgrid(x[0], x[1])[1],
        lambda x: np.full_like(x, x[0, 1]) * x,
        lambda x: np.select([x > 0, x < -1], [x**2, x**3], x),
        lambda x: x.astype(np.float32).astype(float) * 1.0,
        lambda x: x.copy() * x,
        lambda x: list(x.flat)[2] ** 2,
    ],
)
def test_layout(f):
    check(f, M, rtol=1e-3 if "float32" in f.__code__.co_names else None)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sort(x) ** 2,
        lambda x: np.sort(x)[::-1] * x,
        lambda x: np.partition(x, 2) ** 2,
        lambda x: x[np.argsort(x)] ** 2,
        lambda x: np.take(x, np.lexsort((x, np.floor(x)))) ** 2,
        lambda x: np.diff(x, 2) ** 2,
        lambda x: np.diff(x, prepend=x[-1] ** 2) ** 2,
        lambda x: np.gradient(x, edge_order=2) ** 2,
        lambda x: np.gradient(x, np.cumsum(x**2 + 1)),
        lambda x: jnp.trapezoid(x**2, np.cumsum(x**2)),
        lambda x: np.interp(x, np.arange(-3.0, 4.0), np.arange(7.0) ** 2),
        lambda x: np.interp(0.3, np.sort(x), x),
        lambda x: np.convolve(x, x[:3], "same"),
        lambda x: np.correlate(x[:2], x, "full"),
        lambda x: np.polyval(x, x[0]),
        lambda x: np.polyval(np.polyder(x), 0.7),
        lambda x: np.vander(x, 3) @ np.arange(1.0, 4.0),
        lambda x: np.linspace(x[0], x[1], 4) ** 2,
        lambda x: np.lib.stride_tricks.sliding_window_view(x, 2) ** 2,
        lambda x: np.append(x, x[0] ** 2),
    ],
)
def test_sorting_and_calculus(f):
    check(f, V, others=(V[::-1] * 1.1,))


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 2), (5, 3), (5, 4), (2, 5), (3, 4), (4, 4)])
def test_convolve_and_correlate_align_as_numpy(n, m, mode):
    a, v = RNG.normal(size=n), RNG.normal(size=m)
    check_value(lambda a, v: np.convolve(a, v, mode), a, v, rtol=1e-13)
    check_value(lambda a, v: np.correlate(a, v, mode), a, v, rtol=1e-13)


@pytest.mark.parametrize(
    "mode", ["constant", "edge", "reflect", "symmetric", "wrap", "linear_ramp"]
)
def test_pad_as_numpy(mode):
    for width in (0, 2, (1, 3), ((0, 7), (2, 0))):
        check_value(lambda x, width=width: np.pad(x, width, mode=mode), M)
    check_value(lambda x: np.pad(x, 5, mode=mode), V)


def test_sort_gives_equal_elements_their_own_places():
    w = np.array([1.0, 2.0, 3.0])
    g = jittape.grad(lambda x: np.sort(x) @ w)(np.array([5.0, 4.0, 5.0]))
    assert g.tolist() == [2.0, 1.0, 3.0]


def test_interp_outside_and_at_knots():
    xp, fp = np.array([0.0, 1.0, 3.0]), np.array([1.0, 2.0, 0.0])
    f = jittape.jit(lambda x: np.interp(x, xp, fp))
    x = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0, np.nan])
    np.testing.assert_array_equal(f(x), np.interp(x, xp, fp))
    check(lambda x, fp: np.interp(x, xp, fp, left=9.0), np.array([-1.0, 0.4, 2.5, 4.0]), fp)


@pytest.mark.parametrize(
    ("f", "error"),
    [
        (lambda x: x.reshape(4, 2), ValueError),
        (lambda x: x.reshape(-1, -1), ValueError),
        (lambda x: np.concatenate([x, x[:, :2]]), ValueError),
        (lambda x: np.stack([x, x[0]]), ValueError),
        (lambda x: np.broadcast_to(x, (3, 2)), ValueError),
        (lambda x: x.transpose(0), ValueError),
        (lambda x: np.squeeze(x, 0), ValueError),
        (lambda x: np.split(x, 2, axis=1), ValueError),
        (lambda x: np.moveaxis(x, 0, 5), np.exceptions.AxisError),
        (lambda x: np.unique(x, axis=0), jittape.errors.TraceError),
    ],
)
def test_errors(f, error):
    with pytest.raises(error):
        jittape.jit(f)(M)


# -- jittape.numpy -------------------------------------------------------------------------------


def test_every_public_name_is_there():
    for module, ours in ((np, jnp), (np.linalg, jnp.linalg), (np.fft, jnp.fft)):
        missing = [n for n in dir(module) if not n.startswith("_") and not hasattr(ours, n)]
        assert not missing


def test_plain_arrays_give_plain_results():
    assert type(jnp.array([1.0, 2.0])) is np.ndarray
    assert jnp.float64 is np.float64 and jnp.pi == np.pi and jnp.ndarray is np.ndarray
    np.testing.assert_array_equal(jnp.exp([0.0, 1.0]), np.exp([0.0, 1.0]))
    np.testing.assert_array_equal(jnp.add.reduce([1, 2]), 3)
    np.testing.assert_array_equal(jnp.r_[1:3, 5], np.r_[1:3, 5])
    np.testing.assert_array_equal(jnp.c_[[1, 2], [3, 4]], np.c_[[1, 2], [3, 4]])
    np.testing.assert_array_equal(jnp.linalg.norm([3.0, 4.0]), 5.0)
    assert jnp.vectorize(lambda a: a + 1)([1, 2]).tolist() == [2, 3]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: jnp.array([x[0], x[1] ** 2, 3.0]),
        lambda x: jnp.array([[x[0], 1.0], [x[1] * x[2], x[0]]]),
        lambda x: jnp.array([x, x**2]),
        lambda x: jnp.asarray([x[:2], [1.0, x[0]]]),
        lambda x: jnp.exp([x[0], x[1]]),
        lambda x: jnp.sum([x[0] ** 2, x[1]]),
        lambda x: jnp.add.reduce([x[0] ** 2, x[1]]),
        lambda x: jnp.r_[x, 1.0, x[0] ** 2],
        lambda x: jnp.c_[x, x**2],
        lambda x: jnp.vectorize(lambda a, b: a * b if a > b else b)(x, 0.3),
        lambda x: jnp.array([v**2 for _, v in jnp.ndenumerate(x)]),
        lambda x: jnp.full((2, 2), x[0]) * x[1],
        lambda x: jnp.apply_along_axis(lambda r: r[::-1] * r[0], 1, jnp.outer(x, x)),
        lambda x: jnp.linalg.norm([x[0], x[1]]),
    ],
)
def test_lists_of_traced_values(f):
    check(f, np.array([0.5, -1.0, 2.0]))


def test_ragged_lists_and_object_arrays_are_refused():
    with pytest.raises(ValueError, match="inhomogeneous"):
        jittape.jit(lambda x: jnp.array([x[0], x]))(V)
    with pytest.raises(jittape.errors.TraceError, match="object"):
        jittape.jit(lambda x: jnp.array([x[0], x[1]], dtype=object))(V)


def test_as_strided_follows_memory():
    def f(x):
        y = np.zeros(8)
        early = as_strided(y, (4,), (16,))
        y[1:-1] = x
        windows = as_strided(y, (6, 3), y.strides * 2)
        total = np.sum(windows**2)
        y[3] = x[0] * 2
        total = total + np.sum(windows**3) + np.sum(early**2)
        m = np.outer(x, x)
        as_strided(m, (6,), (sum(m.strides),))[:] = x * 0.5
        t = m.T[::-1]
        part = as_strided(t, (3, 2), (t.strides[0], 2 * t.strides[1]))
        assert m.T.flags.f_contiguous and not t.flags.f_contiguous
        return total + np.sum(part * np.arange(6).reshape(3, 2)) + m.sum()

    check(f, np.linspace(0.5, 1.2, 6))
    check(lambda x: np.sum(as_strided(x.T, (2, 2, 2), (8, 24, 8)) ** 3), np.ones((2, 3)) + 0.5)


def test_as_strided_refuses():
    with pytest.raises(TraceError, match=r"test_shape\.py:\d+: a write through .*as_strided"):

        def write(x):
            as_strided(x, (3, 3), (8, 8))[0] = 1.0
            return x.sum()

        jittape.grad(write)(np.ones(5))
    with pytest.raises(ValueError, match=r"test_shape\.py:\d+: as_strided reads outside .* 0 to 5"):
        jittape.grad(lambda x: as_strided(x, (3, 4), (8, 8)).sum())(np.ones(5))
