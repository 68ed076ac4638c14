"""scan and checkpoint against plain Python loops, with and without stored carries."""

import tracemalloc
from math import sin

import numpy as np
import pytest

from jittape import checkpoint, config, grad, hessian, jacobian, jit, jvp, scan, trace, vmap
from jittape.errors import TraceError

RNG = np.random.default_rng(17)


def loop(f, init, xs, reverse=False):
    """What scan means."""
    carry, ys = init, []
    for x in xs[::-1] if reverse else xs:
        carry, y = f(carry, x)
        ys.append(y)
    return carry, np.stack(ys[::-1] if reverse else ys)


def step(carry, x):
    a, b = carry
    return (a + 0.1 * b * x, b - 0.1 * np.sin(a)), a * b * x


WEIGHT = np.cos(np.arange(7.0))


def losses(reverse=False):
    def make(run):
        def loss(a, b, xs):
            (p, q), ys = run((a, b), xs)
            return p * q * q + (ys * WEIGHT).sum() * p

        return loss

    return (
        make(lambda c, xs: scan(step, c, xs, reverse=reverse)),
        make(lambda c, xs: loop(step, c, xs, reverse)),
    )


ARGS = (1.0, 2.0, np.linspace(0.5, 1, 7))
# all carries kept; segments; segments of segments; a last segment that is shorter
BUDGETS = [1 << 27, 64, 40, 16]


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("reverse", [False, True])
def test_derivatives_to_second_order(budget, reverse, monkeypatch):
    monkeypatch.setattr(config, "loop_bytes", budget)
    scanned, plain = losses(reverse)
    np.testing.assert_allclose(scanned(*ARGS), plain(*ARGS), rtol=1e-14)
    every = (0, 1, 2)
    g = grad(scanned, argnums=every)
    for factor in (1.0, 0.9):
        args = tuple(x * factor for x in ARGS)
        for got, want in zip(g(*args), grad(plain, argnums=every)(*args), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12)
    tangents = (0.3, -0.2, RNG.normal(size=7))
    got = jvp(scanned, ARGS, tangents)
    np.testing.assert_allclose(got, jvp(plain, ARGS, tangents), rtol=1e-12)
    H, want_H = hessian(scanned, argnums=every)(*ARGS), hessian(plain, argnums=every)(*ARGS)
    for row, want_row in zip(H, want_H, strict=True):
        for got, want in zip(row, want_row, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-13)
    second = grad(lambda a: grad(scanned)(a, 2.0, ARGS[2]) * a)
    want = grad(lambda a: grad(plain)(a, 2.0, ARGS[2]) * a)
    np.testing.assert_allclose(second(1.0), want(1.0), rtol=1e-11)


