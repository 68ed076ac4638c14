"""Loops that run by themselves in the scalar sweep, against the same steps in Python."""

from __future__ import annotations

import numpy as np
import pytest

import jittape
from jittape.execute import loop
from jittape.program import as_loop, compile_program


def swap(p, a, b, x):
    return b, a, a * p


def fibonacci(p, a, b, x):
    return b, a + b, a


def untouched(p, a, b, x):
    return a, a * b + x, b


def constant(p, a, b, x):
    return 2.0, b - x, a


def many_reads(p, a, b, x):
    c = a * x + p
    return c, b + c * a, c + b


def branch(p, a, b, x):
    return np.where(a > b, a - x, b), np.tanh(b) * p, np.where(x > 0.0, a, b)


STEPS = [swap, fibonacci, untouched, constant, many_reads, branch]


def both(fun, shape, n, every, backward, progress=None):
    rng = np.random.default_rng(n)
    p, a, b = (rng.uniform(0.5, 1.0, shape) for _ in range(3))
    xs = rng.uniform(-0.5, 1.0, (n, *shape))
    example = [x[()] for x in (p, a, b, np.full(shape, 0.25))]

    def step(*args):
        c, d, y = fun(*args)
        return np.broadcast_to(c, shape), np.broadcast_to(d, shape), np.broadcast_to(y, shape)

    program = compile_program(jittape.trace(step)(*example))
    alone = as_loop(program, 1, 2, every == 1)
    assert alone is not None
    found = []
    for how, program_ in ((loop._by_itself, alone), (loop._in_python, program)):
        ys = np.full((n, *shape), np.nan)
        saved = [np.full((-(-n // every), *shape), np.nan) for _ in range(2)] if every else None
        job = loop.Job(n, [p], [a, b], [xs], [ys], saved, every, backward, progress)
        final = how(program_, job)
        found.append([*final, ys, *(saved or [])])
    return found


@pytest.mark.parametrize("fun", STEPS)
@pytest.mark.parametrize("shape", [(), (3,), (14,), (2, 2)])
@pytest.mark.parametrize(("n", "every", "backward"), [(1, 1, False), (9, 0, True), (10, 3, False)])
def test_as_in_python(fun, shape, n, every, backward):
    for have, want in zip(*both(fun, shape, n, every, backward), strict=True):
        assert have.shape == want.shape
        np.testing.assert_array_equal(have, want)


def test_progress():
    seen = []
    both(fibonacci, (), 250, 0, False, lambda done, n: seen.append((done, n)))
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]
    assert seen[-1] == (250, 250) and len(seen) == 200


def test_not_where_a_step_is_more_than_rows():
    tape = jittape.trace(lambda a: np.sin(a))(np.zeros(5000))
    assert as_loop(compile_program(tape), 0, 1, False) is None


def test_cotangents_of_kept_carries_are_left_out_where_they_are_zeros():
    n = 7000

    def f(a, p):
        final, _ = jittape.scan(lambda c, _: (c + 1e-4 * np.sin(p * c), None), a, None, length=n)
        return final * final

    grad = jittape.grad(f)
    second = jittape.grad(jittape.grad(f))
    step = 1e-6
    for a in (0.7, 0.9):
        want = (f(a + step, 1.3) - f(a - step, 1.3)) / (2 * step)
        np.testing.assert_allclose(grad(a, 1.3), want, rtol=1e-6)
        want = (grad(a + step, 1.3) - grad(a - step, 1.3)) / (2 * step)
        np.testing.assert_allclose(second(a, 1.3), want, rtol=1e-6)

    def loops(transformed):
        (tape,) = transformed.tapes()
        tapes = (tape, compile_program(tape).tape)
        return [
            [t.signature(i).kwargs["body"].n_rows for i in np.flatnonzero(_scans(t))] for t in tapes
        ]

    assert loops(grad) == [[0, 2], [0, 1]]


def _scans(tape):
    return np.array([tape.signature(i).op.name == "scan" for i in range(len(tape))])
