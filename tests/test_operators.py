"""Python's operators, ndarray's methods and ufunc keywords on traced values."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest
from oracle import check, check_value

import jittape
from jittape.errors import TraceError

X = np.array([0.55, -1.27, 2.3])
I = np.array([5, 3, 8])  # noqa: E741
BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne, divmod,
]  # fmt: skip


@pytest.mark.parametrize("op", BINARY, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "other", [0.75, 2, np.float64(0.75), np.array([1.5, 0.75, 4.0]), np.float32(0.5), True],
    ids=["float", "int", "float64", "array", "float32", "bool"],
)  # fmt: skip
def test_binary_operators_with_constants_on_both_sides(op, other):
    check(lambda x: op(x, other), X, order=1)
    check(lambda x: op(other, x), X, order=1)


@pytest.mark.parametrize("op", BINARY, ids=lambda f: f.__name__)
def test_binary_operators_of_traced_scalars(op):
    check(lambda x, y: op(x, y), 2.3, 0.9, order=1)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, -2, 0.5, 2.0, 1.5, np.float64(2.0), -0.5])
def test_powers(exponent):
    check(lambda x: x**exponent, np.array([0.5, 1.25, 2.0]))
    check(lambda x: x**exponent, 1.7)
    check(lambda x: x**exponent, np.array([0.5, 2.0], np.float32), order=1)


def test_powers_of_numbers_and_arrays():
    check(lambda x: 2.0**x, X)
    check(lambda x: 2**x, X)
    check(lambda x, y: x**y, np.array([0.5, 2.0]), np.array([1.5, -0.5]))
    check(lambda x: np.array([2.0, 3.0]) ** x, np.array([1.5, 0.5]))


def test_integer_and_bool_operators():
    for op in (operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift):
        check_value(lambda i, op=op: op(i, np.array([1, 2, 0])), I)
        check_value(lambda i, op=op: op(3, i), I)
    check_value(lambda i: ~i, I)
    check_value(lambda i: i**2, I)
    check_value(lambda i: i // 2 + i % 3, I)
    check_value(lambda x: ~(x > 0) | (x < -1) ^ (x == 2.0) & True, X)


def test_unary_operators():
    check(lambda x: -x + abs(x) * (+x), X)
    check_value(lambda i: -i + abs(i), I)


def test_python_rounding_gives_integers():
    f = jittape.jit(lambda x: (math.floor(x), math.ceil(x), math.trunc(x), round(x)))
    for x in (1.5, -2.5, 3.0, -0.25):
        got = f(x)
        assert [int(v) for v in got] == [math.floor(x), math.ceil(x), math.trunc(x), round(x)]
        assert all(np.asarray(v).dtype == np.int64 for v in got)
    assert jittape.jit(lambda x: round(x, 1))(2.36) == 2.4
    assert jittape.grad(lambda x: x * math.floor(x))(2.5) == 2.0


def test_weak_python_numbers_do_not_widen():
    x = np.ones(2, np.float32)
    assert jittape.jit(lambda x: x * 2.0 + 1)(x).dtype == np.float32
    assert jittape.jit(lambda x: np.maximum(x, 0.5) / 3)(x).dtype == np.float32
    assert jittape.jit(lambda x: x * np.float64(2.0))(x).dtype == np.float64
    assert jittape.jit(lambda x: np.where(x > 0, x, 0.0))(x).dtype == np.float32


METHODS = {
    "sum": lambda x: x.sum() + x.sum(axis=0).sum() + x.sum(1, keepdims=True).sum(),
    "mean": lambda x: x.mean(axis=-1),
    "prod": lambda x: x.prod(axis=0),
    "var": lambda x: x.var(axis=0, ddof=1),
    "std": lambda x: x.std(axis=(0, 1)),
    "max": lambda x: x.max(axis=1) - x.min(),
    "cumsum": lambda x: x.cumsum(axis=1) + x.cumsum().reshape(2, 3),
    "cumprod": lambda x: x.cumprod(axis=0),
    "clip": lambda x: x.clip(-0.5, 0.75) + x.clip(max=0.2),
    "round": lambda x: x.round(1) + x,
    "conj": lambda x: x.conj() + x.conjugate(),
    "real": lambda x: x.real + x.imag,
    "astype": lambda x: x.astype(np.float32).astype(float),
    "item": lambda x: x.item(3) * x.item((0, 1)),
    "dot": lambda x: x.dot(x.T),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    x = np.array([[0.3, -1.2, 0.9], [0.5, 1.6, -0.7]])
    check(METHODS[name], x, rtol=2e-3 if name == "astype" else None, value_rtol=1e-13)


def test_logical_and_positional_methods():
    x = np.array([[0.3, -1.2, 0.0], [0.5, 1.6, -0.7]])
    check_value(lambda x: (x.any(), x.all(axis=1), (x > 0).sum(axis=0)), x)
    check_value(lambda x: (x.argmax(), x.argmin(axis=1)), x)


def test_contains_is_a_guard():
    f = jittape.grad(lambda x: np.sum(x) if 2.0 in x else np.sum(x * 3))
    assert f(np.array([1.0, 2.0])).tolist() == [1.0, 1.0]
    assert f(np.array([1.0, 3.0])).tolist() == [3.0, 3.0]


def test_complex_methods():
    z = np.array([1.0 + 2.0j, -0.5 + 0.25j])
    check(lambda z: z.real * z.imag + abs(z) + np.angle(z), z)
    check(lambda x, y: abs(np.exp(x + 1j * y)), np.array([0.2, 0.3]), np.array([1.0, -0.4]))


def test_item_keeps_the_gradient_without_a_guard():
    f = jittape.grad(lambda x: x.sum().item() ** 2)
    assert f(np.ones(3)).tolist() == [6.0] * 3
    assert f(np.zeros(3)).tolist() == [0.0] * 3


def test_ufunc_keywords():
    x = np.array([0.5, 2.0], np.float32)
    check(lambda x: np.exp(x, dtype=np.float64), x, order=1)
    check_value(lambda x: np.add(x, 1, dtype="f8"), x)
    # what NumPy leaves undefined is 0, without derivative
    masked = jittape.value_and_grad(lambda x: np.sum(np.log(x, where=x > 1)))
    for y in (x, x[::-1].copy(), x):
        value, slope = masked(y)
        assert value == np.log(y[y > 1])[0]
        np.testing.assert_array_equal(slope, np.where(y > 1, 1 / y, 0))
    check_value(lambda x: np.add(x, 1, signature="dd->d"), x)
    check_value(lambda x: np.add(x, 1, signature=(None, None, "f8")), x)
    with pytest.raises(ValueError, match="3 dtypes"):
        jittape.jit(lambda x: np.add(x, 1, signature=("f8", "f8")))(x)
    with pytest.raises(TypeError, match="casting rule 'same_kind'"):
        jittape.jit(lambda x: np.add(x, 1j, dtype=np.float64))(x)
    with pytest.raises(TypeError, match="unexpected keyword"):
        jittape.jit(lambda x: np.add(x, 1, extobj=3))(x)


def test_reduceat_and_at():
    check(lambda x: np.add.reduceat(x, [0, 1]), X)
    for ufunc in (np.multiply, np.maximum, np.logaddexp):

        def scattered(x, ufunc=ufunc):
            y = np.array([0.5, 2.0])
            ufunc.at(y, [0, 1, 0, -2], np.concatenate([x, x * x])[:4])
            return y

        check(scattered, np.array([0.3, 0.7, 1.9]))
    with pytest.raises(TraceError, match="one array of integers"):
        jittape.jit(lambda x: np.multiply.at(np.ones(3), (np.array([0]),), x))(X[0])


def test_errors_name_the_users_line():
    def f(x):
        return np.busday_count(x, x)

    with pytest.raises(TraceError, match=r"test_operators.py:\d+: numpy.busday_count"):
        jittape.jit(f)(X)
    with pytest.raises(TraceError, match=r"test_operators.py:\d+: bitwise_and"):
        jittape.jit(lambda x: x & 1)(X)


def test_a_long_scalar_loop_records_one_instruction_per_operation():
    def loop(x):
        for _ in range(50):
            x = abs(np.sin(x) * 0.5 + 1) ** 2
        return x

    tape = jittape.trace(loop)(0.3)
    assert len(tape) == 50 * 5
    check(loop, 0.3, order=1)
