"""Branches on values: every path is taken for the inputs that take it, cached or not.

Each function is called with inputs that alternate between its paths; value and derivative are held
against NumPy and finite differences (or the complex step's equal) at each.
"""

import functools

import numpy as np
import pytest

import jittape


def hold(f, inputs, rounds=2):
    """value_and_grad(f), cached over a sequence of inputs, is a fresh one's and NumPy's."""
    cached = jittape.value_and_grad(f)
    for x in list(inputs) * rounds:
        value, slope = cached(x)
        fresh_value, fresh_slope = jittape.value_and_grad(lambda x: f(x))(x)
        np.testing.assert_allclose(value, f(x), rtol=1e-13)
        np.testing.assert_allclose(value, fresh_value, rtol=1e-14)
        np.testing.assert_allclose(slope, fresh_slope, rtol=1e-14)
        np.testing.assert_allclose(slope, differences(f, x), rtol=1e-6, atol=1e-7)
    return cached


def differences(f, x):
    x = np.asarray(x, float)
    out = np.empty(x.shape)
    for i in np.ndindex(x.shape):
        h = np.zeros(x.shape)
        h[i] = 1e-6
        out[i] = (f((x + h)[()]) - f((x - h)[()])) / 2e-6
    return out


def branch(x):
    if x > 1:
        return x**2
    elif x < -1:
        return -3 * x
    return x


def chained(x):
    return x**2 if -1 < x <= 1 else x**3


def and_or_not(x):
    y = x and x * 2
    z = (x > 0 and x < 1) or x < -2
    return y * 3 if not z else y * y


def default(x):
    return (x > 1 and x) or x**2


def while_loop(x):
    n = 0
    while x < 10:
        x = x * 1.7 + 0.1
        n += 1
    return x * n


def newton(a):
    x = a
    while abs(x * x - a) > 1e-13 * a:
        x = 0.5 * (x + a / x)
    return x


def counted(x):
    total = 0.0
    for k in range(int(x)):
        total += x**k
    return total


def truth(x):
    return x * 2 if x else x + 1


def early(x):
    for k in range(5):
        x = x * 1.5
        if x > 4:
            return x * k
    return x


def recursive(x):
    return x if x < 1 else 1.5 * recursive(x / 2) + x


def fibonacci(x):
    return x if x < 2 else fibonacci(x - 1) * 0.5 + fibonacci(x - 2)


def ball(v):
    height, t, speed = 1.0, 0.0, v
    for _ in range(20):
        height = height + speed * 0.05
        speed = speed - 0.5
        if height < 0:
            height, speed = -height, -0.8 * speed
        t = t + height
    return t


def caught(x):
    try:
        assert x > 0, "negative"
        return x**2
    except AssertionError:
        return -x


NUMBERS = {
    branch: (2.0, 0.5, -3.0, 1.5, -0.2),
    chained: (0.5, 2.0, -2.0, 0.3),
    and_or_not: (0.5, 2.0, -3.0, -1.0),
    default: (0.5, 2.0, 0.7, 3.0),
    while_loop: (0.5, 20.0, 3.0, 5.5, 0.7),
    newton: (2.0, 9.1, 0.01, 3e5),
    counted: (2.5, 5.5, 1.5, 2.7),
    truth: (2.0, -1.0, 3.0),
    early: (0.1, 3.0, 2.0, 1.0),
    recursive: (0.5, 7.0, 3.3, 0.9),
    fibonacci: (1.5, 4.5, 3.5),
    ball: (0.3, 2.0, 5.0, -1.0),
    caught: (2.0, -1.0, 3.0, -2.0),
}


@pytest.mark.parametrize("f", NUMBERS, ids=lambda f: f.__name__)
def test_numbers(f):
    hold(f, NUMBERS[f])


def sorting(x):
    values = list(x)
    for i in range(len(values)):
        for j in range(len(values) - 1 - i):
            if values[j] > values[j + 1]:
                values[j], values[j + 1] = values[j + 1], values[j]
    return values[0] * 3 + values[1] * values[2]


def sorted_values(x):
    a, b, c = sorted(x)
    return a * 3 + b * c + sorted(x, key=lambda t: -t)[0] ** 2


