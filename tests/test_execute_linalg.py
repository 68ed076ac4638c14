"""Linear algebra inside of the sweep: the same numbers and the same errors as NumPy's."""

import numpy as np
import pytest

import jittape
from jittape.execute.run import run
from jittape.ops.cholesky import cholesky_pullback
from jittape.ops.linalg import cofactor
from jittape.passes import lapack
from jittape.passes.lower import END, HOST
from jittape.program import compile_program

rng = np.random.default_rng(0)


def general(*shape):
    return rng.normal(size=shape) + 3 * np.eye(shape[-1])


def hermitian(*shape):
    a = general(*shape)
    return a @ np.conj(np.swapaxes(a, -1, -2))


PROGRAMS = {
    "solve": (np.linalg.solve, general, (3,)),
    "solve a matrix": (lambda a: np.linalg.solve(a, a + 1), general, ()),
    "inv": (np.linalg.inv, general, ()),
    "det": (np.linalg.det, general, ()),
    "slogdet": (lambda a: np.linalg.slogdet(a), general, ()),
    "cholesky": (np.linalg.cholesky, hermitian, ()),
    "cholesky of the upper": (lambda a: np.linalg.cholesky(a, upper=True), hermitian, ()),
    "eigh": (lambda a: np.linalg.eigh(a), hermitian, ()),
    "eigh of the upper": (lambda a: np.linalg.eigh(np.triu(a), "U"), hermitian, ()),
    "eigvalsh": (np.linalg.eigvalsh, hermitian, ()),
    "svd": (lambda a: np.linalg.svd(a[..., :2], full_matrices=False), general, ()),
    "svd of wide": (lambda a: np.linalg.svd(a[..., :2, :], full_matrices=False), general, ()),
    "transposed": (lambda a: np.linalg.inv(np.swapaxes(a, -1, -2)), general, ()),
    "strided": (lambda a: np.linalg.det(a[..., ::2, ::2] + np.eye(2)), general, ()),
}


def hosts(program):
    """Names of the ops for which the sweep returns to Python."""
    found = set()
    at = int(program.words[0])
    while program.words[at] != END:
        if program.words[at] == HOST:
            found.add(program.tape.signature(int(program.words[at + 3])).op.name)
        at += 4
    return found


def recorded(fun, *args):
    f = jittape.jit(fun)
    f(*args)
    (tape,) = f.tapes()
    return tape


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("stack", [(), (4,), (2, 3)], ids=str)
@pytest.mark.parametrize("dtype", "fdD")
def test_results_are_numpys(name, stack, dtype):
    fun, draw, more = PROGRAMS[name]
    tolerance = 1e-3 if dtype == "f" else 1e-11
    more = [rng.normal(size=(*stack, *s) if stack else s) for s in [more] if s]
    more = [m[..., None].astype(dtype) for m in more]
    jitted = jittape.jit(fun)
    for _ in range(3):
        a = draw(*stack, 3, 3).astype(dtype)
        want, have = fun(a, *more), jitted(a, *more)
        for w, h in zip(want, have, strict=True) if isinstance(want, tuple) else [(want, have)]:
            assert h.dtype == w.dtype and h.shape == w.shape
            np.testing.assert_allclose(h, w, rtol=tolerance, atol=tolerance)
    if dtype != "D":
        (tape,) = jitted.tapes()
        assert not hosts(compile_program(tape))


def test_stacks_with_strides_that_are_no_one_line():
    a, b = general(5, 4, 3, 3), rng.normal(size=(4, 3, 2))
    f = jittape.jit(lambda a, b: np.linalg.solve(a[::2, 1::2], b[1::2]))
    for _ in range(3):
        np.testing.assert_allclose(f(a, b), np.linalg.solve(a[::2, 1::2], b[1::2]), rtol=1e-12)


