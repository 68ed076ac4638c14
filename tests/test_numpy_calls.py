"""Calls as other suites make them: unusual arguments answer, or raise, as in NumPy."""

import numpy as np
import pytest
from oracle import check, check_value

import jittape


def test_average_takes_weights_in_the_order_of_its_axes():
    a, w = np.arange(12.0).reshape(2, 3, 2) ** 1.5, np.array([[0.2, 0.5], [1.0, 2.0], [0.1, 0.3]])
    check(lambda a, w: np.average(a, axis=(1, 0), weights=w), a, w)
    check(lambda a, w: np.average(a, axis=(0, 1), weights=w.T, returned=True), a, w)


@pytest.mark.parametrize("a", [np.float32, np.float64, np.int64, np.complex64])
@pytest.mark.parametrize("w", [np.float32, np.float64, np.int32, np.complex64])
def test_average_has_the_dtype_of_values_and_weights(a, w):
    x, y = np.array([1, 2, 4], a), np.array([3, 1, 2], w)
    for fun in (lambda v: np.average(v, weights=y), lambda v: np.average(x, weights=v)):
        v = x if fun.__code__.co_freevars == ("y",) else y
        check_value(fun, v)


def test_weights_that_sum_to_zero_raise_also_in_a_replay():
    average = jittape.jit(lambda a, w: np.average(a, weights=w))
    a = np.array([1.0, 2.0])
    for _ in range(3):
        assert average(a, np.array([1.0, 3.0])) == 1.75
    with pytest.raises(ZeroDivisionError, match="Weights sum to zero"):
        average(a, np.array([1.0, -1.0]))
    with pytest.raises(ZeroDivisionError, match="Weights sum to zero"):
        jittape.grad(lambda a: np.average(a, weights=[0.0, 0.0]))(a)
    rows = jittape.vmap(lambda w: np.average(a, weights=w))(np.array([[1.0, 3.0], [1.0, 1.0]]))
    np.testing.assert_allclose(rows, [1.75, 1.5])


def test_truth_values_are_no_indices_along_an_axis():
    for fun in (np.take_along_axis, jittape.jit(np.take_along_axis)):
        with pytest.raises(IndexError, match="must be an integer array"):
            fun(np.ones((2, 3)), np.ones((2, 2), bool), 1)


def test_names_of_arguments_are_numpys():
    x = np.array([0.3, -1.26, 2.5])
    z = np.array([0.5 - 1j, 2j])
    check(lambda x: np.clip(a=x, a_min=-1.0, a_max=2.0) + np.round(a=x, decimals=1), x)
    check(lambda z: np.real(val=z) + np.imag(val=z) * np.angle(z=z, deg=True), z)
    check_value(lambda x: np.empty_like(prototype=x).shape + x.shape, x)


def test_what_numpy_writes_for_an_argument_not_given():
    no = np._NoValue
    x = np.array([[0.3, -1.26, 2.5], [1.0, 0.5, 0.2]])
    check(lambda x: np.diff(x, 1, 0, no, no) + np.sum(x, keepdims=no, initial=no, where=no), x)
    check(lambda x: np.diff(x, 1, 1, no, 3.0) * np.var(x, where=no, mean=no, correction=no), x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradient_has_the_dtype_of_the_values(dtype):
    x = np.array([0.3, -1.25, 2.5, 4.0], dtype)
    for spacing in ((), (2.0,), (np.float64(0.5),), (np.array([0.0, 1.0, 1.5, 3.0]),)):
        check_value(lambda x, spacing=spacing: np.gradient(x, *spacing), x)
    check_value(lambda h: np.gradient(np.arange(4), h), dtype(0.3))


@pytest.mark.parametrize("axis", [None, 0, 1, (0, -1), ()])
@pytest.mark.parametrize("trim", ["fb", "F", "b"])
def test_zeros_are_trimmed_along_axes(trim, axis):
    x = np.zeros((4, 3))
    x[1:3, 1] = 2.0, -1.0
    if not np.lib.NumpyVersion(np.__version__) < "2.2.0":
        check_value(lambda x: np.trim_zeros(x, trim, axis), x)
        check_value(lambda x: np.trim_zeros(x, trim, axis), np.zeros((2, 3)))
    check_value(lambda x: np.trim_zeros(x[:, 1], trim), x)
    with pytest.raises(ValueError, match="unexpected character"):
        jittape.jit(lambda x: np.trim_zeros(x, "x"))(x)


def test_sections_may_be_an_array_without_axes():
    x = np.arange(6.0)
    check(lambda x: np.array_split(x, np.array(4)), x)
    check(lambda x: np.split(x, np.array(3)), x)
    check(lambda x: np.split(x, []), x)


@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (3,), (2, 3)])
def test_covariance_of_few_observations(shape):
    x = np.arange(1.0, 1 + np.prod(shape)).reshape(shape) ** 1.5
    for rowvar in (True, False):
        check_value(lambda x, r=rowvar: np.cov(x, rowvar=r, ddof=0), x)
        if shape[0] > 1:
            check_value(lambda x, r=rowvar: np.cov(x, x + 1, rowvar=r, ddof=0), x)


