"""scipy.ndimage on tracers: filters as products with windows, and interpolation of low order."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from jittape.errors import TraceError
from jittape.functions.creation import as_array, on_tape
from jittape.functions.linalg import inexact
from jittape.functions.reductions import root
from jittape.tracing.recorder import here

# what SciPy's modes are called in np.pad
_PADS = {
    "reflect": "symmetric", "grid-mirror": "symmetric", "mirror": "reflect", "nearest": "edge",
    "wrap": "wrap", "grid-wrap": "wrap", "constant": "constant", "grid-constant": "constant",
}  # fmt: skip


def _no_output(name: str, output: Any) -> None:
    if output is not None and not isinstance(output, (type, np.dtype, str)):
        raise TraceError(f"{here()}: output= of {name} is not recorded; assign the result instead")


def _padded(x: Any, widths: list[tuple[int, int]], mode: str, cval: Any) -> Any:
    if mode not in _PADS:
        raise RuntimeError(f"boundary mode {mode!r} is not supported")
    if _PADS[mode] == "constant":
        return np.pad(x, widths, constant_values=cval)
    return np.pad(x, widths, mode=_PADS[mode])  # type: ignore[call-overload]


def _cast(y: Any, x: Any, output: Any) -> Any:
    _no_output("a filter", output)
    return y if output is None else y.astype(np.dtype(output))


# -- along one axis ------------------------------------------------------------------------------


def correlate1d(
    input: Any, weights: Any, axis: int = -1, output: Any = None, mode: str = "reflect",
    cval: Any = 0.0, origin: int = 0,
) -> Any:  # fmt: skip
    """Correlation with weights along one axis. As scipy.ndimage.correlate1d."""
    x, w = inexact(input, weights)
    if w.ndim != 1 or w.shape[0] < 1:
        raise RuntimeError("no filter weights given")
    size = w.shape[0]
    before = size // 2 + int(origin)
    if not 0 <= before < size:
        raise ValueError("Invalid origin; origin must satisfy -(len(weights) // 2) <= origin")
    axis = normalize_axis_index(axis, x.ndim)
    widths = [(before, size - 1 - before) if i == axis else (0, 0) for i in range(x.ndim)]
    padded = _padded(x, widths, mode, cval)
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=axis)
    return _cast(np.matmul(windows, w), x, output)


def convolve1d(
    input: Any, weights: Any, axis: int = -1, output: Any = None, mode: str = "reflect",
    cval: Any = 0.0, origin: int = 0,
) -> Any:  # fmt: skip
    """Convolution with weights along one axis. As scipy.ndimage.convolve1d."""
    (w,) = inexact(weights)
    origin = -int(origin) - (0 if w.shape[0] % 2 else 1)
    return correlate1d(input, np.flip(w), axis, output, mode, cval, origin)


def _gaussian_kernel(sigma: Any, order: int, radius: int) -> Any:
    """Weights of derivatives of a Gaussian: the polynomials q of d^k/dx^k p = q p, by
    q' - x q / sigma^2 (as SciPy builds them)."""
    x = np.arange(-radius, radius + 1)
    variance = sigma * sigma
    p = np.exp(-0.5 / variance * x**2)
    p = p / np.sum(p)
    q: list[Any] = [1.0]
    for _ in range(order):
        up = [k * q[k] for k in range(1, len(q))] + [0.0, 0.0]
        down = [0.0, *[-c / variance for c in q]]
        q = [a + b for a, b in zip(up[: len(down)], down, strict=True)]
    return p if order == 0 else p * sum(c * x**k for k, c in enumerate(q))


def gaussian_filter1d(
    input: Any, sigma: Any, axis: int = -1, order: int = 0, output: Any = None,
    mode: str = "reflect", cval: Any = 0.0, truncate: float = 4.0, *, radius: Any = None,
) -> Any:  # fmt: skip
    """Gaussian filter, or derivatives of one, along one axis; sigma may be traced (the radius is
    guarded then). As scipy.ndimage.gaussian_filter1d."""
    if order < 0:
        raise ValueError("order must be non-negative")
    width = int(truncate * sigma + 0.5) if radius is None else int(radius)
    weights = np.flip(_gaussian_kernel(sigma, order, width))
    return correlate1d(input, weights, axis, output, mode, cval)


def uniform_filter1d(
    input: Any, size: int, axis: int = -1, output: Any = None, mode: str = "reflect",
    cval: Any = 0.0, origin: int = 0,
) -> Any:  # fmt: skip
    """Means of windows along one axis. As scipy.ndimage.uniform_filter1d."""
    weights = np.full(int(size), 1.0 / int(size))
    return correlate1d(input, weights, axis, output, mode, cval, origin)


# -- along several axes --------------------------------------------------------------------------


