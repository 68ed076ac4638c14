"""vmap against a Python loop over the batch."""

import collections
import math

import numpy as np
import pytest

import jittape
from jittape import grad, hessian, jacobian, jit, jvp, vmap
from jittape.errors import TraceError
from jittape.ops import declare
from jittape.passes import batch_rules, sparsity

RNG = np.random.default_rng(5)


def looped(fun, *args):
    """fun on each element of the batch, results stacked in front."""
    return np.stack([np.asarray(fun(*xs)) for xs in zip(*args, strict=True)])


def check(fun, *args, rtol=1e-13):
    """vmap(fun), its replay and its derivative agree with a loop over the batch."""
    mapped = vmap(fun)
    for factor in (1.0, 0.75):
        xs = [a * factor if a.dtype.kind in "fc" else a for a in args]
        got = mapped(*xs)
        want = looped(fun, *xs)
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=rtol, atol=1e-14)
    inexact = tuple(i for i, a in enumerate(args) if a.dtype.kind == "f")
    if inexact and want.dtype.kind == "f":
        weight = np.cos(np.arange(want[0].size)).reshape(want[0].shape)
        loss = lambda *xs: (fun(*xs) * weight).sum()  # noqa: E731
        for g, *wants in zip(
            vmap(grad(loss, argnums=inexact))(*args),
            *[grad(loss, argnums=inexact)(*xs) for xs in zip(*args, strict=True)],
            strict=True,
        ):
            np.testing.assert_allclose(g, np.stack(wants), rtol=1e-10, atol=1e-12)
        together = grad(lambda *xs: (vmap(fun)(*xs) * weight).sum(), argnums=inexact)(*args)
        for g, h in zip(together, vmap(grad(loss, argnums=inexact))(*args), strict=True):
            np.testing.assert_allclose(g, h, rtol=1e-10, atol=1e-12)


A = RNG.normal(size=(3, 4))
INDEX = np.array([2, 0, 2])

PROGRAMS = {
    "scalar": (lambda x, y: np.sin(x) * y + x * x * 3.0, [(5,), (5,)]),
    "unequal ranks": (lambda x, y: x * y + A, [(5, 4), (5, 3, 1)]),
    "0-d against 2-d": (lambda x, y: x * y * A, [(5,), (5, 3, 4)]),
    "reductions": (lambda x: x.sum(axis=0) * x.max(axis=(0, 1)), [(5, 3, 4)]),
    "reshape and transpose": (lambda x: x.reshape(4, 3).T * 2.0, [(5, 3, 4)]),
    "slices": (lambda x: x[1:, ::-2] * x[0, 1], [(5, 3, 4)]),
    "rows of one index": (lambda x: x[INDEX] * 2.0, [(5, 3, 4)]),
    "captured matrix times vector": (lambda x: A @ x, [(5, 4)]),
    "captured matrix on the right": (lambda x: x @ A, [(5, 3)]),
    "matrix times captured matrix": (lambda x: x @ A, [(5, 2, 3)]),
    "captured matrix times matrix": (lambda x: A @ x, [(5, 4, 2)]),
    "two matrices": (lambda x, y: x @ y, [(5, 2, 3), (5, 3, 2)]),
    "matrix and vector": (lambda x, y: x @ y, [(5, 2, 3), (5, 3)]),
    "dot": (lambda x, y: x @ y, [(5, 3), (5, 3)]),
    "stack": (lambda x, y: np.stack([x, y * 2.0, x]), [(5, 3), (5, 3)]),
    "stack with constant": (lambda x: np.stack([x, np.ones(3)]), [(5, 3)]),
    "concatenate": (lambda x, y: np.concatenate([x, y, A[0]]), [(5, 3), (5, 2)]),
    "where": (lambda x, y: np.where(x > 0, x * y, -y), [(5, 3), (5, 3)]),
    "where of scalar condition": (lambda x, y: np.where(x > 0, y, A), [(5,), (5, 3, 4)]),
    "maximum": (lambda x: np.maximum(x, 0.0), [(5, 3)]),
    "in place": (lambda x: written(x), [(5, 4)]),
    "solve": (lambda a, b: np.linalg.solve(a @ a.T + np.eye(3), b), [(5, 3, 3), (5, 3)]),
    "solve with captured matrix": (lambda b: np.linalg.solve(A[:, :3], b), [(5, 3)]),
    "solve with captured side": (
        lambda a: np.linalg.solve(a @ a.T + np.eye(3), A),
        [(5, 3, 3)],
    ),
    "cholesky": (lambda a: np.linalg.cholesky(a @ a.T + np.eye(3)), [(5, 3, 3)]),
    "det and inv": (lambda a: np.linalg.det(a) * np.linalg.inv(a), [(5, 2, 2)]),
    "scatter with gather": (lambda x: x[INDEX][INDEX] + x, [(5, 3)]),
}