def test_pinv_takes_one_of_two_bounds():
    a = np.diag([1.0, 1e-3, 1e-15])
    for bounds in ({}, {"rcond": 1e-2}, {"rtol": 1e-2}, {"rtol": None}):
        check_value(lambda a, b=bounds: np.linalg.pinv(a, **b), a)
    with pytest.raises(ValueError, match="can't be both set"):
        jittape.jit(lambda a: np.linalg.pinv(a, rcond=1e-2, rtol=1e-2))(a)


@pytest.mark.filterwarnings("ignore:All-NaN")
def test_extrema_without_nan_of_nothing_but_nan():
    for dtype in (np.float32, np.complex128):
        x = np.array([[np.nan, np.nan], [1.0, np.nan]], dtype)
        check_value(lambda x: (np.nanmax(x, axis=1), np.nanmin(x, axis=1)), x, others=(x,))
    places = jittape.jit(lambda x: (np.nanargmax(x, axis=1), np.nanargmin(x)))
    x = np.array([[3.0, np.nan], [1.0, 2.0]])
    for _ in range(3):
        np.testing.assert_array_equal(places(x)[0], [0, 1])
        assert places(x)[1] == 2
    with pytest.raises(ValueError, match="All-NaN slice"):
        places(np.array([[3.0, 2.0], [np.nan, np.nan]]))
    batch = jittape.vmap(np.nanargmax)(x)
    np.testing.assert_array_equal(batch, [0, 1])


def test_quantiles_are_of_real_numbers():
    for fun in (np.quantile, np.percentile):
        with pytest.raises(TypeError, match="real numbers"):
            jittape.jit(lambda z, fun=fun: fun(z, 0.5))(np.ones(3, complex))


def test_replaced_numbers_are_not_replaced_again():
    x = np.array([np.nan, np.inf, -np.inf, 2.0])
    check_value(lambda x: np.nan_to_num(x, nan=np.inf, posinf=9.0, neginf=np.nan), x, others=(x,))


def test_what_numpy_refuses_is_refused():
    for fun in (np.isposinf, np.isneginf):
        with pytest.raises(TypeError, match="ambiguous"):
            jittape.jit(fun)(np.ones(2, complex))
    for mode in ("mean", "edge", "linear_ramp", "reflect"):
        with pytest.raises(ValueError, match="can't extend empty axis 0"):
            jittape.jit(lambda x, mode=mode: np.pad(x, 2, mode))(np.ones((0,)))


def test_a_variance_may_be_asked_for_as_a_complex_number():
    x = np.array([0.3, -1.25, 2.5])
    check_value(lambda x: (np.var(x, dtype=np.complex64), np.std(x, dtype=complex)), x)


def test_isclose_takes_pythons_numbers_at_the_dtype_of_the_other():
    x = np.array([0.1, 0.2], np.float32)
    check_value(lambda x: np.isclose(x, 0.1, atol=0, rtol=0), x, others=(x[::-1],))
    check_value(lambda x: np.isclose(0.1, x, atol=0, rtol=0) | np.isclose(x, np.float64(0.2)), x)
    check_value(lambda x: np.allclose(x[0], 0.1, atol=0, rtol=0), x, others=(x,))


