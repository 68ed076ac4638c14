"""Products in every calling convention; einsum against NumPy's own on random subscripts."""

from collections import Counter

import numpy as np
import pytest
from oracle import check, check_value, plain

import jittape

RNG = np.random.default_rng(5)


def arrays(*shapes):
    return [RNG.normal(size=s) for s in shapes]


SHAPES = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 2)),
    ((5, 2, 3), (5, 3, 4)),
    ((2, 1, 2, 3), (4, 3, 2)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 3)),
]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_matmul_from_either_side(shapes):
    a, b = arrays(*shapes)
    check(lambda a, b: a @ b, a, b)
    check(lambda a: a @ b, a)
    check(lambda b: a @ b, b)
    check_value(lambda b: np.matmul(a, b), b)


@pytest.mark.parametrize("shapes", [*SHAPES[:6], ((), (3,)), ((2, 2, 3), (4, 3, 2))], ids=str)
def test_dot_and_inner(shapes):
    a, b = arrays(*shapes)
    check(lambda a, b: np.dot(a, b), a, b)
    if shapes[0]:
        check(lambda a: a.dot(b), a)
    if shapes[0][-1:] == shapes[1][-1:]:
        check(np.inner, a, b)


def test_float32_times_float64_and_integers():
    a, b = arrays((2, 3), (3, 2))
    check(lambda a, b: a @ b, a.astype(np.float32), b)
    check(lambda a: a @ np.arange(3), a)
    check(lambda a: a.T.dot([1, 2]), a)


def test_shapes_that_do_not_match_name_both():
    with pytest.raises(ValueError, match=r"test_products.py.*\(2, 3\) and \(2,\)"):
        jittape.jit(lambda a: a @ np.ones(2))(np.ones((2, 3)))
    with pytest.raises(ValueError, match="not aligned"):
        jittape.jit(lambda a: np.dot(a, np.ones((2, 2))))(np.ones((2, 3)))
    with pytest.raises(ValueError, match="enough dimensions"):
        jittape.jit(lambda a: a @ 2.0)(np.ones(3))


def test_quadratic_form_and_its_hessian():
    w, x = arrays((3, 3), (3,))
    check(lambda x: x.T.dot(w).dot(x), x)
    h = jittape.hessian(lambda x: x @ w @ x)(x)
    np.testing.assert_allclose(h, w + w.T, rtol=1e-14)


EINSUM = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij , jk", (2, 3), (3, 4)),
    ("ba", (2, 3)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij->j", (2, 2, 3)),
    ("iii->i", (2, 2, 2)),
    ("ijij->ij", (2, 3, 2, 3)),
    ("ij->", (2, 3)),
    ("ij->ji", (2, 3)),
    ("i,i", (3,), (3,)),
    ("i,j", (3,), (2,)),
    ("i,ij,j->", (2,), (2, 3), (3,)),
    ("ij,ij->i", (2, 3), (2, 3)),
    ("bij,bjk->bik", (2, 2, 3), (2, 3, 2)),
    ("bij,bjk->ikb", (2, 2, 3), (2, 3, 2)),
    ("abc,cd,db->a", (2, 3, 2), (2, 4), (4, 3)),
    ("...ij,...jk->...ik", (2, 2, 3), (3, 2)),
    ("...,...", (2, 3), (3,)),
    ("i...->...", (2, 3, 2)),
    ("...i,...i->...", (2, 1, 3), (4, 3)),
    ("ij,kl->", (2, 3), (2, 2)),
    ("ij,j->ij", (2, 3), (1,)),
    ("i,i,i,i->i", (3,), (3,), (3,), (3,)),
    (",i->i", (), (3,)),
    ("ij,jk,kl,lm->im", (2, 3), (3, 2), (2, 3), (3, 2)),
    ("ij,jk->ik", (2, 0), (0, 2)),
]


@pytest.mark.parametrize("case", EINSUM, ids=str)
def test_einsum(case):
    text, *shapes = case
    check(lambda *ops: np.einsum(text, *ops), *arrays(*shapes), value_rtol=1e-13)


def test_einsum_with_sublists():
    a, b = arrays((2, 3), (3, 4))
    check(lambda a, b: np.einsum(a, [0, 1], b, [1, 2], [2, 0]), a, b)
    check(lambda a, b: np.einsum(a, [0, 1], b, [1, 2]), a, b)
    check(lambda a: np.einsum(a, [Ellipsis, 0], [0, Ellipsis]), a)


def test_einsum_of_random_subscripts():
    sizes = dict(zip("abcd", (2, 3, 2, 3), strict=True))
    for _ in range(40):
        terms = ["".join(RNG.choice(list("abcd"), RNG.integers(0, 4))) for _ in range(3)]
        used = sorted(set("".join(terms)))
        keep = [x for x in used if RNG.random() < 0.4]
        text = ",".join(terms) + "->" + "".join(RNG.permutation(keep))
        ops = arrays(*[tuple(sizes[x] for x in t) for t in terms])
        got = jittape.jit(lambda *ops, text=text: np.einsum(text, *ops))(*ops)
        np.testing.assert_allclose(got, plain(np.einsum, text, *ops), rtol=1e-12, err_msg=text)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("ij,jk->iz", "does not appear"),
        ("ij,jk->ii", "more than once"),
        ("ij->ij", "1 terms"),
        ("ijk,jk->i", "does not have those"),
        ("ij,ik->jk", "sizes"),
        ("i1,jk->k", "invalid subscript"),
    ],
)
def test_einsum_errors(text, match):
    with pytest.raises(ValueError, match=match):
        jittape.jit(lambda a, b: np.einsum(text, a, b))(np.ones((2, 3)), np.ones((3, 4)))


def test_einsum_uses_matrix_products_in_a_good_order():
    tape = jittape.trace(lambda a, b, v: np.einsum("ij,jk,k->i", a, b, v))(
        *arrays((4, 5), (5, 6), 6)
    )
    ops = Counter(tape.signature(i).op.name for i in range(len(tape)))
    assert ops["matmul"] == 2
    assert ops["multiply"] == 0
    # the vector first: no product of matrices is formed
    assert max(tape.signature(i).out.size for i in range(len(tape))) <= 6


def test_multi_dot_follows_the_cheapest_order():
    a, b, v = arrays((30, 20), (20, 30), (30,))
    tape = jittape.trace(lambda a, b, v: np.linalg.multi_dot([a, b, v]))(a, b, v)
    assert max(tape.signature(i).out.size for i in range(len(tape))) <= 30
    check(lambda *m: np.linalg.multi_dot(m), *arrays((2, 3), (3, 2), (2, 2)))
    check(lambda *m: np.linalg.multi_dot(m), *arrays((3,), (3, 2), (2,)))


def test_tensor_products():
    a, b = arrays((2, 3, 4), (4, 3, 2))
    check(lambda a, b: np.tensordot(a, b, axes=((1, 2), (1, 0))), a, b)
    check(lambda a, b: np.tensordot(a, b, 1), a, b)
    check(lambda a: np.tensordot(a, 2.0, 0), a)
    check(np.kron, *arrays((2, 3), (2,)))
    check(lambda a, b: np.cross(a, b), *arrays((2, 3), (3,)))
    check(np.outer, *arrays((2, 2), (3,)))
    check(np.vdot, *arrays((2, 3), (2, 3)))
    with pytest.raises(ValueError, match="shape-mismatch"):
        jittape.jit(lambda a: np.tensordot(a, np.ones((3, 3)), 1))(np.ones((2, 2)))
