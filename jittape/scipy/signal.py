"""scipy.signal on tracers: convolutions and filters.

What SciPy writes on top of these (filtfilt, decimate, resample_poly, welch, detrend, hilbert, ...)
records as the NumPy code that it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.signal as sg
from numpy.lib.array_utils import normalize_axis_index

from jittape.errors import TraceError
from jittape.functions.linalg import inexact
from jittape.ops.filters import all_pole
from jittape.scipy.ndimage import convolve1d
from jittape.tracing.recorder import here
from jittape.tracing.tracer import cast

_WINDOWS = 1 << 20  # numbers that the windows of a direct convolution may take


# -- convolutions --------------------------------------------------------------------------------


def _pair(in1: Any, in2: Any) -> tuple[Any, Any]:
    a, k = inexact(in1, in2)
    if a.ndim != k.ndim:
        raise ValueError("volume and kernel should have the same dimensionality")
    return a, k


def _reversed(k: Any) -> Any:
    return np.flip(k)


def _valid(a: Any, k: Any) -> Any:
    """sum_j a[i + m - 1 - j] k[j] where all of k lies inside of a."""
    if a.size * k.size > _WINDOWS:
        return _by_fft(a, k, tuple(m - 1 for m in k.shape), tuple(a.shape))
    if a.ndim == 1:
        return np.convolve(a, k, "valid")
    windows = np.lib.stride_tricks.sliding_window_view(a, k.shape)
    return np.tensordot(windows, _reversed(k), axes=k.ndim)


def _by_fft(a: Any, k: Any, start: tuple, stop: tuple) -> Any:
    """A part of the full convolution."""
    shape = tuple(n + m - 1 for n, m in zip(a.shape, k.shape, strict=True))
    axes = tuple(range(a.ndim))
    y: Any
    if a.dtype.kind == "c" or k.dtype.kind == "c":
        y = np.fft.ifftn(np.fft.fftn(a, shape, axes) * np.fft.fftn(k, shape, axes), shape, axes)
    else:
        y = np.fft.irfftn(np.fft.rfftn(a, shape, axes) * np.fft.rfftn(k, shape, axes), shape, axes)
    y = cast(y, np.result_type(a.dtype, k.dtype)) if y.dtype.kind == a.dtype.kind else y
    return y[tuple(slice(i, j) for i, j in zip(start, stop, strict=True))]


def _full(a: Any, k: Any) -> Any:
    if a.ndim == 1:
        return np.convolve(a, k)
    if a.size * k.size > _WINDOWS:
        return _by_fft(a, k, (0,) * a.ndim, tuple(np.add(a.shape, k.shape) - 1))
    if k.size > a.size:
        a, k = k, a
    return _valid(np.pad(a, [(m - 1, m - 1) for m in k.shape]), k)


def _centred(y: Any, shape: tuple[int, ...]) -> Any:
    start = [(n - m) // 2 for n, m in zip(y.shape, shape, strict=True)]
    return y[tuple(slice(i, i + m) for i, m in zip(start, shape, strict=True))]


def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Convolution over all axes. As scipy.signal.convolve; by an FFT where that is shorter.

    Raises ValueError where the shapes do not fit the mode.
    """
    a, k = _pair(in1, in2)
    if not a.ndim:
        return a * k
    if mode == "full":
        return _full(a, k)
    if mode == "same":
        return _centred(_full(a, k), a.shape)
    if mode != "valid":
        raise ValueError("acceptable mode flags are 'valid', 'same', or 'full'")
    if all(m >= n for n, m in zip(a.shape, k.shape, strict=True)):
        a, k = k, a
    if any(m > n for n, m in zip(a.shape, k.shape, strict=True)):
        raise ValueError(
            "For 'valid' mode, one must be at least as large as the other in every dimension"
        )
    return _valid(a, k)


