"""scipy.linalg by its own names: values are SciPy's, derivatives are held against the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg as sl
from oracle import check, check_value, scipy_before

import jittape
from jittape.errors import TraceError

A = np.array([[2.0, 0.3, 0.1], [0.2, 3.0, 0.4], [0.5, 0.1, 4.0]])
P = A[[2, 0, 1]]  # needs pivots
S = A @ A.T
TALL = np.array([[1.0, 0.3], [0.2, 2.0], [3.0, 0.1]])
V = np.array([0.5, -1.0, 2.0])
BAND = np.array([[9.0, 0.3, 0.2, 0.1], [2.0, 3.0, 2.5, 4.0], [0.1, 0.7, 0.4, 9.0]])
HALF = np.array([[9.0, 0.3, 0.2, 0.1], [2.0, 3.0, 2.5, 4.0]])
B = np.array([1.0, -0.5, 0.25, 2.0])


@pytest.mark.parametrize(
    "f",
    [
        lambda a, b: sl.lu_factor(a)[0],
        lambda a, b: sl.lu(a)[1:],
        lambda a, b: sl.lu(a, permute_l=True),
        lambda a, b: sl.lu(a, p_indices=True)[2],
        lambda a, b: sl.lu(a[:, :2])[1:],
        lambda a, b: sl.lu(a[:2])[1:],
        lambda a, b: sl.lu_solve(sl.lu_factor(a), b),
        lambda a, b: sl.lu_solve(sl.lu_factor(a), b, trans=1),
        lambda a, b: sl.lu_solve(sl.lu_factor(P), b) * a[0],
        lambda a, b: sl.lu_solve(sl.lu_factor(a), np.stack([b, b * b], axis=1)),
        lambda a, b: sl.solve(a, b, assume_a="gen"),
    ],
)
def test_lu(f):
    check(f, P, V, value_rtol=1e-13)


@pytest.mark.skipif(scipy_before(1, 16), reason="SciPy 1.16 batches lu_factor")
def test_lu_of_stacks():
    check(lambda a: sl.lu_factor(a)[0], np.stack([A, P]), value_rtol=1e-13)


def test_row_order_of_lu_after_replay():
    got = jittape.jit(sl.lu)
    for a in (A, P, P[::-1].copy()):
        for x, y in zip(got(a), sl.lu(a), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    "f",
    [
        lambda a: sl.sqrtm(a), lambda a: sl.logm(a), lambda a: sl.signm(a - 2.5 * np.eye(3)),
        lambda a: sl.cosm(a), lambda a: sl.sinm(a), lambda a: sl.tanm(a / 9),
        lambda a: sl.coshm(a), lambda a: sl.sinhm(a), lambda a: sl.tanhm(a),
        lambda a: sl.fractional_matrix_power(a, 0.3),
        lambda a: sl.fractional_matrix_power(a, 2),
        lambda a: sl.expm_frechet(a, S)[1],
        lambda a: sl.polar(a)[0], lambda a: sl.polar(a, side="left")[1],
        lambda a: np.abs(sl.orth(a[:, :2])),
        lambda a: sl.pinvh(a @ a.T), lambda a: sl.eigvals(a), lambda a: sl.eig(a)[0].real,
        lambda a: sl.eig(a, S, right=False).real,
        lambda a: np.abs(sl.qr(a, pivoting=True)[1]),
        lambda a: sl.eigh(a @ a.T, subset_by_index=[0, 1])[0],
    ],
)  # fmt: skip
def test_functions_of_one_matrix(f):
    check(f, A, order=1, value_rtol=1e-11, rtol=1e-5)


def test_second_derivatives():
    check(lambda a: sl.sqrtm(a) + sl.logm(a), A[:2, :2], value_rtol=1e-11, rtol=1e-5)
    check(lambda a, q: sl.solve_sylvester(a, S, q), A, P, value_rtol=1e-10, rtol=1e-5)


@pytest.mark.parametrize("name", ["sqrtm", "logm"])
def test_negative_eigenvalues(name):
    """The derivative of a matrix with one below zero comes from one that has it twice."""
    matrices = [
        np.diag([-1.0, 2.0, 0.5]) + 0.3 * A,
        np.array([[0.05, 0.9, 0.4], [0.6, -0.15, -1.5], [1.0, -1.9, -0.24]]),
        np.array([[-3.7, -2.9, 1.5], [-2.9, -0.8, 0.1], [1.5, 0.1, 1.4]]),
    ]
    for m in matrices:
        assert (np.linalg.eigvals(m).real < 0).any()
        check(lambda a: getattr(sl, name)(a), m, value_rtol=1e-11, rtol=1e-5)


def test_functions_of_complex_matrices():
    z = A + 0.3j * A[::-1]
    # (SciPy before 1.16 makes long doubles of a complex root)
    for f in (
        lambda a: sl.sqrtm(a).astype(np.complex128),
        lambda a: sl.logm(a),
        lambda a: sl.cosm(a) + sl.sinm(a),
    ):
        check(f, z, order=1, value_rtol=1e-11, rtol=1e-5)


def test_a_root_that_turns_complex_is_another_tape():
    value = jittape.jit(lambda a: np.abs(sl.sqrtm(a)))
    for sign in (1.0, -1.0, 1.0):
        a = A * np.array([1.0, sign, 1.0])
        np.testing.assert_allclose(value(a), abs(sl.sqrtm(a)), rtol=1e-10)


@pytest.mark.parametrize(
    "f",
    [
        lambda a, q: sl.solve_sylvester(a, S, q),
        lambda a, q: sl.solve_sylvester(a, a.T, q),
        lambda a, q: sl.solve_continuous_lyapunov(a, q),
        lambda a, q: sl.solve_discrete_lyapunov(a / 9, q),
        lambda a, q: sl.solve_discrete_lyapunov(a / 9, q, method="bilinear"),
        lambda a, q: sl.lstsq(a[:, :2], q[0])[:2],
        lambda a, q: sl.eigh(a @ a.T, q @ q.T + np.eye(3))[0],
    ],
)
def test_equations(f):
    check(f, A, P, order=1, value_rtol=1e-10, rtol=1e-5)


@pytest.mark.parametrize(
    "f",
    [
        lambda c: sl.toeplitz(c), lambda c: sl.toeplitz(c, c[:2] * 2), lambda c: sl.hankel(c),
        lambda c: sl.hankel(c, c[::-1] ** 2), lambda c: sl.circulant(c),
        lambda c: sl.convolution_matrix(c, 4),
        lambda c: sl.convolution_matrix(c, 5, mode="valid"),
        lambda c: sl.convolution_matrix(c, 5, mode="same"),
        lambda c: sl.convolution_matrix(c, 2, mode="same"),
        lambda c: sl.solve_toeplitz(c + np.array([5, 0, 0]), c),
        lambda c: sl.matmul_toeplitz(c, c), lambda c: sl.block_diag(c, A * c),
        lambda c: sl.companion(c),
    ],
)  # fmt: skip
def test_structured_matrices(f):
    check(f, V, value_rtol=1e-13)


@pytest.mark.parametrize(
    "f",
    [
        lambda ab, b: sl.solve_banded((1, 1), ab, b),
        lambda ab, b: sl.solve_banded((1, 1), ab, np.stack([b, b * b], axis=1)),
        lambda ab, b: sl.solve_banded((2, 0), ab[::-1], b),
        lambda ab, b: sl.solve_banded((0, 1), ab[:2], b),
        lambda ab, b: sl.solveh_banded(ab[:2], b),
        lambda ab, b: sl.solveh_banded(ab[1:], b, lower=True),
    ],
)
def test_banded_systems(f):
    check(f, BAND, B, value_rtol=1e-13)


def test_batches_of_solves():
    bs = np.stack([B, 2 * B, B**2])
    got = jittape.vmap(lambda b: sl.solve_banded((1, 1), BAND, b))(bs)
    np.testing.assert_allclose(got, [sl.solve_banded((1, 1), BAND, b) for b in bs], rtol=1e-13)
    mats = np.stack([A, P])
    got = jittape.vmap(lambda a: sl.lu_solve(sl.lu_factor(a), V))(mats)
    np.testing.assert_allclose(got, [np.linalg.solve(a, V) for a in mats], rtol=1e-12)


def test_what_is_refused_names_the_option():
    with pytest.raises(TraceError, match="left=True"):
        jittape.jit(lambda a: sl.eig(a, left=True))(A)
    with pytest.raises(TraceError):
        jittape.jit(lambda a: sl.schur(a)[0])(A)
    check_value(lambda a: sl.norm(a), A)


@pytest.mark.filterwarnings("ignore:logm result may be inaccurate:RuntimeWarning")
def test_what_scipy_does_in_double_precision():
    a = A.astype(np.float32)
    for f in (
        lambda a: sl.det(a),
        lambda a: sl.det(np.stack([a, a])),
        lambda a: sl.det(a.astype(np.complex64)),
        lambda a: sl.expm_frechet(a / 9, a),
        lambda a: sl.solve_discrete_lyapunov(a / 9, a),
        lambda a: sl.solve_discrete_lyapunov(a / 9, a, method="bilinear"),
        lambda a: sl.logm(a),
        lambda a: sl.logm(a.astype(np.complex64)),
        lambda a: (sl.fractional_matrix_power(a, 0.5), sl.fractional_matrix_power(a, 2.0)),
    ):
        check_value(f, a, rtol=1e-4)