def written(x):
    y = np.zeros(4)
    y[1:] = x[:-1] * 2.0
    y[0] = x[3]
    y[[1, 2]] += x[0]
    return y * x


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    fun, shapes = PROGRAMS[name]
    check(fun, *[RNG.normal(size=s) for s in shapes], rtol=1e-11)


def test_batched_indices():
    x, idx = RNG.normal(size=(5, 4)), RNG.integers(-4, 4, size=(5, 2))
    check(lambda x, i: x[i], x, idx)
    shared = vmap(lambda x, i: x[i], in_axes=(None, 0))
    np.testing.assert_array_equal(shared(x[0], idx), x[0][idx])
    np.testing.assert_array_equal(vmap(lambda x, i: x[i])(x, idx[:, 0]), x[range(5), idx[:, 0]])
    check(lambda x: np.sort(x), x)


def test_in_axes_and_out_axes():
    x, y = RNG.normal(size=(3, 5)), RNG.normal(size=(5, 4))
    outer = lambda x, y: x[:, None] * y  # noqa: E731
    want = np.einsum("ib,bj->bij", x, y)
    np.testing.assert_allclose(vmap(outer, in_axes=(1, 0))(x, y), want)
    np.testing.assert_allclose(vmap(outer, (-1, 0), out_axes=-1)(x, y), np.moveaxis(want, 0, -1))
    np.testing.assert_allclose(vmap(outer, [1, 0], out_axes=1)(x, y), np.moveaxis(want, 0, 1))
    unmapped = vmap(outer, (None, 0))(x[:, 0], y)
    np.testing.assert_allclose(unmapped, np.einsum("i,bj->bij", x[:, 0], y))


def test_containers():
    Point = collections.namedtuple("Point", "x y")

    def fun(p, d):
        return {"s": p.x + p.y, "t": [d["a"] * p.x, d["b"]]}

    p = Point(RNG.normal(size=4), RNG.normal(size=(2, 4)))
    d = {"a": 3.0, "b": RNG.normal(size=4)}
    out = vmap(fun, in_axes=(Point(0, 1), {"a": None, "b": 0}), out_axes={"s": 1, "t": 0})(p, d)
    np.testing.assert_allclose(out["s"], p.x + p.y)
    np.testing.assert_allclose(out["t"][0], 3.0 * p.x)
    np.testing.assert_array_equal(out["t"][1], d["b"])


def test_results_that_do_not_depend_on_the_batch():
    x = RNG.normal(size=3)
    a, b, c = vmap(lambda x: (x, 2.0, np.ones(2)), out_axes=(0, None, 1))(x)
    np.testing.assert_array_equal(a, x)
    assert b == 2.0
    np.testing.assert_array_equal(c, np.ones((2, 3)))
    with pytest.raises(ValueError, match="out_axes None"):
        vmap(lambda x: x * 2.0, out_axes=None)(x)


def test_keyword_arguments():
    x = RNG.normal(size=3)
    out = vmap(lambda x, *, y, scale, name: x * y * scale)(x, y=x, scale=2.0, name="n")
    np.testing.assert_allclose(out, 2 * x * x)


