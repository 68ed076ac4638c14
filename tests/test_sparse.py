"""Sparse Jacobians and Hessians against dense ones, on known structures and random programs."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jittape
from jittape import grad, hessian, jacobian, vmap
from jittape.api import compressed as module
from jittape.api import sparse as api_sparse
from jittape.errors import TraceError
from jittape.passes import one_lane
from jittape.passes.sparsity import index_values, jacobian_pattern

sp = pytest.importorskip("scipy.sparse")

RNG = np.random.default_rng(11)
MODES = ["auto", "forward", "reverse"]


def flat_dense(fun, argnums, *args):
    """The dense Jacobian as one matrix, in the layout of the sparse one."""
    blocks = jacobian(fun, argnums=argnums)(*args)
    rows = blocks if isinstance(blocks, list) else [blocks]
    out = []
    for row in rows:
        row = row if isinstance(row, tuple) else (row,)
        n = sum(np.size(args[i]) for i in argnums)
        out.append(
            np.concatenate(
                [b.reshape(-1, np.size(args[i])) for i, b in zip(argnums, row, strict=True)], 1
            )
        )
        assert out[-1].shape[1] == n
    return np.concatenate(out)


def check(fun, *args, argnums=None, nnz=None):
    argnums = tuple(range(len(args))) if argnums is None else argnums
    for mode in MODES:
        sparse = jacobian(fun, argnums=argnums, mode=mode, sparse=True)
        for factor in (1.0, 0.5, 1.5):  # recorded, confirmed and replayed
            xs = [a * factor if np.asarray(a).dtype.kind == "f" else a for a in args]
            J = sparse(*xs)
            assert isinstance(J, sp.csr_array)
            assert J.has_canonical_format
            np.testing.assert_allclose(
                J.toarray(), flat_dense(fun, argnums, *xs), rtol=1e-11, atol=1e-12
            )
        if nnz is not None:
            assert J.nnz == nnz


def count_sweeps(monkeypatch):
    """A list that gets the number of directions of each compressed sweep."""
    seen = []
    original = module._swept

    def spy(swept, operands, seeds):
        seen.append(len(seeds[0]))
        return original(swept, operands, seeds)

    monkeypatch.setattr(module, "_swept", spy)
    return seen


def test_relu_is_one_sweep(monkeypatch):
    seen = count_sweeps(monkeypatch)
    x = RNG.normal(size=1_000_000)
    J = jacobian(lambda x: np.maximum(0.0, x), sparse=True)(x)
    assert J.nnz == 1_000_000 and J.shape == (1_000_000, 1_000_000)
    np.testing.assert_array_equal(J.indices, np.arange(1_000_000))
    np.testing.assert_array_equal(J.data, x > 0)
    assert seen == [1]


def test_stencil_is_one_sweep(monkeypatch):
    """Each result has its own copy of what it reads, so that one reverse sweep is enough."""
    seen = count_sweeps(monkeypatch)
    fun = lambda x: x[2:] * x[:-2] - x[1:-1] * x[1:-1]  # noqa: E731
    jacobian(fun, sparse=True)(RNG.normal(size=50))
    assert seen == [1]
    check(fun, RNG.normal(size=9), nnz=21)


def test_structures():
    x = RNG.normal(size=6)
    check(lambda x: np.sin(x) * 2.0, x, nnz=6)
    check(lambda x: x, x, nnz=6)
    check(lambda x: x.sum(), x, nnz=6)
    check(lambda x: x[::-1] * 3.0, x, nnz=6)
    check(lambda x: x.reshape(2, 3).sum(axis=0), x, nnz=6)
    check(lambda x: np.concatenate([x[:2] * x[2:4], x[:1]]), x, nnz=5)
    check(lambda x: np.stack([x, x * x]), x, nnz=12)
    check(lambda x: np.ones(3) + 0.0 * x[0], x, nnz=3)
    check(lambda x: [x[1:] * 2.0, x[0]], x)
    check(lambda x: np.where(x > 0, x * x, x[0]), x, nnz=11)
    check(lambda x: np.cumsum(x), x)
    check(lambda x: np.sort(x), x)
    check(lambda x: x.reshape(2, 3) @ np.ones((3, 2)), x, nnz=12)
    check(lambda x: np.linalg.inv(x[:4].reshape(1, 2, 2) + 3.0 * np.eye(2)), x, nnz=16)
    check(lambda x: np.array([x[i] * x[i + 1] for i in range(5)]), x, nnz=10)
    check(lambda x, y: x * y, x, RNG.normal(size=6), nnz=12)
    check(lambda x, y: x * y, x, RNG.normal(size=6), argnums=(1,), nnz=6)


def test_blocks_of_batches():
    x = RNG.normal(size=(4, 3))
    check(lambda x: np.fft.rfft(x, axis=1).real, x, nnz=4 * 2 * 3)
    check(lambda x: np.cumsum(x, axis=0), x, nnz=3 * 4 * 4)
    check(lambda x: np.linalg.det(x[:, :, None] * x[:, None, :] + np.eye(3)), x, nnz=12)
    check(lambda x: vmap(lambda r: r * np.sum(r))(x), x, nnz=36)
    check(lambda x: vmap(held)(x), x, nnz=36)


@jittape.custom_vjp
def held(x):
    return x * x


held.defvjp(lambda x: (x * x, x), lambda x, g: (2 * g * x,))


def test_dtypes():
    x, y = np.ones(3, np.float32), np.ones(3)
    J = jacobian(lambda x: x * x, sparse=True)(x)
    assert J.dtype == np.float32
    J = jacobian(lambda x, y: [x * x, x[0] * y], argnums=(0, 1), sparse=True)(x, y)
    assert J.dtype == np.float64 and J.nnz == 9
    J = jacobian(lambda x: x * np.array([1j, 2.0, 0.0]), sparse=True)(y)
    np.testing.assert_array_equal(J.toarray(), np.diag([1j, 2.0, 0.0]))
    J = jacobian(lambda k: k * 2.0, sparse=True)(np.arange(3))
    np.testing.assert_array_equal(J.toarray(), 2 * np.eye(3))


def test_constant_and_empty():
    J = jacobian(lambda x: np.ones(3) * 2.0, sparse=True)(np.ones(2))
    assert J.shape == (3, 2) and J.nnz == 0
    J = jacobian(lambda x: x * 2.0, sparse=True)(np.ones(0))
    assert J.shape == (0, 0)


def test_gather_and_writes():
    idx = np.array([3, 1, 1, 0])
    x = RNG.normal(size=5)

    def fun(x):
        y = np.zeros(6)
        y[1:5] = x[idx] * x[:4]
        y[[0, 5]] += x[4]
        return y

    check(fun, x, nnz=9)


def test_index_arrays_are_part_of_the_pattern():
    """The same function with other indices must not be answered from the old pattern."""
    sparse = jacobian(lambda x, idx: x[idx] * 2.0, sparse=True)
    x = RNG.normal(size=4)
    for idx in (np.array([0, 1]), np.array([0, 1]), np.array([3, 3]), np.array([0, 1])):
        want = np.zeros((2, 4))
        want[np.arange(2), idx] = 2
        np.testing.assert_array_equal(sparse(x, idx).toarray(), want)


def test_captured_index_array_that_changes():
    idx = np.array([0, 1])
    sparse = jacobian(lambda x: x[idx] * 2.0, sparse=True)
    x = RNG.normal(size=4)
    for new in ([0, 1], [0, 1], [2, 3], [2, 2]):
        idx[:] = new
        want = np.zeros((2, 4))
        want[np.arange(2), new] = 2
        np.testing.assert_array_equal(sparse(x).toarray(), want)


def test_order_that_depends_on_values():
    sparse = jacobian(lambda x: x[np.argmax(x)] * x[:2], sparse=True)
    for x in (np.array([1.0, 2, 3]), np.array([3.0, 2, 1]), np.array([1.0, 5, 3])):
        want = jacobian(lambda x: x[np.argmax(x)] * x[:2])(x)
        np.testing.assert_allclose(sparse(x).toarray(), want)


def test_branches():
    sparse = jacobian(lambda x: x[1:] * 2.0 if x[0] > 0 else x[:-1] * x[1:], sparse=True)
    for first in (1.0, -1.0, 2.0, -2.0):
        x = np.array([first, 3.0, 4.0])
        want = jacobian(lambda x: x[1:] * 2.0 if x[0] > 0 else x[:-1] * x[1:])(x)
        np.testing.assert_array_equal(sparse(x).toarray(), want)


def residuals(cameras, points, weights, at_camera, at_point, features):
    """Bundle adjustment: camera = rotation(3), centre(3), focal, principal point(2), k1, k2."""
    c, x = cameras[at_camera], points[at_point]
    r, moved = c[:, :3], x - c[:, 3:6]
    squared = (r * r).sum(axis=1)
    theta = np.sqrt(np.where(squared > 0, squared, 1.0))
    v = r / theta[:, None]
    cross = np.cross(v, moved)
    along = (v * moved).sum(axis=1)
    cos, sin = np.cos(theta)[:, None], np.sin(theta)[:, None]
    turned = moved * cos + cross * sin + v * (along * (1 - np.cos(theta)))[:, None]
    z = np.where((squared > 0)[:, None], turned, moved + np.cross(r, moved))
    u = z[:, :2] / z[:, 2:]
    s = (u * u).sum(axis=1)
    bent = u * (1 + c[:, 9] * s + c[:, 10] * s * s)[:, None]
    pixel = bent * c[:, 6:7] + c[:, 7:9]
    error = weights[:, None] * (pixel - features)
    return np.concatenate([error.ravel(), 1 - weights * weights])


def test_bundle_adjustment(monkeypatch):
    n, m, p = 3, 7, 20
    cameras = RNG.normal(size=(n, 11)) * 0.3 + np.array([0, 0, 0, 0, 0, -5, 1, 0, 0, 0, 0])
    cameras[1, :3] = 0.0
    points, weights = RNG.normal(size=(m, 3)), RNG.uniform(0.5, 1, size=p)
    at_camera, at_point = RNG.integers(0, n, size=p), RNG.integers(0, m, size=p)
    rest = (at_camera, at_point, RNG.normal(size=(p, 2)))
    args = (cameras, points, weights, *rest)
    seen = count_sweeps(monkeypatch)
    J = jacobian(residuals, argnums=(0, 1, 2), sparse=True)(*args)
    # each coordinate knows its own coordinate of the principal point only
    assert J.shape == (3 * p, 11 * n + 3 * m + p) and J.nnz == 29 * p
    assert sum(seen) <= 3, "two residuals of an observation, and its weight"
    np.testing.assert_allclose(
        J.toarray(), flat_dense(residuals, (0, 1, 2), *args), rtol=1e-9, atol=1e-9
    )


# -- Hessians ------------------------------------------------------------------------------------


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def rosenbrock_hessian(x):
    n = len(x)
    H = np.zeros((n, n))
    i = np.arange(n - 1)
    H[i, i] = 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
    H[i + 1, i + 1] += 200
    H[i, i + 1] = H[i + 1, i] = -400 * x[:-1]
    return H


def test_rosenbrock(monkeypatch):
    seen = count_sweeps(monkeypatch)
    sparse = hessian(rosenbrock, sparse=True)
    for _ in range(3):
        x = RNG.normal(size=30)
        H = sparse(x)
        assert H.nnz == 88
        np.testing.assert_allclose(H.toarray(), rosenbrock_hessian(x), rtol=1e-12)
    assert max(seen) <= 2
    x = RNG.normal(size=100_000)
    H = sparse(x)
    assert H.nnz == 299_998
    np.testing.assert_allclose(H.diagonal(1), -400 * x[:-1], rtol=1e-12)


HESSIANS = {
    "diagonal": lambda x: np.sum(np.sin(x) * x),
    "arrow": lambda x: np.sum(x * x[0] * x),
    "pairs": lambda x: np.sum(x[::2] * x[1::2]) ** 1,
    "dense": lambda x: np.sum(x) ** 2,
    "linear": lambda x: np.sum(x * 3.0),
    "blocks": lambda x: np.sum(np.prod(x.reshape(-1, 2), axis=1) ** 2),
    "gather": lambda x: np.sum(x[np.array([0, 2, 2, 5])] ** 3 * x[np.array([1, 2, 3, 0])]),
    "scalar loop": lambda x: sum(x[i] * x[i + 1] * x[i + 1] for i in range(len(x) - 1)),
}


@pytest.mark.parametrize("name", HESSIANS)
def test_hessians(name):
    fun = HESSIANS[name]
    sparse = hessian(fun, sparse=True)
    for factor in (1.0, 2.0, 0.3):
        x = np.linspace(-1, 1.3, 6) * factor
        H = sparse(x)
        np.testing.assert_allclose(H.toarray(), hessian(fun)(x), rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(H.toarray(), H.toarray().T, rtol=1e-11, atol=1e-11)
    expected = {"diagonal": 6, "arrow": 16, "linear": 0, "dense": 36}
    if name in expected:
        assert H.nnz == expected[name]


def test_arrow_needs_few_sweeps(monkeypatch):
    """A column colouring would need as many as there are variables."""
    seen = count_sweeps(monkeypatch)
    n = 400
    H = hessian(lambda x: np.sum(x * x * x[0]), sparse=True)(RNG.normal(size=n))
    assert H.nnz == 3 * n - 2
    assert sum(seen) <= 4


def test_hessian_over_containers_and_several_arguments():
    def fun(p, q):
        return np.sum(p["a"] * q * q) * p["b"]

    p, q = {"a": RNG.normal(size=3), "b": 2.0}, RNG.normal(size=3)
    H = hessian(fun, argnums=(0, 1), sparse=True)(p, q).toarray()

    def flat(v):
        return fun({"a": v[:3], "b": v[3]}, v[4:])

    v = np.concatenate([p["a"], [p["b"]], q])
    np.testing.assert_allclose(H, hessian(flat)(v), rtol=1e-12, atol=1e-12)


# -- random structures -----------------------------------------------------------------------------


@st.composite
def programs(draw):
    """A random program over gathers, products and sums, as a list of steps."""
    n = draw(st.integers(2, 7))
    steps = []
    sizes = [n]
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["gather", "multiply", "scatter", "slice", "sum", "sin"]))
        a = draw(st.integers(0, len(sizes) - 1))
        if kind == "gather":
            k = draw(st.integers(1, 6))
            idx = draw(st.lists(st.integers(0, sizes[a] - 1), min_size=k, max_size=k))
            steps.append((kind, a, np.array(idx)))
            sizes.append(k)
        elif kind == "multiply":
            b = draw(st.integers(0, len(sizes) - 1))
            k = min(sizes[a], sizes[b])
            steps.append((kind, a, (b, k)))
            sizes.append(k)
        elif kind == "scatter":
            k = draw(st.integers(1, 6))
            idx = draw(st.lists(st.integers(0, k - 1), min_size=sizes[a], max_size=sizes[a]))
            steps.append((kind, a, (k, np.array(idx))))
            sizes.append(k)
        elif kind == "slice":
            start = draw(st.integers(0, sizes[a] - 1))
            steps.append((kind, a, start))
            sizes.append(len(range(start, sizes[a], 2)))
        elif kind == "sum":
            steps.append((kind, a, None))
            sizes.append(1)
        else:
            steps.append((kind, a, None))
            sizes.append(sizes[a])
    return n, steps


def run(steps, x):
    values = [x]
    for kind, a, extra in steps:
        v = values[a]
        if kind == "gather":
            values.append(v[extra])
        elif kind == "multiply":
            b, k = extra
            values.append(v[:k] * values[b][:k])
        elif kind == "scatter":
            k, idx = extra
            y = np.zeros(k)
            np.add.at(y, idx, v)
            values.append(y)
        elif kind == "slice":
            values.append(v[extra::2])
        elif kind == "sum":
            values.append(np.sum(v, keepdims=True))
        else:
            values.append(np.sin(v))
    return np.concatenate([values[-1], values[len(values) // 2]])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(programs())
def test_random_programs(program):
    n, steps = program
    x = np.linspace(0.3, 1.7, n)
    fun = lambda x: run(steps, x)  # noqa: E731
    dense = jacobian(fun)(x)
    for mode in MODES:
        J = jacobian(fun, mode=mode, sparse=True)(x)
        np.testing.assert_allclose(J.toarray(), dense, rtol=1e-11, atol=1e-12)
    total = lambda x: np.sum(fun(x) * x[0])  # noqa: E731
    H = hessian(total, sparse=True)(x)
    np.testing.assert_allclose(H.toarray(), hessian(total)(x), rtol=1e-10, atol=1e-11)


def written(x):
    y = np.zeros((x.shape[0], 4))
    y[:, 1:3] = x[:, :2] * x[:, 2:]
    y[:, 2] += x[:, 0]
    return np.concatenate([y[:, 1:], x * x[:, :1]], axis=1).T


def mixed(x):
    y = np.zeros(x.shape)
    y[1:] = x[:-1] * x[1:]
    return y


# program -> whether it treats the elements of the long axis alike
LANES = {
    "elementwise": (lambda x: np.sin(x) * x, True),
    "rows": (lambda x: np.sum(x * x, axis=1), True),
    "columns": (lambda x: np.sum(x * x, axis=0), False),
    "outer": (lambda x: x[:, :, None] * x[:, None, :], True),
    "other rows": (lambda x: x * x[::-1], True),
    "reshape": (lambda x: (x.reshape(-1, 3, 1) * 2.0).reshape(7, 3).T, True),
    "flat": (lambda x: x.ravel() * 2.0, True),
    "stack": (lambda x: np.stack([x[:, 0] * x[:, 1], np.exp(x[:, 2])], axis=1), True),
    "where": (lambda x: np.where(x > 0, x, np.arange(7.0)[:, None] * x[:, ::-1]), True),
    "written": (written, True),
    "mixed": (mixed, False),
    "mean": (lambda x: x - np.mean(x), False),
    "cumsum": (lambda x: np.cumsum(x, axis=1), False),
    "gather": (lambda x: x[np.array([1, 0, 2, 3, 4, 5, 6])] * x, True),
    "constant too": (lambda x: [x * 2.0, np.ones(7)], False),
}


@pytest.mark.parametrize("name", LANES)
def test_patterns_of_lanes(name, monkeypatch):
    """The pattern of one lane, spread out, is what a sweep over all of them finds."""
    fun, alike = LANES[name]
    monkeypatch.setattr(one_lane, "SHORTEST", 2)
    found = []

    def spy(tape, wrt, outputs):
        pattern = one_lane.lane_pattern(tape, wrt, outputs)
        found.append(pattern is not None)
        if pattern is not None:
            want = jacobian_pattern(tape, wrt, outputs, index_values(tape, wrt)[0])
            assert pattern.shape == want.shape and (pattern != want).nnz == 0
            assert pattern.nnz == want.nnz and pattern.has_canonical_format
        return pattern

    monkeypatch.setattr(api_sparse, "lane_pattern", spy)
    check(fun, RNG.normal(size=(7, 3)))
    assert any(found) == alike
    found.clear()
    total = lambda x: sum(np.sum(np.sin(y) * y) for y in [fun(x)])  # noqa: E731
    if name != "constant too":
        x = RNG.normal(size=(7, 3))
        H = hessian(total, sparse=True)(x).toarray()
        np.testing.assert_allclose(H, hessian(total)(x).reshape(21, 21), rtol=1e-10, atol=1e-11)


# -- refusals --------------------------------------------------------------------------------------


def test_refusals():
    sparse = jacobian(lambda x: x * 2.0, sparse=True)
    with pytest.raises(TraceError, match="sparse=False"):
        grad(lambda x: sparse(x).sum())(np.ones(2))
    with pytest.raises(TraceError, match="sparse=False"):
        vmap(lambda x: sparse(x))(np.ones((2, 2)))
    with pytest.raises(TypeError, match="one number"):
        hessian(lambda x: x * 2.0, sparse=True)(np.ones(2))
    with pytest.raises(TypeError, match="bool"):
        jacobian(lambda x: x > 0, sparse=True)(np.ones(2))


def test_results_are_independent():
    sparse = jacobian(lambda x: x * x, sparse=True)
    x = np.ones(3)
    first = sparse(x)
    first.indices[:] = 0
    first.data[:] = 7
    np.testing.assert_array_equal(sparse(x).toarray(), 2 * np.eye(3))


def cubes(x):
    return x**3


def test_it_can_be_pickled():
    sparse = pickle.loads(pickle.dumps(jacobian(cubes, sparse=True)))
    np.testing.assert_array_equal(sparse(np.ones(2)).toarray(), 3 * np.eye(2))


def test_decorator():
    @jittape.jacobian(sparse=True)
    def f(x):
        return x * x

    np.testing.assert_array_equal(f(np.ones(2)).toarray(), 2 * np.eye(2))