def extremes(x):
    return min(x) * max(x[0], x[1]) + max(x, key=lambda t: t * t) ** 3


def any_all(x):
    if all(x > 0):
        return np.sum(x**2)
    if any(t > 1 for t in x):
        return x[0] * x[1]
    return np.sum(x) * 2


def mask_shape(x):
    kept = x[x > 0]
    return np.sum(kept**2) * len(kept)


def where_item(x):
    k = int(np.argmax(x))
    return x[k] ** 2 + (x[0].item() > 0) * x[1]


def in_place(x):
    y = np.zeros(3)
    for i in range(3):
        if x[i] > 0:
            y[i] = x[i] ** 2
        else:
            y[i - 1] += x[i]
    return np.sum(y * y)


def memo(x):
    seen = {}
    for t in x:
        seen[bool(t > 0)] = seen.get(bool(t > 0), 0.0) + t * t
    return sum(k * v + 2 * v for k, v in seen.items())


def solved(x):
    m = np.array([[x[0], 1.0], [1.0, x[1]]])
    try:
        return np.linalg.solve(m, x[:2])[0] ** 2
    except np.linalg.LinAlgError:
        return x[2]


A, B, C = np.array([1.0, 2.0, 3.0]), np.array([3.0, -1.0, 2.0]), np.array([-2.0, -1.0, 0.5])


@pytest.mark.parametrize(
    "f",
    [sorting, sorted_values, extremes, any_all, mask_shape, where_item, in_place, memo, solved],
    ids=lambda f: f.__name__,
)
def test_arrays(f):
    hold(f, (A, B, C, A * 1.1, -np.abs(B)))


def test_known_paths_are_found_without_tracing():
    def f(x):
        return x**2 if x > 0 else -x

    g = jittape.grad(f)
    for x in (1.0, 1.0, -1.0, -1.0):
        g(x)
    before = g.cache_info().traces
    assert [float(g(x)) for x in (3.0, -2.0, 0.5, -5.0)] == [6.0, -1.0, 1.0, -1.0]
    assert g.cache_info().traces == before


def test_a_failing_solve_is_a_path():
    f = jittape.value_and_grad(solved)
    singular = np.array([1.0, 1.0, 4.0])
    for x in (A, singular, B, singular, A):
        value, slope = f(x)
        assert value == pytest.approx(solved(x), rel=1e-12)
        if x is singular:
            assert slope.tolist() == [0.0, 0.0, 1.0]
        else:
            np.testing.assert_allclose(slope, differences(solved, x), rtol=1e-6, atol=1e-9)


def test_nan_is_on_the_path_of_its_comparison():
    def f(x):
        return x * 2 if x < 1 else x * 3

    g = jittape.grad(f)
    assert [g(x) for x in (0.5, np.nan, 2.0, np.nan, 0.1)] == [2.0, 3.0, 3.0, 3.0, 2.0]


def test_a_handled_index_error_is_a_path():
    def f(x, k):
        try:
            return x[np.array(k)] * 2
        except IndexError:
            return x[0]

    g = jittape.grad(lambda x, k: f(x, k))
    for k, want in ((1, [0, 2, 0]), (7, [1, 0, 0]), (2, [0, 0, 2]), (9, [1, 0, 0])):
        assert g(A, np.array(k)).tolist() == want


def test_second_derivatives_follow_the_branch():
    g = jittape.grad(jittape.grad(branch))
    assert [g(x) for x in (2.0, 0.5, 3.0, -2.0)] == [2.0, 0.0, 2.0, 0.0]


def test_partials_and_lambdas():
    def f(n, x):
        return x**n if x > n else x

    fs = [jittape.grad(functools.partial(f, n)) for n in (2, 3)]
    assert [float(g(x)) for x in (1.0, 4.0, 2.5) for g in fs] == [1.0, 1.0, 8.0, 48.0, 5.0, 1.0]


def test_the_truth_of_an_array_is_ambiguous():
    with pytest.raises(ValueError, match=r"test_control_flow\.py:\d+: .*ambiguous"):
        jittape.grad(lambda x: x[0] if x else x[1])(A)
