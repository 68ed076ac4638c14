"""Linear algebra beyond the generated tests of the table: complex matrices, closed forms, what is
promised at degenerate points, errors, replay."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import check, check_value

import jittape
from jittape.errors import DifferentiationError, TraceError
from jittape.scipy import linalg as sl

rng = np.random.default_rng(3)
A = rng.normal(size=(3, 3)) + 3 * np.eye(3)
S = A @ A.T
C = A + 1j * rng.normal(size=(3, 3))
H = C @ C.conj().T


def herm(x):
    return (x + np.conj(x).T) / 2


def real(f):
    """A real function of a complex result, sensitive to all of it."""
    w = np.cos(np.arange(50.0))

    def g(*args):
        out = np.ravel(f(*args))
        return np.sum(np.real(out) * w[: out.size]) + np.sum(np.imag(out) * w[-out.size :])

    return g


@pytest.mark.parametrize(
    "f",
    [
        lambda a: np.linalg.solve(a, a.T),
        np.linalg.inv,
        np.linalg.det,
        lambda a: np.linalg.slogdet(a)[1],
        lambda a: np.linalg.slogdet(a)[0],
        lambda a: np.linalg.cholesky(herm(a) @ herm(a) + 2 * np.eye(2)),
        lambda a: np.linalg.eigvalsh(herm(a)),
        lambda a: np.abs(np.linalg.eigh(herm(a))[1]) ** 2,
        lambda a: np.linalg.svd(a, compute_uv=False),
        lambda a: np.linalg.svd(a[:, :1], full_matrices=False)[0] @ np.diag([2.0])
        @ np.linalg.svd(a[:, :1], full_matrices=False)[2],
        lambda a: np.linalg.qr(a)[0],
        lambda a: np.linalg.qr(a[:, :1])[1],
        lambda a: np.linalg.pinv(a[:, :1]),
        np.linalg.eigvals,
        lambda a: np.linalg.matrix_power(a, 5),
        lambda a: sl.solve_triangular(a, a[:, 0], trans="C"),
        np.linalg.norm,
        lambda a: np.linalg.norm(a, "nuc"),
    ],
)  # fmt: skip
def test_complex_matrices(f):
    check(real(f), C[:2, :2], order=1, value_rtol=1e-11)  # the second order: test_ops


@pytest.mark.parametrize(
    "f",
    [
        lambda a: sl.expm(a),
        lambda a: sl.cho_solve(sl.cho_factor(a @ a.T), a[0]),
        lambda a: sl.cho_solve(sl.cho_factor(a @ a.T, lower=True), a[1]),
        lambda a: sl.cholesky(a @ a.T),
        lambda a: sl.solve_triangular(a, a[0], lower=True, trans=1, unit_diagonal=True),
    ],
)
def test_scipy_linalg(f):
    check(f, A[:2, :2] / 2, value_rtol=1e-12)


def test_scipy_linalg_equals_scipy():
    import scipy.linalg as s

    np.testing.assert_allclose(sl.expm(A), s.expm(A))
    for trans in (0, 1, 2, "N", "T", "C"):
        for lower in (False, True):
            for unit in (False, True):
                options = {"trans": trans, "lower": lower, "unit_diagonal": unit}
                want = s.solve_triangular(C, C[:, 1], **options)
                np.testing.assert_allclose(sl.solve_triangular(C, C[:, 1], **options), want)
    for lower in (False, True):
        want = s.cho_solve(s.cho_factor(H, lower), C[0])
        np.testing.assert_allclose(sl.cho_solve(sl.cho_factor(H, lower), C[0]), want)
        np.testing.assert_allclose(sl.cholesky(H, lower), s.cholesky(H, lower), atol=1e-14)


def test_log_marginal_likelihood():
    """The usual program of Gaussian processes, by cholesky and by slogdet, and its closed form."""
    x = rng.normal(size=(6, 2))
    y = np.sin(x[:, 0])

    def kernel(p):
        d = np.sum((x[:, None] - x[None]) ** 2, axis=-1)
        return p[0] ** 2 * np.exp(-0.5 * d / p[1] ** 2) + p[2] ** 2 * np.eye(6)

    def by_cholesky(p):
        low = np.linalg.cholesky(kernel(p))
        z = np.linalg.solve(low, y)
        return 0.5 * z @ z + np.sum(np.log(np.diag(low)))

    def by_slogdet(p):
        k = kernel(p)
        return 0.5 * y @ np.linalg.solve(k, y) + 0.5 * np.linalg.slogdet(k)[1]

    p = np.array([1.2, 0.7, 0.3])
    check(by_cholesky, p, value_rtol=1e-12)
    g = jittape.grad(by_cholesky)(p)
    np.testing.assert_allclose(g, jittape.grad(by_slogdet)(p), rtol=1e-10)
    k, dk = kernel(p), jittape.jacobian(kernel)(p)
    inner = np.linalg.inv(k) - np.outer(np.linalg.solve(k, y), np.linalg.solve(k, y))
    np.testing.assert_allclose(g, 0.5 * np.einsum("ij,ijk->k", inner, dk), rtol=1e-9)


def test_closed_forms():
    inv = np.linalg.inv(A)
    np.testing.assert_allclose(jittape.grad(np.linalg.det)(A), np.linalg.det(A) * inv.T)
    np.testing.assert_allclose(jittape.grad(lambda a: np.linalg.slogdet(a)[1])(A), inv.T)
    np.testing.assert_allclose(
        jittape.grad(lambda a: np.sum(np.linalg.eigvals(a).real))(A), np.eye(3), atol=1e-12
    )
    np.testing.assert_allclose(
        jittape.grad(lambda a: np.linalg.norm(a, "nuc"))(A),
        np.linalg.svd(A)[0] @ np.linalg.svd(A)[2],
    )


def test_det_of_a_singular_matrix():
    x = np.outer([1.0, 2.0, 3.0], [1.0, 0.5, 2.0])
    x[2, 2] += 1  # rank 2: the gradient is the matrix of cofactors
    d = jittape.grad(np.linalg.det)(x)
    want = [
        [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(x, i, 0), j, 1)) for j in range(3)]
        for i in range(3)
    ]
    np.testing.assert_allclose(d, want, atol=1e-13)
    np.testing.assert_array_equal(jittape.grad(np.linalg.det)(np.zeros((3, 3))), 0.0)


def test_only_the_triangle_that_is_read_gets_a_gradient():
    for f in (np.linalg.cholesky, np.linalg.eigvalsh):
        g = jittape.grad(lambda a, f=f: np.sum(f(a) ** 3))(S)
        np.testing.assert_array_equal(np.triu(g, 1), 0.0)
        assert np.all(np.tril(g, -1)[np.tril_indices(3, -1)] != 0)
    upper = jittape.grad(lambda a: np.sum(np.linalg.eigvalsh(a, "U") ** 3))(S)
    np.testing.assert_array_equal(np.tril(upper, -1), 0.0)


def test_degenerate_eigenvalues_of_functions_of_the_whole_space():
    # d tr(exp(S)) = exp(S), through eigenvalues that are all equal and through repeated ones
    for x in (np.eye(3), np.diag([1.0, 1.0, 2.0]), np.zeros((3, 3))):
        g = jittape.grad(lambda s: np.sum(np.exp(np.linalg.eigvalsh(herm(s)))))(x)
        np.testing.assert_allclose(g, np.diag(np.exp(np.diag(x))), atol=1e-12)

    def projected(s):
        w, v = np.linalg.eigh(herm(s))
        return np.sum((v[:, :2] @ v[:, :2].T) * S)  # the projector on a repeated eigenvalue

    x = np.diag([1.0, 1.0, 2.0])
    d = rng.normal(size=(3, 3))
    h = 1e-6
    numeric = (projected(x + h * d) - projected(x - h * d)) / (2 * h)
    assert np.sum(jittape.grad(projected)(x) * d) == pytest.approx(numeric, rel=1e-6)
    assert np.all(np.isfinite(jittape.hessian(lambda s: np.linalg.svd(s)[1][0])(np.eye(2))))


def test_norm_at_zero():
    zero = np.zeros((2, 3))
    for f in (
        np.linalg.norm,
        lambda x: np.linalg.norm(x[0], 3),
        lambda x: np.linalg.norm(x[0], 0.5),
        lambda x: np.sum(np.linalg.norm(x, axis=1)),
        lambda x: np.linalg.norm(x[0], 1),
        lambda x: np.linalg.norm(x, "nuc"),
    ):
        np.testing.assert_array_equal(jittape.grad(f)(zero), 0.0)
        assert jittape.jvp(f, (zero,), (np.ones((2, 3)),))[1] == 0.0
    half = np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 4.0]])
    g = jittape.grad(lambda x: np.sum(np.linalg.norm(x, axis=1)))(half)
    np.testing.assert_allclose(g, [[0, 0, 0], [0.6, 0, 0.8]])


def test_full_matrices_serve_values_and_refuse_only_the_derivative_of_what_is_free():
    x = rng.normal(size=(4, 2))
    check_value(lambda a: tuple(np.linalg.svd(a)), x, rtol=1e-12)
    check_value(lambda a: tuple(np.linalg.qr(a, "complete")), x, rtol=1e-12)
    check_value(lambda a: tuple(np.linalg.svd(a)), x.T, rtol=1e-12)
    g = jittape.grad(lambda a: np.sum(np.linalg.svd(a)[1]))(x)
    u, _, vh = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(g, u @ vh)
    for f in (lambda a: np.linalg.svd(a)[0], lambda a: np.linalg.qr(a, "complete")[0]):
        with pytest.raises(DifferentiationError, match="complement"):
            jittape.grad(lambda a, f=f: np.sum(f(a) ** 3))(x)


def test_eigenvalues_that_turn_complex_are_seen():
    d = jittape.grad(lambda a: np.sum(np.real(np.linalg.eigvals(a) ** 3)))
    for x in (np.diag([1.0, 2.0]) + 0.1, np.array([[0.0, 1.0], [-1.0, 0.5]]), A[:2, :2]):
        np.testing.assert_allclose(d(x), 3 * np.linalg.matrix_power(x, 2).T, atol=1e-12)
    f = jittape.jit(np.linalg.eigvals)
    for x in (np.diag([1.0, 2.0]), np.array([[0.0, 1.0], [-1.0, 0.0]]), np.diag([3.0, 4.0])):
        assert f(x).dtype == np.linalg.eigvals(x).dtype
        np.testing.assert_allclose(f(x), np.linalg.eigvals(x))


def test_linalg_error_is_numpys_own_also_in_replay():
    f = jittape.grad(lambda a: np.sum(np.linalg.inv(a)))
    for x in (A, 2 * A, 3 * A):
        f(x)
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        f(np.zeros((3, 3)))
    np.testing.assert_allclose(f(A), jittape.grad(lambda a: np.sum(np.linalg.inv(a)))(A))
    g = jittape.jit(np.linalg.cholesky)
    g(S)
    g(S)
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        g(-S)
    with pytest.raises(np.linalg.LinAlgError, match="square"):
        jittape.grad(lambda a: np.linalg.det(a))(np.ones((2, 3)))
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        jittape.grad(lambda a: np.sum(sl.solve_triangular(a, a[0])))(np.zeros((2, 2)))


def test_user_code_may_catch_the_error():
    def f(a):
        try:
            return np.sum(np.linalg.cholesky(a))
        except np.linalg.LinAlgError:
            return np.sum(a**2)

    d = jittape.grad(f)
    for x in (S, -S, 2 * S, -2 * S, S, -S):
        if x[0, 0] < 0:
            np.testing.assert_allclose(d(x), 2 * x)
        else:
            np.testing.assert_array_equal(np.triu(d(x), 1), 0.0)


def test_integers_and_lists_are_taken_as_numpy_takes_them():
    check_value(lambda b: np.linalg.solve([[2, 1], [1, 3]], b), np.array([1.0, 2.0]))
    check(lambda x: np.linalg.det(np.array([[x[0], 2], [1, x[1]]])), np.array([1.0, 3.0]))
    g = jittape.jit(lambda a: np.linalg.inv(a))(np.array([[2, 1], [1, 1]]))
    np.testing.assert_allclose(g, [[1, -1], [-1, 2]])
    assert jittape.grad(lambda a: np.linalg.det(a))(np.eye(2, dtype=np.float32)).dtype == np.float32


def test_modes_that_are_not_recorded_are_named():
    with pytest.raises(TraceError, match="raw"):
        jittape.jit(lambda a: np.linalg.qr(a, "raw")[0])(A)


def test_vmap_of_linear_algebra():
    stack = np.stack([A, 2 * A, A.T])
    right = rng.normal(size=3)
    for f in (np.linalg.inv, np.linalg.det, lambda a: np.linalg.solve(a, right),
              lambda a: np.linalg.eigh(a @ a.T)[0], lambda a: np.linalg.qr(a)[1]):  # fmt: skip
        want = np.stack([f(x) for x in stack])
        np.testing.assert_allclose(jittape.vmap(f)(stack), want, atol=1e-12)
    d = jittape.grad(lambda a: np.sum(np.linalg.solve(a, right) ** 2))
    want = np.stack([d(x) for x in stack])
    np.testing.assert_allclose(jittape.vmap(d)(stack), want, rtol=1e-10)


@pytest.mark.parametrize("uplo", ["L", "U"])
def test_eigenvectors_have_numpys_signs(uplo):
    rng = np.random.default_rng(0)
    replayed = jittape.jit(lambda a: np.linalg.eigh(a, uplo))
    for _ in range(10):
        a = rng.standard_normal((4, 4))
        w, v = np.linalg.eigh(a + a.T, uplo)
        got_w, got_v = replayed(a + a.T)
        np.testing.assert_allclose(got_w, w, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(got_v, v, rtol=1e-9, atol=1e-12)
