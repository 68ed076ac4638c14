"""scipy.interpolate and scipy.ndimage on tracers: values are SciPy's, derivatives are held against
the oracle, and other points are no other trace."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import check, check_value

import jittape
from jittape.errors import TraceError

ip = pytest.importorskip("scipy.interpolate")
nd = pytest.importorskip("scipy.ndimage")

KNOTS = np.array([0.0, 0.5, 1.2, 2.0, 3.0, 3.5])
Y = np.array([0.3, 1.1, 0.7, -0.4, 0.9, 1.5])
AT = np.array([0.1, 0.71, 2.44, 3.4, 1.9])
BEYOND = np.append(AT, [-0.3, 3.9])
Y2 = np.stack([Y, Y**2])
TCK = ip.splrep(KNOTS, Y)
MADE = [
    ip.CubicSpline(KNOTS, Y),
    ip.CubicSpline(KNOTS, Y2, axis=1, bc_type="natural"),
    ip.CubicSpline(KNOTS, np.append(Y[:-1], Y[0]), bc_type="periodic"),
    ip.CubicSpline(KNOTS, Y, extrapolate=False),
    ip.PchipInterpolator(KNOTS, Y),
    ip.Akima1DInterpolator(KNOTS, Y),
    ip.CubicHermiteSpline(KNOTS, Y, Y[::-1]),
    ip.make_interp_spline(KNOTS, Y),
    ip.make_interp_spline(KNOTS, Y2.T, k=2),
    ip.BSpline(np.arange(9.0) - 2, Y[:5], 3),
    ip.interp1d(KNOTS, Y),
    ip.interp1d(KNOTS, Y2, kind="cubic"),
    ip.interp1d(KNOTS, Y2.T, axis=0, fill_value="extrapolate"),
    lambda x: ip.splev(x, TCK),
    lambda x: ip.splev(x, TCK, der=1),
]


@pytest.mark.parametrize("f", MADE)
def test_evaluation_at_traced_points(f):
    check(lambda x: f(x), AT, value_rtol=1e-12)
    if not isinstance(f, ip.interp1d) or f._extrapolate:
        got = jittape.jit(lambda x: f(x))(BEYOND)
        np.testing.assert_allclose(got, f(BEYOND), rtol=1e-11, atol=1e-13)


def test_derivatives_of_splines_and_points_of_any_shape():
    s = MADE[0]
    for nu in range(5):
        got = jittape.jit(lambda x, nu=nu: s(x, nu))(AT)
        np.testing.assert_allclose(got, s(AT, nu), rtol=1e-12)
    check(lambda x: s.derivative()(x), AT, value_rtol=1e-12)
    check(lambda x: s(x), 0.7, value_rtol=1e-12)
    check(lambda x: MADE[1](x.reshape(5, 1)), AT, order=1, value_rtol=1e-12)
    got = jittape.jit(lambda x: s(x))(np.array([np.nan, 1.0, *KNOTS]))
    np.testing.assert_allclose(got, s(np.array([np.nan, 1.0, *KNOTS])), rtol=1e-12)


def test_other_intervals_are_no_other_trace():
    grid = ip.RegularGridInterpolator((KNOTS, KNOTS), np.outer(Y, Y), bounds_error=False)

    def f(x):
        points = np.stack([x, x[::-1]], axis=-1)
        image = nd.map_coordinates(IMAGE, points.T, order=1)
        return np.sum(MADE[0](x) + MADE[7](x) + MADE[10](x) + grid(points) + image)

    slope = jittape.grad(f)
    rng = np.random.default_rng(0)
    for _ in range(6):
        x = rng.uniform(0.1, 3.4, 5)
        np.testing.assert_allclose(slope(x), jittape.grad(lambda x: f(x))(x), rtol=1e-12)
    assert slope.cache_info().traces == 2


@pytest.mark.parametrize(
    "f",
    [
        lambda y, x: ip.CubicSpline(KNOTS, y)(x),
        lambda y, x: ip.CubicSpline(KNOTS, y, bc_type="natural")(x, 1),
        lambda y, x: ip.CubicSpline(KNOTS, np.stack([y, y * y]), axis=1, bc_type="clamped")(x),
        lambda y, x: ip.CubicSpline(KNOTS, np.append(y[:-1], y[0]), bc_type="periodic")(x),
        lambda y, x: ip.PchipInterpolator(KNOTS, y)(x),
        lambda y, x: ip.PchipInterpolator(KNOTS, np.stack([y, y * y], axis=1))(x),
        lambda y, x: ip.CubicHermiteSpline(KNOTS, y, y * y)(x),
        lambda y, x: ip.make_interp_spline(KNOTS, y)(x),
        lambda y, x: ip.make_interp_spline(KNOTS, np.stack([y, y * y]), k=2, axis=1)(x),
        lambda y, x: ip.interp1d(KNOTS, y)(x),
        lambda y, x: ip.interp1d(KNOTS[::-1], np.stack([y, y * y]), kind="quadratic")(x),
        lambda y, x: ip.PPoly(np.stack([y[:5], y[1:]]), KNOTS)(x),
        lambda y, x: ip.BSpline(np.arange(9.0) - 2, y[:5], 3)(x),
        lambda y, x: ip.CubicSpline(KNOTS, y).derivative()(x),
    ],
)
def test_interpolants_of_traced_values(f):
    check(f, Y, AT, order=1, value_rtol=1e-11)


@pytest.mark.parametrize("method", ["linear", "nearest"])
def test_grids(method):
    axes, points = (KNOTS, KNOTS[:4]), np.stack([AT[:4], AT[:4] / 2], axis=1)
    values = np.outer(Y, Y[:4])
    check(lambda v, p: ip.interpn(axes, v, p, method=method), values, points, value_rtol=1e-13)
    check(
        lambda v, p: ip.RegularGridInterpolator(
            axes, np.stack([v, v * v], axis=-1), method, False, None
        )(p * 2),
        values, points, order=1, value_rtol=1e-13,
    )  # fmt: skip
    outside = ip.RegularGridInterpolator(axes, values, method, False, -1.0)
    got = jittape.jit(lambda p: outside(p))
    for p in (points, points * 3, points * np.nan):
        np.testing.assert_allclose(got(p), outside(p))
    strict = jittape.jit(lambda p: ip.RegularGridInterpolator(axes, values)(p))
    strict(points)
    with pytest.raises(ValueError, match="out of bounds"):
        strict(points * 3)


def test_what_is_refused():
    for f in (
        lambda x: ip.CubicSpline(x, Y)(0.3),
        lambda x: ip.interp1d(KNOTS, Y, kind="previous")(x),
        lambda x: ip.CubicSpline(KNOTS, x, bc_type=((1, 0.0), (1, 0.0)))(0.3),
        lambda x: ip.RegularGridInterpolator((x,), Y)([0.3]),
    ):
        with pytest.raises((TraceError, TypeError)):
            jittape.jit(f)(KNOTS)


IMAGE = np.random.default_rng(5).normal(size=(5, 6))
PLACES = np.random.default_rng(6).uniform(-2.2, 7.3, (2, 9))


@pytest.mark.parametrize(
    "mode",
    "constant nearest reflect mirror wrap grid-wrap grid-mirror grid-constant".split(),
)
def test_map_coordinates(mode):
    for order in (0, 1):
        got = jittape.jit(
            lambda x, c, order=order: nd.map_coordinates(x, c, order=order, mode=mode, cval=0.5)
        )
        for scale in (1.0, 0.7):
            want = nd.map_coordinates(IMAGE, PLACES * scale, order=order, mode=mode, cval=0.5)
            np.testing.assert_allclose(got(IMAGE, PLACES * scale), want, atol=1e-13)
    check(lambda c: nd.map_coordinates(IMAGE, c, order=1, mode=mode), PLACES, value_rtol=1e-12)
    check(
        lambda x: nd.map_coordinates(x, PLACES, order=1, mode=mode), IMAGE, order=1,
        value_rtol=1e-12,
    )  # fmt: skip


@pytest.mark.parametrize("mode", "reflect constant nearest mirror wrap".split())
def test_filters(mode):
    w, k = np.array([0.5, -1.0, 2.0, 0.3]), np.array([[0.5, 1.0], [2.0, -1.0], [0.3, 0.2]])
    for f in (
        lambda x: nd.correlate1d(x, w, mode=mode),
        lambda x: nd.convolve1d(x, w, axis=0, mode=mode, origin=1),
        lambda x: nd.correlate(x, k, mode=mode),
        lambda x: nd.convolve(x, k, mode=mode, cval=0.3),
        lambda x: nd.gaussian_filter(x, 0.8, mode=mode),
        lambda x: nd.gaussian_filter(x, [0.5, 1.0], order=[1, 2], mode=mode, truncate=2.0),
        lambda x: nd.uniform_filter(x, [3, 2], mode=mode),
        lambda x: nd.sobel(x, axis=0, mode=mode),
        lambda x: nd.prewitt(x, mode=mode),
        lambda x: nd.laplace(x, mode=mode),
        lambda x: nd.gaussian_laplace(x, 0.7, mode=mode),
        lambda x: nd.gaussian_gradient_magnitude(x, 0.7, mode=mode),
        lambda x: nd.maximum_filter(x, 3, mode=mode),
        lambda x: nd.minimum_filter(x, (2, 3), mode=mode),
        lambda x: nd.median_filter(x, footprint=k > 0, mode=mode),
    ):
        check(f, IMAGE[:, :4], order=1, value_rtol=1e-11)


def test_weights_and_widths_of_filters_may_be_traced():
    check(lambda s: nd.gaussian_filter(IMAGE, s, truncate=3.0), 0.83, value_rtol=1e-12)
    check(lambda w: nd.correlate(IMAGE, w), IMAGE[:3, :3], order=1, value_rtol=1e-12)


def test_map_coordinates_has_the_dtype_of_its_image():
    image, at = IMAGE.astype(np.float32), [[0.5, 1.2], [0.3, 1.7]]
    for order in (0, 1):
        check_value(lambda x, o=order: nd.map_coordinates(x, at, order=o), image, rtol=1e-6)
        check_value(
            lambda c, o=order: nd.map_coordinates(image, c, order=o), np.array(at), rtol=1e-6
        )
