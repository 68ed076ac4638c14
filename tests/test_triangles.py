"""Solves with Cholesky factors, and LAPACK's triangular routines in every memory order."""

from __future__ import annotations

import numpy as np
import pytest

import jittape
from jittape.ops import cholesky as factors
from jittape.ops.cholesky import cholesky, cholesky_pullback
from jittape.ops.linalg import solve_triangular
from jittape.program import compile_program

rng = np.random.default_rng(0)


def likelihood(a, y):
    factor = np.linalg.cholesky(a @ a.T + len(a) * np.eye(len(a)))
    z = np.linalg.solve(factor, y)
    w = np.linalg.solve(factor.T, z)
    return np.sum(z**2) + np.sum(np.sin(w)) + np.sum(np.log(np.diag(factor)))


@pytest.mark.parametrize("n", [5, 40])
def test_solves_with_a_factor(n):
    a, y = rng.normal(size=(n, n)), rng.normal(size=n)
    g = jittape.grad(likelihood, argnums=(0, 1))
    first = g(a, y)
    (tape,) = g.tapes()
    names = {s.op.name for s in compile_program(tape).tape.distinct[0]}
    assert "solve_triangular" in names and "solve" not in names
    again = [g(a, y) for _ in range(3)][-1]
    v, u = rng.normal(size=(n, n)), rng.normal(size=n)
    h = 1e-6
    slope = (likelihood(a + h * v, y + h * u) - likelihood(a - h * v, y - h * u)) / (2 * h)
    for got in (first, again):
        np.testing.assert_allclose(np.sum(got[0] * v) + np.sum(got[1] * u), slope, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["f", "d", "F", "D"])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("columns", [1, 7])
@pytest.mark.parametrize("order", ["CC", "CF", "FC", "FF"])
def test_triangular_solve(dtype, lower, unit, columns, order):
    def draw(*shape):
        x = rng.normal(size=shape)
        return (x + 1j * rng.normal(size=shape) if dtype in "FD" else x).astype(dtype)

    a = np.asarray(0.1 * draw(6, 6) + 2 * np.eye(6), dtype, order=order[0])
    b = np.asarray(draw(6, columns), order=order[1])
    t = np.tril(a) if lower else np.triu(a)
    if unit:
        np.fill_diagonal(t, 1)
    x = solve_triangular.evaluate(a, b, lower=lower, unit=unit)
    assert x.dtype == dtype and x.shape == b.shape
    np.testing.assert_allclose(t @ x, b, rtol=1e-4 if dtype in "fF" else 1e-12, atol=1e-5)


@pytest.mark.parametrize("dtype", ["f", "d", "F", "D"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_cholesky_reads_the_lower_triangle(dtype, order):
    x = rng.normal(size=(40, 40)) + (1j * rng.normal(size=(40, 40)) if dtype in "FD" else 0)
    a = np.asarray(x @ x.conj().T + 40 * np.eye(40), dtype, order=order)
    a[np.triu_indices(40, 1)] = np.nan
    have = cholesky.evaluate(a)
    assert have.dtype == dtype
    np.testing.assert_allclose(
        have, np.linalg.cholesky(a), rtol=1e-3 if dtype in "fF" else 1e-12, atol=1e-5
    )
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        cholesky.evaluate(-a)


def test_a_zero_on_the_diagonal_is_an_error():
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        solve_triangular.evaluate(np.diag([1.0, 0.0]), np.ones((2, 9)), lower=True, unit=False)


@pytest.mark.parametrize("scipy", [True, False])
@pytest.mark.parametrize(("n", "dtype"), [(5, "d"), (48, "d"), (49, "d"), (130, "d"), (100, "f")])
def test_cotangent_of_a_factor_block_by_block(n, dtype, scipy, monkeypatch):
    monkeypatch.setattr(factors, "scipy_is_here", lambda: scipy)
    factor = np.tril(rng.normal(size=(n, n)) / n) + np.eye(n)
    g = rng.normal(size=(n, n))
    half = 1 - 0.5 * np.eye(n)
    x = np.linalg.inv(factor)
    s = x.T @ (np.tril(factor.T @ np.tril(g)) * half) @ x
    want = np.tril((s + s.T) * half)
    upper = np.triu(np.full((n, n), np.nan), 1)  # is not read
    have = cholesky_pullback.evaluate((factor + upper).astype(dtype), (g + upper).astype(dtype))
    assert have.dtype == dtype
    scale = np.abs(want).max()
    np.testing.assert_allclose(have, want, rtol=0, atol=scale * (1e-12 if dtype == "d" else 1e-4))


def test_second_derivatives_through_a_large_factor():
    n = 60
    a = rng.normal(size=(n, n)) / n + 2 * np.eye(n)
    along = rng.normal(size=(n, n))

    def f(a):
        return np.sum(np.sin(np.linalg.cholesky(a @ a.T)))

    g, h = jittape.grad(f), jittape.hvp(f)
    step = 1e-6
    want = (g(a + step * along) - g(a - step * along)) / (2 * step)
    np.testing.assert_allclose(h(a, along), want, rtol=0, atol=1e-7 * np.abs(want).max())