def _each(value: Any, n: int) -> list[Any]:
    """One value per axis."""
    if isinstance(value, str) or np.ndim(value) == 0:
        return [value] * n
    if len(value) != n:
        raise RuntimeError("sequence argument must have length equal to input rank")
    return [value[i] for i in range(n)]


def _axes(x: Any, axes: Any) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if axes is None else normalize_axis_tuple(axes, x.ndim)


def gaussian_filter(
    input: Any, sigma: Any, order: Any = 0, output: Any = None, mode: Any = "reflect",
    cval: Any = 0.0, truncate: float = 4.0, *, radius: Any = None, axes: Any = None,
) -> Any:  # fmt: skip
    """Gaussian filter along several axes. As scipy.ndimage.gaussian_filter."""
    (x,) = inexact(input)
    chosen = _axes(x, axes)
    n = len(chosen)
    options = [_each(v, n) for v in (sigma, order, mode, radius)]
    for axis, s, k, m, r in zip(chosen, *options, strict=True):
        if s > 1e-15:
            x = gaussian_filter1d(x, s, axis, k, None, m, cval, truncate, radius=r)
    return _cast(x, x, output)


def uniform_filter(
    input: Any, size: Any = 3, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """Means of boxes. As scipy.ndimage.uniform_filter."""
    (x,) = inexact(input)
    chosen = _axes(x, axes)
    options = [_each(v, len(chosen)) for v in (size, mode, origin)]
    for axis, k, m, o in zip(chosen, *options, strict=True):
        if int(k) > 1:
            x = uniform_filter1d(x, int(k), axis, None, m, cval, o)
    return _cast(x, x, output)


def correlate(
    input: Any, weights: Any, output: Any = None, mode: str = "reflect", cval: Any = 0.0,
    origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """Correlation with weights of as many axes. As scipy.ndimage.correlate."""
    x, w = inexact(input, weights)
    if axes is not None or w.ndim != x.ndim:
        raise TraceError(f"{here()}: ndimage.correlate records weights of as many axes as input")
    origins = _each(origin, x.ndim)
    before = [n // 2 + int(o) for n, o in zip(w.shape, origins, strict=True)]
    widths = [(b, n - 1 - b) for b, n in zip(before, w.shape, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(_padded(x, widths, mode, cval), w.shape)
    return _cast(np.tensordot(windows, w, axes=w.ndim), x, output)


def convolve(
    input: Any, weights: Any, output: Any = None, mode: str = "reflect", cval: Any = 0.0,
    origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """Convolution with weights of as many axes. As scipy.ndimage.convolve."""
    (w,) = inexact(weights)
    origins = [
        -int(o) - (0 if n % 2 else 1) for o, n in zip(_each(origin, w.ndim), w.shape, strict=True)
    ]
    return correlate(input, np.flip(w), output, mode, cval, origins, axes=axes)


def _derivative(smooth: list[float]) -> Callable:
    def run(
        input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0
    ) -> Any:
        (x,) = inexact(input)
        axis = normalize_axis_index(axis, x.ndim)
        modes = _each(mode, x.ndim)
        y = correlate1d(x, [-1.0, 0.0, 1.0], axis, None, modes[axis], cval)
        for i in range(x.ndim):
            if i != axis:
                y = correlate1d(y, smooth, i, None, modes[i], cval)
        return _cast(y, x, output)

    return run


sobel, prewitt = _derivative([1.0, 2.0, 1.0]), _derivative([1.0, 1.0, 1.0])


def laplace(
    input: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *, axes: Any = None
) -> Any:
    """Sum of second differences. As scipy.ndimage.laplace."""
    (x,) = inexact(input)
    chosen = _axes(x, axes)
    modes = _each(mode, len(chosen))
    parts = [
        correlate1d(x, [1.0, -2.0, 1.0], a, None, m, cval)
        for a, m in zip(chosen, modes, strict=True)
    ]
    return _cast(sum(parts[1:], start=parts[0]), x, output)


def _of_gaussians(x: Any, sigma: Any, order: int, mode: Any, cval: Any, options: dict) -> list:
    found = []
    for axis in range(x.ndim):
        orders = [order if i == axis else 0 for i in range(x.ndim)]
        found.append(gaussian_filter(x, sigma, orders, None, mode, cval, **options))
    return found


def gaussian_laplace(
    input: Any, sigma: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    **options: Any,
) -> Any:  # fmt: skip
    """Laplacian of a Gaussian. As scipy.ndimage.gaussian_laplace."""
    (x,) = inexact(input)
    parts = _of_gaussians(x, sigma, 2, mode, cval, options)
    return _cast(sum(parts[1:], start=parts[0]), x, output)


def gaussian_gradient_magnitude(
    input: Any, sigma: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    **options: Any,
) -> Any:  # fmt: skip
    """Length of the gradient of a Gaussian filter. As
    scipy.ndimage.gaussian_gradient_magnitude."""
    (x,) = inexact(input)
    parts = [np.square(p) for p in _of_gaussians(x, sigma, 1, mode, cval, options)]
    return _cast(root(sum(parts[1:], start=parts[0])), x, output)


def _extremum(statistic: str) -> Callable:
    def run(
        input: Any, size: Any = None, footprint: Any = None, output: Any = None,
        mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0,
    ) -> Any:  # fmt: skip
        (x,) = inexact(input)
        if footprint is not None:
            footprint = np.asarray(footprint, bool)
            shape = list(footprint.shape)
        else:
            shape = [int(n) for n in _each(size, x.ndim)]
        origins, modes = _each(origin, x.ndim), _each(mode, x.ndim)
        for axis, (n, o, m) in enumerate(zip(shape, origins, modes, strict=True)):
            before = n // 2 + int(o)
            widths = [(0, 0)] * x.ndim
            widths[axis] = (before, n - 1 - before)
            x = _padded(x, widths, m, cval)
        windows = np.lib.stride_tricks.sliding_window_view(x, tuple(shape))
        flat = np.reshape(windows, (*windows.shape[: x.ndim], -1))
        if footprint is not None:
            flat = flat[..., np.flatnonzero(footprint)]
        if statistic == "median":
            # (the upper of two middle elements, as SciPy's rank filter)
            return _cast(np.sort(flat, axis=-1)[..., flat.shape[-1] // 2], x, output)
        return _cast(getattr(np, statistic)(flat, axis=-1), x, output)

    return run


# -- interpolation -------------------------------------------------------------------------------


def _folded(c: Any, n: int, mode: str) -> Any:
    """Coordinates of any size brought to what is interpolated in 0 .. n - 1."""
    if mode == "nearest":
        return np.clip(c, 0.0, n - 1.0)
    if mode == "mirror":
        span = max(n - 1.0, 1.0)
        return span - np.abs(np.mod(c, 2 * span) - span) if n > 1 else c * 0.0
    if mode in ("reflect", "grid-mirror"):
        return n - np.abs(np.mod(c + 0.5, 2.0 * n) - n) - 0.5
    if mode == "wrap":
        return np.where((c >= 0) & (c <= n - 1), c, np.mod(c, n - 1.0)) if n > 1 else c * 0.0
    return c


def map_coordinates(
    input: Any, coordinates: Any, output: Any = None, order: int = 3, mode: str = "constant",
    cval: Any = 0.0, prefilter: bool = True,
) -> Any:  # fmt: skip
    """input at coordinates (input.ndim, ...), by the nearest element (order 0) or linearly
    (order 1). As scipy.ndimage.map_coordinates.

    Splines of order 2 to 5 are refused. At a grid point the slope is that of the cell above it.
    """
    if order not in (0, 1):
        raise TraceError(
            f"{here()}: map_coordinates is recorded for order=0 and order=1, not {order}; "
            "interpolate with scipy.interpolate's splines, or wrap the call in jittape.custom_vjp"
        )
    if mode not in _PADS:
        raise RuntimeError(f"boundary mode {mode!r} is not supported")
    kind = inexact(as_array(input))[0].dtype
    x, c = inexact(as_array(input), as_array(coordinates))
    x = on_tape(x)
    if c.shape[0] != x.ndim:
        raise RuntimeError("invalid shape for coordinate array")
    outside: Any = False
    corners = []
    for axis, n in enumerate(x.shape):
        at = _folded(c[axis], n, mode)
        if mode == "constant":
            outside = outside | (at < 0) | (at > n - 1)
        if order == 0:
            corners.append([(np.floor(at + 0.5), None)])
        else:
            low = np.floor(at)
            part = at - low
            corners.append([(low, 1.0 - part), (low + 1.0, part)])
    total: Any = 0.0
    for corner in product(*corners):
        weight: Any = None
        index, absent = [], outside
        for (at, w), n in zip(corner, x.shape, strict=True):
            if mode == "grid-constant":
                absent = absent | (at < 0) | (at > n - 1)
            wrapped = np.mod(at, n) if mode == "grid-wrap" else np.clip(at, 0, n - 1)
            index.append(wrapped.astype(np.int64))
            weight = w if weight is None else weight if w is None else weight * w
        value = x[tuple(index)]
        if mode == "grid-constant":
            value = np.where(absent, cval, value)
        total = total + (value if weight is None else value * weight)
    total = np.where(outside, cval, total) if mode == "constant" else total
    return _cast(total.astype(kind), x, output)


maximum_filter = _extremum("max")
minimum_filter = _extremum("min")
median_filter = _extremum("median")
