"""Arrays with small axes beside a long one, computed component by component."""

from __future__ import annotations

import numpy as np
import pytest

import jittape
from jittape.evaluate import evaluate
from jittape.execute import run
from jittape.passes import components
from jittape.passes.simplify import simplify
from jittape.passes.verify import verify
from jittape.program import compile_program

N = 300
rng = np.random.default_rng(0)
AT = rng.integers(0, 40, N)


def cross(a, b):
    return np.stack(
        [
            a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        axis=1,
    )


def rotated(r, x):
    theta = np.sqrt(np.sum(r**2, axis=1, keepdims=True))
    v = r / theta
    along = np.sum(v * x, axis=1, keepdims=True)
    return x * np.cos(theta) + cross(v, x) * np.sin(theta) + v * along * (1 - np.cos(theta))


def softmax(z):
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def quaternion(p, q):
    w = p[..., :1] * q[..., :1] - np.sum(p[..., 1:] * q[..., 1:], axis=-1, keepdims=True)
    v = p[..., :1] * q[..., 1:] + q[..., :1] * p[..., 1:]
    return np.concatenate([w, v], axis=-1)


def written(x, y):
    z = np.zeros((N, 4))
    z[:, 1:3] = x
    z[:, ::2] += y
    z[:, 3] = x[:, 0] * y[:, 1]
    return z * z[:, 1:2]


def gathered(c, x):
    return np.sum((c[AT] - x) ** 2 * c[AT][:, :1], axis=1)


def summed(x, w):
    both = x[:, None, :] * w
    return np.sum(both, axis=(0, 2)), np.prod(both[:, 0], axis=1), np.min(both, axis=(1, 2))


@jittape.vmap
def numbered(x, y):
    """Elements read and written one by one, by indices that are literals of the tape."""
    z = np.zeros(4)
    z[0] = x[1] * y[2] - x[2] * y[1]
    z[1] += x[-1] + z[0]
    z[2:] = np.stack([x, y])[1][:2]
    z[3] = z[3] * x[0]
    return z * z[1]


PROGRAMS = {
    "rotation": (rotated, (N, 3), (N, 3)),
    "softmax": (softmax, (N, 4)),
    "quaternions": (quaternion, (N, 4), (N, 4)),
    "quaternions in two batches": (quaternion, (2, N, 4), (N, 4)),
    "long axis last": (lambda x, w: np.tanh(x * w[:, None]) / np.sum(x**2, axis=0), (3, N), (3,)),
    "written": (written, (N, 2), (N, 2)),
    "numbered": (numbered, (N, 3), (N, 3)),
    "gathered": (gathered, (40, 3), (N, 3)),
    "gathered once": (lambda c, x: np.sin(c[AT] - x) * x[:, :1], (40, 3), (N, 3)),
    "summed": (summed, (N, 3), (2, 3)),
    "into a product": (lambda x, w: softmax(x @ w) @ w.T, (N, 3), (3, 3)),
    "moved": (lambda x: x.T[::-1] * x.reshape(N, 2, 2)[:, :, 0].sum(axis=1), (N, 4)),
    "flattened": (lambda x: x.T.ravel() * np.sin(x).ravel() + x[:, :1].ravel()[0], (N, 3)),
    "part of the long axis": (lambda x: x[1:] * x[:-1, ::-1] * x[:1, :1], (N, 3)),
    "one for all": (lambda x, c: np.where(x > c, c[:1] * x, x - c) * x[:, :1], (N, 3), (3,)),
    "constants": (lambda x: x * np.r_[np.zeros(N), np.ones(N)].reshape(2, N).T * x[:, :1], (N, 2)),
}


def tapes(fun, arrays):
    """Of the values, and of the gradient by all arguments of a weighted sum of all results."""
    r = np.random.default_rng(1)

    def results(*args):
        out = fun(*args)
        return out if isinstance(out, tuple) else (out,)

    weights = [r.normal(size=o.shape) for o in results(*arrays)]

    def loss(*args):
        return sum(np.sum(w * o) for w, o in zip(weights, results(*args), strict=True))

    for t in (jittape.jit(fun), jittape.value_and_grad(loss, argnums=tuple(range(len(arrays))))):
        t(*arrays)
        (tape,) = t.tapes()
        yield tape


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_numbers(name, monkeypatch):
    monkeypatch.setattr(components, "TAKEN_APART", 0)
    monkeypatch.setattr(components, "PER_JOIN", 0)
    fun, *shapes = PROGRAMS[name]
    arrays = [rng.uniform(0.5, 1.5, s) for s in shapes]
    for tape in tapes(fun, arrays):
        simple, _ = simplify(tape)
        apart, origin = components.take_apart(simple)
        assert apart is not simple
        verify(apart)
        assert len(origin) == len(apart)
        program = compile_program(tape)
        for _ in range(2):
            inputs = [rng.uniform(0.5, 1.5, a.shape) for a in tape.inputs]
            want = evaluate(tape, inputs)
            for have in (evaluate(apart, inputs), run(program, tuple(inputs))):
                for w, h in zip(want, have, strict=True):
                    assert (w.dtype, w.shape) == (h.dtype, h.shape)
                    np.testing.assert_allclose(h, w, rtol=1e-12, atol=1e-13)


def test_only_where_it_gains():
    flat = jittape.jit(lambda x: np.exp(x) * 2)
    flat(np.ones((N, 3)))
    (tape,) = flat.tapes()
    assert components.take_apart(tape)[0] is tape


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_dtypes(dtype):
    x, y = (rng.uniform(0.5, 1.5, (N, 3)).astype(dtype) for _ in range(2))
    have = jittape.jit(rotated)(x, y)
    assert have.dtype == dtype
    np.testing.assert_allclose(have, rotated(x, y), rtol=1e-4 if dtype == np.float32 else 1e-12)
    again = jittape.jit(rotated)(2 * x, y)
    assert again.dtype == dtype


def test_an_infinite_component_stays_apart():
    """A zero of a seed hides what is infinite; a zero of the user's does not."""

    def f(x):
        return np.sum(x[:, :1] * np.array([0.0, 1.0, 2.0]) + x[:, 1:2], axis=1)

    x = rng.normal(size=(N, 3))
    x[0, 0] = np.inf
    with np.errstate(invalid="ignore"):
        g = jittape.jit(f)
        want = f(x)
        for _ in range(3):
            np.testing.assert_array_equal(g(x), want)
    assert np.isnan(want[0])
