"""The reverse and forward passes: well-formed tapes, golden text, and sweeps of any nesting."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import jittape
from jittape.evaluate import evaluate
from jittape.passes.differentiate import forward, reverse
from jittape.passes.verify import verify

PROGRAMS = {
    "elementwise": (lambda x, y: np.sin(x * y + 1.5) * np.exp(-x * x) / (y + 3.0), (0.3, 0.7)),
    "passed on": (lambda x, y: ((x + y) + x) + y, (0.3, 0.7)),
    "many uses": (lambda x, y: x * y + x + x * x * y + y / x + x, (0.3, 0.7)),
    "one unused": (lambda x, y: x * x, (0.3, 0.7)),
    "identity": (lambda x, y: y, (0.3, 0.7)),
    "broadcast": (lambda x, y: x * y + y, (np.arange(3.0)[:, None], np.array([0.5, 1.5]))),
    "max": (lambda x, y: np.maximum(x, y) * np.where(x > y, x, y), (0.9, 0.7)),
    "mixed dtypes": (lambda x, y: x * y, (np.float32(0.5), np.float64(0.25))),
}


def directional(fun, args, direction, h=1e-6):
    up = fun(*[a + h * d for a, d in zip(args, direction, strict=True)])
    down = fun(*[a - h * d for a, d in zip(args, direction, strict=True)])
    return (up - down) / (2 * h)


@pytest.mark.parametrize("name", PROGRAMS)
def test_sweeps_agree_and_are_well_formed(name):
    fun, args = PROGRAMS[name]
    tape = jittape.trace(fun)(*args)
    backward = reverse(tape, [0, 1])
    along = forward(tape, [0, 1])
    for t in (tape, backward, along, reverse(backward, [0, 1]), forward(backward, [0, 1])):
        verify(t)

    rng = np.random.default_rng(0)
    arrays = [np.asarray(a) for a in args]
    direction = [rng.standard_normal(a.shape).astype(a.dtype) for a in arrays]
    out = evaluate(tape, arrays)[0]
    weight = rng.standard_normal(out.shape).astype(out.dtype)
    _, tangent = evaluate(along, [*arrays, *direction])
    _, *cotangents = evaluate(backward, [*arrays, weight])
    for c, a in zip(cotangents, arrays, strict=True):
        assert (c.shape, c.dtype) == (a.shape, a.dtype)
    pulled = sum(np.sum(c * d) for c, d in zip(cotangents, direction, strict=True))
    loose = any(a.dtype == np.float32 for a in arrays)
    assert_allclose(np.sum(weight * tangent), pulled, rtol=1e-5 if loose else 1e-13)
    if not loose:
        expected = directional(fun, arrays, direction)
        assert_allclose(tangent, expected, rtol=1e-7, atol=1e-9)


def test_transposition_gives_forward_mode():
    """An op without a jvp rule is differentiated forward by transposing its vjp."""
    from jittape.ops.product import matmul

    rule, matmul.jvp = matmul.jvp, None
    try:
        a, b = np.arange(6.0).reshape(2, 3), np.arange(11.0, 14.0).reshape(3, 1)
        tape = jittape.trace(lambda a, b: np.sin(a) @ b)(a, b)
        sig = next(tape.signature(i) for i in range(len(tape)) if tape.signature(i).op is matmul)
        sig.templates.clear()
        out, tangent = evaluate(forward(tape, [0, 1]), [a, b, a + 1, b * 2])
        assert_allclose(tangent, (np.cos(a) * (a + 1)) @ b + np.sin(a) @ (b * 2), rtol=1e-13)
    finally:
        matmul.jvp = rule
        sig.templates.clear()


def test_reverse_is_short():
    """Golden: nothing is recorded that the rule does not need."""
    tape = jittape.trace(lambda x, y: x * y + x)(1.0, 2.0)
    ops = [s.op.name for s in map(reverse(tape, [0]).signature, range(4))]
    assert ops == ["multiply", "add", "amul", "add"]


def test_long_scalar_tape():
    """10^5 instructions: array code lays out the reverse sweep; the adjoints stay exact."""

    def f(x, y):
        for _ in range(25_000):
            x = x - y * 0.001
            y = y + x * 0.001
        return x * y

    def closed(x, y):  # forward mode by hand
        dx, dy = 1.0, 0.0
        for _ in range(25_000):
            x, dx = x - y * 0.001, dx - dy * 0.001
            y, dy = y + x * 0.001, dy + dx * 0.001
        return x * y, dx * y + x * dy

    value, gradient = jittape.value_and_grad(f)(0.3, 0.2)
    x, dx = closed(0.3, 0.2)
    assert_allclose(value, x, rtol=1e-12)
    assert_allclose(gradient, dx, rtol=1e-9)


def test_gradient_of_gradient_of_gradient():
    third = jittape.grad(jittape.grad(jittape.grad(lambda x: np.sin(x) * x)))
    x = 1.1
    assert_allclose(third(x), -3 * np.sin(x) - x * np.cos(x), rtol=1e-12)


def test_inner_gradient_holds_outer_tracer():
    f = jittape.grad(lambda x: x * jittape.grad(lambda y: x * y * y)(2.0))
    assert_allclose(f(1.5), 12.0)
    assert_allclose(f(2.5), 20.0)


def test_zero_adjoint_annihilates_in_both_modes():
    def f(x):
        return np.where(x > 0, np.log(x), 0.0)

    assert jittape.grad(f)(0.0) == 0.0
    assert jittape.jvp(f, (0.0,), (1.0,))[1] == 0.0
    assert jittape.grad(jittape.grad(f))(0.0) == 0.0


def test_errors_name_argument_line_and_remedy():
    with pytest.raises(
        TypeError, match=r"test_differentiate.py:\d+: argument 0 .* bool .* argnums"
    ):
        jittape.grad(lambda x: x)(True)
    with pytest.raises(TypeError, match=r"test_differentiate.py:\d+: .* shape \(3,\).* jacobian"):
        jittape.grad(lambda x: x)(np.ones(3))
    with pytest.raises(TypeError, match="complex128"):
        jittape.grad(lambda x: x * 1j)(1.0)
    with pytest.raises(TypeError, match="argument 2, .* 1 positional"):
        jittape.grad(lambda x: x, argnums=2)(1.0)