def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Cross-correlation over all axes. As scipy.signal.correlate."""
    a, k = _pair(in1, in2)
    if not a.ndim:
        return a * np.conjugate(k)
    y = convolve(a, np.conjugate(_reversed(k)) if k.dtype.kind == "c" else _reversed(k), mode)
    return y


_BOUNDARIES = {"wrap": "wrap", "circular": "wrap", "symm": "symmetric", "symmetric": "symmetric"}


def convolve2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0
) -> Any:
    """Convolution of two matrices. As scipy.signal.convolve2d."""
    a, k = _pair(in1, in2)
    if a.ndim != 2:
        raise ValueError("convolve2d inputs must both be 2-D arrays")
    if mode == "valid":
        return convolve(a, k, "valid")
    widths = [(m - 1, m - 1) for m in k.shape]
    if boundary in ("fill", "pad"):
        a_padded = np.pad(a, widths, constant_values=fillvalue)
    elif boundary in _BOUNDARIES:
        a_padded = np.pad(a, widths, mode=_BOUNDARIES[boundary])  # type: ignore[call-overload]
    else:
        raise ValueError("acceptable boundary flags are 'fill', 'circular', and 'symmetric'")
    y = _valid(a_padded, k)
    return y if mode == "full" else _centred(y, a.shape)


def correlate2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0
) -> Any:
    """Cross-correlation of two matrices. As scipy.signal.correlate2d."""
    a, k = _pair(in1, in2)
    k = np.conjugate(_reversed(k)) if k.dtype.kind == "c" else _reversed(k)
    if mode == "same" and a.ndim == 2:
        full = convolve2d(a, k, "full", boundary, fillvalue)
        start = [m // 2 for m in k.shape]
        return full[start[0] : start[0] + a.shape[0], start[1] : start[1] + a.shape[1]]
    return convolve2d(a, k, mode, boundary, fillvalue)


# -- recursive filters ---------------------------------------------------------------------------


def _filtered(b: Any, a: Any, x: Any, zi: Any) -> tuple[Any, Any]:
    """(y, final state) of the filter b / a along the last axis, a[0] being 1 and b, a of equal
    length; zi: (..., len(a) - 1) or None. The state of the transposed direct form II adds to the
    first inputs of the recursion."""
    order, n = b.size - 1, x.shape[-1]
    taps = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(order, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(taps, order + 1, axis=-1)
    u = np.matmul(windows, _reversed(b))
    if zi is not None and order:
        used = min(order, n)
        lead = np.broadcast_shapes(zi.shape[:-1], x.shape[:-1])
        zi = np.broadcast_to(zi, (*lead, order))
        u = u + np.pad(zi[..., :used], [(0, 0)] * len(lead) + [(0, n - used)])
    y = all_pole(a[1:], u) if order else u
    if zi is None or not order:
        return y, zi
    # z_i[n-1] = sum_(k > i) b_k x[n-1-(k-1-i)] - a_k y[n-1-(k-1-i)]
    joined = []
    for i in range(order):
        z: Any = zi[..., n + i] if n + i < order else 0.0
        for k in range(i + 1, order + 1):
            at = n - 1 - (k - 1 - i)
            if at >= 0:
                z = z + b[k] * x[..., at] - a[k] * y[..., at]
        joined.append(z)
    return y, np.stack(joined, axis=-1)


def lfilter(b: Any, a: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """The rational filter b / a along one axis. As scipy.signal.lfilter.

    b, a: (k,); x: any shape; zi: None or the state, max(len(a), len(b)) - 1 along the axis.
    Returns y, or (y, final state) where zi is given.
    """
    given = [b, a, x] if zi is None else [b, a, x, zi]
    b, a, x, *rest = inexact(*given)
    b, a = np.atleast_1d(b), np.atleast_1d(a)
    axis = normalize_axis_index(axis, x.ndim)
    size = max(a.size, b.size)
    lead = a[0]
    b, a = np.pad(b / lead, (0, size - b.size)), np.pad(a / lead, (0, size - a.size))
    state = np.moveaxis(rest[0], axis, -1) if rest else None
    y, last = _filtered(b, a, np.moveaxis(x, axis, -1), state)
    y = np.moveaxis(y, -1, axis)
    return y if zi is None else (y, np.moveaxis(last, -1, axis))


def sosfilt(sos: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """A cascade of second-order sections (n, 6). As scipy.signal.sosfilt."""
    sos, x = inexact(sos, x)
    if sos.ndim != 2 or sos.shape[1] != 6:
        raise ValueError("sos array must be shape (n_sections, 6)")
    axis = normalize_axis_index(axis, x.ndim)
    y, states = np.moveaxis(x, axis, -1), []
    for k in range(sos.shape[0]):
        state = None if zi is None else np.moveaxis(inexact(zi)[0][k], axis, -1)
        y, last = _filtered(sos[k, :3] / sos[k, 3], sos[k, 3:] / sos[k, 3], y, state)
        if zi is not None:
            states.append(np.moveaxis(last, -1, axis))
    y = np.moveaxis(y, -1, axis)
    return y if zi is None else (y, np.stack(states))


def upfirdn(
    h: Any, x: Any, up: int = 1, down: int = 1, axis: int = -1, mode: str = "constant",
    cval: Any = 0,
) -> Any:  # fmt: skip
    """Upsample by zeros, filter by h, take every down-th. As scipy.signal.upfirdn."""
    if mode not in ("constant", None) or not np.all(np.asarray(cval) == 0):
        raise TraceError(f"{here()}: upfirdn with mode={mode!r} is not recorded; use 'constant'")
    h, x = inexact(h, x)
    lines = np.moveaxis(x, axis, -1)
    n, up, down = lines.shape[-1], int(up), int(down)
    # output i is h[i down - j up] x[j]
    length = -(-((n - 1) * up + h.size) // down)
    place = np.arange(length)[:, None] * down - np.arange(n) * up
    inside = (place >= 0) & (place < h.size)
    matrix = np.where(inside, h[np.where(inside, place, 0)], h.dtype.type(0))
    return np.moveaxis(np.matmul(lines, matrix.T), -1, axis)


# -- smoothing -----------------------------------------------------------------------------------


def savgol_filter(
    x: Any, window_length: int, polyorder: int, deriv: int = 0, delta: float = 1.0,
    axis: int = -1, mode: str = "interp", cval: float = 0.0,
) -> Any:  # fmt: skip
    """Savitzky-Golay smoothing. As scipy.signal.savgol_filter, which gives the weights."""
    (x,) = inexact(x)
    w = int(window_length)
    original = getattr(sg.savgol_filter, "original", sg.savgol_filter)
    # a signal as long as the window: its first and last rows are the polynomials at the ends
    rows = original(np.eye(w), w, polyorder, deriv, delta, axis=0, mode="interp").astype(x.dtype)
    half = w // 2
    coefficients = sg.savgol_coeffs(w, polyorder, deriv=deriv, delta=delta).astype(x.dtype)
    if mode != "interp":
        return convolve1d(x, coefficients, axis, mode=mode, cval=cval)
    n = x.shape[axis]
    if w > n:
        raise ValueError(
            "If mode is 'interp', window_length must be less than or equal to the size of x."
        )
    lines = np.moveaxis(x, axis, -1)
    parts = [
        np.matmul(lines[..., :w], rows[:half].T),
        convolve1d(lines, coefficients, mode="constant")[..., half : n - half],
        np.matmul(lines[..., n - w :], rows[w - half :].T),
    ]
    return np.moveaxis(np.concatenate(parts, axis=-1), -1, axis)


def medfilt(volume: Any, kernel_size: Any = None) -> Any:
    """Medians of windows, zeros around. As scipy.signal.medfilt."""
    (x,) = inexact(np.atleast_1d(volume))
    sizes = np.broadcast_to(3 if kernel_size is None else np.asarray(kernel_size), (x.ndim,))
    if np.any(sizes % 2 == 0):
        raise ValueError("Each element of kernel_size should be odd.")
    padded = np.pad(x, [(int(k) // 2,) * 2 for k in sizes])
    windows = np.lib.stride_tricks.sliding_window_view(padded, tuple(int(k) for k in sizes))
    return np.median(windows, axis=tuple(range(x.ndim, 2 * x.ndim)))