@pytest.mark.parametrize(
    "fun",
    [
        lambda x, y: np.vectorize(np.dot, signature="(n),(n)->()")(x, y),
        lambda x, y: np.vectorize(np.outer, signature="(n),(m)->(n,m)")(x, y[0]),
        lambda x, y: np.vectorize(lambda v, k=1.0: (v * k, v.sum()), signature="(n)->(n),()")(x),
        lambda x, y: np.vectorize(lambda v, p: v @ p, excluded={1}, signature="(n)->()")(x, y[1]),
        lambda x, y: np.vectorize(lambda a, b: a * b, otypes=[np.float32])(x, y),
        lambda x, y: np.vectorize(lambda a: (a, a > 0), otypes=[complex, bool])(x),
    ],
)
def test_vectorize_loops_over_what_its_signature_leaves(fun):
    x = np.array([[0.3, -1.0, 2.0], [0.5, 0.1, -0.7]])
    check(fun, x, x[::-1] * 1.5, order=1)


def test_kaiser_takes_a_traced_beta():
    for numpy in (np, jittape.numpy):
        check(lambda beta, numpy=numpy: numpy.kaiser(5, beta), 2.5)


def test_jittapes_own_names_take_what_numpy_does_not_dispatch():
    import jittape.numpy as jnp

    check(lambda end: jnp.arange(0.5, end, 0.75), 2.9, others=(2.8,))
    check(lambda x: jnp.asarray_chkfinite(x) * 2, np.array([0.5, 1.5]))
    check(lambda x: jnp.asarray_chkfinite([x[0], 1.0]), np.array([0.5, 1.5]))


def test_vectorize_refuses_what_does_not_fit_its_signature():
    x = np.ones((2, 3))
    calls = [
        (lambda x: np.vectorize(np.dot, signature="(n),(n)->()")(x, x[:, :2]), "inconsistent size"),
        (lambda x: np.vectorize(np.cumsum, signature="(n)->()")(x), "element with a sequence"),
        (lambda x: np.vectorize(lambda v: (v, v), signature="(n)->(n)")(x), "number of outputs"),
        (lambda x: np.vectorize(np.sum, signature="(n)->()")(x[:0]), "size 0"),
    ]
    for fun, text in calls:
        for call in (fun, jittape.jit(fun)):
            with pytest.raises(ValueError, match=text):
                call(x)
    with pytest.raises(TypeError, match="number of positional arguments"):
        jittape.jit(lambda x: np.vectorize(np.dot, signature="(n),(n)->()")(x))(x)


@pytest.mark.parametrize("name", ["quantile", "percentile", "nanquantile", "nanpercentile"])
@pytest.mark.parametrize("method", ["linear", "lower", "hazen"])
def test_quantiles_have_the_dtype_that_values_and_fractions_make(name, method):
    f, scale = getattr(np, name), 100 if "percent" in name else 1
    x = np.array([0.3, 2.5, 1.0, 4.0], np.float32)
    given = (0.3, [0.1, 0.5], np.float64(0.3), np.array([0.1, 0.5]), np.float32(0.25), [0, 1])
    for q in given:
        if scale > 1:
            q = [scale * v for v in q] if isinstance(q, list) else q * np.asarray(q).dtype.type(100)
        check_value(lambda x, q=q: f(x, q, method=method), x, rtol=1e-6)
    if method == "linear":
        check_value(lambda q: f(x, q * scale), np.array([0.1, 0.5]), others=(np.array([0.2, 0.4]),))


def test_counts_have_the_dtype_of_their_weights():
    x = np.array([0.5, 1.5, 0.7, 2.0], np.float32)
    for weights in (x, np.arange(4), np.ones(4, bool), np.ones(4)):
        check_value(lambda x, w=weights: np.histogram(x, 3, weights=w), x)
    check_value(lambda w: np.histogram(x, [0.0, 1.0, 3.0], weights=w), x)
    check_value(lambda x: np.histogram(x, 3, density=True), x, rtol=1e-6)


def test_quotients_are_rounded_as_by_numpy():
    rng = np.random.default_rng(3)
    for dtype in (np.float32, np.float64):
        for _ in range(20):
            u, v = rng.normal(size=6).astype(dtype), rng.normal(size=3).astype(dtype)
            for got, want in zip(jittape.jit(np.polydiv)(u, v), np.polydiv(u, v), strict=True):
                np.testing.assert_array_equal(got, want)
