"""Loops inside of a Program's sweep, against the same loops in Python."""

from __future__ import annotations

import numpy as np
import pytest

import jittape
from jittape.passes import lower
from jittape.program import compile_program
from tests.test_loop_blocks import CASES, agree, by_loop, by_scan

SHORT = 12


def loops(transformed):
    """Of each tape: how many loops it has, and how many of them are steps of its Program."""
    return [
        (
            sum(tape.signature(i).op.name.startswith("scan") for i in range(len(tape))),
            compile_program(tape).kinds.count(lower.LOOP),
        )
        for tape in transformed.tapes()
    ]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reverse", [False, True])
def test_gradient(name, reverse):
    step, p, c, xs = CASES[name]
    xs = xs[:SHORT]
    f = jittape.value_and_grad(by_scan(step, reverse), argnums=(0, 1, 2))
    want = jittape.value_and_grad(by_loop(step, reverse), argnums=(0, 1, 2))(p, c, xs)
    for _ in range(4):
        agree(f(p, c, xs), want)
    assert loops(f) == [(2, 2)]
    agree(f(p, c, -xs), jittape.value_and_grad(by_loop(step, reverse), (0, 1, 2))(p, c, -xs))


def test_integers_and_nested_loops():
    def step(c, x):
        k, a = c
        b, ys = jittape.scan(lambda b, y: (b * y, b + k), a, np.arange(1.0, 4.0) * x)
        return (k + 2, np.sin(b)), (k * b, ys, k)

    def loss(x):
        (k, a), (u, v, w) = jittape.scan(step, (1, 0.5), x)
        return a * k + np.sum(u) + np.sum(v * v) + np.sum(w)

    def plain(x):
        k, a, total = 1, 0.5, 0.0
        for x_k in x:
            b = a
            for y in np.arange(1.0, 4.0) * x_k:
                total = total + (b + k) ** 2
                b = b * y
            total = total + k * b + k
            k, a = k + 2, np.sin(b)
        return a * k + total

    x = np.linspace(0.2, 0.7, 5)
    g = jittape.value_and_grad(loss)
    for _ in range(4):
        agree(g(x), jittape.value_and_grad(plain)(x))
    assert all(recorded == planned > 1 for recorded, planned in loops(g))


def test_errors_are_those_of_the_loop():
    def loss(a):
        return np.sum(jittape.scan(lambda c, x: (np.linalg.solve(x * a, c), c), np.ones(2), XS)[0])

    g = jittape.grad(loss)
    for _ in range(4):
        assert np.isfinite(g(np.eye(2))).all()
    assert all(recorded == planned > 1 for recorded, planned in loops(g))
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        g(np.zeros((2, 2)))


XS = np.linspace(0.5, 1.0, 4)


def test_what_needs_python_returns_to_it():
    def loss(c, xs, **how):
        return np.sum(jittape.scan(lambda c, x: (np.cos(c) * x, None), c, xs, **how)[0])

    watched = jittape.grad(lambda c, xs: loss(c, xs, progress=lambda done, n: None))
    host = jittape.grad(
        lambda c, xs: np.sum(jittape.scan(lambda c, x: (np.fft.ifft(c).real * x, c), c, xs)[1])
    )
    for g, c in ((watched, 0.5), (host, np.ones(4)), (jittape.grad(loss), np.ones(1 << 15))):
        g(c, np.ones(SHORT))
        assert loops(g) == [(2, 0)]