def test_nested():
    x, y = RNG.normal(size=3), RNG.normal(size=4)
    table = vmap(vmap(lambda a, b: a * np.exp(b), (None, 0)), (0, None))(x, y)
    np.testing.assert_allclose(table, x[:, None] * np.exp(y), rtol=1e-14)


def test_of_derivatives_and_derivatives_of():
    x = RNG.normal(size=(5, 3))
    fun = lambda x: (x * x * x).sum() * x[0]  # noqa: E731
    for transform in (grad, hessian, jacobian):
        want = np.stack([transform(fun)(row) for row in x])
        np.testing.assert_allclose(vmap(transform(fun))(x), want, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(jit(vmap(transform(fun)))(x), want, rtol=1e-12, atol=1e-13)
    total = lambda x: vmap(fun)(x).sum()  # noqa: E731
    np.testing.assert_allclose(grad(total)(x), np.stack([grad(fun)(r) for r in x]), rtol=1e-12)
    v = RNG.normal(size=(5, 3))
    _, t = jvp(vmap(fun), (x,), (v,))
    want_t = np.stack([jvp(fun, (r,), (w,))[1] for r, w in zip(x, v, strict=True)])
    np.testing.assert_allclose(t, want_t, rtol=1e-12)


def test_captured_outer_tracer():
    x = RNG.normal(size=4)
    g = grad(lambda c: vmap(lambda t: c * c * t)(x).sum())
    np.testing.assert_allclose(g(3.0), 6 * x.sum(), rtol=1e-13)
    H = hessian(lambda c: vmap(lambda t: c * c * t)(x).sum())
    np.testing.assert_allclose(H(3.0), 2 * x.sum(), rtol=1e-13)


def test_branch_on_a_batched_value_names_the_remedy():
    def fun(x):
        return x if x > 0 else -x

    with pytest.raises(TraceError, match=r"test_vmap.py:\d+.*np\.where"):
        vmap(fun)(np.ones(3))
    with pytest.raises(TraceError, match=r"np\.where"):
        vmap(grad(fun))(np.ones(3))
    with pytest.raises(TraceError, match=r"np\.where"):
        vmap(lambda x: float(x))(np.ones(3))


def test_branch_on_an_unbatched_value():
    def fun(x, flag):
        return x * 2.0 if flag > 0 else x * 3.0

    mapped = vmap(fun, in_axes=(0, None))
    x = np.arange(3.0)
    for flag in (1.0, -1.0, 2.0):
        np.testing.assert_array_equal(mapped(x, flag), fun(x, flag))


def test_captured_masks_and_positions_have_values():
    state = {
        "mask": np.array([True, False, True]),
        "order": np.array([2, 0, 1]),
        "bins": np.array([0, 2, 2]),
    }
    xs = RNG.normal(size=(4, 3))
    functions = [
        lambda x: x[state["mask"]],
        lambda x: np.compress(state["mask"], np.outer(x, x), axis=0),
        lambda x: np.choose(state["order"], [x, x * x, np.sin(x)]),
        lambda x: np.bincount(state["bins"], weights=x),
        lambda x: np.histogram([0.1, 0.5, 0.7], 3, weights=x)[0],
        lambda x: np.percentile(np.outer(x, x), [10, 50], axis=0),
        lambda x: np.geomspace(x[0] ** 2, 10.0, 5),
    ]
    for fun in functions:
        check(fun, xs)
        check(lambda x, fun=fun: vmap(fun)(np.stack([x, 2 * x])), xs)
    mapped = vmap(functions[0])
    for mask in ([True, False, True], [False, True, True], [False, True, False]):
        state["mask"][:] = mask
        np.testing.assert_array_equal(mapped(xs), xs[:, mask])
    mapped = vmap(lambda x: x * 2 if state["mask"].all() else x)
    for all_true in (False, True, False):
        state["mask"][:] = all_true
        np.testing.assert_array_equal(mapped(xs), xs * (2 if all_true else 1))


def test_positions_of_a_batch_are_checked_along_their_axis():
    matrices = RNG.normal(size=(4, 3, 2))
    check(lambda m: np.take_along_axis(m, np.argsort(m, axis=1), axis=1), matrices)
    check(lambda m: np.take_along_axis(m, np.argsort(m, axis=0)[::-1], axis=0), matrices)
    taken = vmap(lambda m, i: np.take_along_axis(m, i, axis=1))
    inside = np.array([[[0], [1], [-1]]] * 4)
    want = np.take_along_axis(matrices, inside, axis=2)
    for _ in range(2):
        np.testing.assert_array_equal(taken(matrices, inside), want)
    for _ in range(2):
        with pytest.raises(IndexError):
            taken(matrices, np.where(inside == 1, 2, inside))


def test_refusals():
    x = np.ones((3, 2))
    with pytest.raises(ValueError, match="different sizes"):
        vmap(lambda a, b: a)(x, np.ones(4))
    with pytest.raises(ValueError, match="no argument is batched"):
        vmap(lambda a: a, in_axes=(None,))(x)
    with pytest.raises(ValueError, match="asks for axis 2"):
        vmap(lambda a: a, in_axes=2)(x)
    with pytest.raises(ValueError, match="2 entries"):
        vmap(lambda a: a, in_axes=(0, 0))(x)
    with pytest.raises(TypeError, match="in_axes"):
        vmap(lambda a: a, in_axes="0")
    with pytest.raises(TypeError, match="structure"):
        vmap(lambda a: a["u"], in_axes=({"v": 0},))({"u": x})
    with pytest.raises(ValueError, match="out_axes asks"):
        vmap(lambda a: a, out_axes=3)(x)


def test_scalar_code_with_math():
    def fun(x, y):
        return math.sin(x) * y**2 + math.sqrt(abs(x))

    x, y = RNG.normal(size=4), RNG.normal(size=4)
    np.testing.assert_allclose(vmap(fun)(x, y), looped(fun, x, y), rtol=1e-14)
    want = np.stack([grad(fun)(a, b) for a, b in zip(x, y, strict=True)])
    np.testing.assert_allclose(vmap(grad(fun))(x, y), want, rtol=1e-13)
    np.testing.assert_array_equal(vmap(lambda x: math.log(x))(np.array([1.0, -1.0])), [0.0, np.nan])


def test_empty_batch():
    assert vmap(lambda x: x * 2.0)(np.ones((0, 3))).shape == (0, 3)


def test_an_op_without_a_rule_is_looped():
    op = declare.declare(
        declare.Op(
            name="test_only_host_op",
            kind=declare.Kind.HOST,
            infer=lambda x, y: x,
            evaluate=lambda x, y: x * y,
            vjp=lambda g, out, x, y: (g * y, (g * x).sum()),
        )
    )
    x = RNG.normal(size=(4, 3))
    fun = lambda x, y: op(x, y)  # noqa: E731
    np.testing.assert_allclose(vmap(fun, (0, None))(x, 2.0), 2 * x)
    total = lambda x, y: (vmap(fun, (0, None))(x, y) * x).sum()  # noqa: E731
    gx, gy = grad(total, argnums=(0, 1))(x, 2.0)
    np.testing.assert_allclose(gx, 4 * x, rtol=1e-13)
    np.testing.assert_allclose(gy, (x * x).sum(), rtol=1e-13)
    third = grad(lambda y: grad(total, argnums=1)(x, y) * y)(2.0)
    np.testing.assert_allclose(third, (x * x).sum(), rtol=1e-13)


def test_rules_are_for_ops_that_exist():
    names = {*batch_rules.BY_NAME, *sparsity.ON_STACKS, *sparsity.INDEX_OPERAND}
    assert names <= set(declare.by_name)


def test_public():
    assert jittape.vmap is vmap
