"""Products of an adjoint whose factors are known in another order (passes/associate.py)."""

from __future__ import annotations

import numpy as np
import pytest

import jittape
from jittape.config import config
from jittape.execute import run
from jittape.passes.associate import associate
from jittape.passes.simplify import simplify
from jittape.program import compile_program

FORMS = {
    "(s y) y": lambda y, s: (s * y) * y,
    "y (y s)": lambda y, s: y * (y * s),
    "cubes": lambda y, s: s * y * y * y - y * (s * (y * y)),
    "literal": lambda y, s: 0.5 * y * y + s,
    "both": lambda y, s: (s * y) * y + np.sin(s * y) * (s * y),
}


def gradient_tape(f, *args):
    g = jittape.grad(lambda y, s: np.sum(np.cos(f(y, s))), argnums=(0, 1))
    g(*args)
    (tape,) = g.tapes()
    return simplify(tape)[0]


def products(tape):
    names = [tape.signature(i).op.name for i in range(len(tape))]
    return names.count("amul") + names.count("multiply")


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("shape", [(), (5,), (700,), (3, 300)])
def test_same_numbers(name, shape):
    y = np.random.default_rng(0).normal(size=shape)
    tape = gradient_tape(FORMS[name], y, 0.7)
    shorter = simplify(associate(tape))[0]
    assert products(shorter) <= products(tape)
    with config.override(bit_exact=True):
        plain, short = compile_program(tape), compile_program(shorter)
    for have, want in zip(run(short, [y, 0.7]), run(plain, [y, 0.7]), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-13, atol=1e-14)


def test_a_square_with_a_factor_takes_one_product_less_or_two():
    y = np.linspace(-1.0, 1.0, 700)
    for name in ("(s y) y", "y (y s)", "literal"):
        tape = gradient_tape(FORMS[name], y, 0.7)
        assert products(simplify(associate(tape))[0]) <= products(tape) - 1
    other = gradient_tape(lambda y, s: s * np.sin(y) * y, y, 0.7)
    assert associate(other) is other


def test_zero_adjoints_and_zeros_stay_zeros():
    def f(y):
        return np.sum(np.where(y > 0, 0.5 * np.log(y) * np.log(y), 0.0)) + np.sum(3.0 * y * y)

    g = jittape.grad(f)
    y = np.where(np.arange(700) % 3 == 0, 0.0, 2.0)
    with np.errstate(all="ignore"):
        for _ in range(4):
            np.testing.assert_allclose(
                g(y), np.where(y > 0, np.log(2.0) / 2.0 + 12.0, 0.0), rtol=1e-14
            )