@pytest.mark.parametrize("budget", BUDGETS)
def test_captured_values_arrays_and_counters(budget, monkeypatch):
    """Matrix bodies, a captured array and tracer, an integer counter, float32 beside float64."""
    monkeypatch.setattr(config, "loop_bytes", budget)
    A = RNG.normal(size=(3, 3)) * 0.3
    table = np.arange(10.0)

    def body(scale):
        def f(carry, x):
            h, k, small = carry
            new = np.tanh(A @ h * scale + x["u"] * table[2]) + 0.01 * np.float64(1) * k
            return (new, k + 1, small * np.float32(0.5)), new[0] * new * k

        return f

    def start(h):
        return h, 0, np.float32(3.0)

    xs = RNG.normal(size=(6, 3))

    def scanned(h, scale, xs):
        (h, k, small), ys = scan(body(scale), start(h), {"u": xs})
        return h.sum() * k + (ys * xs).sum() + small

    def plain(h, scale, xs):
        (h, k, small), ys = loop(body(scale), start(h), [{"u": x} for x in xs])
        return h.sum() * k + (ys * xs).sum() + small

    args = (RNG.normal(size=3), 0.7, xs)
    np.testing.assert_allclose(scanned(*args), plain(*args), rtol=1e-13)
    np.testing.assert_allclose(jit(scanned)(*args), plain(*args), rtol=1e-13)
    got = grad(scanned, argnums=(0, 1, 2))(*args)
    for a, b in zip(got, grad(plain, argnums=(0, 1, 2))(*args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)
    H, want = hessian(scanned, argnums=1)(*args), hessian(plain, argnums=1)(*args)
    np.testing.assert_allclose(H, want, rtol=1e-10)


def test_types_of_results():
    (a, k), ys = scan(lambda c, x: ((c[0] * x, c[1] + 1), c[1] > 1), (np.float32(2), 0), np.ones(3))
    assert np.asarray(a).dtype == np.float64, "float32 times float64"
    assert k == 3 and np.asarray(k).dtype == np.int64
    np.testing.assert_array_equal(ys, [False, False, True])
    assert np.asarray(ys).dtype == np.bool_
    assert type(k) is np.int64 and type(a) is np.float64
    carry, ys = scan(lambda c, x: (c * 2, None), np.arange(3), length=4)
    assert ys is None
    np.testing.assert_array_equal(carry, 16 * np.arange(3))
    big = 2**62 + 1
    carry, _ = scan(lambda c, _: (c + 1, None), big, length=2)
    assert carry == big + 2, "integers are not squeezed through floats"


def test_complex_carry():
    def loss(run):
        def f(w):
            z, _ = run(lambda z, x: (z * np.exp(1j * w) + x, z), 1.0 + 0j, np.arange(3.0))
            return (z * z.conjugate()).real

        return f

    plain = loss(loop)
    np.testing.assert_allclose(grad(loss(scan))(0.4), grad(plain)(0.4), rtol=1e-12)


@pytest.mark.parametrize("length", [0, 1, 2])
def test_short_loops(length):
    f = lambda c, _: (c * c, c)  # noqa: E731
    total = lambda c: scan(f, c, length=length)[0] * 3.0  # noqa: E731
    value = 1.1 ** (2**length)
    np.testing.assert_allclose(total(1.1), 3 * value, rtol=1e-14)
    np.testing.assert_allclose(grad(total)(1.1), 3 * 2**length * value / 1.1, rtol=1e-13)
    assert scan(f, 1.1, length=length)[1].shape == (length,)


def test_vmap_and_nesting():
    scanned, plain = losses()
    a = np.array([0.5, 1.0, 1.5])
    want = [plain(v, ARGS[1], ARGS[2]) for v in a]
    np.testing.assert_allclose(vmap(scanned, (0, None, None))(a, *ARGS[1:]), want, rtol=1e-13)
    want = [grad(plain)(v, ARGS[1], ARGS[2]) for v in a]
    np.testing.assert_allclose(vmap(grad(scanned), (0, None, None))(a, *ARGS[1:]), want, rtol=1e-12)
    xs = RNG.normal(size=(3, 7))
    want = np.stack([grad(plain, argnums=2)(1.0, 2.0, x) for x in xs])
    got = vmap(grad(scanned, argnums=2), (None, None, 0))(1.0, 2.0, xs)
    np.testing.assert_allclose(got, want, rtol=1e-12)

    def table(run):
        def f(c):
            inner = lambda c, x: run(lambda d, y: (d * y + c * x, d), c, ARGS[2])  # noqa: E731
            return run(lambda c, x: (inner(c, x)[0], inner(c, x)[1].sum()), c, ARGS[2][:3])[1].sum()

        return f

    np.testing.assert_allclose(grad(table(scan))(0.3), grad(table(loop))(0.3), rtol=1e-12)
    batched = lambda c: scan(lambda c, x: (c, vmap(lambda t: t * c * x)(a)), c, ARGS[2])  # noqa: E731
    np.testing.assert_allclose(batched(2.0)[1], 2.0 * np.outer(ARGS[2], a), rtol=1e-14)


def test_jacobian_forward_and_reverse():
    f = lambda x: scan(lambda c, y: (c * y + x, c.sum()), x, np.ones(4) * 0.5)[1]  # noqa: E731
    forward, reverse = jacobian(f, mode="forward"), jacobian(f, mode="reverse")
    x = RNG.normal(size=2)
    want = np.cumsum(0.5 ** np.arange(4))[:, None] * np.ones(2)
    np.testing.assert_allclose(forward(x), want, rtol=1e-14)
    np.testing.assert_allclose(reverse(x), want, rtol=1e-14)


def test_captured_array_is_read_anew():
    table = np.array([2.0])
    f = jit(lambda x: scan(lambda c, _: (c * table[0], None), x, length=2)[0])
    for value in (2.0, 2.0, 3.0):
        table[0] = value
        assert f(1.0) == value**2


def test_names_from_math_in_the_body():
    f = lambda run: lambda x: run(lambda c, y: (sin(c) * y, c), x, ARGS[2])[0]  # noqa: E731
    np.testing.assert_allclose(f(scan)(0.5), f(loop)(0.5), rtol=1e-14)
    np.testing.assert_allclose(grad(f(scan))(0.5), grad(f(loop))(0.5), rtol=1e-13)
    kept = checkpoint(lambda x: sin(x) * x)
    np.testing.assert_allclose(grad(lambda x: kept(kept(x)))(0.5), grad(twice)(0.5), rtol=1e-13)


def twice(x):
    y = sin(x) * x
    return sin(y) * y


def test_host_ops_in_the_body():
    """LAPACK is called from Python: the loop leaves compiled code for it."""
    A = np.eye(2) * 2.0 + 0.1
    f = lambda run: lambda b: run(lambda c, x: (np.linalg.solve(A, c) * x, c), b, ARGS[2])[0].sum()  # noqa: E731
    np.testing.assert_allclose(grad(f(scan))(np.ones(2)), grad(f(loop))(np.ones(2)), rtol=1e-12)


@pytest.mark.parametrize("outer", [lambda f: f, jit, grad])
def test_writes_in_the_body(outer):
    def total(run):
        def f(x):
            def step(c, k):
                y = np.zeros(3)
                y[1:] = c[:-1] * k
                y[0] += c.sum()
                return y, c[0]

            c, ys = run(step, x, ARGS[2])
            return (c * c).sum() + ys.sum()

        return f

    x = np.array([0.3, 0.2, 0.1])
    np.testing.assert_allclose(outer(total(scan))(x), outer(total(loop))(x), rtol=1e-12)


def test_the_tape_does_not_grow_with_the_length():
    def f(n):
        return trace(grad(lambda x: scan(lambda c, _: (np.sin(c), None), x, length=n)[0]))(1.0)

    assert len(f(10)) == len(f(100_000))


def test_a_million_steps_in_bounded_memory(monkeypatch):
    """Backward Euler's harmonic oscillator, against its closed form."""
    monkeypatch.setattr(config, "loop_bytes", 1 << 20)
    n, h = 1_000_000, 1e-6

    def final(state, w):
        def f(c, _):
            x, v = c
            d = 1.0 / (1.0 + h * h * w * w)
            return ((x + h * v) * d, (v - h * w * w * x) * d), None

        (x, v), _ = scan(f, (state[0], state[1]), length=n)
        return x

    g = grad(final)
    state = np.array([1.0, 0.5])
    got = g(state, 2.0)
    # (1 - i h w)^-n, of which x(0) gets the real part and v(0) the imaginary part over w
    z = np.exp(-n * np.log(1 - 2j * h))
    np.testing.assert_allclose(got, [z.real, z.imag / 2], rtol=1e-9)
    tracemalloc.start()
    g(state * 1.1, 2.0)
    g(state * 1.2, 2.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20, "a carry of 16 bytes at each step would be 16 MB"


def test_progress():
    seen = []
    f = lambda x: scan(  # noqa: E731
        lambda c, _: (c * 1.01, None), x, length=1000, progress=lambda k, n: seen.append((k, n))
    )[0]
    grad(f)(1.0)
    assert seen[-1] == (1000, 1000) and all(n == 1000 for _, n in seen)
    assert 100 <= len(seen) <= 1000


def test_refusals():
    with pytest.raises(TraceError, match=r"test_scan.py:\d+.*np\.where"):
        scan(lambda c, x: (c if c > 0 else -c, None), 1.0, length=2)
    with pytest.raises(TypeError, match="pair"):
        scan(lambda c, x: c, 1.0, length=2)
    with pytest.raises(TypeError, match="shape"):
        scan(lambda c, x: (np.stack([c, c]), None), 1.0, length=2)
    with pytest.raises(TypeError, match="structure"):
        scan(lambda c, x: ((c, c), None), 1.0, length=2)
    with pytest.raises(ValueError, match="length"):
        scan(lambda c, x: (c, None), 1.0)
    with pytest.raises(ValueError, match="lengths differ"):
        scan(lambda c, x: (c, None), 1.0, (np.ones(3), np.ones(4)))
    with pytest.raises(IndexError):
        scan(lambda c, x: (c + table_of(c)[x], None), np.ones(2), np.array([0, 5]))


def table_of(c):
    return c * 2.0


# -- checkpoint ------------------------------------------------------------------------------------


def heavy(x, k):
    for _ in range(k):
        x = np.sin(x) * 1.1 + x * 0.1
    return x


def test_checkpoint_is_the_function():
    remade = checkpoint(heavy)
    x = RNG.normal(size=5)
    np.testing.assert_array_equal(remade(x, 3), heavy(x, 3))
    loss = lambda f: lambda x: (f(f(x, 3), 2) * x).sum()  # noqa: E731
    np.testing.assert_allclose(grad(loss(remade))(x), grad(loss(heavy))(x), rtol=1e-13)
    np.testing.assert_allclose(hessian(loss(remade))(x), hessian(loss(heavy))(x), rtol=1e-11)
    np.testing.assert_allclose(
        vmap(grad(loss(remade)))(np.stack([x, -x])), vmap(grad(loss(heavy)))(np.stack([x, -x]))
    )


def test_checkpoint_branches_captures_and_containers():
    scale = np.array([2.0, 3.0])

    @checkpoint
    def f(p, flag, name="n"):
        y = p["a"] * scale if p["a"][0] > 0 else -p["a"]
        return {"y": y, "n": name, "b": p["b"] * y.sum()}

    def total(p):
        out = f(p, True)
        assert out["n"] == "n"
        return out["y"].sum() * out["b"]

    g = grad(total)
    for sign in (1.0, -1.0, 2.0, -2.0):
        p = {"a": np.array([sign, 1.0]), "b": 3.0}
        w = scale if sign > 0 else -np.ones(2)
        s = (p["a"] * w).sum()
        np.testing.assert_allclose(g(p)["a"], 2 * s * 3.0 * w, rtol=1e-13)
        np.testing.assert_allclose(g(p)["b"], s * s, rtol=1e-13)


def test_checkpoint_of_a_captured_tracer():
    g = grad(lambda c: checkpoint(lambda x: x * c * c)(2.0 * c))
    np.testing.assert_allclose(g(3.0), 6 * 9.0)


def test_checkpoint_keeps_less():
    """Ten stages over a large array: only their results live through the sweep."""
    from jittape.program import compile_program

    n = 10_000

    def stages(f):
        def loss(x):
            for _ in range(10):
                x = f(x, 6)
            return x.sum()

        return loss

    x = RNG.normal(size=n)
    kept = compile_program(trace(grad(stages(checkpoint(heavy))))(x)).peak
    assert kept < 30 * 8 * n, "one array per stage, not one per operation"
