"""Random programs of writes, views and copies: NumPy is right about values, the complex step
about derivatives."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jittape

SLICES = [
    slice(None),
    slice(1, None),
    slice(None, -1),
    slice(None, None, 2),
    slice(None, None, -1),
    slice(-2, 0, -1),
    slice(1, 1),
]
MAKE = [
    lambda x: np.zeros(4, x.dtype),
    lambda x: np.ones((2, 3), x.dtype),
    lambda x: np.full((3, 2), 0.5, x.dtype),
    lambda x: np.zeros_like(x),
    lambda x: np.ones_like(x, shape=(2, 2)) * 1.5,
    lambda x: np.arange(4).astype(x.dtype),
    lambda x: np.array([[x[0], 1.0], [2.0, x[1]]]),
    lambda x: np.array(x),
    lambda x: np.eye(3, dtype=x.dtype),
    lambda x: np.linspace(0.0, 1.0, 5).astype(x.dtype),
    lambda x: np.concatenate([x, np.ones(2)]),
    lambda x: x,
]
VIEW = [
    lambda a: a[1:],
    lambda a: a[::-1],
    lambda a: a[::2],
    lambda a: a.T,
    lambda a: a.reshape(-1),
    lambda a: np.ravel(a),
    lambda a: a[None],
    lambda a: a[-1:],
    lambda a: a[0] if a.ndim > 1 and len(a) else a,
    lambda a: a[:, -1] if a.ndim == 2 and a.shape[1] else a,
    lambda a: a[..., 1:],
    lambda a: np.transpose(a),
    lambda a: np.squeeze(a),
    lambda a: np.asarray(a),
]
COPY = [
    lambda a: np.array(a),
    lambda a: a.copy(),
    lambda a: np.copy(a),
    lambda a: a.flatten(),
    lambda a: a * 1.0,
    lambda a: a[[0, -1]] if a.ndim and len(a) else a + 0,
    lambda a: np.roll(a, 1),
]


def fit(source, shape):
    """Values for a place of this shape, from the elements of another array."""
    n = int(np.prod(shape))
    if n == 0 or source.size == 0:
        return 0.25
    flat = source.reshape(-1)
    take = np.arange(n) % flat.size
    return flat[take].reshape(shape)


def write_element(a, b, k, s):
    if a.ndim == 1 and a.size:
        a[k % a.size] = s
    elif a.ndim == 2 and a.size:
        a[k % a.shape[0], -1 - k % a.shape[1]] = s * 0.5


def write_slice(a, b, k, s):
    key = SLICES[k % len(SLICES)]
    if a.ndim:
        a[key] = fit(b, a[key].shape) * 0.9


def write_all(a, b, k, s):
    a[...] = fit(b, a.shape)


def write_scalar(a, b, k, s):
    if a.ndim:
        a[SLICES[k % len(SLICES)]] = s


def overlap(a, b, k, s):
    if a.ndim and len(a) > 1:
        if k % 3 == 0:
            a[1:] = a[:-1]
        elif k % 3 == 1:
            a[1:] += a[:-1] * 0.5
        else:
            a[:] = a[::-1]


def augmented(a, b, k, s):
    if not a.ndim:
        return
    if k % 4 == 0:
        a += fit(b, a.shape) * 0.5
    elif k % 4 == 1:
        a *= s
    elif k % 4 == 2:
        a[SLICES[k % len(SLICES)]] -= 0.25
    else:
        a /= 2.0


def fancy(a, b, k, s):
    if not a.ndim or not len(a):
        return
    if k % 4 == 0:
        a[[0, -1]] = s
    elif k % 4 == 1:
        np.add.at(a, [0, 0, -1], s)
    elif k % 4 == 2:
        mask = np.arange(a.shape[0]) % 2 == 0
        a[mask] *= 0.5
    else:
        a[[0, -1, 0]] = fit(b, (3, *a.shape[1:]))


def out(a, b, k, s):
    if not a.ndim:
        return
    if k % 3 == 0:
        np.multiply(a, s, out=a)
    elif k % 3 == 1:
        np.add(a, 0.5, out=a)
    else:
        np.copyto(a, fit(b, a.shape))


def constant(a, b, k, s):
    if a.ndim and len(a):
        a[k % len(a)] = 0.75


def filled(a, b, k, s):
    if a.ndim:
        a[1:].fill(0.125 * (k % 5))


WRITE = [
    write_element,
    write_slice,
    write_all,
    write_scalar,
    overlap,
    augmented,
    fancy,
    out,
    constant,
    filled,
]

step = st.tuples(
    st.sampled_from(["make", "view", "view", "copy", "write", "write", "write"]),
    st.integers(0, 11),
    st.integers(0, 7),
    st.integers(0, 7),
    st.integers(0, 9),
)


def program(steps):
    def run(x):
        x = x * 1.0  # so that NumPy's run keeps its input, as jittape's does
        arrays = [x]
        total = 0.0
        for kind, what, i, j, k in steps:
            a = arrays[i % len(arrays)]
            b = arrays[j % len(arrays)]
            if kind == "make":
                arrays.append(MAKE[what % len(MAKE)](x))
            elif kind == "view":
                arrays.append(VIEW[what % len(VIEW)](a))
            elif kind == "copy":
                arrays.append(COPY[what % len(COPY)](a))
            else:
                s = x[k % 3] * 0.5 + 0.25
                WRITE[what % len(WRITE)](a, b, k, s)
            if k == 9 and a.size:
                total = total + a.reshape(-1)[0] * b.size
        for n, a in enumerate(arrays):
            total = total + (n + 1) * np.sum(a * a) * 0.1
        return total

    return run


def complex_step(f, x):
    grad = np.empty(x.size)
    for i in range(x.size):
        z = x.astype(complex)
        z[i] += 1e-30j
        grad[i] = f(z).imag / 1e-30
    return grad


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(step, min_size=2, max_size=14))
def test_writes_and_views_are_numpys(steps):
    hold(steps)


def hold(steps):
    f = program(steps)
    vg = jittape.value_and_grad(f)
    inputs = [np.array([0.9, -0.4, 0.3]), np.array([0.2, 0.7, -1.1]), np.array([1.3, 0.1, 0.6])]
    for x in inputs:
        before = x.copy()
        value, grad = vg(x)
        np.testing.assert_allclose(value, f(x), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(grad, complex_step(f, x), rtol=1e-9, atol=1e-11)
        assert np.array_equal(x, before)


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(step, min_size=2, max_size=8))
def test_second_order_forward_mode_and_vmap(steps):
    f = program(steps)
    x = np.array([0.9, -0.4, 0.3])
    v = np.array([0.3, 0.2, -1.0])
    slope = complex_step(f, x)
    np.testing.assert_allclose(jittape.jvp(f, (x,), (v,))[1], slope @ v, rtol=1e-9, atol=1e-10)
    h = 1e-6 * np.eye(3)
    second = np.stack([complex_step(f, x + e) - complex_step(f, x - e) for e in h], 1) / 2e-6
    np.testing.assert_allclose(jittape.hessian(f)(x), second, rtol=1e-5, atol=1e-6)
    batch = np.stack([x, x * 1.5, x[::-1]])
    slopes = np.stack([complex_step(f, z) for z in batch])
    np.testing.assert_allclose(jittape.vmap(jittape.grad(f))(batch), slopes, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(
        jittape.grad(lambda z: np.sum(jittape.vmap(f)(z)))(batch), slopes, rtol=1e-9, atol=1e-10
    )


# programs that were once wrong
FOUND = [
    # ravel of a reversed array is a copy
    [("view", 1, 5, 5, 3), ("view", 5, 3, 3, 9), ("write", 3, 7, 7, 2)],
    [("view", 1, 5, 1, 0), ("view", 5, 3, 6, 4), ("write", 3, 5, 2, 5)],
]


@pytest.mark.parametrize("steps", FOUND)
def test_programs_that_were_wrong(steps):
    hold(steps)
