"""numpy.fft on tracers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jittape.ops import fft as ops
from jittape.ops.declare import Case
from jittape.ops.elementwise import cast
from jittape.ops.shape import concatenate, place, strided_slice
from jittape.tracing.dispatch import implements
from jittape.tracing.tracer import as_operand

_LINE = (Case(((6,),)), Case(((2, 5),), {"n": 4, "axis": 0}), Case(((2, 5),), {"norm": "ortho"}))
_HALF = (
    Case(((4,),)),
    Case(((2, 5),), {"n": 7, "axis": 0}),
    Case(((2, 5),), {"norm": "forward"}),
)
_PLANE = (
    Case(((3, 4),)),
    Case(((2, 3, 4),), {"s": (5, 2), "axes": (2, 0)}),
    Case(((3, 4),), {"norm": "ortho"}),
)


def _norm(norm: str | None) -> str:
    name = "backward" if norm is None else norm
    if name not in ops.OTHER_WAY:
        raise ValueError(f'Invalid norm value {norm}; should be "backward", "ortho" or "forward".')
    return name


def _resized(x: Any, n: int | None, axis: int) -> Any:
    """x with n elements along an axis: cut off, or followed by zeros."""
    old = x.shape[axis]
    if n is None or n == old:
        return x
    if n < 1:
        raise ValueError(f"Invalid number of FFT data points ({n}) specified.")
    index = tuple((0, 1, min(n, k) if i == axis else k) for i, k in enumerate(x.shape))
    if n < old:
        return strided_slice(x, index=index)
    shape = tuple(n if i == axis else k for i, k in enumerate(x.shape))
    return place(x, shape=shape, index=index)


def _inexact(x: Any, kind: str) -> Any:
    """x as an operand: integers become float64; complex where kind is "c"."""
    x = as_operand(x)
    dtype = x.dtype if x.dtype.kind in "fc" else np.dtype(np.float64)
    if dtype.char == "e":
        dtype = np.dtype(np.float32)  # what NumPy computes half precision in
    if kind == "c":
        dtype = ops.complex_of(dtype)
    return x if x.dtype == dtype else cast(x, dtype=dtype)


def _complex(x: Any, n: int | None, axis: int, norm: str | None, inverse: bool) -> Any:
    x = _inexact(x, "c")
    axis = _axis(axis, x.ndim)
    return ops.fft(_resized(x, n, axis), axis=axis, norm=_norm(norm), inverse=inverse)


def _axis(axis: int, ndim: int) -> int:
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim)
    return int(axis) % ndim


@implements(np.fft.fft, cases=_LINE)
def fft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    return _complex(a, n, axis, norm, inverse=False)


@implements(np.fft.ifft, cases=_LINE)
def ifft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    return _complex(a, n, axis, norm, inverse=True)


@implements(np.fft.rfft, cases=_LINE)
def rfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    x = _inexact(a, "f")
    if x.dtype.kind == "c":
        raise TypeError("rfft takes real numbers; use fft for complex ones")
    axis = _axis(axis, x.ndim)
    return ops.rfft(_resized(x, n, axis), axis=axis, norm=_norm(norm))


@implements(np.fft.irfft, cases=_HALF)
def irfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    x = _inexact(a, "c")
    axis = _axis(axis, x.ndim)
    n = 2 * (x.shape[axis] - 1) if n is None else int(n)
    if n < 1:
        raise ValueError(f"Invalid number of FFT data points ({n}) specified.")
    return ops.irfft(_resized(x, n // 2 + 1, axis), axis=axis, norm=_norm(norm), n=n)


@implements(np.fft.hfft, cases=_HALF)
def hfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    return irfft(np.conjugate(_inexact(a, "c")), n, axis, ops.OTHER_WAY[_norm(norm)])


@implements(np.fft.ihfft, cases=_LINE)
def ihfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    return np.conjugate(rfft(a, n, axis, ops.OTHER_WAY[_norm(norm)]))


def _grid(x: Any, s: Any, axes: Any) -> tuple[list[int | None], list[int]]:
    """Lengths and axes of a transform over several axes."""
    if axes is None:
        axes = range(-len(s), 0) if s is not None else range(x.ndim)
    lengths: list[int | None] = [None] * len(axes)
    if s is not None:
        lengths = [None if n == -1 else n for n in s]
    if len(lengths) != len(axes):
        raise ValueError("Shape and axes have different lengths.")
    return lengths, list(axes)


def _over_axes(one: Callable, x: Any, s: Any, axes: Sequence[int], norm: str | None) -> Any:
    for n, axis in reversed(list(zip(s, axes, strict=True))):
        x = one(x, n, axis, norm)
    return x


@implements(np.fft.fftn, cases=_PLANE)
def fftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Any:
    a = _inexact(a, "c")
    return _over_axes(fft, a, *_grid(a, s, axes), norm)


@implements(np.fft.ifftn, cases=_PLANE)
def ifftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Any:
    a = _inexact(a, "c")
    return _over_axes(ifft, a, *_grid(a, s, axes), norm)


@implements(np.fft.fft2, cases=_PLANE)
def fft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None) -> Any:
    return fftn(a, s, axes, norm)


@implements(np.fft.ifft2, cases=_PLANE)
def ifft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None) -> Any:
    return ifftn(a, s, axes, norm)


@implements(np.fft.rfftn, cases=_PLANE)
def rfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Any:
    a = _inexact(a, "f")
    s, axes = _grid(a, s, axes)
    a = rfft(a, s[-1], axes[-1], norm)
    return _over_axes(fft, a, s[:-1], axes[:-1], norm)


@implements(np.fft.rfft2, cases=_PLANE)
def rfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None) -> Any:
    return rfftn(a, s, axes, norm)


@implements(np.fft.irfftn, cases=_PLANE)
def irfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Any:
    a = _inexact(a, "c")
    s, axes = _grid(a, s, axes)
    for n, axis in zip(s[:-1], axes[:-1], strict=True):
        a = ifft(a, n, axis, norm)
    return irfft(a, s[-1], axes[-1], norm)


@implements(np.fft.irfft2, cases=_PLANE)
def irfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None) -> Any:
    return irfftn(a, s, axes, norm)


def _rotated(x: Any, shift: int, axis: int) -> Any:
    """x rolled along an axis, as two slices one after the other."""
    n = x.shape[axis]
    shift = shift % n if n else 0
    if not shift:
        return x
    parts = [
        strided_slice(x, index=tuple(part if i == axis else (0, 1, k) for i, k in sizes))
        for sizes in (list(enumerate(x.shape)),)
        for part in ((n - shift, 1, shift), (0, 1, n - shift))
    ]
    return concatenate(*parts, axis=axis)


def _shift(x: Any, axes: Any, half: Callable[[int], int]) -> Any:
    x = as_operand(x)
    if axes is None:
        axes = range(x.ndim)
    for axis in (axes,) if isinstance(axes, (int, np.integer)) else axes:
        axis = _axis(int(axis), x.ndim)
        x = _rotated(x, half(x.shape[axis]), axis)
    return x


@implements(np.fft.fftshift, cases=(Case(((4, 3),)), Case(((4, 3),), {"axes": 1})))
def fftshift(x: Any, axes: Any = None) -> Any:
    return _shift(x, axes, lambda n: n // 2)


@implements(np.fft.ifftshift, cases=(Case(((4, 3),)), Case(((4, 3),), {"axes": (0,)})))
def ifftshift(x: Any, axes: Any = None) -> Any:
    return _shift(x, axes, lambda n: -(n // 2))
