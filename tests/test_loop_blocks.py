"""Loops in blocks (passes/fission.py), against the same loops step by step and unrolled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jittape
from jittape import tree
from jittape.api import loop_blocks
from jittape.execute import blocks
from jittape.passes import fission

N = 61


@pytest.fixture
def planned(monkeypatch):
    """Every loop in blocks from its first sweep on, where it can be; and how many blocks there were
    of each kind."""
    monkeypatch.setattr(loop_blocks, "PLANNING", -1.0)
    monkeypatch.setattr(loop_blocks, "PER_LOOP", -1e12)
    monkeypatch.setattr(fission, "GAIN", -1e9)  # also where it does not pay
    monkeypatch.setattr(loop_blocks, "MOST", 16)  # several blocks, and steps that fill none
    seen = {"core": 0, "affine": 0, "not finite": 0}
    call = blocks._Call
    core, by_step, sweep = call.core, call.step_by_step, call.sweep

    def counted_core(self, *args):
        seen["core"] += 1
        return core(self, *args)

    def counted_by_step(self, k):
        seen["not finite"] += 1
        return by_step(self, k)

    def counted_sweep(self):
        before = seen["not finite"]
        found = sweep(self)
        if self.plan.numbers:
            seen["affine"] += self.job.n // self.plan.size - (seen["not finite"] - before)
        return found

    monkeypatch.setattr(call, "core", counted_core)
    monkeypatch.setattr(call, "step_by_step", counted_by_step)
    monkeypatch.setattr(call, "sweep", counted_sweep)
    return seen


def arrays(*shapes, seed=0, scale=0.5):
    rng = np.random.default_rng(seed)
    return tuple(scale * rng.normal(size=s) for s in shapes)


def spring(p, c, x):
    """Two numbers, affine backward."""
    a, u = c
    u = u + 0.1 * (x - p[0] * a - p[1] * a * a * a)
    return (a + 0.1 * u, u), a * u * p[2]


def rnn(p, c, x):
    w, v, b = p
    c = np.tanh(w @ c + v @ x + b)
    return c, np.sum(c**2)


def batch_rnn(p, c, x):
    w, v, b = p
    c = np.tanh(c @ w.T + x @ v.T + b)
    return c, np.mean(np.exp(c) @ b)


def lorenz(p, c, x):
    d = np.array([p[0] * (c[1] - c[0]), c[0] * (p[1] - c[2]) - c[1], c[0] * c[1] - p[2] * c[2]])
    return c + 0.01 * d + 0.01 * x, c[0] * x[1]


def filtered(p, c, x):
    """Affine forward, too."""
    y = p[0] * c[0] + p[1] * c[1] + x
    return (y, c[0]), y * x


def turned(p, c, x):
    """Affine with coefficients that are all literals."""
    c = np.array([[0.8, -0.6], [0.6, 0.8]]) @ c
    return c, c[0] * x * p[0]


def accumulated(p, c, x):
    """A number that others only add to, one that nothing changes, one that rows replace."""
    total, same, last, y = c
    y = np.sin(y * p[0]) + same
    return (total - y * x + last, same, x * p[1], y), np.exp(x)


def matrices(p, c, x):
    a = np.eye(3) + 0.1 * x * p[0]
    return np.linalg.solve(a, c @ p[0]), np.linalg.det(a) + c[0, 0]


def logs(p, c, x):
    c = np.log(np.sum(np.exp(c[:, None] + p[0]), axis=0)) + x
    return c - np.max(c), np.max(c)


CASES = {
    "spring": (spring, arrays(3)[0], arrays((), ()), arrays((N,))[0]),
    "rnn": (rnn, arrays((5, 5), (5, 4), 5), arrays(5)[0], arrays((N, 4))[0]),
    "batch_rnn": (batch_rnn, arrays((5, 5), (5, 4), 5), arrays((3, 5))[0], arrays((N, 3, 4))[0]),
    "lorenz": (lorenz, arrays(3)[0], arrays(3)[0], arrays((N, 3))[0]),
    "filtered": (filtered, arrays((), ()), arrays((), ()), arrays((N,))[0]),
    "turned": (turned, arrays(1)[0], arrays(2)[0], arrays((N,))[0]),
    "accumulated": (accumulated, arrays((), ()), arrays((), (), (), ()), arrays((N,))[0]),
    "matrices": (matrices, arrays((3, 3)), arrays((3, 3))[0], arrays((N,))[0]),
    "logs": (logs, arrays((4, 4)), arrays(4)[0], arrays((N, 4))[0]),
}  # fmt: skip
AFFINE = {"spring", "lorenz", "filtered", "turned"}  # backward


def by_scan(step, reverse=False):
    def loss(p, c, xs):
        c, ys = jittape.scan(lambda c, x: step(p, c, x), c, xs, reverse=reverse)
        return np.sum(ys * np.arange(1.0, len(xs) + 1)) + sum(np.sum(x * x) for x in leaves(c))

    return loss


def by_loop(step, reverse=False):
    def loss(p, c, xs):
        n = len(xs)
        total = 0.0
        for k in reversed(range(n)) if reverse else range(n):
            c, y = step(p, c, xs[k])
            total = total + y * (k + 1.0)
        return total + sum(np.sum(x * x) for x in leaves(c))

    return loss


def leaves(x):
    found = []
    tree.flatten(x, found)
    return found


def agree(have, want, rtol=1e-10):
    scale = max(np.max(np.abs(y), initial=0.0) for y in leaves(want))
    for x, y in zip(leaves(have), leaves(want), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-3 * rtol * scale)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reverse", [False, True])
def test_gradient(planned, name, reverse):
    step, *args = CASES[name]
    f = jittape.value_and_grad(by_scan(step, reverse), argnums=(0, 1, 2))
    agree(f(*args), jittape.value_and_grad(by_loop(step, reverse), argnums=(0, 1, 2))(*args))
    assert planned["core"] + planned["affine"] > 2
    assert planned["affine"] or name not in AFFINE
    fresh = tree.unflatten(
        (structure := tree.flatten(tuple(args), [])), [1.1 * x for x in leaves(tuple(args))]
    )
    assert structure is not None
    agree(f(*fresh), jittape.value_and_grad(by_loop(step, reverse), argnums=(0, 1, 2))(*fresh))


@pytest.mark.parametrize("name", CASES)
def test_forward_mode_and_second_derivatives(planned, name):
    step, p, c, xs = CASES[name]
    few = xs[:20]
    t = tree.unflatten(tree.flatten(p, []), [np.cos(x + 1.0) for x in leaves(p)])

    def slope(loss):
        return jittape.jvp(lambda p: jittape.grad(loss)(p, c, few), (p,), (t,))

    agree(slope(by_scan(step)), slope(by_loop(step)), 1e-8)


@pytest.mark.parametrize("name", CASES)
def test_many_at_once(planned, name):
    step, p, c, xs = CASES[name]
    rows = np.stack([xs, 0.5 * xs, -xs])
    g = jittape.grad(by_scan(step), argnums=(0, 2))
    agree(
        jittape.vmap(lambda x: g(p, c, x))(rows),
        jittape.vmap(lambda x: jittape.grad(by_loop(step), argnums=(0, 2))(p, c, x))(rows),
    )


def test_what_is_not_finite_goes_step_by_step(planned):
    """A zero adjoint times an infinite partial is zero, which no matrix of partials shows."""

    def loss(c, xs):
        def step(c, x):
            a, b = c
            return (0.9 * a + x, b + np.where(x > 0.0, np.sqrt(np.abs(x)), 0.0) * 0.0 + a), None

        (a, b), _ = jittape.scan(step, c, xs)
        return a + b

    xs = np.where(np.arange(N) % 7 == 0, 0.0, 1.0)
    g = jittape.grad(loss, argnums=(0, 1))((0.5, 0.25), xs)
    assert np.isfinite(np.concatenate([np.ravel(x) for x in leaves(g)])).all()

    def grows(c, xs):
        return np.sum(jittape.scan(lambda c, x: (c * x, c), c, xs)[1])

    big = np.full(N, 1e12)
    with np.errstate(all="ignore"):
        have = jittape.value_and_grad(grows, argnums=1)(1.0, big)
        want = np.sum(np.cumprod(np.r_[1.0, big[:-1]]))
    assert have[0] == want == np.inf and planned["not finite"] > 0


def test_integers_float32_and_complex(planned):
    def step(c, x):
        k, a, z = c
        a = a * np.float32(0.5) + np.sin(x).astype(np.float32)
        return (k + 1, a, z * np.exp(1j * x) + a), (k * a, np.abs(z))

    def by(scan):
        def loss(xs):
            (k, a, z), (u, v) = scan(step, (3, np.float32(0.25), 0.5 + 0.25j), xs)
            return np.sum(u) + np.sum(v) + a + k + np.abs(z)

        return loss

    def unrolled(step, c, xs):
        ys = []
        for x in xs:
            c, y = step(c, x)
            ys.append(y)
        return c, [np.stack(y) for y in zip(*ys, strict=True)]

    xs = arrays((N,))[0]
    agree(
        jittape.value_and_grad(by(jittape.scan))(xs),
        jittape.value_and_grad(by(unrolled))(xs),
        rtol=1e-5,
    )


def test_progress_and_bounded_memory(planned):
    step, p, c, xs = CASES["spring"]
    want = jittape.grad(by_loop(step), argnums=(0, 1, 2))(p, c, xs)
    seen = []

    def loss(p, c, xs):
        c, ys = jittape.scan(
            lambda c, x: step(p, c, x), c, xs, progress=lambda done, n: seen.append((done, n))
        )
        return np.sum(ys * np.arange(1.0, N + 1)) + sum(np.sum(x * x) for x in c)

    agree(jittape.grad(loss, argnums=(0, 1, 2))(p, c, xs), want)
    assert seen[-1] == (N, N) and seen[0][0] < N
    for kept in (2, 5, 20):
        with jittape.config.override(loop_bytes=16 * kept):
            agree(jittape.grad(by_scan(step), argnums=(0, 1, 2))(p, c, xs), want)


def test_bit_exact_programs_are_swept_step_by_step(planned):
    step, *args = CASES["rnn"]
    with jittape.config.override(bit_exact=True):
        jittape.grad(by_scan(step))(*args)
    assert not any(planned.values())


UNARY = [np.sin, np.tanh, np.square, lambda x: 0.5 * x, lambda x: np.exp(-x * x)]
BINARY = [np.add, np.subtract, np.multiply, np.maximum, lambda x, y: x / (2.0 + y * y)]


@st.composite
def steps(draw):
    """A step of random ops on numbers and vectors: (step, shape of each carry)."""
    n = draw(st.integers(1, 3))
    shape = draw(st.sampled_from([(), (2,), (7,)]))
    count = draw(st.integers(2, 9))
    picks = [
        (draw(st.integers(0, 9)), draw(st.integers(0, 50)), draw(st.integers(0, 50)))
        for _ in range(count)
    ]
    outs = [draw(st.integers(0, 50)) for _ in range(n + 1)]
    kinds = [draw(st.sampled_from(["new", "add", "same"])) for _ in range(n)]

    def step(p, c, x):
        values = [x, p[0], 0.3 * x + p[1], *c]
        for which, i, j in picks:
            a, b = values[i % len(values)], values[j % len(values)]
            values.append(UNARY[which](a) if which < 5 else BINARY[which - 5](a, b))
        new = []
        for k, (kind, old) in enumerate(zip(kinds, c, strict=True)):
            value = values[outs[k] % len(values)] + np.zeros(shape)
            new.append({"new": 0.3 * value, "add": old + 0.1 * value, "same": old}[kind])
        return tuple(new), np.sum(values[outs[n] % len(values)])

    return step, [shape] * n


@settings(max_examples=25, deadline=None)
@given(steps(), st.booleans())
def test_random_steps(example, reverse):
    step, shapes = example
    args = arrays((), ()), arrays(*shapes, seed=1), arrays((19, *shapes[0]), seed=2)[0]
    want = jittape.value_and_grad(by_loop(step, reverse), argnums=(0, 1, 2))(*args)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop_blocks, "PLANNING", -1.0)
        patch.setattr(loop_blocks, "PER_LOOP", -1e12)
        patch.setattr(loop_blocks, "MOST", 8)
        patch.setattr(fission, "GAIN", -1e9)
        have = jittape.value_and_grad(by_scan(step, reverse), argnums=(0, 1, 2))(*args)
    agree(have, want, 1e-9)