@pytest.mark.parametrize("where", [0, 5])
@pytest.mark.parametrize(
    ("fun", "bad", "message"),
    [
        (lambda a: np.linalg.inv(a), np.zeros((3, 3)), "Singular"),
        (lambda a: np.linalg.solve(a, a), np.zeros((3, 3)), "Singular"),
        (lambda a: np.linalg.cholesky(a), -np.eye(3), "positive definite"),
    ],
    ids=["inv", "solve", "cholesky"],
)
def test_one_bad_matrix_of_a_stack_raises_numpys_error(fun, bad, message, where):
    a = hermitian(2, 3, 3, 3)
    f = jittape.jit(fun)
    for _ in range(3):
        f(a)
    wrong = a.copy()
    wrong.reshape(6, 3, 3)[where] = bad
    with pytest.raises(np.linalg.LinAlgError, match=message):
        f(wrong)
    np.testing.assert_allclose(f(a), fun(a), rtol=1e-10)


def test_nan_operands_give_what_numpy_gives():
    a = general(2, 3, 3)
    a[1, 0, 0] = np.nan
    tape = recorded(lambda a: np.linalg.inv(a) * 2.0, general(2, 3, 3))
    (have,) = run(compile_program(tape), (a,))
    np.testing.assert_allclose(have, 2 * np.linalg.inv(a), rtol=1e-12)


def test_without_numpys_private_module_numpy_is_called(monkeypatch):
    monkeypatch.setattr(lapack, "_module", lambda: None)
    a = general(3, 3)
    tape = recorded(lambda a: np.linalg.inv(a) * 2.0, a)
    program = compile_program(tape)
    assert hosts(program) == {"inv"}
    (have,) = run(program, (a,))
    np.testing.assert_allclose(have, 2 * np.linalg.inv(a), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5, 40, 100, 120])
@pytest.mark.parametrize("stack", [(), (3,), (2, 2)], ids=str)
def test_cotangents_of_factors(n, stack):
    factor = np.tril(rng.normal(size=(*stack, n, n)) / n) + np.eye(n)
    g = rng.normal(size=(n, n))  # the same for all of the stack
    half = 1 - 0.5 * np.eye(n)
    x = np.linalg.inv(factor)
    s = np.swapaxes(x, -1, -2) @ (np.tril(np.swapaxes(factor, -1, -2) @ np.tril(g)) * half) @ x
    want = np.tril((s + np.swapaxes(s, -1, -2)) * half)
    tape = recorded(lambda low, g: cholesky_pullback(low, g) * 2.0, factor, g)
    program = compile_program(tape)
    assert bool(hosts(program)) == (n > lapack.SMALL)
    (have,) = run(program, (factor, g))
    np.testing.assert_allclose(have, 2 * want, rtol=0, atol=1e-11 * np.abs(want).max())


@pytest.mark.parametrize("stack", [(), (3,), (2, 3)], ids=str)
def test_cofactors_of_any_matrix(stack):
    def gradient(a):
        return np.linalg.det(a)[..., None, None] * np.swapaxes(np.linalg.inv(a), -1, -2)

    tape = recorded(lambda a: cofactor(np.swapaxes(a, -1, -2)) * 1.0, general(*stack, 3, 3))
    program = compile_program(tape)
    assert not hosts(program)
    for _ in range(3):
        a = general(*stack, 3, 3)
        (have,) = run(program, (a,))
        np.testing.assert_allclose(np.swapaxes(have, -1, -2), gradient(a), rtol=1e-11, atol=1e-12)
    # where the inverse says little, or nothing, singular values are asked
    for bad in (np.diag([1.0, 2.0, 0.0]), np.diag([1.0, 1e-9, 1.0]), np.zeros((3, 3))):
        a = general(*stack, 3, 3)
        a.reshape(-1, 3, 3)[-1] = bad
        (have,) = run(program, (a,))
        want = cofactor.evaluate(np.swapaxes(a, -1, -2))
        np.testing.assert_allclose(have, want, rtol=1e-12, atol=1e-14)
