"""Rows of a block: one number onto a row, a row onto one number, and what runs around them."""

import numpy as np
import pytest

import jittape
from jittape.execute.run import run
from jittape.passes.linear import pull_factors
from jittape.program import compile_program

COLUMNS = [1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17, 31, 33, 64, 100, 127, 128, 129, 300]
RNG = np.random.default_rng(11)


def swept(fun, *inputs):
    """Outputs of the compiled program, traced with other numbers than it is run with."""
    others = [np.ones_like(x) for x in inputs]
    return run(compile_program(jittape.trace(fun)(*others)), inputs)


@pytest.mark.parametrize("columns", COLUMNS)
def test_folds_of_rows(columns):
    rows = 4000 // columns + 5  # blocks whose rows are no multiple of eight
    x = RNG.normal(size=(rows, columns))
    x[3, columns // 2] = np.nan
    x[5, -1], x[6, 0], x[7, columns // 3] = np.inf, -np.inf, 5e-324
    x[8] = -0.0
    total, top, bottom = swept(lambda x: (x.sum(axis=1), x.max(axis=1), x.min(axis=1)), x)
    np.testing.assert_array_equal(top, x.max(axis=1))
    np.testing.assert_array_equal(bottom, x.min(axis=1))
    np.testing.assert_allclose(total, x.sum(axis=1), rtol=1e-15, atol=1e-15 * columns)


@pytest.mark.parametrize("columns", COLUMNS)
def test_equal_rows_have_equal_sums_wherever_they_are(columns):
    x = np.tile(RNG.normal(size=columns), (5000 // columns + 3, 1))
    (total,) = swept(lambda x: x.sum(axis=1), x)
    assert (total == total[0]).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128])
@pytest.mark.parametrize("columns", COLUMNS)
def test_one_number_onto_a_row(columns, dtype):
    rows = 4000 // columns + 5
    x, y = RNG.normal(size=(rows, 1)).astype(dtype), RNG.normal(size=(rows, columns)).astype(dtype)
    x[4, 0] = np.nan
    sums, products = swept(lambda x, y: (x[:, ::-1] + y, np.maximum(x.real, y.real)), x, y)
    np.testing.assert_array_equal(sums, x + y)
    np.testing.assert_array_equal(products, np.maximum(x.real, y.real))


def test_kernels_continue_a_run_beyond_a_fold():
    def fun(x, y):
        z = x - y
        return np.sum(z * z, axis=1) - 1.0, z + z

    x, y = RNG.normal(size=(2, 300, 10))
    program = compile_program(jittape.trace(fun)(x, y))
    names = [k[0] if isinstance(k[0], str) else k[0].__name__ for _, k, _ in program.relocations]
    assert names.count("strips") == 1
    assert names.count("add") == 1  # which is the fold's
    r, z = run(program, (x, y))
    np.testing.assert_array_equal(z, 2 * (x - y))
    np.testing.assert_allclose(r, np.sum((x - y) ** 2, axis=1) - 1.0, rtol=1e-14)


def test_a_kernel_that_reads_the_fold_stays_behind_it():
    def fun(x):
        z = np.exp(x)
        total = np.sum(z, axis=1, keepdims=True)
        return z / total, z * 2 - total, np.max(z / total, axis=1)

    x = RNG.normal(size=(333, 10))
    z = np.exp(x)
    total = z.sum(axis=1, keepdims=True)
    want = z / total, z * 2 - total, (z / total).max(axis=1)
    for have, right in zip(swept(fun, x), want, strict=True):
        np.testing.assert_allclose(have, right, rtol=1e-13)


def test_the_sum_of_a_negative_is_the_negative_of_the_sum():
    x = RNG.normal(size=(60, 20))

    def fun(x):
        return np.sum(-x, axis=0), np.sum(x, axis=0), np.sum(-x)

    tape = pull_factors(jittape.trace(fun)(x))
    shapes = [s.out.shape for s in map(tape.signature, range(len(tape))) if s.op.name == "negative"]
    assert shapes and (60, 20) not in shapes
    for have, right in zip(swept(fun, x), fun(x), strict=True):
        np.testing.assert_allclose(have, right, rtol=1e-14, atol=1e-14)
