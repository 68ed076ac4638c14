"""Coefficients of affine programs (passes/elimination.py), against the programs themselves."""

from __future__ import annotations

import numpy as np
import pytest

import jittape
from jittape.execute import run
from jittape.passes.elimination import coefficients
from jittape.passes.simplify import simplify
from jittape.program import compile_program

A = np.arange(1.0, 10.0).reshape(3, 3) / 7


def scalars(a, b, p, q):
    u = p * a - b / q
    v = -u + 2.0 * (u - q) - (q - b)
    w = u * (p * q) + v
    return w + b, 3.0 - w * w.dtype.type(0.5), p - a


def vectors(x, a, p, q):
    y = A @ x * p[0] - np.array([a, p[1], 0.0 * a])
    z = np.concatenate([x[1:], y[::-1], p[:1]])
    return z[:5] / q + np.sum(x) * p[2], np.sum(z.reshape(6, 1)[::2], axis=0), y.T


def written(x, a, p, q):
    y = np.zeros(4)
    y[1:] = x
    y[0] = a - q
    y[1:3] += 2.0 * y[:2]
    return y, y[2] * q, np.stack([y[3], p[1]])


def constant(x, a, p, q):
    """Nothing, the variable itself, and what does not depend on it."""
    return p[0] * q, a, x, np.zeros(2)


def shared(x, a, p, q):
    """A chain whose links many results read."""
    y = a * q
    out = []
    for k in range(6):
        y = y * p[k % 3] + x[k % 3]
        out.append(y * q - a)
    return np.stack(out)


THREE = np.array([0.3, -1.2, 2.0])
PROGRAMS = {
    "scalars": (scalars, (0.7, -0.4), (1.3, 0.6)),
    **{f.__name__: (f, (THREE, 0.25), (1.0 + THREE**2, -0.8))
       for f in (vectors, written, constant, shared)},
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_coefficients(name):
    f, variables, others = PROGRAMS[name]
    tape, _ = simplify(jittape.trace(f)(*variables, *others))
    found = coefficients(tape, len(variables))
    assert found is not None and found.inputs == tape.inputs[len(variables) :]

    def flat(*xs):
        return np.concatenate([np.ravel(np.asarray(y, float)) for y in f(*xs, *others)])

    zero = [np.zeros_like(x) for x in variables]
    columns = []
    for k, x in enumerate(variables):
        for j in range(np.size(x)):
            one = np.zeros(np.shape(x))
            one.flat[j] = 1.0
            moved = [*zero[:k], one, *zero[k + 1 :]]
            columns.append(flat(*moved) - flat(*zero))
    want = np.stack([*columns, flat(*zero)], axis=1)
    arguments = [np.asarray(p, float) for p in others]
    have = np.array(run(compile_program(found), arguments)).reshape(want.shape)
    np.testing.assert_allclose(have, want, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    "f",
    [
        lambda a, p: a * a,
        lambda a, p: p / a,
        lambda a, p: np.exp(a),
        lambda a, p: np.where(a > 0, a, p),
        lambda a, p: np.abs(a) * p,
        lambda a, p: np.tanh(a) * p,
    ],
)
def test_what_is_not_affine_is_refused(f):
    assert coefficients(jittape.trace(f)(0.5, 2.0), 1) is None


def test_products_are_shared():
    """A long product before a fan of results is computed once, not for each result."""

    def f(a, p):
        for k in range(10):
            a = a * np.sin(p[k])
        return [a * p[k] for k in range(5)]

    tape, _ = simplify(jittape.trace(f)(0.5, np.arange(1.0, 11.0)))
    found = coefficients(tape, 1)
    names = [found.signature(i).op.name for i in range(len(found))]
    assert names.count("multiply") <= 9 + 5
