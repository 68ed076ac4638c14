"""scipy.signal, scipy.fft's cosine transforms, scipy.integrate and scipy.spatial.distance by their
own names: values are SciPy's, derivatives are held against the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import check

import jittape
from jittape.errors import TraceError

sg = pytest.importorskip("scipy.signal")
sf = pytest.importorskip("scipy.fft")
si = pytest.importorskip("scipy.integrate")
sd = pytest.importorskip("scipy.spatial.distance")

RNG = np.random.default_rng(3)
X = RNG.normal(size=12)
K = np.array([0.5, -1.0, 2.0, 0.25])
M, N = RNG.normal(size=(4, 5)), RNG.normal(size=(3, 2))
B, A = np.array([0.4, 0.2, -0.1]), np.array([2.0, -0.6])
SOS = sg.butter(4, 0.3, output="sos")


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_convolutions(mode):
    for name in ("convolve", "correlate", "fftconvolve"):
        check(lambda x, k, f=name: getattr(sg, f)(x, k, mode), X, K, order=1, value_rtol=1e-13)
        check(lambda x, k, f=name: getattr(sg, f)(x, k, mode), M, N, order=1, value_rtol=1e-13)
    check(lambda x, k: sg.convolve(k, x, mode), X, K, order=1, value_rtol=1e-13)
    for name in ("convolve2d", "correlate2d"):
        for boundary in ("fill", "wrap", "symm"):
            check(
                lambda x, k, f=name, b=boundary: getattr(sg, f)(x, k, mode, b),
                M, N, order=1, value_rtol=1e-13,
            )  # fmt: skip


def test_convolution_of_complex_signals_and_long_ones():
    z = X + 1j * X[::-1]
    check(lambda x, k: np.abs(sg.correlate(x, k)), z, K[:2] * (1 + 2j), order=1, value_rtol=1e-12)
    long, wide = RNG.normal(size=(60, 60)), RNG.normal(size=(30, 20))
    got = jittape.jit(lambda a: sg.convolve(a, wide, "same"))(long)
    np.testing.assert_allclose(got, sg.convolve(long, wide, "same", method="direct"), atol=1e-11)


@pytest.mark.parametrize(
    "f",
    [
        lambda b, a, x: sg.lfilter(b, a, x),
        lambda b, a, x: sg.lfilter(b, a, x, zi=b[:2]),
        lambda b, a, x: sg.lfilter(b[:1], a, x),
        lambda b, a, x: sg.lfilter(b, a[:1], x),
        lambda b, a, x: sg.lfilter(b, a, x.reshape(3, 4), axis=0),
        lambda b, a, x: sg.lfilter(b, np.append(a, 0.1), x[:2], zi=b[:2]),
        lambda b, a, x: sg.filtfilt(b, a, x),
        lambda b, a, x: sg.sosfilt(SOS, x * a[0]),
        lambda b, a, x: sg.sosfiltfilt(SOS, np.concatenate([x, x])),
        lambda b, a, x: sg.deconvolve(x, a)[0],
    ],
)
def test_recursive_filters(f):
    check(f, B, A, X, value_rtol=1e-11, rtol=1e-5, order=1)


def test_filters_to_second_order_and_in_batches():
    check(lambda a, x: sg.lfilter([1.0], np.append(1.0, a), x), A[1:] / 2, X[:5])
    lines = np.stack([X, 2 * X])
    got = jittape.vmap(lambda x: sg.lfilter(B, A, x))(lines)
    np.testing.assert_allclose(got, sg.lfilter(B, A, lines))
    many = np.stack([A, A * [1.0, 0.5]])
    got = jittape.vmap(lambda a: sg.lfilter(B, a, X))(many)
    np.testing.assert_allclose(got, [sg.lfilter(B, a, X) for a in many])


@pytest.mark.parametrize(
    "f",
    [
        lambda x: sg.savgol_filter(x, 5, 2),
        lambda x: sg.savgol_filter(x, 5, 2, deriv=1, delta=0.5, mode="mirror"),
        lambda x: sg.savgol_filter(x, 4, 2, mode="nearest"),
        lambda x: sg.savgol_filter(x.reshape(6, 2), 5, 3, axis=0, mode="constant", cval=1.0),
        lambda x: sg.medfilt(x, 3),
        lambda x: sg.upfirdn(K, x, 3, 2),
        lambda x: sg.resample_poly(x, 2, 3),
        lambda x: sg.detrend(x),
        lambda x: sg.detrend(x, type="constant"),
        lambda x: np.abs(sg.hilbert(x)),
        lambda x: sg.welch(x, nperseg=8)[1],
        lambda x: sg.resample(x, 8),
    ],
)
def test_smoothing_and_spectra(f):
    check(f, X, order=1, value_rtol=1e-11)


@pytest.mark.parametrize("name", ["dct", "idct", "dst", "idst"])
@pytest.mark.parametrize("type", [1, 2, 3, 4])
def test_cosine_and_sine_transforms(name, type):
    f = getattr(sf, name)
    for n in (6, 7):
        for norm in (None, "ortho", "forward"):
            got = jittape.jit(lambda x, norm=norm: getattr(sf, name)(x, type, norm=norm))(X[:n])
            np.testing.assert_allclose(got, f(X[:n], type, norm=norm), atol=1e-13)
    check(lambda x: getattr(sf, name)(x, type, n=5, axis=0), M, order=1, value_rtol=1e-13)
    many = {"dct": sf.dctn, "idct": sf.idctn, "dst": sf.dstn, "idst": sf.idstn}[name]
    got = jittape.jit(lambda x: getattr(sf, name + "n")(x, type, s=(3, 6), norm="ortho"))(M)
    np.testing.assert_allclose(got, many(M, type, s=(3, 6), norm="ortho"), atol=1e-13)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8])
def test_simpson(n):
    y, x = X[:n], np.cumsum(np.abs(X[:n])) + 0.1 * np.arange(n)
    check(lambda y: si.simpson(y, dx=0.5), y, value_rtol=1e-13)
    check(lambda y, x: si.simpson(y, x=x), y, x, order=1, value_rtol=1e-12, rtol=1e-5)
    check(lambda y: si.simpson(np.stack([y, y * y]), x=np.arange(n) ** 1.5), y, value_rtol=1e-12)


def test_rules_that_are_numpy_code():
    x = np.arange(12.0) ** 1.1
    for f in (si.trapezoid, si.cumulative_trapezoid, si.cumulative_simpson):
        name = f.__name__
        check(lambda y, f=name: getattr(si, f)(y, x=x), X, value_rtol=1e-12)
    check(lambda y: si.cumulative_trapezoid(y, x, initial=0), X, value_rtol=1e-12)


METRICS = (
    "euclidean sqeuclidean cityblock minkowski cosine correlation canberra braycurtis "
    "jensenshannon seuclidean mahalanobis"
).split()


@pytest.mark.parametrize("metric", METRICS)
def test_distances(metric):
    u, v = np.abs(RNG.normal(size=(5, 2))), np.abs(RNG.normal(size=(4, 2)))
    check(lambda a, b: sd.cdist(a, b, metric), u, v, order=1, value_rtol=1e-12, rtol=1e-5)
    check(lambda a: sd.pdist(a, metric), u, order=1, value_rtol=1e-12, rtol=1e-5)


def test_distances_with_options_and_at_equal_points():
    u, v = X.reshape(4, 3), X[:6].reshape(2, 3) ** 2
    w = np.array([1.0, 2.0, 0.5])
    for metric, options in (
        ("minkowski", {"p": 3.5}),
        ("minkowski", {"p": 1, "w": w}),
        ("minkowski", {"p": np.inf}),
        ("euclidean", {"w": w}),
        ("cosine", {"w": w}),
        ("correlation", {"w": w}),
        ("mahalanobis", {"VI": np.diag(w)}),
        ("seuclidean", {"V": w}),
        ("chebyshev", {}),
        ("hamming", {}),
    ):
        check(
            lambda a, b, m=metric, o=options: sd.cdist(a, b, m, **o), u, v,
            order=0, value_rtol=1e-12,
        )  # fmt: skip
    g = jittape.grad(lambda a: np.sum(sd.cdist(a, a)))(u)
    assert np.all(np.isfinite(g))
    check(lambda a: sd.squareform(sd.pdist(a)) @ w.repeat(2)[:4], u, order=1, value_rtol=1e-12)
    check(lambda a: sd.squareform(a @ a.T, checks=False), u, order=1, value_rtol=1e-12)
    with pytest.raises(TraceError, match="yule"):
        jittape.jit(lambda a: sd.pdist(a, "yule"))(u)
    with pytest.raises(ValueError, match="same number of columns"):
        jittape.jit(lambda a: sd.cdist(a, v[:, :2]))(u)
