"""Captured scipy.sparse matrices times traced vectors and matrices."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import check

import jittape
from jittape.errors import TraceError

sps = pytest.importorskip("scipy.sparse")
spl = pytest.importorskip("scipy.sparse.linalg")

A = sps.random(5, 4, 0.5, random_state=1, format="csr") + sps.eye(5, 4, format="csr")
SQUARE = sps.csc_matrix(A[:4] + 2 * sps.eye(4))
V = np.array([0.5, -1.0, 2.0, 0.25])
W = np.linspace(-1.0, 1.0, 5)


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "dia", "bsr", "lil", "dok"])
@pytest.mark.parametrize("kind", [lambda a: a, sps.csr_array])
def test_products_in_each_format(format, kind):
    a = kind(A).asformat(format)
    check(lambda v: a @ v, V, order=1)
    check(lambda v: a @ np.stack([v, v * v], axis=1), V, order=1)
    check(lambda w: w @ a, W, order=1)
    check(lambda w: a.T @ w + a.T.dot(w), W, order=1)


def test_quadratic_form_to_second_order():
    a = A.T @ A
    check(lambda v: v @ a @ v, V)
    check(lambda v: v @ (a @ np.tanh(v)), V)
    np.testing.assert_allclose(jittape.hessian(lambda v: v @ (a @ v))(V), 2 * a.toarray())


def test_matrices_multiply_by_a_star():
    check(lambda v: A * v, V, order=1)
    check(lambda w: w * A, W, order=1)
    check(lambda v: A @ [v[0], 1.0, v[1] * v[2], 0.0], V, order=1)


def test_the_pattern_of_a_sparse_jacobian_is_that_of_the_matrix():
    j = jittape.jacobian(lambda v: A @ v, sparse=True)(V)
    assert (j != A).nnz == 0
    assert j.nnz == A.nnz


def test_changes_of_the_matrix_are_seen():
    a = A.copy()

    class Model:
        operator = a.copy()

        def loss(self, v):
            return np.sum((self.operator @ v) ** 2)

    model = Model()
    of_closure, of_object = jittape.grad(lambda v: np.sum((a @ v) ** 2)), jittape.grad(model.loss)
    for step in range(5):
        if step == 2:
            a.data[0] = model.operator.data[0] = 9.0
        elif step == 3:
            a.indices[:] = model.operator.indices[:] = 3 - a.indices
        elif step == 4:
            model.operator = 2 * model.operator
        np.testing.assert_allclose(of_closure(V), 2 * a.T @ (a @ V), rtol=1e-14)
        m = model.operator
        np.testing.assert_allclose(of_object(V), 2 * m.T @ (m @ V), rtol=1e-14)


def test_matrices_made_inside():
    def loss(v):
        n = v.size
        laplacian = sps.diags([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], [-1, 0, 1])
        return v @ (laplacian @ v)

    check(loss, V)


def test_vmap_and_complex_matrices():
    stack = np.stack([V, 2 * V, V**2])
    np.testing.assert_allclose(jittape.vmap(lambda v: A @ v)(stack), stack @ A.T.toarray())
    z = A * (1 + 2j)
    check(lambda v: np.abs(z @ v), V, order=1)


@pytest.mark.parametrize(
    "f",
    [
        lambda b: spl.spsolve(SQUARE, b),
        lambda b: spl.spsolve(SQUARE.tocsr(), np.stack([b, b * b], axis=1)),
        lambda b: spl.spsolve(SQUARE, b[:, None]),
        lambda b: spl.expm_multiply(SQUARE, b),
        lambda b: spl.aslinearoperator(SQUARE) @ b,
    ],
)
def test_solving(f):
    check(f, V, value_rtol=1e-11)


def test_matrices_of_traced_values_are_refused_with_the_remedy():
    for f, remedy in (
        (lambda s: (s * A) @ V, r"s \* \(A @ x\)"),
        (lambda s: A.multiply(s * V).sum(), "toarray"),
    ):
        with pytest.raises(TraceError, match=remedy):
            jittape.grad(lambda s, f=f: np.sum(f(s)))(0.5)
    with pytest.raises(ValueError, match="dimension mismatch"):
        jittape.jit(lambda v: A @ v)(W)
