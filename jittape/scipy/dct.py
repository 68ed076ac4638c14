"""Discrete cosine and sine transforms of scipy.fft, written with FFTs of twice the length.

Definitions: SciPy's documentation of dct and dst; the reductions to an FFT are those of
J. Makhoul, A fast cosine transform in one and two dimensions (1980), without his reordering.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from jittape.functions.linalg import inexact

_INVERSE = {1: 1, 2: 3, 3: 2, 4: 4}


def _turned(n: int, shift: float = 0.0) -> np.ndarray:
    return np.exp(-0.5j * np.pi * (np.arange(n) + shift) / n)


def _spectrum(x: Any, n: int) -> Any:
    """The first n of 2 n Fourier coefficients of x, zeros behind."""
    return np.fft.fft(x, 2 * n, axis=-1)[..., :n]


def _cosine(x: Any, type: int) -> Any:
    n = x.shape[-1]
    if type == 1:
        if n < 2:
            raise ValueError("DCT-I is not defined for size < 2")
        return np.real(np.fft.rfft(np.concatenate([x, np.flip(x[..., 1:-1], -1)], axis=-1)))
    if type == 2:
        return 2.0 * np.real(_spectrum(x, n) * _turned(n))
    if type == 3:
        weights = np.where(np.arange(n) == 0, 1.0, 2.0)
        return np.real(_spectrum(x * (weights * _turned(n)), n))
    return 2.0 * np.real(_spectrum(x * _turned(n), n) * _turned(n, 0.5))


def _sine(x: Any, type: int) -> Any:
    n = x.shape[-1]
    signs = np.where(np.arange(n) % 2, -1.0, 1.0)
    if type == 1:
        zero = np.zeros((*x.shape[:-1], 1), x.dtype)
        odd = np.concatenate([zero, x, zero, -np.flip(x, -1)], axis=-1)
        return -np.imag(np.fft.rfft(odd))[..., 1 : n + 1]
    if type == 2:
        return np.flip(_cosine(x * signs, 2), -1)
    return _cosine(np.flip(x, -1), type) * signs


def _ends(n: int, sine: bool, type: int) -> tuple[Any, Any]:
    """What makes a transform orthogonal beside 1 / sqrt(length): factors before and after it."""
    before, after = np.ones(n), np.ones(n)
    if type == 1 and not sine:
        before[[0, -1]], after[[0, -1]] = sqrt(2), 1 / sqrt(2)
    elif type == 2:
        after[-1 if sine else 0] = 1 / sqrt(2)
    elif type == 3:
        before[-1 if sine else 0] = sqrt(2)
    return before, after


def _transform(
    x: Any, type: int, n: Any, axis: int, norm: Any, orthogonalize: Any, sine: bool, inverse: bool
) -> Any:
    if type not in _INVERSE:
        raise ValueError(f"Invalid type {type} not 1-4")
    (x,) = inexact(x)
    if x.dtype.kind == "c":
        parts = [
            _transform(p, type, n, axis, norm, orthogonalize, sine, inverse)
            for p in (np.real(x), np.imag(x))
        ]
        return parts[0] + 1j * parts[1]
    norm = norm or "backward"
    if norm not in ("backward", "ortho", "forward"):
        raise ValueError(f"Invalid norm value {norm!r}")
    axis = normalize_axis_index(axis, x.ndim)
    lines = np.moveaxis(x, axis, -1)
    size = lines.shape[-1] if n is None else int(n)
    if size < lines.shape[-1]:
        lines = lines[..., :size]
    elif size > lines.shape[-1]:
        lines = np.pad(lines, [(0, 0)] * (x.ndim - 1) + [(0, size - lines.shape[-1])])
    kind = _INVERSE[type] if inverse else type
    length = 2 * (size + (0 if type != 1 else 1 if sine else -1))
    orthogonal = norm == "ortho" if orthogonalize is None else orthogonalize
    before, after = _ends(size, sine, kind) if orthogonal else (None, None)
    if before is not None:
        lines = lines * before
    y = (_sine if sine else _cosine)(lines, kind)
    if after is not None:
        y = y * after
    if norm == "ortho":
        y = y / sqrt(length)
    elif (norm == "forward") != inverse:
        y = y / length
    return np.moveaxis(y.astype(x.dtype), -1, axis)


def _one(sine: bool, inverse: bool) -> Callable:
    def run(
        x: Any, type: int = 2, n: Any = None, axis: int = -1, norm: Any = None,
        overwrite_x: bool = False, workers: Any = None, orthogonalize: Any = None,
    ) -> Any:  # fmt: skip
        return _transform(x, type, n, axis, norm, orthogonalize, sine, inverse)

    return run


def _several(sine: bool, inverse: bool) -> Callable:
    def run(
        x: Any, type: int = 2, s: Any = None, axes: Any = None, norm: Any = None,
        overwrite_x: bool = False, workers: Any = None, *, orthogonalize: Any = None,
    ) -> Any:  # fmt: skip
        (x,) = inexact(x)
        if axes is None:
            axes = range(x.ndim) if s is None else range(x.ndim - np.size(s), x.ndim)
        axes = [axes] if np.ndim(axes) == 0 else list(axes)
        sizes = [None] * len(axes) if s is None else list(np.atleast_1d(s))
        for axis, n in zip(axes, sizes, strict=True):
            x = _transform(x, type, n, axis, norm, orthogonalize, sine, inverse)
        return x

    return run


dct, idct, dst, idst = (_one(sine, inverse) for sine in (False, True) for inverse in (False, True))
dctn, idctn, dstn, idstn = (
    _several(sine, inverse) for sine in (False, True) for inverse in (False, True)
)
