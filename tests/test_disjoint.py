"""Slices of arrays written piece by piece."""

from __future__ import annotations

import numpy as np
import pytest

import jittape
from jittape.evaluate import evaluate
from jittape.execute import run
from jittape.passes.disjoint import read_through
from jittape.passes.simplify import simplify
from jittape.passes.verify import verify
from jittape.program import compile_program

N = 1500


def pieces(x, y):
    z = np.concatenate([x, y, x * y])
    a, b = z[: len(x)], z[2 * len(x) :]
    return np.sum(np.sin(a)) + np.sum(b * z[5]) + z[-1]


def rows(x, y):
    z = np.zeros((3, N))
    z[1] = x
    z[2, ::2] = y[::2]
    w = z[1] * z[0] + z[2]
    return np.sum(w * w + z[1, 3:4])


def partly(x, y):
    z = np.zeros(2 * N)
    z[: N + 10] = np.concatenate([x, y[:10]])
    z[10 : N + 5] += 2.0 * np.concatenate([y[5:], x[:0]])
    return np.sum(z[5:N] ** 2) + np.sum(z[N + 20 :])


@pytest.mark.parametrize("fun", [pieces, rows, partly])
def test_the_same_numbers(fun):
    r = np.random.default_rng(0)
    g = jittape.value_and_grad(fun, argnums=(0, 1))
    args = [r.normal(size=N), r.normal(size=N)]
    g(*args)
    (tape,) = g.tapes()
    simple, _ = simplify(tape)
    through = read_through(simple)
    verify(through)
    program = compile_program(tape)
    args = [r.normal(size=N), r.normal(size=N)]
    want = evaluate(tape, args)
    for have in (evaluate(through, args), run(program, tuple(args))):
        for w, h in zip(want, have, strict=True):
            np.testing.assert_allclose(h, w, rtol=1e-12, atol=1e-13)


def test_a_loop_reads_no_cotangent_of_what_it_kept():
    def last(y):
        carry, _ = jittape.scan(lambda c, _: (c * 1.001, None), y, None, length=N)
        return carry * carry

    g = jittape.grad(last)
    np.testing.assert_allclose(g(2.0), 4.0 * 1.001 ** (2 * N), rtol=1e-12)
    (tape,) = g.tapes()
    names = {s.op.name for s in compile_program(tape).tape.distinct[0]}
    assert not names & {"place", "add_at"}
